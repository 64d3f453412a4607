//! Many histories: what a seed stands for, how they are played over all cores, and how a failure is
//! played again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::Timestamp;
use store::planted::{self, Bug};

use crate::checks::{broken, lateness};
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::{Outside, START, World};

/// One history, in a form that fits into a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    /// Processes over one database.
    pub(crate) processes: usize,
    /// A sweep's crash points; none: the seed chooses.
    pub(crate) at: Vec<u64>,
    /// The bug that is planted.
    pub(crate) bug: Option<Bug>,
}

impl Case {
    pub(crate) fn new(seed: u64, processes: usize) -> Self {
        Self {
            seed,
            processes,
            at: Vec::new(),
            bug: None,
        }
    }

    /// The command that plays it again, with its story.
    pub(crate) fn command(&self) -> String {
        let variables: Vec<String> = self
            .variables()
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!(
            "{} cargo test --workspace --test sim -- replay --nocapture",
            variables.join(" ")
        )
    }

    /// What the command sets.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("VITRINE_SIM_SEED", self.seed.to_string()),
            ("VITRINE_SIM_PROCESSES", self.processes.to_string()),
        ];
        if !self.at.is_empty() {
            let at: Vec<String> = self.at.iter().map(u64::to_string).collect();
            variables.push(("VITRINE_SIM_AT", at.join(",")));
        }
        if let Some(bug) = self.bug {
            variables.push(("VITRINE_SIM_BUG", format!("{bug:?}")));
        }
        variables
    }

    /// The case that the environment asks for; a quiet one where it asks for none.
    pub(crate) fn of_environment() -> Self {
        let get = |name: &str| std::env::var(name).ok();
        let number = |name: &str, or: u64| get(name).map_or(or, |text| text.parse().unwrap());
        let at = get("VITRINE_SIM_AT").unwrap_or_default();
        Self {
            seed: number("VITRINE_SIM_SEED", 1),
            processes: usize::try_from(number("VITRINE_SIM_PROCESSES", 1)).unwrap(),
            at: at
                .split(',')
                .filter(|text| !text.is_empty())
                .map(|text| text.parse().unwrap())
                .collect(),
            bug: get("VITRINE_SIM_BUG").map(|name| {
                let mut all = Bug::ALL.into_iter();
                all.find(|bug| format!("{bug:?}") == name).unwrap()
            }),
        }
    }

    /// Plays it; a panic of the program under test is a broken promise too.
    pub(crate) fn play(&self) -> Played {
        planted::plant(self.bug);
        let summary = catch_unwind(AssertUnwindSafe(|| self.history()));
        planted::plant(None);
        match summary {
            Ok(summary) => Played {
                broken: self.counted(broken(&summary)),
                summary: Some(summary),
            },
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                Played {
                    broken: vec![format!("a panic: {}", text.unwrap_or_default())],
                    summary: None,
                }
            }
        }
    }

    /// Open: after a frozen owner was replaced, a job may be polled again although that owner heard its
    /// end, or a little early. It costs a request, no money and no job; the limits still count here.
    fn counted(&self, broken: Vec<String>) -> Vec<String> {
        broken
    }

    fn history(&self) -> Summary {
        if !self.at.is_empty() {
            return small(self.seed).play(Chances::at(self.at.iter().copied()));
        }
        varied(self.seed, self.processes)
    }
}

/// A history and what it broke.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) broken: Vec<String>,
    pub(crate) summary: Option<Summary>,
}

/// A small history whose every point a sweep can visit.
pub(crate) fn small(seed: u64) -> crate::world::Builder {
    World::of(seed)
        .rows(rows::some(3, 2, 1))
        .options(|options| {
            options.jarai.queued_median_ms = 5_000;
            options.jarai.producing_median_ms = 20_000;
            options.jarai.approval = sandbox::Approval::After(5_000);
            options.jarai.distributing_ms = 1_000;
        })
        .accounts(|accounts| accounts[2].polling.awaiting_approval = Duration::from_secs(10))
}

/// A history of 3 to 25 jobs; the seed chooses jobs, accounts, shapes, faults, webhooks, and how often the
/// processes die.
fn varied(seed: u64, processes: usize) -> Summary {
    let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
    let texts = rng.usize(1..15);
    let images = rng.usize(1..8);
    let videos = rng.usize(1..3);
    let batch = [1, 2, 4, 8][rng.usize(..4)];
    let most = [2, 6, 50][rng.usize(..3)];
    let short_links = rng.u8(..3) == 0;
    let poisoned = rng.u8(..3) == 0;
    let start = if rng.u8(..8) == 0 {
        // Shortly before midnight in UTC, where days are counted anew.
        let day = 86_400_000;
        let millis = START.as_millis() / day * day + day - 30_000;
        Timestamp::from_millis(millis)
    } else {
        START
    };
    let mut rows = rows::some(texts, images, videos);
    if poisoned {
        rows.insert(rng.usize(..texts), rows::poisoned_text());
    }
    // Without a draw, so that the histories of other seeds stay as they are.
    let looks = seed.is_multiple_of(4);
    let mut builder = World::of(seed)
        .rows(rows)
        .processes(processes)
        .start(start)
        .faults(Faults::from_seed(seed))
        .options(move |options| {
            options.jakov.duration_median_ms = 20_000;
            options.jakov.refused_name = Some(rows::POISON.to_owned());
            options.jarai.queued_median_ms = 5_000;
            options.jarai.producing_median_ms = 40_000;
            options.jarai.approval = sandbox::Approval::After(20_000);
            options.jarai.distributing_ms = 5_000;
            if short_links {
                // Shorter than a few downloads take to begin.
                options.jarai.sas_life_ms = 500;
                options.productai.link_life_ms = if options.productai.shape.signed_links {
                    500
                } else {
                    // These are made once.
                    options.productai.link_life_ms
                };
            }
        })
        .accounts(move |accounts| {
            for account in accounts.iter_mut() {
                account.policy.batch_size = batch;
                account.policy.max_running = most;
                account.policy.check_sources = looks;
            }
            accounts[2].polling.awaiting_approval = Duration::from_secs(30);
        });
    if rng.u8(..3) == 0 {
        let late = Duration::from_secs(rng.u64(1..120));
        let rows = (50..52).map(rows::text).collect();
        builder = builder.at(late, Outside::Insert(rows));
    }
    let builder = match rng.u8(..4) {
        0 => builder.webhooks(),
        1 => builder.believed(),
        _ => builder,
    };
    builder.play(Chances::from_seed(seed))
}

/// What many histories came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) histories: u64,
    /// Crashes and database troubles.
    pub(crate) points: u64,
    pub(crate) ticks: u64,
    pub(crate) crashes: BTreeMap<String, u64>,
    pub(crate) sometimes: BTreeMap<String, u64>,
    pub(crate) in_doubt: u64,
    pub(crate) jobs: u64,
    pub(crate) latest: Duration,
    /// Each failure, with what it broke and the command that plays it again.
    pub(crate) failures: Vec<(Case, Vec<String>)>,
}

impl Tally {
    fn add(&mut self, case: &Case, played: Played) {
        self.histories += 1;
        if let Some(summary) = played.summary {
            self.points += summary.crash_points();
            self.ticks += summary.ticks;
            self.in_doubt += summary.in_doubt() as u64;
            self.jobs += summary.jobs.len() as u64;
            self.latest = self.latest.max(lateness(&summary));
            for (what, n) in summary.crashes {
                *self.crashes.entry(what.to_owned()).or_default() += n;
            }
            for (what, n) in summary.sometimes {
                *self.sometimes.entry(what).or_default() += n;
            }
        }
        if !played.broken.is_empty() {
            self.failures.push((case.clone(), played.broken));
        }
    }

    /// What a person wants to read of it.
    pub(crate) fn print(&self) {
        println!(
            "{} crash points over {} histories and {} ticks; {} jobs, {} of them in doubt at the end; \
             settled at most {:?} after the last fault",
            self.points, self.histories, self.ticks, self.jobs, self.in_doubt, self.latest
        );
        for (what, n) in self.crashes.iter().chain(&self.sometimes) {
            println!("{n:>9}  {what}");
        }
        for (case, broken) in &self.failures {
            println!(
                "\nFAILED {case:?}: {broken:#?}\nplay it again: {}",
                case.command()
            );
        }
    }
}

/// Plays the cases of `seeds` over all cores until there are so many crash points, or failures enough.
pub(crate) fn hunt(first: u64, until: u64, case: impl Fn(u64) -> Case + Sync) -> Tally {
    const ENOUGH: usize = 5;
    let next = AtomicU64::new(first);
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let case = case(next.fetch_add(1, Ordering::Relaxed));
                    let played = case.play();
                    let mut tally = tally.lock().unwrap();
                    tally.add(&case, played);
                    if tally.points >= until || tally.failures.len() >= ENOUGH {
                        return;
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}
