//! What came of a call, said as what to do next rather than as what happened on the wire.

use std::time::Duration;

use domain::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::remote::{PartnerAccount, RemoteDeliverable, RemoteJob};

/// A provider's answer, read.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The HTTP status; none if no answer came.
    pub http_status: Option<u16>,
    /// What it means.
    pub outcome: Outcome,
    /// What the answer's headers say about the request budget.
    pub hint: RateHint,
    /// The provider's own id of this exchange (JARAI's `X-Correlation-Id`), for its support.
    pub correlation_id: Option<String>,
    /// The body (at most 64 KiB, lossily UTF-8, keys and URL query strings masked), kept for
    /// people where the outcome is unknown or refused.
    pub kept: Option<String>,
}

/// What came of a call.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every answer is a job's state, so the large variant is the usual one"
)]
pub enum Outcome {
    /// A submit was answered: one outcome per item, in the order in which they were sent.
    Submitted(Vec<ItemOutcome>),
    /// The state of a remote job.
    Status(RemoteJob),
    /// The files of a production, with fresh links.
    Deliverables(Vec<RemoteDeliverable>),
    /// The production is not far enough to have files (404 or 409; undocumented).
    DeliverablesNotYet,
    /// The cancel was taken; only a status read tells whether it took effect.
    CancelAsked,
    /// What is left to spend.
    Credits {
        /// In the provider's unit; none where the provider names no number (JARAI).
        balance: Option<f64>,
        /// The plan, where told.
        plan: Option<String>,
        /// The whole answer, secrets masked.
        raw: serde_json::Value,
    },
    /// All completed descriptions of a project. Absence from it proves nothing.
    Export(Vec<RemoteJob>),
    /// JARAI's accounts.
    Accounts(Vec<PartnerAccount>),
    /// A key, shown this once: the answer of `VerifyPartner` and `RotateKey`.
    KeyIssued {
        /// The new key.
        key: SecretString,
        /// The rest of the answer, secrets masked.
        raw: serde_json::Value,
    },
    /// A webhook was registered.
    WebhookCreated {
        /// Its id, to remove it by.
        id: Option<String>,
        /// The signing secret, shown this once.
        signing_secret: Option<SecretString>,
        /// The rest of the answer, secrets masked.
        raw: serde_json::Value,
    },
    /// Any other answer, secrets masked (`Performance`, `Webhooks`, `RegisterPartner`,
    /// `DeleteWebhook`).
    Raw(serde_json::Value),
    /// 404 on a read: the provider knows no such thing.
    Missing,
    /// Surely not accepted, surely not done.
    Refused(Refusal),
    /// It may have been accepted. Only for calls that must not be repeated
    /// ([`Call::acts_once`](crate::Call::acts_once)).
    Unknown {
        /// Why nobody can tell, in one sentence without URL and key.
        reason: String,
    },
}

/// What came of one item of a submit.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every item is accepted, so the large variant is the usual one"
)]
pub enum ItemOutcome {
    /// The provider took it.
    Accepted {
        /// The provider's id, always as text (ProductAI sends numbers).
        remote_id: String,
        /// What ties the id to the item.
        matched_by: MatchedBy,
        /// What the answer already says about the job, if it says anything (a submit may come back
        /// COMPLETED at once).
        job: Option<RemoteJob>,
        /// JARAI's `Location`, as it came; see [`Call::Status`](crate::Call::Status).
        location: Option<String>,
    },
    /// This item alone was refused.
    Refused {
        /// The provider's word, or one of ours in lower case.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Nothing in the answer tells.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// What ties an element of an answer to an item of the submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// One item was sent and one came back.
    Only,
    /// The `clientProductId` that we sent.
    ClientProductId,
    /// The EAN, which exactly one sent item and exactly one element have.
    Ean,
    /// The position: no element says what it belongs to, and the counts agree. The weakest tie: a
    /// later read that shows another product undoes it.
    Order,
}

/// How long the provider asks us to stay away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// From the answer on.
    For(Duration),
    /// Until this moment.
    Until(Timestamp),
}

impl Pause {
    /// The moment from which the provider may be asked again, for an answer that came at `at`.
    #[must_use]
    pub fn ends(self, at: Timestamp) -> Timestamp {
        match self {
            Self::For(duration) => at + duration,
            Self::Until(moment) => moment,
        }
    }
}

/// Why a call was surely not accepted; each variant is another decision for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// DNS, connect or TLS failed, or the call cannot be put on the wire: surely no byte was sent.
    NotSent {
        /// Why, in one sentence without URL and key.
        reason: String,
    },
    /// 429: come back later.
    RateLimited {
        /// When: the body's `retryAfterSeconds` first, then `Retry-After`, then
        /// `X-RateLimit-Reset`. None is a bare 429: the caller backs off by itself.
        pause: Option<Pause>,
        /// JARAI's quota of productions per account and day, which stops submits and leaves reads
        /// alone. Told only by the text of the message, so `false` proves nothing.
        production_quota: bool,
    },
    /// 401: the key is missing, wrong or revoked.
    Unauthorized {
        /// The provider's word, or `http_401`.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// 403: the key may not do this.
    Forbidden {
        /// The provider's word, or `http_403`.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Nothing left to spend: `OUT_OF_TOKENS` under any HTTP code, 402, or JARAI's `BUDGET_*`.
    OutOfCredits {
        /// The provider's word, or `http_402`.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// These bytes will never be accepted: 400, 404 on a submit, 405, 413, 414, 415, 422, 431 and
    /// redirects.
    Invalid {
        /// The provider's word, or `http_400` and so on, `redirect`, `unsupported_call`.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Another 4xx, conflicts among them.
    Rejected {
        /// The provider's word, or `http_409` and so on.
        code: String,
        /// A sentence for people.
        message: String,
    },
    /// Not now: JARAI's 503 in its own envelope; for calls that may be repeated also any other
    /// 5xx, a time-out, a broken connection and an answer that does not read.
    Unavailable {
        /// How long, where told.
        pause: Option<Pause>,
        /// A sentence for people.
        message: String,
    },
}

/// What an answer's headers say about the request budget (JARAI's `X-RateLimit-*`, on every 2xx
/// and 429).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateHint {
    /// Requests per window.
    pub limit: Option<u32>,
    /// Requests left in this window.
    pub remaining: Option<u32>,
    /// When the window ends; the header counts Unix seconds.
    pub reset_at: Option<Timestamp>,
}
