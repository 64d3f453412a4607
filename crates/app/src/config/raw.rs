//! The file as it is written: every key optional, unknown keys refused with their name.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Raw {
    pub(crate) database: Database,
    pub(crate) storage: Storage,
    pub(crate) server: Option<toml::Table>,
    pub(crate) webhooks: Option<toml::Table>,
    pub(crate) in_doubt_wait: Option<Span>,
    pub(crate) drain_limit: Option<Span>,
    pub(crate) accounts: BTreeMap<String, RawAccount>,
}

/// `[database]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Database {
    pub(crate) url: Option<String>,
    pub(crate) lease: Option<Span>,
}

/// `[storage]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storage {
    pub(crate) url: Option<String>,
    pub(crate) reserve: Option<Size>,
}

/// `[accounts.NAME]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawAccount {
    pub(crate) provider: Option<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key_env: Option<String>,
    pub(crate) api_key_file: Option<PathBuf>,
    pub(crate) webhook_secret_env: Option<String>,
    pub(crate) webhook_secret_file: Option<PathBuf>,
    pub(crate) webhook_trust: Option<String>,
    pub(crate) default: bool,
    pub(crate) budget: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) jarai_account_id: Option<String>,
    pub(crate) language_id: Option<String>,
    pub(crate) country_id: Option<String>,
    pub(crate) avatar_id: Option<String>,
    pub(crate) project_type_slug: Option<String>,
    pub(crate) model: Option<String>,
    pub(crate) models: BTreeMap<String, RawModel>,
    pub(crate) credits_per_description: Option<i64>,
    pub(crate) credits_per_production: Option<i64>,
    pub(crate) limits: RawLimits,
    pub(crate) polling: RawPolling,
    pub(crate) timing: RawTiming,
    pub(crate) spend: RawSpend,
    pub(crate) complete_at: Option<String>,
    pub(crate) in_doubt: Option<String>,
    pub(crate) in_doubt_wait: Option<Span>,
    pub(crate) retry_failed: Option<u32>,
    pub(crate) batch_size: Option<u32>,
    pub(crate) max_running: Option<u32>,
    pub(crate) deadline: Option<Span>,
    pub(crate) capture_deadline: Option<Span>,
    pub(crate) trusted_hosts: Vec<String>,
    pub(crate) check_sources: Option<bool>,
    pub(crate) speed: Option<f64>,
}

/// A model added to the documented ones.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawModel {
    pub(crate) credits: Option<i64>,
    pub(crate) max_images: Option<u32>,
}

/// `spend`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSpend {
    pub(crate) per_day: Option<i64>,
    pub(crate) per_month: Option<i64>,
    pub(crate) per_batch: Option<i64>,
}

/// `limits`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawLimits {
    pub(crate) submit_per_minute: Option<u32>,
    pub(crate) read_per_minute: Option<u32>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) requests_per_day: Option<u32>,
    pub(crate) productions_per_day: Option<u32>,
}

/// `polling`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawPolling {
    pub(crate) min_interval: Option<Span>,
    pub(crate) queued: Option<Span>,
    pub(crate) producing: Option<Span>,
    pub(crate) awaiting_approval: Option<Span>,
    pub(crate) distributing: Option<Span>,
    pub(crate) delay_per_poll: Option<Span>,
}

/// `timing`: spans that no provider documents.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawTiming {
    pub(crate) connect_timeout: Option<Span>,
    pub(crate) submit_timeout: Option<Span>,
    pub(crate) read_timeout: Option<Span>,
    pub(crate) fetch_idle_timeout: Option<Span>,
    pub(crate) fetch_timeout: Option<Span>,
    pub(crate) missing_grace: Option<Span>,
    pub(crate) pause_first: Option<Span>,
    pub(crate) pause_longest: Option<Span>,
    pub(crate) breaker_first: Option<Span>,
    pub(crate) breaker_longest: Option<Span>,
    pub(crate) credits_probe: Option<Span>,
    pub(crate) evidence_first: Option<Span>,
    pub(crate) longest_accept: Option<Span>,
    pub(crate) evidence_window: Option<Span>,
    pub(crate) retry_first: Option<Span>,
    pub(crate) look_again: Option<Span>,
}

/// A span of time as people write it: `5s`, `500ms`, `10m`, `1h`, `2d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let known = value.as_str().and_then(span);
        known.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{} is no span of time: write \"500ms\", \"5s\", \"10m\", \"1h\" or \"2d\"",
                as_written(&value)
            ))
        })
    }
}

/// A number or a text as the file has it; of anything larger no more than that it is there.
fn as_written(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        other => format!("this {}", other.type_str()),
    }
}

fn span(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok()?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// A number of bytes, written as `200MB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let known = value.as_str().and_then(size);
        known.map(Self).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "{} is no size: write \"200MB\", \"1.5GB\" or \"500MiB\", or \"0B\" to switch it off",
                as_written(&value)
            ))
        })
    }
}

fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let number: f64 = number.trim().parse().ok()?;
    let bytes = match unit {
        "B" => 1.0,
        "kB" | "KB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1_024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    let bytes = number * bytes;
    // As far as a float counts bytes one by one.
    (0.0..9e15).contains(&bytes).then_some(bytes as u64)
}

/// Reads the text of a config.
///
/// # Errors
/// Where and what does not read, as one sentence. The line itself is not quoted: it may hold a key or a
/// password that somebody wrote where none belongs.
pub(crate) fn parse(text: &str) -> Result<Raw, String> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let place = before.map_or_else(String::new, |before| {
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
            let setting =
                setting_before(before).map_or_else(String::new, |name| format!(", {name}"));
            format!("line {line}, column {column}{setting}: ")
        });
        let why = error.message().trim_end();
        let is_key = ["api_key", "webhook_secret"]
            .iter()
            .any(|field| why.starts_with(&format!("unknown field `{field}`")));
        if is_key {
            let advice = "keys are never in this file: name a variable (api_key_env, \
                webhook_secret_env) or a file (api_key_file, webhook_secret_file)";
            return format!("{place}{advice}");
        }
        format!("{place}{}", in_plain_words(why))
    })
}

/// The name of the setting whose value begins here.
fn setting_before(value: &str) -> Option<&str> {
    let left = value.trim_end().strip_suffix('=')?.trim_end();
    let is_of_a_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = left.rsplit(|c| !is_of_a_name(c)).next()?;
    (!name.is_empty()).then_some(name)
}

/// The library's words for numbers are Rust's.
fn in_plain_words(why: &str) -> String {
    why.replace("expected u32", "expected a whole number from 0")
        .replace("expected i64", "expected a whole number")
        .replace("expected f64", "expected a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_people_write_them() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("1.5 s", 1_500),
            ("10m", 600_000),
            ("1h", 3_600_000),
            ("2d", 172_800_000),
        ] {
            assert_eq!(span(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 weeks", "1e400s"] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("200MB", 200_000_000),
            ("1.5 GB", 1_500_000_000),
            ("1GiB", 1_073_741_824),
            ("64kB", 64_000),
            ("0B", 0),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "5", "MB", "-5MB", "5 sacks", "1e300GB", "nanMB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_that_does_not_exist_is_named() {
        let error = parse("[accounts.a]\nprovidr = \"jakov\"\n").unwrap_err();
        assert!(error.starts_with("line 2, column 1: "), "{error}");
        assert!(error.contains("providr"), "{error}");
    }

    #[test]
    fn a_key_in_the_file_is_not_repeated() {
        for line in [
            "api_key = \"ejaj_live_secret\"",
            "webhook_secret = \"whsec_secret\"",
            "apikey = \"ejaj_live_secret\"",
            "base_url = \"https://me:secret@host\" \"",
        ] {
            let error = parse(&format!("[accounts.a]\n{line}\n")).unwrap_err();
            assert!(!error.contains("secret\""), "{error}");
            assert!(error.starts_with("line 2, "), "{error}");
        }
        let error = parse("[accounts.a]\napi_key = \"ejaj_live_secret\"\n").unwrap_err();
        assert!(error.contains("api_key_env"), "{error}");
    }

    #[test]
    fn numbers_are_asked_for_in_plain_words() {
        let error = parse("[accounts.a]\nretry_failed = -3\n").unwrap_err();
        assert!(error.ends_with("expected a whole number from 0"), "{error}");
        let error = parse("[accounts.a]\ndeadline = 5\n").unwrap_err();
        assert!(error.contains("5 is no span of time"), "{error}");
        let error = parse("[accounts.a]\npolling = { min_interval = \"5 weeks\" }\n").unwrap_err();
        assert!(
            error.starts_with("line 2, column 28, min_interval: \"5 weeks\""),
            "{error}"
        );
    }
}
