//! Counting requests: rolling windows and days. The provider's side of a limit, counted at the
//! moment of arrival. A refused request is not counted: a client that only hears 429 comes back in.

use std::collections::VecDeque;

/// A rolling window: at most `limit` arrivals within any `length_ms`.
#[derive(Debug, Clone)]
pub(crate) struct Rolling {
    length_ms: i64,
    limit: u32,
    arrivals: VecDeque<i64>,
}

impl Rolling {
    pub(crate) fn new(length_ms: i64, limit: u32) -> Self {
        Self {
            length_ms,
            limit,
            arrivals: VecDeque::new(),
        }
    }

    /// Milliseconds until a request would be let in; `None` when it is welcome now.
    pub(crate) fn full_for(&mut self, now_ms: i64) -> Option<i64> {
        while self
            .arrivals
            .front()
            .is_some_and(|&at| at + self.length_ms <= now_ms)
        {
            self.arrivals.pop_front();
        }
        if self.arrivals.len() < self.limit as usize {
            return None;
        }
        Some(
            self.arrivals
                .front()
                .map_or(self.length_ms, |&at| at + self.length_ms - now_ms),
        )
    }

    /// Counts an arrival.
    pub(crate) fn count(&mut self, now_ms: i64) {
        self.arrivals.push_back(now_ms);
    }

    /// How many more are welcome; valid after `full_for`.
    pub(crate) fn remaining(&self) -> u32 {
        self.limit
            .saturating_sub(u32::try_from(self.arrivals.len()).unwrap_or(u32::MAX))
    }

    /// When the oldest arrival leaves the window.
    pub(crate) fn reset_ms(&self, now_ms: i64) -> i64 {
        self.arrivals
            .front()
            .map_or(now_ms, |&at| at + self.length_ms)
    }

    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }
}

/// A calendar day: counts start again when a day of `length_ms`, aligned to the epoch, ends.
#[derive(Debug, Clone)]
pub(crate) struct Daily {
    length_ms: i64,
    limit: Option<u32>,
    day: i64,
    used: u32,
}

impl Daily {
    pub(crate) fn new(length_ms: i64, limit: Option<u32>) -> Self {
        Self {
            length_ms,
            limit,
            day: i64::MIN,
            used: 0,
        }
    }

    /// Milliseconds until midnight if today's share is used up.
    pub(crate) fn full_for(&mut self, now_ms: i64) -> Option<i64> {
        let day = now_ms.div_euclid(self.length_ms);
        if day != self.day {
            self.day = day;
            self.used = 0;
        }
        let limit = self.limit?;
        (self.used >= limit).then(|| (day + 1) * self.length_ms - now_ms)
    }

    pub(crate) fn count(&mut self) {
        self.used += 1;
    }

    pub(crate) fn used(&self) -> u32 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_window_of_the_length_holds_more_than_the_limit() {
        let mut window = Rolling::new(60_000, 3);
        let mut accepted = Vec::new();
        for now in (0..200_000).step_by(700) {
            if window.full_for(now).is_none() {
                window.count(now);
                accepted.push(now);
            }
        }
        for (i, start) in accepted.iter().enumerate() {
            let inside = accepted[i..]
                .iter()
                .take_while(|&&at| at < start + 60_000)
                .count();
            assert!(inside <= 3);
        }
        assert!(accepted.len() >= 9);
    }

    #[test]
    fn a_full_window_says_when_it_opens() {
        let mut window = Rolling::new(60_000, 1);
        assert_eq!(window.full_for(1_000), None);
        window.count(1_000);
        assert_eq!(window.full_for(11_000), Some(50_000));
        assert_eq!(window.full_for(60_999), Some(1));
        assert_eq!(window.full_for(61_000), None);
    }

    #[test]
    fn a_day_starts_again_at_midnight() {
        let mut day = Daily::new(1_000, Some(1));
        assert_eq!(day.full_for(10_100), None);
        day.count();
        assert_eq!(day.full_for(10_200), Some(800));
        assert_eq!(day.full_for(11_000), None);
    }
}
