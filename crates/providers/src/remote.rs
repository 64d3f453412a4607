//! The provider's side of a job, a file and an account, in one shape for all three services.

use domain::{Provider, Timestamp};

use crate::mask::SignedUrl;

/// What a provider says about a job.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteJob {
    /// The provider's id, always as text: ProductAI writes a number in its API and a string in its
    /// webhook. Empty only in JAKOV's export and webhooks, where those name no id.
    pub remote_id: String,
    /// The state as the provider spells it; empty if it says none.
    pub status: String,
    /// What the state means.
    pub phase: Phase,
    /// JAKOV: the description (`generatedDescription` in reads, `description` in webhooks).
    pub text: Option<String>,
    /// ProductAI: the link to the image.
    pub result_url: Option<SignedUrl>,
    /// JAKOV: the product's barcode, as sent.
    pub ean: Option<String>,
    /// JAKOV: our id of the product, as sent.
    pub client_product_id: Option<String>,
    /// ProductAI: the prompt; absent on ERROR and for upscales.
    pub prompt: Option<String>,
    /// JARAI: the topic; no document promises that it is told.
    pub topic: Option<String>,
    /// The provider's word for a failure.
    pub error_code: Option<String>,
    /// The provider's sentence for a failure.
    pub error_message: Option<String>,
    /// When the provider took it.
    pub created_at: Option<Timestamp>,
    /// When it was done.
    pub completed_at: Option<Timestamp>,
    /// JARAI: when a production that nobody picked up fails by itself.
    pub expires_at: Option<Timestamp>,
}

impl RemoteJob {
    /// A job of which nothing but the id is known.
    #[must_use]
    pub fn named(remote_id: String) -> Self {
        Self::new(remote_id, String::new(), Phase::Unrecognised)
    }

    /// A job of which nothing but id and state is known.
    pub(crate) fn new(remote_id: String, status: String, phase: Phase) -> Self {
        Self {
            remote_id,
            status,
            phase,
            text: None,
            result_url: None,
            ean: None,
            client_product_id: None,
            prompt: None,
            topic: None,
            error_code: None,
            error_message: None,
            created_at: None,
            completed_at: None,
            expires_at: None,
        }
    }
}

/// What a provider's state means, over the five spellings of "done".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Taken, not begun.
    Queued,
    /// Being made.
    Working,
    /// JARAI: made; waits for an operator's release, without any bound. Files can be read.
    AwaitingApproval,
    /// JARAI: going out to the platforms. Files can be read.
    Distributing,
    /// Finished well.
    Done,
    /// Finished badly.
    Failed {
        /// The provider documents that sending it again is safe (JARAI's `PRODUCTION_EXPIRED`,
        /// and nothing else).
        safe_to_resubmit: bool,
    },
    /// JARAI: cancelled by us or by an operator.
    Cancelled,
    /// A state that nobody told us about: not terminal, the job's own deadline decides.
    Unrecognised,
}

impl Phase {
    /// Whether the provider will not change it any more.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Done | Self::Failed { .. } | Self::Cancelled => true,
            Self::Queued
            | Self::Working
            | Self::AwaitingApproval
            | Self::Distributing
            | Self::Unrecognised => false,
        }
    }
}

/// What a provider's word for a state means, for a word that was stored. A failure that was stored
/// without its code is not safe to send again.
#[must_use]
pub fn phase_of(provider: Provider, status: &str) -> Phase {
    match provider {
        Provider::Jakov => crate::jakov::phase(status),
        Provider::Productai => crate::productai::phase(status),
        Provider::Jarai => crate::jarai::production::phase(status, None),
    }
}

/// A file that JARAI made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteDeliverable {
    /// The type as the provider spells it (`Video`, `ClosedCaptions`, …); types repeat and grow.
    pub kind: String,
    /// The link; it is a secret for an hour. Empty if the provider names none (yet); a fetch of it
    /// is refused.
    pub url: SignedUrl,
    /// A file name or a platform, where told. Never used as a name of ours.
    pub name: Option<String>,
    /// The size, where told.
    pub bytes: Option<u64>,
    /// The SHA-256 in lower-case hex, where told.
    pub sha256: Option<String>,
    /// The media type, where told.
    pub content_type: Option<String>,
}

/// A JARAI account that our key may use.
#[derive(Debug, Clone, PartialEq)]
pub struct PartnerAccount {
    /// The id that a production's path names.
    pub account_id: String,
    /// Its name, where told.
    pub name: Option<String>,
    /// The avatars that its productions may use.
    pub avatars: Vec<PartnerAvatar>,
    /// The connected platforms, by name.
    pub platforms: Vec<String>,
    /// The whole element, secrets masked, since its fields are not documented.
    pub raw: serde_json::Value,
}

/// A speaker of JARAI's videos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerAvatar {
    /// The id that a submit names.
    pub avatar_id: String,
    /// Its name, where told.
    pub name: Option<String>,
}
