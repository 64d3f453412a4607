//! Keeps the tree as `crates/README.md` describes it, where the compiler and clippy cannot: which
//! crate may depend on what, how long a file may grow, that both databases have the same schema,
//! that each statement of a provider's documents has its test.
//!
//! A rule is a pure function from texts to complaints, so that it can be shown a bad sample. Each
//! complaint names the place and says what to do. What clippy checks is not checked again here;
//! that clippy's lints are on is.

mod manifests;
mod migrations;
mod source;
mod statements;
mod tree;

use tree::{File, Tree};

/// Fails with one line for each complaint.
#[track_caller]
fn tidy(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

/// Shows a rule a bad sample: it has to complain with these words, and only once.
#[track_caller]
fn complains(complaints: &[String], of: &str) {
    assert!(
        matches!(complaints, [only] if only.contains(of)),
        "wanted one complaint of {of:?}, got {complaints:#?}"
    );
}
