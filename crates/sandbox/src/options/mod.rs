//! What can be set: by default the documented limits, the documented answers, no failures and no
//! faults. `Options::from_seed` varies what the documents leave open.

mod jakov;
mod jarai;
mod productai;

pub use jakov::{JakovIds, JakovOptions, JakovShape, JakovWrap, NoCredit};
pub use jarai::{
    Approval, JaraiAccount, JaraiOptions, JaraiShape, ListEnvelope, LocationForm, Tier,
};
pub use productai::{ImageFormat, ModelPrice, ProductaiDialect, ProductaiOptions, ProductaiShape};

use crate::dice::Dice;
use crate::faults::FaultPlan;
use crate::wire::Reply;
use crate::world::{http_date, seconds};

/// All settings of a sandbox.
#[derive(Debug, Clone)]
pub struct Options {
    /// Durations, ids, failures and faults are drawn from it.
    pub seed: u64,
    /// Divides every time on the provider's side: windows, intervals, durations, the life of links,
    /// the length of a day. 1 is real time.
    pub speed: f64,
    /// How callers reach the sandbox, for links (`http://127.0.0.1:7799`). Empty: taken from each
    /// request.
    pub base_url: String,
    /// Whether a poll that comes too early is answered with 429 (and noted) or served (and noted).
    pub refuse_violations: bool,
    /// How much sooner than documented a poll may arrive before it counts as early, in
    /// milliseconds that are not divided by the speed.
    pub poll_tolerance_ms: i64,
    /// Header names that a submit may carry besides the documented and the usual ones.
    pub allowed_headers: Vec<String>,
    /// How often a webhook is tried until it is answered. The documents give no number.
    pub webhook_attempts: u32,
    /// The pause before a webhook is tried again, in milliseconds; it doubles each time.
    pub webhook_retry_ms: u64,
    /// What goes wrong.
    pub faults: FaultPlan,
    /// JAKOV.AI.
    pub jakov: JakovOptions,
    /// ProductAI.photo.
    pub productai: ProductaiOptions,
    /// JARAI.
    pub jarai: JaraiOptions,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            speed: 1.0,
            base_url: String::new(),
            refuse_violations: true,
            poll_tolerance_ms: 0,
            allowed_headers: Vec::new(),
            webhook_attempts: 3,
            webhook_retry_ms: 30_000,
            faults: FaultPlan::none(),
            jakov: JakovOptions::default(),
            productai: ProductaiOptions::default(),
            jarai: JaraiOptions::default(),
        }
    }
}

impl Options {
    /// Documented limits, with answers in a shape that `seed` chooses among all that the documents
    /// allow, and small shares of jobs that fail.
    pub fn from_seed(seed: u64) -> Self {
        let mut options = Self {
            seed,
            ..Self::default()
        };
        let dice = Dice::new(seed);
        options.jakov.vary(&mut dice.rng("shape-jakov", 0));
        options.productai.vary(&mut dice.rng("shape-productai", 0));
        options.jarai.vary(&mut dice.rng("shape-jarai", 0));
        options
    }
}

/// How a service words an error where no document says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorBody {
    /// `{"error":"…"}`
    Error,
    /// `{"message":"…"}`
    Message,
    /// `{"errors":["…"]}`
    Errors,
    /// A page of HTML.
    Html,
    /// Nothing.
    Empty,
}

impl ErrorBody {
    fn pick(rng: &mut fastrand::Rng) -> Self {
        pick(
            rng,
            &[
                Self::Error,
                Self::Message,
                Self::Errors,
                Self::Html,
                Self::Empty,
            ],
        )
    }
}

/// The header `Retry-After` of a 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryAfter {
    /// There is none.
    Absent,
    /// Whole seconds, rounded up.
    Seconds,
    /// A date of HTTP.
    Date,
}

impl RetryAfter {
    fn pick(rng: &mut fastrand::Rng) -> Self {
        pick(rng, &[Self::Absent, Self::Seconds, Self::Date])
    }

    /// Adds the header; `wait` is now and the milliseconds to wait.
    pub(crate) fn add_to(self, reply: Reply, wait: Option<(i64, i64)>) -> Reply {
        match (self, wait) {
            (Self::Absent, _) | (_, None) => reply,
            (Self::Seconds, Some((_, wait_ms))) => {
                reply.with_header("retry-after", seconds(wait_ms).to_string())
            }
            (Self::Date, Some((now_ms, wait_ms))) => {
                reply.with_header("retry-after", http_date(now_ms + wait_ms))
            }
        }
    }
}

/// One of `choices`, which is never empty.
fn pick<T: Copy>(rng: &mut fastrand::Rng, choices: &[T]) -> T {
    #[expect(
        clippy::indexing_slicing,
        reason = "the index is below the length by construction"
    )]
    choices[rng.usize(..choices.len())]
}
