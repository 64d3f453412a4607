//! How fast requests leave within a window: at most half of it at once, and the rest one by one.
//!
//! Not here: how many may leave at all. That is [`domain::Budget`]'s, and it alone is the guarantee.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::{Timestamp, Window};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::lane::shortest;

/// Spreads requests over a window. Its clock is a value that follows `now`.
pub(crate) struct Smoother {
    limiter: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    told: Timestamp,
    /// Between two requests at the window's pace.
    period: Duration,
    /// When a place was last taken.
    taken: Option<Timestamp>,
}

impl Smoother {
    /// Half of the shortest window may leave at once, the rest follows at the window's pace.
    pub(crate) fn new(windows: &[Window], now: Timestamp) -> Option<Self> {
        let window = shortest(windows)?;
        let burst = NonZeroU32::new((window.limit / 2).max(1))?;
        let period = window.length / window.limit.max(1);
        let quota = Quota::with_period(period)?.allow_burst(burst);
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Some(Self {
            limiter,
            clock,
            told: now,
            period,
            taken: None,
        })
    }

    /// The window is full until `later`. What was saved up is gone by then, and one request may leave: a burst
    /// would come back each minute when its places do, with a long wait for the polls in between.
    pub(crate) fn evenly_from(&mut self, later: Timestamp) {
        while self.limiter.check().is_ok() {}
        let before = later.before(self.period);
        self.told = self.taken.map_or(before, |taken| before.max(taken));
    }

    /// The clock jumped, and it is `now` by it.
    pub(crate) fn clock_jumped(&mut self, now: Timestamp) {
        self.told = now;
        self.taken = None;
    }

    /// Nothing may leave at once: the burst was another pace's.
    pub(crate) fn drained(self) -> Self {
        while self.limiter.check().is_ok() {}
        self
    }

    /// Takes a place, or says when to ask again.
    pub(crate) fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.clock.advance(now.since(self.told));
        self.told = self.told.max(now);
        match self.limiter.check() {
            Ok(()) => {
                self.taken = Some(now);
                Ok(())
            }
            Err(not_until) => {
                use governor::clock::Clock as _;
                let wait = not_until.wait_time_from(self.clock.now());
                Err(now + wait.max(std::time::Duration::from_millis(1)))
            }
        }
    }
}
