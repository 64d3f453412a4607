//! A request before it knows its host: method, path below the base, and body.
//!
//! Paths are concatenated, never joined: `Url::join("/api/…")` would drop the base's own path, and
//! two of the three bases have one.

use http::{Method, Uri};
use serde::Serialize;
use url::Url;

/// A request to be.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) accept: &'static str,
    pub(crate) body: Option<Vec<u8>>,
}

/// Where a draft goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// Below the base: path and query, encoded, without a leading slash.
    Below(String),
    /// A URL that was checked to lie on the base's origin.
    Whole(Url),
}

impl Draft {
    pub(crate) fn new(method: Method, below: impl Into<String>) -> Self {
        Self {
            method,
            target: Target::Below(below.into()),
            accept: "application/json",
            body: None,
        }
    }

    pub(crate) fn get(below: impl Into<String>) -> Self {
        Self::new(Method::GET, below)
    }

    pub(crate) fn post(below: impl Into<String>, body: &impl Serialize) -> Result<Self, String> {
        let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
        let mut draft = Self::new(Method::POST, below);
        draft.body = Some(body);
        Ok(draft)
    }

    pub(crate) fn uri(&self, base: &Url) -> Result<Uri, String> {
        let text = match &self.target {
            Target::Below(below) => {
                format!("{}/{below}", base.as_str().trim_end_matches('/'))
            }
            Target::Whole(url) => url.as_str().to_owned(),
        };
        text.parse()
            .map_err(|_| "the request's URL is too long or malformed".to_owned())
    }
}

/// `id` as one segment of a path.
///
/// An empty one would name the collection, and dots would climb: those are refused, since no
/// encoding hides them from a URL parser.
pub(crate) fn segment(id: &str) -> Result<String, String> {
    if matches!(id, "" | "." | "..") {
        return Err(format!("the id {id:?} cannot stand in a path"));
    }
    let mut encoded = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(encoded)
}

/// `path?name=value&…`, encoded.
pub(crate) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("{path}?{query}")
}
