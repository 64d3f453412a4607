//! What an earlier owner of a lane left between an intent and its conclusion.
//!
//! If the answer is here as a fact, the conclusion is drawn from it, whoever heard it. If the request
//! surely never left, the job is pending again. If that owner may still live, frozen or cut off, it may
//! yet hear the answer: its submission is an orphan until its time-out has passed. After that, nobody
//! knows: in doubt, and a late answer is still adopted.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{Event, Fault, JobId, Status, SubmissionId, Timestamp, Verdict};
use store::planted::{self, Bug};
use store::{LaneKey, Outcome as Fate, StoreError, SubmissionRow};

use crate::draft::Draft;
use crate::flight::Flight;
use crate::load::Ledger;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};
use crate::submit::{ItemVerdict, untouched};

/// How long bytes of a process that is gone may still travel.
pub(crate) const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// How often answers that an earlier owner may bring are looked for while they are waited for.
const LOOK_FOR_ANSWERS: Duration = Duration::from_secs(1);

/// The longest between two looks for an answer to what is in doubt already.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

impl Engine {
    /// Settles what was submitting when the lane's earlier owner went: by the facts in `rows`, by what this
    /// process itself never sent, or by whether that owner may still live.
    pub(crate) fn settle_interrupted(
        &mut self,
        key: &LaneKey,
        rows: &[&SubmissionRow],
        unsent: &BTreeSet<SubmissionId>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        for row in rows {
            self.conclude(key, row, now, draft);
        }
        let in_flight: BTreeSet<JobId> = self
            .flights
            .values()
            .filter_map(|flight| match flight {
                Flight::Submit { jobs, .. } => Some(jobs.iter().copied()),
                _ => None,
            })
            .flatten()
            .collect();
        let ours = self.submitting_of(key);
        for (job, submission, planned) in ours {
            if in_flight.contains(&job) {
                continue;
            }
            if unsent.contains(&submission) || planted::has(Bug::BlindRetry) {
                self.never_sent(key, job, now, draft);
                continue;
            }
            let until = planned + self.submit_timeout(key) + ON_ITS_WAY;
            if !self.others_may_live || until <= now {
                self.interrupted(key, job, now, draft);
            } else if let Some(lane) = self.lanes.get_mut(key) {
                lane.orphans.insert(submission, until);
            }
        }
    }

    /// Open jobs may rest on a submission of another lane, since an account gets a new key now and then, or
    /// on one that counted as over when it was adopted.
    pub(crate) async fn add_what_other_keys_sent(
        &mut self,
        key: &LaneKey,
        jobs: &[store::Job],
        ledger: &mut Ledger,
    ) -> Result<(), StoreError> {
        for job in jobs {
            let Some(submission) = job.work.state.submission() else {
                continue;
            };
            let known = ledger.get(submission);
            if known.is_some_and(|rows| rows.iter().any(|row| row.job == job.id)) {
                continue;
            }
            let rows = self.store.submissions(job.id).await?;
            if let Some(row) = rows.into_iter().find(|row| row.id == *submission) {
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.live_refs.extend(row.client_ref.clone());
                }
                ledger.entry(row.id.clone()).or_default().push(row);
            }
        }
        Ok(())
    }

    /// Looks for answers that an earlier owner brought, and gives up waiting for those that did not come.
    pub(crate) async fn adopt_orphans(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        let Some(lane) = self.lanes.get(key).filter(|_| self.others_may_live) else {
            return Ok(());
        };
        let (waits, answers_at) = (!lane.orphans.is_empty(), lane.answers_at);
        let is_doubt = |open: &OpenJob| open.job.work.status() == Status::InDoubt;
        let in_doubt = self
            .open
            .awake()
            .any(|open| is_doubt(open) && self.is_of(open, key));
        if !waits && !in_doubt && !self.has_past_doubts(key) {
            return Ok(());
        }
        if now >= answers_at {
            for row in self
                .store
                .answered_submissions(std::slice::from_ref(key))
                .await?
            {
                self.conclude(key, &row, now, draft);
            }
            self.give_up_orphans(key, now, draft);
            if self.has_past_doubts(key) {
                self.hear_late_answers(key, now, draft).await?;
            }
            let again = if waits {
                LOOK_FOR_ANSWERS
            } else {
                self.look_again(key)
            };
            if let Some(lane) = self.lanes.get_mut(key) {
                lane.answers_at = now + again;
            }
        }
        if let Some(lane) = self.lanes.get(key) {
            wake.at(lane.answers_at);
        }
        Ok(())
    }

    fn give_up_orphans(&mut self, key: &LaneKey, now: Timestamp, draft: &mut Draft) {
        let waiting = self.submitting_of(key);
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let known = |id: &SubmissionId| waiting.iter().any(|(_, submission, _)| submission == id);
        lane.orphans.retain(|id, _| known(id));
        let over = |until: &Timestamp| *until <= now;
        let late: Vec<JobId> = waiting
            .iter()
            .filter(|(_, submission, _)| lane.orphans.get(submission).is_some_and(over))
            .map(|(job, ..)| *job)
            .collect();
        lane.orphans.retain(|_, until| !over(until));
        for job in late {
            self.interrupted(key, job, now, draft);
        }
    }

    /// Draws the conclusion of one job from its submission's answer, if there is one and it says more than
    /// is known.
    fn conclude(&mut self, key: &LaneKey, row: &SubmissionRow, now: Timestamp, draft: &mut Draft) {
        let Some(verdict) = verdict_of(row) else {
            return;
        };
        let Some(open) = self.open.get(&row.job) else {
            return;
        };
        let news = match open.job.work.status() {
            Status::Submitting => true,
            Status::InDoubt => !matches!(verdict, ItemVerdict::Unknown { .. }),
            _ => false,
        };
        if !news || open.submission != row.id {
            return;
        }
        let Some(account) = self.accounts.get(&open.account).cloned() else {
            return;
        };
        tracing::info!(job.id = %row.job, "an answer that an earlier owner of the lane heard is adopted");
        self.settle_item(key, &account, &row.id, row.job, verdict, now, draft);
    }

    /// The jobs of this lane that are submitting, with their submission and its time.
    fn submitting_of(&self, key: &LaneKey) -> Vec<(JobId, SubmissionId, Timestamp)> {
        let open = self.open.awake();
        open.filter(|open| open.job.work.status() == Status::Submitting && self.is_of(open, key))
            .map(|open| {
                let planned = open.job.work.submitted_at.unwrap_or_default();
                (open.id(), open.submission.clone(), planned)
            })
            .collect()
    }

    fn is_of(&self, open: &OpenJob, key: &LaneKey) -> bool {
        let account = self.accounts.get(&open.account);
        account.is_some_and(|account| account.lane == *key)
    }

    fn submit_timeout(&self, key: &LaneKey) -> Duration {
        let accounts = self
            .accounts
            .values()
            .filter(|account| account.lane == *key);
        accounts
            .map(|account| account.timing.submit_timeout)
            .max()
            .unwrap_or_default()
    }

    fn look_again(&self, key: &LaneKey) -> Duration {
        let account = self.accounts.values().find(|account| account.lane == *key);
        let look_again = account.map_or(LOOK_FOR_ANSWERS, |account| account.timing.look_again);
        look_again.min(LONGEST_LOOK)
    }

    /// Nobody knows whether the bytes arrived.
    fn interrupted(&mut self, key: &LaneKey, job: JobId, now: Timestamp, draft: &mut Draft) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let why = "the worker stopped after the request was made durable and before its answer was; \
                   whether it was sent is unknown";
        open.fate = Fate::Unknown;
        let mut change = untouched(&open.submission, job, Fate::Unknown, now);
        change.reason = Some(why.to_owned());
        let event = Event::OutcomeUnknown {
            submission: open.submission.clone(),
            why: Fault::new("interrupted", why),
        };
        if draft.apply(open, &event, key, now) {
            draft.outcome(change);
        }
        self.close_if_over(key, job, now, draft);
    }

    /// The intent is durable, and nothing was handed out: back to pending, nothing lost.
    fn never_sent(&mut self, key: &LaneKey, job: JobId, now: Timestamp, draft: &mut Draft) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let why = "the request was made durable and then not sent: the database had failed";
        let event = Event::Refused {
            submission: open.submission.clone(),
            verdict: Verdict::Wait,
            fault: Fault::new("not_sent", why),
        };
        open.fate = Fate::Refused;
        if draft.apply(open, &event, key, now) {
            let mut change = untouched(&open.submission, job, Fate::Refused, now);
            change.reason = Some(why.to_owned());
            change.ended = true;
            draft.outcome(change);
        }
        self.close_if_over(key, job, now, draft);
    }
}

/// The kept verdict on this job.
pub(crate) fn verdict_of(row: &SubmissionRow) -> Option<ItemVerdict> {
    let place = usize::try_from(row.ordinal).ok()?;
    let kept = row.verdicts.as_ref()?.get(place)?.clone();
    serde_json::from_value(kept)
        .inspect_err(
            |error| tracing::error!(submission = row.id.0, %error, "a kept verdict cannot be read"),
        )
        .ok()
}
