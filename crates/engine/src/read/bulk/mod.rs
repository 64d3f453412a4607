//! JAKOV in bulk: one export of a project tells of all its completed products, and replaces a read of
//! each. This module decides when an export leaves, what is believed of its answer, and which jobs are asked
//! alone all the same; it owns no request and no state of a job.
//!
//! ```text
//!  covered ──the export fails, or lacks what is done──> rests: every job is asked alone, as anywhere else
//!     ^                                                   │        ^
//!     │                                          its time is over  │ it fails, or tells nothing
//!     │                                                   v        │
//!     └───────────────────it tells of a job────────── one export tries
//! ```
//!
//! An export is a fact about what is in it, and about nothing else: what it tells ends in
//! [`Engine::see_remote`](crate::planner::Engine), as the answer to a poll does, and what is absent from it may be under way, failed,
//! not found, or left out. So while exports cover a project, beside each of them one job is asked alone, in
//! turn, and every job that is late: that is how a bad end is heard, and how an export is found out that
//! lacks things. JAKOV documents no interval; exports of a project are as far apart as two reads of one job.

mod hear;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{JobId, Provider, Status, Timestamp};
use providers::{Phase, RemoteJob};

use crate::account::Account;
use crate::doubt::project_of;
use crate::jump::Jump;
use crate::open::OpenJob;

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

/// Exports in a row that tell of no job, while a read of one finds it done, before exports rest.
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
    /// They do not work: every job is asked alone, and none leaves until then.
    rests_until: Option<Timestamp>,
    /// They did not work: one tries, and until it tells of a job every job is asked alone.
    tries: bool,
    strikes: u32,
    /// A job was found done alone since the last export.
    found: bool,
    /// Exports in a row that told of none although one was found done.
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
    /// No export leaves: theirs is a rest, or their verb's breaker is open.
    rests: bool,
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
            tries: false,
            strikes: 0,
            found: false,
            silent: 0,
            by_webhooks: 0,
            stretch: 1,
            running: 0,
            due: 0,
            next_due: None,
            turn: None,
            one: None,
            rests: false,
            covers: false,
        }
    }

    fn forget_count(&mut self) {
        (self.running, self.due, self.next_due) = (0, 0, None);
        (self.turn, self.one) = (None, None);
    }

    fn count(&mut self, open: &OpenJob, now: Timestamp) {
        self.running += 1;
        self.one = self.one.or(Some(open.id()));
        if open.next_read > now {
            let next = self.next_due.unwrap_or(open.next_read);
            self.next_due = Some(next.min(open.next_read));
            return;
        }
        self.due += 1;
        if !open.asking {
            let turn = (heard_at(open), open.id());
            self.turn = Some(self.turn.map_or(turn, |known| known.min(turn)));
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
        self.tries = true;
        self.covers = false;
        self.silent = 0;
    }

    /// An export was read whole, and told the end of so many jobs.
    fn told(&mut self, ends: usize, account: &Account, share: f64, at: Timestamp) {
        let found = std::mem::take(&mut self.found);
        if ends > 0 {
            self.tries = false;
            self.silent = 0;
            self.strikes = self.strikes.saturating_sub(1);
        } else if self.tries {
            // Nothing is known about it yet.
            self.rests_until = Some(at + account.timing.breaker_first);
        } else if found {
            self.silent += 1;
            if self.silent >= SILENT {
                self.strike(account, share, at);
            }
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
        projects.any(|project| project.tries)
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

/// When it was last asked alone, or taken.
fn heard_at(open: &OpenJob) -> Timestamp {
    open.last_heard.unwrap_or(open.taken_at)
}

/// Whether nothing is on the wire or to be done about a covered job, but for a question when it is late.
fn is_quiet(open: &OpenJob, now: Timestamp) -> bool {
    let is_plain = open.capture.is_none() && open.job.work.cancel.is_none();
    is_member(open) && is_plain && !open.asking && !open.called_for && open.next_read <= now
}

/// When a covered job is asked alone.
fn alone_at(open: &OpenJob, account: &Account, late: Duration) -> Timestamp {
    let heard_at = heard_at(open);
    let again = heard_at + heard_at.since(open.taken_at) / LATE_AGAIN;
    let late = (open.taken_at + late).max(again);
    // The question after the deadline decides whether it is given up.
    let at = late.min(open.taken_at + account.policy.deadline);
    let at = if open.called_for { open.next_read } else { at };
    at.max(open.next_read)
}
