//! A moment, in whole milliseconds since 1970 UTC, written as people and SQL read it:
//! `2026-11-22T09:10:35.123Z`. This text sorts as the moments do.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Days in UTC have no leap seconds here, as in every Unix clock.
const DAY_MILLIS: i64 = 86_400_000;

/// A moment in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment this many milliseconds after 1970 began in UTC.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970 began in UTC.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// When this moment's day in UTC began.
    #[must_use]
    pub const fn utc_day(self) -> Self {
        Self(self.0 - self.0.rem_euclid(DAY_MILLIS))
    }

    /// When the next day in UTC begins.
    #[must_use]
    pub const fn next_utc_day(self) -> Self {
        Self(self.utc_day().0.saturating_add(DAY_MILLIS))
    }

    /// When this moment's calendar month in UTC began. Outside the years that a calendar has: its day.
    #[must_use]
    pub fn utc_month(self) -> Self {
        let day = self.utc_day();
        jiff::Timestamp::from_millisecond(day.0).map_or(day, |moment| {
            let past = moment.to_zoned(jiff::tz::TimeZone::UTC).day() - 1;
            Self(day.0 - i64::from(past) * DAY_MILLIS)
        })
    }

    /// When the next calendar month in UTC begins.
    #[must_use]
    pub fn next_utc_month(self) -> Self {
        // No month is longer than 31 days, and 32 days after its first lies in the next one.
        Self(self.utc_month().0.saturating_add(32 * DAY_MILLIS)).utc_month()
    }

    /// This moment moved back by `by`.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(by)))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(by)))
    }
}

fn whole_millis(by: Duration) -> i64 {
    i64::try_from(by.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            // Outside the years that a calendar has: the number is the honest rest.
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A text that is no moment in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time: write it as 2026-11-22T09:10:35.123Z")]
pub struct BadTimestamp(pub String);

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|moment| Self(moment.as_millisecond()))
            .map_err(|_| BadTimestamp(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_reads_back_as_it_was_written() {
        let moment = Timestamp::from_millis(1_795_338_635_123);
        assert_eq!(moment.to_string(), "2026-11-22T09:10:35.123Z");
        assert_eq!(moment.to_string().parse(), Ok(moment));
        assert_eq!("2026-11-22T10:10:35.123456+01:00".parse(), Ok(moment));
        assert_eq!(
            Timestamp::from_millis(0).to_string(),
            "1970-01-01T00:00:00.000Z"
        );
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
