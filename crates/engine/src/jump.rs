//! Jumps of the wall clock: how they are seen, and what follows. Somebody sets the clock, or the machine
//! sleeps; all that was counted and planned by it would be an hour too old, or an hour away.

use std::time::Duration;

use domain::Timestamp;
use store::{MachineClock, Store, StoreError};

use crate::act::Report;
use crate::clock::Clock;
use crate::planner::Engine;
use crate::submit::Source;

/// Less than this is no jump: reading two clocks takes a moment, and a clock is slowly put right.
const TOLERANCE: i64 = 1_000;

/// Somebody set the wall clock, or the machine slept: moments by it can no longer be compared with
/// earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// The first moment by it that was seen afterwards.
    pub at: Timestamp,
    /// How far it jumped: milliseconds, forward or (negative) backward.
    pub by: i64,
}

impl Jump {
    /// The same distance from the clock as before the jump.
    pub(crate) fn moved(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_millis(moment.as_millis().saturating_add(self.by))
    }
}

/// Sees the wall clock jump, by comparing it with the steady one.
#[derive(Debug, Default)]
pub(crate) struct ClockWatch(Option<(Timestamp, Duration)>);

impl ClockWatch {
    /// What happened since the last look.
    pub(crate) fn look(&mut self, clock: &dyn Clock) -> Option<Jump> {
        let (now, steady) = both(clock);
        let (wall_before, steady_before) = self.0.replace((now, steady))?;
        let passed = steady.saturating_sub(steady_before);
        let by = now.as_millis() - (wall_before + passed).as_millis();
        (by.abs() > TOLERANCE).then_some(Jump { at: now, by })
    }
}

/// Compares this machine's wall clock with what is known of it in the database, and remembers what it says now.
/// Says when it was last set, whether a process lived to see it or not: one that starts right after a jump
/// would else take the requests of the last minute for an hour old.
///
/// # Errors
/// When the database cannot be read or written.
pub async fn recall_jump(
    store: &Store,
    (boot, since): (String, Duration),
    now: Timestamp,
) -> Result<Option<Jump>, StoreError> {
    let began_at = now.before(since);
    let known = store.machine_clock(&boot).await?;
    let by = known
        .as_ref()
        .map_or(0, |known| began_at.as_millis() - known.began_at.as_millis());
    let last = known.as_ref().and_then(|known| {
        let (at, by) = known.jumped_at.zip(known.jumped_by)?;
        Some(Jump { at, by })
    });
    if known.is_some() && by.abs() <= TOLERANCE {
        return Ok(last);
    }
    let jump = known.map(|_| Jump { at: now, by });
    let clock = MachineClock {
        boot,
        began_at,
        jumped_at: jump.map(|jump| jump.at),
        jumped_by: jump.map(|jump| jump.by),
    };
    store.keep_machine_clock(&clock).await?;
    Ok(jump)
}

/// Both clocks at one moment: a process can be frozen between two lines.
fn both(clock: &dyn Clock) -> (Timestamp, Duration) {
    const AT_ONE_MOMENT: Duration = Duration::from_millis(100);
    const TRIES: u32 = 5;
    let mut before = clock.steady();
    for _ in 0..TRIES {
        let now = clock.now();
        let after = clock.steady();
        if after.saturating_sub(before) < AT_ONE_MOMENT {
            return (now, after);
        }
        before = after;
    }
    (clock.now(), before)
}

impl Engine {
    /// The wall clock jumped. What was waited for is waited for as long as before, the short windows count as
    /// just used, and what people or other programs did is looked for at once. Moments that other programs
    /// read (`not_before`, deadlines, days) stay what the clock makes of them.
    pub fn clock_jumped(&mut self, jump: Jump) {
        self.jumped_at = Some(jump.at);
        for lane in self.lanes.values_mut() {
            lane.clock_jumped(jump);
        }
        for open in self.open.values_mut() {
            let waits = open
                .capture
                .as_mut()
                .and_then(|capture| capture.not_before.as_mut());
            let moments = [
                &mut open.next_read,
                &mut open.floor,
                &mut open.ask_at,
                &mut open.taken_at,
            ];
            for moment in moments
                .into_iter()
                .chain(&mut open.unfinished_at)
                .chain(waits)
            {
                *moment = jump.moved(*moment);
            }
        }
        // How old a link is cannot be told: it is read again.
        self.sources
            .retain(|_, source| matches!(source, Source::Wanted { .. } | Source::Asked));
        self.bulk.clock_jumped(jump);
        self.doubts.clock_jumped(jump);
        self.money.clock_jumped();
        self.notice_writes();
    }

    /// When a report counts as brought: not before the last jump of the clock, and not after now.
    pub(crate) fn heard_at(&self, report: &Report) -> Timestamp {
        let at = report.at.min(self.seen);
        self.jumped_at.map_or(at, |jumped| at.max(jumped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Set {
        wall: AtomicI64,
        steady: AtomicU64,
    }

    impl Set {
        fn goes_on(&self, wall: i64, steady: u64) {
            self.wall.fetch_add(wall, Ordering::Relaxed);
            self.steady.fetch_add(steady, Ordering::Relaxed);
        }
    }

    impl Clock for Set {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
        }

        fn steady(&self) -> Duration {
            Duration::from_millis(self.steady.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_jump_is_seen_once_in_both_directions_and_a_small_correction_is_none() {
        let (clock, mut watch) = (Set::default(), ClockWatch::default());
        clock.goes_on(10_000_000, 500);
        assert_eq!(watch.look(&clock), None);
        clock.goes_on(60_500, 60_000);
        assert_eq!(watch.look(&clock), None);
        for by in [3_600_000, -3_600_000, 1_001] {
            clock.goes_on(5_000 + by, 5_000);
            let at = clock.now();
            assert_eq!(watch.look(&clock), Some(Jump { at, by }));
            assert_eq!(watch.look(&clock), None);
        }
    }

    #[test]
    fn the_machine_s_steady_clock_goes_forward() {
        let first = SystemClock.steady();
        assert!(SystemClock.steady() >= first);
    }
}
