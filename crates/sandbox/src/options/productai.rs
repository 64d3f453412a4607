//! ProductAI.photo: its settings and the shapes of its undocumented answers.

use super::{RetryAfter, pick};
use std::collections::BTreeMap;

/// Settings of ProductAI.photo.
#[derive(Debug, Clone)]
pub struct ProductaiOptions {
    /// The value of `x-api-key`: 32 alphanumerics.
    pub api_key: String,
    /// Where webhooks go; the API Access page's setting. `None`: none are sent.
    pub webhook_url: Option<String>,
    /// All requests together per rolling minute, from the seed document.
    pub requests_per_minute: u32,
    /// All requests together per day in UTC; by plan, so none by default.
    pub requests_per_day: Option<u32>,
    /// The balance to begin with.
    pub tokens: u64,
    /// The models; the seed document's seven by default.
    pub models: BTreeMap<String, ModelPrice>,
    /// Tokens of an upscale, from the seed document.
    pub upscale_tokens: u64,
    /// Median of a job's time, in milliseconds.
    pub duration_median_ms: u64,
    /// Spread of that time (sigma of the lognormal distribution).
    pub duration_sigma: f64,
    /// A second, slow kind of job: its share of all jobs.
    pub slow_share: f64,
    /// Median of the slow kind, in milliseconds.
    pub slow_median_ms: u64,
    /// From this job on, counted from 0 in order of acceptance, the provider is another one: jobs take
    /// `drift_median_ms`. `None`: it stays as it is.
    pub drift_from: Option<u64>,
    /// Median of a job's time after the drift, in milliseconds.
    pub drift_median_ms: u64,
    /// Share of jobs that end `ERROR`; their tokens are kept.
    pub error_share: f64,
    /// Share of jobs that are `COMPLETED` in the submit answer.
    pub instant_share: f64,
    /// The least time between two polls of a job, in milliseconds; the document says 3 to 5 s.
    pub poll_floor_ms: u64,
    /// How long `image_url` lives, in milliseconds. Undocumented.
    pub link_life_ms: u64,
    /// The shape of answers.
    pub shape: ProductaiShape,
}

/// What a model costs and takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelPrice {
    /// Tokens per job.
    pub tokens: u64,
    /// The most source images; more than one come as an array.
    pub max_images: usize,
}

/// The wording of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProductaiDialect {
    /// `{"name":"ApiError","message":CODE,"details":TEXT}`, from the seed document.
    Seed,
    /// `{"status":"ERROR","message":TEXT,"code":CODE}`, second-hand.
    Coded,
}

/// The type of the images that are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// image/png
    Png,
    /// image/jpeg
    Jpeg,
    /// image/webp
    Webp,
}

/// The shape of what ProductAI's document leaves open.
#[derive(Debug, Clone)]
pub struct ProductaiShape {
    /// Status of an accepted submit.
    pub submit_code: u16,
    /// Status of OUT_OF_TOKENS: 200, 400, 402 or 500.
    pub out_of_tokens_code: u16,
    /// The wording of errors.
    pub dialect: ProductaiDialect,
    /// `Retry-After` on 429.
    pub retry_after: RetryAfter,
    /// Images come as this type; `None`: each job in turn.
    pub format: Option<ImageFormat>,
    /// Links carry a signature and an expiry. Without, they die when they are as old.
    pub signed_links: bool,
    /// `image_url` is null while there is none; else absent.
    pub null_pending: bool,
    /// Unknown fields are sprinkled over the answers.
    pub extras: bool,
}

impl Default for ProductaiShape {
    fn default() -> Self {
        Self {
            submit_code: 200,
            out_of_tokens_code: 402,
            dialect: ProductaiDialect::Seed,
            retry_after: RetryAfter::Seconds,
            format: None,
            signed_links: true,
            null_pending: false,
            extras: false,
        }
    }
}

impl Default for ProductaiOptions {
    fn default() -> Self {
        let models = [
            ("gpt-low", 2, 1),
            ("gpt-medium", 3, 1),
            ("gpt-high", 8, 1),
            ("kontext-pro", 3, 1),
            ("nanobanana", 3, 2),
            ("nanobananapro", 8, 2),
            ("seedream", 3, 2),
        ];
        let models = models
            .map(|(name, tokens, max_images)| (name.to_owned(), ModelPrice { tokens, max_images }));
        Self {
            api_key: "sandboxkey0123456789abcdefABCDEF".to_owned(),
            webhook_url: None,
            requests_per_minute: 15,
            requests_per_day: None,
            tokens: 100_000,
            models: models.into_iter().collect(),
            upscale_tokens: 20,
            duration_median_ms: 30_000,
            duration_sigma: 0.4,
            slow_share: 0.0,
            slow_median_ms: 120_000,
            drift_from: None,
            drift_median_ms: 12_000,
            error_share: 0.0,
            instant_share: 0.0,
            poll_floor_ms: 3_000,
            link_life_ms: 86_400_000,
            shape: ProductaiShape::default(),
        }
    }
}

impl ProductaiOptions {
    pub(super) fn vary(&mut self, rng: &mut fastrand::Rng) {
        let formats = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Webp].map(Some);
        self.shape = ProductaiShape {
            submit_code: pick(rng, &[200, 200, 201, 202]),
            out_of_tokens_code: pick(rng, &[200, 400, 402, 500]),
            dialect: pick(rng, &[ProductaiDialect::Seed, ProductaiDialect::Coded]),
            retry_after: RetryAfter::pick(rng),
            format: if rng.bool() {
                None
            } else {
                pick(rng, &formats)
            },
            signed_links: rng.u8(..4) != 0,
            null_pending: rng.u8(..3) == 0,
            extras: rng.bool(),
        };
        self.slow_share = pick(rng, &[0.0, 0.3]);
        self.error_share = 0.03;
        self.instant_share = pick(rng, &[0.0, 0.05]);
    }
}
