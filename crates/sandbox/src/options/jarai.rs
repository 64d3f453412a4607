//! JARAI: its settings and the shapes of its undocumented answers.

use super::{RetryAfter, pick};

/// Settings of JARAI.
#[derive(Debug, Clone)]
pub struct JaraiOptions {
    /// The value of `X-API-Key`; starts with `jarai_`.
    pub api_key: String,
    /// The partner's tier, which sets the three limits.
    pub tier: Tier,
    /// Requests per rolling minute, instead of the tier's.
    pub requests_per_minute: Option<u32>,
    /// Requests per day in UTC, instead of the tier's.
    pub requests_per_day: Option<u32>,
    /// Productions per account and day, instead of the tier's.
    pub productions_per_day: Option<u32>,
    /// The key's scopes; `None`: all.
    pub scopes: Option<Vec<String>>,
    /// Whether the partner is active; else every call is 403 PARTNER_NOT_ACTIVE.
    pub partner_active: bool,
    /// Whether the partner may rotate its keys.
    pub self_service_rotation: bool,
    /// The accounts that the partner may use.
    pub accounts: Vec<JaraiAccount>,
    /// Median of the time in `Queued`, in milliseconds.
    pub queued_median_ms: u64,
    /// Median of the time in `Producing`, in milliseconds.
    pub producing_median_ms: u64,
    /// Spread of both (sigma of the lognormal distribution).
    pub duration_sigma: f64,
    /// What happens at `AwaitingApproval`.
    pub approval: Approval,
    /// The time in `Distributing`, in milliseconds.
    pub distributing_ms: u64,
    /// After this time in `Queued` a production is `Failed` with PRODUCTION_EXPIRED: 10 minutes.
    pub expires_after_ms: u64,
    /// Share of productions that are never picked up.
    pub expired_share: f64,
    /// Share of productions that fail while producing.
    pub failed_share: f64,
    /// Share of productions that the operator rejects at the end of the approval's time.
    pub rejected_share: f64,
    /// Productions until the monthly AI ceiling answers BUDGET_GATE_1_FAILED; `None`: no ceiling.
    pub monthly_ceiling: Option<u64>,
    /// The least time between two polls while `Queued`, in milliseconds: 10 s.
    pub queued_poll_floor_ms: u64,
    /// The least time between two polls while `Producing`, in milliseconds: 30 s.
    pub producing_poll_floor_ms: u64,
    /// The same for `AwaitingApproval` and `Distributing`. Undocumented: 0 allows any.
    pub later_poll_floor_ms: u64,
    /// How long a `sasUrl` lives, in milliseconds: 1 h.
    pub sas_life_ms: u64,
    /// How long an old key works after a rotation, in milliseconds: 24 h.
    pub old_key_life_ms: u64,
    /// The largest body, in bytes, above which the answer is 413. Undocumented.
    pub max_body_bytes: usize,
    /// A webhook that is registered from the start.
    pub webhook_url: Option<String>,
    /// Its signing secret, base64url.
    pub webhook_secret: String,
    /// The shape of answers.
    pub shape: JaraiShape,
}

/// What the partner may use.
#[derive(Debug, Clone)]
pub struct JaraiAccount {
    /// UUID.
    pub account_id: String,
    /// UUIDs of its avatars.
    pub avatars: Vec<String>,
    /// UUIDs of the languages that are valid for it.
    pub languages: Vec<String>,
    /// UUIDs of the countries that are valid for it.
    pub countries: Vec<String>,
    /// Names of its connected platforms.
    pub platforms: Vec<String>,
    /// Active or Pilot; else a submit is 403 ACCOUNT_NOT_ACTIVE.
    pub active: bool,
}

impl JaraiAccount {
    /// The account of the default options, for a config that names its UUIDs.
    pub fn demo() -> Self {
        Self {
            account_id: "a0c0ffee-0000-4000-8000-000000000001".to_owned(),
            avatars: vec!["a7a7a7a7-0000-4000-8000-000000000001".to_owned()],
            languages: vec!["1a9e1a9e-0000-4000-8000-000000000001".to_owned()],
            countries: vec!["c0c0c0c0-0000-4000-8000-000000000001".to_owned()],
            platforms: vec!["youtube".to_owned(), "tiktok".to_owned()],
            active: true,
        }
    }
}

/// The tiers of the rate limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// 10 a minute, 100 a day, 3 productions per account and day.
    Free,
    /// 60 a minute, 2,000 a day, 20 productions per account and day.
    Standard,
    /// 300 a minute, nothing else.
    Enterprise,
}

impl Tier {
    /// Per minute, per day, productions per account and day.
    pub fn limits(self) -> (u32, Option<u32>, Option<u32>) {
        match self {
            Self::Free => (10, Some(100), Some(3)),
            Self::Standard => (60, Some(2_000), Some(20)),
            Self::Enterprise => (300, None, None),
        }
    }
}

/// What happens at `AwaitingApproval`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// The operator releases after this many milliseconds.
    After(u64),
    /// Nobody ever releases, unless `Sandbox::approve` is called.
    Never,
}

/// What is around a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListEnvelope {
    /// The array itself.
    Array,
    /// An object with the array under this name.
    Keyed(&'static str),
    /// An object with the array under the resource's own name (`accounts`, `deliverables`).
    Own,
}

/// The header `Location` of a submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationForm {
    /// With scheme and host.
    Absolute,
    /// The path alone.
    Relative,
    /// No header, against the document: a gateway may drop it.
    Absent,
}

/// The shape of what JARAI's documents leave open.
#[derive(Debug, Clone)]
pub struct JaraiShape {
    /// `Location` of a submit.
    pub location: LocationForm,
    /// `Location` ends in `/status`; both paths are served.
    pub location_suffix: bool,
    /// The submit answer holds `status`.
    pub submit_status: bool,
    /// The submit answer holds `expiresAt`.
    pub submit_expires: bool,
    /// Around accounts and deliverables.
    pub envelope: ListEnvelope,
    /// The name of a deliverable's type.
    pub type_field: &'static str,
    /// Deliverables asked for too early: 404 or 409.
    pub too_early_code: u16,
    /// `Retry-After` on 429, besides the documented field of the body.
    pub retry_after: RetryAfter,
    /// More deliverables than the documented five: another video and an attribution package.
    pub more_deliverables: bool,
    /// Unknown fields are sprinkled over the answers.
    pub extras: bool,
}

impl Default for JaraiShape {
    fn default() -> Self {
        Self {
            location: LocationForm::Absolute,
            location_suffix: false,
            submit_status: true,
            submit_expires: true,
            envelope: ListEnvelope::Own,
            type_field: "type",
            too_early_code: 409,
            retry_after: RetryAfter::Absent,
            more_deliverables: false,
            extras: false,
        }
    }
}

impl Default for JaraiOptions {
    fn default() -> Self {
        Self {
            api_key: "jarai_c2FuZGJveC1rZXk".to_owned(),
            tier: Tier::Standard,
            requests_per_minute: None,
            requests_per_day: None,
            productions_per_day: None,
            scopes: None,
            partner_active: true,
            self_service_rotation: true,
            accounts: vec![JaraiAccount::demo()],
            queued_median_ms: 20_000,
            producing_median_ms: 720_000,
            duration_sigma: 0.25,
            approval: Approval::After(120_000),
            distributing_ms: 60_000,
            expires_after_ms: 600_000,
            expired_share: 0.0,
            failed_share: 0.0,
            rejected_share: 0.0,
            monthly_ceiling: None,
            queued_poll_floor_ms: 10_000,
            producing_poll_floor_ms: 30_000,
            later_poll_floor_ms: 0,
            sas_life_ms: 3_600_000,
            old_key_life_ms: 86_400_000,
            max_body_bytes: 262_144,
            webhook_url: None,
            webhook_secret: "c2FuZGJveC1qYXJhaS13ZWJob29rLXNlY3JldA".to_owned(),
            shape: JaraiShape::default(),
        }
    }
}

impl JaraiOptions {
    pub(super) fn vary(&mut self, rng: &mut fastrand::Rng) {
        let locations = [
            LocationForm::Absolute,
            LocationForm::Relative,
            LocationForm::Absent,
        ];
        let keyed = ["deliverables", "items", "data", "value"].map(ListEnvelope::Keyed);
        let envelopes = [&[ListEnvelope::Array, ListEnvelope::Own], keyed.as_slice()].concat();
        self.shape = JaraiShape {
            location: pick(rng, &locations),
            location_suffix: rng.bool(),
            submit_status: rng.bool(),
            submit_expires: rng.bool(),
            envelope: pick(rng, &envelopes),
            type_field: pick(rng, &["type", "deliverableType", "kind"]),
            too_early_code: pick(rng, &[404, 409]),
            retry_after: RetryAfter::pick(rng),
            more_deliverables: rng.bool(),
            extras: rng.bool(),
        };
        self.expired_share = 0.03;
        self.failed_share = 0.03;
        self.rejected_share = 0.02;
    }
}
