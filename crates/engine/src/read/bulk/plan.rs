//! Which jobs exports cover, and when an export leaves.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::{JobId, Timestamp};
use store::LaneKey;

use super::{LATE, LEAST, alone_at, heard_at, is_member, is_quiet};
use crate::breaker::UNAVAILABLE;
use crate::doubt::project_of;
use crate::planner::{Engine, Wake};

impl Engine {
    /// Counts the jobs under way by project, and decides which of them are asked about by exports. Those that
    /// rest are counted by their index.
    pub(crate) fn count_projects(&mut self, key: &LaneKey, now: Timestamp) {
        self.open.wake_due(now);
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let broken = lane.pause("export", UNAVAILABLE);
        let broken = broken.is_some_and(|pause| pause.until.is_none_or(|until| until > now));
        for name in &lane.accounts {
            for project in self.bulk.0.get_mut(name).into_iter().flatten() {
                project.1.forget_count();
            }
        }
        for ((name, named), resting, longest) in self.open.places() {
            if lane.accounts.contains(name)
                && let Some(project) = self.bulk.get(name, named)
            {
                project.running = resting;
                project.due = resting;
                (project.one, project.turn) = (Some(longest.1), Some(longest));
            }
        }
        for open in self.open.awake().filter(|open| is_member(open)) {
            let account = self.accounts.get(&open.account);
            let Some(account) = account.filter(|account| account.lane == *key) else {
                continue;
            };
            if let Some(named) = project_of(open, account) {
                self.bulk.of(account, named, now).count(open, now);
            }
        }
        let mut alone = Vec::new();
        for name in &lane.accounts {
            for (named, project) in self.bulk.0.get_mut(name).into_iter().flatten() {
                project.rests = broken || project.rests_until.is_some_and(|until| until > now);
                project.covers = !project.rests && !project.tries && project.is_worth_it();
                if !project.covers {
                    alone.push((name.clone(), named.clone()));
                }
            }
        }
        for (name, named) in alone {
            self.open.wake_place(&name, &named);
        }
    }

    /// When the jobs are asked alone that exports cover. Until then they rest.
    pub(crate) fn plan_covered(&mut self, key: &LaneKey, now: Timestamp) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let covered = lane.accounts.iter().filter(|name| {
            let projects = self.bulk.0.get(*name);
            projects.is_some_and(|all| all.values().any(|project| project.covers))
        });
        let late: HashMap<&String, Duration> = covered
            .filter_map(|name| Some((name, self.learned.stay(self.accounts.get(name)?) * LATE)))
            .collect();
        if late.is_empty() {
            return;
        }
        let mut quiet = Vec::new();
        for open in self.open.awake_mut() {
            let (Some(late), Some(account)) =
                (late.get(&open.account), self.accounts.get(&open.account))
            else {
                continue;
            };
            if !self.bulk.covers(open, account) {
                continue;
            }
            open.ask_at = alone_at(open, account, *late);
            open.loss = 0;
            if open.ask_at > now
                && is_quiet(open, now)
                && let Some(named) = project_of(open, account)
            {
                let place = (account.name.clone(), named.to_owned());
                quiet.push((open.id(), place, open.ask_at, heard_at(open)));
            }
        }
        for (id, place, until, heard) in quiet {
            self.open.rest(id, place, until, heard);
        }
        #[cfg(debug_assertions)]
        self.check_resting(now);
    }

    /// What rests is what a walk over all jobs finds quiet and covered.
    #[cfg(debug_assertions)]
    fn check_resting(&self, now: Timestamp) {
        for (open, place, until) in self.open.resting() {
            let account = self.accounts.get(&open.account);
            let is_right = account.is_some_and(|account| {
                let at = (account.name.as_str(), project_of(open, account));
                at == (place.0.as_str(), Some(place.1.as_str())) && self.bulk.covers(open, account)
            });
            assert!(
                is_right && is_quiet(open, now) && until == open.ask_at && until > now,
                "{} rests and should not",
                open.id()
            );
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
        for project in projects.filter(|it| !it.on_the_wire && it.is_worth_it()) {
            if let Some(until) = project.rests_until.filter(|until| *until > now) {
                wake.at(until);
            }
            let Some(one) = project.one.filter(|_| !project.rests) else {
                continue;
            };
            if project.next_at > now {
                wake.at(project.next_at);
            } else if project.due >= LEAST {
                let turn = project.turn.filter(|_| project.covers);
                due.push((one, turn.map(|(_, job)| job)));
            } else if let Some(next) = project.next_due {
                wake.at(next);
            }
        }
        if let Some(next) = self.open.next_due() {
            wake.at(next);
        }
        due
    }
}
