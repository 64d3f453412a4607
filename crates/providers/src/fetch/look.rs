//! A look at a source image before its job is paid for: is it there, is it an image that the provider
//! takes, is it small enough.
//!
//! Only what is proven stops a paid job. A host that lets the provider in and not us (hot-link
//! protection, a login for robots) proves nothing, and is told as a warning.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response};
use url::Url;

use super::download::Fetcher;
use super::error::{FetchError, unavailable};
use super::gate::{Closed, Purpose, pass};
use super::part::range;
use super::sniff::sniff;

/// Below 10 MB, says the provider (apis.md trap 18), without saying of how many bytes: from here on it is
/// too large in either meaning.
const SURELY_TOO_LARGE: u64 = 10 * 1024 * 1024;
/// And from here on perhaps.
const PERHAPS_TOO_LARGE: u64 = 10_000_000;
/// As many first bytes say what it is.
const HEAD: usize = 512;
/// For the whole look: a host that takes longer is not waited for.
const LONGEST: Duration = Duration::from_secs(20);

/// What a look at a source image showed. The texts hold no URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// It is there, and keeps the rules that were looked at.
    Fine,
    /// It surely breaks a rule: the job would be paid for nothing.
    Broken {
        /// `source_missing`, `source_private`, `source_empty`, `source_type` or `source_too_large`.
        code: &'static str,
        /// The rule, as a sentence.
        why: String,
    },
    /// Its host answered us, and proved nothing.
    Unsure {
        /// What it said.
        why: String,
    },
    /// Its host did not answer, or with a failure of its own: worth another look.
    Unreachable {
        /// What happened.
        why: String,
    },
}

fn broken(code: &'static str, why: impl Into<String>) -> Look {
    Look::Broken {
        code,
        why: why.into(),
    }
}

fn unsure(why: impl Into<String>) -> Look {
    Look::Unsure { why: why.into() }
}

impl Fetcher {
    /// Looks at an image that a provider is to read: `HEAD`, then its first bytes by a range.
    pub async fn look(&self, url: &str) -> Look {
        let Ok(url) = Url::parse(url) else {
            return broken("source_missing", "the source image has no URL");
        };
        match pass(&url, &self.options.trusted_hosts, Purpose::Look) {
            Err(Closed::Inside) => return private(),
            Err(closed) => return unsure(format!("the source image was not looked at: {closed}")),
            Ok(_) => {}
        }
        match tokio::time::timeout(LONGEST, self.look_at(url)).await {
            Ok(Ok(look)) => look,
            Ok(Err(error)) => failed(&error),
            Err(_) => Look::Unreachable {
                why: format!(
                    "the source image's host did not answer within {} s",
                    LONGEST.as_secs()
                ),
            },
        }
    }

    async fn look_at(&self, url: Url) -> Result<Look, FetchError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("image/*,*/*"));
        let (_, head) = self
            .follow(Method::HEAD, url.clone(), &headers, Purpose::Look)
            .await?;
        let told = head.status().is_success().then(|| length(&head)).flatten();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-511"));
        let (_, body) = self
            .follow(Method::GET, url, &headers, Purpose::Look)
            .await?;
        let status = body.status().as_u16();
        Ok(match status {
            200 | 206 => {
                let total = match status {
                    206 => whole_length(&body),
                    _ => length(&body),
                };
                let first = first_bytes(body).await?;
                judge(&first, total.or(told))
            }
            204 | 416 => broken("source_empty", "the source image is empty"),
            404 | 410 => broken(
                "source_missing",
                format!("the source image is not there: HTTP {status}"),
            ),
            500.. => Look::Unreachable {
                why: format!("the source image's host has trouble: HTTP {status}"),
            },
            _ => unsure(format!(
                "the source image's host does not show it to us (HTTP {status}); it was not checked"
            )),
        })
    }
}

/// What the first bytes and the length say.
fn judge(first: &[u8], total: Option<u64>) -> Look {
    if first.is_empty() {
        return broken("source_empty", "the source image is empty");
    }
    let sniffed = sniff(first, "Image");
    if sniffed.error_page {
        return broken(
            "source_type",
            "behind the source image's URL is a page, no image: PNG, JPEG and WebP are taken",
        );
    }
    if !matches!(sniffed.extension.as_str(), "png" | "jpg" | "webp") {
        let is = sniffed.content_type;
        return broken(
            "source_type",
            format!("the source image is {is} by its bytes: PNG, JPEG and WebP are taken"),
        );
    }
    match total {
        Some(total) if total >= SURELY_TOO_LARGE => broken(
            "source_too_large",
            format!("the source image has {total} bytes: it must be below 10 MB"),
        ),
        Some(total) if total >= PERHAPS_TOO_LARGE => unsure(format!(
            "the source image has {total} bytes; the provider takes those below 10 MB"
        )),
        Some(_) | None => Look::Fine,
    }
}

fn private() -> Look {
    broken(
        "source_private",
        "the source image is on a private address, which the provider cannot reach either",
    )
}

fn failed(error: &FetchError) -> Look {
    match error {
        FetchError::Inside => private(),
        // A redirect to where we do not go; the provider may.
        FetchError::Refused { reason } => {
            unsure(format!("the source image was not looked at: {reason}"))
        }
        other => Look::Unreachable {
            why: format!("the source image cannot be reached: {other}"),
        },
    }
}

fn length(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_LENGTH)?;
    value.to_str().ok()?.trim().parse().ok()
}

fn whole_length(response: &Response) -> Option<u64> {
    let value = response.headers().get(CONTENT_RANGE)?;
    range(value.to_str().ok()?)?.1
}

/// The first bytes, whatever the host sends beyond them.
async fn first_bytes(mut response: Response) -> Result<Vec<u8>, FetchError> {
    let mut first = Vec::with_capacity(HEAD);
    while first.len() < HEAD
        && let Some(chunk) = response.chunk().await.map_err(unavailable)?
    {
        let missing = HEAD - first.len();
        first.extend(chunk.iter().take(missing));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(look: &Look) -> &'static str {
        match look {
            Look::Fine => "fine",
            Look::Broken { code, .. } => code,
            Look::Unsure { .. } => "unsure",
            Look::Unreachable { .. } => "unreachable",
        }
    }

    #[test]
    fn the_first_bytes_and_the_length_decide() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice();
        let check = |first: &[u8], total, expect| {
            assert_eq!(code(&judge(first, total)), expect, "{first:?} {total:?}");
        };
        check(png, Some(9_999_999), "fine");
        check(png, None, "fine");
        check(png, Some(10_000_000), "unsure");
        check(png, Some(10_485_760), "source_too_large");
        check(b"\xff\xd8\xff\xe0\0\x10JFIF\0", Some(5), "fine");
        check(b"RIFF\x24\0\0\0WEBPVP8 ", Some(5), "fine");
        check(b"GIF89a\x01\0\x01\0", Some(5), "source_type");
        check(b"<!DOCTYPE html><html>", Some(5), "source_type");
        check(b"\0\x01\x02", Some(5), "source_type");
        check(b"", Some(0), "source_empty");
    }
}
