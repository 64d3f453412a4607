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

    /// The name of this boot of the machine, and the time since it, by a clock that nobody sets; `None` where
    /// the machine does not tell.
    fn since_boot(&self) -> Option<(String, Duration)> {
        None
    }
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

    /// As Linux tells it, to hundredths of a second.
    fn since_boot(&self) -> Option<(String, Duration)> {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
        let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
        let since = Duration::try_from_secs_f64(seconds).ok()?;
        Some((boot.trim().to_owned(), since))
    }
}
