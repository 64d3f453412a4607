//! Images that other jobs make and that pending jobs take as their source. Their links die, so a link
//! is read right before it is used, at the cost of one request; a job whose source is not made yet is
//! held back, and one whose source never will be fails.

use std::time::Duration;

use domain::{Fault, ImageSource, Invalid, JobId, JobKind, JobState, Timestamp};
use providers::SignedUrl;
use store::{Job, StoreError};

use crate::account::Account;
use crate::draft::Draft;
use crate::planner::Engine;

/// What is known about a source is forgotten after this time.
const KEPT: Duration = Duration::from_secs(60);

/// A job waits for its source as long as it has waited already, within these bounds.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The link of a source image, read a moment ago.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// Made, with this account and under this remote id: its link is to be read.
    Wanted { account: String, remote_id: String },
    /// On the wire.
    Asked,
    /// Read at this moment.
    Link(SignedUrl, Timestamp),
    /// Not made yet, as seen at this moment.
    NotYet(Timestamp),
    /// Not to be had, and why, as seen at this moment.
    Gone(String, Timestamp),
}

/// The URL of a source image.
pub(super) enum Link {
    Known(String),
    /// Being read.
    NotNow,
    /// Not made yet.
    Later(Timestamp, Fault),
    /// Never to be had.
    Gone(Invalid),
}

impl Engine {
    /// The URL of a source image; asks for it where it is not known.
    pub(super) fn link(
        &self,
        image: &ImageSource,
        account: &Account,
        waiting: &Job,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Link {
        let id = match image {
            ImageSource::Url(url) => return self.looked_at(url, account, now, draft),
            ImageSource::Job(id) => JobId::new(JobKind::Image, *id),
        };
        match self.sources.get(&id) {
            Some(Source::Link(url, at)) if now.since(*at) <= account.timing.read_timeout => {
                Link::Known(url.expose().to_owned())
            }
            Some(Source::Gone(why, _)) => Link::Gone(Invalid {
                code: "source_failed",
                message: format!("the source {id} has no image: {why}"),
            }),
            Some(Source::NotYet(seen)) if now.since(*seen) < SHORTEST_WAIT => {
                let waited = now.since(waiting.created_at);
                let wait = waited.clamp(SHORTEST_WAIT, LONGEST_WAIT);
                let why = format!("the image of {id} is not made yet");
                Link::Later(now + wait, Fault::new("waits_for_source", why))
            }
            Some(Source::Asked | Source::Wanted { .. }) => Link::NotNow,
            Some(Source::Link(..) | Source::NotYet(_)) | None => {
                draft.sources_wanted.insert(id);
                Link::NotNow
            }
        }
    }

    /// Finds out about the images that pending jobs want as sources.
    pub(super) async fn look_for_sources(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        self.sources.retain(|_, source| match source {
            Source::Asked | Source::Wanted { .. } => true,
            Source::Link(_, at) | Source::NotYet(at) | Source::Gone(_, at) => now.since(*at) < KEPT,
        });
        for id in std::mem::take(&mut draft.sources_wanted) {
            let source = self.source(id, now).await?;
            // Whoever waits for it is looked at again, with what is known now.
            if !matches!(source, Source::Wanted { .. }) {
                for lane in self.lanes.values_mut() {
                    lane.idle_until = None;
                }
                draft.again = true;
            }
            self.sources.insert(id, source);
        }
        self.look_at_images(now, draft);
        Ok(())
    }

    async fn source(&self, id: JobId, now: Timestamp) -> Result<Source, StoreError> {
        let Some(job) = self.store.job(id).await? else {
            return Ok(Source::Gone("there is no such row".to_owned(), now));
        };
        let made_by = job
            .taken_by
            .as_ref()
            .and_then(|name| self.accounts.get(name));
        Ok(match (&job.work.state, job.work.state.remote()) {
            (JobState::Completed { .. }, Some(remote)) => match made_by {
                Some(account) if self.lanes.contains_key(&account.lane) => Source::Wanted {
                    account: account.name.clone(),
                    remote_id: remote.id.clone(),
                },
                Some(_) => Source::NotYet(now),
                None => Source::Gone(
                    "the config has no account that could read it".to_owned(),
                    now,
                ),
            },
            (JobState::Failed { fault, .. }, _) => Source::Gone(fault.message.clone(), now),
            (JobState::Cancelled { .. }, _) => Source::Gone("it was cancelled".to_owned(), now),
            _ => Source::NotYet(now),
        })
    }
}
