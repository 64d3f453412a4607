//! The claims of this crate, each run on both databases.
