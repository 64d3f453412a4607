//! The world of a history: virtual time, the sandbox's model as the provider, a database, and
//! processes that die and start again. Built by [`Builder`], played to its end by
//! [`Builder::play`]; what is left is a [`Summary`].
//!
//! ```text
//!  process ──acts──> timetable ──Arrive──> provider (the sandbox's model, in the world's time)
//!     ^                  │
//!     └─────reports──────┴──Deliver        outside: rows, commands, the provider's people
//! ```
//!
//! A scenario names its own rows, accounts, provider's options and happenings, and leaves the rest:
//!
//! ```text
//! World::of(seed)
//!     .rows(rows::some(3, 0, 0))
//!     .faults(Faults::none())
//!     .options(|options| options.jakov.batch_limit = 1)
//!     .accounts(|accounts| accounts[0].policy.batch_size = 50)
//!     .at(Duration::from_secs(60), Outside::Command(job, "cancel", None))
//!     .play(Chances::none())
//! ```

mod fate;
mod fleet;
mod hooks;
mod play;
mod process;
mod timetable;
pub(crate) mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use domain::{JobId, Provider, Timestamp};
use engine::{Account, FlightId};
use sandbox::{Options, Sandbox};
use store::{LaneKey, NewJob, Store};

use crate::accounts::{BASE, accounts};
use crate::database::Database;
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use fate::Fate;
use process::Process;
use timetable::{Coming, Timetable};

/// When every history begins.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// Longer than any deadline: a history that is not over by then hangs.
const END: Duration = Duration::from_secs(3 * 86_400);

/// Something that is done to the provider, at a moment of its clock (Unix milliseconds).
pub(crate) type AtProvider = Box<dyn FnOnce(&mut Sandbox, i64)>;

/// Something that neither a process nor a request brings about.
pub(crate) enum Outside {
    /// Another program inserts rows.
    Insert(Vec<NewJob>),
    /// A person, or another program, commands: the job, the command, its value.
    Command(JobId, &'static str, Option<&'static str>),
    /// The same about an account.
    AccountCommand(&'static str, &'static str, Option<&'static str>),
    /// Something happens at the provider.
    Provider(AtProvider),
    /// The wall clock of our machines jumps by so many milliseconds; the provider's does not.
    ClockStep(i64),
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert(rows) => write!(f, "insert {} rows", rows.len()),
            Self::Command(job, command, value) => write!(f, "{command} {value:?} of {job}"),
            Self::AccountCommand(account, command, value) => {
                write!(f, "{command} {value:?} of {account}")
            }
            Self::Provider(_) => write!(f, "something at the provider"),
            Self::ClockStep(millis) => write!(f, "the clock steps by {millis} ms"),
        }
    }
}

type Change<T> = Box<dyn FnOnce(&mut T)>;

/// Changes an answer, at a moment of the provider's clock (Unix milliseconds).
type Twist = Box<dyn Fn(&mut http::Response<bytes::Bytes>, i64)>;

/// The way between us and the providers.
struct Way {
    /// How long it takes, in milliseconds.
    takes: std::ops::Range<u64>,
    /// Every read of the image with this prompt is answered 500.
    unreadable: Option<&'static str>,
    /// What becomes of each answer 429.
    too_many_says: Option<Twist>,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a way of {:?} ms", self.takes)
    }
}

/// What a history begins with.
pub(crate) struct Builder {
    seed: u64,
    rows: Vec<NewJob>,
    faults: Faults,
    options: Vec<Change<Options>>,
    accounts: Vec<Change<Vec<Account>>>,
    happenings: Vec<(Duration, Outside)>,
    end: Duration,
    start: Timestamp,
    processes: usize,
    url: Option<String>,
    rings: bool,
    believed: bool,
    way: Way,
}

impl Builder {
    /// Each way takes so many milliseconds, from nothing up to this, where it is not 5 to 400.
    pub(crate) fn wire(mut self, most: u64) -> Self {
        self.way.takes = 0..most;
        self
    }

    /// Each answer 429 says this.
    pub(crate) fn too_many_says(
        mut self,
        says: impl Fn(&mut http::Response<bytes::Bytes>, i64) + 'static,
    ) -> Self {
        self.way.too_many_says = Some(Box::new(says));
        self
    }

    /// So many processes over one database, where it is not one.
    pub(crate) fn processes(self, processes: usize) -> Self {
        Self { processes, ..self }
    }

    /// Every read of the image with this prompt is answered 500.
    pub(crate) fn unreadable(mut self, prompt: &'static str) -> Self {
        self.way.unreadable = Some(prompt);
        self
    }

    /// Another beginning than [`START`].
    pub(crate) fn start(self, start: Timestamp) -> Self {
        Self { start, ..self }
    }

    /// An empty database of the caller's, instead of a SQLite file.
    pub(crate) fn database(self, url: &str) -> Self {
        let url = Some(url.to_owned());
        Self { url, ..self }
    }

    /// Other rows than the small mixed run.
    pub(crate) fn rows(self, rows: Vec<NewJob>) -> Self {
        Self { rows, ..self }
    }

    /// What the provider does wrong.
    pub(crate) fn faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Changes the provider, after seed and faults have.
    pub(crate) fn options(mut self, change: impl FnOnce(&mut Options) + 'static) -> Self {
        self.options.push(Box::new(change));
        self
    }

    /// Changes the accounts: texts, shots and films, in this order.
    pub(crate) fn accounts(mut self, change: impl FnOnce(&mut Vec<Account>) + 'static) -> Self {
        self.accounts.push(Box::new(change));
        self
    }

    /// Something from outside, so long after the start.
    pub(crate) fn at(mut self, after: Duration, what: Outside) -> Self {
        self.happenings.push((after, what));
        self
    }

    /// The providers call our webhooks.
    pub(crate) fn webhooks(mut self) -> Self {
        self.rings = true;
        self.options(|options| {
            let url = || Some("http://vitrine.test/hooks".to_owned());
            options.jakov.webhook_url = url();
            options.productai.webhook_url = url();
            options.jarai.webhook_url = url();
        })
    }

    /// The providers call our webhooks with the account's secret, and ProductAI's word is enough, too.
    pub(crate) fn believed(mut self) -> Self {
        self.believed = true;
        let builder = self.webhooks();
        builder.accounts(|accounts| {
            for account in accounts {
                account.policy.webhook_trust = engine::WebhookTrust::Token;
            }
        })
    }

    /// How long a history may last; three days where nobody says.
    pub(crate) fn end(self, end: Duration) -> Self {
        Self { end, ..self }
    }

    /// Plays the history to its end: nothing is left that goes on by itself, or the time is over.
    pub(crate) fn play(self, chances: Chances) -> Summary {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = self.open(chances).await;
            world.play().await;
            Summary::of(world).await
        })
    }

    async fn open(self, chances: Chances) -> World {
        let seed = self.seed;
        let mut options = if self.faults.shapes {
            Options::from_seed(seed)
        } else {
            Options {
                seed,
                ..Options::default()
            }
        };
        options.faults = self.faults.plan;
        if self.faults.never_released {
            options.jarai.approval = sandbox::Approval::Never;
        }
        BASE.clone_into(&mut options.base_url);
        for change in self.options {
            change(&mut options);
        }
        let mut accounts = accounts(&options);
        for change in self.accounts {
            change(&mut accounts);
        }
        let secrets = secrets(&options);
        let lanes = lanes_of(&accounts);
        let database = Database::open(self.url).await;
        database.store.insert_jobs(&self.rows).await.unwrap();
        let mut timetable = Timetable::default();
        for (after, what) in self.happenings {
            timetable.add(self.start + after, Coming::Outside(what));
        }
        World {
            seed,
            shapes: self.faults.shapes,
            never_released: self.faults.never_released,
            now: self.start,
            end: self.start + self.end,
            wall_offset: 0,
            rings: self.rings,
            believed: self.believed,
            way: self.way,
            rng: fastrand::Rng::with_seed(seed),
            fate: Fate::new(seed, chances),
            provider: Sandbox::new(options),
            accounts,
            lanes,
            store: database.store,
            url: database.url,
            _folder: database.folder,
            inserted: self.rows.len() as u64,
            timetable,
            processes: (0..self.processes as u64)
                .map(|life| Process::new(life, self.start))
                .collect(),
            lives: self.processes as u64,
            locks: BTreeMap::new(),
            beats: BTreeMap::new(),
            crashes: BTreeMap::new(),
            sometimes: BTreeMap::new(),
            last_fault: self.start,
            unanswered: 0,
            stored: BTreeMap::new(),
            accepted_and_heard: BTreeSet::new(),
            secrets,
            history: Vec::new(),
            ticks: 0,
        }
    }
}

/// The lanes of these accounts, each once.
fn lanes_of(accounts: &[Account]) -> Vec<(LaneKey, Provider)> {
    let named = accounts.iter().map(|it| (it.lane.clone(), it.provider));
    let mut lanes: Vec<_> = named.collect();
    lanes.sort();
    lanes.dedup();
    lanes
}

/// What must be in no table: the keys, and what the signed part of a link begins with.
fn secrets(options: &Options) -> Vec<String> {
    vec![
        options.jakov.api_key.clone(),
        options.productai.api_key.clone(),
        options.jarai.api_key.clone(),
        "sig=".to_owned(),
    ]
}

/// All there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) shapes: bool,
    pub(crate) never_released: bool,
    /// True time, which is the provider's.
    pub(crate) now: Timestamp,
    end: Timestamp,
    /// How far our wall clock is off, in milliseconds.
    wall_offset: i64,
    rings: bool,
    believed: bool,
    way: Way,
    rng: fastrand::Rng,
    fate: Fate,
    pub(crate) provider: Sandbox,
    accounts: Vec<Account>,
    lanes: Vec<(LaneKey, Provider)>,
    pub(crate) store: Store,
    pub(crate) url: String,
    /// The database's; it goes with the world.
    _folder: Option<tempfile::TempDir>,
    /// Rows that other programs inserted.
    pub(crate) inserted: u64,
    timetable: Timetable,
    processes: Vec<Process>,
    /// Starts of processes so far.
    lives: u64,
    /// Which life has which lane, where there are several processes.
    locks: BTreeMap<LaneKey, u64>,
    /// When each life last showed a sign of it.
    beats: BTreeMap<u64, Timestamp>,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    /// What happened in this history and does not happen in each.
    pub(crate) sometimes: BTreeMap<&'static str, u64>,
    /// When the last crash, freeze or jump of the clock was over.
    pub(crate) last_fault: Timestamp,
    /// Requests that got no answer although nobody died.
    pub(crate) unanswered: u64,
    /// Files in our storage, with their hashes.
    pub(crate) stored: BTreeMap<String, String>,
    /// Submits whose acceptance a process heard, and lived to write down.
    pub(crate) accepted_and_heard: BTreeSet<FlightId>,
    /// Keys, and what signs links: they must be in no table.
    pub(crate) secrets: Vec<String>,
    pub(crate) history: Vec<String>,
    pub(crate) ticks: u64,
}

impl World {
    /// A world to be built.
    pub(crate) fn of(seed: u64) -> Builder {
        Builder {
            seed,
            rows: rows::mixed(),
            faults: Faults::none(),
            options: Vec::new(),
            accounts: Vec::new(),
            happenings: Vec::new(),
            end: END,
            start: START,
            processes: 1,
            url: None,
            rings: false,
            believed: false,
            way: Way {
                takes: 5..400,
                unreadable: None,
                too_many_says: None,
            },
        }
    }

    /// Points that the processes passed.
    pub(crate) fn points(&self) -> u64 {
        self.fate.points
    }

    /// Something happened that does not happen in every history.
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.sometimes.entry(what).or_default() += 1;
    }

    /// How long something takes on its way.
    fn delay(&mut self) -> Duration {
        Duration::from_millis(self.rng.u64(self.way.takes.clone()))
    }

    fn note(&mut self, line: &str) {
        self.history.push(format!("{} {line}", self.now));
    }
}
