//! Which pending jobs go next, and the bytes of their POST.

use std::sync::Arc;
use std::time::Duration;

use domain::{
    Event, Fault, ImageSource, Invalid, JobId, JobKind, JobState, Request, SubmissionId, Timestamp,
};
use providers::{Call, DescriptionItem, Submit};
use sha2::{Digest, Sha256};
use store::{Job, LaneKey, NewRequest, NewSubmission, NewSubmissionJob, PendingWant, StoreError};

use crate::account::Account;
use crate::draft::{Draft, Intent, change_of, moved};
use crate::open::OpenJob;
use crate::planner::{Engine, Source, Wake, send};

/// Rows read at once for submits that go one by one.
const LOOK_AHEAD: u32 = 16;

/// A link that was read for a submit is forgotten after this time.
const SOURCE_LINK_KEPT: Duration = Duration::from_secs(60);

/// A source that is not made yet is looked at again after this time, and when it completes.
const SOURCE_LOOKED_AT_AGAIN: Duration = Duration::from_secs(1);

/// A pending job that may be sent now.
#[derive(Debug)]
pub(crate) struct Ready {
    job: Job,
    account: Arc<Account>,
    submit: Submit,
    price: Option<i64>,
    warning: Option<String>,
}

impl Ready {
    fn id(&self) -> JobId {
        self.job.id
    }

    /// What it takes from a further counter: JARAI's productions per account there and day.
    pub(crate) fn quota(&self) -> Option<String> {
        match &self.submit {
            Submit::Production { account_id, .. } => Some(format!("productions:{account_id}")),
            Submit::Descriptions { .. } | Submit::Generate { .. } | Submit::Upscale { .. } => None,
        }
    }

    /// Whether `other` can travel in the same POST.
    fn travels_with(&self, other: &Self) -> bool {
        match (&self.submit, &other.submit) {
            (
                Submit::Descriptions { project_id: a, .. },
                Submit::Descriptions { project_id: b, .. },
            ) => a == b && self.account.name == other.account.name,
            _ => false,
        }
    }
}

/// How a request reads as bytes, once every link is known.
enum Shaped {
    Submit(Submit),
    /// Not before a link has been read.
    Waits,
    Invalid(Invalid),
}

impl Engine {
    /// The jobs that this lane could send now, best first. Rows that can never be right fail here,
    /// before anything is sent.
    pub(crate) async fn candidates(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<Vec<Ready>, StoreError> {
        let mut rows = Vec::new();
        let mut full = false;
        for account in self.accounts_of(key) {
            let running = self.running_of(&account.name);
            let Some(spare) = account
                .policy
                .max_running
                .checked_sub(running)
                .filter(|n| *n > 0)
            else {
                continue;
            };
            let want = wanted(&account, spare, now);
            let found = self.store.pending(&want).await?;
            full |= found.len() >= want.limit as usize;
            rows.extend(found.into_iter().map(|job| (Arc::clone(&account), job)));
        }
        if full {
            wake.at(now);
        } else if let Some(lane) = self.lanes.get_mut(key) {
            // Nothing more than this is pending: look again when something changes.
            let timing = self.accounts.values().find(|a| a.lane == *key);
            let later = now + timing.map_or_else(Default::default, |a| a.timing.look_again);
            let due = self.store.next_due(now).await?;
            let until = due.map_or(later, |due| due.min(later));
            lane.idle_until = Some(until);
            wake.at(until);
        }
        let mut ready = Vec::new();
        for (account, job) in rows {
            if let Some(one) = self.prepare(key, &account, job, now, draft) {
                ready.push(one);
            }
        }
        self.look_for_sources(now, draft, wake).await?;
        self.in_fair_order(key, &mut ready);
        Ok(ready)
    }

    /// Finds the remote ids of the images that pending jobs want as sources.
    async fn look_for_sources(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        self.sources.retain(|_, source| match source {
            Source::Asked => true,
            Source::Link(_, read_at) => now.since(*read_at) < SOURCE_LINK_KEPT,
            Source::NotYet(until) => *until > now,
            Source::Gone(_) => false,
        });
        let wanted: Vec<JobId> = draft.sources_wanted.keys().copied().collect();
        for id in wanted {
            let source = match self.store.job(id).await? {
                None => Source::Gone("there is no such row".to_owned()),
                Some(job) => match (&job.work.state, job.work.state.remote()) {
                    (JobState::Completed { .. }, Some(remote)) => {
                        if let Some(account) = &job.taken_by {
                            draft.sources_wanted.insert(id, account.clone());
                        }
                        draft.source_ids.insert(id, remote.id.clone());
                        continue;
                    }
                    (JobState::Failed { fault, .. }, _) => Source::Gone(fault.message.clone()),
                    (JobState::Cancelled { .. }, _) => Source::Gone("it was cancelled".to_owned()),
                    _ => {
                        let until = now + SOURCE_LOOKED_AT_AGAIN;
                        wake.at(until);
                        Source::NotYet(until)
                    }
                },
            };
            draft.sources_wanted.remove(&id);
            if matches!(source, Source::Gone(_)) {
                wake.at(now);
                self.forget_idle();
            }
            self.sources.insert(id, source);
        }
        Ok(())
    }

    fn forget_idle(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.idle_until = None;
        }
    }

    fn running_of(&self, account: &str) -> usize {
        self.open
            .values()
            .filter(|open| open.account == account && !open.rests_for_approval())
            .count()
    }

    /// Highest priority first; then the batch that has had the fewest turns; then the oldest.
    fn in_fair_order(&self, key: &LaneKey, ready: &mut [Ready]) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let mut turns = std::collections::HashMap::new();
        let mut rank = Vec::with_capacity(ready.len());
        // Rows come best first within a batch: the n-th of a batch waits for n more turns of it.
        for one in ready.iter() {
            let batch = one.job.batch.as_deref();
            let place = turns
                .entry(batch.map(str::to_owned))
                .or_insert_with(|| lane.turns_of(batch));
            rank.push((
                one.id(),
                (
                    std::cmp::Reverse(one.job.priority),
                    *place,
                    one.job.run_at.unwrap_or(one.job.created_at),
                    one.id(),
                ),
            ));
            *place += 1;
        }
        let rank: std::collections::HashMap<_, _> = rank.into_iter().collect();
        ready.sort_by_key(|one| rank.get(&one.id()).copied());
    }

    fn prepare(
        &mut self,
        key: &LaneKey,
        account: &Arc<Account>,
        job: Job,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Option<Ready> {
        let checked =
            match domain::request::check(&job.input, &account.defaults, &account.prices.models) {
                Ok(checked) => checked,
                Err(invalid) => {
                    self.fail_row(key, job, &invalid, now, draft);
                    return None;
                }
            };
        let price = account.prices.of(&checked.request);
        match self.shape(&checked.request, account, now, draft) {
            Shaped::Submit(submit) => Some(Ready {
                job,
                account: Arc::clone(account),
                submit,
                price,
                warning: checked.warning,
            }),
            Shaped::Waits => None,
            Shaped::Invalid(invalid) => {
                self.fail_row(key, job, &invalid, now, draft);
                None
            }
        }
    }

    fn fail_row(
        &self,
        key: &LaneKey,
        mut job: Job,
        invalid: &Invalid,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let mut change = change_of(&job, Some(key), now);
        let why = Fault::new(invalid.code, invalid.message.clone());
        if let Some(event) = moved(&mut job, &Event::FoundInvalid(why), Some(key), now) {
            change.work = job.work;
            draft.intents.push(Intent::Change {
                change: Box::new(change),
                event: Some(event),
                released: Vec::new(),
                command: None,
                opens: None,
            });
        }
    }

    fn shape(
        &mut self,
        request: &Request,
        account: &Arc<Account>,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Shaped {
        match request {
            Request::Description {
                project_id,
                ean,
                product_name,
                product_brand,
            } => Shaped::Submit(Submit::Descriptions {
                project_id: project_id.clone(),
                items: vec![DescriptionItem {
                    ean: ean.clone(),
                    product_name: product_name.clone(),
                    product_brand: product_brand.clone(),
                    client_product_id: String::new(),
                }],
            }),
            Request::Generate {
                model,
                images,
                prompt,
            } => {
                let mut image_urls = Vec::new();
                for image in images {
                    match self.link(image, account, now, draft) {
                        Ok(Some(url)) => image_urls.push(url),
                        Ok(None) => return Shaped::Waits,
                        Err(invalid) => return Shaped::Invalid(invalid),
                    }
                }
                Shaped::Submit(Submit::Generate {
                    model: model.clone(),
                    image_urls,
                    prompt: prompt.clone(),
                })
            }
            Request::Upscale { image } => match self.link(image, account, now, draft) {
                Ok(Some(image_url)) => Shaped::Submit(Submit::Upscale { image_url }),
                Ok(None) => Shaped::Waits,
                Err(invalid) => Shaped::Invalid(invalid),
            },
            Request::Production {
                account_id,
                topic,
                language_id,
                country_id,
                avatar_id,
                project_type_slug,
                metadata_md,
            } => Shaped::Submit(Submit::Production {
                account_id: account_id.clone(),
                topic: topic.clone(),
                language_id: language_id.clone(),
                country_id: country_id.clone(),
                avatar_id: avatar_id.clone(),
                project_type_slug: project_type_slug.clone(),
                metadata_md: metadata_md.clone(),
            }),
        }
    }

    /// The URL of a source image. One that another job makes is read just before it is used, since
    /// links die: the read is asked for here, and the job waits for it.
    fn link(
        &mut self,
        image: &ImageSource,
        account: &Arc<Account>,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<Option<String>, Invalid> {
        let id = match image {
            ImageSource::Url(url) => return Ok(Some(url.clone())),
            ImageSource::Job(id) => JobId::new(JobKind::Image, *id),
        };
        match self.sources.get(&id) {
            Some(Source::Link(url, read_at))
                if now.since(*read_at) <= account.timing.read_timeout =>
            {
                Ok(Some(url.expose().to_owned()))
            }
            Some(Source::Gone(why)) => Err(Invalid {
                code: "source_failed",
                message: format!("the source {id} has no image: {why}"),
            }),
            Some(Source::NotYet(until)) if *until > now => Ok(None),
            Some(Source::Asked) => Ok(None),
            Some(Source::Link(..) | Source::NotYet(_)) | None => {
                draft.sources_wanted.insert(id, account.name.clone());
                Ok(None)
            }
        }
    }

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

fn wanted(account: &Account, spare: usize, now: Timestamp) -> PendingWant {
    let batch = u32::try_from(account.policy.batch_size).unwrap_or(u32::MAX);
    let limit = batch.saturating_mul(4).max(LOOK_AHEAD);
    PendingWant {
        kind: account.provider.kind(),
        account: account.name.clone(),
        takes_unnamed: account.policy.takes_unnamed,
        now,
        per_batch: limit,
        limit: limit.min(u32::try_from(spare).unwrap_or(u32::MAX)),
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
