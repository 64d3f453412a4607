//! What goes into the store and what comes out: plain records, the same for both databases.
//!
//! A [`Batch`] is all that one step of the engine wants written. Its *facts* are appended by whoever
//! got them; its *conclusions* count only while the lane is still ours.

use domain::{Cancel, Input, JobId, JobKind, Provider, Status, SubmissionId, Timestamp, Work};
use serde::{Deserialize, Serialize};

use crate::money::Sums;

mod batch;

pub use batch::*;

/// Names a lane: the accounts that share one provider key (or one `budget` name) and so one budget.
/// Never holds the key itself, only its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneKey(pub String);

/// Which ownership of a lane: grows by one at each takeover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

/// A job as the database has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub id: JobId,
    /// The account that the row names, if it names one.
    pub account: Option<String>,
    /// The account that took it: stays, even if the config's default changes.
    pub taken_by: Option<String>,
    /// The caller's own product id.
    pub client_product_id: Option<String>,
    /// The label that groups jobs.
    pub batch: Option<String>,
    /// Higher goes first.
    pub priority: i64,
    /// Not before this moment, says the inserter.
    pub run_at: Option<Timestamp>,
    /// Not before this moment, says the worker (a pause between attempts).
    pub not_before: Option<Timestamp>,
    /// When the row came.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Raised by every change; a change that names an older one changes nothing.
    pub version: i64,
    /// What the row asks for.
    pub input: Input,
    /// Where it stands.
    pub work: Work,
    /// Something that did not stop the job (an odd barcode).
    pub warning: Option<String>,
    /// The text, of a completed description.
    pub description: Option<String>,
    /// The provider's link, of a completed image, where it carries no signature.
    pub result_url: Option<String>,
}

/// Which pending jobs a lane could take next.
#[derive(Debug, Clone)]
pub struct PendingWant {
    /// Which table.
    pub kind: JobKind,
    /// Rows that name this account …
    pub account: String,
    /// … and rows that name none, if this account is the one that takes them.
    pub takes_unnamed: bool,
    /// `run_at` and `not_before` are past at this moment.
    pub now: Timestamp,
    /// At most so many of each batch, best first (priority, `run_at` or `created_at`, id).
    pub per_batch: u32,
    /// At most so many in all.
    pub limit: u32,
    /// None of these batches: they are paused.
    pub without: Vec<String>,
}

/// A request as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// Ours, unique.
    pub id: String,
    /// Group of endpoints.
    pub endpoints: String,
    /// What it did.
    pub verb: String,
    /// The job that it served.
    pub job: Option<JobId>,
    /// The submission that it carried.
    pub submission: Option<SubmissionId>,
    /// The further counter.
    pub quota: Option<String>,
    /// When it left.
    pub sent_at: Timestamp,
    /// When it was answered or timed out; `None`: nobody knows.
    pub answered_at: Option<Timestamp>,
    /// The HTTP code, if it was answered.
    pub http_status: Option<u16>,
}

/// What is known of a submission's fate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No answer yet.
    Open,
    /// Surely not accepted, nothing to pay.
    Refused,
    /// Sent, and nobody knows.
    Unknown,
    /// Accepted under a remote id.
    Accepted,
}

/// A submission of a job as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmissionRow {
    /// Ours.
    pub id: SubmissionId,
    /// The job in it.
    pub job: JobId,
    /// Place in the body, from 0.
    pub ordinal: i64,
    /// With which account's key.
    pub account: String,
    /// `descriptions`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// When the intent was made.
    pub planned_at: Timestamp,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// The HTTP code of the answer.
    pub http_status: Option<u16>,
    /// The kept body, or why there was none.
    pub answer: Option<String>,
    /// The id under which the provider may echo the job.
    pub client_ref: Option<String>,
    /// Estimated price.
    pub price: Option<i64>,
    /// What is known.
    pub outcome: Outcome,
    /// The provider's id.
    pub remote_id: Option<String>,
    /// Where the provider says that the status can be read.
    pub location: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What was charged.
    pub credits: Option<i64>,
    /// What the jobs of the submission learned from its answer, in the order of the body.
    pub verdicts: Option<serde_json::Value>,
}

/// A line of the timeline as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventRow {
    /// Grows in commit order.
    pub seq: i64,
    /// Whose.
    pub job: JobId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: String,
    /// The state before.
    pub from_status: Status,
    /// The state after.
    pub to_status: Status,
    /// The submission in question.
    pub submission: Option<SubmissionId>,
    /// More.
    pub detail: serde_json::Value,
}

/// A deliverable as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverableRow {
    /// Row id.
    pub id: i64,
    /// Whose.
    pub job: JobId,
    /// Of which submission.
    pub submission: SubmissionId,
    /// What it is.
    pub r#type: String,
    /// Which of this type.
    pub ordinal: i64,
    /// A URI in our storage.
    pub location: String,
    /// As sniffed.
    pub content_type: String,
    /// Length.
    pub bytes: i64,
    /// In hex.
    pub sha256: String,
    /// When it was whole.
    pub captured_at: Timestamp,
    /// Hash of the link without its query.
    pub source_hash: String,
    /// It is not what was expected: another type, or another hash than the provider told.
    pub quarantined: bool,
    /// What its header says.
    #[serde(flatten)]
    pub shape: FileShape,
}

/// How large a picture is and how long a film, where the header says it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileShape {
    /// In pixels.
    pub width: Option<u32>,
    /// In pixels.
    pub height: Option<u32>,
    /// In milliseconds.
    pub duration_ms: Option<i64>,
}

/// A command of a person or program, not yet executed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Command {
    /// Row id.
    pub id: i64,
    /// For which job.
    pub job: JobId,
    /// `cancel`, `retry`, `priority`, …
    pub command: String,
    /// What else it says.
    pub value: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
}

/// A command of a person or program, with what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRow {
    /// Row id.
    pub id: i64,
    /// `cancel`, `retry`, `priority`, …
    pub command: String,
    /// What else it says.
    pub value: Option<String>,
    /// When it came.
    pub created_at: Timestamp,
    /// `done`, or why not; `None` until the worker has looked at it.
    pub outcome: Option<String>,
    /// When it was executed or refused.
    pub done_at: Option<Timestamp>,
}

/// What an account took on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct DayMoney {
    /// When the day began, in UTC.
    pub day: Timestamp,
    /// How much.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What a batch took of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BatchMoney {
    /// The label that its rows had when they were submitted.
    pub batch: String,
    /// How much.
    #[serde(flatten)]
    pub sums: Sums,
}

/// What a person or program wants of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AccountCommand {
    /// Row id.
    pub id: i64,
    /// Of which account.
    pub account: String,
    /// `pause`, `resume` or `balance`.
    pub command: String,
    /// Of a pause, why; of a resume, `credits` where only what rests for want of them is to go on.
    pub value: Option<String>,
    /// What became of it; `None`: nobody has executed it yet.
    pub outcome: Option<String>,
}

/// A request that was answered 429.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TooMany {
    /// Of which lane.
    pub lane: LaneKey,
    /// Of which group of endpoints.
    pub endpoints: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// When its answer came.
    pub answered_at: Timestamp,
}

/// A person's word that an account submits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPause {
    /// Which account, whatever key it has.
    pub account: String,
    /// When a worker executed it.
    pub since: Timestamp,
    /// Why, if it was said.
    pub reason: Option<String>,
}

/// Why a group of endpoints rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Which lane.
    pub lane: LaneKey,
    /// Group of endpoints (`submit`, `read`, `all`), `submits` for all paid POSTs, the verb of a read (`status`,
    /// `export`, …), or a quota's name.
    pub endpoints: String,
    /// `rate_limited`, `out_of_credits`, `key_refused`, `unavailable`, …
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Since then: the first of the failures in a row. `None`: an earlier version of the program began it.
    pub since: Option<Timestamp>,
    /// Until then; `None`: until somebody or something lifts it.
    pub until: Option<Timestamp>,
    /// How often in a row.
    pub strikes: u32,
}

/// A webhook that was stored before it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Webhook {
    /// Row id.
    pub id: i64,
    /// The account whose route it came on.
    pub account: String,
    /// What makes a repeat harmless.
    pub dedupe_key: String,
    /// When it came.
    pub received_at: Timestamp,
    /// The raw body.
    pub body: String,
    /// Whether the route found the account's secret in it: a signature, or the path that nobody can guess.
    pub verified: bool,
    /// What was noted about it, if it waits for its job.
    #[serde(default)]
    pub note: Option<String>,
}

/// A job to insert, as a program would by plain INSERT.
#[derive(Debug, Clone, Default)]
pub struct NewJob {
    /// Which account; `None`: the default one.
    pub account: Option<String>,
    /// The caller's own product id.
    pub client_product_id: Option<String>,
    /// Inserted once, however often it is tried.
    pub dedupe_key: Option<String>,
    /// The label that groups jobs.
    pub batch: Option<String>,
    /// Higher goes first.
    pub priority: i64,
    /// Not before.
    pub run_at: Option<Timestamp>,
    /// What it asks for.
    pub input: Option<Input>,
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this kind.
    pub kind: Option<JobKind>,
    /// Only this state.
    pub status: Option<Status>,
    /// Only jobs of this account (named by the row, or taken by it).
    pub account: Option<String>,
    /// Only this batch.
    pub batch: Option<String>,
    /// Only this error code.
    pub error_code: Option<String>,
    /// Only this product.
    pub client_product_id: Option<String>,
    /// Ids after this one (within a kind).
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// How many jobs stand where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Which kind.
    pub kind: JobKind,
    /// The account that took them, or that they name; `None`: not taken, none named.
    pub account: Option<String>,
    /// The state.
    pub status: Status,
    /// Running, and the provider waits for a person's approval (`remote_status` is `AwaitingApproval`).
    pub awaiting_approval: bool,
    /// The error code, where there is one.
    pub error_code: Option<String>,
    /// How many.
    pub jobs: i64,
    /// The sum of `credits`.
    pub credits: i64,
    /// The oldest `created_at` among them.
    pub oldest: Option<Timestamp>,
}

/// What the ledger says was charged, by account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// The account.
    pub account: String,
    /// Its provider.
    pub provider: Provider,
    /// Submissions sent.
    pub submissions: i64,
    /// Jobs accepted.
    pub accepted: i64,
    /// Jobs whose outcome is open or unknown.
    pub unknown: i64,
    /// Credits booked on accepted jobs.
    pub credits: i64,
    /// Credits reserved for open and unknown jobs; also for those that were sent again since.
    pub reserved: i64,
}

impl Job {
    /// A remembered wish to end it.
    #[must_use]
    pub fn cancel(&self) -> Option<Cancel> {
        self.work.cancel
    }
}
