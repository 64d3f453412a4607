//! What an export tells, what tells of exports that they lack things, and webhooks that hold a whole text.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{JobId, Timestamp};
use providers::{Outcome, Phase, RemoteJob, Reply};
use store::LaneKey;

use super::{BEHIND, is_member, is_whole};
use crate::account::Account;
use crate::breaker::failed;
use crate::doubt::project_of;
use crate::draft::Draft;
use crate::planner::Engine;
use crate::submit::fault_of;

impl Engine {
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
                project.told(ends, account, share, at);
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
        let before = self.bulk.of(account, named, at).read;
        for (job, product) in &told {
            // Where nobody says how long it took, this is the best that is known.
            if let Some(open) = self.open.get_mut(job) {
                let missed = before.filter(|left| *left > open.taken_at);
                open.unfinished_at = open.unfinished_at.max(missed);
            }
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
        project.found = true;
        if lacked {
            project.strike(account, share, at);
            tracing::warn!(
                account = account.name,
                project = named,
                "the export lacks what is done; jobs are asked one by one"
            );
        }
    }

    /// A webhook told the end of this job: exports of its project may go further apart.
    pub(crate) fn count_webhook(&mut self, account: &Account, job: JobId) {
        if let Some(open) = self.open.get(&job)
            && let Some(named) = project_of(open, account)
            && let Some(project) = self.bulk.get(&account.name, named)
        {
            project.by_webhooks += 1;
        }
    }
}
