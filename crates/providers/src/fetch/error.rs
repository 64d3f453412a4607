//! Why a file did not come home: each variant is another thing to do about it.

use std::error::Error as _;

use super::gate::Closed;
use super::resolver::NotGlobal;
use crate::send::said;

/// Why a file did not come home. The texts hold no URL query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// 403, 404, 410 or another 4xx: the link is dead; read it again.
    #[error("the link is dead: HTTP {http}")]
    Gone {
        /// The status.
        http: u16,
    },
    /// This link will not be fetched: its scheme, a private host, too large, too many redirects.
    #[error("the fetch is refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// The name leads to an address inside, as its resolver has it now: not connected to. Another answer
    /// may be better, so it is worth another try.
    #[error("not connected: the host has an address that is not of the public internet")]
    Inside,
    /// No bytes came.
    #[error("the file is empty")]
    Empty,
    /// Fewer bytes came than announced.
    #[error("the file broke off after {got} of {expected} bytes")]
    Short {
        /// By `Content-Length`.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// The bytes do not have the hash that the host announced (`Repr-Digest`, `Digest`).
    #[error("the file does not have the digest that its host announced")]
    Altered,
    /// An error page came instead of a file.
    #[error("an error page came instead of the file")]
    ErrorPage,
    /// The host does not answer now, or answers 5xx or 429, or too slowly: try again later.
    #[error("the host is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// Our own file could not be written.
    #[error("the file cannot be written: {reason}")]
    Local {
        /// Why.
        reason: String,
    },
}

impl From<Closed> for FetchError {
    fn from(closed: Closed) -> Self {
        refused(&closed.to_string())
    }
}

pub(super) fn refused(reason: &str) -> FetchError {
    FetchError::Refused {
        reason: reason.to_owned(),
    }
}

pub(super) fn not_now(reason: &str) -> FetchError {
    FetchError::Unavailable {
        reason: reason.to_owned(),
    }
}

pub(super) fn local(error: &std::io::Error) -> FetchError {
    FetchError::Local {
        reason: error.to_string(),
    }
}

/// What the HTTP library says, without its URL.
pub(super) fn unavailable(error: reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<NotGlobal>() {
            return FetchError::Inside;
        }
        cause = inner.source();
    }
    FetchError::Unavailable {
        reason: said(error),
    }
}

/// What a body that broke off in the middle says.
pub(super) fn broke_off(error: reqwest::Error, expected: Option<u64>, got: u64) -> FetchError {
    match expected {
        Some(expected) if got < expected && !error.is_timeout() => {
            FetchError::Short { expected, got }
        }
        _ => unavailable(error),
    }
}
