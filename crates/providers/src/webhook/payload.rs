//! The three payloads in one shape.

use domain::{Provider, Timestamp};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::remote::{Phase, RemoteJob};
use crate::{jakov, jarai, json, productai};

/// One delivery, read.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookEvent {
    /// Equal for two deliveries of the same event: JARAI's production and sequence number,
    /// JAKOV's event, id and time, else the hash of the body.
    pub dedupe_key: String,
    /// The event as the provider spells it (ProductAI: its `status`).
    pub event: String,
    /// The job that it is about, where told.
    pub remote_id: Option<String>,
    /// What it says about the job. For ProductAI a hint, never a fact.
    pub job: Option<RemoteJob>,
    /// JAKOV: our id of the product.
    pub client_product_id: Option<String>,
    /// JARAI: its account.
    pub account_id: Option<String>,
    /// When it happened, by the provider's clock.
    pub at: Option<Timestamp>,
    /// JARAI: the counter of the production's events.
    pub sequence: Option<i64>,
    /// What to make of it.
    pub kind: WebhookKind,
}

impl WebhookEvent {
    /// The key under which a delivery that came at this moment is stored. A call that names no job is an event
    /// of its own each time, though its body never differs: the moment tells them apart.
    #[must_use]
    pub fn stored_under(&self, received_at: Timestamp) -> String {
        match self.kind {
            WebhookKind::SomethingFailed => format!("{}:{received_at}", self.dedupe_key),
            _ => self.dedupe_key.clone(),
        }
    }
}

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKind {
    /// A job goes on.
    Progress,
    /// A job finished well.
    Done,
    /// A job finished badly.
    Failed,
    /// ProductAI's error call, which names no job: some job failed. All of them have the same body
    /// and so the same dedupe key, and yet each is an event of its own.
    SomethingFailed,
    /// JARAI: a file is there; its list may be truncated, so read the endpoint.
    DeliverableReady,
    /// A test; about no job.
    Test,
    /// An event that nobody told us about: a reason to read the job.
    Unrecognised,
}

/// A delivery that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPayload {
    /// The body is no JSON object.
    #[error("the webhook's body is no JSON object")]
    NotAnObject,
}

/// Reads a delivery, after its signature was verified.
///
/// # Errors
/// If the body is no JSON object; anything else is an event, if need be an unrecognised one.
pub fn parse(provider: Provider, raw: &[u8]) -> Result<WebhookEvent, BadPayload> {
    let body = json::parse(raw)
        .filter(Value::is_object)
        .ok_or(BadPayload::NotAnObject)?;
    let hash: String = Sha256::digest(raw)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let event = match provider {
        Provider::Jakov => of_jakov(&body),
        Provider::Productai => of_productai(&body),
        Provider::Jarai => of_jarai(&body),
    };
    let key = match event.dedupe_key.as_str() {
        "" => format!("{provider}:sha256:{hash}"),
        key => format!("{provider}:{key}"),
    };
    Ok(WebhookEvent {
        dedupe_key: key,
        ..event
    })
}

/// An event of which only the name is known.
fn bare(event: String) -> WebhookEvent {
    WebhookEvent {
        dedupe_key: String::new(),
        event,
        remote_id: None,
        job: None,
        client_product_id: None,
        account_id: None,
        at: None,
        sequence: None,
        kind: WebhookKind::Unrecognised,
    }
}

/// JAKOV documents one event, `generation.completed`. No payload holds an event id, so event,
/// product and time together stand for one.
fn of_jakov(body: &Value) -> WebhookEvent {
    let mut event = bare(json::text_field(body, &["event"]).unwrap_or_default());
    let time = json::text_field(body, &["timestamp"]);
    event.at = json::time_field(body, &["timestamp"]);
    let Some(product) = json::field(body, &["product"]).filter(|product| product.is_object())
    else {
        return event;
    };
    event.remote_id = json::text_field(product, &jakov::ID);
    event.client_product_id = json::text_field(product, &jakov::CLIENT_ID);
    if event.event == "generation.completed" {
        event.kind = WebhookKind::Done;
        event.job = Some(jakov::job_in(product, "completed".to_owned()));
    } else {
        event.job = jakov::job(product);
    }
    if let (Some(id), Some(time)) = (&event.remote_id, time) {
        event.dedupe_key = format!("{}:{id}:{time}", event.event);
    }
    event
}

/// ProductAI's success names a job, its error names none. Nothing is signed: all of it is a hint.
fn of_productai(body: &Value) -> WebhookEvent {
    let mut event = bare(json::text_field(body, &["status"]).unwrap_or_default());
    event.remote_id = json::text_field(body, &["job_id", "jobId", "id"]);
    let phase = productai::phase(&event.event);
    event.kind = match (phase, &event.remote_id) {
        (Phase::Done, Some(_)) => WebhookKind::Done,
        (Phase::Failed { .. }, Some(_)) => WebhookKind::Failed,
        (Phase::Failed { .. }, None) => WebhookKind::SomethingFailed,
        (Phase::Queued | Phase::Working, Some(_)) => WebhookKind::Progress,
        _ => WebhookKind::Unrecognised,
    };
    event.job = event.remote_id.clone().map(|id| {
        let mut job = RemoteJob::new(id, event.event.clone(), phase);
        job.result_url = match phase {
            Phase::Done => productai::result_url(body),
            _ => None,
        };
        job
    });
    event
}

/// JARAI's envelope. `eventId` belongs to one delivery and may change on a resend, so production
/// and sequence number stand for the event.
fn of_jarai(body: &Value) -> WebhookEvent {
    let mut event = bare(json::text_field(body, &["eventType", "event"]).unwrap_or_default());
    let id = |name: &str| json::text_field(body, &[name]).filter(|id| !is_nil(id));
    event.remote_id = id("productionId");
    event.account_id = id("accountId");
    event.at = json::time_field(body, &["timestamp"]);
    event.sequence = json::field(body, &["sequenceNumber"]).and_then(Value::as_i64);
    let implied = match event.event.as_str() {
        "production.queued" => Some(("Queued", WebhookKind::Progress)),
        "production.step.complete" => Some(("", WebhookKind::Progress)),
        "production.published" => Some(("Published", WebhookKind::Done)),
        "production.failed" => Some(("Failed", WebhookKind::Failed)),
        "deliverable.ready" => Some(("", WebhookKind::DeliverableReady)),
        "webhook.test" => Some(("", WebhookKind::Test)),
        _ => None,
    };
    let (status, kind) = implied.unwrap_or(("", WebhookKind::Unrecognised));
    event.kind = kind;
    event.job = event
        .remote_id
        .clone()
        .filter(|_| !matches!(kind, WebhookKind::DeliverableReady | WebhookKind::Test))
        .and_then(|id| {
            let data = json::field(body, &["data"]).unwrap_or(&Value::Null);
            let told = json::text_field(data, &["status"]);
            let status = match status {
                "" => told?,
                implied => implied.to_owned(),
            };
            Some(jarai::job_in(data, id, status))
        });
    if let (Some(id), Some(sequence)) = (&event.remote_id, event.sequence) {
        event.dedupe_key = format!("{id}:{sequence}");
    }
    event
}

/// `webhook.test` names the nil UUID.
fn is_nil(id: &str) -> bool {
    id.chars().all(|digit| matches!(digit, '0' | '-'))
}
