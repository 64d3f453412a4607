//! What people and programs want of a job: rows of `job_commands`, executed by the lane's owner
//! through the one transition function. Every row gets an outcome, as a word or a sentence.

use domain::{Cancel, Event, JobId, Resolution, Status, Timestamp};
use store::{Command, CommandDone, LaneKey, Outcome as Fate, StoreError};

use crate::draft::{Draft, Intent, change_of, moved};
use crate::planner::{Engine, Wake};
use crate::submit::untouched;

/// Commands read in one step; the rest follows in the next.
const AT_ONCE: u32 = 500;

/// The named CHECK of the tables.
const HIGHEST_PRIORITY: i64 = 1_000_000;

/// What a command asks for.
fn event_of(command: &Command) -> Result<Event, String> {
    let provider = command.job.kind.provider();
    let value = command
        .value
        .as_deref()
        .map(str::trim)
        .filter(|value| !value.is_empty());
    match (command.command.as_str(), value) {
        ("cancel", None) => Ok(Event::CancelAsked {
            how: Cancel::Asked,
            provider,
        }),
        ("cancel", Some("abandon")) => Ok(Event::CancelAsked {
            how: Cancel::Abandon,
            provider,
        }),
        ("retry", None) => Ok(Event::RetryAsked),
        ("resolve", Some("resubmit")) => Ok(Event::Resolved(Resolution::Resubmit)),
        ("resolve", Some("give_up")) => Ok(Event::Resolved(Resolution::GiveUp)),
        ("resolve", Some(value)) => match value.strip_prefix("adopt:") {
            Some(remote_id) if !remote_id.trim().is_empty() => {
                Ok(Event::Resolved(Resolution::Adopt {
                    remote_id: remote_id.trim().to_owned(),
                }))
            }
            _ => Err(format!(
                "refused: resolve takes resubmit, give_up or adopt:REMOTE_ID, not {value:?}"
            )),
        },
        (command, value) => Err(format!(
            "refused: no command {command:?}{}; there are cancel, cancel with abandon, retry, resolve and priority",
            value.map_or_else(String::new, |value| format!(" with the value {value:?}"))
        )),
    }
}

/// Why an event is refused, for the one who asked.
fn refusal(event: &Event, status: Status) -> String {
    match (event, status) {
        (Event::CancelAsked { .. }, Status::Running | Status::Capturing) => {
            "refused: this provider cannot cancel; give the value abandon to end the job here, \
             which keeps its cost"
                .to_owned()
        }
        _ => format!("refused: the job is {status}"),
    }
}

/// Why a submission counts as accepted where a person said so (`submission_jobs.reason`).
pub(crate) const NAMED: &str = "adopted by a person";

impl Engine {
    pub(crate) async fn read_commands(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        if now < self.commands_at {
            wake.at(self.commands_at);
            return Ok(());
        }
        let commands = self.store.open_commands(AT_ONCE).await?;
        let full = commands.len() >= AT_ONCE as usize;
        let look_again = self
            .accounts
            .values()
            .map(|account| account.timing.look_again)
            .min();
        self.commands_at = now + look_again.unwrap_or_default();
        // Two commands on one job are two steps: the second rests on what the first left.
        let mut seen = std::collections::BTreeSet::new();
        let mut obeyed = 0;
        for command in commands {
            if seen.insert(command.job) {
                obeyed += usize::from(self.obey(&command, now, draft).await?);
            } else {
                self.commands_at = now;
            }
        }
        if full && obeyed > 0 {
            self.commands_at = now;
        }
        wake.at(self.commands_at);
        Ok(())
    }

    /// Whether the command got its outcome; else it is another process's to obey.
    async fn obey(
        &mut self,
        command: &Command,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<bool, StoreError> {
        if command.command == "priority" {
            return self.obey_priority(command, now, draft).await;
        }
        let event = match event_of(command) {
            Ok(event) => event,
            Err(why) => {
                draft.batch.commands.push(done(command, &why, now));
                return Ok(true);
            }
        };
        if let Event::Resolved(Resolution::Adopt { remote_id }) = &event
            && let Some(owner) = self.owner_of_remote(command.job, remote_id).await?
        {
            let why = format!("refused: {remote_id} is known already, as that of {owner}");
            draft.batch.commands.push(done(command, &why, now));
            return Ok(true);
        }
        if self.open.contains_key(&command.job) {
            self.obey_on_open(command, &event, now, draft);
            return Ok(true);
        }
        self.obey_on_row(command, &event, now, draft).await
    }

    /// The job whose submission knows this remote id: one remote job is never two of ours. Those of this
    /// very step are in memory only.
    async fn owner_of_remote(
        &self,
        asker: JobId,
        remote_id: &str,
    ) -> Result<Option<JobId>, StoreError> {
        let rows = self
            .store
            .submissions_of_remote(asker.kind, remote_id)
            .await?;
        // What a read showed to be another's may still be taken by somebody who knows better.
        let own = |row: &store::SubmissionRow| {
            let open = self.open.get(&asker);
            row.job == asker && open.is_some_and(|open| open.submission == row.id)
        };
        let known = rows.iter().find(|row| !own(row)).map(|row| row.job);
        let here = self.open.values().find(|open| {
            let same = open
                .remote_id()
                .is_some_and(|id| id.eq_ignore_ascii_case(remote_id));
            same && open.id().kind == asker.kind && open.id() != asker
        });
        Ok(known.or(here.map(crate::open::OpenJob::id)))
    }

    /// A pending job's place in the queue changes; elsewhere a priority means nothing any more.
    async fn obey_priority(
        &mut self,
        command: &Command,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<bool, StoreError> {
        let wanted = command
            .value
            .as_deref()
            .and_then(|value| value.trim().parse().ok());
        let wanted = wanted.filter(|priority: &i64| priority.abs() <= HIGHEST_PRIORITY);
        let Some(priority) = wanted else {
            let why = format!(
                "refused: priority takes a whole number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"
            );
            draft.batch.commands.push(done(command, &why, now));
            return Ok(true);
        };
        let outcome = match self.store.job(command.job).await? {
            None => format!("refused: there is no {}", command.job),
            Some(job) if job.work.status() != Status::Pending => {
                format!("refused: the job is {}", job.work.status())
            }
            Some(job) if self.lane_of(&job).is_none() && self.is_configured(&job) => {
                return Ok(false);
            }
            Some(job) => {
                draft.touched.insert(job.id);
                draft.intents.push(Intent::Priority {
                    change: store::PriorityChange {
                        job: job.id,
                        version: job.version,
                        lane: self.lane_of(&job),
                        priority,
                        at: now,
                    },
                    command: done(command, "done", now),
                });
                self.notice_pending();
                return Ok(true);
            }
        };
        draft.batch.commands.push(done(command, &outcome, now));
        Ok(true)
    }

    fn obey_on_open(
        &mut self,
        command: &Command,
        event: &Event,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let job = command.job;
        let Some((key, account)) = self.open.get(&job).and_then(|open| {
            let account = self.accounts.get(&open.account)?;
            Some((account.lane.clone(), account.clone()))
        }) else {
            return;
        };
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let status = open.job.work.status();
        let outcome = if draft.apply(open, event, &key, now) {
            if let Event::Resolved(Resolution::Adopt { remote_id }) = event {
                let mut change = untouched(&open.submission, job, Fate::Accepted, now);
                change.remote_id = Some(remote_id.clone());
                change.credits = open.job.work.credits;
                open.fate = Fate::Accepted;
                open.next_read = now + account.interval(open.phase);
                open.floor = open.next_read;
                change.reason = Some(NAMED.to_owned());
                open.named = true;
                draft.outcome(change);
            }
            "done".to_owned()
        } else {
            refusal(event, status)
        };
        draft.batch.commands.push(done(command, &outcome, now));
        self.close_if_over(&key, job, now, draft);
    }

    async fn obey_on_row(
        &mut self,
        command: &Command,
        event: &Event,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<bool, StoreError> {
        let Some(mut job) = self.store.job(command.job).await? else {
            let why = format!("refused: there is no {}", command.job);
            draft.batch.commands.push(done(command, &why, now));
            return Ok(true);
        };
        let status = job.work.status();
        let lane = match self.lane_of(&job) {
            Some(lane) => Some(lane),
            // Another process owns the lane: it will obey.
            None if self.is_configured(&job) => return Ok(false),
            // Nobody's: whoever reads it first obeys; the row's version lets only one through.
            None => None,
        };
        let mut change = change_of(&job, lane.as_ref(), now);
        let Some(line) = moved(&mut job, event, lane.as_ref(), now) else {
            let why = refusal(event, status);
            draft.batch.commands.push(done(command, &why, now));
            return Ok(true);
        };
        draft.touched.insert(command.job);
        let released = self.released(&job, status, event, now).await?;
        change.work = job.work;
        change.not_before = None;
        draft.intents.push(Intent::Change {
            change: Box::new(change),
            event: Some(line),
            released,
            command: Some(done(command, "done", now)),
        });
        self.notice_pending();
        Ok(true)
    }

    /// Whether the config knows the account of this job.
    fn is_configured(&self, job: &store::Job) -> bool {
        let name = job.taken_by.as_ref().or(job.account.as_ref());
        let provider = job.id.kind.provider();
        self.accounts.values().any(|account| match name {
            Some(name) => account.name == *name,
            None => account.provider == provider && account.policy.takes_unnamed,
        })
    }

    /// A retry of a paid job is a decision: its earlier submissions hold it back no longer. So is what a
    /// person says of a doubt whose account the config has lost.
    async fn released(
        &self,
        job: &store::Job,
        before: Status,
        event: &Event,
        now: Timestamp,
    ) -> Result<Vec<store::SubmissionJobChange>, StoreError> {
        let after = job.work.status();
        let is_decided = before == Status::InDoubt && after != Status::InDoubt;
        if !before.is_terminal() && !is_decided {
            return Ok(Vec::new());
        }
        let rows = self.store.submissions(job.id).await?;
        let held = rows.into_iter().filter(|row| row.outcome != Fate::Refused);
        let change = |row: store::SubmissionRow| {
            let mut change = untouched(&row.id, job.id, row.outcome, now);
            change.released = after == Status::Pending;
            change.ended = change.released || after.is_terminal();
            if let (Event::Resolved(Resolution::Adopt { remote_id }), Some(submission)) =
                (event, job.work.state.submission())
                && row.id == *submission
            {
                change.outcome = Fate::Accepted;
                change.remote_id = Some(remote_id.clone());
                change.credits = row.credits.or(row.price);
                change.reason = Some(NAMED.to_owned());
            }
            change
        };
        Ok(held.map(change).collect())
    }

    fn lane_of(&self, job: &store::Job) -> Option<LaneKey> {
        let provider = job.id.kind.provider();
        let name = job.taken_by.as_ref().or(job.account.as_ref());
        let account = match name {
            Some(name) => self.accounts.get(name),
            None => self
                .accounts
                .values()
                .find(|account| account.provider == provider && account.policy.takes_unnamed),
        };
        account
            .filter(|account| self.lanes.contains_key(&account.lane))
            .map(|account| account.lane.clone())
    }

    fn notice_pending(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.idle_until = None;
        }
    }
}

fn done(command: &Command, outcome: &str, at: Timestamp) -> CommandDone {
    CommandDone {
        id: command.id,
        outcome: outcome.to_owned(),
        at,
    }
}
