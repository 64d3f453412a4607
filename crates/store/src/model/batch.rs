//! What one step of the engine writes: facts and conclusions.

use domain::{JobId, Lengths, Provider, Status, SubmissionId, Timestamp, Work};
use serde::{Deserialize, Serialize};

use super::{Epoch, FileShape, LaneKey, Outcome, Pause};

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
    /// Conclusion: what people want of accounts, executed or refused.
    pub account_commands: Vec<AccountCommandDone>,
    /// Conclusion: pauses of groups of endpoints, set or lifted.
    pub pauses: Vec<PauseChange>,
    /// Conclusion: how long jobs take, as learned so far.
    pub lengths: Vec<LearnedLengths>,
    /// Conclusion: batches whose jobs are refused.
    pub refusals: Vec<crate::RefusalsChange>,
    /// Conclusion: webhooks dealt with.
    pub webhooks: Vec<WebhookDone>,
}

/// How long the jobs of one kind take, as an account learned it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LearnedLengths {
    /// Under whose epoch it is written; a row that is read names none.
    #[serde(skip, default = "no_lane")]
    pub lane: LaneKey,
    /// Whose jobs.
    pub account: String,
    /// `description`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// The image model; empty where there is none.
    pub model: String,
    /// What is remembered, a text of JSON in its column.
    #[serde(serialize_with = "to_text", deserialize_with = "from_text")]
    pub lengths: Lengths,
    /// When it was last added to.
    pub learned_at: Timestamp,
}

fn no_lane() -> LaneKey {
    LaneKey(String::new())
}

fn to_text<S: serde::Serializer>(lengths: &Lengths, into: S) -> Result<S::Ok, S::Error> {
    let text = serde_json::to_string(lengths).map_err(serde::ser::Error::custom)?;
    into.serialize_str(&text)
}

fn from_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Lengths, D::Error> {
    let text = String::deserialize(from)?;
    serde_json::from_str(&text).map_err(serde::de::Error::custom)
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
    /// What each job learned from it, in the order of the body, in the engine's own words.
    pub verdicts: serde_json::Value,
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
    /// The link; `None` leaves what is there, and an empty one removes it.
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
    /// It is not what was expected: another type, or another hash than the provider told.
    pub quarantined: bool,
    /// What its header says.
    pub shape: FileShape,
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

/// What a person wanted of an account was done or refused.
#[derive(Debug, Clone, Serialize)]
pub struct AccountCommandDone {
    /// Which.
    pub id: i64,
    /// Whose conclusion this is.
    pub lane: LaneKey,
    /// One sentence.
    pub outcome: String,
    /// When.
    pub at: Timestamp,
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
