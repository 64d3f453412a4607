//! What reads say about what webhooks said: whether they come, and whether they are true.

use domain::{JobId, Status, Timestamp};
use providers::{Phase, RemoteJob};
use serde_json::json;
use store::{LaneKey, NewEvent, Pause};

use super::channel::{path_of, usual_delay};
use super::hear::{FORGED, WEBHOOKS};
use crate::account::Account;
use crate::draft::Draft;
use crate::flight::{Flight, Purpose};
use crate::open::OpenJob;
use crate::planner::Engine;

/// A provider may tell of an end before its own reads show it, and not for two of its intervals.
const MISSES: u32 = 2;

/// Jobs that a warning names.
const MOST_NAMED: usize = 20;

impl Engine {
    /// Before anything is concluded from a read: what webhooks said of the job is held against it. Whether
    /// there is anything left to conclude.
    pub(crate) fn compare(
        &mut self,
        key: &LaneKey,
        account: &Account,
        (job, purpose): (JobId, Purpose),
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let Some(open) = self.open.get_mut(&job) else {
            return true;
        };
        let ran = open.job.work.status() == Status::Running;
        // It left before a webhook ended the job, or is older than that.
        let races = !ran && purpose == Purpose::Poll;
        if ran {
            self.count_ring(account, job, remote, at);
        }
        if !races || remote.phase.is_terminal() {
            self.check_claim(key, account, job, remote, at, draft);
        }
        let is_capturing =
            (self.open.get(&job)).is_some_and(|open| open.job.work.status() == Status::Capturing);
        !(races && is_capturing)
    }

    /// Whether a webhook had told of the end that this read shows.
    fn count_ring(&mut self, account: &Account, job: JobId, remote: &RemoteJob, at: Timestamp) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let channel = self.channels.of(&account.name);
        let until = at + usual_delay(account.polling.min_interval);
        match remote.phase {
            Phase::Done => {
                if let Some(url) = &remote.result_url {
                    channel.learn_host(url);
                }
                match (open.told.rung_at, open.remote_id()) {
                    (Some(_), _) => channel.rang(),
                    (None, Some(id)) => channel.await_ring(id, until),
                    (None, None) => {}
                }
            }
            Phase::Failed { .. } => {
                channel.found_failed(open.unfinished_at.unwrap_or(open.taken_at), until);
            }
            Phase::Queued | Phase::Working | Phase::Unrecognised => {
                open.told.early |= open.told.rung_at.take().is_some();
            }
            Phase::AwaitingApproval | Phase::Distributing | Phase::Cancelled => {}
        }
    }

    fn check_claim(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let Some(claim) = &mut open.told.claim else {
            return;
        };
        let channel = self.channels.of(&account.name);
        let why = match remote.phase {
            Phase::Done => {
                let theirs = remote.result_url.as_ref().map(path_of);
                if claim.link.is_none() || theirs.is_none() || claim.link == theirs {
                    open.told.claim = None;
                    open.told.alone = false;
                    channel.taken.clear();
                    channel.in_question = false;
                    return;
                }
                "named another image than the provider does"
            }
            Phase::Failed { .. } => "said that a job succeeded which failed",
            Phase::Queued | Phase::Working | Phase::Unrecognised => {
                claim.misses += 1;
                if claim.misses < MISSES {
                    channel.in_question = true;
                    open.called_for = true;
                    return;
                }
                "said that a job is done which is not"
            }
            Phase::AwaitingApproval | Phase::Distributing | Phase::Cancelled => return,
        };
        open.told.claim = None;
        self.was_forged(key, account, job, why, at, draft);
    }

    /// Somebody who knows the path says what is not true: from now on nothing is believed without a read,
    /// until a person says otherwise.
    fn was_forged(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        why: &str,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let channel = self.channels.of(&account.name);
        channel.in_question = false;
        let taken = std::mem::take(&mut channel.taken);
        let unsure: Vec<JobId> = taken.into_iter().filter(|taken| *taken != job).collect();
        let named: Vec<String> = unsure
            .iter()
            .take(MOST_NAMED)
            .map(JobId::to_string)
            .collect();
        let mut message = format!(
            "a webhook {why} ({job}): all are checked by a read now; change the path that the provider calls"
        );
        if !named.is_empty() {
            message = format!(
                "{message}; {} results were taken unchecked since the last that was confirmed: {}",
                unsure.len(),
                named.join(", ")
            );
        }
        tracing::warn!(account = account.name, job.id = %job, code = FORGED, "{message}");
        if let Some(open) = self.open.get_mut(&job) {
            warn(open, why, key, at, draft);
        }
        let pause = Pause {
            lane: key.clone(),
            endpoints: WEBHOOKS.to_owned(),
            code: FORGED.to_owned(),
            message,
            since: Some(at),
            until: None,
            strikes: 1,
        };
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.set_pause(pause.clone());
        }
        draft.pause(pause);
        self.fetch_anew(&account.name);
    }

    /// What is coming home by the word of a webhook alone is read first after all.
    fn fetch_anew(&mut self, account: &str) {
        let mut anew = Vec::new();
        for open in self.open.values_mut() {
            let capturing = open.job.work.status() == Status::Capturing;
            if open.account != account || !open.told.alone || !capturing {
                continue;
            }
            if let Some(capture) = &mut open.capture {
                capture.needs_links = true;
                capture.missing.clear();
                capture.under_way.clear();
                capture.not_before = Some(open.floor);
                anew.push(open.id());
            }
        }
        // What these downloads bring is nobody's result.
        self.flights.retain(
            |_, flight| !matches!(flight, Flight::Fetch { wanted, .. } if anew.contains(&wanted.job)),
        );
    }

    /// Whether nothing but an unsigned webhook says that this job is done.
    pub(crate) fn only_told(&self, job: JobId) -> bool {
        self.open.get(&job).is_some_and(|open| open.told.alone)
    }

    /// A fresh link of a job that a webhook ended is what the provider says about it, too.
    pub(crate) fn see_told(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        if remote.phase.is_terminal() {
            if let Some(open) = self.open.get_mut(&job) {
                open.told.alone = false;
                // The link that the webhook named goes, whether or not the true one may be written down.
                draft.touch(open, key, at).result_url = Some(String::new());
            }
            self.see_remote(key, account, job, remote, at, draft);
        } else {
            self.links_failed(account, job, at);
        }
    }

    /// A person has changed the path: what comes through it is believed again.
    pub(crate) fn trust_webhooks(
        &mut self,
        account: &Account,
        at: Timestamp,
        draft: &mut Draft,
    ) -> String {
        let lane = self.lanes.get_mut(&account.lane);
        let Some(pause) = lane.and_then(|lane| lane.lift_pause(WEBHOOKS, FORGED)) else {
            return "no webhook was found to be forged".to_owned();
        };
        draft.lift(&pause);
        tracing::info!(account = account.name, at = %at, "webhooks are believed again: somebody asked for it");
        "webhooks are believed again, as webhook_trust says".to_owned()
    }
}

/// The row and its timeline say what was tried.
fn warn(open: &mut OpenJob, why: &str, key: &LaneKey, at: Timestamp, draft: &mut Draft) {
    let warning = format!("a webhook about this job was not true: it {why}");
    let status = open.job.work.status();
    draft.batch.events.push(NewEvent {
        job: open.id(),
        at,
        event: FORGED.to_owned(),
        from: status,
        to: status,
        submission: Some(open.submission.clone()),
        detail: json!({ "code": FORGED, "message": warning }),
        lane: Some(key.clone()),
    });
    open.job.warning = Some(warning.clone());
    draft.touch(open, key, at).warning = Some(warning);
}
