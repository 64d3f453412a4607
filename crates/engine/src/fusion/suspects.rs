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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Lengths;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    /// Jobs take about half a minute.
    fn curve() -> Curve {
        let mut lengths = Lengths::expecting(seconds(30));
        for length in [22, 24, 26, 28, 29, 30, 31, 33, 35, 37, 40].repeat(4) {
            lengths.took(seconds(length));
        }
        lengths.curve()
    }

    fn weights(ages: &[u64], passed: u64) -> Vec<(u64, f64)> {
        let curve = curve();
        let weigh = |age: &u64| (*age, weight(&curve, seconds(*age), seconds(age + passed)));
        ages.iter().map(weigh).collect()
    }

    #[test]
    fn whose_age_is_usual_for_an_end_is_the_most_suspect_whatever_the_order() {
        for ages in [[7, 19, 31], [31, 19, 7], [19, 31, 7]] {
            let (age, chance) = most_suspect(&weights(&ages, 0)).unwrap();
            assert_eq!(age, 31);
            assert!(chance > 0.6, "{chance}");
        }
    }

    #[test]
    fn the_longer_nobody_is_heard_of_the_more_suspect_is_the_oldest() {
        let chances = [0, 5, 10, 15].map(|passed| {
            let (age, chance) = most_suspect(&weights(&[30, 24, 12], passed)).unwrap();
            assert_eq!(age, 30, "after {passed} s");
            chance
        });
        assert!(chances.is_sorted(), "{chances:?}");
        assert!(chances[3] > chances[0] + 0.1, "{chances:?}");
    }

    #[test]
    fn among_equals_each_has_the_same_chance_and_alone_it_is_sure() {
        let (_, chance) = most_suspect(&weights(&[25, 25, 25, 25], 3)).unwrap();
        assert!((chance - 0.25).abs() < 1e-9, "{chance}");
        let (_, chance) = most_suspect(&weights(&[25], 3)).unwrap();
        assert!((chance - 1.0).abs() < 1e-9, "{chance}");
    }

    #[test]
    fn where_none_can_be_the_one_none_has_a_chance() {
        assert!(most_suspect::<u64>(&[]).is_none());
        assert_eq!(most_suspect(&[(1, 0.0), (2, 0.0)]).unwrap().1, 0.0);
    }
}
