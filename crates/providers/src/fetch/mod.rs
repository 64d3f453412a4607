//! Downloading what a provider made: from hosts that nobody vouches for, without any key, into a
//! file, checked on the way.
//!
//! Storage, names and retries are the engine's.

mod address;
mod download;
mod resolver;
mod sniff;

pub use address::is_global;
pub use download::{BadFetcher, FetchError, FetchOptions, Fetched, Fetcher};
pub use sniff::{Sniffed, sniff};
