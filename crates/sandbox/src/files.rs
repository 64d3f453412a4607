//! The host of deliverables: signed links that expire, HEAD, ranges and entity tags. It wants no
//! key; a caller who sends one gives a secret away, and the ledger says so.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

use crate::ledger::Violation;
use crate::media::Media;
use crate::wire::{Call, Reply};
use crate::world::hmac_hex;

/// Signs and checks links.
#[derive(Debug, Clone)]
pub(crate) struct Links {
    key: [u8; 32],
}

impl Links {
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// A link to `path` (without a leading slash) that dies at `expires_ms`.
    pub(crate) fn signed(&self, base: &str, path: &str, expires_ms: i64) -> String {
        format!(
            "{base}/files/{path}?se={expires_ms}&sig={}",
            self.sign(path, expires_ms)
        )
    }

    /// Why this link opens nothing, if so.
    pub(crate) fn refusal(&self, call: &Call) -> Option<&'static str> {
        let (Some(expires), Some(signature)) = (call.query.get("se"), call.query.get("sig")) else {
            return Some("the link is not signed");
        };
        let Ok(expires_ms) = expires.parse::<i64>() else {
            return Some("the link is damaged");
        };
        if *signature != self.sign(&call.path.join("/"), expires_ms) {
            return Some("the signature does not match");
        }
        (call.now_ms >= expires_ms).then_some("the link has expired")
    }

    fn sign(&self, path: &str, expires_ms: i64) -> String {
        let mut hex = hmac_hex(&self.key, format!("{path}\n{expires_ms}").as_bytes());
        hex.truncate(40);
        hex
    }
}

/// Keys that do not belong here.
pub(crate) fn keys_sent(call: &Call) -> Vec<Violation> {
    let sent = ["authorization", "x-api-key"]
        .iter()
        .any(|name| call.headers.contains_key(*name));
    if sent {
        vec![Violation::KeySentToFileHost]
    } else {
        Vec::new()
    }
}

/// Refuses a link as storage services do: XML.
pub(crate) fn refuse(status: u16, code: &str, reason: &str) -> Reply {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
         <Message>{reason}</Message></Error>"
    );
    Reply::new(status, "application/xml", text.into()).because(reason)
}

/// Serves a file, or the range of it that was asked for.
pub(crate) fn serve(call: &Call, media: Media) -> Reply {
    let total = media.bytes.len();
    let etag = etag(&media.bytes);
    let whole = call.header("if-range").is_some_and(|tag| tag != etag);
    let range = call
        .header("range")
        .filter(|_| !whole)
        .and_then(|text| read_range(text, total));
    let mut reply = match range {
        None => Reply::new(200, media.content_type, media.bytes.into()),
        Some(None) => {
            return refuse(416, "InvalidRange", "the range lies outside the file")
                .with_header("content-range", format!("bytes */{total}"));
        }
        Some(Some((first, last))) => {
            let part = media.bytes.get(first..=last).unwrap_or_default().to_vec();
            Reply::new(206, media.content_type, part.into())
                .with_header("content-range", format!("bytes {first}-{last}/{total}"))
        }
    };
    reply = reply
        .with_header("etag", etag)
        .with_header("accept-ranges", "bytes");
    if call.method == http::Method::HEAD {
        let length = reply.body.len();
        reply = reply.with_header("content-length", length.to_string());
        reply.body.clear();
    }
    reply
}

/// `None`: not a range we know, so the whole file. `Some(None)`: outside the file.
fn read_range(text: &str, total: usize) -> Option<Option<(usize, usize)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let end = total.checked_sub(1)?;
    if first.is_empty() {
        let length: usize = last.parse().ok()?;
        return Some((length > 0).then(|| (total.saturating_sub(length), end)));
    }
    let first: usize = first.parse().ok()?;
    let last = if last.is_empty() {
        end
    } else {
        last.parse::<usize>().ok()?.min(end)
    };
    Some((first <= last && first < total).then_some((first, last)))
}

fn etag(bytes: &[u8]) -> String {
    let mut tag = "\"".to_owned();
    for byte in Sha256::digest(bytes).iter().take(8) {
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_defines_them() {
        let check = |text, expected| assert_eq!(read_range(text, 10), expected, "{text}");
        check("bytes=0-3", Some(Some((0, 3))));
        check("bytes=4-", Some(Some((4, 9))));
        check("bytes=-3", Some(Some((7, 9))));
        check("bytes=-30", Some(Some((0, 9))));
        check("bytes=8-99", Some(Some((8, 9))));
        check("bytes=10-", Some(None));
        check("bytes=-0", Some(None));
        check("lines=1-2", None);
        check("bytes=a-b", None);
    }
}
