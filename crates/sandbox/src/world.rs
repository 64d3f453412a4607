//! What the three models share: chance, scaled time, the book, the queue of webhooks, and the
//! strict reading of a request.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::dice::Dice;
use crate::faults::{FaultKind, Faults};
use crate::ledger::{Charge, Ledger, Violation};
use crate::wire::{Call, Provider};

/// A webhook to be sent.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Names this delivery in `Sandbox::webhook_answered`.
    pub delivery_no: u64,
    /// 1 for the first try.
    pub attempt: u32,
    /// Who sends it.
    pub provider: Provider,
    /// The remote job that it is about; the nil UUID for JARAI's test event.
    pub job: String,
    /// Where to.
    pub url: String,
    /// Content type and signature.
    pub headers: Vec<(String, String)>,
    /// The raw body that the signature covers.
    pub body: Bytes,
    /// When it was due, Unix milliseconds.
    pub due_ms: i64,
}

/// A webhook that waits for its time; the body is written when it is due.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) provider: Provider,
    pub(crate) job: String,
    pub(crate) event: &'static str,
    /// JARAI's registration that wants it; empty for the configured URL.
    pub(crate) subscription: String,
    /// JARAI's counter per production.
    pub(crate) sequence: u64,
    pub(crate) attempt: u32,
    /// When the event happens, whenever the news of it goes out.
    pub(crate) event_ms: i64,
    /// How the submitter reached us, for links.
    pub(crate) base: String,
}

/// The common part of the sandbox.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) speed: f64,
    pub(crate) refuse_violations: bool,
    pub(crate) poll_tolerance_ms: i64,
    pub(crate) allowed_headers: Vec<String>,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
    queue: BTreeMap<(i64, u64), Pending>,
    queued: u64,
}

impl World {
    pub(crate) fn new(options: &crate::Options) -> Self {
        Self {
            dice: Dice::new(options.seed),
            speed: options.speed.max(0.001),
            refuse_violations: options.refuse_violations,
            poll_tolerance_ms: options.poll_tolerance_ms,
            allowed_headers: options.allowed_headers.clone(),
            ledger: Ledger::default(),
            faults: Faults::new(options.seed, options.faults.clone()),
            queue: BTreeMap::new(),
            queued: 0,
        }
    }

    /// A documented or configured time, divided by the speed; never below a millisecond.
    pub(crate) fn scaled(&self, ms: u64) -> i64 {
        ((ms as f64 / self.speed).round() as i64).max(1)
    }

    pub(crate) fn charge(&mut self, call: &Call, provider: Provider, job: &str, credits: u64) {
        self.ledger.charge(Charge {
            at_ms: call.now_ms,
            provider,
            job: job.to_owned(),
            credits,
            request_no: call.no,
        });
    }

    /// Puts a webhook into the queue, unless the fault plan has other ideas.
    pub(crate) fn schedule(&mut self, pending: Pending) {
        let due_ms = pending.event_ms;
        match self.faults.of_webhook(pending.provider) {
            Some(FaultKind::LostWebhook) => {}
            Some(FaultKind::DuplicateWebhook) => {
                self.enqueue(due_ms, pending.clone());
                self.enqueue(due_ms + self.scaled(1_000), pending);
            }
            Some(FaultKind::LateWebhook(ms)) => self.enqueue(due_ms + self.scaled(ms), pending),
            Some(FaultKind::ReorderedWebhook) => {
                self.enqueue(due_ms + self.scaled(90_000), pending);
            }
            _ => self.enqueue(due_ms, pending),
        }
    }

    pub(crate) fn enqueue(&mut self, due_ms: i64, pending: Pending) {
        self.queued += 1;
        self.queue.insert((due_ms, self.queued), pending);
    }

    /// Drops what was announced for later and will not happen.
    pub(crate) fn unschedule(&mut self, job: &str, after_ms: i64) {
        self.queue
            .retain(|_, pending| pending.job != job || pending.event_ms <= after_ms);
    }

    /// Takes the next webhook that is due by `now_ms`.
    pub(crate) fn next_due(&mut self, now_ms: i64) -> Option<(i64, Pending)> {
        let entry = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= now_ms)?;
        let ((due_ms, _), pending) = entry.remove_entry();
        Some((due_ms, pending))
    }

    pub(crate) fn next_event_ms(&self) -> Option<i64> {
        self.queue.keys().next().map(|key| key.0)
    }

    /// Headers of a paid POST that no document knows; a key of another provider is one of them.
    pub(crate) fn unknown_headers(&self, call: &Call, key_header: &str) -> Vec<Violation> {
        let known = |name: &str| {
            name == key_header
                || COMMON_HEADERS.contains(&name)
                || self
                    .allowed_headers
                    .iter()
                    .any(|it| it.eq_ignore_ascii_case(name))
        };
        let names = call.headers.keys().map(http::HeaderName::as_str);
        names
            .filter(|name| !known(name))
            .map(|it| Violation::UnknownHeader(it.to_owned()))
            .collect()
    }
}

/// What any HTTP client sends by itself.
const COMMON_HEADERS: [&str; 10] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "user-agent",
];

/// `sha256=` and the HMAC in hex.
pub(crate) fn signature(key: &[u8], body: &[u8]) -> String {
    format!("sha256={}", hmac_hex(key, body))
}

/// HMAC-SHA256 in lower-case hex.
pub(crate) fn hmac_hex(key: &[u8], body: &[u8]) -> String {
    // HMAC takes keys of any length, so the error arm is never taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(body);
    let mut hex = String::with_capacity(64);
    for byte in mac.finalize().into_bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Names of an object's fields that are not among the documented ones.
pub(crate) fn unknown_fields(object: &Map<String, Value>, known: &[&str]) -> Vec<Violation> {
    let names = object.keys().filter(|name| !known.contains(&name.as_str()));
    names
        .map(|name| Violation::UnknownField(name.clone()))
        .collect()
}

/// A text field: absent is `None`, an empty one or another type is an error that names it.
pub(crate) fn optional_text<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<Option<&'a str>, String> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text)),
        Some(_) => Err(format!("{name} must be a non-empty string")),
    }
}

/// A text field that must be there.
pub(crate) fn required_text<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> Result<&'a str, String> {
    optional_text(object, name)?.ok_or_else(|| format!("{name} is required"))
}

/// True for the written form of a UUID.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// ISO 8601 in UTC, whole seconds as the samples show them.
pub(crate) fn iso(at_ms: i64) -> String {
    let time = jiff::Timestamp::from_second(at_ms.div_euclid(1000)).unwrap_or_default();
    time.to_string()
}

/// The date of HTTP headers, rounded up to the second.
pub(crate) fn http_date(at_ms: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds(at_ms)).unwrap_or_default();
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer
        .timestamp_to_rfc9110_string(&time)
        .unwrap_or_default()
}

/// Whole seconds, rounded up, as `Retry-After` and its kin tell them.
pub(crate) fn seconds(ms: i64) -> i64 {
    (ms + 999).div_euclid(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_known_one() {
        // Test case 2 of RFC 4231.
        assert_eq!(
            signature(b"Jefe", b"what do ya want for nothing?"),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn uuids_and_times_are_read_and_written() {
        assert!(is_uuid(&Dice::new(1).uuid("x", 1)));
        assert!(!is_uuid("7b1f0c52-0000-4000-8000-00000000000g"));
        assert!(!is_uuid("7b1f0c52"));
        assert_eq!(iso(1_706_000_000_999), "2024-01-23T08:53:20Z");
        assert_eq!(
            http_date(1_706_000_000_001),
            "Tue, 23 Jan 2024 08:53:21 GMT"
        );
    }
}
