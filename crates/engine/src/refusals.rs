//! Batches whose jobs are refused again and again: a wrong template, a project that does not exist. Twenty
//! refusals for good (400, 422) in a row pause the batch, so that it does not fail as a whole for one mistake;
//! the jobs that were refused stay failed, other batches go on, and what is at the provider comes home.
//!
//! The count and the pause are one row (`batch_refusals`), written with the conclusion that raised it: a restart
//! or another owner of the lane counts on. An acceptance ends the row; a pause ends by a person's word alone,
//! `resume` with `batch:` and the name. Jobs without a batch have nothing in common, and are never paused so.

use std::collections::BTreeMap;

use domain::{JobId, Timestamp, Verdict};
use store::{BatchRefusals, LaneKey, RefusalsChange, StoreError};

use crate::account::Account;
use crate::draft::Draft;
use crate::planner::Engine;
use crate::submit::ItemVerdict;

/// Refusals in a row that pause a batch (RELIABILITY.md section 3 item 8).
const IN_A_ROW: u32 = 20;

/// What stands before a batch's name in the value of a `resume`.
pub(crate) const BATCH: &str = "batch:";

/// What a lane knows of refusals, by account and batch.
#[derive(Debug, Default)]
pub(crate) struct Refusals(BTreeMap<(String, String), BatchRefusals>);

impl Refusals {
    /// One more, or the first.
    fn count(&mut self, account: &str, batch: &str, why: &domain::Fault, at: Timestamp) -> bool {
        let key = (account.to_owned(), batch.to_owned());
        let known = self.0.entry(key).or_insert_with(|| BatchRefusals {
            account: account.to_owned(),
            batch: batch.to_owned(),
            refusals: 0,
            code: String::new(),
            message: String::new(),
            refused_at: at,
            paused_at: None,
        });
        known.refusals = known.refusals.saturating_add(1);
        known.code.clone_from(&why.code);
        known.message.clone_from(&why.message);
        known.refused_at = at;
        let pauses = known.paused_at.is_none() && known.refusals >= IN_A_ROW;
        if pauses {
            known.paused_at = Some(at);
        }
        pauses
    }

    /// A job of it was accepted. What was on the wire at a pause does not end it.
    fn ends(&mut self, account: &str, batch: &str) -> bool {
        let key = (account.to_owned(), batch.to_owned());
        let counts = self.0.get(&key).is_some_and(|it| it.paused_at.is_none());
        counts && self.0.remove(&key).is_some()
    }

    /// The batches of this account that are paused.
    pub(crate) fn paused_of(&self, account: &str) -> Vec<String> {
        let of_it = self.0.values().filter(|it| it.account == account);
        let paused = of_it.filter(|it| it.paused_at.is_some());
        paused.map(|it| it.batch.clone()).collect()
    }

    /// All that are paused: account and batch.
    pub(crate) fn paused(&self) -> impl Iterator<Item = (String, String)> {
        let paused = self.0.iter().filter(|(_, it)| it.paused_at.is_some());
        paused.map(|(key, _)| key.clone())
    }
}

impl Engine {
    /// What the answer to one job of a submit says about its batch.
    pub(crate) fn hear_of_batch(
        &mut self,
        key: &LaneKey,
        account: &Account,
        job: JobId,
        verdict: &ItemVerdict,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let batch = self.open.get(&job).and_then(|open| open.job.batch.clone());
        let (Some(batch), Some(lane)) = (batch, self.lanes.get_mut(key)) else {
            return;
        };
        let changed = match verdict {
            ItemVerdict::Accepted { .. } => lane.refusals.ends(&account.name, &batch),
            ItemVerdict::Refused {
                verdict: Verdict::Never,
                why,
            } => {
                if lane.refusals.count(&account.name, &batch, why, at) {
                    tracing::warn!(
                        account = account.name,
                        batch,
                        code = why.code,
                        "the batch is paused: {IN_A_ROW} of its jobs were refused in a row: {}",
                        why.message
                    );
                }
                true
            }
            // Says nothing about the rows.
            ItemVerdict::Refused { .. } | ItemVerdict::Unknown { .. } => false,
        };
        if changed {
            self.keep_refusals(key, &account.name, &batch, draft);
        }
    }

    /// A person says that a batch may go on.
    pub(crate) fn resume_batch(
        &mut self,
        account: &Account,
        batch: &str,
        draft: &mut Draft,
    ) -> String {
        let of_it = (account.name.clone(), batch.to_owned());
        let Some(lane) = self.lanes.get_mut(&account.lane) else {
            return "the batch was not paused".to_owned();
        };
        if lane.refusals.0.remove(&of_it).is_none() {
            return "the batch was not paused".to_owned();
        }
        lane.idle_until = None;
        draft.again = true;
        tracing::info!(
            account = account.name,
            batch,
            "the batch goes on: somebody asked for it"
        );
        self.keep_refusals(&account.lane, &account.name, batch, draft);
        "the batch goes on".to_owned()
    }

    /// Makes durable what is known of a batch; the last word of a step counts.
    fn keep_refusals(&self, key: &LaneKey, account: &str, batch: &str, draft: &mut Draft) {
        let of_it = (account.to_owned(), batch.to_owned());
        let lane = self.lanes.get(key);
        let known = lane.and_then(|lane| lane.refusals.0.get(&of_it)).cloned();
        let changes = &mut draft.batch.refusals;
        changes
            .retain(|change| (change.account.as_str(), change.batch.as_str()) != (account, batch));
        changes.push(RefusalsChange {
            lane: key.clone(),
            account: of_it.0,
            batch: of_it.1,
            now: known,
        });
    }

    /// Reads what the accounts of a lane know of refusals.
    pub(crate) async fn load_refusals(
        &mut self,
        key: &LaneKey,
        names: &[String],
    ) -> Result<(), StoreError> {
        let rows = self.store.batch_refusals(names).await?;
        if let Some(lane) = self.lanes.get_mut(key) {
            let by_batch = rows
                .into_iter()
                .map(|row| ((row.account.clone(), row.batch.clone()), row));
            lane.refusals = Refusals(by_batch.collect());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn the_twentieth_refusal_in_a_row_pauses_a_batch_and_an_acceptance_in_between_does_not() {
        let why = domain::Fault::new("http_422", "no such project");
        let mut refusals = Refusals::default();
        for n in 0..19 {
            assert!(!refusals.count("shots", "spring", &why, at(n)));
            assert!(!refusals.count("shots", "summer", &why, at(n)));
        }
        assert!(refusals.ends("shots", "spring"));
        assert!(!refusals.ends("shots", "spring"));
        assert!(!refusals.count("shots", "spring", &why, at(20)));
        assert!(!refusals.count("other", "summer", &why, at(20)));
        assert!(refusals.paused_of("shots").is_empty());
        assert!(refusals.count("shots", "summer", &why, at(21)));
        assert!(!refusals.count("shots", "summer", &why, at(22)));
        assert!(
            !refusals.ends("shots", "summer"),
            "a late answer ends no pause"
        );
        assert_eq!(refusals.paused_of("shots"), ["summer"]);
        assert!(refusals.paused_of("other").is_empty());
    }
}
