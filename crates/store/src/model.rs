//! What goes into the store and what comes out: plain records, the same for both databases.
//!
//! A [`Batch`] is all that one step of the engine wants written. Its *facts* are appended by whoever
//! got them; its *conclusions* count only while the lane is still ours.

use domain::{Cancel, Input, JobId, JobKind, Provider, Status, SubmissionId, Timestamp, Work};
use serde::{Deserialize, Serialize};

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
}

/// All that one step wants written, in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// The lanes that the conclusions belong to, with the epochs under which they were drawn.
    pub fences: Vec<(LaneKey, Epoch)>,
    /// Fact: what came back to a submission.
    pub answers: Vec<SubmissionAnswer>,
    /// Fact: a request was answered, or timed out.
    pub answered: Vec<RequestAnswered>,
    /// Fact: bytes that lie in our storage.
    pub deliverables: Vec<NewDeliverable>,
    /// Conclusion: jobs move.
    pub jobs: Vec<JobChange>,
    /// Conclusion: jobs get another priority (the command `priority`).
    pub priorities: Vec<PriorityChange>,
    /// Conclusion: intents. Durable before their first byte.
    pub submissions: Vec<NewSubmission>,
    /// Conclusion: budget slots. Durable before the request leaves.
    pub requests: Vec<NewRequest>,
    /// Conclusion: what became of a submission's jobs.
    pub outcomes: Vec<SubmissionJobChange>,
    /// Conclusion: the timeline.
    pub events: Vec<NewEvent>,
    /// Conclusion: commands executed or refused.
    pub commands: Vec<CommandDone>,
    /// Conclusion: pauses of groups of endpoints, set or lifted.
    pub pauses: Vec<PauseChange>,
    /// Conclusion: webhooks dealt with.
    pub webhooks: Vec<WebhookDone>,
}

/// What became of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// All is durable, but for the conclusions of these lanes, which are no longer ours.
    Durable {
        /// Lanes whose epoch has moved on; empty in the normal case.
        lost: Vec<LaneKey>,
    },
    /// Nothing was written: these rows had changed or gone (an UPDATE or DELETE by another program).
    Stale(Vec<JobId>),
}

/// What came back to a submission, kept as it was read.
#[derive(Debug, Clone, Serialize)]
pub struct SubmissionAnswer {
    /// Which submission.
    pub submission: SubmissionId,
    /// When it was read.
    pub at: Timestamp,
    /// The HTTP code, if there was an answer.
    pub http_status: Option<u16>,
    /// The body, capped, with secrets masked; or why there was none.
    pub answer: Option<String>,
    /// The provider's correlation id.
    pub correlation_id: Option<String>,
}

/// A request was answered, or timed out: from here on its slot ages.
#[derive(Debug, Clone, Serialize)]
pub struct RequestAnswered {
    /// Which request.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// The HTTP code, if there was an answer.
    pub http_status: Option<u16>,
    /// What went wrong, if something did.
    pub problem: Option<String>,
}

/// A budget slot: a request that is about to leave.
#[derive(Debug, Clone, Serialize)]
pub struct NewRequest {
    /// Ours, unique.
    pub id: String,
    /// Whose budget.
    pub lane: LaneKey,
    /// With which account's key.
    pub account: String,
    /// Group of endpoints that share a budget: `submit`, `read`, `all`.
    pub endpoints: String,
    /// What it does: `submit`, `status`, `deliverables`, `link`, `cancel`, `credits`, …
    pub verb: String,
    /// The job that it serves, if it serves one.
    pub job: Option<JobId>,
    /// The submission that it carries, if it is one.
    pub submission: Option<SubmissionId>,
    /// A further counter that it takes from (a JARAI account's productions of the day).
    pub quota: Option<String>,
    /// When it leaves.
    pub sent_at: Timestamp,
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

/// One paid POST, durable before its first byte.
#[derive(Debug, Clone, Serialize)]
pub struct NewSubmission {
    /// Ours, unique, sorts by time.
    pub id: SubmissionId,
    /// Whose.
    pub lane: LaneKey,
    /// With which account's key.
    pub account: String,
    /// Where to.
    pub provider: Provider,
    /// `descriptions`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// SHA-256 of the body, in hex.
    pub request_hash: String,
    /// When the intent was made.
    pub planned_at: Timestamp,
    /// The jobs in it, in the order of the body.
    pub jobs: Vec<NewSubmissionJob>,
}

/// One job of a submission.
#[derive(Debug, Clone, Serialize)]
pub struct NewSubmissionJob {
    /// Which job.
    pub job: JobId,
    /// The id under which the provider may echo it (`clientProductId`).
    pub client_ref: Option<String>,
    /// Estimated price in the provider's unit.
    pub price: Option<i64>,
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

/// What became of one job of a submission.
#[derive(Debug, Clone, Serialize)]
pub struct SubmissionJobChange {
    /// Which submission.
    pub submission: SubmissionId,
    /// Which job of it.
    pub job: JobId,
    /// What is known now.
    pub outcome: Outcome,
    /// The provider's id; `None` leaves what is there.
    pub remote_id: Option<String>,
    /// Where the provider says that the status can be read; `None` leaves what is there.
    pub location: Option<String>,
    /// Why, for people; `None` leaves what is there.
    pub reason: Option<String>,
    /// What was charged; `None` leaves what is there.
    pub credits: Option<i64>,
    /// When this was decided.
    pub at: Timestamp,
    /// The remote job is over: its client reference may be used again.
    pub ended: bool,
    /// The job may be submitted again although this one was accepted or is unknown: a documented safe
    /// failure, `retry_failed`, or a person's decision.
    pub released: bool,
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
}

/// A job moves: the whole of what the worker keeps on a row.
#[derive(Debug, Clone)]
pub struct JobChange {
    /// Which job.
    pub job: JobId,
    /// The version that was read; another one in the database means [`Committed::Stale`].
    pub version: i64,
    /// Whose conclusion this is; `None` where no lane takes the job (an unknown account).
    pub lane: Option<LaneKey>,
    /// The account that took it.
    pub taken_by: Option<String>,
    /// Where it stands now.
    pub work: Work,
    /// Not before this moment.
    pub not_before: Option<Timestamp>,
    /// Something that did not stop it; `None` leaves what is there.
    pub warning: Option<String>,
    /// The text; `None` leaves what is there.
    pub description: Option<String>,
    /// The link; `None` leaves what is there.
    pub result_url: Option<String>,
    /// When this happened.
    pub at: Timestamp,
}

/// A job gets another priority: the one input column that a command changes.
#[derive(Debug, Clone)]
pub struct PriorityChange {
    /// Which job.
    pub job: JobId,
    /// The version that was read; another one in the database means [`Committed::Stale`].
    pub version: i64,
    /// Whose conclusion this is.
    pub lane: Option<LaneKey>,
    /// Higher goes first.
    pub priority: i64,
    /// When this happened.
    pub at: Timestamp,
}

/// A line of the timeline.
#[derive(Debug, Clone, Serialize)]
pub struct NewEvent {
    /// Whose.
    pub job: JobId,
    /// When.
    pub at: Timestamp,
    /// `accepted`, `refused`, …: the names of `domain::Event`.
    pub event: String,
    /// The state before.
    pub from: Status,
    /// The state after.
    pub to: Status,
    /// The submission in question.
    pub submission: Option<SubmissionId>,
    /// More, for people and programs.
    pub detail: serde_json::Value,
    /// Whose conclusion this is; `None`: everybody's.
    pub lane: Option<LaneKey>,
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

/// Bytes that lie in our storage.
#[derive(Debug, Clone, Serialize)]
pub struct NewDeliverable {
    /// Whose.
    pub job: JobId,
    /// Of which submission.
    pub submission: SubmissionId,
    /// `Image`, `Video`, …, or what the provider calls it.
    pub r#type: String,
    /// Which of this type, from 0.
    pub ordinal: i64,
    /// A URI in our storage.
    pub location: String,
    /// As sniffed from the bytes.
    pub content_type: String,
    /// Length.
    pub bytes: i64,
    /// In hex.
    pub sha256: String,
    /// When it was whole.
    pub captured_at: Timestamp,
    /// Hash of the link without its query: whether the provider's list has changed.
    pub source_hash: String,
    /// Its type was not what was expected.
    pub quarantined: bool,
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
    /// Its type was not what was expected.
    pub quarantined: bool,
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

/// A command was executed or refused.
#[derive(Debug, Clone, Serialize)]
pub struct CommandDone {
    /// Which.
    pub id: i64,
    /// `done`, or why not, as one sentence.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
}

/// Why a group of endpoints rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Which lane.
    pub lane: LaneKey,
    /// Group of endpoints: `submit`, `read`, `all`, or a quota's name.
    pub endpoints: String,
    /// `rate_limited`, `out_of_credits`, `key_refused`, `unavailable`, …
    pub code: String,
    /// One sentence.
    pub message: String,
    /// Until then; `None`: until somebody or something lifts it.
    pub until: Option<Timestamp>,
    /// How often in a row.
    pub strikes: u32,
}

/// A pause is set (replacing one of the same lane, group and code) or lifted.
#[derive(Debug, Clone)]
pub enum PauseChange {
    /// Set.
    Set(Pause),
    /// Lifted.
    Lift {
        /// Which lane.
        lane: LaneKey,
        /// Which group.
        endpoints: String,
        /// Which reason.
        code: String,
    },
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
}

/// A webhook was dealt with, or waits for its job.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookDone {
    /// Which.
    pub id: i64,
    /// `done`, `parked` or `ignored`.
    pub state: String,
    /// Why.
    pub note: Option<String>,
    /// When.
    pub at: Timestamp,
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
    /// Credits reserved for open and unknown jobs.
    pub reserved: i64,
}

impl Job {
    /// A remembered wish to end it.
    #[must_use]
    pub fn cancel(&self) -> Option<Cancel> {
        self.work.cancel
    }
}
