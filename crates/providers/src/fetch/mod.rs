//! Downloading what a provider made: from hosts that nobody vouches for, without any key, into a
//! file, checked on the way. And the look at a source image before it is paid for.
//!
//! Storage, names and retries are the engine's.

mod address;
mod download;
mod error;
mod gate;
mod look;
mod part;
mod resolver;
mod shape;
mod sniff;

pub use address::is_global;
pub use download::{BadFetcher, FetchOptions, Fetcher};
pub use error::FetchError;
pub use look::Look;
pub use part::{Fetched, Part};
#[cfg(test)]
pub(crate) use resolver::Names;
pub use shape::{Shape, shape_of};
pub use sniff::{Sniffed, sniff};
