//! What all answers have in common: the status, the headers, the body as JSON if it is any, the
//! words of an error in whichever envelope, and what each status means.
//!
//! A body that does not parse never hides the status: gateways answer HTML, and a 413 has no code.

use std::cell::OnceCell;
use std::time::Duration;

use bytes::Bytes;
use domain::{Provider, Timestamp};
use http::HeaderMap;
use http::header::{LOCATION, RETRY_AFTER};
use serde_json::Value;
use url::Url;

use crate::call::{Call, Submit};
use crate::json;
use crate::mask::{capped, masked};
use crate::reply::{ItemOutcome, Outcome, Pause, RateHint, Refusal};

/// How much of a body is kept for people.
const KEPT_BYTES: usize = 64 * 1024;
/// How much of a provider's message goes into a sentence of ours.
const MESSAGE_BYTES: usize = 500;
/// The longest pause that is believed: the documents' longest is a day.
const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);
/// `X-RateLimit-Reset` below this cannot be a Unix time of our days: it counts seconds from now.
const UNIX_SECONDS_FROM: i64 = 1_000_000_000;
/// ProductAI's word for an empty balance, which may come under any HTTP status, also 200.
const OUT_OF_TOKENS: &str = "OUT_OF_TOKENS";

/// A shorter key (of a sandbox) could be a word of the answer, and is left where it stands.
const SHORTEST_KEY: usize = 12;

/// A longer body is an export, and no error that could echo a key.
const LONGEST_ERROR: usize = 4 * 1024 * 1024;

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    /// Read when it is asked for: an export is never held as one tree.
    json: OnceCell<Option<Value>>,
}

/// An error in words: the provider's code or `http_…`, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Answer {
    /// Takes an answer apart. A provider may echo our key in an error: no reader gets to see it.
    pub(crate) fn new(response: http::Response<Bytes>, key: Option<&str>) -> Self {
        let (parts, body) = response.into_parts();
        let body = match key {
            Some(key) if key.len() >= SHORTEST_KEY && body.len() <= LONGEST_ERROR => {
                without_key(body, key)
            }
            _ => body,
        };
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            json: OnceCell::new(),
            body,
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.get_or_init(|| json::parse(&self.body)).as_ref()
    }

    pub(crate) fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let value = self.headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty()).then_some(value)
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.header(LOCATION)
    }

    pub(crate) fn correlation_id(&self) -> Option<String> {
        self.header("x-correlation-id").map(sentence)
    }

    /// What the rate headers say; `at` is when the answer came.
    pub(crate) fn hint(&self, at: Timestamp) -> RateHint {
        let count = |name: &str| self.header(name)?.parse().ok();
        RateHint {
            limit: count("x-ratelimit-limit"),
            remaining: count("x-ratelimit-remaining"),
            reset_at: self.reset_at(at),
        }
    }

    fn reset_at(&self, at: Timestamp) -> Option<Timestamp> {
        let seconds: i64 = self.header("x-ratelimit-reset")?.parse().ok()?;
        match u64::try_from(seconds).ok()? {
            _ if seconds >= UNIX_SECONDS_FROM => {
                Some(Timestamp::from_millis(seconds.saturating_mul(1000)))
            }
            from_now => Some(at + Duration::from_secs(from_now)),
        }
    }

    /// The body for people, secrets masked, at most 64 KiB.
    pub(crate) fn kept(&self) -> String {
        let text = String::from_utf8_lossy(self.body.get(..KEPT_BYTES).unwrap_or(&self.body));
        capped(&masked(&text), KEPT_BYTES)
    }

    /// How long the provider asks us to stay away: the body's field, then `Retry-After`, then the
    /// end of the window. A time that is already past says nothing.
    pub(crate) fn pause(&self, at: Timestamp) -> Option<Pause> {
        self.pause_of_body()
            .or_else(|| {
                self.header(RETRY_AFTER)
                    .and_then(|text| retry_after(text, at))
            })
            .or_else(|| {
                let reset = self.reset_at(at).filter(|reset| *reset > at)?;
                Some(Pause::Until(reset.min(at + LONGEST_PAUSE)))
            })
    }

    fn pause_of_body(&self) -> Option<Pause> {
        let body = self.json()?;
        let names = ["retryAfterSeconds", "retryAfter"];
        let found = json::field(body, &names)
            .or_else(|| json::field(json::field(body, &["error"])?, &names))
            .and_then(json::number)?;
        let seconds = Duration::try_from_secs_f64(found).ok()?;
        (!seconds.is_zero()).then(|| Pause::For(seconds.min(LONGEST_PAUSE)))
    }

    /// The error's words, from whichever envelope: JARAI's `{error,message}`, ProductAI's
    /// `{name,message,details}` or `{status,message,code}`, a gateway's, or none at all.
    pub(crate) fn words(&self) -> Words {
        let found = self.json().map(envelope).unwrap_or_default();
        let code = found.0.unwrap_or_else(|| format!("http_{}", self.status));
        let message = found
            .1
            .unwrap_or_else(|| format!("the provider answered HTTP {}", self.status));
        Words {
            code: sentence(&code),
            message: sentence(&message),
        }
    }

    /// Whether the body says that nothing is left to spend, in a field for codes or messages.
    pub(crate) fn says_out_of_tokens(&self) -> bool {
        match self.json() {
            Some(body) => mentions_out_of_tokens(body, 6),
            None => String::from_utf8_lossy(&self.body).contains(OUT_OF_TOKENS),
        }
    }

    /// That nothing is left to spend, if the body says so.
    pub(crate) fn out_of_credits(&self) -> Option<Outcome> {
        let code = OUT_OF_TOKENS.to_owned();
        let message = self.words().message;
        let refusal = Refusal::OutOfCredits { code, message };
        self.says_out_of_tokens()
            .then_some(Outcome::Refused(refusal))
    }

    /// What a status that is not a 2xx means for `call`.
    pub(crate) fn refusal(&self, call: &Call, at: Timestamp) -> Outcome {
        if let Some(refused) = self.out_of_credits() {
            return refused;
        }
        let Words { code, message } = self.words();
        let submit = matches!(call, Call::Submit(_));
        let refusal = match self.status {
            300..400 => self.redirect(),
            401 => Refusal::Unauthorized { code, message },
            402 => Refusal::OutOfCredits { code, message },
            400..500 if code.starts_with("BUDGET_") => Refusal::OutOfCredits { code, message },
            403 => Refusal::Forbidden { code, message },
            404 if !call.acts_once() => return Outcome::Missing,
            400 | 404 | 405 | 413 | 414 | 415 | 422 | 431 => Refusal::Invalid { code, message },
            429 => Refusal::RateLimited {
                pause: self.pause(at),
                production_quota: self.names_production_quota(call, &code, &message),
            },
            // nginx's word for "the client left": what became of the request is open.
            499 if submit => {
                return Outcome::Unknown {
                    reason: format!("HTTP {}: {message}", self.status),
                };
            }
            400..500 => Refusal::Rejected { code, message },
            503 if self.is_own_unavailable(call) => Refusal::Unavailable {
                pause: self.pause(at),
                message,
            },
            _ => return self.unclear(call, at, &message),
        };
        Outcome::Refused(refusal)
    }

    /// An answer that tells nothing: unknown where a repeat could cost, else a reason to try again.
    pub(crate) fn unclear(&self, call: &Call, at: Timestamp, why: &str) -> Outcome {
        let message = format!("HTTP {}: {why}", self.status);
        if call.acts_once() {
            Outcome::Unknown { reason: message }
        } else {
            Outcome::Refused(Refusal::Unavailable {
                pause: self.pause(at),
                message,
            })
        }
    }

    /// A redirect proves that nothing was done here. Its target is named by host alone.
    fn redirect(&self) -> Refusal {
        let host = self
            .location()
            .and_then(|location| Url::parse(location).ok())
            .and_then(|url| url.host_str().map(str::to_owned));
        let message = match host {
            Some(host) => format!("the provider redirects to {host}: check base_url"),
            None => "the provider redirects elsewhere: check base_url".to_owned(),
        };
        Refusal::Invalid {
            code: "redirect".to_owned(),
            message,
        }
    }

    /// JARAI's maintenance answer, in its own envelope: its own application refused. A bare 503 is
    /// a gateway's, and a gateway does not know what happened behind it.
    fn is_own_unavailable(&self, call: &Call) -> bool {
        let code = self
            .json()
            .and_then(|body| json::text_field(body, &["error"]));
        call.acts_once()
            && call.is_for(Provider::Jarai)
            && code.as_deref() == Some("SERVICE_UNAVAILABLE")
    }

    /// JARAI has one code for the window, the day and the quota of productions; only the words can
    /// tell them apart.
    fn names_production_quota(&self, call: &Call, code: &str, message: &str) -> bool {
        let words = format!("{code} {message}").to_ascii_lowercase();
        let quota = ["quota", "limit", "day", "daily"];
        matches!(call, Call::Submit(Submit::Production { .. }))
            && words.contains("production")
            && quota.iter().any(|word| words.contains(word))
    }
}

impl Outcome {
    /// Whether people will want to see the answer itself.
    pub(crate) fn wants_its_answer_kept(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unknown { .. } => true,
            Self::Submitted(items) => !items
                .iter()
                .all(|item| matches!(item, ItemOutcome::Accepted { .. })),
            Self::Status(_)
            | Self::Deliverables(_)
            | Self::DeliverablesNotYet
            | Self::CancelAsked
            | Self::Credits { .. }
            | Self::Export(_)
            | Self::Accounts(_)
            | Self::KeyIssued { .. }
            | Self::WebhookCreated { .. }
            | Self::Raw(_)
            | Self::Missing => false,
        }
    }

    /// Whether at least one item of a submit was accepted.
    pub(crate) fn has_accepted(&self) -> bool {
        matches!(self, Self::Submitted(items)
            if items.iter().any(|item| matches!(item, ItemOutcome::Accepted { .. })))
    }
}

fn without_key(body: Bytes, key: &str) -> Bytes {
    let key_bytes = key.as_bytes();
    let has_key = body
        .windows(key_bytes.len())
        .any(|window| window == key_bytes);
    if !has_key {
        return body;
    }
    String::from_utf8_lossy(&body).replace(key, "…").into()
}

/// A provider's words as they may be stored and shown: secrets masked, at most 500 bytes.
pub(crate) fn sentence(words: &str) -> String {
    capped(&masked(words), MESSAGE_BYTES)
}

/// Code and message of an error body.
pub(crate) fn envelope(body: &Value) -> (Option<String>, Option<String>) {
    if let Some(text) = body.as_str() {
        return (None, Some(text.to_owned()));
    }
    let inner = json::field(body, &["error"])
        .filter(|error| error.is_object())
        .or_else(|| json::field(body, &["errors"])?.as_array()?.first())
        .filter(|error| error.is_object())
        .unwrap_or(body);
    let word = |name: &str| json::text_field(inner, &[name]);
    let message = word("message").or_else(|| word("title"));
    let details = word("details").or_else(|| word("detail"));
    let code = ["code", "errorCode", "error"]
        .into_iter()
        .find_map(|name| word(name).filter(|word| is_code(word)));
    let code_in_message = message.clone().filter(|message| is_shouted(message));
    // The bare HTTP status of a gateway's envelope is no code of the provider's.
    match (code, code_in_message) {
        (None, Some(code)) => (Some(code), details.or(message)),
        (code, _) => (
            code.or_else(|| word("name").filter(|name| is_code(name))),
            message
                .or(details)
                .or_else(|| word("error"))
                .or_else(|| word("errorMessage")),
        ),
    }
}

fn is_code(word: &str) -> bool {
    word.len() <= 100
        && word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.'))
}

fn is_shouted(word: &str) -> bool {
    is_code(word) && word.contains('_') && !word.contains(|letter: char| letter.is_lowercase())
}

fn mentions_out_of_tokens(value: &Value, depth: usize) -> bool {
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match value {
        Value::Object(object) => object.iter().any(|(name, inner)| match inner {
            Value::String(text) => {
                ERROR_FIELDS.contains(&json::plain_name(name).as_str())
                    && text.contains(OUT_OF_TOKENS)
            }
            _ => mentions_out_of_tokens(inner, depth),
        }),
        Value::Array(list) => list
            .iter()
            .take(1000)
            .any(|inner| mentions_out_of_tokens(inner, depth)),
        _ => false,
    }
}

/// Where an error's words stand. A prompt that says `OUT_OF_TOKENS` means nothing.
const ERROR_FIELDS: [&str; 9] = [
    "message",
    "code",
    "error",
    "errorcode",
    "errormessage",
    "name",
    "details",
    "reason",
    "type",
];

/// `Retry-After`: whole seconds or an HTTP date.
fn retry_after(text: &str, at: Timestamp) -> Option<Pause> {
    if let Ok(seconds) = text.parse::<u64>() {
        let pause = Duration::from_secs(seconds).min(LONGEST_PAUSE);
        return (!pause.is_zero()).then_some(Pause::For(pause));
    }
    let moment = http_date(text)?;
    (moment > at).then(|| Pause::Until(moment.min(at + LONGEST_PAUSE)))
}

/// The three spellings of a date that HTTP knows; the last two are obsolete and still sent.
fn http_date(text: &str) -> Option<Timestamp> {
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(Timestamp::from_millis(date.timestamp().as_millisecond()));
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|format| jiff::civil::DateTime::strptime(format, text).ok())
        .and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok())
        .map(|date| Timestamp::from_millis(date.timestamp().as_millisecond()))
}
