//! One paid POST: which jobs travel together, the bytes, and the durable intent.

use std::sync::Arc;

use domain::{Event, JobId, SubmissionId, Timestamp};
use providers::{Call, Submit};
use sha2::{Digest, Sha256};
use store::planted::{self, Bug};
use store::{Job, JobChange, LaneKey, NewEvent, NewRequest, NewSubmission, NewSubmissionJob};

use super::ready::Ready;
use crate::draft::{Draft, Intent, SubmitIntent, change_of, moved};
use crate::open::OpenJob;
use crate::planner::{Engine, send};

impl Engine {
    /// Puts the first job, and those that can travel with it, into one durable intent.
    pub(crate) fn plan_submit(
        &mut self,
        key: &LaneKey,
        ready: &mut Vec<Ready>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(first) = ready.first() else {
            return;
        };
        let account = Arc::clone(&first.account);
        let group = account.submit_group();
        let quota = first.quota();
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let Some(places) = lane.take(group, quota.as_deref(), true, now) else {
            return;
        };
        let size = if lane.careful || lane.answers_are_ambiguous {
            1
        } else {
            account.policy.batch_size.max(1)
        };
        let mates = together(ready, size, &lane.parts);
        drop_parts(&mut lane.parts, &mates);
        let submission = SubmissionId(self.ids.next(now));
        let flight = self.ids.next(now);
        let (load, over) = self.load_up(key, mates, &submission, now);
        ready.splice(0..0, over);
        let Some(submit) = load.submit else {
            return;
        };
        let call = Call::Submit(submit);
        let body = account.client.request(&call).into_body();
        let one = load.open.first().filter(|_| load.open.len() == 1);
        let request = NewRequest {
            id: flight.clone(),
            lane: key.clone(),
            account: account.name.clone(),
            endpoints: group.to_owned(),
            verb: "submit".to_owned(),
            job: one.map(OpenJob::id),
            submission: Some(submission.clone()),
            quota,
            sent_at: now,
        };
        draft.intents.push(Intent::Submit(Box::new(SubmitIntent {
            lane: key.clone(),
            submission: NewSubmission {
                id: submission,
                lane: key.clone(),
                account: account.name.clone(),
                provider: account.provider,
                operation: operation(&call).to_owned(),
                request_hash: hex(&Sha256::digest(&body)),
                planned_at: now,
                jobs: load.jobs,
            },
            request,
            jobs: load.open,
            changes: load.changes,
            act: send(&flight, &account, call, now),
            places,
        })));
    }

    /// Puts these jobs into one POST, and their prices aside. Also those that would have fitted alone, and
    /// do not beside what goes before them.
    fn load_up(
        &mut self,
        key: &LaneKey,
        mates: Vec<Ready>,
        submission: &SubmissionId,
        now: Timestamp,
    ) -> (Load, Vec<Ready>) {
        let mut load = Load::default();
        let mut over = Vec::new();
        for mate in mates {
            let account = Arc::clone(&mate.account);
            let batch = mate.job.batch.as_deref();
            let refused = self.money.refuses_one(&mate, now);
            let Some(lane) = self.lanes.get_mut(key).filter(|_| !refused) else {
                over.push(mate);
                continue;
            };
            lane.turns.had_one(mate.job.priority, batch);
            let reference = client_ref(&mate.job, &lane.live_refs);
            lane.live_refs.insert(reference.clone());
            load.take(mate, reference, &account.name, submission, key, now);
            if let Some(open) = load.open.last() {
                self.money.reserve(open, now);
            }
        }
        (load, over)
    }
}

/// What one POST carries, gathered job by job.
#[derive(Default)]
struct Load {
    submit: Option<Submit>,
    jobs: Vec<NewSubmissionJob>,
    open: Vec<OpenJob>,
    changes: Vec<(JobChange, NewEvent)>,
}

impl Load {
    fn take(
        &mut self,
        mut one: Ready,
        reference: String,
        account: &str,
        submission: &SubmissionId,
        lane: &LaneKey,
        now: Timestamp,
    ) {
        let mut change = change_of(&one.job, Some(lane), now);
        let event = Event::SubmitPlanned {
            submission: submission.clone(),
            price: one.price,
        };
        let Some(line) = moved(&mut one.job, &event, Some(lane), now) else {
            return;
        };
        one.job.taken_by = Some(account.to_owned());
        one.job.not_before = None;
        one.job.warning.clone_from(&one.warning);
        change.work = one.job.work.clone();
        change.taken_by.clone_from(&one.job.taken_by);
        change.not_before = None;
        change.warning = one.warning;
        one.job.version += 1;
        self.changes.push((change, line));
        self.jobs.push(NewSubmissionJob {
            job: one.job.id,
            client_ref: Some(reference.clone()),
            price: one.price.filter(|_| !planted::has(Bug::ReservationDropped)),
        });
        self.put(one.submit, &reference);
        let mut open = OpenJob::new(one.job, account.to_owned(), submission.clone(), now);
        open.client_ref = Some(reference);
        self.open.push(open);
    }

    /// One body for all: only descriptions travel together.
    fn put(&mut self, submit: Submit, reference: &str) {
        let mut submit = submit;
        if let Submit::Descriptions { items, .. } = &mut submit {
            for item in items {
                reference.clone_into(&mut item.client_product_id);
            }
        }
        match (&mut self.submit, submit) {
            (
                Some(Submit::Descriptions { items, .. }),
                Submit::Descriptions { items: more, .. },
            ) => items.extend(more),
            (whole, submit) => *whole = Some(submit),
        }
    }
}

/// The parts of refused batches that these jobs leave are forgotten.
fn drop_parts(parts: &mut std::collections::VecDeque<Vec<JobId>>, mates: &[Ready]) {
    let leaves = |id: &JobId| mates.iter().any(|mate| mate.id() == *id);
    parts.retain(|part| !part.iter().any(leaves));
}

/// Takes the first job out of `ready`, and those that travel with it. A job whose batch was refused
/// as a whole travels only with its part of that batch.
fn together(
    ready: &mut Vec<Ready>,
    size: usize,
    parts: &std::collections::VecDeque<Vec<JobId>>,
) -> Vec<Ready> {
    let first = ready.remove(0);
    let part_of = |id: JobId| parts.iter().position(|part| part.contains(&id));
    let part = part_of(first.id());
    let mut mates = vec![first];
    let mut at = 0;
    while mates.len() < size && at < ready.len() {
        let fits = match (ready.get(at), mates.first()) {
            (Some(one), Some(first)) => first.travels_with(one) && part_of(one.id()) == part,
            _ => false,
        };
        if fits {
            mates.push(ready.remove(at));
        } else {
            at += 1;
        }
    }
    mates
}

/// The id under which the provider echoes the job: the row's own, or one of ours where that is
/// missing or another live submission carries it.
fn client_ref(job: &Job, live: &std::collections::BTreeSet<String>) -> String {
    match &job.client_product_id {
        Some(id) if !id.trim().is_empty() && !live.contains(id) => id.clone(),
        _ => format!("vitrine-{}-{}-{}", job.id.kind, job.id.id, job.version),
    }
}

/// The word for this kind of POST in the ledger.
fn operation(call: &Call) -> &'static str {
    match call {
        Call::Submit(Submit::Descriptions { .. }) => "descriptions",
        Call::Submit(Submit::Generate { .. }) => "generate",
        Call::Submit(Submit::Upscale { .. }) => "upscale",
        Call::Submit(Submit::Production { .. }) => "production",
        other => other.verb(),
    }
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
