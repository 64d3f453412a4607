//! The arithmetic of request windows: how many requests may still leave, and when the next may.
//!
//! A request holds its place from the moment it is sent until one window after its *answer* (or its
//! time-out), because only then is it known when the provider can have counted it. So no window at
//! the provider, wherever it starts, ever holds more than the limit, whatever the delay on the way.
//! The rows behind this arithmetic are durable before a request leaves; this is their sum.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::{Pace, Timestamp};

/// How a provider counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any stretch of the window's length.
    Rolling,
    /// Stretches that begin at whole multiples of the length since 1970: days in UTC.
    Calendar,
}

/// At most `limit` requests in any `length`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Requests allowed.
    pub limit: u32,
    /// In this time.
    pub length: Duration,
    /// Counted like this.
    pub shape: Shape,
}

impl Window {
    /// A window that may start anywhere.
    #[must_use]
    pub fn rolling(limit: u32, length: Duration) -> Self {
        let shape = Shape::Rolling;
        Self {
            limit,
            length,
            shape,
        }
    }

    /// A window that starts at multiples of its length.
    #[must_use]
    pub fn calendar(limit: u32, length: Duration) -> Self {
        let shape = Shape::Calendar;
        Self {
            limit,
            length,
            shape,
        }
    }

    /// How far two clocks may disagree about where a calendar window begins: 5 s of a day.
    fn slack(&self) -> Duration {
        self.length / (24 * 60 * 12)
    }

    fn period(&self, at: Timestamp) -> i64 {
        at.as_millis().div_euclid(self.length_millis())
    }

    fn length_millis(&self) -> i64 {
        i64::try_from(self.length.as_millis())
            .unwrap_or(i64::MAX)
            .max(1)
    }
}

/// When the next request may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Now.
    Now,
    /// At this moment, if nothing else happens.
    At(Timestamp),
    /// When a request on the wire has been answered.
    AfterAnAnswer,
    /// Never: a limit of zero.
    Never,
}

/// What is left of a calendar window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// So many requests …
    pub requests: u32,
    /// … in this time.
    pub time: Duration,
}

#[derive(Debug, Clone)]
struct Count {
    window: Window,
    /// Rolling: when each answered request was answered, oldest first.
    answered: VecDeque<Timestamp>,
    /// Calendar: requests by period.
    periods: BTreeMap<i64, u32>,
}

impl Count {
    fn periods_of(&self, at: Timestamp) -> std::ops::RangeInclusive<i64> {
        let slack = self.window.slack();
        self.window.period(at.before(slack))..=self.window.period(at + slack)
    }

    fn took(&mut self, at: Timestamp) {
        if self.window.shape == Shape::Calendar {
            for period in self.periods_of(at) {
                *self.periods.entry(period).or_default() += 1;
            }
        }
    }

    fn give_back(&mut self, at: Timestamp) {
        if self.window.shape == Shape::Calendar {
            for period in self.periods_of(at) {
                if let Some(counted) = self.periods.get_mut(&period) {
                    *counted = counted.saturating_sub(1);
                }
            }
        }
    }

    fn settled(&mut self, sent: Timestamp, at: Timestamp) {
        match self.window.shape {
            // A clock that stepped back frees nothing early.
            Shape::Rolling => {
                let at = self.answered.back().map_or(at, |last| at.max(*last));
                self.answered.push_back(at);
            }
            Shape::Calendar => {
                let last_counted = *self.periods_of(sent).end();
                for period in last_counted + 1..=*self.periods_of(at).end() {
                    *self.periods.entry(period).or_default() += 1;
                }
            }
        }
    }

    fn forget_before(&mut self, now: Timestamp) {
        while let Some(first) = self.answered.front() {
            if *first + self.window.length > now {
                break;
            }
            self.answered.pop_front();
        }
        let current = self.window.period(now);
        self.periods.retain(|period, _| *period >= current - 1);
    }

    fn room(&mut self, now: Timestamp, open: &BTreeMap<u64, Timestamp>, pace: u32) -> Room {
        self.forget_before(now);
        let limit = match self.window.shape {
            Shape::Rolling => Pace::of(pace, self.window.limit),
            Shape::Calendar => self.window.limit,
        } as usize;
        if limit == 0 {
            return Room::Never;
        }
        match self.window.shape {
            Shape::Rolling => {
                let held = self.answered.len() + open.len();
                if held < limit {
                    return Room::Now;
                }
                match self.answered.get(held - limit) {
                    Some(at) => Room::At(*at + self.window.length),
                    None => Room::AfterAnAnswer,
                }
            }
            Shape::Calendar => self.room_in_period(now, open, limit),
        }
    }

    fn room_in_period(
        &self,
        now: Timestamp,
        open: &BTreeMap<u64, Timestamp>,
        limit: usize,
    ) -> Room {
        let mut free_from = None;
        for period in self.periods_of(now) {
            let crossing = open
                .values()
                .filter(|sent| *self.periods_of(**sent).end() < period)
                .count();
            let counted = self.periods.get(&period).copied().unwrap_or(0) as usize;
            if counted + crossing >= limit {
                let next = (period + 1).saturating_mul(self.window.length_millis());
                free_from = Some(Timestamp::from_millis(next) + self.window.slack());
            }
        }
        free_from.map_or(Room::Now, Room::At)
    }
}

/// The requests of one account and group of endpoints, against all their windows.
#[derive(Debug, Clone)]
pub struct Budget {
    counts: Vec<Count>,
    open: BTreeMap<u64, Timestamp>,
    next_slot: u64,
    /// How much of the rolling windows is used, in thousandths.
    pace: u32,
}

/// A place taken in a [`Budget`], to be settled once the answer is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u64);

impl Budget {
    /// An empty budget of these windows; without windows everything may leave at once.
    #[must_use]
    pub fn new(windows: &[Window]) -> Self {
        let counts = windows
            .iter()
            .map(|window| Count {
                window: *window,
                answered: VecDeque::new(),
                periods: BTreeMap::new(),
            })
            .collect();
        Self {
            counts,
            open: BTreeMap::new(),
            next_slot: 0,
            pace: 1_000,
        }
    }

    /// How far back requests must be known to count right.
    #[must_use]
    pub fn memory(&self) -> Duration {
        let longest = self.counts.iter().map(|count| count.window.length).max();
        longest.unwrap_or_default()
    }

    /// Uses so many thousandths of the rolling windows from here on, never more than all: see [`Pace`].
    pub fn set_pace(&mut self, thousandths: u32) {
        self.pace = thousandths.min(1_000);
    }

    /// When one more request may leave.
    pub fn room(&mut self, now: Timestamp) -> Room {
        let mut room = Room::Now;
        for count in &mut self.counts {
            room = match (room, count.room(now, &self.open, self.pace)) {
                (Room::Never, _) | (_, Room::Never) => Room::Never,
                (Room::AfterAnAnswer, _) | (_, Room::AfterAnAnswer) => Room::AfterAnAnswer,
                (Room::At(a), Room::At(b)) => Room::At(a.max(b)),
                (Room::At(a), Room::Now) | (Room::Now, Room::At(a)) => Room::At(a),
                (Room::Now, Room::Now) => Room::Now,
            };
        }
        room
    }

    /// What is left of the calendar window that has the least requests left; none without one.
    #[must_use]
    pub fn left(&self, now: Timestamp) -> Option<Left> {
        let calendar = self
            .counts
            .iter()
            .filter(|count| count.window.shape == Shape::Calendar);
        let left = calendar.map(|count| {
            let period = *count.periods_of(now).end();
            let used = count.periods.get(&period).copied().unwrap_or(0);
            let next = (period + 1).saturating_mul(count.window.length_millis());
            Left {
                requests: count.window.limit.saturating_sub(used),
                time: Timestamp::from_millis(next).since(now),
            }
        });
        left.min_by_key(|left| left.requests)
    }

    /// How long each of the free places would last if they were used evenly until the next one comes back:
    /// none while at least half of the shortest rolling window is free.
    pub fn even_spacing(&mut self, now: Timestamp) -> Option<Duration> {
        let rolling = (self.counts.iter_mut()).filter(|count| count.window.shape == Shape::Rolling);
        let count = rolling.min_by_key(|count| count.window.length)?;
        count.forget_before(now);
        let limit = Pace::of(self.pace, count.window.limit) as usize;
        let held = count.answered.len() + self.open.len();
        let back = *count.answered.front()? + count.window.length;
        let free = u32::try_from(limit.saturating_sub(held)).unwrap_or(u32::MAX);
        (held >= limit / 2).then(|| back.since(now) / free.saturating_add(1))
    }

    /// Takes a place for a request that leaves at `at`. Ask [`Budget::room`] first: a request of the
    /// past, read from the ledger, is counted whatever the limit says now.
    pub fn take(&mut self, at: Timestamp) -> Slot {
        for count in &mut self.counts {
            count.took(at);
        }
        let slot = self.next_slot;
        self.next_slot += 1;
        self.open.insert(slot, at);
        Slot(slot)
    }

    /// The request in this slot was answered, or timed out, at `at`. Settling twice changes nothing.
    pub fn settle(&mut self, slot: Slot, at: Timestamp) {
        if let Some(sent) = self.open.remove(&slot.0) {
            for count in &mut self.counts {
                count.settled(sent, at);
            }
        }
    }

    /// The clock jumped, and it is `now` by it: how long ago the requests of the rolling windows were
    /// answered is not known any more, so all of them count as answered now. Days stay as they were counted.
    pub fn clock_jumped(&mut self, now: Timestamp) {
        for count in &mut self.counts {
            count.answered.iter_mut().for_each(|at| *at = now);
        }
    }

    /// The provider surely did not count the request in this slot.
    pub fn give_back(&mut self, slot: Slot) {
        if let Some(sent) = self.open.remove(&slot.0) {
            for count in &mut self.counts {
                count.give_back(sent);
            }
        }
    }

    /// Requests on the wire.
    #[must_use]
    pub fn on_the_wire(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_idle_budget_lets_a_burst_through_and_then_waits_a_window_after_the_answers() {
        let mut budget = Budget::new(&[Window::rolling(2, MINUTE)]);
        let first = budget.take(at(0));
        let second = budget.take(at(1));
        assert_eq!(budget.room(at(2)), Room::AfterAnAnswer);
        budget.settle(first, at(3_000));
        assert_eq!(budget.room(at(3_000)), Room::At(at(63_000)));
        budget.settle(second, at(4_000));
        assert_eq!(budget.room(at(62_999)), Room::At(at(63_000)));
        assert_eq!(budget.room(at(63_000)), Room::Now);
    }

    #[test]
    fn what_is_left_of_a_day_is_counted_until_the_next() {
        let mut budget = Budget::new(&[Window::rolling(6, MINUTE), Window::calendar(5, DAY)]);
        let noon = at(43_200_000);
        let left = |requests, seconds| {
            let time = Duration::from_secs(seconds);
            Some(Left { requests, time })
        };
        assert_eq!(budget.left(noon), left(5, 43_200));
        budget.take(noon);
        assert_eq!(budget.left(at(43_260_000)), left(4, 43_140));
        assert_eq!(budget.left(at(86_400_000)), left(5, 86_400));
        assert_eq!(Budget::new(&[Window::rolling(6, MINUTE)]).left(noon), None);
    }

    #[test]
    fn what_a_burst_left_is_spread_until_its_places_come_back() {
        let mut budget = Budget::new(&[Window::rolling(6, MINUTE)]);
        assert_eq!(budget.even_spacing(at(0)), None);
        for nth in 0..3 {
            let slot = budget.take(at(nth));
            budget.settle(slot, at(1_000));
        }
        // Three are left for the minute: one each quarter of it.
        assert_eq!(
            budget.even_spacing(at(1_000)),
            Some(Duration::from_secs(15))
        );
        assert_eq!(
            budget.even_spacing(at(16_000)),
            Some(Duration::from_millis(11_250))
        );
        assert_eq!(budget.even_spacing(at(61_000)), None);
    }

    #[test]
    fn after_a_jump_of_the_clock_what_was_answered_counts_as_answered_just_now() {
        for jump in [3_600_000, -3_600_000] {
            let mut budget = Budget::new(&[Window::rolling(2, MINUTE)]);
            for _ in 0..2 {
                let slot = budget.take(at(10_000_000));
                budget.settle(slot, at(10_000_100));
            }
            let now = 10_001_000 + jump;
            budget.clock_jumped(at(now));
            assert_eq!(budget.room(at(now)), Room::At(at(now + 60_000)));
            assert_eq!(budget.room(at(now + 60_000)), Room::Now);
        }
    }

    #[test]
    fn a_day_is_a_day_in_utc_and_midnight_counts_twice() {
        let mut budget = Budget::new(&[Window::calendar(1, DAY)]);
        let day = 86_400_000;
        let slot = budget.take(at(day - 1_000));
        budget.settle(slot, at(day - 900));
        assert_eq!(budget.room(at(day + 60_000)), Room::At(at(2 * day + 5_000)));
        let mut budget = Budget::new(&[Window::calendar(1, DAY)]);
        let slot = budget.take(at(day / 2));
        budget.settle(slot, at(day / 2 + 1));
        assert_eq!(budget.room(at(day / 2 + 2)), Room::At(at(day + 5_000)));
        assert_eq!(budget.room(at(day + 5_000)), Room::Now);
    }

    #[test]
    fn a_request_still_on_the_wire_after_midnight_counts_in_the_new_day_too() {
        let mut budget = Budget::new(&[Window::calendar(1, DAY)]);
        let day = 86_400_000;
        let slot = budget.take(at(day - 60_000));
        assert!(matches!(budget.room(at(day + 60_000)), Room::At(_)));
        budget.settle(slot, at(day + 61_000));
        assert!(matches!(budget.room(at(day + 62_000)), Room::At(_)));
    }

    #[test]
    fn what_the_provider_did_not_count_is_given_back() {
        let mut budget = Budget::new(&[Window::calendar(1, DAY), Window::rolling(1, MINUTE)]);
        let slot = budget.take(at(86_400_000 / 2));
        assert_ne!(budget.room(at(86_400_000 / 2 + 1)), Room::Now);
        budget.give_back(slot);
        assert_eq!(budget.room(at(86_400_000 / 2 + 2)), Room::Now);
        budget.settle(slot, at(86_400_000 / 2 + 3));
        assert_eq!(budget.room(at(86_400_000 / 2 + 4)), Room::Now);
    }

    #[test]
    fn a_slower_pace_uses_less_of_rolling_windows_and_the_whole_of_days() {
        let mut budget = Budget::new(&[Window::rolling(10, MINUTE), Window::calendar(9, DAY)]);
        let noon = 43_200_000;
        for n in 0..8 {
            let slot = budget.take(at(noon + n));
            budget.settle(slot, at(noon + n));
        }
        assert_eq!(budget.room(at(noon + 10)), Room::Now);
        budget.set_pace(800);
        assert_eq!(budget.room(at(noon + 10)), Room::At(at(noon + 60_000)));
        assert_eq!(budget.room(at(noon + 60_000)), Room::Now);
        budget.set_pace(5_000);
        assert_eq!(budget.room(at(noon + 10)), Room::Now);
    }

    #[test]
    fn a_limit_of_zero_never_lets_anything_through() {
        let mut budget = Budget::new(&[Window::rolling(0, MINUTE)]);
        assert_eq!(budget.room(at(0)), Room::Never);
    }

    #[test]
    fn a_clock_that_steps_back_frees_nothing() {
        let mut budget = Budget::new(&[Window::rolling(1, MINUTE)]);
        let slot = budget.take(at(3_600_000));
        budget.settle(slot, at(3_600_500));
        assert_eq!(budget.room(at(0)), Room::At(at(3_660_500)));
    }

    proptest! {
        /// Whatever the delays on the way there and back, no window at the provider holds more.
        #[test]
        fn no_window_at_the_provider_holds_more_than_the_limit(
            limit in 1u32..6,
            delays in prop::collection::vec((0i64..3_000, 0i64..3_000), 1..60),
        ) {
            let window = Duration::from_secs(10);
            let mut budget = Budget::new(&[Window::rolling(limit, window)]);
            let mut on_the_wire: Vec<(i64, Slot)> = Vec::new();
            let mut arrivals = Vec::new();
            let mut now = 0i64;
            for (there, back) in delays {
                loop {
                    on_the_wire.sort_by_key(|(answered, _)| *answered);
                    while let Some((answered, slot)) = on_the_wire.first().copied() {
                        if answered > now { break; }
                        budget.settle(slot, at(answered));
                        on_the_wire.remove(0);
                    }
                    match budget.room(at(now)) {
                        Room::Now => break,
                        Room::At(when) => now = when.as_millis()
                            .min(on_the_wire.first().map_or(i64::MAX, |(answered, _)| *answered)).max(now + 1),
                        Room::AfterAnAnswer => now = on_the_wire[0].0,
                        Room::Never => unreachable!(),
                    }
                }
                let slot = budget.take(at(now));
                arrivals.push(now + there);
                on_the_wire.push((now + there + back, slot));
            }
            arrivals.sort_unstable();
            for start in &arrivals {
                let held = arrivals.iter().filter(|a| (*start..*start + 10_000).contains(*a)).count();
                prop_assert!(held <= limit as usize, "{held} in one window of {limit}");
            }
        }
    }
}
