//! How long open work takes: arithmetic over request windows, learned lengths, and how many requests a job
//! takes. The planner in virtual time is what it is measured against (`bench`).
//!
//! Work flows at the rate of the narrowest place: the rolling windows, the jobs that may be with the provider
//! at once, and in each calendar day what its requests and its quota leave. Behind the last submit comes the
//! length of the last jobs. Bursts within a window and the order of jobs are left out: they are seconds.
//!
//! What is not here: who the work belongs to, what it costs, and what holds it back for good.

use std::time::Duration;

use crate::{Curve, Shape, Timestamp, Window};

/// A window, and what of its present period is used already (calendar windows only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// The window, as it is followed now.
    pub window: Window,
    /// Requests since its period began.
    pub used: u32,
}

/// What holds the work of a key back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Narrows {
    /// The windows of paid POSTs.
    pub submits: Vec<Used>,
    /// The windows of all other requests; `None`: they take from those of the submits.
    pub reads: Option<Vec<Used>>,
    /// Jobs of a period, beside all requests.
    pub quota: Option<Used>,
    /// From the moment in which a request leaves to that of its answer.
    pub answer: Duration,
}

/// Work that can end.
#[derive(Debug, Clone)]
pub struct Load {
    /// Jobs that wait to be submitted.
    pub pending: u64,
    /// Jobs that the provider has.
    pub running: u64,
    /// Nothing is submitted for so long.
    pub rests: Duration,
    /// The last job may not be submitted sooner than this after now.
    pub last_after: Duration,
    /// Paid POSTs for each job: one over the size of a batch.
    pub submits_each: f64,
    /// Other requests for each job.
    pub reads_each: f64,
    /// How long jobs take at the provider.
    pub lengths: Curve,
    /// How long those have lasted that it has, as far as that is known.
    pub lasted: Vec<Lasted>,
    /// How late the end of a job is known while requests are short.
    pub late: Duration,
    /// How late it is known at the end of the work, when there are enough.
    pub last_late: Duration,
    /// Jobs that may be with the provider at once.
    pub most_running: u64,
}

/// A job that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasted {
    /// At this age it was not done.
    pub seen: Duration,
    /// So old it is now.
    pub age: Duration,
}

/// Which of the possible ends is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Luck {
    /// The last jobs are short ones.
    Good,
    /// As is likely.
    Usual,
    /// One of the last jobs is among the longest.
    Bad,
}

/// After how long this work is over, counted from `now`; `None`: never, or nobody can say.
#[must_use]
pub fn finishes_after(
    load: &Load,
    narrows: &Narrows,
    luck: Luck,
    now: Timestamp,
) -> Option<Duration> {
    if load.pending == 0 && load.running == 0 {
        return Some(Duration::ZERO);
    }
    let submits = |reads_each| Load {
        reads_each,
        ..load.clone()
    };
    let Some(reads) = &narrows.reads else {
        let (flow, submitted) = submitted_after(load, narrows, now)?;
        return Some(submitted.saturating_add(flow.last(load, narrows, luck)));
    };
    // Two queues: the jobs become done while they wait to be asked about.
    let (flow, submitted) = submitted_after(&submits(0.0), narrows, now)?;
    let done = submitted.saturating_add(flow.last(load, narrows, luck));
    let asks = Load {
        submits_each: 0.0,
        most_running: u64::MAX,
        ..load.clone()
    };
    let turns = Narrows {
        submits: reads.clone(),
        quota: None,
        ..narrows.clone()
    };
    let (_, asked) = submitted_after(&asks, &turns, now)?;
    // Nobody is asked about before the first are likely to be done.
    let first = if load.running == 0 {
        load.lengths.mean() / 2
    } else {
        Duration::ZERO
    };
    Some(done.max(asked.saturating_add(first)))
}

/// How the work flows, and when the last of it is through.
fn submitted_after(load: &Load, narrows: &Narrows, now: Timestamp) -> Option<(Flow, Duration)> {
    let flow = Flow::of(load, narrows);
    let through = span(flow.submitted_after(load, narrows, now)?)?;
    let submitted = through.saturating_add(load.rests).max(load.last_after);
    Some((flow, submitted))
}

/// Rates, by the second.
struct Flow {
    /// Requests of the narrowest group.
    requests: f64,
    /// Jobs.
    jobs: f64,
    /// Requests that may leave at once after a quiet window.
    burst: f64,
}

fn rolling(windows: &[Used]) -> impl Iterator<Item = &Window> {
    let windows = windows.iter().map(|used| &used.window);
    windows.filter(|window| window.shape == Shape::Rolling)
}

fn calendar(windows: &[Used]) -> impl Iterator<Item = &Used> {
    let is_calendar = |used: &&Used| used.window.shape == Shape::Calendar;
    windows.iter().filter(is_calendar)
}

/// A place in a window is held until one window after the answer.
fn rate(windows: &[Used], answer: Duration) -> f64 {
    let rates = rolling(windows).map(|window| {
        let held = (window.length + answer).as_secs_f64().max(1e-6);
        f64::from(window.limit) / held
    });
    rates.fold(f64::INFINITY, f64::min)
}

impl Luck {
    /// How likely the last of several jobs is done by then; and the share of lengths beyond which none is
    /// thought of: what takes longer than all but a few is seen too rarely to be known, and most providers
    /// end such jobs.
    fn odds(self) -> (f64, f64) {
        match self {
            Self::Good => (0.1, 0.95),
            Self::Usual => (0.5, 0.99),
            Self::Bad => (0.95, 1.0),
        }
    }
}

impl Flow {
    fn of(load: &Load, narrows: &Narrows) -> Self {
        let requests = rate(&narrows.submits, narrows.answer);
        let each = (load.submits_each + load.reads_each).max(1e-6);
        let stays = load.lengths.mean() + load.late + narrows.answer;
        let at_once = load.most_running.max(1) as f64 / stays.as_secs_f64().max(1e-6);
        let shortest = rolling(&narrows.submits).map(|window| window.limit).min();
        Self {
            requests,
            jobs: (requests / each).min(at_once),
            burst: f64::from(shortest.unwrap_or_default()) / 2.0,
        }
    }

    /// Seconds until the last of the jobs is through, from the end of the rests on.
    fn submitted_after(&self, load: &Load, narrows: &Narrows, now: Timestamp) -> Option<f64> {
        let (pending, reads) = (load.pending as f64, load.reads_each);
        // What runs already is asked about as well: whoever is asked about once has that before it.
        let before = load.running as f64 * (reads + reads.min(1.0)) / 2.0;
        let before = ((before - self.burst) / self.requests).max(0.0);
        let each = load.submits_each + reads;
        let quota = narrows.quota.iter().map(|used| Period::of(used, 1.0));
        let requests = calendar(&narrows.submits).map(|used| Period::of(used, each));
        let periods: Vec<Period> = quota.chain(requests).collect();
        // So few that they leave as a burst.
        if pending * each <= self.burst && periods.iter().all(|period| pending <= period.now) {
            return Some(before);
        }
        Some(before + self.through(pending, &periods, now)?)
    }

    /// Seconds until so many jobs are through, over as many periods as that takes.
    fn through(&self, jobs: f64, periods: &[Period], now: Timestamp) -> Option<f64> {
        let seconds = |jobs: f64| {
            if self.jobs.is_finite() {
                jobs / self.jobs
            } else {
                0.0
            }
        };
        let Some(length) = periods.iter().map(|period| period.length).max() else {
            return Some(seconds(jobs));
        };
        let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
        let gone = now.as_millis().rem_euclid(millis) as f64 / 1_000.0;
        let length = length.as_secs_f64();
        let least = |cap: fn(&Period) -> f64| periods.iter().map(cap).fold(f64::INFINITY, f64::min);
        let left = (length - gone).max(0.0);
        let today = least(|period| period.now).min((self.jobs * left).floor());
        if jobs <= today {
            return Some(seconds(jobs));
        }
        let each = least(|period| period.each).min((self.jobs * length).floor());
        let rest = jobs - today.max(0.0);
        if each < 1.0 {
            return None;
        }
        let whole = (rest / each).ceil() - 1.0;
        Some(left + whole * length + seconds(rest - whole * each))
    }

    /// From the last submit to the moment in which its end is known.
    fn last(&self, load: &Load, narrows: &Narrows, luck: Luck) -> Duration {
        let mean = load.lengths.mean().as_secs_f64();
        let together = if load.pending == 0 {
            load.running as f64
        } else {
            (load.pending as f64).min((self.jobs * mean).max(1.0))
        };
        // The longest of several is rarely a short one.
        let usual = (together / (together + 1.0)).clamp(0.5, 0.9);
        let share = match luck {
            Luck::Good => usual - 0.3,
            Luck::Usual => usual,
            Luck::Bad => 0.99,
        };
        let length = load.lengths.age_at(share);
        let left = match luck {
            _ if load.pending == 0 && !load.lasted.is_empty() => {
                all_done_after(&load.lasted, &load.lengths, luck)
            }
            // Jobs that run already are somewhere in the middle.
            Luck::Good if load.pending == 0 => Duration::ZERO,
            Luck::Usual if load.pending == 0 => length / 2,
            _ => length,
        };
        left + load.last_late + narrows.answer * 2
    }
}

/// How long it takes until all of these are done, each by what is left of its length.
fn all_done_after(lasted: &[Lasted], lengths: &Curve, luck: Luck) -> Duration {
    let (odds, whole) = luck.odds();
    let done_by = |age: Duration| (lengths.done_by(age) / whole).min(1.0);
    let likely = |left: Duration| -> f64 {
        let done = lasted.iter().map(|job| {
            let seen = done_by(job.seen).min(1.0 - 1e-9);
            (done_by(job.age + left) - seen) / (1.0 - seen)
        });
        done.product()
    };
    // To a thousandth of the longest that any of them takes.
    let (mut short, mut long) = (Duration::ZERO, lengths.age_at(1.0));
    while long > short + long / 1_000 {
        let middle = (short + long) / 2;
        if likely(middle) < odds {
            short = middle;
        } else {
            long = middle;
        }
    }
    long
}

/// A calendar window in jobs.
struct Period {
    length: Duration,
    /// Jobs that the present period still lets through.
    now: f64,
    /// Jobs of a whole one.
    each: f64,
}

impl Period {
    fn of(used: &Used, requests_each: f64) -> Self {
        let limit = f64::from(used.window.limit);
        let jobs = |requests: f64| (requests / requests_each.max(1e-6)).floor();
        Self {
            length: used.window.length,
            now: jobs((limit - f64::from(used.used)).max(0.0)),
            each: jobs(limit),
        }
    }
}

/// A thousand years are for ever.
fn span(seconds: f64) -> Option<Duration> {
    let is_sane = seconds.is_finite() && seconds < 3.2e10;
    is_sane.then(|| Duration::from_secs_f64(seconds.max(0.0)))
}

/// By how much the real one was longer than what was said, in whole percent, rounded; below zero: shorter.
#[must_use]
pub fn off_by_percent(said: Duration, took: Duration) -> i64 {
    let millis = |span: Duration| i128::try_from(span.as_millis()).unwrap_or(i128::MAX / 400);
    let (said, took) = (millis(said).max(1), millis(took));
    // Half a percent more, and then down.
    let rounded = ((took - said) * 200 + said).div_euclid(said * 2);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Lengths;

    const MINUTE: Duration = Duration::from_secs(60);
    const DAY: Duration = Duration::from_secs(86_400);

    fn load(pending: u64, reads_each: f64) -> Load {
        Load {
            pending,
            running: 0,
            rests: Duration::ZERO,
            last_after: Duration::ZERO,
            submits_each: 1.0,
            reads_each,
            lengths: Lengths::expecting(Duration::from_secs(30)).curve(),
            lasted: Vec::new(),
            late: Duration::from_secs(15),
            last_late: Duration::from_secs(5),
            most_running: 1_000,
        }
    }

    fn shared(limit: u32) -> Narrows {
        let window = Window::rolling(limit, MINUTE);
        Narrows {
            submits: vec![Used { window, used: 0 }],
            ..Narrows::default()
        }
    }

    fn minutes(load: &Load, narrows: &Narrows) -> f64 {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let after = finishes_after(load, narrows, Luck::Usual, now).unwrap();
        after.as_secs_f64() / 60.0
    }

    #[test]
    fn a_shared_window_is_divided_by_the_requests_of_a_job() {
        // 1,000 jobs of two requests each at 15 a minute: 133 minutes, and the last one's length.
        let took = minutes(&load(1_000, 1.0), &shared(15));
        assert!((133.4..135.5).contains(&took), "{took}");
        assert_eq!(minutes(&load(0, 1.0), &shared(15)), 0.0);
        let one = minutes(&load(1, 1.25), &shared(15)) * 60.0;
        assert!((30.0..60.0).contains(&one), "{one}");
    }

    #[test]
    fn the_narrowest_place_counts() {
        let window = |limit| {
            vec![Used {
                window: Window::rolling(limit, MINUTE),
                used: 0,
            }]
        };
        let apart = Narrows {
            submits: window(100),
            reads: Some(window(300)),
            ..Narrows::default()
        };
        let batches = |reads_each| Load {
            submits_each: 1.0 / 50.0,
            most_running: u64::MAX,
            ..load(15_000, reads_each)
        };
        // Of the submits, then of the reads, then of what may run at once.
        assert!((3.0..5.0).contains(&minutes(&batches(0.01), &apart)));
        assert!((50.0..52.0).contains(&minutes(&batches(1.0), &apart)));
        let few = Load {
            most_running: 10,
            ..batches(0.01)
        };
        // Ten at once, each there for its mean of about 38 s and 15 s more.
        let took = minutes(&few, &apart);
        assert!((1_200.0..1_400.0).contains(&took), "{took}");
    }

    #[test]
    fn days_are_counted_from_what_is_left_of_today() {
        let window = Window::calendar(3, DAY);
        let quota = |used| Narrows {
            quota: Some(Used { window, used }),
            ..shared(10)
        };
        let days = |pending, used| minutes(&load(pending, 1.0), &quota(used)) / 1_440.0;
        assert!(days(3, 0) < 0.01);
        // At noon: half a day, and then from midnight on.
        assert!((0.5..0.51).contains(&days(3, 1)));
        assert!((2.5..2.51).contains(&days(10, 0)));
        assert!((2.5..2.51).contains(&days(9, 2)));
        // The day's requests bind before its quota does.
        let requests = Used {
            window: Window::calendar(100, DAY),
            used: 80,
        };
        let mut both = quota(0);
        both.submits.push(requests);
        let long = load(3, 49.0);
        assert!((1.5..1.51).contains(&(minutes(&long, &both) / 1_440.0)));
        both.submits.clear();
        both.submits.push(Used {
            window: Window::calendar(40, DAY),
            used: 0,
        });
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        assert_eq!(finishes_after(&long, &both, Luck::Usual, now), None);
    }

    #[test]
    fn rests_and_later_rows_move_the_end() {
        let hour = Duration::from_secs(3_600);
        let rests = Load {
            rests: hour,
            ..load(10, 1.0)
        };
        assert!((60.0..63.0).contains(&minutes(&rests, &shared(15))));
        let later = Load {
            last_after: hour,
            ..load(10, 1.0)
        };
        assert!((60.0..63.0).contains(&minutes(&later, &shared(15))));
    }

    #[test]
    fn luck_is_a_range_around_the_usual() {
        let now = Timestamp::default();
        for pending in [0, 1, 20, 1_000] {
            let work = Load {
                running: 3,
                ..load(pending, 1.2)
            };
            let [good, usual, bad] = [Luck::Good, Luck::Usual, Luck::Bad]
                .map(|luck| finishes_after(&work, &shared(15), luck, now).unwrap());
            assert!(good < usual && usual < bad, "{good:?} {usual:?} {bad:?}");
        }
    }

    #[test]
    fn what_runs_ends_when_the_last_of_it_does_by_what_is_left_of_its_length() {
        let now = Timestamp::default();
        let running = |lasted: Vec<(u64, u64)>, luck| {
            let lasted = lasted.into_iter().map(|(seen, age)| Lasted {
                seen: Duration::from_secs(seen),
                age: Duration::from_secs(age),
            });
            let lasted: Vec<Lasted> = lasted.collect();
            let work = Load {
                running: lasted.len() as u64,
                lasted,
                last_late: Duration::ZERO,
                ..load(0, 0.0)
            };
            let after = finishes_after(&work, &shared(15), luck, now).unwrap();
            after.as_secs_f64()
        };
        // Lengths are thought to lie around 30 s.
        let fresh = running(vec![(0, 0)], Luck::Usual);
        assert!((28.0..32.0).contains(&fresh), "{fresh}");
        let later = running(vec![(10, 10)], Luck::Usual);
        assert!((18.0..fresh - 5.0).contains(&later), "{later}");
        // Nobody has asked for long: it is as good as over.
        let unheard = running(vec![(10, 300)], Luck::Usual);
        assert!(unheard < 1.0, "{unheard}");
        let many = running(vec![(10, 10); 100], Luck::Usual);
        assert!(many > later * 2.0, "{many}");
        let (good, bad) = (
            running(vec![(10, 10); 100], Luck::Good),
            running(vec![(10, 10); 100], Luck::Bad),
        );
        assert!(good < many && many < bad, "{good} {many} {bad}");
    }

    #[test]
    fn a_forecast_is_compared_in_percent() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for (said, took, percent) in [(160, 172, 8), (100, 90, -10), (10, 10, 0), (10, 30, 200)] {
            assert_eq!(off_by_percent(minutes(said), minutes(took)), percent);
        }
    }
}
