//! What people want of accounts: rows of `account_commands`, executed by the lane's owner. Every row gets
//! an outcome, as a sentence.
//!
//! A pause is a person's word about an account, not about its key: the command that was executed last is
//! where it stands, so a restart, another worker or another key changes nothing about it. It stops what
//! costs money. Reads go on: what was paid for comes home.

use domain::Timestamp;
use store::{AccountCommand, AccountCommandDone, AccountPause, LaneKey, Pause, StoreError};

use crate::account::Account;
use crate::draft::Draft;
use crate::money::{OUT_OF_CREDITS, documents_a_balance};
use crate::planner::{Engine, Wake};
use crate::refusals::BATCH;

/// Commands read in one step; the rest follows in the next.
const AT_ONCE: u32 = 100;

/// Rests that we began by what went wrong, and that somebody who has mended it may end. What the provider
/// asked for (`rate_limited`, `window_used_up`) stands until its time.
const OUR_GUESSES: [&str; 5] = [
    OUT_OF_CREDITS,
    "key_refused",
    "unavailable",
    "outcome_unknown",
    "misdirected",
];

impl Engine {
    /// Reads what people want of our accounts, and does it.
    pub(crate) async fn read_account_commands(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        if now < self.money.commands_at {
            wake.at(self.money.commands_at);
            return Ok(());
        }
        let names: Vec<String> = self
            .lanes
            .values()
            .flat_map(|lane| lane.accounts.iter().cloned())
            .collect();
        let look_again = self.accounts.values().map(|a| a.timing.look_again).min();
        self.money.commands_at = now + look_again.unwrap_or_default();
        wake.at(self.money.commands_at);
        for command in self.store.open_account_commands(&names, AT_ONCE).await? {
            let Some(account) = self.accounts.get(&command.account).cloned() else {
                continue;
            };
            if let Some(outcome) = self.follow(&command, &account, now, draft) {
                let done = done(command.id, &account.lane, outcome, now);
                draft.batch.account_commands.push(done);
            }
        }
        Ok(())
    }

    /// Does it, and says so; a balance is told when it was read.
    fn follow(
        &mut self,
        command: &AccountCommand,
        account: &Account,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Option<String> {
        match (command.command.as_str(), command.value.as_deref()) {
            ("pause", reason) => Some(self.pause_account(account, reason, now)),
            ("resume", None) => Some(self.resume(account, &OUR_GUESSES, now, draft)),
            ("resume", Some("credits")) => {
                Some(self.resume(account, &[OUT_OF_CREDITS], now, draft))
            }
            ("resume", Some(value)) => Some(match value.strip_prefix(BATCH) {
                Some(batch) => self.resume_batch(account, batch, draft),
                None => format!(
                    "refused: resume takes no value, credits, or batch: and a name, not {value:?}"
                ),
            }),
            _ if documents_a_balance(account.provider) => {
                if let Some(lane) = self.lanes.get_mut(&account.lane) {
                    lane.balance.want(command.id);
                }
                None
            }
            _ => Some(format!("{} documents no balance", account.provider)),
        }
    }

    /// Nothing that costs money leaves for this account any more; what is on the wire is still heard.
    fn pause_account(&mut self, account: &Account, reason: Option<&str>, now: Timestamp) -> String {
        if let Some(lane) = self.lanes.get_mut(&account.lane) {
            tracing::info!(
                account = account.name,
                reason,
                "submits rest: a person said so"
            );
            let pause = AccountPause {
                account: account.name.clone(),
                since: now,
                reason: reason.map(str::to_owned),
            };
            lane.paused.insert(account.name.clone(), pause);
        }
        "submits rest; reads and downloads go on".to_owned()
    }

    /// A person says that what held submits back is mended: they go on, one by one until one succeeds.
    fn resume(
        &mut self,
        account: &Account,
        codes: &[&str],
        now: Timestamp,
        draft: &mut Draft,
    ) -> String {
        self.money.recheck(&account.name);
        draft.again = true;
        let Some(lane) = self.lanes.get_mut(&account.lane) else {
            return "nothing rested".to_owned();
        };
        lane.balance.believe();
        lane.careful = true;
        lane.idle_until = None;
        let only_credits = codes == [OUT_OF_CREDITS];
        let was_paused = !only_credits && lane.paused.remove(&account.name).is_some();
        let rested: Vec<Pause> = lane
            .pauses()
            .filter(|pause| codes.contains(&pause.code.as_str()))
            .cloned()
            .collect();
        for pause in &rested {
            lane.lift_pause(&pause.endpoints, &pause.code);
            draft.lift(pause);
        }
        let still = lane.paused.contains_key(&account.name);
        tracing::info!(account = account.name, at = %now, "submits go on: somebody asked for it");
        match (rested.is_empty() && !was_paused, still) {
            (false, false) => "submits go on".to_owned(),
            (_, true) => "a person's pause stands: resume the account".to_owned(),
            (true, false) if only_credits => "nothing rested for want of credits".to_owned(),
            (true, false) => "nothing rested".to_owned(),
        }
    }

    /// Reads which accounts of a lane a person has paused.
    pub(crate) async fn load_account_pauses(
        &mut self,
        key: &LaneKey,
        names: &[String],
    ) -> Result<(), StoreError> {
        let paused = self.store.account_pauses(names).await?;
        if let Some(lane) = self.lanes.get_mut(key) {
            let by_name = paused
                .into_iter()
                .map(|pause| (pause.account.clone(), pause));
            lane.paused = by_name.collect();
        }
        Ok(())
    }
}

/// What became of a command.
pub(crate) fn done(id: i64, lane: &LaneKey, outcome: String, at: Timestamp) -> AccountCommandDone {
    AccountCommandDone {
        id,
        lane: lane.clone(),
        outcome,
        at,
    }
}
