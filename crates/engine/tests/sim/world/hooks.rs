//! Webhooks on their way to our inbox. The route that checks signatures is not part of this world: what
//! arrives is stored as that route stores it: as a hint, or as what carried the account's secret.

use domain::{Provider, Timestamp};

use super::World;

impl World {
    /// When the provider calls next, if this history has webhooks.
    pub(super) fn next_ring(&self) -> Option<Timestamp> {
        let next = self.provider.next_event_ms().filter(|_| self.rings)?;
        Some(Timestamp::from_millis(next))
    }

    /// The provider calls; each call is durable before it is answered.
    pub(super) async fn ring(&mut self) -> bool {
        if !self.rings {
            return false;
        }
        let due = self.provider.due_webhooks(self.now.as_millis());
        let rang = !due.is_empty();
        for hook in due {
            let (account, provider) = match hook.provider {
                sandbox::Provider::Jakov => ("texts", Provider::Jakov),
                sandbox::Provider::Productai => ("shots", Provider::Productai),
                _ => ("films", Provider::Jarai),
            };
            let event = providers::webhook::parse(provider, &hook.body).unwrap();
            // A signed link is in no table, not even in what was said: it is read again before it is used.
            let body = providers::masked(str::from_utf8(&hook.body).unwrap());
            if self.believed {
                // A repeat that its key does not give away changes nothing either.
                let key = event.stored_under(self.now);
                for key in [format!("{key} again"), key] {
                    let stored = (self.store)
                        .add_verified_webhook(account, &key, &body, self.now)
                        .await;
                    stored.unwrap();
                }
            } else {
                let key = &event.dedupe_key;
                let stored = self.store.add_webhook(account, key, &body, self.now).await;
                stored.unwrap();
            }
            let now = self.now.as_millis();
            self.provider
                .webhook_answered(now, hook.delivery_no, Some(200));
            self.note(&format!("{account} rings: {}", event.event));
        }
        rang
    }
}
