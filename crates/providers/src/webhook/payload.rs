//! The three payloads in one shape.

use domain::{Provider, Timestamp};

use crate::remote::RemoteJob;

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

/// What an event means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookKind {
    /// A job goes on.
    Progress,
    /// A job finished well.
    Done,
    /// A job finished badly.
    Failed,
    /// ProductAI's error call, which names no job: some job failed.
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
    let _ = (provider, raw);
    Err(BadPayload::NotAnObject)
}
