//! Whom to ask, and when, where webhooks come: late about a job that nothing was heard of, and at once
//! about the one that most probably failed.

use std::time::Duration;

use domain::{Demand, JobId, Status, Timestamp};
use store::LaneKey;

use super::channel::Alarm;
use super::suspects::{most_suspect, weight};
use crate::account::Account;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};
use crate::read::is_being_made;
use crate::read::worth;

/// Under a backlog a job is asked about at this chance that it is the one that failed: else the call is left to
/// become clearer with time. Measured over twelve seeds of the study's jobs, waiting for an even chance makes twice
/// as many of the failures known later than 8 s, and asking whatever the chance finds no more of them.
const ENOUGH: f64 = 0.3;

/// What a job is worth to the order of polls that somebody said is done: it goes first.
pub(crate) const SURELY_DONE: i64 = i64::MAX;

impl Engine {
    /// Calls that named no job: who most probably failed is asked, one at a time for each call.
    pub(crate) fn call_suspects(&mut self, key: &LaneKey, now: Timestamp, wake: &mut Wake) {
        let backlog = self.lanes.get(key).is_some_and(|lane| lane.backlog);
        for account in self.accounts_of(key) {
            let channel = self.channels.of(&account.name);
            channel.settle(now);
            let mut alarms = std::mem::take(&mut channel.alarms);
            alarms.retain(|alarm| self.call_suspect(&account, alarm, backlog, now, wake));
            self.channels.of(&account.name).alarms = alarms;
        }
    }

    /// Whether anybody is left who may be the one.
    fn call_suspect(
        &mut self,
        account: &Account,
        alarm: &Alarm,
        backlog: bool,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        let mut weights: Vec<(JobId, f64)> = Vec::new();
        for open in self.open.values() {
            if open.account != account.name || !may_have_failed(open, alarm.at) {
                continue;
            }
            if open.called_for || open.asking {
                // Its answer tells more.
                return true;
            }
            let curve = self.learned.curve(open, account);
            let (then, age) = (alarm.at.since(open.taken_at), now.since(open.taken_at));
            weights.push((open.id(), weight(curve, then, age)));
        }
        let Some((job, chance)) = most_suspect(&weights) else {
            return false;
        };
        if backlog && chance < ENOUGH {
            wake.at(now + account.polling.min_interval / 5);
        } else if let Some(open) = self.open.get_mut(&job) {
            open.called_for = true;
            open.next_read = open.next_read.min(open.floor);
        }
        true
    }

    /// Where webhooks call for a read of each job, that read leaves at once, and submits keep out of its way.
    pub(crate) fn space_submits(&mut self, key: &LaneKey, group: &str, now: Timestamp) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let calls = |name: &String| {
            let account = self.accounts.get(name);
            self.channels.loss(name).is_some()
                && account.is_some_and(|account| {
                    account.provider == domain::Provider::Productai && !self.believes(key, account)
                })
        };
        let called = lane.accounts.iter().any(calls);
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.is_called(group, called, now);
        }
    }

    /// Whether a webhook said that this job is done, and no read has said otherwise. Each job is read once for that,
    /// so that these reads are never more than its submits, and need no bound of their own.
    pub(crate) fn is_rung(&self, job: JobId) -> bool {
        let open = self.open.get(&job);
        open.is_some_and(|open| open.told.rung_at.is_some() && !open.told.early)
    }

    /// When to ask about a job whose webhook would have come: when it is likelier lost than still to come,
    /// and as much later as a question is worth. `None`: its webhook is not relied on, or polls are free.
    pub(crate) fn silent_until(
        channels: &super::Channels,
        learned: &mut crate::read::Learned,
        open: &OpenJob,
        account: &Account,
        demand: &Demand,
    ) -> Option<(Timestamp, i64)> {
        let loss = channels.loss(&account.name)?;
        // A production's files can be had before anything is told of it.
        let rings = account.provider != domain::Provider::Jarai;
        if !rings || open.told.early {
            return None;
        }
        let floor = account.interval(open.phase);
        let seen = open.unfinished_at.map(|at| at.since(open.taken_at));
        let curve = learned.curve(open, account);
        let price = demand.price(curve.mean(), floor, worth(account, floor));
        if price.is_zero() {
            // Where polls take nothing from anybody they go on at the documented interval.
            return None;
        }
        let price = price.max(floor);
        let left = seen.map_or(1.0, |seen| 1.0 - curve.done_by(seen));
        let age = curve.age_at(1.0 - loss * left) + price;
        let age = seen.map_or(age, |seen| age.max(seen + floor));
        let slot = demand.window / demand.limit.max(1);
        Some((open.taken_at + age, millis(slot)))
    }
}

/// Whether this job may be the one that failed before this moment: it runs, and was not heard of since.
fn may_have_failed(open: &OpenJob, at: Timestamp) -> bool {
    open.job.work.status() == Status::Running
        && is_being_made(open.phase)
        && open.told.rung_at.is_none()
        && open.taken_at < at
        && open.unfinished_at.is_none_or(|heard| heard < at)
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
