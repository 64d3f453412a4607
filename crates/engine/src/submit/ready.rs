//! Which pending jobs could be sent now, best first, and what their request is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{Event, Fault, Invalid, JobId, Request, Status, Timestamp};
use providers::{DescriptionItem, Submit};
use store::{Job, LaneKey, PendingWant, StoreError};

use super::source::Link;
use crate::account::Account;
use crate::breaker::UNAVAILABLE;
use crate::draft::{Draft, Intent, change_of, moved};
use crate::lane::Lane;
use crate::planner::{Engine, Wake};
use crate::read::MOST_ALONE;

/// Rows read at once for submits that go one by one: at least one of as many batches.
const LOOK_AHEAD: u32 = 32;

/// So long after somebody wrote rows, it is looked when others are due.
const SOON: Duration = Duration::from_millis(250);

/// A pending job that may be sent now.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) job: Job,
    pub(crate) account: Arc<Account>,
    pub(super) submit: Submit,
    pub(crate) price: Option<i64>,
    pub(super) warning: Option<String>,
}

impl Ready {
    pub(super) fn id(&self) -> JobId {
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
    pub(super) fn travels_with(&self, other: &Self) -> bool {
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
    /// Not in this step: a link is being read.
    NotNow,
    /// Not before this moment, for this reason.
    Later(Timestamp, Fault),
    Invalid(Invalid),
}

impl From<Link> for Shaped {
    fn from(link: Link) -> Self {
        match link {
            // Only asked for where the link is missing.
            Link::Known(_) | Link::NotNow => Self::NotNow,
            Link::Later(until, why) => Self::Later(until, why),
            Link::Gone(invalid) => Self::Invalid(invalid),
        }
    }
}

impl Engine {
    /// The jobs that this lane could send now, best first. Rows that can never be right fail here,
    /// before anything is sent. Also whether there may be more of them.
    pub(crate) async fn candidates(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(Vec<Ready>, bool), StoreError> {
        let mut rows = Vec::new();
        let mut room = HashMap::new();
        let mut full = false;
        for account in self.accounts_of(key) {
            if self.is_paused(key, &account.name) {
                continue;
            }
            if self.money.is_rechecking(&account.name) {
                full = true;
                continue;
            }
            let running = self.running_of(&account.name);
            let Some(spare) = self
                .most_running(key, &account, now)
                .checked_sub(running)
                .filter(|n| *n > 0)
            else {
                continue;
            };
            let mut want = wanted(&account, now);
            let paused = self.lanes.get(key).map(|lane| &lane.refusals);
            want.without = paused.map_or_else(Vec::new, |paused| paused.paused_of(&account.name));
            let found = self.store.pending(&want).await?;
            full |= found.len() >= spare.min(want.limit as usize);
            room.insert(account.name.clone(), spare);
            rows.extend(found.into_iter().map(|job| (Arc::clone(&account), job)));
        }
        if !full && let Some(lane) = self.lanes.get_mut(key) {
            // Nothing more than this is pending: look again when something changes.
            let timing = self.accounts.values().find(|a| a.lane == *key);
            let later = now + timing.map_or_else(Default::default, |a| a.timing.look_again);
            // What somebody just wrote does not wait for the look at what is due later: that comes soon after.
            let is_news = std::mem::take(&mut lane.has_news) && !rows.is_empty();
            let until = if is_news {
                later.min(now + SOON)
            } else {
                let due = self.store.next_due(now).await?;
                due.map_or(later, |due| due.min(later))
            };
            lane.idle_until = Some(until);
            wake.at(until);
        }
        self.know_batches_of(&rows, now).await?;
        let mut ready = Vec::new();
        for (account, job) in rows {
            if let Some(one) = self.prepare(key, &account, job, now, draft) {
                ready.push(one);
            }
        }
        self.look_for_sources(now, draft).await?;
        self.in_fair_order(key, &mut ready);
        // Cut only here: whose turn it is, the database does not know.
        ready.retain(|one| {
            let left = room.get_mut(&one.account.name).filter(|left| **left > 0);
            left.map(|left| *left -= 1).is_some()
        });
        if self.leave_to_refusals(key, &mut ready)
            && let Some(lane) = self.lanes.get_mut(key)
        {
            // They are still there when an answer made room.
            lane.idle_until = None;
        }
        Ok((ready, full))
    }

    fn is_paused(&self, key: &LaneKey, account: &str) -> bool {
        let lane = self.lanes.get(key);
        lane.is_some_and(|lane| lane.paused.contains_key(account))
    }

    /// How many jobs of this account may be with its provider. Where polls and submits share a budget, no
    /// more than it can serve.
    fn most_running(&self, key: &LaneKey, account: &Account, now: Timestamp) -> usize {
        let most = account.policy.max_running;
        if self.bulk.rests(&account.name) {
            return most.min(MOST_ALONE);
        }
        let group = account.submit_group();
        let shared = group == account.read_group();
        // While nothing is heard of those that run, their number says nothing, and no submit waits for them.
        let heard = |lane: &&Lane| lane.pause("status", UNAVAILABLE).is_none();
        let demand = self
            .lanes
            .get(key)
            .filter(|_| shared)
            .filter(heard)
            .and_then(|lane| lane.demand(group, 0, shared, now));
        let served = demand.map(|demand| demand.most_running(self.learned.stay(account)));
        served.map_or(most, |served| served.min(most))
    }

    fn running_of(&self, account: &str) -> usize {
        let resting = self.open.resting_of(account);
        let awake = self
            .open
            .awake()
            .filter(|open| open.account == account && !open.rests_for_approval())
            // A job in doubt may wait for a person for months; it takes nobody's place.
            .filter(|open| open.job.work.status() != Status::InDoubt)
            .count();
        resting + awake
    }

    /// Highest priority first; then the batch that has had the fewest turns; then the oldest.
    fn in_fair_order(&self, key: &LaneKey, ready: &mut [Ready]) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let mut turns = HashMap::new();
        let mut rank = Vec::with_capacity(ready.len());
        // Rows come best first within a batch: the n-th of a batch and priority waits for n more turns of it.
        for one in ready.iter() {
            let batch = one.job.batch.as_deref();
            let priority = one.job.priority;
            let place = turns
                .entry((priority, batch.map(str::to_owned)))
                .or_insert_with(|| lane.turns.of(priority, batch));
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
        let rank: HashMap<_, _> = rank.into_iter().collect();
        ready.sort_by_key(|one| rank.get(&one.id()).copied());
    }

    fn prepare(
        &self,
        key: &LaneKey,
        account: &Arc<Account>,
        job: Job,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Option<Ready> {
        if draft.touched.contains(&job.id) {
            return None;
        }
        let checked =
            match domain::request::check(&job.input, &account.defaults, &account.prices.models) {
                Ok(checked) => checked,
                Err(invalid) => {
                    self.fail_row(key, job, &invalid, now, draft);
                    return None;
                }
            };
        let price = account.prices.of(&checked.request);
        match self.shape(&checked.request, account, &job, now, draft) {
            Shaped::Submit(submit) => {
                let doubt = self.doubt_about_images(&checked.request, account);
                let warnings: Vec<String> = checked.warning.into_iter().chain(doubt).collect();
                Some(Ready {
                    job,
                    account: Arc::clone(account),
                    submit,
                    price,
                    warning: Some(warnings.join("; ")).filter(|text| !text.is_empty()),
                })
            }
            Shaped::NotNow => None,
            Shaped::Later(until, why) => {
                self.hold_row(key, job, until, why, now, draft);
                None
            }
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
        draft.touched.insert(job.id);
        let mut change = change_of(&job, Some(key), now);
        let why = Fault::new(invalid.code, invalid.message.clone());
        if let Some(event) = moved(&mut job, &Event::FoundInvalid(why), Some(key), now) {
            change.work = job.work;
            draft.intents.push(Intent::row(change, Some(event)));
        }
    }

    /// The row cannot go yet and says so; others take its place in the queue meanwhile.
    pub(crate) fn hold_row(
        &self,
        key: &LaneKey,
        mut job: Job,
        until: Timestamp,
        why: Fault,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        draft.touched.insert(job.id);
        let known = job
            .work
            .state
            .fault()
            .is_some_and(|known| known.code == why.code);
        let mut change = change_of(&job, Some(key), now);
        change.not_before = Some(until);
        if let Some(event) = moved(&mut job, &Event::HeldBack(Some(why)), Some(key), now) {
            change.work = job.work;
            draft.intents.push(Intent::row(
                change,
                // Waiting on is no news.
                Some(event).filter(|_| !known),
            ));
        }
    }

    fn shape(
        &self,
        request: &Request,
        account: &Account,
        job: &Job,
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
                    match self.link(image, account, job, now, draft) {
                        Link::Known(url) => image_urls.push(url),
                        other => return other.into(),
                    }
                }
                Shaped::Submit(Submit::Generate {
                    model: model.clone(),
                    image_urls,
                    prompt: prompt.clone(),
                })
            }
            Request::Upscale { image } => match self.link(image, account, job, now, draft) {
                Link::Known(image_url) => Shaped::Submit(Submit::Upscale { image_url }),
                other => other.into(),
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
}

fn wanted(account: &Account, now: Timestamp) -> PendingWant {
    let batch = u32::try_from(account.policy.batch_size).unwrap_or(u32::MAX);
    let limit = batch.saturating_mul(4).max(LOOK_AHEAD);
    PendingWant {
        kind: account.provider.kind(),
        account: account.name.clone(),
        takes_unnamed: account.policy.takes_unnamed,
        now,
        per_batch: limit,
        limit,
        without: Vec::new(),
    }
}
