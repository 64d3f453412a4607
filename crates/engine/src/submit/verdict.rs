//! What one job of a submission learns from its answer: pure reading, and the form in which it is kept
//! as a fact, so that a lane's next owner concludes the same from it.

use domain::{Fault, JobId, Verdict};
use providers::{ItemOutcome, MatchedBy, Outcome, Refusal, RemoteJob, Reply};
use serde::{Deserialize, Serialize};
use store::planted::{self, Bug};

use super::hear::{fault_of, verdict_of};

/// What one job of a submission learns.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ItemVerdict {
    /// It is the provider's now.
    Accepted {
        remote_id: String,
        matched_by: MatchedBy,
        location: Option<String>,
        /// What the answer says of it beside the id. Not kept: the next read tells it again.
        #[serde(skip)]
        job: Option<Box<RemoteJob>>,
    },
    /// Surely not accepted, and what that means.
    Refused { verdict: Verdict, why: Fault },
    /// Nobody knows.
    Unknown { why: Fault },
}

impl ItemVerdict {
    fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown {
            why: Fault::new("outcome_unknown", reason),
        }
    }

    fn of(item: &ItemOutcome) -> Self {
        match item {
            ItemOutcome::Accepted {
                remote_id,
                matched_by,
                job,
                location,
            } => Self::Accepted {
                remote_id: remote_id.clone(),
                matched_by: *matched_by,
                job: job.clone().map(Box::new),
                location: location.clone(),
            },
            ItemOutcome::Refused { code, message } => Self::Refused {
                verdict: Verdict::Never,
                why: Fault::new(code.clone(), message.clone()),
            },
            ItemOutcome::Unknown { reason } => Self::unknown(reason.clone()),
        }
    }
}

/// Whether the provider refuses these bytes for good.
pub(crate) fn is_spoiled(reply: &Reply) -> bool {
    matches!(&reply.outcome, Outcome::Refused(refusal) if verdict_of(refusal) == Verdict::Never)
}

/// A verdict for each job, in the order of the body.
pub(crate) fn verdicts(reply: &Reply, jobs: &[JobId]) -> Vec<ItemVerdict> {
    let all = |verdict: ItemVerdict| jobs.iter().map(|_| verdict.clone()).collect();
    match &reply.outcome {
        Outcome::Submitted(items) if items.len() == jobs.len() => {
            if planted::has(Bug::ItemsInWrongOrder) {
                return items.iter().rev().map(ItemVerdict::of).collect();
            }
            items.iter().map(ItemVerdict::of).collect()
        }
        Outcome::Refused(refusal) => all(ItemVerdict::Refused {
            verdict: of_batch(refusal, jobs.len()),
            why: fault_of(refusal),
        }),
        Outcome::Unknown { reason }
            if planted::has(Bug::RetryOfServerErrors)
                && reply.http_status.is_some_and(|code| code >= 500) =>
        {
            all(ItemVerdict::Refused {
                verdict: Verdict::Wait,
                why: Fault::new("unavailable", reason.clone()),
            })
        }
        Outcome::Unknown { reason } => all(ItemVerdict::unknown(reason.clone())),
        _ => all(ItemVerdict::unknown(
            "the answer does not fit what was sent",
        )),
    }
}

/// In a batch one bad item spoils all: they are sent apart, and nobody loses an attempt.
fn of_batch(refusal: &Refusal, jobs: usize) -> Verdict {
    match verdict_of(refusal) {
        Verdict::Never if jobs > 1 => Verdict::Wait,
        verdict => verdict,
    }
}
