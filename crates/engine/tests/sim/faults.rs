//! What goes wrong in a history: where a process dies or freezes, and what the provider does.

use std::collections::BTreeSet;

use sandbox::FaultPlan;

/// Where a process may die. Every effect has a place before it and one after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// It woke up, and nothing has happened yet.
    BeforeStep,
    /// The step has decided, and nothing of it is durable.
    BeforeCommit,
    /// All is durable, and the process does not learn it.
    AfterCommit,
    /// It lives, and the database failed it: nothing of the step is durable, or all.
    DatabaseTrouble,
    /// An act is handed out and not sent: the first of a step, or one after others.
    BeforeSend,
    /// An act is on its way, the next one is not.
    AfterSend,
    /// The provider has carried it out; the answer is on its way.
    Answered,
    /// An answer was read, and is not durable.
    AnswerRead,
    /// A file has its name in the storage, and no row.
    FileStored,
    /// A new process has the lanes, and nothing of what it concludes about the old one is durable.
    BeforeLoadCommit,
    /// What it concluded is durable, and it does not learn it.
    AfterLoadCommit,
}

impl Place {
    pub(crate) const ALL: [Self; 11] = [
        Self::BeforeStep,
        Self::BeforeCommit,
        Self::AfterCommit,
        Self::DatabaseTrouble,
        Self::BeforeSend,
        Self::AfterSend,
        Self::Answered,
        Self::AnswerRead,
        Self::FileStored,
        Self::BeforeLoadCommit,
        Self::AfterLoadCommit,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BeforeStep => "crash: before a step",
            Self::BeforeCommit => "crash: before the commit",
            Self::AfterCommit => "crash: after the commit",
            Self::DatabaseTrouble => "database trouble",
            Self::BeforeSend => "crash: handed out and not sent",
            Self::AfterSend => "crash: sent, the next act not",
            Self::Answered => "crash: the provider has it, no answer yet",
            Self::AnswerRead => "crash: an answer was read and not written down",
            Self::FileStored => "crash: a file is stored and has no row",
            Self::BeforeLoadCommit => "crash: in recovery, before its commit",
            Self::AfterLoadCommit => "crash: in recovery, after its commit",
        }
    }
}

/// How the processes of a history die.
#[derive(Debug, Clone)]
pub(crate) struct Chances {
    /// At each point, in thousandths.
    pub(crate) rate: u32,
    /// Half of the deaths are followed by another one a few points later, in the recovery.
    pub(crate) again: bool,
    /// No more than so many; then the history comes to its end in peace.
    pub(crate) most: u64,
    /// Besides, at these points, counted from 1.
    pub(crate) at: BTreeSet<u64>,
    /// How likely a step is followed by a freeze, in thousandths; only where there are several
    /// processes.
    pub(crate) freezes: u32,
}

impl Chances {
    pub(crate) fn none() -> Self {
        Self {
            rate: 0,
            again: false,
            most: u64::MAX,
            at: BTreeSet::new(),
            freezes: 0,
        }
    }

    /// A death every dozen ticks or so.
    pub(crate) fn crashes() -> Self {
        Self {
            rate: 15,
            again: true,
            ..Self::none()
        }
    }

    /// Exactly at these points, for a sweep.
    pub(crate) fn at(points: impl IntoIterator<Item = u64>) -> Self {
        Self {
            at: points.into_iter().collect(),
            ..Self::none()
        }
    }

    /// Anything from sparse to dense, as the seed says.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xdead);
        let rates = [2, 6, 15, 30, 60, 150];
        Self {
            rate: rates[rng.usize(..rates.len())],
            again: rng.bool(),
            most: 30,
            at: BTreeSet::new(),
            freezes: [10, 40, 80][rng.usize(..3)],
        }
    }
}

/// What the provider does wrong.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) plan: FaultPlan,
    /// Answers in a shape that the seed chooses among all that the documents allow.
    pub(crate) shapes: bool,
    /// Nobody at JARAI ever releases a production.
    pub(crate) never_released: bool,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            plan: FaultPlan::none(),
            shapes: false,
            never_released: false,
        }
    }

    pub(crate) fn never_released() -> Self {
        Self {
            never_released: true,
            ..Self::none()
        }
    }

    pub(crate) fn shapes() -> Self {
        Self {
            shapes: true,
            ..Self::none()
        }
    }

    pub(crate) fn some(seed: u64) -> Self {
        Self {
            plan: FaultPlan::from_seed(seed, 0.02),
            shapes: true,
            never_released: false,
        }
    }

    /// None, shapes alone, or a few to many faults, as the seed says.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed ^ 0xfa17);
        match rng.u32(..6) {
            0 => Self::none(),
            1 | 2 => Self::shapes(),
            3 | 4 => Self::some(seed),
            _ => Self {
                plan: FaultPlan::from_seed(seed, 0.06),
                ..Self::shapes()
            },
        }
    }
}
