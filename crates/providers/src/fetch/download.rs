//! The download itself: redirects by hand, every host checked, bytes counted and hashed, a body that
//! broke off gone on with.

use std::pin::Pin;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE};
use reqwest::{Method, Response};
use tokio::time::{Sleep, interval, sleep};
use url::Url;

use super::error::{FetchError, broke_off, not_now, refused, unavailable};
use super::gate::{Purpose, Road, pass};
use super::part::{Fetched, Part};
use super::resolver::{Names, PublicOnly};
use super::sniff::sniff;
use crate::mask::SignedUrl;
use crate::send::{bare_builder, said};

/// How often a host may send us on.
const MOST_REDIRECTS: usize = 3;
/// How often in a row the rest of a body is asked for at once although not a byte came.
const MOST_FRUITLESS: usize = 3;

/// How to fetch.
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Hosts (`host` or `host:port`) that may be private or plain http.
    pub trusted_hosts: Vec<String>,
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// The longest silence between two reads.
    pub idle_timeout: Duration,
    /// For the whole file, redirects and what it took to go on included.
    pub total_timeout: Duration,
    /// The largest image.
    pub max_image_bytes: u64,
    /// The largest file of another kind.
    pub max_bytes: u64,
    /// A body that brings fewer bytes a second than this, over [`pace`](Self::pace), is left: it would
    /// hold its place for as long as the total time-out.
    pub slowest: u64,
    /// Over which time the pace of a body is measured.
    pub pace: Duration,
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
            max_image_bytes: 50 * 1024 * 1024,
            max_bytes: 2 * 1024 * 1024 * 1024,
            slowest: 1_000,
            pace: Duration::from_secs(60),
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
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
    pub(super) options: FetchOptions,
}

/// Why one body did not come whole.
enum Stop {
    /// In the middle: the rest can be asked for.
    BrokeOff(FetchError),
    /// Asking for the rest would not help.
    Over(FetchError),
}

impl From<FetchError> for Stop {
    fn from(error: FetchError) -> Self {
        Self::Over(error)
    }
}

impl Fetcher {
    /// A fetcher with these limits.
    ///
    /// # Errors
    /// If this process has no TLS provider or the HTTP library refuses.
    pub fn new(options: FetchOptions) -> Result<Self, BadFetcher> {
        Self::with_names(options, Names::System)
    }

    pub(crate) fn with_names(options: FetchOptions, names: Names) -> Result<Self, BadFetcher> {
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
            public: build(common().dns_resolver(PublicOnly { names }))?,
            trusted: build(common())?,
            options,
        })
    }

    /// How large a file of this provider type (`Image`, `Video`, …) may be.
    #[must_use]
    pub fn limit_of(&self, provider_type: &str) -> u64 {
        if crate::json::plain_name(provider_type) == "image" {
            self.options.max_image_bytes
        } else {
            self.options.max_bytes
        }
    }

    /// Fetches a file of at most `limit` bytes into `part`, from where the part ends if its host allows
    /// that. A body that breaks off is gone on with at once, as long as each try brings something.
    ///
    /// # Errors
    /// See [`FetchError`]; a part that [can go on](Part::can_go_on) may be brought again, with the same
    /// link or another one.
    pub async fn fetch(
        &self,
        url: &SignedUrl,
        limit: u64,
        part: &mut Part,
    ) -> Result<Fetched, FetchError> {
        let mut end = std::pin::pin!(sleep(self.options.total_timeout));
        let mut fruitless = 0;
        loop {
            let before = part.bytes();
            let error = match self.body(url, limit, part, end.as_mut()).await {
                Ok(at) => return whole(&at, part).await,
                Err(Stop::Over(error)) => return Err(error),
                Err(Stop::BrokeOff(error)) => error,
            };
            fruitless = if part.bytes() > before {
                0
            } else {
                fruitless + 1
            };
            if !part.can_go_on() || fruitless >= MOST_FRUITLESS {
                return Err(error);
            }
        }
    }

    /// One answer and its body, added to what is here. Where it came from.
    async fn body(
        &self,
        url: &SignedUrl,
        limit: u64,
        part: &mut Part,
        mut end: Pin<&mut Sleep>,
    ) -> Result<Url, Stop> {
        let (at, response) = tokio::select! {
            opened = self.open(url, part) => opened?,
            () = end.as_mut() => return Err(too_long().into()),
        };
        if response.status().as_u16() == 416 {
            part.start_over().await?;
            let why = "the host has no such part of the file any more";
            return Err(Stop::BrokeOff(not_now(why)));
        }
        part.begin(&response).await?;
        let too_large = || Stop::Over(refused(&format!("the file is larger than {limit} bytes")));
        if part.total().is_some_and(|total| total > limit) {
            return Err(too_large());
        }
        self.stream(response, limit, part, end).await?;
        if part.bytes() > limit {
            return Err(too_large());
        }
        match part.total() {
            Some(expected) if part.bytes() < expected => {
                let got = part.bytes();
                Err(Stop::BrokeOff(FetchError::Short { expected, got }))
            }
            Some(expected) if part.bytes() > expected => {
                part.start_over().await?;
                Err(not_now("the file grew while it was fetched").into())
            }
            _ => Ok(at),
        }
    }

    /// Adds the body's bytes, until it ends or is over the limit.
    async fn stream(
        &self,
        mut response: Response,
        limit: u64,
        part: &mut Part,
        mut end: Pin<&mut Sleep>,
    ) -> Result<(), Stop> {
        let mut pace = interval(self.options.pace);
        // The first tick is now.
        pace.tick().await;
        let mut measured = part.bytes();
        let least = self.options.slowest as f64 * self.options.pace.as_secs_f64();
        while part.bytes() <= limit {
            let chunk = tokio::select! {
                chunk = response.chunk() => chunk,
                () = end.as_mut() => return Err(too_long().into()),
                _ = pace.tick() => {
                    if ((part.bytes() - measured) as f64) < least {
                        return Err(not_now("the file comes too slowly").into());
                    }
                    measured = part.bytes();
                    continue;
                }
            };
            match chunk {
                Ok(Some(chunk)) => part.add(&chunk).await?,
                Ok(None) => break,
                Err(error) => {
                    let error = broke_off(error, part.total(), part.bytes());
                    return Err(Stop::BrokeOff(error));
                }
            }
        }
        Ok(())
    }

    /// The first answer with a body, and where it came from.
    async fn open(&self, url: &SignedUrl, part: &Part) -> Result<(Url, Response), FetchError> {
        let at = Url::parse(url.expose()).map_err(|_| refused("the link is no URL"))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let rest = part.rest();
        if let Some((from, tag)) = &rest {
            let range = HeaderValue::try_from(format!("bytes={from}-"));
            headers.insert(RANGE, range.map_err(|_| not_now("no such range"))?);
            headers.insert(IF_RANGE, tag.clone());
        }
        let (at, response) = self
            .follow(Method::GET, at, &headers, Purpose::Capture)
            .await?;
        match response.status().as_u16() {
            200 => Ok((at, response)),
            206 | 416 if rest.is_some() => Ok((at, response)),
            204 => Err(FetchError::Empty),
            status @ (408 | 425 | 429) => Err(not_now(&format!("HTTP {status}"))),
            http @ 400..500 => Err(FetchError::Gone { http }),
            status => Err(not_now(&format!("HTTP {status}"))),
        }
    }

    /// The first answer that is no redirect, and where it came from. Each hop is checked anew.
    pub(super) async fn follow(
        &self,
        method: Method,
        mut at: Url,
        headers: &HeaderMap,
        purpose: Purpose,
    ) -> Result<(Url, Response), FetchError> {
        for _ in 0..=MOST_REDIRECTS {
            let client = match pass(&at, &self.options.trusted_hosts, purpose)? {
                Road::Public => &self.public,
                Road::Trusted => &self.trusted,
            };
            let request = client
                .request(method.clone(), at.clone())
                .headers(headers.clone());
            let response = request.send().await.map_err(unavailable)?;
            match response.status().as_u16() {
                301 | 302 | 303 | 307 | 308 => at = target(&at, &response)?,
                _ => return Ok((at, response)),
            }
        }
        Err(refused("more than 3 redirects"))
    }
}

/// What a whole file must be: not empty, and no error page.
async fn whole(at: &Url, part: &mut Part) -> Result<Fetched, FetchError> {
    if part.bytes() == 0 {
        return Err(FetchError::Empty);
    }
    if is_error_page(at, part.content_type(), part.head()) {
        return Err(FetchError::ErrorPage);
    }
    part.finish().await
}

fn too_long() -> FetchError {
    not_now("the file did not come home in the total time-out")
}

/// An HTML page that is announced as one, from a link that is not named like one.
fn is_error_page(at: &Url, content_type: Option<&str>, head: &[u8]) -> bool {
    let announced = content_type.is_some_and(|is| is.to_ascii_lowercase().contains("html"));
    let path = at.path().to_ascii_lowercase();
    let named = path.ends_with(".html") || path.ends_with(".htm");
    announced && !named && sniff(head, "").error_page
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
