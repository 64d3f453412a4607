//! A webhook about a job that runs: believed, held against a read, or taken as a hint.

use domain::{JobId, Provider, Status, Timestamp};
use providers::RemoteJob;
use providers::webhook::{WebhookEvent, WebhookKind};
use serde_json::Value;
use store::{LaneKey, Webhook};

use super::channel::Claim;
use crate::account::{Account, WebhookTrust};
use crate::draft::Draft;
use crate::planner::Engine;

/// Of the successes that nothing speaks against so many are held until a read confirms them: one in eighty. At 15
/// requests a minute 13.5 jobs leave 0.11 requests for each beside its submit. Of 100 jobs two calls are
/// lost and three fail without a name; asking who it was takes 0.07 a job. What is left is 0.03: one in eighty
/// takes 0.0125 of it, one in twenty would take 0.05 and miss the bar of 1.1 requests a job. What it costs: of
/// forged successes half are found out by the 55th, 19 of 20 by the 238th; with one in twenty by the 14th and
/// the 58th. Who wants to be surer than that has `webhook_trust = "verify"`, which reads every job.
const HELD: f64 = 0.012_5;

/// The endpoints and the code under which `lane_pauses` says that webhooks are not believed.
pub(super) const WEBHOOKS: &str = "webhooks";
pub(super) const FORGED: &str = "webhook_forged";

/// What is made of a webhook.
enum Belief {
    /// It ends its job.
    Take(Box<RemoteJob>),
    /// It may, and a read decides.
    Hold(Claim),
    /// A reason to read.
    Hint,
}

impl Engine {
    /// A webhook about a job of ours that is open. `None`: it is about another one; else what came of it.
    pub(crate) fn hear_of_open(
        &mut self,
        key: &LaneKey,
        account: &Account,
        event: &WebhookEvent,
        hook: &Webhook,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Option<String> {
        let remote_id = event.remote_id.as_deref()?;
        let job = self.open_of(key, remote_id)?;
        let channel = self.channels.of(&account.name);
        if self.open.get(&job)?.job.work.status() != Status::Running {
            channel.rang_late(remote_id);
            return Some(format!("about {job}, whose end is known"));
        }
        let belief = self.belief(key, account, event, hook);
        let open = self.open.get_mut(&job)?;
        if event.kind == WebhookKind::Done {
            open.told.rung_at = Some(hook.received_at);
        }
        let told = match belief {
            Belief::Take(remote) => {
                let channel = self.channels.of(&account.name);
                channel.rang();
                if account.provider == Provider::Productai {
                    open.told.claim = Some(Claim::of(remote.result_url.as_ref()));
                    open.told.alone = true;
                    channel.take(job);
                }
                self.count_webhook(account, job);
                self.see_remote(key, account, job, &remote, now, draft);
                note_source(job, draft);
                self.close_if_over(key, job, now, draft);
                return Some(format!("it told the end of {job}"));
            }
            Belief::Hold(claim) => {
                open.told.claim = Some(claim);
                format!("{job} is read before it is believed")
            }
            Belief::Hint => format!("a hint to read {job}"),
        };
        // As early as its provider allows, never sooner.
        open.next_read = open.next_read.min(open.floor);
        open.called_for = true;
        Some(told)
    }

    fn open_of(&mut self, key: &LaneKey, remote_id: &str) -> Option<JobId> {
        let accounts = &self.accounts;
        let mut named = self.open.named(remote_id);
        let open = named.find(|open| {
            let account = accounts.get(&open.account);
            account.is_some_and(|account| account.lane == *key)
        })?;
        Some(open.id())
    }

    fn belief(
        &mut self,
        key: &LaneKey,
        account: &Account,
        event: &WebhookEvent,
        hook: &Webhook,
    ) -> Belief {
        let Some(remote) = event.job.clone().filter(|_| hook.verified) else {
            return Belief::Hint;
        };
        let done = event.kind == WebhookKind::Done;
        let take = match account.provider {
            Provider::Jakov => done && remote.text.is_some(),
            Provider::Jarai => done || event.kind == WebhookKind::Failed,
            Provider::Productai if done && self.believes(key, account) => {
                return self.belief_in_path(account, remote);
            }
            Provider::Productai => false,
        };
        if take {
            Belief::Take(Box::new(remote))
        } else {
            Belief::Hint
        }
    }

    /// Nothing is signed: whoever knows the path could have said it.
    fn belief_in_path(&mut self, account: &Account, remote: RemoteJob) -> Belief {
        let channel = self.channels.of(&account.name);
        let url = remote.result_url.as_ref();
        let is_usual = url.is_some_and(|url| channel.knows_host_of(url)) && !channel.in_question;
        if is_usual && self.ids.share() >= HELD {
            Belief::Take(Box::new(remote))
        } else {
            Belief::Hold(Claim::of(url))
        }
    }

    /// Whether successes through the secret path are believed.
    pub(super) fn believes(&self, key: &LaneKey, account: &Account) -> bool {
        let lane = self.lanes.get(key);
        account.policy.webhook_trust == WebhookTrust::Token
            && lane.is_some_and(|lane| lane.pause(WEBHOOKS, FORGED).is_none())
    }
}

/// The timeline says who told the end.
fn note_source(job: JobId, draft: &mut Draft) {
    let line = draft.batch.events.iter_mut().rev();
    let mut line = line.filter(|line| line.job == job);
    if let Some(Value::Object(detail)) = line.next().map(|line| &mut line.detail) {
        detail.insert("told_by".to_owned(), "webhook".into());
    }
}
