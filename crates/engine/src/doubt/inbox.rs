//! The inbox of webhooks, as far as evidence goes. The route that stores them checked the signature
//! where there is one. A webhook of a job that runs is `fusion`'s; one of a job that no ledger row knows waits here while something is in doubt, else it is a stranger's.
//!
//! Forward only: a row goes from `open` to `parked`, `done` or `ignored` once, and whatever comes again
//! changes nothing. The note of a parked row holds what the one read told, so that no restart reads twice.

use std::collections::BTreeSet;

use domain::Timestamp;
use providers::RemoteJob;
use providers::webhook::{WebhookEvent, WebhookKind};
use serde::{Deserialize, Serialize};
use store::{LaneKey, StoreError, Webhook, WebhookDone};

use super::fit::{Reading, Source, Unclaimed};
use super::unclaimed::{LATELY, MOST_UNCLAIMED};
use crate::account::Account;
use crate::draft::Draft;
use crate::planner::{Engine, Wake};

/// Webhooks read in one step; the rest follows in the next.
const AT_ONCE: u32 = 500;

/// Begins the note of a row whose job was read; what was read follows.
const WAS_READ: &str = "read: ";

/// What a read told, for the note of a row: never a link, which may be a secret.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    status: String,
    prompt: Option<String>,
    created_at: Option<Timestamp>,
}

/// The note of a row whose job was read.
pub(super) fn note_of(remote: &RemoteJob) -> String {
    let told = Told {
        status: remote.status.clone(),
        prompt: remote.prompt.clone(),
        created_at: remote.created_at,
    };
    let text = serde_json::to_string(&told).unwrap_or_default();
    format!("{WAS_READ}{text}")
}

/// What the note says that a read told.
fn told_in(note: Option<&str>) -> Option<Told> {
    let (_, told) = note?.split_once(WAS_READ)?;
    serde_json::from_str(told).ok()
}

/// The remote job that a webhook is about, with what it may say of it.
fn unclaimed_of(event: WebhookEvent, account: &Account, hook: &Webhook) -> Option<Unclaimed> {
    let id = event.remote_id?;
    let mut remote = match event.job {
        Some(job) => job,
        None => RemoteJob::named(id),
    };
    // Unsigned, or not needed: a link is read from the provider.
    remote.result_url = None;
    if remote.client_product_id.is_none() {
        remote.client_product_id = event.client_product_id;
    }
    let is_birth = event.event == "production.queued";
    Some(Unclaimed {
        born_at: if is_birth { event.at } else { None },
        remote,
        source: Source::Webhook,
        heard_at: hook.received_at,
        place: event.account_id,
        hook: Some(hook.id),
        read: Engine::reading_for(account.provider, hook.received_at),
    })
}

fn decided(hook: i64, state: &str, note: impl Into<String>, at: Timestamp) -> WebhookDone {
    WebhookDone {
        id: hook,
        state: state.to_owned(),
        note: Some(note.into()),
        at,
    }
}

impl Engine {
    /// Reads what came in for our lanes.
    pub(crate) async fn read_inbox(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        self.look_for_news(now).await?;
        if now < self.doubts.inbox_at {
            wake.at(self.doubts.inbox_at);
            return Ok(());
        }
        let look_again = self.accounts.values().map(|a| a.timing.look_again).min();
        self.doubts.inbox_at = now + look_again.unwrap_or_default();
        let ours: Vec<String> = self
            .lanes
            .values()
            .flat_map(|lane| lane.accounts.clone())
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        let hooks = self.store.webhooks_in("open", &ours, AT_ONCE).await?;
        if hooks.len() >= AT_ONCE as usize {
            self.doubts.inbox_at = now;
        }
        wake.at(self.doubts.inbox_at);
        for hook in hooks {
            self.hear_webhook(&hook, now, draft).await?;
        }
        Ok(())
    }

    async fn hear_webhook(
        &mut self,
        hook: &Webhook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let Some(account) = self.accounts.get(&hook.account).cloned() else {
            return Ok(());
        };
        let key = account.lane.clone();
        let mut settle = |state: &str, note: String| {
            draft.webhook(decided(hook.id, state, note, now));
        };
        let event = match providers::webhook::parse(account.provider, hook.body.as_bytes()) {
            Ok(event) => event,
            Err(why) => {
                settle("ignored", why.to_string());
                return Ok(());
            }
        };
        let Some(remote_id) = event.remote_id.clone() else {
            let (state, note) = if event.kind == WebhookKind::SomethingFailed {
                self.channels.of(&account.name).alarm(hook.received_at);
                (
                    "done",
                    "some job failed: those that may be the one are asked",
                )
            } else {
                ("ignored", "it names no job")
            };
            settle(state, note.to_owned());
            return Ok(());
        };
        if let Some(note) = self.hear_of_open(&key, &account, &event, hook, now, draft) {
            draft.webhook(decided(hook.id, "done", note, now));
            return Ok(());
        }
        self.channels.of(&account.name).rang_late(&remote_id);
        let known = self
            .store
            .submissions_of_remotes(account.provider.kind(), std::slice::from_ref(&remote_id))
            .await?;
        if let Some(row) = known.first() {
            let note = format!("about {}, which is over", row.job);
            draft.webhook(decided(hook.id, "done", note, now));
            return Ok(());
        }
        let Some(found) = unclaimed_of(event, &account, hook) else {
            return Ok(());
        };
        let (state, note) = self.take_in(&key, found, now, draft);
        draft.webhook(decided(hook.id, state, note, now));
        Ok(())
    }

    /// A remote job that no ledger row knows: kept if it may be ours. Says what becomes of its row.
    fn take_in(
        &mut self,
        key: &LaneKey,
        found: Unclaimed,
        now: Timestamp,
        draft: &mut Draft,
    ) -> (&'static str, String) {
        const MAY_BE: &str = "may be a job of ours whose outcome is unknown";
        let id = found.remote.remote_id.clone();
        let lane = self.doubts.of(key);
        if let Some(known) = lane.unclaimed.get_mut(&id) {
            let another = format!("another word about {id}, which waits");
            if known.hook.is_some() && (known.born_at.is_some() || found.born_at.is_none()) {
                return ("done", another);
            }
            // The row that tells when the provider took it is the one that waits.
            if let Some(before) = known.hook {
                draft.webhook(decided(before, "done", another, now));
            }
            known.hook = found.hook;
            known.born_at = known.born_at.or(found.born_at);
            known.place = known.place.take().or(found.place);
            lane.has_news = true;
            return ("parked", MAY_BE.to_owned());
        }
        if lane.unclaimed.len() >= MOST_UNCLAIMED {
            return ("ignored", "too many jobs of nobody wait already".to_owned());
        }
        if self.keep_unclaimed(key, id.clone(), found) {
            return ("parked", MAY_BE.to_owned());
        }
        self.doubts.of(key).remember_stranger(&id, None, now);
        (
            "ignored",
            "no job of ours is in doubt that it could be".to_owned(),
        )
    }

    /// Rows that an earlier process parked, and what it learned of strangers.
    pub(super) async fn load_inbox(
        &mut self,
        key: &LaneKey,
        accounts: &[String],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for hook in self.store.webhooks_in("parked", accounts, AT_ONCE).await? {
            let Some(account) = self.accounts.get(&hook.account).cloned() else {
                continue;
            };
            let event = providers::webhook::parse(account.provider, hook.body.as_bytes());
            let Some(mut found) = event.ok().and_then(|e| unclaimed_of(e, &account, &hook)) else {
                continue;
            };
            match told_in(hook.note.as_deref()) {
                Some(told) => {
                    found.read = Reading::Done;
                    found.remote.phase = providers::phase_of(account.provider, &told.status);
                    found.remote.status = told.status;
                    found.remote.prompt = told.prompt;
                    found.remote.created_at = found.remote.created_at.or(told.created_at);
                }
                // It may have been asked a moment ago: the interval counts from here.
                None if found.read != Reading::NotNeeded => {
                    found.read = Reading::Wanted(now + account.polling.min_interval, 0);
                }
                None => {}
            }
            let id = found.remote.remote_id.clone();
            self.doubts.of(key).unclaimed.insert(id, found);
        }
        let ignored = self
            .store
            .ignored_webhooks(accounts, now.before(LATELY), AT_ONCE)
            .await?;
        let mut seen = BTreeSet::new();
        for hook in ignored.into_iter().rev() {
            let Some(account) = self.accounts.get(&hook.account) else {
                continue;
            };
            let event = providers::webhook::parse(account.provider, hook.body.as_bytes());
            let Some(id) = event.ok().and_then(|event| event.remote_id) else {
                continue;
            };
            if seen.insert(id.clone()) {
                let prompt = told_in(hook.note.as_deref()).and_then(|told| told.prompt);
                let at = hook.received_at;
                self.doubts
                    .of(key)
                    .remember_stranger(&id, prompt.as_deref(), at);
            }
        }
        Ok(())
    }

    /// What becomes of the row of a remote job that needs to wait no longer.
    pub(super) fn settle_hook(
        found: &Unclaimed,
        state: &str,
        note: &str,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(hook) = found.hook else {
            return;
        };
        let note = if found.read == Reading::Done {
            format!("{note}; {}", note_of(&found.remote))
        } else {
            note.to_owned()
        };
        draft.webhook(decided(hook, state, note, at));
    }

    /// The read of a remote job is durable with the row that told of it.
    pub(super) fn park_as_read(found: &Unclaimed, at: Timestamp, draft: &mut Draft) {
        if let Some(hook) = found.hook {
            let note = note_of(&found.remote);
            draft.webhook(decided(hook, "parked", note, at));
        }
    }
}
