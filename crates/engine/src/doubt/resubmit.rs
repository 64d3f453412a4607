//! `in_doubt = "resubmit"`: an account that would rather pay twice than wait for a person. A job in doubt is
//! sent again, within its row's attempts, and only when evidence had its chance: the time in which the
//! provider can have accepted it is over, the account's `evidence_window` has passed, and where an export
//! can tell, it was read after that and did not.

use domain::{Event, JobId, Resolution, Status, Timestamp};
use serde_json::json;
use store::LaneKey;

use super::export::can_be_proven;
use super::unclaimed::closes_at;
use crate::account::Account;
use crate::draft::Draft;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};

/// Whether the account will send this job again by itself.
pub(crate) fn will_resubmit(open: &OpenJob, account: &Account) -> bool {
    let work = &open.job.work;
    account.policy.resubmit_in_doubt
        && work.status() == Status::InDoubt
        && work.attempt < work.max_attempts
}

/// When evidence has had its chance; `None`: when the export was read once more.
fn ripe_at(open: &OpenJob, account: &Account) -> Option<Timestamp> {
    let planned_at = open.job.work.submitted_at?;
    let timing = &account.timing;
    let closes_at = closes_at(planned_at, account);
    let ripe_at = closes_at.max(planned_at + timing.submit_timeout + timing.evidence_window);
    let has_looked = open.looked.last_at.is_some_and(|at| at >= ripe_at);
    let by_export =
        can_be_proven(open, account) && super::export::project_of(open, account).is_some();
    (!by_export || has_looked).then_some(ripe_at)
}

impl Engine {
    /// Sends again what the account wants sent again, when evidence had its chance.
    pub(crate) fn resubmit_ripe(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) {
        let mut ripe: Vec<JobId> = Vec::new();
        for open in self.open.awake_mut() {
            let Some(account) = self.accounts.get(&open.account).filter(|a| a.lane == *key) else {
                continue;
            };
            if !will_resubmit(open, account) || open.asking {
                continue;
            }
            match ripe_at(open, account) {
                Some(at) if at <= now => ripe.push(open.id()),
                Some(at) => wake.at(at),
                // The export is due as soon as the window is over, however long its pause.
                None => {
                    let planned_at = open.job.work.submitted_at.unwrap_or(now);
                    let timing = &account.timing;
                    let window = timing.evidence_window.max(timing.longest_accept);
                    let over = planned_at + timing.submit_timeout + window;
                    open.next_read = open.next_read.min(over.max(open.floor));
                    wake.at(open.next_read);
                }
            }
        }
        for job in ripe {
            self.resubmit(key, job, now, draft);
        }
    }

    fn resubmit(&mut self, key: &LaneKey, job: JobId, now: Timestamp, draft: &mut Draft) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let Some(account) = self.accounts.get(&open.account) else {
            return;
        };
        let work = &open.job.work;
        let waited = now.since(work.submitted_at.unwrap_or(now)).as_secs();
        let detail = json!({
            "decision": "resubmit",
            "why": format!(
                "the account {} says in_doubt = \"resubmit\"; no evidence decided within {waited} s",
                account.name
            ),
            "price": work.credits,
            "attempt": work.attempt,
            "max_attempts": work.max_attempts,
        });
        open.job.not_before = Some(now + account.timing.retry(work.attempt));
        let event = Event::Resolved(Resolution::Resubmit);
        if draft.apply_as(open, &event, (event.name(), detail), key, now) {
            tracing::warn!(job.id = %job, "sent again although it may have been accepted: in_doubt = \"resubmit\"");
        }
        self.close_if_over(key, job, now, draft);
    }
}
