//! Out of credits: submits rest, reads go on. They go on by themselves when credits are back, which is
//! found out by the balance where a provider documents one (JAKOV), at the latest when the month ends, and
//! by a slow probe: one submit, at growing intervals. A person may say so sooner.
//!
//! JAKOV documents no answer for an empty balance (apis.md trap 24). A refusal of its that could mean one
//! is believed only after a look at the balance: else an empty account would fail its rows one by one.

use domain::{Provider, Timestamp};
use providers::{Call, Outcome, Refusal, Reply};
use store::{LaneKey, Pause};

use crate::account::Account;
use crate::draft::Draft;
use crate::flight::Flight;
use crate::planner::{Engine, Wake};
use crate::read::Ask;
use crate::submit::is_misdirected;
use crate::wishes::done;

/// The paid POSTs of a lane, apart from its reads.
const SUBMITS: &str = "submits";
/// The code of a pause for want of credits.
pub(crate) const OUT_OF_CREDITS: &str = "out_of_credits";

/// A balance that was seen is believed at least this long.
const BELIEVED: std::time::Duration = std::time::Duration::from_secs(60);

/// What a lane knows of its provider's own count of credits.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    /// A read is on the wire.
    asking: bool,
    /// It was asked for since the submits began to rest: a submit may try.
    asked: bool,
    /// When it was last seen above nothing.
    solvent_at: Option<Timestamp>,
    /// Commands that wait for it.
    wanted: Vec<i64>,
}

impl Balance {
    /// Submits rest from here on: the balance is looked at before one tries again.
    pub(crate) fn begin(&mut self) {
        self.asked = false;
    }

    /// A person says that there are credits: a submit may try.
    pub(crate) fn believe(&mut self) {
        self.asked = true;
    }

    /// This command waits for it.
    pub(crate) fn want(&mut self, command: i64) {
        if !self.wanted.contains(&command) {
            self.wanted.push(command);
        }
    }
}

/// Whether the provider documents a way to read the balance (apis.md: `GET /api/v1/credits`). ProductAI's
/// is second-hand, and JARAI's usage has no documented field.
pub(crate) fn documents_a_balance(provider: Provider) -> bool {
    provider == Provider::Jakov
}

impl Engine {
    /// Whether the balance is to be read before a submit may try again.
    pub(crate) fn asks_balance_first(&self, key: &LaneKey, now: Timestamp) -> bool {
        let Some(lane) = self.lanes.get(key) else {
            return false;
        };
        let documented = self
            .accounts_of(key)
            .first()
            .is_some_and(|account| documents_a_balance(account.provider));
        let rests = lane
            .pause(SUBMITS, OUT_OF_CREDITS)
            .is_some_and(|pause| pause.until.is_some_and(|until| until <= now));
        documented && rests && !lane.balance.asked
    }

    /// Reads the balance, if somebody wants to know it or submits wait for it.
    pub(crate) fn plan_credits(
        &mut self,
        key: &LaneKey,
        group: &str,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) {
        let first = self.asks_balance_first(key, now);
        let due = self
            .lanes
            .get(key)
            .is_some_and(|lane| !lane.balance.asking && (first || !lane.balance.wanted.is_empty()));
        let lets = due && self.breaker_lets(key, "credits", now, wake);
        if !lets || !self.has_room(key, group, false, now, wake) {
            return;
        }
        let Some(account) = self.accounts_of(key).into_iter().next() else {
            return;
        };
        let call = Call::Credits;
        let ask = Ask {
            account: &account,
            group,
            verb: call.verb(),
            job: None,
            call,
        };
        let means = |places| Flight::Credits {
            lane: key.clone(),
            account: account.name.clone(),
            places,
        };
        if self.ask(key, ask, means, now, draft)
            && let Some(lane) = self.lanes.get_mut(key)
        {
            lane.balance.asking = true;
        }
    }

    /// The balance was read, or could not be.
    pub(crate) fn hear_credits(
        &mut self,
        key: &LaneKey,
        account: &str,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(account) = self.accounts.get(account).cloned() else {
            return;
        };
        self.hear_feedback(key, &account, reply, None, false, at, draft);
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        lane.balance.asking = false;
        lane.balance.asked = true;
        lane.idle_until = None;
        let balance = match &reply.outcome {
            Outcome::Credits { balance, .. } => *balance,
            _ => None,
        };
        let said = balance.map_or_else(
            || "the provider did not tell its balance".to_owned(),
            |balance| format!("balance: {balance}"),
        );
        for command in std::mem::take(&mut lane.balance.wanted) {
            draft
                .batch
                .account_commands
                .push(done(command, key, said.clone(), at));
        }
        match balance {
            Some(balance) if balance > 0.0 => lane.balance.solvent_at = Some(at),
            Some(_) => {
                let refusal = Refusal::OutOfCredits {
                    code: "balance".to_owned(),
                    message: "the provider says that nothing is left".to_owned(),
                };
                self.rest_for_credits(key, &account, &refusal, at, draft);
            }
            None => {}
        }
    }

    /// A refusal that may mean an empty balance is taken for one until the balance was looked at.
    pub(crate) fn doubts_refusal(
        &self,
        key: &LaneKey,
        account: &Account,
        reply: &Reply,
        at: Timestamp,
    ) -> Option<Reply> {
        if !documents_a_balance(account.provider) {
            return None;
        }
        let Outcome::Refused(
            Refusal::Invalid { code, message } | Refusal::Forbidden { code, message },
        ) = &reply.outcome
        else {
            return None;
        };
        let could_be = matches!(reply.http_status, Some(400 | 403 | 422)) && !is_misdirected(code);
        let believed = account.timing.credits_probe.max(BELIEVED);
        let lane = self.lanes.get(key)?;
        let seen = lane
            .balance
            .solvent_at
            .is_some_and(|seen| at.since(seen) <= believed);
        // Asked in vain: the provider's word has to do.
        let in_vain = lane.balance.asked && lane.pause(SUBMITS, OUT_OF_CREDITS).is_some();
        (could_be && !seen && !in_vain).then(|| {
            let message = format!("{message}; it may be the balance, which is looked at first");
            let code = code.clone();
            Reply {
                outcome: Outcome::Refused(Refusal::OutOfCredits { code, message }),
                ..reply.clone()
            }
        })
    }

    /// The balance is to be looked at at once.
    pub(crate) fn look_at_balance_now(&mut self, key: &LaneKey, at: Timestamp, draft: &mut Draft) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        if let Some(pause) = lane.pause(SUBMITS, OUT_OF_CREDITS).cloned() {
            let now = Pause {
                until: Some(at),
                ..pause
            };
            lane.set_pause(now.clone());
            draft.pause(now);
        }
    }
}
