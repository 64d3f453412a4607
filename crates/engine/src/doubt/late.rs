//! A doubt that a person ended, or that was sent again, and of which it comes out that the provider had
//! accepted it. The charge is a fact, and is booked on the submission that caused it. A job that was given
//! up, and that nobody tried again, is adopted: what was paid for comes home. A job that was sent again
//! keeps the later submission's result; its row says that it was charged twice.

use domain::{Event, JobState, Status, Timestamp};
use providers::RemoteJob;
use serde_json::{Value, json};
use store::{
    Job, LaneKey, NewEvent, Outcome as Fate, StoreError, SubmissionJobChange, SubmissionRow,
};

use super::fit::{Doubt, Reading, Source, Unclaimed};
use super::told::candidate;
use crate::draft::{Draft, Intent, change_of};
use crate::open::OpenJob;
use crate::planner::Engine;
use crate::recover::verdict_of;
use crate::submit::{ItemVerdict, untouched};

/// The timeline's word, for both.
const LATE: &str = "accepted_late";

/// What is known of the late acceptance.
struct Late<'a> {
    key: &'a LaneKey,
    doubt: &'a Doubt,
    found: &'a Unclaimed,
    row: SubmissionRow,
    reason: String,
    now: Timestamp,
}

impl Late<'_> {
    fn change(&self) -> SubmissionJobChange {
        let doubt = self.doubt;
        SubmissionJobChange {
            remote_id: Some(self.found.remote.remote_id.clone()),
            reason: Some(self.reason.clone()),
            credits: self.row.price,
            ..untouched(&doubt.submission, doubt.job, Fate::Accepted, self.now)
        }
    }

    fn detail(&self, becomes: &str) -> Value {
        json!({
            "remote_id": self.found.remote.remote_id,
            "credits": self.row.price,
            "why": self.reason,
            "becomes": becomes,
            "evidence": candidate(self.found),
        })
    }

    fn event(&self, status: Status, becomes: &str) -> NewEvent {
        NewEvent {
            job: self.doubt.job,
            at: self.now,
            event: LATE.to_owned(),
            from: status,
            to: status,
            submission: Some(self.doubt.submission.clone()),
            detail: self.detail(becomes),
            lane: Some(self.key.clone()),
        }
    }

    fn warning(&self) -> String {
        let cost = match self.row.price {
            Some(1) => "1 credit".to_owned(),
            Some(credits) => format!("{credits} credits"),
            None => "an unknown price".to_owned(),
        };
        format!(
            "an earlier submission, sent at {}, had been accepted after all as {}, at {cost} more; its \
             result is not used",
            self.row.planned_at, self.found.remote.remote_id
        )
    }
}

const TOLD_LATE: &str = "told by the answer to the submit itself, which came after it was decided";

const NOT_USED: &str = "a charge without a result: the job was sent again";

impl Engine {
    /// Looks whether an earlier owner of the lane brought the answer to what was given up, or sent again,
    /// before anybody knew.
    pub(crate) async fn hear_late_answers(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let accounts = self.accounts_of(key);
        let names: Vec<String> = accounts.iter().map(|a| a.name.clone()).collect();
        for row in self.past_doubts(&names, now).await? {
            let Some(ItemVerdict::Accepted { remote_id, .. }) = verdict_of(&row) else {
                continue;
            };
            let past = &mut self.doubts.of(key).past;
            let known = |past: &Doubt| past.submission == row.id && past.job == row.job;
            let Some(place) = past.iter().position(known) else {
                continue;
            };
            let doubt = past.remove(place);
            let found = Unclaimed {
                remote: RemoteJob::named(remote_id),
                source: Source::Answer,
                heard_at: row.answered_at.unwrap_or(now),
                born_at: None,
                place: None,
                hook: None,
                read: Reading::NotNeeded,
            };
            self.book_late(key, &doubt, &found, TOLD_LATE.to_owned(), now, draft)
                .await?;
        }
        Ok(())
    }

    /// Books what a past doubt turned out to have cost, and adopts it where the job has nothing else.
    pub(super) async fn book_late(
        &mut self,
        key: &LaneKey,
        doubt: &Doubt,
        found: &Unclaimed,
        reason: String,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        // Once it is durable the ledger knows the remote job, and it leaves the unclaimed ones.
        self.doubts.of(key).has_news = true;
        let rows = self.store.submissions(doubt.job).await?;
        let row = rows.into_iter().find(|row| row.id == doubt.submission);
        let Some(row) = row.filter(|row| row.outcome == Fate::Unknown) else {
            return Ok(());
        };
        let late = Late {
            key,
            doubt,
            found,
            row,
            reason,
            now,
        };
        if self.open.contains_key(&doubt.job) {
            self.book_on_open(&late, draft);
            return Ok(());
        }
        match self.store.job(doubt.job).await? {
            None => draft.outcome(late.change()),
            Some(job) if is_given_up(&job, doubt) => self.adopt_late(&late, job, draft),
            Some(job) => book_on_row(&late, job, draft),
        }
        Ok(())
    }

    fn book_on_open(&mut self, late: &Late<'_>, draft: &mut Draft) {
        let Some(open) = self.open.get_mut(&late.doubt.job) else {
            return;
        };
        let status = open.job.work.status();
        add_credits(&mut open.job, late.row.price);
        open.job.warning = Some(late.warning());
        let warning = open.job.warning.clone();
        draft.batch.events.push(late.event(status, NOT_USED));
        draft.touch(open, late.key, late.now).warning = warning;
        draft.outcome(late.change());
    }

    fn adopt_late(&mut self, late: &Late<'_>, job: Job, draft: &mut Draft) {
        let Some(account) = self.accounts.get(&late.doubt.account).cloned() else {
            return;
        };
        let Late {
            key,
            found,
            doubt,
            now,
            ..
        } = *late;
        let remote = &found.remote;
        let mut open = OpenJob::new(job, account.name.clone(), doubt.submission.clone(), now);
        open.client_ref.clone_from(&doubt.client_ref);
        let event = Event::AcceptedLate {
            submission: doubt.submission.clone(),
            remote_id: remote.remote_id.clone(),
            status: Some(remote.status.clone()).filter(|status| !status.is_empty()),
        };
        let becomes = "the job's result: it had been given up, and nothing else was sent";
        if !draft.apply_as(&mut open, &event, (LATE, late.detail(becomes)), key, now) {
            return;
        }
        open.fate = Fate::Accepted;
        self.open.insert(doubt.job, open);
        draft.outcome(late.change());
        self.see_remote(key, &account, doubt.job, remote, now, draft);
        if let Some(open) = self.open.get_mut(&doubt.job) {
            open.floor = open.next_read;
        }
        self.close_if_over(key, doubt.job, now, draft);
    }
}

/// It failed by this very doubt, and was not tried again.
fn is_given_up(job: &Job, doubt: &Doubt) -> bool {
    matches!(job.work.state, JobState::Failed { remote: None, .. })
        && job.work.submitted_at == Some(doubt.planned_at)
}

/// The row waits, or is over: it changes unless another program changed it meanwhile, and then the next
/// look does.
fn book_on_row(late: &Late<'_>, mut job: Job, draft: &mut Draft) {
    if !draft.touched.insert(job.id) {
        return;
    }
    add_credits(&mut job, late.row.price);
    job.warning = Some(late.warning());
    let change = change_of(&job, Some(late.key), late.now);
    draft.intents.push(Intent::Change {
        change: Box::new(change),
        event: Some(late.event(job.work.status(), NOT_USED)),
        released: vec![late.change()],
        command: None,
    });
}

/// What the job cost grows where its own price is settled; a job that is still to be sent, or whose
/// outcome is open, shows the price of that submission alone.
fn add_credits(job: &mut Job, credits: Option<i64>) {
    let settled = job.work.state.remote().is_some();
    if let (true, Some(more)) = (settled, credits) {
        job.work.credits = Some(job.work.credits.unwrap_or_default() + more);
    }
}
