//! The one place of the engine that knows what time it is.

use std::fmt::Debug;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use domain::Timestamp;

/// Tells the time. The planner never asks: it is told.
pub trait Clock: Debug + Send + Sync {
    /// The moment that it is now.
    fn now(&self) -> Timestamp;

    /// The time since some moment, by a clock that nobody sets.
    fn steady(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock module: everything else takes now as a value"
    )]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        });
        Timestamp::from_millis(millis)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock module: everything else takes now as a value"
    )]
    fn steady(&self) -> Duration {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        BEGAN.get_or_init(Instant::now).elapsed()
    }
}
