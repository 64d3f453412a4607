//! One paid POST: which jobs travel together, the bytes, and the durable intent.

use std::sync::Arc;

use domain::{Event, JobId, SubmissionId, Timestamp};
use providers::{Call, DescriptionItem, Submit};
use sha2::{Digest, Sha256};
use store::{Job, LaneKey, NewRequest, NewSubmission, NewSubmissionJob};

use super::ready::Ready;
use crate::draft::{Draft, Intent, change_of, moved};
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
        lane.parts.retain(|part| {
            !part
                .iter()
                .any(|id| mates.iter().any(|mate| mate.id() == *id))
        });
        let submission = SubmissionId(self.ids.next(now));
        let flight = self.ids.next(now);
        let mut items = Vec::new();
        let mut travellers = Vec::new();
        let mut changes = Vec::new();
        for mut mate in mates {
            let Some(lane) = self.lanes.get_mut(key) else {
                return;
            };
            lane.had_a_turn(mate.job.batch.as_deref());
            let reference = client_ref(&mate.job, &lane.live_refs);
            lane.live_refs.insert(reference.clone());
            let mut change = change_of(&mate.job, Some(key), now);
            let event = Event::SubmitPlanned {
                submission: submission.clone(),
                price: mate.price,
            };
            let Some(line) = moved(&mut mate.job, &event, Some(key), now) else {
                continue;
            };
            mate.job.taken_by = Some(account.name.clone());
            mate.job.not_before = None;
            mate.job.warning.clone_from(&mate.warning);
            change.work = mate.job.work.clone();
            change.taken_by.clone_from(&mate.job.taken_by);
            change.not_before = None;
            change.warning = mate.warning;
            mate.job.version += 1;
            changes.push((change, line));
            items.push((mate.submit, reference.clone(), mate.price, mate.job.id));
            let mut open = OpenJob::new(mate.job, account.name.clone(), submission.clone(), now);
            open.client_ref = Some(reference);
            travellers.push(open);
        }
        let jobs = items
            .iter()
            .map(|(_, reference, price, job)| NewSubmissionJob {
                job: *job,
                client_ref: Some(reference.clone()),
                price: *price,
            })
            .collect();
        let Some(submit) = joined(items) else {
            return;
        };
        let operation = operation(&submit).to_owned();
        let call = Call::Submit(submit);
        let body = account.client.request(&call).into_body();
        draft.intents.push(Intent::Submit {
            lane: key.clone(),
            submission: NewSubmission {
                id: submission.clone(),
                lane: key.clone(),
                account: account.name.clone(),
                provider: account.provider,
                operation,
                request_hash: hex(&Sha256::digest(&body)),
                planned_at: now,
                jobs,
            },
            request: NewRequest {
                id: flight.clone(),
                lane: key.clone(),
                account: account.name.clone(),
                endpoints: group.to_owned(),
                verb: "submit".to_owned(),
                job: travellers
                    .first()
                    .filter(|_| travellers.len() == 1)
                    .map(OpenJob::id),
                submission: Some(submission),
                quota,
                sent_at: now,
            },
            jobs: travellers,
            changes,
            act: send(&flight, &account, call),
            places,
        });
    }
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

/// One body for all items.
fn joined(items: Vec<(Submit, String, Option<i64>, JobId)>) -> Option<Submit> {
    let mut whole: Option<Submit> = None;
    for (submit, reference, _, _) in items {
        let submit = match submit {
            Submit::Descriptions { project_id, items } => Submit::Descriptions {
                project_id,
                items: items
                    .into_iter()
                    .map(|item| DescriptionItem {
                        client_product_id: reference.clone(),
                        ..item
                    })
                    .collect(),
            },
            other => other,
        };
        match (&mut whole, submit) {
            (
                Some(Submit::Descriptions { items, .. }),
                Submit::Descriptions { items: more, .. },
            ) => items.extend(more),
            (whole, submit) => *whole = Some(submit),
        }
    }
    whole
}

fn operation(submit: &Submit) -> &'static str {
    match submit {
        Submit::Descriptions { .. } => "descriptions",
        Submit::Generate { .. } => "generate",
        Submit::Upscale { .. } => "upscale",
        Submit::Production { .. } => "production",
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
