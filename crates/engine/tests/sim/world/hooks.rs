//! Webhooks on their way to our inbox. The route that checks signatures is not part of this world: what
//! arrives is stored as that route stores it.

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
            let body = String::from_utf8(hook.body.to_vec()).unwrap();
            self.store
                .add_webhook(account, &event.dedupe_key, &body, self.now)
                .await
                .unwrap();
            let now = self.now.as_millis();
            self.provider
                .webhook_answered(now, hook.delivery_no, Some(200));
            self.note(&format!("{account} rings: {}", event.event));
        }
        rang
    }
}
