//! The pace of a group of endpoints: how much of its documented limit is used after the provider said
//! "too many" (429) all the same.
//!
//! Each such answer takes a fifth of the pace, each quiet stretch gives a hundredth back, and it is never
//! above the configured limit (RELIABILITY.md section 6). It follows from the answers alone, which are in
//! the ledger of requests: a restart, or another owner of the lane, comes to the same pace.

use std::time::Duration;

use crate::{Shape, Timestamp, Window};

/// The configured limit, in thousandths.
const FULL: u32 = 1_000;
/// What an answer 429 leaves of the pace, in percent.
const LEAVES_PERCENT: u32 = 80;
/// What a quiet stretch gives back, in thousandths of the limit.
const STEP: u32 = 10;
/// However often the provider says "too many": work goes on, and the pauses hold it back.
const LEAST: u32 = 100;
/// A quiet stretch is so many of the shortest rolling windows: 10 minutes where that is a minute.
const QUIET_WINDOWS: u32 = 10;
/// After so many quiet stretches any pace is full again.
const FORGOTTEN_AFTER: u32 = (FULL - LEAST) / STEP;

/// How much of a group's rolling windows is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    quiet: Duration,
    thousandths: u32,
    /// When the last answer came that was counted.
    slowed_at: Option<Timestamp>,
}

impl Pace {
    /// The full pace of a group with these windows; `None` where none of them is rolling.
    #[must_use]
    pub fn new(windows: &[Window]) -> Option<Self> {
        let rolling = windows
            .iter()
            .filter(|window| window.shape == Shape::Rolling);
        let shortest = rolling.map(|window| window.length).min()?;
        Some(Self {
            quiet: (shortest * QUIET_WINDOWS).max(Duration::from_millis(1)),
            thousandths: FULL,
            slowed_at: None,
        })
    }

    /// How far back answers 429 must be known to come to the same pace.
    #[must_use]
    pub fn memory(&self) -> Duration {
        self.quiet * FORGOTTEN_AFTER * 2
    }

    /// The request that was sent and answered then was too many. Requests that were on the wire together
    /// are one; tell them in the order of their answers.
    pub fn too_many(&mut self, sent: Timestamp, answered: Timestamp) {
        if self.slowed_at.is_some_and(|before| sent <= before) {
            return;
        }
        self.thousandths = (self.at(answered) * LEAVES_PERCENT / 100).max(LEAST);
        self.slowed_at = Some(answered);
    }

    /// The pace now, in thousandths of the configured limits.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> u32 {
        let Some(slowed_at) = self.slowed_at else {
            return FULL;
        };
        let stretches = now.since(slowed_at).as_millis() / self.quiet.as_millis().max(1);
        let given_back = u32::try_from(stretches)
            .unwrap_or(u32::MAX)
            .saturating_mul(STEP);
        self.thousandths.saturating_add(given_back).min(FULL)
    }

    /// What is left of a limit at this pace: at least one, unless nothing is allowed at all.
    #[must_use]
    pub fn of(thousandths: u32, limit: u32) -> u32 {
        let left = u64::from(limit) * u64::from(thousandths.min(FULL)) / u64::from(FULL);
        u32::try_from(left).unwrap_or(limit).max(limit.min(1))
    }

    /// The clock was set: the last answer is as long ago as before.
    pub fn moved(&mut self, moved: impl FnOnce(Timestamp) -> Timestamp) {
        self.slowed_at = self.slowed_at.map(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60_000;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn pace() -> Pace {
        Pace::new(&[Window::rolling(15, Duration::from_secs(60))]).unwrap()
    }

    #[test]
    fn a_429_takes_a_fifth_and_each_quiet_ten_minutes_give_a_hundredth_back() {
        let mut pace = pace();
        pace.too_many(at(0), at(1_000));
        assert_eq!(pace.at(at(1_000)), 800);
        assert_eq!(pace.at(at(1_000 + 10 * MINUTE - 1)), 800);
        assert_eq!(pace.at(at(1_000 + 10 * MINUTE)), 810);
        assert_eq!(pace.at(at(1_000 + 200 * MINUTE)), 1_000);
        // A second one, of what was recovered.
        pace.too_many(at(50 * MINUTE), at(1_000 + 50 * MINUTE));
        assert_eq!(pace.at(at(51 * MINUTE)), 680);
        assert_eq!(Pace::of(680, 15), 10);
    }

    #[test]
    fn answers_that_were_on_the_wire_together_are_one() {
        let mut pace = pace();
        for n in 0..15 {
            pace.too_many(at(n), at(1_000 + n));
        }
        assert_eq!(pace.at(at(2_000)), 800);
        pace.too_many(at(1_001), at(2_000));
        assert_eq!(pace.at(at(2_000)), 640);
    }

    #[test]
    fn a_limit_is_never_slowed_to_nothing_nor_raised() {
        for (limit, thousandths, left) in [(1, 100, 1), (0, 800, 0), (15, 800, 12), (15, 2_000, 15)]
        {
            assert_eq!(Pace::of(thousandths, limit), left);
        }
        assert_eq!(
            Pace::new(&[Window::calendar(100, Duration::from_secs(86_400))]),
            None
        );
    }

    proptest! {
        /// Whoever remembers only as much as `memory` says comes to nearly the same pace, and after that
        /// time without an answer 429 to exactly the full one.
        #[test]
        fn the_pace_stays_within_its_bounds_and_comes_back(
            gaps in prop::collection::vec(1i64..40 * MINUTE, 0..60),
        ) {
            let mut pace = pace();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                let before = pace.at(at(now));
                pace.too_many(at(now), at(now + 1));
                let after = pace.at(at(now + 1));
                prop_assert!((LEAST..=FULL).contains(&after));
                prop_assert!(after < before || after == LEAST);
            }
            let memory = i64::try_from(pace.memory().as_millis()).unwrap();
            prop_assert_eq!(pace.at(at(now + 1 + memory)), FULL);
        }
    }
}
