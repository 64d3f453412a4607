//! Rows whose account the config does not have: they stay pending and say so, until it has.

use std::time::Duration;

use domain::{Event, Fault, JobKind, Timestamp};
use store::{Job, StoreError};

use crate::draft::{Draft, Intent, change_of, moved};
use crate::planner::{Engine, Wake};

/// How many rows one step marks; the rest follows in the next.
const AT_ONCE: u32 = 200;

/// So long after somebody wrote they are looked for: most of what is written can be sent, and is not to wait for
/// these looks.
const SOON: Duration = Duration::from_millis(250);

impl Engine {
    /// Marks rows of accounts that nobody knows, and unmarks those that are known now.
    pub(crate) async fn mark_strangers(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        if std::mem::take(&mut self.new_rows) {
            self.strangers_at = self.strangers_at.min(now + SOON);
        }
        if now < self.strangers_at {
            wake.at(self.strangers_at);
            return Ok(());
        }
        let look_again = self
            .accounts
            .values()
            .map(|account| account.timing.look_again)
            .min();
        self.strangers_at = now + look_again.unwrap_or_default();
        wake.at(self.strangers_at);
        for kind in JobKind::ALL {
            let ours = self
                .accounts
                .values()
                .filter(|account| account.provider.kind() == kind);
            let known: Vec<String> = ours.clone().map(|account| account.name.clone()).collect();
            let takes_unnamed = ours.clone().any(|account| account.policy.takes_unnamed);
            let strangers = self
                .store
                .pending_with_unknown_account(kind, &known, takes_unnamed, AT_ONCE)
                .await?;
            for job in strangers {
                let why = unknown_account(&job, &known);
                hold(job, Some(why), now, draft);
            }
            let friends = self
                .store
                .pending_with_known_account(kind, &known, takes_unnamed, AT_ONCE)
                .await?;
            for job in friends {
                hold(job, None, now, draft);
            }
        }
        Ok(())
    }
}

fn unknown_account(job: &Job, known: &[String]) -> Fault {
    let has = if known.is_empty() {
        format!("the config has none for {}", job.id.kind.provider())
    } else {
        format!("the config has {}", known.join(", "))
    };
    let message = match &job.account {
        Some(name) => format!(
            "no account of {} is named {name:?}; {has}",
            job.id.kind.provider()
        ),
        None => format!("the row names no account, and none is the default; {has}"),
    };
    Fault::new("unknown_account", message)
}

fn hold(mut job: Job, why: Option<Fault>, now: Timestamp, draft: &mut Draft) {
    if !draft.touched.insert(job.id) {
        return;
    }
    let mut change = change_of(&job, None, now);
    if let Some(event) = moved(&mut job, &Event::HeldBack(why), None, now) {
        change.work = job.work;
        draft.intents.push(Intent::row(change, Some(event)));
    }
}
