//! Trouble with the database as people should hear of it: once when it begins, once when it is over; and
//! how long to wait between two tries.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;
use domain::Timestamp;
use store::StoreError;

/// The longest wait: the work goes on within this time after the database is back.
const LONGEST: Duration = Duration::from_secs(5);

/// After so long without a new error it is over. A database that falls over every second is one trouble.
const STEADY: Duration = Duration::from_secs(2);

/// What is going on, if anything is.
#[derive(Debug)]
pub(super) struct Trouble {
    since: Option<Timestamp>,
    /// It has answered since then.
    better: Option<Timestamp>,
    waits: ExponentialBackoff,
}

impl Trouble {
    pub(super) fn none() -> Self {
        let waits = ExponentialBackoff {
            initial_interval: Duration::from_millis(100),
            max_interval: LONGEST,
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        Self {
            since: None,
            better: None,
            waits,
        }
    }

    /// Says how long to wait before the next try.
    pub(super) fn met(&mut self, error: &StoreError, now: Timestamp) -> Duration {
        self.better = None;
        if self.since.is_none() {
            self.since = Some(now);
            tracing::warn!(%error, "no work on the database for now; waiting for it, and nothing is sent meanwhile");
        } else {
            tracing::debug!(%error, "still waiting for the database");
        }
        self.waits.next_backoff().unwrap_or(LONGEST)
    }

    /// A step was written down.
    pub(super) fn passes(&mut self, now: Timestamp) {
        let Some(since) = self.since else {
            return;
        };
        let better = *self.better.get_or_insert(now);
        if now >= better + STEADY {
            tracing::warn!(
                after_s = better.since(since).as_secs(),
                "the database answers again; going on"
            );
            self.since = None;
            self.waits.reset();
        }
    }

    /// When it can be told that it is over.
    pub(super) fn look_at(&self) -> Option<Timestamp> {
        self.better
            .filter(|_| self.since.is_some())
            .map(|better| better + STEADY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_it_is_steady_again() {
        let mut trouble = Trouble::none();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let error = StoreError::Unavailable { why: "gone".into() };
        let waits: Vec<Duration> = (0..20).map(|n| trouble.met(&error, at(n))).collect();
        assert!(waits[0] < Duration::from_millis(200), "{waits:?}");
        assert!(waits[19] > Duration::from_secs(2), "{waits:?}");
        trouble.passes(at(20));
        assert_eq!(trouble.look_at(), Some(at(22)));
        assert!(
            trouble.met(&error, at(21)) > Duration::from_secs(2),
            "one trouble"
        );
        trouble.passes(at(30));
        trouble.passes(at(32));
        assert_eq!(trouble.look_at(), None);
        assert!(trouble.met(&error, at(40)) < Duration::from_millis(200));
    }
}
