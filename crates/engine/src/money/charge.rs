//! What a provider says that it took. It is booked as it is told, also above the estimate, and shown.

use domain::{JobId, Timestamp};
use providers::RemoteJob;
use serde_json::json;
use store::{LaneKey, NewEvent, Outcome};

use crate::draft::Draft;
use crate::planner::Engine;
use crate::submit::untouched;

impl Engine {
    /// Books the charge that an answer tells, where it is another one than what is booked.
    pub(crate) fn book_charge(
        &mut self,
        key: &LaneKey,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let (Some(charged), Some(open)) = (remote.charged, self.open.get_mut(&job)) else {
            return;
        };
        let charged = i64::from(charged);
        let booked = open.job.work.credits;
        if open.fate != Outcome::Accepted || booked == Some(charged) {
            return;
        }
        if booked.is_some_and(|booked| booked < charged) {
            tracing::warn!(
                job.id = %job,
                account = open.account,
                charged,
                booked,
                "the provider charged more than its price was thought to be"
            );
        }
        let status = open.job.work.status();
        draft.batch.events.push(NewEvent {
            job,
            at,
            event: "charged".to_owned(),
            from: status,
            to: status,
            submission: Some(open.submission.clone()),
            detail: json!({ "credits": charged, "price": booked }),
            lane: Some(key.clone()),
        });
        let mut change = untouched(&open.submission, job, Outcome::Accepted, at);
        change.credits = Some(charged);
        open.job.work.credits = Some(charged);
        draft.outcome(change);
        draft.touch(open, key, at);
    }
}
