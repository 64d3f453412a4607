//! Whether a remote job may be the one that a submission of unknown outcome made: a pure comparison of
//! what was asked for, and when, with what the provider says. It refuses on any contradiction; what it
//! lets through is a candidate, and no more than that.

use std::time::Duration;

use domain::{ImageInput, Input, JobId, Provider, SubmissionId, Timestamp};
use providers::RemoteJob;

/// How far the provider's clock and ours, or those of two processes, may be apart.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// A ProductAI job takes seconds, and the vendor's clients give it up after five minutes; a webhook that
/// rings later than this after the submit is about another one.
const LATEST_RING: Duration = Duration::from_secs(3_600);

/// What stands against the submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its answer may still come: nothing may be concluded about what it could have made.
    OnTheWire,
    /// In doubt.
    InDoubt,
    /// Given up, or sent again, before anybody knew.
    Past,
}

/// A submission of a job whose outcome is open or unknown.
#[derive(Debug, Clone)]
pub(super) struct Doubt {
    pub(super) job: JobId,
    pub(super) submission: SubmissionId,
    pub(super) account: String,
    pub(super) standing: Standing,
    pub(super) input: Input,
    /// The id under which the provider may echo it.
    pub(super) client_ref: Option<String>,
    /// JAKOV's project, JARAI's account there.
    pub(super) place: Option<String>,
    /// When its intent was made.
    pub(super) planned_at: Timestamp,
    /// The latest moment at which the provider can have accepted it.
    pub(super) closes_at: Timestamp,
    /// The longest that its answer may have taken.
    pub(super) timeout: Duration,
}

/// A remote job that no ledger row knows.
#[derive(Debug, Clone)]
pub(super) struct Unclaimed {
    /// What the provider says about it.
    pub(super) remote: RemoteJob,
    /// Who told of it first.
    pub(super) source: Source,
    /// When we heard of it.
    pub(super) heard_at: Timestamp,
    /// When the provider took it, where it told.
    pub(super) born_at: Option<Timestamp>,
    /// JAKOV's project, JARAI's account there, where told.
    pub(super) place: Option<String>,
    /// The row of the inbox that waits for it.
    pub(super) hook: Option<i64>,
    /// Whether the provider was asked about it.
    pub(super) read: Reading,
}

/// Who told of a remote job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// JAKOV's list of what it completed.
    Export,
    /// A webhook.
    Webhook,
    /// The answer to the submit itself, which an earlier owner of the lane brought too late.
    Answer,
}

impl Source {
    /// The word of the timeline.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Webhook => "webhook",
            Self::Answer => "answer",
        }
    }
}

/// A remote job is read once, if a look can tell whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// The source says all that there is.
    NotNeeded,
    /// To be read, not before this moment; failed so often.
    Wanted(Timestamp, u32),
    /// On the wire, after so many failures.
    Asked(u32),
    /// Read.
    Done,
}

/// How well the two fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It is another's.
    No,
    /// Nothing is known against it; a read may tell.
    Unread,
    /// Nothing speaks against it, and too little for it: for people only.
    Weak,
    /// Kind, account and time of acceptance fit.
    Time,
    /// Kind, time and the echoed input fit.
    Inputs,
    /// It carries the reference under which we sent the job.
    Reference,
}

/// Compares.
pub(super) fn fit(doubt: &Doubt, found: &Unclaimed) -> Fit {
    match doubt.job.kind.provider() {
        Provider::Jakov => by_reference(doubt, found),
        Provider::Productai => by_prompt(doubt, found),
        Provider::Jarai => by_time(doubt, found),
    }
}

/// Whether a moment that the provider tells lies between the intent and the longest accept.
fn within(doubt: &Doubt, moment: Timestamp, slack: Duration) -> bool {
    moment >= doubt.planned_at.before(slack) && moment <= doubt.closes_at + slack
}

/// JAKOV echoes our reference. What was made before the intent is an earlier job with the same id.
fn by_reference(doubt: &Doubt, found: &Unclaimed) -> Fit {
    let remote = &found.remote;
    let Some(ours) = &doubt.client_ref else {
        return Fit::No;
    };
    if remote.client_product_id.as_ref() != Some(ours) || differs(&doubt.place, &found.place) {
        return Fit::No;
    }
    let Input::Description(input) = &doubt.input else {
        return Fit::No;
    };
    let other_ean = match (&input.ean, &remote.ean) {
        (Some(ours), Some(theirs)) => !theirs.is_empty() && digits(ours) != digits(theirs),
        _ => false,
    };
    let in_time = match (remote.created_at.or(found.born_at), remote.completed_at) {
        // A reference is strong, so the clocks may be as far apart as an answer takes.
        (Some(made), _) => within(doubt, made, doubt.timeout),
        (None, Some(done)) => done >= doubt.planned_at.before(doubt.timeout),
        (None, None) => found.heard_at >= doubt.planned_at,
    };
    match (other_ean || !in_time, remote.remote_id.is_empty()) {
        (true, _) => Fit::No,
        (false, true) => Fit::Weak,
        (false, false) => Fit::Reference,
    }
}

/// ProductAI echoes the prompt of a generation, and nothing of an upscale.
fn by_prompt(doubt: &Doubt, found: &Unclaimed) -> Fit {
    let Input::Image(input) = &doubt.input else {
        return Fit::No;
    };
    let rung = found.heard_at >= doubt.planned_at.before(CLOCKS_DIFFER)
        && found.heard_at <= doubt.closes_at + LATEST_RING;
    let born = found.remote.created_at.or(found.born_at);
    let in_time = born.is_none_or(|made| within(doubt, made, CLOCKS_DIFFER));
    if !rung || !in_time {
        return Fit::No;
    }
    if found.read != Reading::Done {
        return Fit::Unread;
    }
    match (prompt_of(input), &found.remote.prompt) {
        (Some(ours), Some(theirs)) if ours == theirs.trim() => Fit::Inputs,
        // An upscale has no prompt, and a failed job shows none.
        (_, None) => Fit::Weak,
        (Some(_) | None, Some(_)) => Fit::No,
    }
}

/// JARAI tells when and for which of its accounts a production was queued, and little more.
fn by_time(doubt: &Doubt, found: &Unclaimed) -> Fit {
    let Input::Production(input) = &doubt.input else {
        return Fit::No;
    };
    if differs(&doubt.place, &found.place) {
        return Fit::No;
    }
    let topic = found.remote.topic.as_deref().map(str::trim);
    if topic.is_some_and(|theirs| theirs != input.topic.trim()) {
        return Fit::No;
    }
    match found.born_at.or(found.remote.created_at) {
        Some(born) if !within(doubt, born, CLOCKS_DIFFER) => Fit::No,
        Some(_) if found.place.is_some() && topic.is_some() => Fit::Inputs,
        Some(_) if found.place.is_some() => Fit::Time,
        None if found.heard_at < doubt.planned_at.before(CLOCKS_DIFFER) => Fit::No,
        Some(_) | None => Fit::Weak,
    }
}

/// The prompt of a generation, as far as blanks at its ends do not matter.
pub(super) fn prompt_of(input: &ImageInput) -> Option<&str> {
    let prompt = input.prompt.as_deref().map(str::trim);
    prompt.filter(|prompt| input.operation != "upscale" && !prompt.is_empty())
}

/// Both are told, and they are not the same.
pub(super) fn differs(ours: &Option<String>, theirs: &Option<String>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => !ours.trim().eq_ignore_ascii_case(theirs.trim()),
        _ => false,
    }
}

fn digits(ean: &str) -> &str {
    ean.trim().trim_start_matches('0')
}
