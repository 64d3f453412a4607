//! The download itself: redirects by hand, every host checked, bytes counted and hashed.

use std::error::Error as _;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use url::Url;

use super::address::is_global;
use super::resolver::{NotGlobal, PublicOnly};
use super::sniff::sniff;
use crate::mask::SignedUrl;
use crate::send::{bare_builder, said};

/// How often a host may send us on.
const MOST_REDIRECTS: usize = 3;
/// How many first bytes are kept for [`sniff`].
const HEAD: usize = 512;

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Hosts (`host` or `host:port`) that may be private or plain http.
    pub trusted_hosts: Vec<String>,
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest silence between two reads.
    pub idle_timeout: Duration,
    /// For the whole file, redirects included.
    pub total_timeout: Duration,
    /// The largest file.
    pub max_bytes: u64,
    /// What `User-Agent` says.
    pub user_agent: String,
}

impl Default for FetchOptions {
    fn default() -> Self {
        Self {
            trusted_hosts: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_secs(30 * 60),
            max_bytes: 2 * 1024 * 1024 * 1024,
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

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

/// Why a file did not come home. The texts hold no URL query.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// 403, 404, 410 or another 4xx: the link is dead; read it again.
    #[error("the link is dead: HTTP {http}")]
    Gone {
        /// The status.
        http: u16,
    },
    /// This link will not be fetched: its scheme, a private host, too large, too many redirects.
    #[error("the fetch is refused: {reason}")]
    Refused {
        /// Why.
        reason: String,
    },
    /// No bytes came.
    #[error("the file is empty")]
    Empty,
    /// Fewer bytes came than announced.
    #[error("the file broke off after {got} of {expected} bytes")]
    Short {
        /// By `Content-Length`.
        expected: u64,
        /// What came.
        got: u64,
    },
    /// An HTML page came instead of a file.
    #[error("an HTML page came instead of the file")]
    ErrorPage,
    /// The host does not answer now, or answers 5xx or 429: try again later.
    #[error("the host is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// Our own file could not be written.
    #[error("the file cannot be written: {reason}")]
    Local {
        /// Why.
        reason: String,
    },
}

/// No fetcher can be built here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fetcher cannot be built: {0}")]
pub struct BadFetcher(pub String);

/// Downloads files. Holds no key and no cookie.
#[derive(Debug)]
pub struct Fetcher {
    /// For hosts that nobody vouches for.
    public: reqwest::Client,
    /// For the hosts that the config vouches for.
    trusted: reqwest::Client,
    options: FetchOptions,
}

impl Fetcher {
    /// A fetcher with these limits.
    ///
    /// # Errors
    /// If this process has no TLS provider or the HTTP library refuses.
    pub fn new(options: FetchOptions) -> Result<Self, BadFetcher> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(BadFetcher(
                "no TLS provider is installed in this process".to_owned(),
            ));
        }
        let common = || {
            bare_builder()
                .connect_timeout(options.connect_timeout)
                .read_timeout(options.idle_timeout)
                .gzip(false)
                .user_agent(options.user_agent.clone())
        };
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| BadFetcher(said(error)))
        };
        Ok(Self {
            public: build(common().dns_resolver(PublicOnly))?,
            trusted: build(common())?,
            options,
        })
    }

    /// Streams a file into `into` from its current position on, and flushes it. Syncing it to disk
    /// is the caller's.
    ///
    /// # Errors
    /// See [`FetchError`]; what was written until then is left for the caller to drop.
    pub async fn fetch(&self, url: &SignedUrl, into: &mut File) -> Result<Fetched, FetchError> {
        let whole = async {
            let (at, response) = self.open(url).await?;
            self.stream(&at, response, into).await
        };
        match tokio::time::timeout(self.options.total_timeout, whole).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::Unavailable {
                reason: "the file did not come home in the total time-out".to_owned(),
            }),
        }
    }

    /// The first answer that is no redirect, and where it came from.
    async fn open(&self, url: &SignedUrl) -> Result<(Url, Response), FetchError> {
        let mut at = Url::parse(url.expose()).map_err(|_| refused("the link is no URL"))?;
        for _ in 0..=MOST_REDIRECTS {
            let client = self.client_for(&at)?;
            let request = client.get(at.clone()).header(ACCEPT, "*/*");
            let response = request.send().await.map_err(unavailable)?;
            let status = response.status().as_u16();
            match status {
                301 | 302 | 303 | 307 | 308 => at = target(&at, &response)?,
                200 => return Ok((at, response)),
                204 => return Err(FetchError::Empty),
                408 | 425 | 429 => return Err(http_unavailable(status)),
                400..500 => return Err(FetchError::Gone { http: status }),
                _ => return Err(http_unavailable(status)),
            }
        }
        Err(refused("more than 3 redirects"))
    }

    /// The client that may fetch this, if any may.
    fn client_for(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("the link holds a user name"));
        }
        let host = url.host().ok_or_else(|| refused("the link has no host"))?;
        match url.scheme() {
            "http" | "https" if self.trusts(url) => return Ok(&self.trusted),
            "https" => {}
            _ => return Err(refused("the link is not https")),
        }
        // Addresses never reach a resolver, so they are checked here.
        let address: Option<IpAddr> = match host {
            url::Host::Ipv4(address) => Some(address.into()),
            url::Host::Ipv6(address) => Some(address.into()),
            url::Host::Domain(_) => None,
        };
        match address {
            Some(address) if !is_global(address) => Err(refused(&NotGlobal.to_string())),
            _ => Ok(&self.public),
        }
    }

    fn trusts(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let port = url.port_or_known_default().unwrap_or_default();
        self.options.trusted_hosts.iter().any(|trusted| {
            let trusted = trusted.trim().to_ascii_lowercase();
            trusted == host || trusted == bare || trusted == format!("{host}:{port}")
        })
    }

    async fn stream(
        &self,
        at: &Url,
        mut response: Response,
        into: &mut File,
    ) -> Result<Fetched, FetchError> {
        let expected = response.content_length();
        let max = self.options.max_bytes;
        let too_large = || refused(&format!("the file is larger than {max} bytes"));
        if expected.is_some_and(|expected| expected > max) {
            return Err(too_large());
        }
        let content_type = content_type(&response);
        let (mut bytes, mut hash, mut head) = (0_u64, Sha256::new(), Vec::with_capacity(HEAD));
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                Err(error) => return Err(broke_off(error, expected, bytes)),
            };
            bytes += chunk.len() as u64;
            if bytes > max {
                return Err(too_large());
            }
            let missing = HEAD - head.len();
            head.extend(chunk.iter().take(missing));
            hash.update(&chunk);
            into.write_all(&chunk)
                .await
                .map_err(|error| local(&error))?;
        }
        into.flush().await.map_err(|error| local(&error))?;
        match expected {
            Some(expected) if bytes < expected => {
                return Err(FetchError::Short {
                    expected,
                    got: bytes,
                });
            }
            _ if bytes == 0 => return Err(FetchError::Empty),
            _ if is_error_page(at, content_type.as_deref(), &head) => {
                return Err(FetchError::ErrorPage);
            }
            _ => {}
        }
        Ok(Fetched {
            bytes,
            sha256: hash.finalize().into(),
            content_type,
            head,
        })
    }
}

/// An HTML page that is announced as one, from a link that is not named like one.
fn is_error_page(at: &Url, content_type: Option<&str>, head: &[u8]) -> bool {
    let announced = content_type.is_some_and(|is| is.to_ascii_lowercase().contains("html"));
    let path = at.path().to_ascii_lowercase();
    let named = path.ends_with(".html") || path.ends_with(".htm");
    announced && !named && sniff(head, "").error_page
}

fn content_type(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_TYPE)?.to_str().ok()?.trim();
    (!value.is_empty() && value.len() <= 200).then(|| value.to_owned())
}

/// Where a redirect leads; the next round checks it.
#[expect(
    clippy::disallowed_methods,
    reason = "a redirect's target is relative to the page, not to a base URL of ours"
)]
fn target(at: &Url, response: &Response) -> Result<Url, FetchError> {
    let location = response.headers().get(LOCATION);
    let location = location.and_then(|location| location.to_str().ok());
    let location = location.ok_or_else(|| refused("a redirect names no target"))?;
    at.join(location)
        .map_err(|_| refused("a redirect names no URL"))
}

fn refused(reason: &str) -> FetchError {
    FetchError::Refused {
        reason: reason.to_owned(),
    }
}

fn http_unavailable(status: u16) -> FetchError {
    FetchError::Unavailable {
        reason: format!("HTTP {status}"),
    }
}

fn local(error: &std::io::Error) -> FetchError {
    FetchError::Local {
        reason: error.to_string(),
    }
}

fn unavailable(error: reqwest::Error) -> FetchError {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<NotGlobal>() {
            return refused(&NotGlobal.to_string());
        }
        cause = inner.source();
    }
    FetchError::Unavailable {
        reason: said(error),
    }
}

fn broke_off(error: reqwest::Error, expected: Option<u64>, got: u64) -> FetchError {
    match expected {
        Some(expected) if got < expected && !error.is_timeout() => {
            FetchError::Short { expected, got }
        }
        _ => unavailable(error),
    }
}
