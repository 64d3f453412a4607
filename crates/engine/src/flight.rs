//! What is on the wire, and what its answer is about.

use domain::{JobId, SubmissionId, Timestamp};
use store::LaneKey;

use crate::act::Wanted;
use crate::lane::Places;

/// Why a remote job is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Is it done?
    Poll,
    /// A fresh link to its file.
    Link,
}

/// Something on the wire, and what its answer is about.
#[derive(Debug, Clone)]
pub(crate) enum Flight {
    /// A paid POST.
    Submit {
        lane: LaneKey,
        account: String,
        submission: SubmissionId,
        jobs: Vec<JobId>,
        quota: Option<String>,
        /// When it left, as far as this process saw it.
        sent_at: Timestamp,
        places: Places,
    },
    /// A read of a job's state.
    Status {
        lane: LaneKey,
        account: String,
        job: JobId,
        purpose: Purpose,
        places: Places,
    },
    /// A read of a production's files.
    Deliverables {
        lane: LaneKey,
        account: String,
        job: JobId,
        places: Places,
    },
    /// A production's cancel.
    Cancel {
        lane: LaneKey,
        account: String,
        job: JobId,
        places: Places,
    },
    /// A read of the link of another job's image, to be used as a source.
    Source {
        lane: LaneKey,
        account: String,
        job: JobId,
        places: Places,
    },
    /// A read of a project's export: it tells of jobs under way, and is evidence about those in doubt.
    Export {
        lane: LaneKey,
        account: String,
        /// One of these jobs.
        job: JobId,
        project: String,
        places: Places,
    },
    /// A read of the provider's own count of credits.
    Credits {
        lane: LaneKey,
        account: String,
        places: Places,
    },
    /// A read of a remote job that no ledger row knows: whether it is one in doubt.
    Unclaimed {
        lane: LaneKey,
        account: String,
        remote_id: String,
        places: Places,
    },
    /// A download; costs no request at the provider.
    Fetch { lane: LaneKey, wanted: Wanted },
    /// A look at a source image; costs no request at the provider.
    Look { lane: LaneKey, url: String },
}

impl Flight {
    pub(crate) fn lane(&self) -> &LaneKey {
        match self {
            Self::Submit { lane, .. }
            | Self::Status { lane, .. }
            | Self::Deliverables { lane, .. }
            | Self::Cancel { lane, .. }
            | Self::Source { lane, .. }
            | Self::Export { lane, .. }
            | Self::Credits { lane, .. }
            | Self::Unclaimed { lane, .. }
            | Self::Fetch { lane, .. }
            | Self::Look { lane, .. } => lane,
        }
    }

    pub(crate) fn places(&self) -> Option<&Places> {
        match self {
            Self::Submit { places, .. }
            | Self::Status { places, .. }
            | Self::Deliverables { places, .. }
            | Self::Cancel { places, .. }
            | Self::Source { places, .. }
            | Self::Export { places, .. }
            | Self::Credits { places, .. }
            | Self::Unclaimed { places, .. } => Some(places),
            Self::Fetch { .. } | Self::Look { .. } => None,
        }
    }
}
