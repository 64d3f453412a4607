//! What the providers call us with: the signature over the raw bytes, and the payload in one shape
//! for all three.
//!
//! Nothing is stored and nothing decided here. A signed event is a fact; ProductAI signs nothing,
//! so its events are hints to read the job.

mod payload;
mod signature;

pub use payload::{BadPayload, WebhookEvent, WebhookKind, parse};
pub use signature::{SignatureError, signature_header, verify};
