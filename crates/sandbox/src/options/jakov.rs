//! JAKOV.AI: its settings and the shapes of its undocumented answers.

use super::{ErrorBody, RetryAfter, pick};

/// Settings of JAKOV.AI.
#[derive(Debug, Clone)]
pub struct JakovOptions {
    /// The Bearer key.
    pub api_key: String,
    /// Signs webhooks; used as it stands.
    pub webhook_secret: String,
    /// Where webhooks go; the dashboard's setting. `None`: none are sent.
    pub webhook_url: Option<String>,
    /// The projects that exist; empty: any name will do.
    pub projects: Vec<String>,
    /// POST /api/v1/products per rolling minute, from the seed document.
    pub submit_per_minute: u32,
    /// GET endpoints per rolling minute, from the seed document.
    pub read_per_minute: u32,
    /// The balance to begin with.
    pub credits: u64,
    /// The price of a product, taken at acceptance. Undocumented.
    pub credits_per_product: u64,
    /// Median of the time until the description is there, in milliseconds; the sample shows 60 s.
    pub duration_median_ms: u64,
    /// Spread of that time (sigma of the lognormal distribution).
    pub duration_sigma: f64,
    /// Share of products that end `not_found`.
    pub not_found_share: f64,
    /// Share of products that end `failed`.
    pub failed_share: f64,
    /// The most products of one POST, above which it is answered 413. Undocumented.
    pub max_batch: Option<usize>,
    /// A product with this name is refused, and its whole request with it. `None`: none is.
    pub refused_name: Option<String>,
    /// Whether `from_seed` may choose a submit answer that carries no ids at all.
    pub allow_idless: bool,
    /// The shape of answers.
    pub shape: JakovShape,
}

impl Default for JakovOptions {
    fn default() -> Self {
        Self {
            api_key: "ejaj_live_sandbox".to_owned(),
            webhook_secret: "jakov-sandbox-secret".to_owned(),
            webhook_url: None,
            projects: Vec::new(),
            submit_per_minute: 100,
            read_per_minute: 300,
            credits: 100_000,
            credits_per_product: 1,
            duration_median_ms: 60_000,
            duration_sigma: 0.4,
            not_found_share: 0.0,
            failed_share: 0.0,
            max_batch: None,
            refused_name: None,
            allow_idless: false,
            shape: JakovShape::default(),
        }
    }
}

/// What stands for a product in the submit answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JakovIds {
    /// The id alone.
    Bare,
    /// An object with the id under this name.
    Under(&'static str),
    /// No ids: the answer only says that the products were taken.
    None,
}

/// What is around the products of the submit answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JakovWrap {
    /// The array itself.
    Array,
    /// An object with the array under this name.
    Keyed(&'static str),
    /// `{"success":true,"data":{NAME:[…]}}`
    Nested(&'static str),
}

/// What happens to a submit that the balance does not cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCredit {
    /// The whole request is refused with this status.
    Refuse(u16),
    /// The products are taken and end `failed`, uncharged.
    TakeAndFail,
}

/// The shape of what JAKOV's document leaves open.
#[derive(Debug, Clone)]
pub struct JakovShape {
    /// Status of an accepted submit: 200, 201 or 202.
    pub submit_code: u16,
    /// What stands for a product.
    pub ids: JakovIds,
    /// Ids as JSON numbers in the submit answer; a read shows text, as documented.
    pub numeric_ids: bool,
    /// What is around the products.
    pub wrap: JakovWrap,
    /// Items repeat `clientProductId`.
    pub echo_client_id: bool,
    /// Items repeat `ean`.
    pub echo_ean: bool,
    /// Items come in another order, where each can be told by an echo.
    pub reorder: bool,
    /// Items that are invalid are left out, and the others are taken; else all is refused.
    pub skip_invalid: bool,
    /// The wording of errors.
    pub errors: ErrorBody,
    /// `Retry-After` on 429.
    pub retry_after: RetryAfter,
    /// Fields that have no value yet are null; else absent.
    pub null_pending: bool,
    /// The export's array stands under this name; `None`: it is the body.
    pub export_key: Option<&'static str>,
    /// What the text is called in the export.
    pub export_text: &'static str,
    /// Balance exhausted.
    pub no_credit: NoCredit,
    /// Unknown fields are sprinkled over the answers.
    pub extras: bool,
}

impl Default for JakovShape {
    fn default() -> Self {
        Self {
            submit_code: 202,
            ids: JakovIds::Under("id"),
            numeric_ids: false,
            wrap: JakovWrap::Keyed("products"),
            echo_client_id: true,
            echo_ean: true,
            reorder: false,
            skip_invalid: false,
            errors: ErrorBody::Error,
            retry_after: RetryAfter::Seconds,
            null_pending: false,
            export_key: None,
            export_text: "generatedDescription",
            no_credit: NoCredit::Refuse(402),
            extras: false,
        }
    }
}

impl JakovOptions {
    pub(super) fn vary(&mut self, rng: &mut fastrand::Rng) {
        let name = pick(rng, &["products", "data", "items", "results", "ids"]);
        let wraps = [
            JakovWrap::Array,
            JakovWrap::Keyed(name),
            JakovWrap::Nested("products"),
        ];
        let mut ids = pick(
            rng,
            &[
                JakovIds::Bare,
                JakovIds::Under("id"),
                JakovIds::Under("productId"),
                JakovIds::Under("product_id"),
            ],
        );
        if self.allow_idless && rng.u8(..8) == 0 {
            ids = JakovIds::None;
        }
        let no_credit = [400, 402, 403]
            .map(NoCredit::Refuse)
            .into_iter()
            .chain([NoCredit::TakeAndFail]);
        self.shape = JakovShape {
            submit_code: pick(rng, &[200, 201, 202]),
            ids,
            numeric_ids: rng.bool(),
            wrap: pick(rng, &wraps),
            echo_client_id: rng.bool(),
            echo_ean: rng.bool(),
            reorder: rng.u8(..3) == 0,
            skip_invalid: rng.u8(..4) == 0,
            errors: ErrorBody::pick(rng),
            retry_after: RetryAfter::pick(rng),
            null_pending: rng.bool(),
            export_key: pick(rng, &[None, Some("products"), Some("data"), Some("items")]),
            export_text: pick(rng, &["generatedDescription", "description"]),
            no_credit: pick(rng, &no_credit.collect::<Vec<_>>()),
            extras: rng.bool(),
        };
        self.not_found_share = 0.03;
        self.failed_share = 0.02;
    }

    /// Turns on the submit answer without ids, whatever the seed chose.
    pub fn without_ids(&mut self) {
        self.allow_idless = true;
        self.shape.ids = JakovIds::None;
    }
}
