//! The sending: one request out, one answer back, nothing by itself. No redirect is followed, no
//! request is sent again, no proxy is taken from the environment.
//!
//! Paid submits go over connections of their own that were never used before: a pooled connection
//! that the server has just closed fails *after* bytes were written, and nobody could tell whether
//! the submit was accepted. Errors say what a caller needs: surely nothing was sent, or not.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;

use crate::mask::masked;

/// The longest answer that is read, after decompression. The providers' JSON has a few KiB.
const BODY_CAP: usize = 2 * 1024 * 1024;
/// The longest export: JAKOV names no page size, so a whole project may come in one answer.
const EXPORT_CAP: usize = 256 * 1024 * 1024;

/// How to send.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// For DNS, TCP and TLS together.
    pub connect_timeout: Duration,
    /// For a whole paid submit. Shorter than the lease of a lane.
    pub submit_timeout: Duration,
    /// For any other whole call.
    pub read_timeout: Duration,
    /// What `User-Agent` says.
    pub user_agent: String,
    /// The longest answer in bytes, decompressed.
    pub body_cap: usize,
    /// The longest export in bytes, decompressed.
    pub export_cap: usize,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            submit_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            user_agent: concat!("vitrine/", env!("CARGO_PKG_VERSION")).to_owned(),
            body_cap: BODY_CAP,
            export_cap: EXPORT_CAP,
        }
    }
}

/// No client for HTTP can be built here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHttp {
    /// The binary installs the TLS provider, and has not.
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// The HTTP library refuses, for instance since the machine has no CA certificates.
    #[error("the HTTP client cannot be built: {0}")]
    Build(String),
}

/// A request that got no whole answer. The texts hold no URL and no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// DNS, connect or TLS failed, or the request could not be built: surely no byte was sent.
    #[error("nothing was sent: {0}")]
    NotSent(String),
    /// It was sent, at least in part, and no whole answer came in time.
    #[error("no answer in time: {0}")]
    TimedOut(String),
    /// It was sent, at least in part, and the connection or the answer broke.
    #[error("the connection broke: {0}")]
    Broken(String),
}

/// Marks a request whose answer may be as long as an export.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LongAnswer;

/// Marks a request that must not be sent, and why.
#[derive(Debug, Clone)]
pub(crate) struct Blocked(pub(crate) String);

/// Sends requests. Cheap to share by reference; holds no key.
#[derive(Debug)]
pub struct Http {
    paid: reqwest::Client,
    free: reqwest::Client,
    body_cap: usize,
    export_cap: usize,
}

impl Http {
    /// The two clients below it.
    ///
    /// # Errors
    /// If this process has no TLS provider or the HTTP library refuses.
    pub fn new(options: HttpOptions) -> Result<Self, BadHttp> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(BadHttp::NoTlsProvider);
        }
        let HttpOptions {
            connect_timeout,
            submit_timeout,
            read_timeout,
            user_agent,
            body_cap,
            export_cap,
        } = options;
        let common = || {
            bare_builder()
                .connect_timeout(connect_timeout)
                .user_agent(user_agent.clone())
        };
        let paid = common()
            .timeout(submit_timeout)
            .pool_max_idle_per_host(0)
            .http1_only()
            .gzip(false);
        let free = common().timeout(read_timeout);
        let build = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| BadHttp::Build(said(error)))
        };
        Ok(Self {
            paid: build(paid)?,
            free: build(free)?,
            body_cap,
            export_cap,
        })
    }

    /// Sends one request once. `paid` picks a fresh connection and the submit's time-out: right for
    /// every call that must not be repeated ([`Call::acts_once`](crate::Call::acts_once)).
    ///
    /// An answer that is not a 2xx comes back even if its body broke off, since its status alone
    /// says enough.
    ///
    /// # Errors
    /// If no whole answer came; the variant says whether bytes may have been sent.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        paid: bool,
    ) -> Result<http::Response<Bytes>, SendError> {
        if let Some(Blocked(reason)) = request.extensions().get::<Blocked>() {
            return Err(SendError::NotSent(reason.clone()));
        }
        let cap = match request.extensions().get::<LongAnswer>() {
            Some(LongAnswer) => self.export_cap,
            None => self.body_cap,
        };
        let client = if paid { &self.paid } else { &self.free };
        let request =
            reqwest::Request::try_from(request).map_err(|error| SendError::NotSent(said(error)))?;
        let mut response = client.execute(request).await.map_err(read_error)?;
        let mut answer = http::Response::new(Bytes::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        match read_body(&mut response, cap).await {
            Ok(body) => *answer.body_mut() = body,
            Err(error) if answer.status().is_success() => return Err(error),
            Err(_) => {}
        }
        Ok(answer)
    }
}

/// A client that does nothing by itself.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place where the defaults that the lint warns of are undone"
)]
pub(crate) fn bare_builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
}

async fn read_body(response: &mut reqwest::Response, cap: usize) -> Result<Bytes, SendError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(after_connect)? {
        if body.len() + chunk.len() > cap {
            let longer = format!("the answer is longer than {cap} bytes");
            return Err(SendError::Broken(longer));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn read_error(error: reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::NotSent(said(error))
    } else {
        after_connect(error)
    }
}

fn after_connect(error: reqwest::Error) -> SendError {
    if error.is_timeout() {
        SendError::TimedOut(said(error))
    } else {
        SendError::Broken(said(error))
    }
}

/// The error and its causes in one line, without the URL.
pub(crate) fn said(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    masked(&text)
}
