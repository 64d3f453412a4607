//! What Vitrine is about, without IO and without a clock: the three kinds of job, their states and
//! the one transition function, prices, barcodes, the checks on what a row asks for, and the
//! arithmetic of request windows. Everything takes `now` as a value.

pub mod gtin;
mod kind;
pub mod price;
mod provider;
pub mod request;
mod time;

pub use kind::{JobId, JobKind, UnknownKind};
pub use provider::{Provider, UnknownProvider};
pub use time::{BadTimestamp, Timestamp};
