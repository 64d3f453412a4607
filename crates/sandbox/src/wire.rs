//! A request as the models see it, a reply as they give it, and what becomes of it on the way.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::faults::FaultKind;
use crate::ledger::Violation;

/// Whose wire a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// JAKOV.AI, under `/jakov`.
    Jakov,
    /// ProductAI.photo, under `/productai/v1`.
    Productai,
    /// JARAI, under `/jarai/v1`.
    Jarai,
    /// The file host of both image and video deliverables, under `/files`.
    Files,
    /// Anything else: the sandbox's own pages and unknown paths.
    Control,
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// A paid POST: products, generate, upscale, productions.
    Submit,
    /// The status of one job.
    Poll,
    /// JAKOV's export.
    Export,
    /// JAKOV's credits, ProductAI's key-check, JARAI's usage.
    Credits,
    /// JARAI's accounts.
    Accounts,
    /// JARAI's list of deliverables.
    Deliverables,
    /// JARAI's DELETE of a production.
    Cancel,
    /// A download.
    File,
    /// The rest: registration, webhooks, performance, unknown paths.
    Other,
}

/// One answered request and what becomes of the answer.
#[derive(Debug)]
pub struct Exchange {
    /// The number of the ledger's entry.
    pub request_no: u64,
    /// The answer. When `delivery` says that it is lost, it is what would have been answered.
    pub response: Response<Bytes>,
    /// Whether and when the caller gets it.
    pub delivery: Delivery,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The caller gets the answer.
    Answer,
    /// The request was carried out; the caller never hears of it.
    LostAfterAccept,
    /// The connection broke before the request was read; nothing was carried out.
    ResetBefore,
    /// The caller gets the answer after this many milliseconds.
    DelayMs(u64),
}

/// One request, taken apart.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) no: u64,
    pub(crate) now_ms: i64,
    /// How the caller reaches us: scheme and authority.
    pub(crate) base: String,
    pub(crate) method: Method,
    /// The path without the provider's prefix, in its parts.
    pub(crate) path: Vec<String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) fault: Option<FaultKind>,
}

impl Call {
    /// Takes a request apart; answers the provider whose prefix it has.
    pub(crate) fn read(
        no: u64,
        now_ms: i64,
        base: &str,
        request: Request<Bytes>,
    ) -> (Provider, Self) {
        let (head, body) = request.into_parts();
        let mut parts = head.uri.path().split('/').filter(|part| !part.is_empty());
        let provider = match parts.next() {
            Some("jakov") => Provider::Jakov,
            Some("productai") => Provider::Productai,
            Some("jarai") => Provider::Jarai,
            Some("files") => Provider::Files,
            _ => Provider::Control,
        };
        let host = head.headers.get("host").and_then(|it| it.to_str().ok());
        let authority = head
            .uri
            .authority()
            .map(http::uri::Authority::as_str)
            .or(host);
        let base = match authority {
            _ if !base.is_empty() => base.trim_end_matches('/').to_owned(),
            Some(authority) => format!("http://{authority}"),
            None => "http://sandbox.invalid".to_owned(),
        };
        let call = Self {
            no,
            now_ms,
            base,
            method: head.method,
            path: parts.map(str::to_owned).collect(),
            query: head.uri.query().map(read_query).unwrap_or_default(),
            headers: head.headers,
            body,
            fault: None,
        };
        (provider, call)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Method and path for a `match`.
    pub(crate) fn route(&self) -> (&str, Vec<&str>) {
        (
            self.method.as_str(),
            self.path.iter().map(String::as_str).collect(),
        )
    }

    /// True if the body is declared as JSON.
    pub(crate) fn says_json(&self) -> bool {
        let value = self.header("content-type").unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    }
}

/// Splits a query and decodes its percent signs and pluses.
fn read_query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    let decoded = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    });
    decoded.collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |it: Option<u8>| it.and_then(|it| char::from(it).to_digit(16));
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let value = high
                    .zip(low)
                    .and_then(|(h, l)| u8::try_from(h * 16 + l).ok());
                bytes.extend(value.or(Some(b'?')));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An answer, and what the ledger should know about it.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// The remote jobs that this request made or read.
    pub(crate) jobs: Vec<String>,
    /// Why it was refused.
    pub(crate) reason: Option<String>,
    pub(crate) violations: Vec<Violation>,
    /// The status told by a poll: job, status, and whether it is terminal.
    pub(crate) report: Option<(String, &'static str, bool)>,
    /// A read after the terminal status, to renew a link.
    pub(crate) read_after_terminal: bool,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string().into())
    }

    pub(crate) fn new(status: u16, content_type: &str, body: Bytes) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self {
            status,
            headers,
            body,
            ..Self::default()
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    pub(crate) fn about(mut self, job: impl Into<String>) -> Self {
        self.jobs.push(job.into());
        self
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response
                    .headers_mut()
                    .append(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// The page that a gateway answers when it has nothing better to say.
pub(crate) fn html_page(status: u16) -> Reply {
    let text = format!(
        "<!DOCTYPE html><html><head><title>{status}</title></head>\
         <body><center><h1>{status}</h1></center><hr><center>gateway</center></body></html>\n"
    );
    Reply::new(status, "text/html", text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_without_its_prefix_and_a_query_is_decoded() {
        let request = Request::get("http://h:1/jakov/api/v1/products?id=a%20b+c&x=%C3%A9&y");
        let (provider, call) = Call::read(1, 0, "", request.body(Bytes::new()).unwrap());
        assert_eq!(provider, Provider::Jakov);
        assert_eq!(call.route(), ("GET", vec!["api", "v1", "products"]));
        assert_eq!(call.query["id"], "a b c");
        assert_eq!(call.query["x"], "é");
        assert_eq!(call.query["y"], "");
        assert_eq!(call.base, "http://h:1");
    }
}
