//! Spending caps: how much an account may take in a UTC day, in a UTC month, and for one batch.
//!
//! Only arithmetic: what was taken comes from the ledger. "Taken" is what is booked, what is reserved
//! for submits without an answer, and what is in doubt: a provider may have charged all of it, so that
//! a cap that counts it all is never passed.

use std::fmt;

use serde::Serialize;

use crate::Timestamp;

/// The share of a cap at which people are warned, in percent (DESIGN.md section 4).
pub const WARN_PERCENT: i64 = 80;

/// The caps of one account, in the provider's unit; `None`: no such cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Caps {
    /// From midnight to midnight in UTC, by the time of the intent.
    pub per_day: Option<i64>,
    /// In a calendar month in UTC, by the time of the intent.
    pub per_month: Option<i64>,
    /// For all rows of the account with the same `batch`, ever. Rows without a batch are not counted.
    pub per_batch: Option<i64>,
}

/// Which cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CapKind {
    /// Of a day.
    PerDay,
    /// Of a month.
    PerMonth,
    /// Of a batch.
    PerBatch,
}

impl CapKind {
    /// Its name in the config.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PerDay => "per_day",
            Self::PerMonth => "per_month",
            Self::PerBatch => "per_batch",
        }
    }

    /// When what counts now counts no longer; a batch has no such moment.
    #[must_use]
    pub fn frees_at(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::PerDay => Some(now.next_utc_day()),
            Self::PerMonth => Some(now.next_utc_month()),
            Self::PerBatch => None,
        }
    }
}

impl fmt::Display for CapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is taken already: booked, reserved and in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Since the day began.
    pub today: i64,
    /// Since the month began.
    pub this_month: i64,
    /// By the batch of the row; `None`: the row has none.
    pub by_batch: Option<i64>,
}

/// A cap that a price would pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverCap {
    /// Which.
    pub cap: CapKind,
    /// How much it allows.
    pub limit: i64,
    /// How much is taken.
    pub taken: i64,
}

impl Caps {
    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether any of them counts a row: a cap on batches counts only those that have one.
    #[must_use]
    pub fn count(&self, has_batch: HasBatch) -> bool {
        self.per_day.is_some()
            || self.per_month.is_some()
            || (self.per_batch.is_some() && has_batch == HasBatch::Yes)
    }

    /// The cap that `price` more would pass. Of several, the one that frees last: until then nothing
    /// can change.
    #[must_use]
    pub fn over(&self, taken: Taken, price: i64) -> Option<OverCap> {
        let passes = |cap: CapKind, limit: Option<i64>, taken: i64| {
            let limit = limit?;
            (taken.saturating_add(price) > limit).then_some(OverCap { cap, limit, taken })
        };
        taken
            .by_batch
            .and_then(|taken| passes(CapKind::PerBatch, self.per_batch, taken))
            .or_else(|| passes(CapKind::PerMonth, self.per_month, taken.this_month))
            .or_else(|| passes(CapKind::PerDay, self.per_day, taken.today))
    }
}

/// Whether a row has a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HasBatch {
    /// It has.
    Yes,
    /// It has none.
    No,
}

/// How full a cap is, in whole percent, rounded down; more than 100 where a charge was above its
/// estimate. A cap of nothing is full.
#[must_use]
pub fn percent(taken: i64, limit: i64) -> i64 {
    if limit <= 0 {
        100
    } else {
        taken.saturating_mul(100) / limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        per_day: Some(10),
        per_month: Some(100),
        per_batch: Some(5),
    };

    fn taken(today: i64, this_month: i64, by_batch: Option<i64>) -> Taken {
        Taken {
            today,
            this_month,
            by_batch,
        }
    }

    #[test]
    fn a_price_may_fill_a_cap_and_not_pass_it() {
        let over = |taken, price| CAPS.over(taken, price).map(|over| over.cap);
        for (taken, price, expect) in [
            (taken(7, 7, None), 3, None),
            (taken(8, 8, None), 3, Some(CapKind::PerDay)),
            (taken(0, 98, None), 3, Some(CapKind::PerMonth)),
            (taken(8, 98, None), 3, Some(CapKind::PerMonth)),
            (taken(0, 0, Some(2)), 3, None),
            (taken(0, 0, Some(3)), 3, Some(CapKind::PerBatch)),
            (taken(0, 0, None), i64::MAX, Some(CapKind::PerMonth)),
        ] {
            assert_eq!(over(taken, price), expect, "{taken:?} + {price}");
        }
        assert_eq!(Caps::default().over(taken(1, 1, Some(1)), i64::MAX), None);
    }

    #[test]
    fn a_cap_on_batches_counts_only_rows_that_have_one() {
        let batches = Caps {
            per_batch: Some(5),
            ..Caps::default()
        };
        assert!(batches.count(HasBatch::Yes));
        assert!(!batches.count(HasBatch::No));
        assert!(CAPS.count(HasBatch::No));
        assert!(!Caps::default().count(HasBatch::Yes));
    }

    #[test]
    fn percent_rounds_down_and_a_cap_of_nothing_is_full() {
        for (taken, limit, expect) in [(79, 100, 79), (799, 1_000, 79), (12, 10, 120), (0, 0, 100)]
        {
            assert_eq!(percent(taken, limit), expect);
        }
    }

    #[test]
    fn days_and_months_end_at_midnight_in_utc() {
        for (now, day, month) in [
            (
                "2026-11-22T16:22:31Z",
                "2026-11-23T00:00:00Z",
                "2026-12-01T00:00:00Z",
            ),
            (
                "2026-12-31T23:59:59.999Z",
                "2027-01-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "2028-02-28T00:00:00Z",
                "2028-02-29T00:00:00Z",
                "2028-03-01T00:00:00Z",
            ),
        ] {
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            assert_eq!(CapKind::PerDay.frees_at(at(now)), Some(at(day)), "{now}");
            assert_eq!(
                CapKind::PerMonth.frees_at(at(now)),
                Some(at(month)),
                "{now}"
            );
            assert!(at(now).utc_day() <= at(now) && at(now).utc_month() <= at(now).utc_day());
        }
        assert_eq!(CapKind::PerBatch.frees_at(Timestamp::default()), None);
    }
}
