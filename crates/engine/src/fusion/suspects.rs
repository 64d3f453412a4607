//! Who failed, where a call says only that somebody did: each job that may be the one, with the chance
//! that it is. A job that ended at its age then weighs what jobs end at that age; one that did not, and
//! was not heard of since, must have lasted until now. So the longer nobody else is heard of, the clearer it is.

use std::time::Duration;

use domain::Curve;

/// What is less likely than this is not told apart.
const LEAST_LEFT: f64 = 1e-6;

/// How a job weighs that had this age when the call came and has the other now.
pub(super) fn weight(curve: &Curve, then: Duration, now: Duration) -> f64 {
    let around = (then / 20).max(Duration::from_millis(5));
    let ended = curve.done_by(then + around) - curve.done_by(then.saturating_sub(around));
    let density = ended / around.as_secs_f64();
    density / (1.0 - curve.done_by(now)).max(LEAST_LEFT)
}

/// The most suspect of these, and the chance that it is the one; none if none can be.
pub(super) fn most_suspect<T: Copy>(weights: &[(T, f64)]) -> Option<(T, f64)> {
    let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let most = weights.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some((most.0, if all > 0.0 { most.1 / all } else { 0.0 }))
}
