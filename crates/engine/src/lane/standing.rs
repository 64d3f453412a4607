//! What holds a lane back, and how many submits it may have on the wire.

use std::time::Duration;

use domain::Timestamp;
use store::Pause;

use super::Lane;
use crate::breaker::UNAVAILABLE;

/// Submits on the wire at once, whatever the pace.
const MOST_SUBMITS: usize = 64;

impl Lane {
    /// How many submits may be on the wire at once: one while trust is not earned, then as many as the
    /// budget's pace and the provider's answers need. What is on the wire at a crash is in doubt after
    /// it, so it is no more than that.
    pub(crate) fn most_submits(&self, group: &str, now: Timestamp) -> usize {
        if self.careful || self.is_half_open(now) {
            return 1;
        }
        let Some(spacing) = self.groups.get(group).and_then(|group| group.spacing) else {
            return MOST_SUBMITS;
        };
        let needed = 1.5 * self.latency.as_secs_f64() / spacing.as_secs_f64().max(0.001);
        let needed = (1..MOST_SUBMITS).find(|n| *n as f64 >= needed);
        needed.unwrap_or(MOST_SUBMITS).max(2)
    }

    /// Whether submits rested for what we guess from failures, and nobody knows yet whether that is over.
    fn is_half_open(&self, now: Timestamp) -> bool {
        let guesses = [UNAVAILABLE, "outcome_unknown", "misdirected"];
        self.pauses.values().any(|pause| {
            pause.endpoints == "submits"
                && guesses.contains(&pause.code.as_str())
                && pause.until.is_some_and(|until| until <= now)
        })
    }

    /// A submit was answered after this time.
    pub(crate) fn note_latency(&mut self, took: Duration) {
        self.latency = (self.latency * 3 + took) / 4;
    }

    pub(crate) fn set_pause(&mut self, pause: Pause) {
        let key = (pause.endpoints.clone(), pause.code.clone());
        self.pauses.insert(key, pause);
    }

    /// Submits rest for want of credits: the next one goes alone, after a look at the balance.
    pub(crate) fn rests_for_credits(&mut self) {
        self.careful = true;
        self.balance.begin();
    }

    pub(crate) fn lift_pause(&mut self, endpoints: &str, code: &str) -> Option<Pause> {
        self.pauses.remove(&(endpoints.to_owned(), code.to_owned()))
    }

    pub(crate) fn pause(&self, endpoints: &str, code: &str) -> Option<&Pause> {
        self.pauses.get(&(endpoints.to_owned(), code.to_owned()))
    }

    pub(crate) fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.pauses.values()
    }
}
