//! JAKOV's export as a source of evidence. It echoes our `clientProductId` and holds what was completed: a
//! product in it that no ledger row knows, and that carries the reference of a job in doubt, is proof that
//! the lost submit was accepted, and the result at once. Absence from it proves nothing: what is still
//! being made, failed or was not found is not in it.

use std::time::Duration;

use domain::{JobId, Provider, Status, Timestamp};
use providers::Outcome;
use store::LaneKey;

use super::fit::{Reading, Source, Unclaimed};
use super::unclaimed::place_of;
use crate::account::Account;
use crate::open::OpenJob;
use crate::planner::Engine;

/// Looks at the export grow as far apart as this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// From this age on a doubt is looked at once an hour.
const OLD: Duration = Duration::from_secs(86_400);

/// The JAKOV project that a job was submitted to.
pub(crate) fn project_of(open: &OpenJob, account: &Account) -> Option<String> {
    let is_text = open.job.id.kind.provider() == Provider::Jakov;
    place_of(&open.job.input, account).filter(|_| is_text)
}

/// Whether an export may tell what became of this job.
pub(crate) fn can_be_proven(open: &OpenJob, account: &Account) -> bool {
    account.provider == Provider::Jakov
        && open.job.work.status() == Status::InDoubt
        && open.client_ref.is_some()
}

impl Engine {
    /// One export answers for all jobs in doubt of its project.
    pub(crate) fn mark_export_asked(&mut self, job: JobId) {
        let Some((name, project)) = self.open.get(&job).and_then(|open| {
            let account = self.accounts.get(&open.account)?;
            Some((open.account.clone(), project_of(open, account)?))
        }) else {
            return;
        };
        let Some(account) = self.accounts.get(&name) else {
            return;
        };
        for open in self.open.values_mut() {
            let same = open.account == name && project_of(open, account).as_ref() == Some(&project);
            open.asking |= same && can_be_proven(open, account);
        }
    }

    /// An export was read: what it may prove about any doubt of the project waits to be weighed.
    pub(crate) fn hear_export(
        &mut self,
        key: &LaneKey,
        account: &Account,
        project: &str,
        outcome: &Outcome,
        at: Timestamp,
    ) {
        let products = match outcome {
            Outcome::Export(list) => Some(list),
            _ => None,
        };
        for open in self.open.values_mut() {
            let ours = open.account == account.name
                && can_be_proven(open, account)
                && project_of(open, account).as_deref() == Some(project);
            if !ours {
                continue;
            }
            open.asking = false;
            let planned = open.job.work.submitted_at.unwrap_or(at);
            let pause = at.since(planned).max(account.timing.evidence_first);
            let longest = if pause < OLD { LONGEST_PAUSE } else { OLD / 24 };
            open.next_read = at + pause.min(longest);
            if let Some(products) = products {
                open.looked.at_export(products.len(), at);
            }
        }
        let doubts = self.doubts_of(key);
        let named: Vec<_> = doubts
            .iter()
            .filter_map(|doubt| doubt.client_ref.as_deref())
            .collect();
        if products.is_some() {
            // This read says all that the one before said.
            let stale = |found: &Unclaimed| {
                found.source == Source::Export && found.place.as_deref() == Some(project)
            };
            let lane = self.doubts.of(key);
            lane.unclaimed
                .retain(|_, found| found.hook.is_some() || !stale(found));
        }
        for (place, remote) in products.into_iter().flatten().enumerate() {
            let wanted = remote.client_product_id.as_deref();
            if !wanted.is_some_and(|reference| named.contains(&reference)) {
                continue;
            }
            // Two products without an id are still two.
            let name = match remote.remote_id.as_str() {
                "" => format!("product {place} of {project}"),
                id => id.to_owned(),
            };
            if let Some(known) = self.doubts.of(key).unclaimed.get_mut(&name) {
                known.remote = remote.clone();
                continue;
            }
            let found = Unclaimed {
                remote: remote.clone(),
                source: Source::Export,
                heard_at: at,
                born_at: None,
                place: Some(project.to_owned()),
                hook: None,
                read: Reading::NotNeeded,
            };
            self.keep_unclaimed(key, name, found);
        }
        self.doubts.of(key).has_news = true;
    }
}
