//! JAKOV's export as a source of evidence. It echoes our `clientProductId` and holds what was completed: a
//! product in it that no ledger row knows, and that carries the reference of a job in doubt, is proof that
//! the lost submit was accepted, and the result at once. Absence from it proves nothing: what is still
//! being made, failed or was not found is not in it.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::{DescriptionInput, Input, JobId, Provider, Status, Timestamp};
use providers::Outcome;
use store::LaneKey;

use super::fit::{Reading, Source, Unclaimed};
use crate::account::Account;
use crate::flight::Flight;
use crate::open::OpenJob;
use crate::planner::Engine;

/// Looks at the export grow as far apart as this.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// From this age on a doubt is looked at once an hour.
const OLD: Duration = Duration::from_secs(86_400);

/// The JAKOV project that a job was submitted to.
pub(crate) fn project_of<'a>(open: &'a OpenJob, account: &'a Account) -> Option<&'a str> {
    match &open.job.input {
        Input::Description(input) => project_in(input, account),
        Input::Image(_) | Input::Production(_) => None,
    }
}

/// The JAKOV project of a row.
pub(super) fn project_in<'a>(input: &'a DescriptionInput, account: &'a Account) -> Option<&'a str> {
    let own = input.project_id.as_deref();
    own.filter(|id| !id.trim().is_empty())
        .or(account.defaults.project_id.as_deref())
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
            Some((open.account.clone(), project_of(open, account)?.to_owned()))
        }) else {
            return;
        };
        let Some(account) = self.accounts.get(&name) else {
            return;
        };
        for open in self.open.awake_mut() {
            let same = open.account == name && project_of(open, account) == Some(&*project);
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
        let read = |flight: &Flight| match flight {
            Flight::Status { job, .. } => Some(*job),
            _ => None,
        };
        let reading: BTreeSet<JobId> = self.flights.values().filter_map(read).collect();
        for open in self.open.awake_mut() {
            let ours = open.account == account.name && project_of(open, account) == Some(project);
            if !ours {
                continue;
            }
            // Some were in doubt when it left, and are not any more.
            open.asking &= reading.contains(&open.id());
            if !can_be_proven(open, account) {
                continue;
            }
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
