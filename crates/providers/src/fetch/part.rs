//! The part of a file that is here: its bytes on the disk, their hash so far, and what is needed to go on
//! where it broke off.
//!
//! A body is gone on with only behind the same strong entity tag (RFC 9110 section 13.1.5): bytes of two
//! versions of a file never meet in one. Hashing and writing happen off the event loop, a megabyte at a time.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::error::{FetchError, local, not_now};

/// How many first bytes are kept for [`sniff`](super::sniff).
const HEAD: usize = 512;
/// Bytes that are hashed and written at once.
const AT_ONCE: usize = 1024 * 1024;

/// A file that came home whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
    /// What the host said it is; [`sniff`](super::sniff) knows better.
    pub content_type: Option<String>,
    /// The first 512 bytes, or all.
    pub head: Vec<u8>,
}

impl Fetched {
    /// The hash in lower-case hex.
    #[must_use]
    pub fn sha256_hex(&self) -> String {
        self.sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// What is here of a file, to be gone on with by the same link or another one to the same file.
#[derive(Debug)]
pub struct Part {
    /// Lost only when a write failed.
    ink: Option<Ink>,
    bytes: u64,
    head: Vec<u8>,
    content_type: Option<String>,
    /// The strong entity tag of the version that the bytes are of.
    tag: Option<HeaderValue>,
    /// How long the whole file is, where the host said it.
    total: Option<u64>,
    /// The SHA-256 that the host announced.
    digest: Option<[u8; 32]>,
}

#[derive(Debug)]
struct Ink {
    file: File,
    hash: Sha256,
    /// Not yet hashed and written.
    wet: Vec<u8>,
}

impl Ink {
    fn dry(mut self) -> std::io::Result<Self> {
        self.hash.update(&self.wet);
        self.file.write_all(&self.wet)?;
        self.wet.clear();
        Ok(self)
    }

    fn blank(mut self) -> std::io::Result<Self> {
        self.hash = Sha256::new();
        self.wet.clear();
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(self)
    }
}

impl Part {
    /// Nothing yet; the bytes go into this empty file.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            ink: Some(Ink {
                file,
                hash: Sha256::new(),
                wet: Vec::new(),
            }),
            bytes: 0,
            head: Vec::new(),
            content_type: None,
            tag: None,
            total: None,
            digest: None,
        }
    }

    /// Whether the rest can be asked for, instead of the whole again.
    #[must_use]
    pub fn can_go_on(&self) -> bool {
        self.bytes > 0 && self.tag.is_some() && self.ink.is_some()
    }

    /// How many bytes are here.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file, for whoever syncs and names it; none after a failed write.
    #[must_use]
    pub fn into_file(self) -> Option<File> {
        self.ink.map(|ink| ink.file)
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// From which byte on to ask for the rest, and of which version; none for the whole.
    pub(super) fn rest(&self) -> Option<(u64, HeaderValue)> {
        let tag = self.tag.clone().filter(|_| self.can_go_on())?;
        Some((self.bytes, tag))
    }

    /// Makes ready for the body of this answer. What is here stays only if the answer goes on with it.
    pub(super) async fn begin(&mut self, response: &Response) -> Result<(), FetchError> {
        let headers = response.headers();
        if response.status().as_u16() == 206 {
            if self.is_gone_on_with(headers) {
                return Ok(());
            }
            self.start_over().await?;
            return Err(not_now("the host sent another part than it was asked for"));
        }
        if self.bytes > 0 {
            self.start_over().await?;
        }
        self.content_type = text(headers, &CONTENT_TYPE).map(str::to_owned);
        self.total = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        // A weak tag (`W/"…"`) says that two versions mean the same, not that their bytes are the same.
        let tag = headers.get(ETAG);
        self.tag = tag.filter(|tag| tag.as_bytes().starts_with(b"\"")).cloned();
        self.digest = announced_digest(headers);
        Ok(())
    }

    fn is_gone_on_with(&self, headers: &HeaderMap) -> bool {
        let Some((from, total)) = text(headers, &CONTENT_RANGE).and_then(range) else {
            return false;
        };
        let same_version = match headers.get(ETAG) {
            Some(tag) => self.tag.as_ref() == Some(tag),
            None => true,
        };
        let same_length = match (total, self.total) {
            (Some(total), Some(known)) => total == known,
            (_, None) | (None, Some(_)) => true,
        };
        from == self.bytes && same_version && same_length
    }

    /// Forgets what is here.
    pub(super) async fn start_over(&mut self) -> Result<(), FetchError> {
        self.bytes = 0;
        self.head.clear();
        (self.tag, self.total, self.digest) = (None, None, None);
        self.off_the_loop(Ink::blank).await
    }

    pub(super) async fn add(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        self.bytes += chunk.len() as u64;
        let missing = HEAD.saturating_sub(self.head.len());
        self.head.extend(chunk.iter().take(missing));
        let Some(ink) = &mut self.ink else {
            return Err(lost());
        };
        ink.wet.extend_from_slice(chunk);
        if ink.wet.len() < AT_ONCE {
            return Ok(());
        }
        self.off_the_loop(Ink::dry).await
    }

    /// All bytes are here: they are written and hashed, and the host's digest is held against them.
    pub(super) async fn finish(&mut self) -> Result<Fetched, FetchError> {
        self.off_the_loop(Ink::dry).await?;
        let ink = self.ink.as_ref().ok_or_else(lost)?;
        let sha256: [u8; 32] = ink.hash.clone().finalize().into();
        if self.digest.is_some_and(|digest| digest != sha256) {
            self.start_over().await?;
            return Err(FetchError::Altered);
        }
        Ok(Fetched {
            bytes: self.bytes,
            sha256,
            content_type: self.content_type.clone(),
            head: self.head.clone(),
        })
    }

    async fn off_the_loop(
        &mut self,
        work: fn(Ink) -> std::io::Result<Ink>,
    ) -> Result<(), FetchError> {
        let ink = self.ink.take().ok_or_else(lost)?;
        let done = tokio::task::spawn_blocking(move || work(ink)).await;
        let done = done.map_err(|_| lost())?;
        self.ink = Some(done.map_err(|error| local(&error))?);
        Ok(())
    }
}

fn lost() -> FetchError {
    local(&std::io::Error::other("an earlier write to it failed"))
}

fn text<'a>(headers: &'a HeaderMap, name: &reqwest::header::HeaderName) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= 200).then_some(value)
}

/// `bytes 5-9/10`: the first byte and the whole length, `*` if it is not known.
pub(super) fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (part, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = part.split_once('-')?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some((from.trim().parse().ok()?, total))
}

/// `Repr-Digest: sha-256=:base64:` (RFC 9530), or the older `Digest: SHA-256=base64`. Of a body that is
/// encoded for the way it may mean the file behind, so it is not used then.
fn announced_digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let encoding = headers.get("content-encoding");
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return None;
    }
    let values = ["repr-digest", "content-digest", "digest"];
    values.iter().find_map(|name| {
        let value = headers.get(*name)?.to_str().ok()?;
        value.split(',').find_map(|one| {
            let (algorithm, hash) = one.trim().split_once('=')?;
            if !algorithm.trim().eq_ignore_ascii_case("sha-256") {
                return None;
            }
            let bytes = STANDARD.decode(hash.trim().trim_matches(':')).ok()?;
            bytes.try_into().ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read() {
        let check = |text, expect| assert_eq!(range(text), expect, "{text}");
        check("bytes 5-9/10", Some((5, Some(10))));
        check("bytes 5-9/*", Some((5, None)));
        check("bytes */10", None);
        check("items 5-9/10", None);
        check("bytes 5-9", None);
    }

    #[test]
    fn a_digest_is_read_in_both_spellings() {
        let hash = [7_u8; 32];
        let text = STANDARD.encode(hash);
        let check = |name: &'static str, value: String, expect| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(announced_digest(&headers), expect, "{name}: {value}");
        };
        check(
            "repr-digest",
            format!("md5=:AAAA:, sha-256=:{text}:"),
            Some(hash),
        );
        check("digest", format!("SHA-256={text}"), Some(hash));
        check("digest", "SHA-256=AAAA".to_owned(), None);
        check("digest", format!("sha-512={text}"), None);
    }
}
