//! What a step is about to write. Conclusions change memory at once, since only the lane's owner
//! moves open jobs; intents change memory when they are durable, since they rest on pending rows
//! that any program may change or delete in between.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Event, Fault, JobId, Resolution, SubmissionId, Timestamp, next};
use serde_json::{Value, json};
use store::{
    Batch, Epoch, Job, JobChange, LaneKey, NewEvent, NewRequest, NewSubmission, Pause, PauseChange,
    SubmissionJobChange,
};

use crate::act::Act;
use crate::lane::Places;
use crate::open::OpenJob;

/// A paid POST that leaves as soon as it is durable.
#[derive(Debug)]
pub(crate) struct SubmitIntent {
    pub(crate) lane: LaneKey,
    pub(crate) submission: NewSubmission,
    pub(crate) request: NewRequest,
    pub(crate) jobs: Vec<OpenJob>,
    pub(crate) changes: Vec<(JobChange, NewEvent)>,
    pub(crate) act: Act,
    pub(crate) places: Places,
}

/// Something that counts only once it is durable.
#[derive(Debug)]
pub(crate) enum Intent {
    /// A paid POST: the jobs move to `submitting`.
    Submit(Box<SubmitIntent>),
    /// Any other request.
    Read {
        lane: LaneKey,
        request: Box<NewRequest>,
        act: Box<Act>,
    },
    /// A pending job's place in the queue changes.
    Priority {
        change: store::PriorityChange,
        command: store::CommandDone,
    },
    /// A pending or terminal row changes without a request.
    Change {
        change: Box<JobChange>,
        event: Option<NewEvent>,
        /// Submissions of it that no longer hold it back.
        released: Vec<store::SubmissionJobChange>,
        command: Option<store::CommandDone>,
    },
}

impl Intent {
    /// A pending row changes, and nothing else with it.
    pub(crate) fn row(change: JobChange, event: Option<NewEvent>) -> Self {
        Self::Change {
            change: Box::new(change),
            event,
            released: Vec::new(),
            command: None,
        }
    }

    pub(crate) fn submits_for(&self, key: &LaneKey) -> bool {
        matches!(self, Self::Submit(submit) if submit.lane == *key)
    }

    pub(crate) fn concerns(&self, stale: &[JobId]) -> bool {
        match self {
            Self::Submit(submit) => submit.jobs.iter().any(|open| stale.contains(&open.id())),
            Self::Read { .. } => false,
            Self::Change { change, .. } => stale.contains(&change.job),
            Self::Priority { change, .. } => stale.contains(&change.job),
        }
    }
}

/// All that a step writes.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) batch: Batch,
    jobs: BTreeMap<JobId, JobChange>,
    outcomes: BTreeMap<(SubmissionId, JobId), SubmissionJobChange>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) acts: Vec<Act>,
    pub(crate) moved: BTreeMap<&'static str, u64>,
    /// Source images that pending jobs need, and of which nothing is known yet.
    pub(crate) sources_wanted: BTreeSet<JobId>,
    /// Source images that pending rows want and nobody has looked at, with the account that would.
    pub(crate) looks_wanted: BTreeMap<String, String>,
    /// Something was found out that lets more be done at once.
    pub(crate) again: bool,
    /// Pending or terminal rows that this step changes already: nothing else of it may rest on them.
    pub(crate) touched: BTreeSet<JobId>,
}

/// The change that carries a job's whole work.
pub(crate) fn change_of(job: &Job, lane: Option<&LaneKey>, now: Timestamp) -> JobChange {
    JobChange {
        job: job.id,
        version: job.version,
        lane: lane.cloned(),
        taken_by: job.taken_by.clone(),
        work: job.work.clone(),
        not_before: job.not_before,
        warning: job.warning.clone(),
        description: None,
        result_url: None,
        at: now,
    }
}

fn detail_of(event: &Event) -> Value {
    let fault = |fault: &Fault| json!({ "code": fault.code, "message": fault.message });
    match event {
        Event::FoundInvalid(why) | Event::CaptureTrouble(why) => fault(why),
        Event::HeldBack(why) => why.as_ref().map_or(Value::Null, fault),
        Event::SubmitPlanned { price, .. } => json!({ "price": price }),
        Event::Accepted {
            remote_id, status, ..
        } => json!({ "remote_id": remote_id, "remote_status": status }),
        Event::AcceptedLate {
            remote_id, status, ..
        } => json!({ "remote_id": remote_id, "remote_status": status }),
        Event::Refused { fault: why, .. } => fault(why),
        Event::OutcomeUnknown { why, .. } | Event::RemoteIsAnothers { why } => fault(why),
        Event::Seen { status } | Event::Ended { status } | Event::RemoteCancelled { status } => {
            json!({ "remote_status": status })
        }
        Event::ResultStored { status } => json!({ "remote_status": status }),
        Event::RemoteFailed {
            fault: why,
            status,
            resubmit,
        } => json!({
            "code": why.code, "message": why.message,
            "remote_status": status, "resubmit": resubmit,
        }),
        Event::CancelAsked { how, .. } => json!({ "how": how }),
        Event::RetryAsked => Value::Null,
        Event::Resolved(resolution) => json!({ "decision": as_asked(resolution) }),
    }
}

/// A decision as `job_commands` writes it.
fn as_asked(resolution: &Resolution) -> String {
    match resolution {
        Resolution::Adopt { remote_id } => format!("adopt:{remote_id}"),
        Resolution::Resubmit => "resubmit".to_owned(),
        Resolution::GiveUp => "give_up".to_owned(),
    }
}

/// Moves `job` by the one transition function. `None`: the event cannot happen here, nothing changed.
pub(crate) fn moved(
    job: &mut Job,
    event: &Event,
    lane: Option<&LaneKey>,
    now: Timestamp,
) -> Option<NewEvent> {
    let from = job.work.status();
    let submission = job.work.state.submission().cloned();
    match next(&job.work, event, now) {
        Ok(work) => job.work = work,
        Err(illegal) => {
            tracing::debug!(job.id = %job.id, %illegal, "nothing changes");
            return None;
        }
    }
    let submission = job.work.state.submission().cloned().or(submission);
    Some(NewEvent {
        job: job.id,
        at: now,
        event: event.name().to_owned(),
        from,
        to: job.work.status(),
        submission,
        detail: detail_of(event),
        lane: lane.cloned(),
    })
}

impl Draft {
    pub(crate) fn fence(&mut self, lane: &LaneKey, epoch: Epoch) {
        self.batch.fences.push((lane.clone(), epoch));
    }

    /// An open job moves. Whether it did.
    pub(crate) fn apply(
        &mut self,
        open: &mut OpenJob,
        event: &Event,
        lane: &LaneKey,
        now: Timestamp,
    ) -> bool {
        let before = open.job.work.status();
        let Some(line) = moved(&mut open.job, event, Some(lane), now) else {
            return false;
        };
        if open.job.work.status() != before {
            *self
                .moved
                .entry(open.job.work.status().as_str())
                .or_default() += 1;
        }
        self.batch.events.push(line);
        self.touch(open, lane, now);
        true
    }

    /// As [`Draft::apply`], told under another name and with more than the event itself holds.
    pub(crate) fn apply_as(
        &mut self,
        open: &mut OpenJob,
        event: &Event,
        told: (&str, Value),
        lane: &LaneKey,
        now: Timestamp,
    ) -> bool {
        let applied = self.apply(open, event, lane, now);
        if applied && let Some(line) = self.batch.events.last_mut() {
            let (name, detail) = told;
            name.clone_into(&mut line.event);
            line.detail = detail;
        }
        applied
    }

    /// A webhook was dealt with. In one batch each is written once, with the last word.
    pub(crate) fn webhook(&mut self, done: store::WebhookDone) {
        self.batch.webhooks.retain(|before| before.id != done.id);
        self.batch.webhooks.push(done);
    }

    /// The row of an open job is written again. In one batch a row changes once, so that later
    /// moves of the same step go into the same change.
    pub(crate) fn touch(
        &mut self,
        open: &mut OpenJob,
        lane: &LaneKey,
        now: Timestamp,
    ) -> &mut JobChange {
        let entry = self.jobs.entry(open.job.id);
        let known = match &entry {
            std::collections::btree_map::Entry::Vacant(_) => None,
            std::collections::btree_map::Entry::Occupied(known) => Some(known.get().version),
        };
        let change = entry.or_insert_with(|| change_of(&open.job, Some(lane), now));
        if known.is_none() {
            open.job.version += 1;
        }
        change.work = open.job.work.clone();
        change.not_before = open.job.not_before;
        change.at = now;
        change
    }

    /// A job's version in the database is another one than we thought (a program changed its
    /// priority): conclusions about it still hold.
    pub(crate) fn correct_version(&mut self, job: JobId, version: i64) {
        if let Some(change) = self.jobs.get_mut(&job) {
            change.version = version;
        }
    }

    /// What became of a submission's job. In one batch it is written once, with the last word.
    pub(crate) fn outcome(&mut self, change: SubmissionJobChange) {
        let key = (change.submission.clone(), change.job);
        let merged = match self.outcomes.remove(&key) {
            None => change,
            Some(before) => SubmissionJobChange {
                remote_id: change.remote_id.or(before.remote_id),
                location: change.location.or(before.location),
                reason: change.reason.or(before.reason),
                credits: change.credits.or(before.credits),
                ended: change.ended || before.ended,
                released: change.released || before.released,
                ..change
            },
        };
        self.outcomes.insert(key, merged);
    }

    /// A group of endpoints rests, or goes on. The last word of a step counts.
    pub(crate) fn pause(&mut self, pause: Pause) {
        self.forget_pause(&pause.lane, &pause.endpoints, &pause.code);
        self.batch.pauses.push(PauseChange::Set(pause));
    }

    pub(crate) fn lift(&mut self, pause: &Pause) {
        self.forget_pause(&pause.lane, &pause.endpoints, &pause.code);
        self.batch.pauses.push(PauseChange::Lift {
            lane: pause.lane.clone(),
            endpoints: pause.endpoints.clone(),
            code: pause.code.clone(),
        });
    }

    fn forget_pause(&mut self, of: &LaneKey, group: &str, why: &str) {
        self.batch.pauses.retain(|change| match change {
            PauseChange::Set(Pause {
                lane,
                endpoints,
                code,
                ..
            })
            | PauseChange::Lift {
                lane,
                endpoints,
                code,
            } => (lane, endpoints.as_str(), code.as_str()) != (of, group, why),
        });
    }

    /// Submissions that leave with this step.
    pub(crate) fn submissions(&self) -> impl Iterator<Item = SubmissionId> {
        self.intents.iter().filter_map(|intent| match intent {
            Intent::Submit(submit) => Some(submit.submission.id.clone()),
            Intent::Read { .. } | Intent::Priority { .. } | Intent::Change { .. } => None,
        })
    }

    /// Jobs that leave with this step.
    pub(crate) fn leaving(&self) -> BTreeSet<JobId> {
        self.intents
            .iter()
            .filter_map(|intent| match intent {
                Intent::Submit(submit) => Some(submit.jobs.iter().map(OpenJob::id)),
                Intent::Read { .. } | Intent::Priority { .. } | Intent::Change { .. } => None,
            })
            .flatten()
            .collect()
    }

    /// What this step says of submissions.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = &SubmissionJobChange> {
        self.outcomes.values()
    }

    pub(crate) fn has_conclusion_on(&self, job: JobId) -> bool {
        self.jobs.contains_key(&job)
    }

    pub(crate) fn is_empty(&self) -> bool {
        let batch = &self.batch;
        self.jobs.is_empty()
            && self.intents.is_empty()
            && batch.answers.is_empty()
            && batch.answered.is_empty()
            && batch.deliverables.is_empty()
            && self.outcomes.is_empty()
            && batch.events.is_empty()
            && batch.commands.is_empty()
            && batch.account_commands.is_empty()
            && batch.pauses.is_empty()
            && batch.lengths.is_empty()
            && batch.refusals.is_empty()
            && batch.webhooks.is_empty()
    }

    /// All of it as one transaction.
    pub(crate) fn to_batch(&self) -> Batch {
        let mut batch = self.batch.clone();
        batch.jobs = self.jobs.values().cloned().collect();
        batch.outcomes = self.outcomes.values().cloned().collect();
        for intent in &self.intents {
            match intent {
                Intent::Submit(submit) => {
                    batch.submissions.push(submit.submission.clone());
                    batch.requests.push(submit.request.clone());
                    for (change, event) in &submit.changes {
                        batch.jobs.push(change.clone());
                        batch.events.push(event.clone());
                    }
                }
                Intent::Read { request, .. } => batch.requests.push((**request).clone()),
                Intent::Priority { change, command } => {
                    batch.priorities.push(change.clone());
                    batch.commands.push(command.clone());
                }
                Intent::Change {
                    change,
                    event,
                    released,
                    command,
                    ..
                } => {
                    batch.jobs.push((**change).clone());
                    batch.events.extend(event.clone());
                    batch.outcomes.extend(released.iter().cloned());
                    batch.commands.extend(command.clone());
                }
            }
        }
        batch
    }
}
