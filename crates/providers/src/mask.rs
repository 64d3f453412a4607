//! Keeping secrets out of what people read: signed links that do not print their query, and the
//! masking of texts in which keys and such links may stand.
//!
//! The first line of defence is types ([`SignedUrl`], `SecretString`); [`masked`] is the second,
//! for texts that came from outside. It errs on the side of masking too much.

use std::fmt;
use std::ops::Range;

use serde_json::Value;

use crate::json::plain_name;

/// A link that works without a key for as long as it lives, so its query is a secret. `Debug` and
/// `Display` leave the query out; [`SignedUrl::expose`] gives all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// This link.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole link, for the fetch and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it has a part that must not be stored: a query, a fragment or a user.
    #[must_use]
    pub fn carries_signature(&self) -> bool {
        let authority = self.0.split("://").nth(1).unwrap_or(&self.0);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        self.0.contains(['?', '#']) || authority.contains('@')
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({self})")
    }
}

impl fmt::Display for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        let (shown, rest) = self.0.split_at(end);
        f.write_str(&masked(shown))?;
        if rest.is_empty() {
            Ok(())
        } else {
            f.write_str("?…")
        }
    }
}

/// `text` without URL queries, URL users, keys with a known prefix, signatures, and the values of
/// JSON fields that are named like secrets.
#[must_use]
pub fn masked(text: &str) -> String {
    let passes: [Finder; 5] = [json_secret, url_query, url_user, prefixed_key, signature];
    let mut text = text.to_owned();
    for next in passes {
        text = without(&text, next);
    }
    text
}

/// At most `bytes` of `text`, cut between characters.
pub(crate) fn capped(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end));
    let kept = text.get(..end.unwrap_or(0)).unwrap_or_default();
    format!("{kept}…")
}

/// `value` with its secrets masked: texts by their content, fields by their name.
pub(crate) fn masked_value(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(text)),
        Value::Array(list) => list.iter().map(masked_value).collect(),
        Value::Object(object) => object
            .iter()
            .map(|(name, inner)| {
                let secret = SECRET_FIELDS.contains(&plain_name(name).as_str());
                let inner = match inner {
                    Value::String(_) if secret => Value::String("…".to_owned()),
                    _ => masked_value(inner),
                };
                (name.clone(), inner)
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Fields whose value is a secret, by their plain names.
pub(crate) const SECRET_FIELDS: [&str; 13] = [
    "apikey",
    "newapikey",
    "partnerapikey",
    "key",
    "newkey",
    "secret",
    "signingsecret",
    "webhooksecret",
    "token",
    "accesstoken",
    "sastoken",
    "password",
    "authorization",
];
/// The prefixes by which JARAI's and JAKOV's keys can be told from other words.
const KEY_PREFIXES: [&str; 2] = ["jarai_", "ejaj_"];
/// A prefix with fewer characters behind it is a word (`jarai_account_id`), no key.
const SHORTEST_KEY: usize = 12;

/// Finds the next secret: in the text, in the same text in lower case (same byte positions), from a
/// position on.
type Finder = fn(&str, &str, usize) -> Option<Range<usize>>;

/// `text` with what `next` finds, from left to right, replaced by `…`.
fn without(text: &str, next: Finder) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(secret) = next(text, &lower, from) {
        shown.push_str(text.get(from..secret.start).unwrap_or_default());
        shown.push('…');
        from = secret.end;
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}

/// How many bytes of `text` from `from` on belong to a URL.
fn url_run(text: &str, from: usize) -> &str {
    let rest = text.get(from..).unwrap_or_default();
    let ends =
        |letter: char| letter.is_whitespace() || matches!(letter, '"' | '\'' | '<' | '>' | '`');
    rest.split(ends).next().unwrap_or_default()
}

/// Every `needle` in `text` from `from` on: the position behind it.
fn behind<'a>(text: &'a str, needle: &'a str, from: usize) -> impl Iterator<Item = usize> + 'a {
    text.get(from..)
        .unwrap_or_default()
        .match_indices(needle)
        .map(move |(at, found)| from + at + found.len())
}

fn url_query(_: &str, lower: &str, from: usize) -> Option<Range<usize>> {
    behind(lower, "?", from).find_map(|start| {
        let run = url_run(lower, start);
        (run.contains('=') || run.contains("%3d")).then(|| start..start + run.len())
    })
}

fn url_user(_: &str, lower: &str, from: usize) -> Option<Range<usize>> {
    behind(lower, "://", from).find_map(|start| {
        let run = url_run(lower, start);
        let authority = run.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rfind('@')?;
        // What is already masked stays.
        (authority.get(..user) != Some("…")).then(|| start..start + user)
    })
}

fn prefixed_key(_: &str, lower: &str, from: usize) -> Option<Range<usize>> {
    KEY_PREFIXES
        .iter()
        .flat_map(|prefix| behind(lower, prefix, from))
        .filter_map(|start| {
            let rest = lower.get(start..).unwrap_or_default();
            let key = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
            let length = rest.find(|letter| !key(letter)).unwrap_or(rest.len());
            (length >= SHORTEST_KEY).then(|| start..start + length)
        })
        .min_by_key(|secret| secret.start)
}

fn signature(_: &str, lower: &str, from: usize) -> Option<Range<usize>> {
    ["sig=", "signature="]
        .iter()
        .flat_map(|name| behind(lower, name, from))
        .filter_map(|start| {
            let run = url_run(lower, start);
            let value = run.split('&').next().unwrap_or_default();
            (!value.is_empty()).then(|| start..start + value.len())
        })
        .min_by_key(|secret| secret.start)
}

/// The value of the next JSON field that is named like a secret.
fn json_secret(text: &str, _: &str, from: usize) -> Option<Range<usize>> {
    let mut quotes = behind(text, "\"", from);
    let mut start = quotes.next()?;
    for end in quotes {
        let name = text.get(start..end - 1).unwrap_or_default();
        if name.len() <= 40 && SECRET_FIELDS.contains(&plain_name(name).as_str()) {
            let rest = text.get(end..).unwrap_or_default();
            let value = rest
                .trim_start()
                .strip_prefix(':')
                .and_then(|value| value.trim_start().strip_prefix('"'));
            if let Some(value) = value.filter(|value| !value.starts_with(['"', '…'])) {
                let start = text.len() - value.len();
                return Some(start..start + string_length(value));
            }
        }
        start = end;
    }
    None
}

/// How long a JSON string is up to its closing quote.
fn string_length(value: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in value.char_indices() {
        match letter {
            '"' if !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    value.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_is_left_in_a_masked_text() {
        for (text, expect) in [
            ("plain words, 5 > 3?", "plain words, 5 > 3?"),
            (
                "see https://h/a?sig=CANARY&x=1 now",
                "see https://h/a?… now",
            ),
            (
                r#"{"u":"https:\/\/h\/a?sv=1\u0026sig=CANARY"}"#,
                r#"{"u":"https:\/\/h\/a?…"}"#,
            ),
            ("https://user:CANARY@host/x", "https://…@host/x"),
            ("key jarai_live_CANARYCANARY.", "key jarai_…."),
            ("ejaj_live_CANARY_CANARY", "ejaj_…"),
            ("jarai_account_id is missing", "jarai_account_id is missing"),
            (
                r#"{"signingSecret" : "CAN\"ARY", "id": 1}"#,
                r#"{"signingSecret" : "…", "id": 1}"#,
            ),
            (
                r#"{"a":"b","apiKey":"CANARY"}"#,
                r#"{"a":"b","apiKey":"…"}"#,
            ),
            ("sv=2024&sig=CANARY&se=3", "sv=2024&sig=…&se=3"),
        ] {
            assert_eq!(masked(text), expect);
            assert_eq!(masked(expect), expect, "masking twice changes nothing");
        }
    }

    #[test]
    fn a_signed_url_prints_without_its_query() {
        let url = SignedUrl::new("https://blob.example/c/v.mp4?sv=1&sig=CANARY");
        assert_eq!(url.to_string(), "https://blob.example/c/v.mp4?…");
        assert!(!format!("{url:?}").contains("CANARY"));
        assert!(url.expose().ends_with("CANARY"));
        assert!(url.carries_signature());
        assert!(SignedUrl::new("https://u:CANARY@h/x").carries_signature());
        assert!(!SignedUrl::new("https://h/x@2.jpg").carries_signature());
    }

    #[test]
    fn a_cut_falls_between_characters() {
        assert_eq!(capped("grün", 3), "gr…");
        assert_eq!(capped("grün", 5), "grün");
    }
}
