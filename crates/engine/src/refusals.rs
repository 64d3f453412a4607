//! Batches whose jobs are refused again and again: a wrong template, a project that does not exist. Twenty
//! refusals for good (400, 422) in a row pause the batch, so that it does not fail as a whole for one mistake;
//! the jobs that were refused stay failed, other batches go on, and what is at the provider comes home.
//!
//! What is on the wire cannot be called back. So of a batch of which nothing was accepted yet, and of one whose
//! last job was refused, no more jobs are on the wire than would make twenty with the refusals that are counted:
//! a batch that is wrong from its first row on loses twenty. One whose jobs are accepted goes as fast as it can.
//!
//! The count and the pause are one row (`batch_refusals`), written with the conclusion that raised it: a restart
//! or another owner of the lane counts on. An acceptance ends the row; a pause ends by a person's word alone,
//! `resume` with `batch:` and the name. Jobs without a batch have nothing in common, and are never paused so.

use std::collections::{BTreeMap, BTreeSet};

use domain::{JobId, Status, Timestamp, Verdict};
use store::{BatchRefusals, LaneKey, RefusalsChange, StoreError};

use crate::account::Account;
use crate::draft::Draft;
use crate::planner::Engine;
use crate::submit::{ItemVerdict, Ready};

/// Refusals in a row that pause a batch (RELIABILITY.md section 3 item 8).
const IN_A_ROW: u32 = 20;

/// What stands before a batch's name in the value of a `resume`.
pub(crate) const BATCH: &str = "batch:";

/// What a lane knows of refusals, by account and batch.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    counted: BTreeMap<(String, String), BatchRefusals>,
    /// Something of these was accepted in this life of the process, or of the lane here.
    proven: BTreeSet<(String, String)>,
}

impl Refusals {
    /// One more, or the first.
    fn count(&mut self, account: &str, batch: &str, why: &domain::Fault, at: Timestamp) -> bool {
        let key = (account.to_owned(), batch.to_owned());
        let known = self.counted.entry(key).or_insert_with(|| BatchRefusals {
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
        let known = self.counted.get(&key);
        let counts = known.is_some_and(|it| it.paused_at.is_none());
        let ended = counts && self.counted.remove(&key).is_some();
        self.proven.insert(key);
        ended
    }

    /// How many jobs of a batch may be on the wire; `None`: as many as there are.
    fn room(&self, of_it: &(String, String)) -> Option<usize> {
        let refusals = match self.counted.get(of_it) {
            Some(known) => known.refusals,
            None if self.proven.contains(of_it) => return None,
            None => 0,
        };
        // A batch that may go on although it was paused goes on with one.
        let room = IN_A_ROW.saturating_sub(refusals).max(1);
        usize::try_from(room).ok()
    }

    /// The batches of this account that are paused.
    pub(crate) fn paused_of(&self, account: &str) -> Vec<String> {
        let of_it = self.counted.values().filter(|it| it.account == account);
        let paused = of_it.filter(|it| it.paused_at.is_some());
        paused.map(|it| it.batch.clone()).collect()
    }

    /// All that are paused: account and batch.
    pub(crate) fn paused(&self) -> impl Iterator<Item = (String, String)> {
        let counted = self.counted.iter();
        let paused = counted.filter(|(_, it)| it.paused_at.is_some());
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

    /// Leaves out of these jobs those for which their batches have no room on the wire until an answer comes.
    /// Whether any was left out.
    pub(crate) fn leave_to_refusals(&self, key: &LaneKey, ready: &mut Vec<Ready>) -> bool {
        let Some(lane) = self.lanes.get(key) else {
            return false;
        };
        let of = |account: &str, batch: &Option<String>| {
            batch.clone().map(|batch| (account.to_owned(), batch))
        };
        let mut sent: BTreeMap<(String, String), usize> = BTreeMap::new();
        let awake = self.open.awake();
        for open in awake.filter(|open| open.job.work.status() == Status::Submitting) {
            if let Some(of_it) = of(&open.account, &open.job.batch) {
                *sent.entry(of_it).or_default() += 1;
            }
        }
        let before = ready.len();
        ready.retain(|one| {
            let Some(of_it) = of(&one.account.name, &one.job.batch) else {
                return true;
            };
            let Some(room) = lane.refusals.room(&of_it) else {
                return true;
            };
            let sent = sent.entry(of_it).or_default();
            *sent += 1;
            *sent <= room
        });
        ready.len() < before
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
        // What was mended is yet to be proven.
        lane.refusals.proven.remove(&of_it);
        if lane.refusals.counted.remove(&of_it).is_none() {
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
        let known = lane
            .and_then(|lane| lane.refusals.counted.get(&of_it))
            .cloned();
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
            lane.refusals = Refusals {
                counted: by_batch.collect(),
                proven: BTreeSet::new(),
            };
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

    #[test]
    fn a_batch_sends_no_more_than_would_make_twenty_refusals_until_something_of_it_is_accepted() {
        let why = domain::Fault::new("http_422", "no such project");
        let of_it = ("shots".to_owned(), "spring".to_owned());
        let mut refusals = Refusals::default();
        assert_eq!(refusals.room(&of_it), Some(20));
        for n in 0..5 {
            refusals.count("shots", "spring", &why, at(n));
        }
        assert_eq!(refusals.room(&of_it), Some(15));
        refusals.ends("shots", "spring");
        assert_eq!(refusals.room(&of_it), None);
        refusals.count("shots", "spring", &why, at(6));
        assert_eq!(refusals.room(&of_it), Some(19));
    }
}
