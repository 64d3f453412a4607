//! The open jobs of our lanes, in memory: what the database knows of them, plus when they are to be
//! read next and which of their files are still out.

use std::collections::{BTreeSet, VecDeque};

use domain::{JobId, SubmissionId, Timestamp};
use providers::{MatchedBy, Phase};
use store::{Job, Outcome};

use crate::act::Wanted;

/// Names a file of a list: type, ordinal, and hash of the link without its query.
pub(crate) type FileKey = (String, usize, String);

/// Bringing the files of a job home.
#[derive(Debug, Default)]
pub(crate) struct Capture {
    /// The provider's status at which the list was read.
    pub(crate) at_status: String,
    /// Files not yet here.
    pub(crate) missing: VecDeque<Wanted>,
    /// Downloads under way.
    pub(crate) under_way: BTreeSet<FileKey>,
    /// When the links were read, and when the first of them dies, where they say it.
    pub(crate) links_at: Timestamp,
    pub(crate) dies_at: Option<Timestamp>,
    /// Whether the links must be read (again) before anything can be fetched.
    pub(crate) needs_links: bool,
    /// A file of the list has no link yet: without it the result is not whole.
    pub(crate) unlinked: bool,
    /// Not before this moment.
    pub(crate) not_before: Option<Timestamp>,
    /// A file that must not be kept, and why: the rest still comes home.
    pub(crate) refused: Option<String>,
    /// Failures so far.
    pub(crate) failures: u32,
    /// When it began, for its deadline.
    pub(crate) began: Timestamp,
}

/// A job that is submitting, in doubt, running or capturing.
#[derive(Debug)]
pub(crate) struct OpenJob {
    pub(crate) job: Job,
    /// The account that took it.
    pub(crate) account: String,
    /// The submission that it rests on, and what is known of it.
    pub(crate) submission: SubmissionId,
    pub(crate) fate: Outcome,
    /// The id under which the provider may echo it.
    pub(crate) client_ref: Option<String>,
    /// Where the provider said that the status can be read.
    pub(crate) location: Option<String>,
    /// What tied the remote id to the job.
    pub(crate) matched_by: Option<MatchedBy>,
    /// A person said which remote job it is, and no read has shown that there is one.
    pub(crate) named: bool,
    /// What the provider's last word means.
    pub(crate) phase: Phase,
    /// The next read is due then.
    pub(crate) next_read: Timestamp,
    /// A running job is asked about then; never before `next_read`.
    pub(crate) ask_at: Timestamp,
    /// Milliseconds that are lost with each slot that its poll waits, once it is due.
    pub(crate) loss: i64,
    /// Somebody said that it is done: it is asked about as soon as it may be.
    pub(crate) called_for: bool,
    /// What webhooks said about it.
    pub(crate) told: crate::fusion::Told,
    /// Its age counts from here: when its submit was planned.
    pub(crate) taken_at: Timestamp,
    /// When it was last heard not to be done.
    pub(crate) unfinished_at: Option<Timestamp>,
    /// It may not be read sooner, whoever calls: the provider's interval after the last read.
    pub(crate) floor: Timestamp,
    /// In doubt: what was looked at.
    pub(crate) looked: crate::doubt::Looked,
    /// Polls in a row that told nothing (a 5xx, a time-out, an answer that does not parse).
    pub(crate) unheard: u32,
    /// A request about this job is on the wire.
    pub(crate) asking: bool,
    /// The remote cancel was asked for.
    pub(crate) cancel_sent: bool,
    /// Its files, once there are any.
    pub(crate) capture: Option<Capture>,
    /// A person at the provider had it for approval: no deadline of ours applies.
    pub(crate) was_approvable: bool,
    /// The provider said that it is done, and showed no result.
    pub(crate) empty_since: Option<Timestamp>,
    /// When its state was last heard in this life of the process.
    pub(crate) last_heard: Option<Timestamp>,
    /// The status at which all files were last brought home.
    pub(crate) captured_at: Option<String>,
    /// Files that are here: type, ordinal and hash of the link without its query.
    pub(crate) have: BTreeSet<FileKey>,
}

impl OpenJob {
    pub(crate) fn new(job: Job, account: String, submission: SubmissionId, now: Timestamp) -> Self {
        let taken_at = job.work.submitted_at.map_or(now, |at| at.min(now));
        Self {
            job,
            account,
            submission,
            fate: Outcome::Open,
            client_ref: None,
            location: None,
            matched_by: None,
            named: false,
            phase: Phase::Queued,
            next_read: now,
            ask_at: now,
            loss: 0,
            called_for: false,
            told: crate::fusion::Told::default(),
            taken_at,
            unfinished_at: None,
            floor: now,
            looked: crate::doubt::Looked::default(),
            unheard: 0,
            asking: false,
            cancel_sent: false,
            capture: None,
            was_approvable: false,
            last_heard: None,
            empty_since: None,
            captured_at: None,
            have: BTreeSet::new(),
        }
    }

    pub(crate) fn id(&self) -> JobId {
        self.job.id
    }

    /// The provider's id.
    pub(crate) fn remote_id(&self) -> Option<&str> {
        self.job
            .work
            .state
            .remote()
            .map(|remote| remote.id.as_str())
    }

    /// Nothing can be done about it here: its files are home, and a person at the provider decides.
    pub(crate) fn rests_for_approval(&self) -> bool {
        /// A list that cannot be read so often may never be there; it is still tried.
        const TRIED: u32 = 3;
        let nothing_to_fetch = match &self.capture {
            None => self.captured_at.is_some(),
            Some(capture) => capture.needs_links && capture.failures >= TRIED,
        };
        self.phase == Phase::AwaitingApproval && nothing_to_fetch
    }
}
