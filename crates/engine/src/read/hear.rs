//! What a read says about a job. A poll, a link, an export or a webhook: what the provider says ends
//! in [`Engine::see_remote`], and from there in the one transition function.

use std::time::Duration;

use domain::{Event, Fault, Input, JobId, Provider, Status, Timestamp};
use providers::{Outcome, Phase, Refusal, RemoteJob, Reply};
use store::{LaneKey, Outcome as Fate};

use crate::account::{Account, CompleteAt};
use crate::draft::Draft;
use crate::flight::{Flight, Purpose};
use crate::open::OpenJob;
use crate::planner::Engine;
use crate::read::learned::is_being_made;
use crate::submit::{Source, untouched};

/// The longest that a job waits whose polls tell nothing: after an outage it is heard again by then.
const LONGEST_UNHEARD: Duration = Duration::from_secs(600);

/// Whose job a read is about; none for what is no read of a job.
fn about(flight: &Flight) -> Option<(&LaneKey, &String, JobId)> {
    match flight {
        Flight::Status {
            lane, account, job, ..
        }
        | Flight::Deliverables {
            lane, account, job, ..
        }
        | Flight::Cancel {
            lane, account, job, ..
        }
        | Flight::Source {
            lane, account, job, ..
        }
        | Flight::Export {
            lane, account, job, ..
        } => Some((lane, account, *job)),
        Flight::Credits { .. } | Flight::Submit { .. } | Flight::Unclaimed { .. } => None,
        Flight::Fetch { .. } | Flight::Look { .. } => None,
    }
}

impl Engine {
    pub(crate) fn hear_read(
        &mut self,
        flight: &Flight,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some((lane, name, job)) = about(flight) else {
            return;
        };
        let Some(account) = self.accounts.get(name).cloned() else {
            return;
        };
        self.hear_feedback(lane, &account, reply, None, false, at, draft);
        if let Some(open) = self.open.get_mut(&job)
            && !matches!(flight, Flight::Export { .. })
        {
            open.asking = false;
            if let (Flight::Status { .. }, Outcome::Status(_)) = (flight, &reply.outcome) {
                open.last_heard = Some(at);
                open.unheard = 0;
                open.called_for = false;
            }
        }
        match (flight, &reply.outcome) {
            (Flight::Export { project, .. }, outcome) => {
                self.hear_export(lane, &account, project, outcome, at);
                self.hear_bulk(lane, &account, project, reply, at, draft);
            }
            (Flight::Source { .. }, outcome) => self.hear_source(lane, job, outcome, at),
            (Flight::Status { .. }, Outcome::Status(remote)) if self.is_another_id(job, remote) => {
                tracing::warn!(job.id = %job, "the provider answered about another job; not believed");
                self.ask_again(&account, job, at);
            }
            (Flight::Status { purpose, .. }, Outcome::Status(remote)) => {
                self.hear_status(lane, &account, (job, *purpose), remote, at, draft);
            }
            (Flight::Deliverables { .. }, Outcome::Deliverables(list)) => {
                self.see_deliverables(lane, &account, job, list, at, draft);
            }
            (Flight::Status { .. } | Flight::Deliverables { .. }, Outcome::Missing) => {
                self.see_nothing(lane, &account, job, at, draft);
            }
            // Asked; whether it took effect is read from the status.
            (Flight::Cancel { .. }, outcome) => {
                self.hear_cancel(job, outcome);
                self.ask_again(&account, job, at);
            }
            (Flight::Deliverables { .. }, _) => self.links_failed(&account, job, at),
            (Flight::Status { purpose, .. }, _) if *purpose == Purpose::Link => {
                self.links_failed(&account, job, at);
            }
            (
                _,
                Outcome::Refused(Refusal::Unavailable { .. } | Refusal::NotSent { .. })
                | Outcome::Unknown { .. },
            ) => {
                self.ask_later(&account, job, at);
            }
            _ => self.ask_again(&account, job, at),
        }
        if let (Flight::Status { .. }, Some(open)) = (flight, self.open.get_mut(&job)) {
            let heard = matches!(reply.outcome, Outcome::Status(_));
            open.floor = at + account.soonest(open.phase, heard);
        }
        self.check_capture_deadline(lane, &account, job, at, draft);
        self.close_if_over(lane, job, at, draft);
    }

    /// Whether the answer names another remote job than the one that was asked about.
    fn is_another_id(&self, job: JobId, remote: &RemoteJob) -> bool {
        let ours = self.open.get(&job).and_then(OpenJob::remote_id);
        let theirs = remote.remote_id.as_str();
        !theirs.is_empty() && ours.is_some_and(|ours| !ours.eq_ignore_ascii_case(theirs))
    }

    /// A cancel that surely did not arrive is asked for again.
    fn hear_cancel(&mut self, job: JobId, outcome: &Outcome) {
        let lost = matches!(
            outcome,
            Outcome::Refused(
                Refusal::NotSent { .. }
                    | Refusal::RateLimited { .. }
                    | Refusal::Unauthorized { .. }
                    | Refusal::Unavailable { .. }
            )
        );
        if let Some(open) = self.open.get_mut(&job)
            && lost
        {
            open.cancel_sent = false;
        }
    }

    fn ask_again(&mut self, account: &Account, job: JobId, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&job) {
            open.next_read = at + account.unsure_interval(open.phase);
        }
    }

    /// A poll that told nothing: this job waits longer each time, so that one page that never works
    /// does not spend the account's requests, nor make it rest again and again.
    fn ask_later(&mut self, account: &Account, job: JobId, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&job) {
            let wait = account.timing.pause(open.unheard).min(LONGEST_UNHEARD);
            open.unheard = open.unheard.saturating_add(1);
            open.next_read = at + account.unsure_interval(open.phase).max(wait);
        }
    }

    fn hear_source(&mut self, key: &LaneKey, job: JobId, outcome: &Outcome, at: Timestamp) {
        let source = match outcome {
            Outcome::Status(remote) => match &remote.result_url {
                Some(url) => Some(Source::Link(url.clone(), at)),
                None => Some(Source::Gone(
                    "the provider shows no link to it".to_owned(),
                    at,
                )),
            },
            Outcome::Missing => Some(Source::Gone("the provider has forgotten it".to_owned(), at)),
            // Not told: it is asked again when its job is looked at again.
            _ => None,
        };
        match source {
            Some(source) => self.sources.insert(job, source),
            None => self.sources.remove(&job),
        };
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.idle_until = None;
        }
    }

    /// 404: a job that was just submitted may not be readable yet (DESIGN.md 3.2).
    fn see_nothing(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let since = open.job.work.submitted_at.unwrap_or(at);
        if at.since(since) < account.timing.missing_grace {
            open.next_read = at + account.interval(open.phase);
            if open.capture.is_some() {
                self.links_failed(account, job, at);
            }
            return;
        }
        if open.named {
            // Somebody mistyped it: the doubt is as it was, and nothing is lost.
            let remote_id = open.remote_id().unwrap_or_default();
            let why = format!("{} knows no job {remote_id:?} (404)", account.provider);
            let mut change = untouched(&open.submission, job, Fate::Unknown, at);
            change.reason = Some(why.clone());
            let why = Fault::new("remote_missing", why);
            if draft.apply(open, &Event::RemoteIsAnothers { why }, key, at) {
                open.named = false;
                open.fate = Fate::Unknown;
                open.next_read = at + account.timing.evidence_first;
                draft.outcome(change);
            }
            return;
        }
        let event = Event::RemoteFailed {
            fault: Fault::new(
                "remote_missing",
                format!("{} no longer knows this job (404)", account.provider),
            ),
            status: None,
            resubmit: false,
        };
        draft.apply(open, &event, key, at);
    }

    /// The status of the job that was asked about: how its end is heard, or its links are.
    fn hear_status(
        &mut self,
        lane: &LaneKey,
        account: &Account,
        (job, purpose): (JobId, Purpose),
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let goes_on = self.compare(lane, account, (job, purpose), remote, at, draft);
        match purpose {
            _ if !goes_on => {}
            Purpose::Link if self.only_told(job) => {
                self.see_told(lane, account, job, remote, at, draft);
            }
            Purpose::Link => self.see_link(account, job, remote, at),
            Purpose::Poll => {
                self.check_export(account, job, remote, at);
                self.see_remote(lane, account, job, remote, at, draft);
            }
        }
    }

    /// What the provider says about a job that we follow.
    pub(crate) fn see_remote(
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
        open.next_read = at + account.interval(remote.phase);
        if let Some(why) = anothers(open, remote) {
            draft.apply(open, &Event::RemoteIsAnothers { why }, key, at);
            return;
        }
        self.note_progress(account, job, remote, at);
        self.warn_of_another_prompt(key, job, remote, at, draft);
        self.book_charge(key, job, remote, at, draft);
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let status = remote.status.clone();
        match remote.phase {
            Phase::Queued | Phase::Working | Phase::Unrecognised => {
                note_status(open, status, key, at, draft);
            }
            Phase::AwaitingApproval | Phase::Distributing => {
                open.was_approvable = true;
                let done = account.policy.complete_at == CompleteAt::AwaitingApproval;
                if done {
                    draft.apply(
                        open,
                        &Event::Ended {
                            status: status.clone(),
                        },
                        key,
                        at,
                    );
                } else {
                    note_status(open, status.clone(), key, at, draft);
                }
                let nothing_yet = open.captured_at.is_none() && open.capture.is_none();
                if nothing_yet || done {
                    self.begin_capture(account, job, remote, at);
                }
            }
            Phase::Done => self.see_done(key, account, job, remote, at, draft),
            Phase::Failed { safe_to_resubmit } => {
                let paid_again = open.job.work.attempt <= account.policy.retry_failed;
                let event = Event::RemoteFailed {
                    fault: failure_of(account.provider, remote),
                    status: Some(status),
                    resubmit: safe_to_resubmit || paid_again,
                };
                open.job.not_before = Some(at + account.timing.retry(open.job.work.attempt));
                draft.apply(open, &event, key, at);
            }
            Phase::Cancelled => {
                draft.apply(open, &Event::RemoteCancelled { status }, key, at);
            }
        }
    }

    /// A person named this remote job, and the provider shows another prompt for it.
    fn warn_of_another_prompt(
        &mut self,
        key: &LaneKey,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        if std::mem::take(&mut open.named)
            && let Some(warning) = another_prompt(open, remote)
        {
            open.job.warning = Some(warning.clone());
            draft.touch(open, key, at).warning = Some(warning);
        }
    }

    /// What the provider's word tells about how long jobs take.
    fn note_progress(&mut self, account: &Account, job: JobId, remote: &RemoteJob, at: Timestamp) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let was_being_made = is_being_made(open.phase);
        open.phase = remote.phase;
        match remote.phase {
            Phase::Queued | Phase::Working | Phase::Unrecognised => open.unfinished_at = Some(at),
            Phase::AwaitingApproval | Phase::Distributing | Phase::Done if was_being_made => {
                self.learned.made(open, account, remote, at);
            }
            // How long failures take says nothing about the others.
            Phase::AwaitingApproval
            | Phase::Distributing
            | Phase::Done
            | Phase::Failed { .. }
            | Phase::Cancelled => {}
        }
    }

    fn see_done(
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
        let status = remote.status.clone();
        match account.provider {
            Provider::Jakov => match remote.text.as_ref().filter(|text| !text.trim().is_empty()) {
                Some(text) => {
                    let event = Event::ResultStored {
                        status: Some(status),
                    };
                    if draft.apply(open, &event, key, at) {
                        draft.touch(open, key, at).description = Some(text.clone());
                    }
                }
                // Said to be done and without a text: believed only if it stays so.
                None => {
                    let since = *open.empty_since.get_or_insert(at);
                    if at.since(since) < account.timing.missing_grace {
                        note_status(open, status, key, at, draft);
                        return;
                    }
                    let why = "the provider says that the text is done, and shows none";
                    let event = Event::RemoteFailed {
                        fault: Fault::new("empty_result", why),
                        status: Some(status),
                        resubmit: false,
                    };
                    draft.apply(open, &event, key, at);
                }
            },
            Provider::Productai => {
                draft.apply(open, &Event::Ended { status }, key, at);
                if let Some(url) = remote
                    .result_url
                    .as_ref()
                    .filter(|url| !url.carries_signature())
                {
                    let change = draft.touch(open, key, at);
                    change.result_url = Some(url.expose().to_owned());
                }
                self.begin_capture(account, job, remote, at);
            }
            Provider::Jarai => {
                draft.apply(open, &Event::Ended { status }, key, at);
                self.begin_capture(account, job, remote, at);
            }
        }
    }
}

/// The provider's word is written down where it is news; a poll without news writes nothing.
fn note_status(
    open: &mut OpenJob,
    status: String,
    key: &LaneKey,
    at: Timestamp,
    draft: &mut Draft,
) {
    let known = open
        .job
        .work
        .state
        .remote()
        .and_then(|remote| remote.status.as_ref());
    if open.job.work.status() == Status::Running && known != Some(&status) && !status.is_empty() {
        draft.apply(open, &Event::Seen { status }, key, at);
    }
}

fn failure_of(provider: Provider, remote: &RemoteJob) -> Fault {
    let code = remote
        .error_code
        .clone()
        .unwrap_or_else(|| match remote.status.as_str() {
            "not_found" => "not_found".to_owned(),
            _ => "provider_failed".to_owned(),
        });
    let message = remote
        .error_message
        .clone()
        .unwrap_or_else(|| match code.as_str() {
            "not_found" => format!("{provider} found no product for this barcode or name"),
            _ => format!(
                "{provider} ended the job as {:?} and gave no reason",
                remote.status
            ),
        });
    Fault::new(code, message)
}

/// A person said that it is this remote job, and the provider shows another prompt than the row's. Their
/// word stands (a provider may word a prompt anew), and whoever looks at the row reads of it.
fn another_prompt(open: &OpenJob, remote: &RemoteJob) -> Option<String> {
    let Input::Image(input) = &open.job.input else {
        return None;
    };
    let theirs = remote.prompt.as_deref()?.trim();
    let ours = input.prompt.as_deref().unwrap_or_default().trim();
    (ours != theirs).then(|| {
        format!(
            "a person said that this is the provider's job {}, and that job shows another prompt: {theirs:?}",
            remote.remote_id
        )
    })
}

/// Whether the remote job is another product's: then the tie between the two was wrong (an answer in
/// another order), and a person, or better evidence, must decide.
fn anothers(open: &OpenJob, remote: &RemoteJob) -> Option<Fault> {
    let Input::Description(input) = &open.job.input else {
        return None;
    };
    let other = |what: &str, ours: &str, theirs: &str| {
        let message = format!(
            "the provider's job {} carries the {what} {theirs:?}, ours is {ours:?}",
            remote.remote_id
        );
        Some(Fault::new("remote_is_anothers", message))
    };
    if let (Some(ours), Some(theirs)) = (&open.client_ref, &remote.client_product_id)
        && !theirs.is_empty()
    {
        return if ours == theirs {
            None
        } else {
            other("clientProductId", ours, theirs)
        };
    }
    let digits = |ean: &str| ean.trim().trim_start_matches('0').to_owned();
    match (&input.ean, &remote.ean) {
        (Some(ours), Some(theirs)) if digits(ours) != digits(theirs) && !theirs.is_empty() => {
            other("EAN", ours, theirs)
        }
        _ => None,
    }
}
