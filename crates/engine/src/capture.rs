//! Bringing files home. A link is a secret that dies: it is read right before the fetch, read again
//! when it is dead, and kept nowhere. A file that is here is a row as soon as it is whole.

use std::time::Duration;

use domain::{Event, Fault, JobId, Provider, Status, Timestamp};
use providers::{RemoteDeliverable, RemoteJob, SignedUrl};
use sha2::{Digest, Sha256};
use store::planted::{self, Bug};
use store::{FileShape, LaneKey, NewDeliverable};

use crate::account::Account;
use crate::act::{Act, CaptureTrouble, Stored, Wanted};
use crate::draft::Draft;
use crate::flight::Flight;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};
use crate::submit::hex;

/// Downloads under way at once in one lane.
pub(crate) const AT_ONCE: usize = 16;

/// What was paid for lies there and its link dies: however often it failed, it is tried again after this.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How long a job's files wait after so many failures.
fn pause(account: &Account, failures: u32) -> Duration {
    account.timing.retry(failures).min(LONGEST_PAUSE)
}

impl Engine {
    /// The provider has files for us. An image's link came with the news; a production's list is read.
    pub(crate) fn begin_capture(
        &mut self,
        account: &Account,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
    ) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let mut capture = open.capture.take().unwrap_or_default();
        if capture.failures == 0 && capture.missing.is_empty() && capture.under_way.is_empty() {
            capture.began = at;
        }
        capture.at_status.clone_from(&remote.status);
        match (&remote.result_url, account.provider) {
            (Some(url), Provider::Productai) => {
                capture.have_links(image(open, url), at);
            }
            _ => {
                capture.needs_links = true;
                capture.not_before = match account.provider {
                    // Done, and no link: asked again at a poll's pace.
                    Provider::Productai => Some(at + account.interval(remote.phase)),
                    Provider::Jakov | Provider::Jarai => None,
                };
            }
        }
        open.capture = Some(capture);
    }

    /// A fresh link to an image.
    pub(crate) fn see_link(
        &mut self,
        account: &Account,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
    ) {
        match &remote.result_url {
            Some(url) => {
                if let Some(open) = self.open.get_mut(&job) {
                    let files = image(open, url);
                    open.capture.get_or_insert_default().have_links(files, at);
                }
            }
            None if remote.phase.is_terminal() => self.links_failed(account, job, at),
            // Not done after all, says the provider; its last word counts when it is done.
            None => self.links_failed(account, job, at),
        }
    }

    /// The list of a production's files, with fresh links.
    pub(crate) fn see_deliverables(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        list: &[RemoteDeliverable],
        at: Timestamp,
        draft: &mut Draft,
    ) {
        if list.is_empty() {
            self.links_failed(account, job, at);
            return;
        }
        if let Some(open) = self.open.get_mut(&job) {
            let files = files(open, list);
            let unlinked = list.iter().any(|file| file.url.expose().is_empty());
            let capture = open.capture.get_or_insert_default();
            capture.unlinked = unlinked;
            capture.have_links(files, at);
            if unlinked && capture.missing.is_empty() {
                // A file without a link yet: the list is read again later.
                self.links_failed(account, job, at);
            }
        }
        self.finish_capture(key, job, at, draft);
    }

    /// The links could not be read: again later.
    pub(crate) fn links_failed(&mut self, account: &Account, job: JobId, at: Timestamp) {
        if let Some(open) = self.open.get_mut(&job) {
            let pace = account.interval(open.phase).max(account.timing.retry_first);
            let capture = open.capture.get_or_insert_default();
            capture.failures += 1;
            capture.needs_links = true;
            capture.not_before = Some(at + pace.max(pause(account, capture.failures)));
        }
    }

    /// Hands out downloads; they cost no request at the provider.
    pub(crate) fn plan_fetches(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) {
        if self.captures_rest() {
            return;
        }
        let under_way = self
            .flights
            .values()
            .filter(|flight| matches!(flight, Flight::Fetch { lane, .. } if lane == key))
            .count();
        let mut free = AT_ONCE.saturating_sub(under_way);
        for (_, job) in self.urgent_files(key, now, wake) {
            let Some(open) = self.open.get_mut(&job).filter(|_| free > 0) else {
                continue;
            };
            let Some(capture) = open.capture.as_mut() else {
                continue;
            };
            while free > 0
                && let Some(wanted) = capture.missing.pop_front()
            {
                free -= 1;
                capture.under_way.insert(wanted.key());
                let flight = self.ids.next(now);
                draft.acts.push(Act::Fetch {
                    flight: flight.clone(),
                    account: open.account.clone(),
                    wanted: wanted.clone(),
                });
                let lane = key.clone();
                self.flights.insert(flight, Flight::Fetch { lane, wanted });
            }
        }
    }

    pub(crate) fn hear_fetch(
        &mut self,
        key: &LaneKey,
        wanted: Wanted,
        result: &Result<Stored, CaptureTrouble>,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let job = wanted.job;
        if let Ok(stored) = result {
            draft
                .batch
                .deliverables
                .push(deliverable(&wanted, stored, at));
        }
        // A download of an earlier submission is a fact, and says nothing about this one.
        let Some(open) = self
            .open
            .get_mut(&job)
            .filter(|open| open.submission == wanted.submission)
        else {
            return;
        };
        let Some(account) = self.accounts.get(&open.account).cloned() else {
            return;
        };
        let capture = open.capture.get_or_insert_default();
        capture.under_way.remove(&wanted.key());
        match result {
            Ok(_) => {
                open.have.insert(wanted.key());
                capture.failures = 0;
            }
            // The others still come home; the job fails at the end, with this reason.
            Err(CaptureTrouble::Never(why)) => {
                capture.refused = Some(format!("{}: {why}", wanted.kind));
            }
            Err(
                trouble @ (CaptureTrouble::LinkDead(why)
                | CaptureTrouble::Later(why)
                | CaptureTrouble::Storage(why)),
            ) => {
                // Files of one list fail together; that is one failure.
                let is_news = !capture.needs_links && capture.not_before.is_none_or(|it| it <= at);
                let dead = matches!(trouble, CaptureTrouble::LinkDead(_));
                if is_news {
                    capture.failures += 1;
                    let wait = match capture.failures {
                        // A link that died is read again at once.
                        1 if dead => Duration::ZERO,
                        failures => pause(&account, failures - 1),
                    };
                    capture.not_before = Some(at + wait);
                }
                // A link that fails for whatever reason at the second try may be stale.
                let stale = capture.failures > 1 && !matches!(trouble, CaptureTrouble::Storage(_));
                if dead && planted::has(Bug::RowWithoutFile) {
                    open.have.insert(wanted.key());
                } else if (stale || dead) && !planted::has(Bug::LinkNotReadAgain) {
                    capture.needs_links = true;
                    capture.missing.clear();
                } else {
                    capture.missing.push_back(wanted);
                }
                let trouble = Event::CaptureTrouble(Fault::new("capture_trouble", why.clone()));
                draft.apply(open, &trouble, key, at);
            }
        }
        self.finish_capture(key, job, at, draft);
        if result.is_err() {
            self.check_capture_deadline(key, &account, job, at, draft);
        }
        self.close_if_over(key, job, at, draft);
    }

    /// All files of the list are rows: a finished job completes; a production that waits for its
    /// release is watched on.
    fn finish_capture(&mut self, key: &LaneKey, job: JobId, at: Timestamp, draft: &mut Draft) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let whole = open.capture.as_ref().is_some_and(|capture| {
            !capture.needs_links && capture.missing.is_empty() && capture.under_way.is_empty()
        });
        if !whole {
            return;
        }
        let is_done = open.job.work.status() == Status::Capturing;
        if is_done
            && open
                .capture
                .as_ref()
                .is_some_and(|capture| capture.unlinked)
        {
            if let Some(account) = self.accounts.get(&open.account).cloned() {
                self.links_failed(&account, job, at);
            }
            return;
        }
        let Some(capture) = open.capture.take() else {
            return;
        };
        open.captured_at = Some(capture.at_status);
        if !is_done {
            return;
        }
        let event = match capture.refused {
            None => Event::ResultStored { status: None },
            Some(why) => Event::RemoteFailed {
                fault: Fault::new("file_refused", why),
                status: None,
                resubmit: false,
            },
        };
        draft.apply(open, &event, key, at);
    }

    /// Bringing a finished job's files home has an end. What waits for a person's approval has none.
    pub(crate) fn check_capture_deadline(
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
        let Some(capture) = &open.capture else {
            return;
        };
        if open.job.work.status() != Status::Capturing {
            return;
        }
        if capture.began + account.policy.capture_deadline > at {
            return;
        }
        let last = open
            .job
            .work
            .state
            .fault()
            .map_or("no link to it", |f| f.message.as_str());
        let event = Event::RemoteFailed {
            fault: Fault::new(
                "capture_failed",
                format!("the result was made and could not be brought home in time: {last}"),
            ),
            status: None,
            resubmit: false,
        };
        draft.apply(open, &event, key, at);
    }
}

/// The one file of an image.
fn image(open: &OpenJob, url: &SignedUrl) -> Vec<Wanted> {
    vec![Wanted {
        job: open.id(),
        submission: open.submission.clone(),
        kind: "Image".to_owned(),
        ordinal: 0,
        url: url.clone(),
        source_hash: source_hash(url),
        bytes: None,
        sha256: None,
    }]
}

/// The files of a list that are not here yet.
fn files(open: &OpenJob, list: &[RemoteDeliverable]) -> Vec<Wanted> {
    let mut seen = std::collections::BTreeMap::<&str, usize>::new();
    let mut wanted = Vec::new();
    for file in list {
        let next = seen.entry(file.kind.as_str()).or_default();
        let ordinal = *next;
        *next += 1;
        let source_hash = source_hash(&file.url);
        let known = (file.kind.clone(), ordinal, source_hash.clone());
        if file.url.expose().is_empty() || open.have.contains(&known) {
            continue;
        }
        wanted.push(Wanted {
            job: open.id(),
            submission: open.submission.clone(),
            kind: file.kind.clone(),
            ordinal,
            url: file.url.clone(),
            source_hash,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
        });
    }
    wanted
}

/// What stays of a link: enough to see that it is another one, too little to follow it.
fn source_hash(url: &SignedUrl) -> String {
    let whole = url.expose();
    let path = whole.split(['?', '#']).next().unwrap_or(whole);
    hex(&Sha256::digest(path.as_bytes()))
}

fn deliverable(wanted: &Wanted, stored: &Stored, at: Timestamp) -> NewDeliverable {
    NewDeliverable {
        job: wanted.job,
        submission: wanted.submission.clone(),
        r#type: wanted.kind.clone(),
        ordinal: i64::try_from(wanted.ordinal).unwrap_or(i64::MAX),
        location: stored.location.clone(),
        content_type: stored.content_type.clone(),
        bytes: i64::try_from(stored.bytes).unwrap_or(i64::MAX),
        sha256: stored.sha256.clone(),
        captured_at: at,
        source_hash: wanted.source_hash.clone(),
        quarantined: stored.quarantined,
        shape: FileShape {
            width: stored.shape.width,
            height: stored.shape.height,
            duration_ms: stored
                .shape
                .duration_ms
                .and_then(|span| i64::try_from(span).ok()),
        },
    }
}
