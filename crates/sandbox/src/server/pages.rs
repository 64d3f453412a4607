//! The sandbox's own pages: health, the book, the remote jobs, the mails, and the operator's
//! decision on a production.

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};
use std::io;

use super::kept::Kept;
use crate::sandbox::Sandbox;
use crate::wire::Reply;

pub(super) fn answer(
    kept: &mut Kept,
    now_ms: i64,
    method: &str,
    page: &str,
    query: &str,
) -> Response<Bytes> {
    let parts: Vec<&str> = page.split('/').collect();
    let at_ms = kept.time(now_ms);
    let body = match (method, parts.as_slice()) {
        ("GET", ["health"]) => Some(json!({ "status": "ok" })),
        ("GET", ["ledger"]) => Some(ledger(kept.sandbox(), at_ms, since(query))),
        ("GET", ["jobs"]) => Some(jobs(kept.sandbox(), at_ms)),
        ("GET", ["mails"]) => Some(json!(kept.sandbox().mails())),
        ("POST", ["approve", id]) => Some(decided("approved", &kept.approve(now_ms, id))),
        ("POST", ["reject", id]) => Some(decided("rejected", &kept.reject(now_ms, id))),
        _ => None,
    };
    match body {
        Some(body) => Reply::json(200, &body).into_response(),
        None => Reply::json(404, &json!({ "error": "no such page" })).into_response(),
    }
}

fn decided(name: &str, done: &io::Result<bool>) -> Value {
    match done {
        Ok(done) => json!({ name: done }),
        Err(error) => json!({ name: false, "error": error.to_string() }),
    }
}

/// The number after which entries are wanted: `?since=17`.
fn since(query: &str) -> u64 {
    let pairs = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("since="));
    pairs
        .filter_map(|number| number.parse().ok())
        .next_back()
        .unwrap_or(0)
}

fn ledger(sandbox: &Sandbox, now_ms: i64, since: u64) -> Value {
    let book = sandbox.ledger();
    let requests: Vec<_> = book.requests().iter().filter(|it| it.no > since).collect();
    let charges: Vec<_> = book
        .charges()
        .iter()
        .filter(|it| it.request_no > since)
        .collect();
    json!({
        "now_ms": now_ms,
        "summary": book.summary(),
        "requests": requests,
        "charges": charges,
    })
}

fn jobs(sandbox: &Sandbox, now_ms: i64) -> Value {
    json!(sandbox.jobs(now_ms).collect::<Vec<_>>())
}
