//! The only outbound HTTP of Vitrine: the clients of JAKOV.AI, ProductAI.photo and JARAI, the
//! reading of what they send to us, and the download of what they made.
//!
//! Encoding a call to bytes and reading an answer are pure functions ([`Client`]); one small
//! [`Http`] does the sending. When to call, what to store and what a job's state becomes is
//! decided elsewhere. Floor 1: above `domain`, below `engine`.

mod answer;
mod call;
mod client;
pub mod fetch;
mod jakov;
mod jarai;
mod json;
mod link_life;
mod mask;
mod productai;
mod remote;
mod reply;
mod send;
#[cfg(test)]
mod tests;
mod url_parts;
pub mod webhook;

pub use call::{Call, DescriptionItem, ExportFormat, Submit};
pub use client::{BadEndpoint, Client};
pub use mask::{SignedUrl, masked};
pub use remote::{PartnerAccount, PartnerAvatar, Phase, RemoteDeliverable, RemoteJob, phase_of};
pub use reply::{ItemOutcome, MatchedBy, Outcome, Pause, RateHint, Refusal, Reply};
pub use send::{BadHttp, Http, HttpOptions, SendError};
