//! What passes between the planner and the hands: acts go out, reports come back.

use std::collections::BTreeMap;

use domain::{JobId, SubmissionId, Timestamp};
use providers::fetch::{Look, Shape};
use providers::{Call, Reply, SignedUrl};

/// Names one thing that the hands do: the id of its row in the ledger of requests, or of a download.
pub type FlightId = String;

/// A file that is to come home.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose.
    pub job: JobId,
    /// Of which submission.
    pub submission: SubmissionId,
    /// What the provider calls it.
    pub kind: String,
    /// Which of this kind, from 0.
    pub ordinal: usize,
    /// Where it lies; a secret that dies, never stored.
    pub url: SignedUrl,
    /// Hash of the link without its query: whether the provider's list has changed.
    pub source_hash: String,
    /// Length and hash, where the provider gave them.
    pub bytes: Option<u64>,
    /// SHA-256 in hex, where the provider gave it.
    pub sha256: Option<String>,
}

impl Wanted {
    /// Names the file among those of its job: type, ordinal, and hash of the link without its query.
    pub(crate) fn key(&self) -> (String, usize, String) {
        (self.kind.clone(), self.ordinal, self.source_hash.clone())
    }
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Act {
    /// Send a request; its budget slot, and the intent of a paid one, are durable.
    Send {
        /// Its row in the ledger.
        flight: FlightId,
        /// With whose key.
        account: String,
        /// What to send.
        call: Call,
        /// Too late from then on: whoever waits for its answer has given it up. A process that was frozen
        /// before it sent must not send after that.
        not_after: Timestamp,
    },
    /// Bring a file home.
    Fetch {
        /// Which download.
        flight: FlightId,
        /// With whose trusted hosts.
        account: String,
        /// Which file.
        wanted: Wanted,
    },
    /// Look at a source image before its job is paid for; costs no request at the provider.
    Look {
        /// Which look.
        flight: FlightId,
        /// With whose trusted hosts.
        account: String,
        /// Where the image is, as the row says.
        url: String,
    },
}

impl Act {
    /// Its name.
    #[must_use]
    pub fn flight(&self) -> &FlightId {
        match self {
            Self::Send { flight, .. } | Self::Fetch { flight, .. } | Self::Look { flight, .. } => {
                flight
            }
        }
    }
}

/// A file that lies in our storage, whole and synced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// A URI in our storage.
    pub location: String,
    /// As sniffed from the bytes.
    pub content_type: String,
    /// Length.
    pub bytes: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// It is not what was expected: another type, or another hash than the provider told.
    pub quarantined: bool,
    /// What its header says.
    pub shape: Shape,
}

/// Why a file did not come home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureTrouble {
    /// The link is dead: read it again.
    LinkDead(String),
    /// The host or the way there failed: try again later.
    Later(String),
    /// Our own storage failed: try again later, nothing is wrong with the file.
    Storage(String),
    /// This link must not be followed, or this file must not be kept.
    Never(String),
}

/// What the hands came back with.
#[derive(Debug, Clone)]
pub enum Said {
    /// The answer to a request, read.
    Reply(Box<Reply>),
    /// What became of a download.
    Fetched(Result<Stored, CaptureTrouble>),
    /// What a look at a source image showed.
    Looked(Look),
}

/// Something that the hands did.
#[derive(Debug, Clone)]
pub struct Report {
    /// Which act.
    pub flight: FlightId,
    /// When it was over.
    pub at: Timestamp,
    /// With what.
    pub said: Said,
}

/// What a step decided. All of it is durable.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// To be done now, in any order.
    pub acts: Vec<Act>,
    /// When the next step is due if nothing happens before.
    pub wake_at: Option<Timestamp>,
    /// Jobs that moved, by the word of their new state: for people who watch.
    pub moved: BTreeMap<&'static str, u64>,
}
