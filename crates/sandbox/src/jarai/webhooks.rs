//! JARAI's webhooks: registrations, what is announced of a production, and the signed envelope.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::Jarai;
use super::productions::has_deliverables;
use crate::options::JaraiOptions;
use crate::wire::{Call, Provider, Reply};
use crate::world::{
    Pending, World, is_uuid, iso, optional_text, required_text, signature, unknown_fields,
};

/// What an event about no production carries.
const NIL: &str = "00000000-0000-0000-0000-000000000000";
/// Documented: up to 100 active registrations, and up to 50 accounts in each.
const MOST_ACTIVE: usize = 100;
const MOST_ACCOUNTS: usize = 50;
/// Six names of the nine are documented; the last three are inferred.
const EVENTS: [&str; 9] = [
    "production.queued",
    "production.step.complete",
    "production.published",
    "production.failed",
    "deliverable.ready",
    "webhook.test",
    "production.awaiting_approval",
    "production.distributing",
    "production.cancelled",
];

/// One registration.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    id: String,
    url: String,
    events: Vec<String>,
    /// Empty: all accounts.
    accounts: Vec<String>,
    secret: String,
}

impl Subscription {
    pub(super) fn of_options(options: &JaraiOptions, world: &World) -> Option<Self> {
        Some(Self {
            id: world.dice.uuid("jarai-subscription", 0),
            url: options.webhook_url.clone()?,
            events: EVENTS.map(str::to_owned).to_vec(),
            accounts: Vec::new(),
            secret: options.webhook_secret.clone(),
        })
    }

    fn wants(&self, event: &str, account: &str) -> bool {
        self.events.iter().any(|it| it == event)
            && (self.accounts.is_empty() || self.accounts.iter().any(|it| it == account))
    }

    fn body(&self) -> Value {
        json!({
            "webhookId": self.id,
            "endpointUrl": self.url,
            "eventTypes": self.events,
            "accountIds": self.accounts,
            "active": true,
        })
    }
}

impl Jarai {
    pub(super) fn subscribe(&mut self, call: &Call, world: &World) -> Reply {
        let object = match Self::read_object(call) {
            Ok(object) => object,
            Err((status, text)) => return self.error(status, "INVALID_REQUEST", text),
        };
        if self.subscriptions.len() >= MOST_ACTIVE {
            return self.error(
                409,
                "WEBHOOK_LIMIT",
                "there are 100 active webhooks already",
            );
        }
        self.subscribed += 1;
        let number = self.subscribed;
        let mut subscription = match read_subscription(&object) {
            Ok(subscription) => subscription,
            Err(text) => return self.error(400, "INVALID_REQUEST", &text),
        };
        subscription.id = world.dice.uuid("jarai-subscription", number);
        let secret = world.dice.secret("jarai-webhook-secret", number);
        subscription.secret = BASE64_URL_SAFE_NO_PAD.encode(secret);
        let mut body = subscription.body();
        if let Some(map) = body.as_object_mut() {
            // Told once, here.
            map.insert("signingSecret".to_owned(), json!(subscription.secret));
        }
        let known = ["endpointUrl", "eventTypes", "accountIds", "accountScopeId"];
        let mut reply = Reply::json(201, &body);
        reply.violations = unknown_fields(&object, &known);
        self.subscriptions.push(subscription);
        reply
    }

    pub(super) fn subscriptions(&self) -> Reply {
        let all = self.subscriptions.iter().map(Subscription::body).collect();
        Reply::json(200, &self.envelope("webhooks", all))
    }

    pub(super) fn subscription(&self, id: &str) -> Reply {
        match self.subscriptions.iter().find(|it| it.id == id) {
            Some(it) => Reply::json(200, &it.body()),
            None => self.error(404, "NOT_FOUND", "no such webhook"),
        }
    }

    pub(super) fn unsubscribe(&mut self, id: &str) -> Reply {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|it| it.id != id);
        if self.subscriptions.len() == before {
            return self.error(404, "NOT_FOUND", "no such webhook");
        }
        Reply::empty(204)
    }

    /// The path of the test-send is documented nowhere; this one is ours.
    pub(super) fn send_test(&self, id: &str, call: &Call, world: &mut World) -> Reply {
        if !self.subscriptions.iter().any(|it| it.id == id) {
            return self.error(404, "NOT_FOUND", "no such webhook");
        }
        let pending = Pending {
            provider: Provider::Jarai,
            job: NIL.to_owned(),
            event: "webhook.test",
            subscription: id.to_owned(),
            sequence: 0,
            attempt: 1,
            event_ms: call.now_ms,
            base: call.base.clone(),
        };
        world.enqueue(call.now_ms, pending);
        Reply::json(202, &json!({ "webhookId": id }))
    }

    /// Puts into the queue what is to be announced of a production after `after_ms`.
    pub(super) fn announce(&mut self, id: &str, base: &str, world: &mut World, after_ms: i64) {
        let Some(production) = self.productions.get_mut(id) else {
            return;
        };
        production.events.retain(|event| event.0 <= after_ms);
        let told = production.events.len();
        let at = |status| production.timeline.when(status);
        let mut coming = vec![(at("Queued"), "production.queued")];
        // Two steps, at a third and two thirds of the work.
        if let (Some(from), Some(to)) = (at("Producing"), at("AwaitingApproval")) {
            for third in 1..3 {
                coming.push((
                    Some(from + (to - from) * third / 3),
                    "production.step.complete",
                ));
            }
        }
        coming.extend([
            (at("AwaitingApproval"), "deliverable.ready"),
            (at("AwaitingApproval"), "production.awaiting_approval"),
            (at("Distributing"), "production.distributing"),
            (at("Published"), "production.published"),
            (at("Failed"), "production.failed"),
            (at("Cancelled"), "production.cancelled"),
        ]);
        let coming = coming
            .into_iter()
            .filter_map(|(at, event)| Some((at?, event)));
        // What happens in this very millisecond, as a cancel does, is news too.
        let news: Vec<_> = coming
            .filter(|event| event.0 >= after_ms && !production.events.contains(event))
            .collect();
        production.events.extend(news);
        for (sequence, &(at_ms, event)) in (1..).zip(&production.events).skip(told) {
            let pending = Pending {
                provider: Provider::Jarai,
                job: id.to_owned(),
                event,
                subscription: String::new(),
                sequence,
                attempt: 1,
                event_ms: at_ms,
                base: base.to_owned(),
            };
            world.schedule(pending);
        }
    }

    /// What goes to whom: registration, URL, signature, body.
    pub(crate) fn webhooks(
        &self,
        pending: &Pending,
        delivery_no: u64,
        world: &World,
    ) -> Vec<(String, String, String, Vec<u8>)> {
        let production = self.productions.get(&pending.job);
        let account = production.map_or(NIL, |it| it.account_id.as_str());
        let wanted = self
            .subscriptions
            .iter()
            .filter(|it| match pending.subscription.as_str() {
                "" => it.wants(pending.event, account),
                id => it.id == id,
            });
        let data = self.event_data(pending);
        wanted
            .map(|it| {
                let body = json!({
                    // A new one for each delivery, as the reference says.
                    "eventId": world.dice.uuid(&it.id, delivery_no),
                    "eventType": pending.event,
                    "productionId": pending.job,
                    "accountId": account,
                    "timestamp": iso(pending.event_ms),
                    "sequenceNumber": pending.sequence,
                    "correlationId": world.dice.uuid("webhook-correlation", delivery_no),
                    "truncated": false,
                    "data": data,
                });
                let body = body.to_string().into_bytes();
                let signed = signature(&decode_secret(&it.secret), &body);
                (it.id.clone(), it.url.clone(), signed, body)
            })
            .collect()
    }

    fn event_data(&self, pending: &Pending) -> Value {
        let Some(production) = self.productions.get(&pending.job) else {
            return json!({});
        };
        match pending.event {
            "production.queued" => {
                json!({ "status": "Queued", "expiresAt": iso(production.expires_ms) })
            }
            "production.failed" => {
                let (code, text) = production.error.unwrap_or_default();
                json!({ "status": "Failed", "errorCode": code, "errorMessage": text })
            }
            "deliverable.ready" => {
                let kinds: Vec<&str> = self.files().map(|file| file.0).collect();
                json!({ "deliverables": kinds })
            }
            "production.published" => json!({ "status": "Published" }),
            _ => json!({}),
        }
    }

    /// Whether a production's files exist at `now_ms`.
    pub(crate) fn has_files(status: &str) -> bool {
        has_deliverables(status)
    }
}

fn read_subscription(object: &Map<String, Value>) -> Result<Subscription, String> {
    let url = required_text(object, "endpointUrl")?;
    // Only https is documented; a loopback address is how a sandbox is used.
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    if !url.starts_with("https://") && !local.iter().any(|it| url.starts_with(it)) {
        return Err("endpointUrl must be https".to_owned());
    }
    let events = texts(object, "eventTypes")?.unwrap_or_default();
    if events.is_empty() {
        return Err("eventTypes needs at least one".to_owned());
    }
    if let Some(event) = events.iter().find(|it| !EVENTS.contains(&it.as_str())) {
        return Err(format!("eventTypes: {event} is unknown"));
    }
    let ids = texts(object, "accountIds")?;
    let scope = optional_text(object, "accountScopeId")?;
    if ids.is_some() && scope.is_some() {
        return Err("accountIds and accountScopeId exclude each other".to_owned());
    }
    let accounts = ids.unwrap_or_else(|| scope.map(str::to_owned).into_iter().collect());
    if accounts.len() > MOST_ACCOUNTS || accounts.iter().any(|id| !is_uuid(id)) {
        return Err("accountIds takes up to 50 UUIDs".to_owned());
    }
    Ok(Subscription {
        id: String::new(),
        url: url.to_owned(),
        events,
        accounts,
        secret: String::new(),
    })
}

fn texts(object: &Map<String, Value>, name: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = object.get(name) else {
        return Ok(None);
    };
    let items = value
        .as_array()
        .ok_or_else(|| format!("{name} must be an array"))?;
    let texts = items.iter().map(|it| it.as_str().map(str::to_owned));
    texts
        .collect::<Option<_>>()
        .map(Some)
        .ok_or_else(|| format!("{name} must hold strings"))
}

/// The key is the decoded secret; its padding may be missing.
fn decode_secret(secret: &str) -> Vec<u8> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet::URL_SAFE, config)
        .decode(secret)
        .unwrap_or_default()
}
