//! Evidence about jobs in doubt. JAKOV echoes our `clientProductId` in its export, which holds what it
//! completed: one item that no ledger row knows, for one job in doubt that carries this id, is proof that
//! the lost submit was accepted, and the result at once. Anything less is shown to people. Absence from
//! the export proves nothing: what is still being made, failed or was not found is not in it.

use std::collections::BTreeMap;

use domain::{Event, Fault, Input, JobId, JobState, Provider, Status, Timestamp};
use providers::{Outcome, RemoteJob};
use store::planted::{self, Bug};
use store::{LaneKey, Outcome as Fate, StoreError};

use crate::account::Account;
use crate::draft::Draft;
use crate::open::OpenJob;
use crate::planner::Engine;
use crate::submit::untouched;

/// Looks at the export grow as far apart as this.
const LONGEST_PAUSE: std::time::Duration = std::time::Duration::from_secs(3_600);

/// Remote jobs that may be a job in doubt, as an export named them.
#[derive(Debug)]
pub(crate) struct Evidence {
    lane: LaneKey,
    job: JobId,
    candidates: Vec<RemoteJob>,
    at: Timestamp,
}

/// The JAKOV project that a job was submitted to.
pub(super) fn project_of(open: &OpenJob, account: &Account) -> Option<String> {
    match &open.job.input {
        Input::Description(input) => {
            let named = input.project_id.clone().filter(|id| !id.trim().is_empty());
            named.or_else(|| account.defaults.project_id.clone())
        }
        Input::Image(_) | Input::Production(_) => None,
    }
}

/// Whether an export may tell what became of this job.
pub(super) fn can_be_proven(open: &OpenJob, account: &Account) -> bool {
    account.provider == Provider::Jakov
        && open.job.work.status() == Status::InDoubt
        && open.client_ref.is_some()
}

impl Engine {
    /// An export was read: whom it may prove something about. One read answers for all jobs in doubt
    /// of the project.
    pub(super) fn hear_export(
        &mut self,
        key: &LaneKey,
        account: &Account,
        project: &str,
        outcome: &Outcome,
        at: Timestamp,
    ) {
        let mut named = BTreeMap::<&str, Vec<&RemoteJob>>::new();
        if let Outcome::Export(list) = outcome {
            for remote in list {
                if let Some(reference) = &remote.client_product_id {
                    named.entry(reference).or_default().push(remote);
                }
            }
        }
        for open in self.open.values_mut() {
            let ours = open.account == account.name
                && can_be_proven(open, account)
                && project_of(open, account).as_deref() == Some(project);
            if !ours {
                continue;
            }
            open.asking = false;
            let planned = open.job.work.submitted_at.unwrap_or(at);
            let pause = at.since(planned).max(account.timing.evidence_first);
            open.next_read = at + pause.min(LONGEST_PAUSE);
            let found = open.client_ref.as_deref().and_then(|own| named.get(own));
            let nothing = Vec::new();
            let found = found.or(planted::has(Bug::ShortExportIsWhole).then_some(&nothing));
            let Some(found) = found else {
                continue;
            };
            // What was made before the intent is an earlier job with the same id.
            let earliest = planned.before(account.timing.submit_timeout);
            let candidates: Vec<RemoteJob> = found
                .iter()
                .filter(|remote| remote.created_at.is_none_or(|created| created >= earliest))
                .map(|remote| (*remote).clone())
                .collect();
            self.evidence.push(Evidence {
                lane: key.clone(),
                job: open.job.id,
                candidates,
                at,
            });
        }
    }

    /// Decides where the evidence is one-to-one; else writes down what was seen.
    pub(crate) async fn weigh_evidence(&mut self, draft: &mut Draft) -> Result<(), StoreError> {
        for mut evidence in std::mem::take(&mut self.evidence) {
            let ids: Vec<String> = evidence
                .candidates
                .iter()
                .map(|remote| remote.remote_id.clone())
                .collect();
            let known = self
                .store
                .submissions_of_remotes(&evidence.lane, &ids)
                .await?;
            evidence.candidates.retain(|remote| {
                let is_known = known
                    .iter()
                    .any(|row| row.remote_id.as_ref() == Some(&remote.remote_id));
                let is_taken = self
                    .open
                    .values()
                    .any(|open| open.remote_id() == Some(remote.remote_id.as_str()));
                !is_known && !is_taken
            });
            match evidence.candidates.as_slice() {
                [] if planted::has(Bug::ShortExportIsWhole) => {
                    if let Some(open) = self.open.get_mut(&evidence.job) {
                        let event = Event::Resolved(domain::Resolution::Resubmit);
                        draft.apply(open, &event, &evidence.lane, evidence.at);
                    }
                    self.close_if_over(&evidence.lane, evidence.job, evidence.at, draft);
                }
                [] => {}
                [remote] if !remote.remote_id.is_empty() => {
                    let remote = remote.clone();
                    self.adopt(&evidence, &remote, draft);
                }
                several => {
                    let ids: Vec<&str> = several
                        .iter()
                        .map(|remote| remote.remote_id.as_str())
                        .collect();
                    let why = format!("the export names {} that could be it", ids.join(", "));
                    self.note_candidates(&evidence, why, draft);
                }
            }
        }
        Ok(())
    }

    fn adopt(&mut self, evidence: &Evidence, remote: &RemoteJob, draft: &mut Draft) {
        let Evidence { lane, job, at, .. } = evidence;
        let Some(open) = self.open.get_mut(job) else {
            return;
        };
        let Some(account) = self.accounts.get(&open.account).cloned() else {
            return;
        };
        let event = Event::Accepted {
            submission: open.submission.clone(),
            remote_id: remote.remote_id.clone(),
            status: Some(remote.status.clone()).filter(|status| !status.is_empty()),
        };
        if !draft.apply(open, &event, lane, *at) {
            return;
        }
        tracing::info!(job.id = %job, "the export proves that the lost submit was accepted");
        open.fate = Fate::Accepted;
        let mut change = untouched(&open.submission, *job, Fate::Accepted, *at);
        change.remote_id = Some(remote.remote_id.clone());
        change.reason = Some("proven by the export, which carries its clientProductId".to_owned());
        change.credits = open.job.work.credits;
        if planted::has(Bug::CostBookedTwice) {
            change.credits = change.credits.map(|credits| credits * 2);
        }
        draft.outcome(change);
        self.see_remote(lane, &account, *job, remote, *at, draft);
        self.close_if_over(lane, *job, *at, draft);
    }

    fn note_candidates(&mut self, evidence: &Evidence, why: String, draft: &mut Draft) {
        let Evidence { lane, job, at, .. } = evidence;
        let Some(open) = self.open.get_mut(job) else {
            return;
        };
        let JobState::InDoubt { why: known, .. } = &open.job.work.state else {
            return;
        };
        if known.message != why {
            let event = Event::OutcomeUnknown {
                submission: open.submission.clone(),
                why: Fault::new("candidates", why),
            };
            draft.apply(open, &event, lane, *at);
        }
    }
}
