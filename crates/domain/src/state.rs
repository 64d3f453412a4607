//! Where a job stands. The data of a state lives inside its variant, so that a row that cannot be
//! (running without a remote id, submitting without a submission) cannot be built either.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Names one paid POST: the ledger row that was durable before its first byte left.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubmissionId(pub String);

impl fmt::Display for SubmissionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A job at its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The submission that the provider accepted.
    pub submission: SubmissionId,
    /// The provider's id of the job.
    pub id: String,
    /// The provider's own word for where the job stands, as last read.
    pub status: Option<String>,
}

/// The word in the `status` column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waits to be submitted.
    Pending,
    /// The intent is durable; bytes may be on their way.
    Submitting,
    /// Sent, outcome unknown.
    InDoubt,
    /// The remote id is durable.
    Running,
    /// The provider is done, and files are coming home.
    Capturing,
    /// Every byte and every row of the result is durable here.
    Completed,
    /// Ended without a result; the error columns say why.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl Status {
    /// All states, in the order of a job's life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Submitting,
        Self::InDoubt,
        Self::Running,
        Self::Capturing,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word used in SQL, CLI, HTTP and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Submitting => "submitting",
            Self::InDoubt => "in_doubt",
            Self::Running => "running",
            Self::Capturing => "capturing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether a job stays here unless a person acts.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus(text.to_owned()))
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no status: write pending, submitting, in_doubt, running, capturing, completed, failed or cancelled"
)]
pub struct UnknownStatus(pub String);

/// A code for programs and one sentence for people: why a job failed, or what it waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Stable, snake case; the `error_code` column.
    pub code: String,
    /// One readable sentence; the `error_message` column.
    pub message: String,
}

impl Fault {
    /// A fault of this code and sentence.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// Where a job stands, with what must be known there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Waits to be submitted; `waits` says for what, if not just for its turn.
    Pending {
        /// What it waits for, or why it is here again.
        waits: Option<Fault>,
    },
    /// A submission is durable, and its answer has not been read.
    Submitting {
        /// The open submission.
        submission: SubmissionId,
    },
    /// A submission was sent, and whether it was accepted is unknown.
    InDoubt {
        /// The submission of unknown outcome.
        submission: SubmissionId,
        /// Why the outcome is unknown.
        why: Fault,
    },
    /// The provider accepted and works.
    Running {
        /// The job at the provider.
        remote: Remote,
    },
    /// The provider is done; the result is coming home.
    Capturing {
        /// The job at the provider.
        remote: Remote,
        /// What went wrong at the last try, if something did.
        trouble: Option<Fault>,
    },
    /// The whole result is in our storage.
    Completed {
        /// The job at the provider.
        remote: Remote,
    },
    /// Over without a result.
    Failed {
        /// Why.
        fault: Fault,
        /// The job at the provider, if it ever was there.
        remote: Option<Remote>,
    },
    /// Over because somebody asked for it.
    Cancelled {
        /// The job at the provider, if it ever was there.
        remote: Option<Remote>,
    },
}

impl JobState {
    /// The word of this state.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Pending { .. } => Status::Pending,
            Self::Submitting { .. } => Status::Submitting,
            Self::InDoubt { .. } => Status::InDoubt,
            Self::Running { .. } => Status::Running,
            Self::Capturing { .. } => Status::Capturing,
            Self::Completed { .. } => Status::Completed,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// The job at the provider, where there is one.
    #[must_use]
    pub fn remote(&self) -> Option<&Remote> {
        match self {
            Self::Pending { .. } | Self::Submitting { .. } | Self::InDoubt { .. } => None,
            Self::Running { remote }
            | Self::Capturing { remote, .. }
            | Self::Completed { remote } => Some(remote),
            Self::Failed { remote, .. } | Self::Cancelled { remote } => remote.as_ref(),
        }
    }

    /// The submission that this state rests on.
    #[must_use]
    pub fn submission(&self) -> Option<&SubmissionId> {
        match self {
            Self::Submitting { submission } | Self::InDoubt { submission, .. } => Some(submission),
            Self::Pending { .. }
            | Self::Running { .. }
            | Self::Capturing { .. }
            | Self::Completed { .. }
            | Self::Failed { .. }
            | Self::Cancelled { .. } => self.remote().map(|remote| &remote.submission),
        }
    }

    /// What the error columns say in this state.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Pending { waits } => waits.as_ref(),
            Self::InDoubt { why, .. } => Some(why),
            Self::Capturing { trouble, .. } => trouble.as_ref(),
            Self::Failed { fault, .. } => Some(fault),
            Self::Submitting { .. }
            | Self::Running { .. }
            | Self::Completed { .. }
            | Self::Cancelled { .. } => None,
        }
    }
}

/// A wish to end a job that could not be granted at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cancel {
    /// End it where that costs nothing, or where the provider can cancel.
    Asked,
    /// End it here even if the provider goes on and charges.
    Abandon,
}

/// What the worker knows of a job: its state and what outlives a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Where the job stands.
    pub state: JobState,
    /// How many submissions counted; waiting spends none.
    pub attempt: u32,
    /// How many attempts the row allows.
    pub max_attempts: u32,
    /// A remembered wish to end the job.
    pub cancel: Option<Cancel>,
    /// What it cost, in the provider's unit; `None` where the price is unknown.
    pub credits: Option<i64>,
    /// When the submission that counts was made durable.
    pub submitted_at: Option<Timestamp>,
    /// When the job became terminal.
    pub completed_at: Option<Timestamp>,
}

impl Work {
    /// A job as a plain INSERT leaves it.
    #[must_use]
    pub fn fresh(max_attempts: u32) -> Self {
        Self {
            state: JobState::Pending { waits: None },
            attempt: 0,
            max_attempts,
            cancel: None,
            credits: None,
            submitted_at: None,
            completed_at: None,
        }
    }

    /// The word of its state.
    #[must_use]
    pub fn status(&self) -> Status {
        self.state.status()
    }
}
