//! What a submit's answer means: accepted, surely refused or unknown, item by item.

use domain::{Event, Fault, JobId, Provider, Status, SubmissionId, Timestamp, Verdict};
use providers::{ItemOutcome, Outcome, Refusal, Reply};
use store::{LaneKey, Outcome as Fate, SubmissionAnswer, SubmissionJobChange};

use crate::account::Account;
use crate::draft::Draft;
use crate::flight::Flight;
use crate::planner::Engine;
use crate::submit::verdict::{ItemVerdict, is_spoiled, verdicts};

/// JARAI's words for a submit that is wrong in its row, not in its key (error-handling page).
const ROW_IS_FORBIDDEN: [&str; 2] = ["INSUFFICIENT_SCOPE", "ACCOUNT_NOT_ACTIVE"];

/// The code and sentence of a refusal.
pub(crate) fn fault_of(refusal: &Refusal) -> Fault {
    match refusal {
        Refusal::NotSent { reason } => Fault::new(
            "unreachable",
            format!("the provider could not be reached: {reason}"),
        ),
        Refusal::RateLimited { .. } => Fault::new(
            "rate_limited",
            "the provider asked for a pause (429); the job waits",
        ),
        Refusal::Unauthorized { code, message } => Fault::new(
            "key_refused",
            format!("the provider refused the key ({code}: {message}); check api_key_env"),
        ),
        Refusal::Forbidden { code, message }
        | Refusal::Invalid { code, message }
        | Refusal::Rejected { code, message } => Fault::new(code.clone(), message.clone()),
        Refusal::OutOfCredits { code, message } => Fault::new(
            "out_of_credits",
            format!("the account has no credits left ({code}: {message})"),
        ),
        Refusal::Unavailable { message, .. } => Fault::new("unavailable", message.clone()),
    }
}

pub(super) fn verdict_of(refusal: &Refusal) -> Verdict {
    match refusal {
        Refusal::Invalid { code, .. } if is_misdirected(code) => Verdict::Wait,
        Refusal::Invalid { .. } => Verdict::Never,
        Refusal::Forbidden { code, .. } if ROW_IS_FORBIDDEN.contains(&code.as_str()) => {
            Verdict::Never
        }
        Refusal::Rejected { .. } => Verdict::TryAgain,
        Refusal::NotSent { .. }
        | Refusal::RateLimited { .. }
        | Refusal::Unauthorized { .. }
        | Refusal::Forbidden { .. }
        | Refusal::OutOfCredits { .. }
        | Refusal::Unavailable { .. } => Verdict::Wait,
    }
}

impl Engine {
    pub(crate) fn hear_submit(
        &mut self,
        flight: Flight,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Flight::Submit {
            lane,
            account,
            submission,
            jobs,
            quota,
            sent_at,
            places,
        } = flight
        else {
            return;
        };
        let account = self.accounts.get(&account).cloned();
        let doubted = account
            .as_ref()
            .and_then(|account| self.doubts_refusal(&lane, account, reply, at));
        let reply = doubted.as_ref().unwrap_or(reply);
        let verdicts = verdicts(reply, &jobs);
        draft.batch.answers.push(SubmissionAnswer {
            submission: submission.clone(),
            at,
            http_status: reply.http_status,
            answer: kept(reply),
            correlation_id: reply.correlation_id.clone(),
            verdicts: serde_json::json!(verdicts),
        });
        if matches!(reply.outcome, Outcome::Refused(_))
            && let Some(lane) = self.lanes.get_mut(&lane)
        {
            lane.give_quota_back(&places);
        }
        if let Some(lane) = self.lanes.get_mut(&lane) {
            lane.settle(&places, at);
            lane.note_latency(at.since(sent_at));
        }
        let Some(account) = account else {
            return;
        };
        self.hear_feedback(&lane, &account, reply, quota.as_deref(), true, at, draft);
        if doubted.is_some() {
            self.look_at_balance_now(&lane, at, draft);
        }
        // What nobody claimed may have waited for this answer.
        self.doubts.was_answered(&lane);
        self.note_trust(&lane, &verdicts, &jobs, reply);
        for (job, verdict) in jobs.iter().zip(verdicts) {
            self.settle_item(&lane, &account, &submission, *job, verdict, at, draft);
        }
    }

    /// One unknown answer makes the lane careful; one acceptance ends that. A batch that was refused
    /// as a whole is halved.
    fn note_trust(
        &mut self,
        key: &LaneKey,
        verdicts: &[ItemVerdict],
        jobs: &[JobId],
        reply: &Reply,
    ) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        if verdicts
            .iter()
            .any(|v| matches!(v, ItemVerdict::Unknown { .. }))
        {
            lane.careful = true;
            lane.answers_are_ambiguous |= matches!(reply.outcome, Outcome::Submitted(_));
        } else if verdicts
            .iter()
            .any(|v| matches!(v, ItemVerdict::Accepted { .. }))
        {
            lane.careful = false;
        }
        if is_spoiled(reply) && jobs.len() > 1 {
            let (left, right) = jobs.split_at(jobs.len() / 2);
            lane.parts.push_back(left.to_vec());
            lane.parts.push_back(right.to_vec());
        }
        lane.idle_until = None;
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one item of an answer with all that it is about"
    )]
    pub(crate) fn settle_item(
        &mut self,
        key: &LaneKey,
        account: &Account,
        submission: &SubmissionId,
        job: JobId,
        verdict: ItemVerdict,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        self.hear_of_batch(key, account, job, &verdict, at, draft);
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let mut change = untouched(submission, job, Fate::Open, at);
        let mut seen = None;
        let event = match verdict {
            ItemVerdict::Accepted {
                remote_id,
                matched_by,
                job,
                location,
            } => {
                change.outcome = Fate::Accepted;
                change.remote_id = Some(remote_id.clone());
                change.location.clone_from(&location);
                let told = job.as_ref().and_then(|job| job.charged).map(i64::from);
                change.credits = told.or(open.job.work.credits);
                open.location = location;
                open.matched_by = Some(matched_by);
                open.next_read = at + account.interval(open.phase);
                open.floor = open.next_read;
                let status = job.as_ref().map(|job| job.status.clone());
                seen = job;
                Event::Accepted {
                    submission: submission.clone(),
                    remote_id,
                    status: status.filter(|status| !status.is_empty()),
                }
            }
            ItemVerdict::Refused { verdict, why } => {
                change.outcome = Fate::Refused;
                change.reason = Some(why.message.clone());
                change.ended = true;
                if verdict == Verdict::TryAgain {
                    let wait = account.timing.retry(open.job.work.attempt);
                    open.job.not_before = Some(at + wait);
                }
                Event::Refused {
                    submission: submission.clone(),
                    verdict,
                    fault: why,
                }
            }
            ItemVerdict::Unknown { why } => {
                change.outcome = Fate::Unknown;
                change.reason = Some(why.message.clone());
                open.next_read = at + account.timing.evidence_first;
                Event::OutcomeUnknown {
                    submission: submission.clone(),
                    why,
                }
            }
        };
        open.fate = change.outcome;
        if draft.apply(open, &event, key, at) {
            draft.outcome(change);
        }
        if let Some(remote) = seen {
            self.see_remote(key, account, job, &remote, at, draft);
        }
        self.close_if_over(key, job, at, draft);
    }

    /// A job that left the open states leaves memory, and its submission stops holding its client
    /// reference. A job that is pending again after it was accepted may be submitted again.
    pub(crate) fn close_if_over(
        &mut self,
        key: &LaneKey,
        job: JobId,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get(&job) else {
            return;
        };
        let status = open.job.work.status();
        if !status.is_terminal() && status != Status::Pending {
            return;
        }
        let was_unknown = open.fate == Fate::Unknown;
        let mut change = untouched(&open.submission, job, open.fate, at);
        change.ended = true;
        change.released = status == Status::Pending && open.fate != Fate::Refused;
        draft.outcome(change);
        if let Some(lane) = self.lanes.get_mut(key) {
            // What is unknown under a reference must not be mistaken for what is sent under it later.
            if let Some(used) = open.client_ref.as_ref().filter(|_| !was_unknown) {
                lane.live_refs.remove(used);
            }
            lane.idle_until = None;
        }
        if was_unknown {
            self.remember_past(key, job);
        }
        self.open.remove(&job);
        // Whoever waits for this image as a source is looked at again.
        self.sources.remove(&job);
    }
}

/// A change of a submission's job that leaves everything as it is.
pub(crate) fn untouched(
    submission: &SubmissionId,
    job: JobId,
    outcome: Fate,
    at: Timestamp,
) -> SubmissionJobChange {
    SubmissionJobChange {
        submission: submission.clone(),
        job,
        outcome,
        remote_id: None,
        location: None,
        reason: None,
        credits: None,
        at,
        ended: false,
        released: false,
    }
}

fn kept(reply: &Reply) -> Option<String> {
    reply.kept.clone().or_else(|| match &reply.outcome {
        // The ids are the part of an acceptance that must never be lost.
        Outcome::Submitted(items) => {
            let ids = items.iter().map(|item| match item {
                ItemOutcome::Accepted { remote_id, .. } => remote_id.as_str(),
                ItemOutcome::Refused { .. } => "refused",
                ItemOutcome::Unknown { .. } => "unknown",
            });
            Some(format!(
                "remote ids in order: {}",
                ids.collect::<Vec<_>>().join(", ")
            ))
        }
        Outcome::Unknown { reason } => Some(reason.clone()),
        Outcome::Refused(refusal) => Some(fault_of(refusal).message),
        _ => None,
    })
}

/// Whether a submit was answered by somebody who does not know the endpoint: a redirect, or a 404 or
/// 405 that carries no word of the provider's. The address is wrong then, not the row.
pub(crate) fn is_misdirected(code: &str) -> bool {
    matches!(code, "redirect" | "http_404" | "http_405")
}

/// Whether this provider cancels what runs.
pub(crate) fn can_cancel(provider: Provider) -> bool {
    provider == Provider::Jarai
}
