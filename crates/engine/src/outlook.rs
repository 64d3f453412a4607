//! What is under way and what waits, for those who watch a run and decide when it is over.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Status, Timestamp};

use crate::doubt::will_resubmit;
use crate::money::OUT_OF_CREDITS;
use crate::planner::Engine;

/// What is left to do, for `run --until-idle` and for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// Requests and downloads under way.
    pub on_the_wire: usize,
    /// Jobs that go on by themselves.
    pub working: usize,
    /// Productions whose files are here and that wait for a person at the provider.
    pub awaiting_approval: usize,
    /// Jobs in doubt.
    pub in_doubt: usize,
    /// Submitting time of the youngest job in doubt.
    pub youngest_doubt: Option<Timestamp>,
    /// Accounts whose key was refused, with the provider's words.
    pub key_refused: BTreeMap<String, String>,
    /// Accounts that are out of credits, with the provider's words.
    pub out_of_credits: BTreeMap<String, String>,
    /// Accounts that a person has paused, with the person's words.
    pub paused: BTreeMap<String, String>,
    /// Batches that are paused because their jobs were refused again and again: account and batch.
    pub paused_batches: BTreeSet<(String, String)>,
    /// Rows that a cap held back are being looked at: whether they may go is not known yet.
    pub rechecking: bool,
    /// What holds all submits back, in sentences.
    pub rests: Vec<String>,
    /// Jobs whose files wait for room on the disk.
    pub waiting_for_room: usize,
}

impl Engine {
    /// What is under way and what waits.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let mut outlook = Outlook {
            on_the_wire: self.flights.len(),
            rechecking: self.money.is_unsure(),
            rests: self.rests.sentences(),
            ..Outlook::default()
        };
        for ((account, _), resting, _) in self.open.places() {
            let goes_on = !self.key_is_refused(account);
            outlook.working += if goes_on { resting } else { 0 };
        }
        for open in self.open.awake() {
            match open.job.work.status() {
                Status::InDoubt
                    if self
                        .accounts
                        .get(&open.account)
                        .is_some_and(|account| will_resubmit(open, account))
                        && !self.key_is_refused(&open.account) =>
                {
                    outlook.working += 1;
                }
                Status::InDoubt => {
                    outlook.in_doubt += 1;
                    outlook.youngest_doubt = outlook.youngest_doubt.max(open.job.work.submitted_at);
                }
                Status::Running if open.rests_for_approval() => outlook.awaiting_approval += 1,
                Status::Running | Status::Capturing if self.waits_for_room(open) => {
                    outlook.waiting_for_room += 1;
                }
                Status::Submitting | Status::Running | Status::Capturing
                    if !self.key_is_refused(&open.account) =>
                {
                    outlook.working += 1;
                }
                Status::Submitting | Status::Running | Status::Capturing => {}
                Status::Pending | Status::Completed | Status::Failed | Status::Cancelled => {}
            }
        }
        for lane in self.lanes.values() {
            for (name, pause) in &lane.paused {
                let why = pause.reason.clone().unwrap_or_default();
                outlook.paused.insert(name.clone(), why);
            }
            outlook.paused_batches.extend(lane.refusals.paused());
            for pause in lane.pauses() {
                let which = match pause.code.as_str() {
                    "key_refused" => &mut outlook.key_refused,
                    // Its time is over: a submit tries again.
                    OUT_OF_CREDITS if pause.until.is_some_and(|until| until <= self.seen) => {
                        continue;
                    }
                    OUT_OF_CREDITS => &mut outlook.out_of_credits,
                    _ => continue,
                };
                for account in &lane.accounts {
                    which.insert(account.clone(), pause.message.clone());
                }
            }
        }
        outlook
    }
}
