//! JAKOV in bulk: one export of a project tells of all its completed products, and replaces a read of
//! each. This module decides when an export leaves, what is believed of its answer, and which jobs are asked
//! alone all the same; it owns no request and no state of a job.
//!
//! ```text
//!  covered ──the export fails, or lacks what is done──> rests: every job is asked alone, as anywhere else
//!     ^                                                    │
//!     └────────────────its time is over────────────────────┘
//! ```
//!
//! An export is a fact about what is in it, and about nothing else: what it tells ends in
//! [`Engine::see_remote`], as the answer to a poll does, and what is absent from it may be under way, failed,
//! not found, or left out. So while exports cover a project, beside each of them one job is asked alone, in
//! turn, and every job that is late: that is how a bad end is heard, and how an export is found out that
//! lacks things. JAKOV documents no interval; exports of a project are as far apart as two reads of one job.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use domain::{JobId, Provider, Status, Timestamp};
use providers::{Outcome, Phase, RemoteJob, Reply};
use store::{LaneKey, Webhook, WebhookDone};

use crate::account::Account;
use crate::breaker::{UNAVAILABLE, failed};
use crate::doubt::project_of;
use crate::draft::Draft;
use crate::jump::Jump;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};
use crate::submit::fault_of;

/// With fewer jobs under way than this, reads of their own are as cheap.
const LEAST: usize = 2;

/// So many products in an export weigh as much as one more read: it is some hundreds of kilobytes.
const PRODUCTS_PER_READ: usize = 1_000;

/// Products of an export that are read in a second, at the most: a long one is asked for less often.
const PRODUCTS_PER_SECOND: u32 = 2_000;

/// Of the time no more than a fifth is spent on exports: they are as far apart as this many take.
const APART: u32 = 4;

/// A job is late when it is so many times as old as jobs get on average: of lognormal lengths with sigma 0.4,
/// two in a thousand.
const LATE: u32 = 3;

/// A late job is asked again after this part of its age.
const LATE_AGAIN: u32 = 4;

/// An export may be so much behind the truth.
const BEHIND: Duration = Duration::from_secs(30);

/// Jobs found done one by one, while exports tell of none, before exports rest.
const SILENT: u32 = 3;

/// While webhooks tell nearly all, exports are so many times as far apart, at the most: a minute.
const FARTHEST: u32 = 12;

/// Of so many ends that webhooks told, exports may add one and are thought to be of little use.
const BY_WEBHOOKS: usize = 9;

/// Jobs that may be with JAKOV while each has to be asked alone: reads serve no more in seven minutes.
pub(crate) const MOST_ALONE: usize = 2_000;

/// What is known of the exports of one project.
#[derive(Debug)]
struct Project {
    /// One is on the wire, or was, since this moment.
    sent_at: Timestamp,
    on_the_wire: bool,
    /// None leaves before this moment.
    next_at: Timestamp,
    /// How many products the last one held.
    products: usize,
    /// When the last one that was read whole had left.
    read: Option<Timestamp>,
    /// They do not work: until when every job is asked alone.
    rests_until: Option<Timestamp>,
    strikes: u32,
    /// Jobs found done alone since an export last told of one.
    silent: u32,
    /// Jobs whose end webhooks told since the last export.
    by_webhooks: usize,
    /// How many times as far apart as usual they are.
    stretch: u32,
    /// Jobs under way, and those of them that may be asked about.
    running: usize,
    due: usize,
    /// When the next of the others may be.
    next_due: Option<Timestamp>,
    /// The one of them that is asked alone next, and when it was last heard.
    turn: Option<(Timestamp, JobId)>,
    /// Any of them.
    one: Option<JobId>,
    /// Its jobs are not asked one by one.
    covers: bool,
}

impl Project {
    /// The first export waits as long as the first read of a job would.
    fn new(account: &Account, now: Timestamp) -> Self {
        Self {
            sent_at: now,
            on_the_wire: false,
            next_at: now + account.interval(Phase::Queued),
            products: 0,
            read: None,
            rests_until: None,
            strikes: 0,
            silent: 0,
            by_webhooks: 0,
            stretch: 1,
            running: 0,
            due: 0,
            next_due: None,
            turn: None,
            one: None,
            covers: false,
        }
    }

    fn is_worth_it(&self) -> bool {
        self.running >= LEAST + self.products / PRODUCTS_PER_READ
    }

    /// The time from an answer to the next export.
    fn gap(&self, account: &Account, took: Duration) -> Duration {
        let products = u32::try_from(self.products).unwrap_or(u32::MAX);
        let reading = Duration::from_secs(1) * (products / PRODUCTS_PER_SECOND);
        let usual = account.interval(Phase::Queued) * self.stretch;
        usual.max(took * APART).max(reading)
    }

    /// It does not work: jobs are asked alone for a while, longer each time.
    fn strike(&mut self, account: &Account, share: f64, at: Timestamp) {
        self.rests_until = Some(at + account.timing.breaker(self.strikes, share));
        self.strikes = self.strikes.saturating_add(1);
        self.silent = 0;
    }

    /// An export was read whole, and told the end of so many jobs.
    fn told(&mut self, ends: usize) {
        if ends > 0 {
            self.silent = 0;
            self.strikes = self.strikes.saturating_sub(1);
        }
        if self.by_webhooks > 0 && self.by_webhooks >= BY_WEBHOOKS * ends {
            self.stretch = (self.stretch * 2).min(FARTHEST);
        } else if ends > 0 {
            self.stretch = 1;
        }
        self.by_webhooks = 0;
    }
}

/// What is known of exports: by account and project.
#[derive(Debug, Default)]
pub(crate) struct Bulk(BTreeMap<String, BTreeMap<String, Project>>);

impl Bulk {
    fn of(&mut self, account: &Account, project: &str, now: Timestamp) -> &mut Project {
        let projects = self.0.entry(account.name.clone()).or_default();
        projects
            .entry(project.to_owned())
            .or_insert_with(|| Project::new(account, now))
    }

    fn get(&mut self, account: &str, project: &str) -> Option<&mut Project> {
        self.0.get_mut(account)?.get_mut(project)
    }

    /// Whether an export answers for this job, so that it is not asked alone before it is late.
    pub(crate) fn covers(&self, open: &OpenJob, account: &Account) -> bool {
        let Some(projects) = self.0.get(&account.name).filter(|_| is_member(open)) else {
            return false;
        };
        project_of(open, account)
            .and_then(|project| projects.get(project))
            .is_some_and(|project| project.covers)
    }

    /// Whether exports of this account do not work, so that each job has to be asked alone.
    pub(crate) fn rests(&self, account: &str) -> bool {
        let mut projects = self.0.get(account).into_iter().flat_map(BTreeMap::values);
        projects.any(|project| project.rests_until.is_some() && !project.covers)
    }

    /// These accounts are another process's from now on.
    pub(crate) fn forget(&mut self, accounts: &[String]) {
        self.0.retain(|account, _| !accounts.contains(account));
    }

    pub(crate) fn clock_jumped(&mut self, jump: Jump) {
        for project in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            let sure = [&mut project.sent_at, &mut project.next_at];
            let may_be = [&mut project.rests_until, &mut project.read];
            for at in sure.into_iter().chain(may_be.into_iter().flatten()) {
                *at = jump.moved(*at);
            }
        }
    }
}

/// A job that an export may tell of.
fn is_member(open: &OpenJob) -> bool {
    open.job.id.kind.provider() == Provider::Jakov && open.job.work.status() == Status::Running
}

/// Whether this is a result, and all of it.
fn is_whole(product: &RemoteJob) -> bool {
    let text = product.text.as_deref().unwrap_or_default();
    product.phase == Phase::Done && !text.trim().is_empty()
}

/// When a covered job is asked alone.
fn alone_at(open: &OpenJob, account: &Account, late: Duration) -> Timestamp {
    let heard_at = open.last_heard.unwrap_or_default();
    let again = heard_at + heard_at.since(open.taken_at) / LATE_AGAIN;
    let late = (open.taken_at + late).max(again);
    // The question after the deadline decides whether it is given up.
    let at = late.min(open.taken_at + account.policy.deadline);
    let at = if open.called_for { open.next_read } else { at };
    at.max(open.next_read)
}

impl Engine {
    /// Counts the jobs under way by project, and decides which of them are asked about by exports.
    pub(crate) fn count_projects(&mut self, key: &LaneKey, now: Timestamp) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let broken = lane.pause("export", UNAVAILABLE);
        let broken = broken.is_some_and(|pause| pause.until.is_none_or(|until| until > now));
        for name in &lane.accounts {
            let Some(projects) = self.bulk.0.get_mut(name) else {
                continue;
            };
            for project in projects.values_mut() {
                (project.running, project.due, project.next_due) = (0, 0, None);
                (project.turn, project.one) = (None, None);
            }
        }
        for open in self.open.values().filter(|open| is_member(open)) {
            let account = self.accounts.get(&open.account);
            let Some(account) = account.filter(|account| account.lane == *key) else {
                continue;
            };
            let Some(named) = project_of(open, account) else {
                continue;
            };
            if self.bulk.get(&account.name, named).is_none() {
                self.bulk.of(account, named, now);
            }
            let Some(project) = self.bulk.get(&account.name, named) else {
                continue;
            };
            project.running += 1;
            project.one = project.one.or(Some(open.id()));
            if open.next_read > now {
                let next = project.next_due.unwrap_or(open.next_read);
                project.next_due = Some(next.min(open.next_read));
                continue;
            }
            project.due += 1;
            if !open.asking {
                let heard = (open.last_heard.unwrap_or(open.taken_at), open.id());
                project.turn = Some(project.turn.map_or(heard, |known| known.min(heard)));
            }
        }
        for name in &lane.accounts {
            for project in self.bulk.0.get_mut(name).into_iter().flatten() {
                let rests = project.1.rests_until.is_some_and(|until| until > now);
                project.1.covers = !rests && !broken && project.1.is_worth_it();
            }
        }
    }

    /// When the jobs are asked alone that exports cover.
    pub(crate) fn plan_covered(&mut self, key: &LaneKey) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let covered = lane.accounts.iter().filter(|name| {
            let projects = self.bulk.0.get(*name);
            projects.is_some_and(|all| all.values().any(|project| project.covers))
        });
        let late: HashMap<&String, Duration> = covered
            .filter_map(|name| Some((name, self.learned.mean(self.accounts.get(name)?) * LATE)))
            .collect();
        if late.is_empty() {
            return;
        }
        for open in self.open.values_mut() {
            let (Some(late), Some(account)) =
                (late.get(&open.account), self.accounts.get(&open.account))
            else {
                continue;
            };
            if self.bulk.covers(open, account) {
                open.ask_at = alone_at(open, account, *late);
                open.loss = 0;
            }
        }
    }

    /// The exports that are due, each with a job that it answers for and one that is asked beside it.
    pub(crate) fn due_exports(
        &self,
        key: &LaneKey,
        now: Timestamp,
        wake: &mut Wake,
    ) -> Vec<(JobId, Option<JobId>)> {
        let names = self.lanes.get(key).map(|lane| lane.accounts.iter());
        let projects = names
            .into_iter()
            .flatten()
            .filter_map(|name| self.bulk.0.get(name))
            .flat_map(BTreeMap::values);
        let mut due = Vec::new();
        for project in projects.filter(|project| !project.on_the_wire) {
            // When they work again every job waits for one.
            let over = project.rests_until.filter(|until| *until > now);
            if let Some(until) = over.filter(|_| project.is_worth_it()) {
                wake.at(until);
            }
            let Some(one) = project.one.filter(|_| project.covers) else {
                continue;
            };
            if project.next_at > now {
                wake.at(project.next_at);
            } else if project.due >= LEAST {
                due.push((one, project.turn.map(|(_, job)| job)));
            } else if let Some(next) = project.next_due {
                wake.at(next);
            }
        }
        due
    }

    /// An export of the project of this job leaves.
    pub(crate) fn export_left(&mut self, account: &Account, project: &str, now: Timestamp) {
        let project = self.bulk.of(account, project, now);
        project.sent_at = now;
        project.on_the_wire = true;
    }

    /// Whether an export of this job's project is on the wire.
    pub(crate) fn export_is_out(&mut self, job: JobId) -> bool {
        let Some(open) = self.open.get(&job) else {
            return false;
        };
        let account = self.accounts.get(&open.account);
        let project = account.and_then(|account| {
            let named = project_of(open, account)?;
            self.bulk.get(&account.name, named)
        });
        project.is_some_and(|project| project.on_the_wire)
    }

    /// An export was answered: what it tells of jobs under way, and whether exports go on.
    pub(crate) fn hear_bulk(
        &mut self,
        key: &LaneKey,
        account: &Account,
        named: &str,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let ends = match &reply.outcome {
            Outcome::Export(products) => {
                Some(self.hear_products(key, account, named, products, at, draft))
            }
            _ => None,
        };
        let share = self.ids.share();
        let project = self.bulk.of(account, named, at);
        project.on_the_wire = false;
        match (&reply.outcome, ends) {
            (Outcome::Export(products), Some(ends)) => {
                project.products = products.len();
                project.read = Some(project.sent_at);
                project.told(ends);
            }
            // Nothing is said about exports where the key or the pace was refused.
            _ if failed(reply).is_none() => {}
            (outcome, _) => {
                project.strike(account, share, at);
                let why = match outcome {
                    Outcome::Refused(refusal) => fault_of(refusal).message,
                    Outcome::Unknown { reason } => reason.clone(),
                    _ => "the provider knows none".to_owned(),
                };
                tracing::warn!(
                    account = account.name,
                    project = named,
                    "the export does not work; jobs are asked one by one: {why}"
                );
            }
        }
        project.next_at = at + project.gap(account, at.since(project.sent_at));
    }

    /// Believes what an export says of jobs under way. How many of them it ended.
    fn hear_products(
        &mut self,
        key: &LaneKey,
        account: &Account,
        named: &str,
        products: &[RemoteJob],
        at: Timestamp,
        draft: &mut Draft,
    ) -> usize {
        let members = self.open.values().filter(|open| {
            // One that is asked alone at this moment is told by that.
            is_member(open) && !open.asking && open.account == account.name
        });
        let ours: HashMap<String, JobId> = members
            .filter(|open| project_of(open, account) == Some(named))
            .filter_map(|open| Some((open.remote_id()?.to_ascii_lowercase(), open.id())))
            .collect();
        let mut told: BTreeMap<JobId, &RemoteJob> = BTreeMap::new();
        let mut unclear = BTreeSet::new();
        // Whatever is no whole result is asked for alone when its time has come.
        for product in products.iter().filter(|product| is_whole(product)) {
            let Some(job) = ours.get(&product.remote_id.to_ascii_lowercase()) else {
                continue;
            };
            let before = told.insert(*job, product);
            // Two texts under one id: neither is believed.
            if before.is_some_and(|before| before.text != product.text) {
                unclear.insert(*job);
            }
        }
        for job in &unclear {
            told.remove(job);
            if let Some(open) = self.open.get_mut(job) {
                open.called_for = true;
            }
        }
        for (job, product) in &told {
            self.see_remote(key, account, *job, product, at, draft);
            self.close_if_over(key, *job, at, draft);
        }
        told.len()
    }

    /// A job was heard alone. If it is done, and an export that left long after its end did not say so, then
    /// exports lack things; the same if only jobs that are asked alone ever turn out to be done.
    pub(crate) fn check_export(
        &mut self,
        account: &Account,
        job: JobId,
        remote: &RemoteJob,
        at: Timestamp,
    ) {
        let share = self.ids.share();
        let Some(open) = self.open.get(&job).filter(|open| is_member(open)) else {
            return;
        };
        let Some(named) = project_of(open, account).filter(|_| remote.phase == Phase::Done) else {
            return;
        };
        let Some(project) = self.bulk.get(&account.name, named) else {
            return;
        };
        let Some(left) = project.read.filter(|_| project.covers) else {
            return;
        };
        // By our own clock: the provider's may be off.
        let said = remote.created_at.zip(remote.completed_at);
        let length = said.map(|(created, completed)| completed.since(created));
        let lacked = length.is_some_and(|length| open.taken_at + length + BEHIND <= left);
        project.silent += 1;
        if lacked || project.silent >= SILENT {
            project.strike(account, share, at);
            project.covers = false;
            tracing::warn!(
                account = account.name,
                project = named,
                "the export lacks what is done; jobs are asked one by one"
            );
        }
    }

    /// A signed webhook that holds a whole text says as much as the answer to a poll, and ends its job
    /// without one. Whether it did.
    pub(crate) fn end_by_webhook(
        &mut self,
        hook: &Webhook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let account = self.accounts.get(&hook.account).cloned();
        let Some(account) = account.filter(|account| account.provider == Provider::Jakov) else {
            return false;
        };
        let event = providers::webhook::parse(account.provider, hook.body.as_bytes());
        let Some(product) = event.ok().and_then(|event| event.job).filter(is_whole) else {
            return false;
        };
        let accounts = &self.accounts;
        let named = self.open.values().find(|open| {
            let ours = accounts.get(&open.account);
            let id = open.remote_id().filter(|_| is_member(open));
            ours.is_some_and(|ours| ours.lane == account.lane)
                && id.is_some_and(|id| id.eq_ignore_ascii_case(&product.remote_id))
        });
        let Some((job, taker)) = named.map(|open| (open.id(), open.account.clone())) else {
            return false;
        };
        let Some(taker) = self.accounts.get(&taker).cloned() else {
            return false;
        };
        if let Some(open) = self.open.get(&job)
            && let Some(named) = project_of(open, &taker)
            && let Some(project) = self.bulk.get(&taker.name, named)
        {
            project.by_webhooks += 1;
        }
        self.see_remote(&account.lane, &taker, job, &product, now, draft);
        self.close_if_over(&account.lane, job, now, draft);
        draft.webhook(WebhookDone {
            id: hook.id,
            state: "done".to_owned(),
            note: Some(format!("it told the result of {job}")),
            at: now,
        });
        true
    }
}
