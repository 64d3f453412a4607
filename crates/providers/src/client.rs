//! One account's client: it turns calls into bytes and answers into replies, and does no IO.
//!
//! The bytes and the meaning are each provider's module's; here are the base URL, the key and what
//! all answers have in common.

use std::fmt;

use bytes::Bytes;
use domain::{Provider, Timestamp};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::answer::Answer;
use crate::call::Call;
use crate::mask::masked;
use crate::reply::{Outcome, RateHint, Refusal, Reply};
use crate::send::{Blocked, LongAnswer, SendError};
use crate::url_parts::Draft;
use crate::{jakov, jarai, productai};

/// A base URL or key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEndpoint {
    /// The base URL is none.
    #[error("base_url {url:?} is no http or https URL with a host, and nothing behind its path")]
    Url {
        /// What was given, secrets masked.
        url: String,
    },
    /// The key is empty.
    #[error("the API key of {0} is empty")]
    NoKey(Provider),
    /// The key cannot stand in a header.
    #[error("the API key of {0} holds characters that no header can carry")]
    Key(Provider),
}

/// The client of one account: provider, base URL and key.
#[derive(Clone)]
pub struct Client {
    provider: Provider,
    base: Url,
    key: Option<Key>,
}

#[derive(Clone)]
struct Key {
    /// As the header carries it; marked sensitive.
    header: HeaderValue,
    /// As people know it, to keep it out of what is read.
    text: SecretString,
}

impl Client {
    /// The client of an account. `base_url` is the whole base, path prefix included; a trailing
    /// slash does not matter. White space around the key is dropped, since keys come from files.
    ///
    /// # Errors
    /// If the base URL or the key cannot be used.
    pub fn new(
        provider: Provider,
        base_url: &str,
        api_key: SecretString,
    ) -> Result<Self, BadEndpoint> {
        let trimmed = api_key.expose_secret().trim();
        let text = if trimmed.len() == api_key.expose_secret().len() {
            api_key
        } else {
            SecretString::from(trimmed)
        };
        if text.expose_secret().is_empty() {
            return Err(BadEndpoint::NoKey(provider));
        }
        let value = match provider {
            Provider::Jakov => format!("Bearer {}", text.expose_secret()),
            Provider::Productai | Provider::Jarai => text.expose_secret().to_owned(),
        };
        let mut header = HeaderValue::from_str(&value).map_err(|_| BadEndpoint::Key(provider))?;
        header.set_sensitive(true);
        let mut client = Self::without_key(provider, base_url)?;
        client.key = Some(Key { header, text });
        Ok(client)
    }

    /// A client without a key, for JARAI's registration, by which one gets a key.
    ///
    /// # Errors
    /// If the base URL cannot be used.
    pub fn without_key(provider: Provider, base_url: &str) -> Result<Self, BadEndpoint> {
        let bad = || BadEndpoint::Url {
            url: masked(base_url),
        };
        let base = Url::parse(base_url.trim()).map_err(|_| bad())?;
        let usable = matches!(base.scheme(), "http" | "https")
            && base.has_host()
            && base.username().is_empty()
            && base.password().is_none()
            && base.query().is_none()
            && base.fragment().is_none();
        if !usable {
            return Err(bad());
        }
        Ok(Self {
            provider,
            base,
            key: None,
        })
    }

    /// Whose client it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// The bytes of a call. A call that cannot be put on the wire (another provider's, or with an
    /// id that no path can carry) becomes a request that [`Http`](crate::Http) refuses to send.
    #[must_use]
    pub fn request(&self, call: &Call) -> http::Request<Bytes> {
        self.encode(call).unwrap_or_else(|reason| {
            let mut request = http::Request::new(Bytes::new());
            request.extensions_mut().insert(Blocked(reason));
            request
        })
    }

    fn encode(&self, call: &Call) -> Result<http::Request<Bytes>, String> {
        let draft = self.draft(call)?;
        let uri = draft.uri(&self.base)?;
        let mut request = http::Request::new(Bytes::new());
        *request.method_mut() = draft.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(draft.accept));
        if !call.needs_no_key() {
            let key = self.key.as_ref().ok_or("this client has no API key")?;
            headers.insert(self.key_header(), key.header.clone());
        }
        if let Some(body) = draft.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = body.into();
        } else if request.method() == Method::POST {
            // Nothing says so by itself, and some gateways answer 411 to a POST without a length.
            request
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        if matches!(call, Call::Export { .. }) {
            request.extensions_mut().insert(LongAnswer);
        }
        Ok(request)
    }

    fn draft(&self, call: &Call) -> Result<Draft, String> {
        if !call.is_for(self.provider) {
            return Err(format!("{} has no call {:?}", self.provider, call.verb()));
        }
        match self.provider {
            Provider::Jakov => jakov::encode(call),
            Provider::Productai => productai::encode(call),
            Provider::Jarai => jarai::encode(call, &self.base),
        }
    }

    fn key_header(&self) -> HeaderName {
        match self.provider {
            Provider::Jakov => AUTHORIZATION,
            Provider::Productai | Provider::Jarai => HeaderName::from_static("x-api-key"),
        }
    }

    /// What an answer to `call`, which came at `at`, means. Never panics, whatever came.
    #[must_use]
    pub fn read(
        &self,
        call: &Call,
        answer: Result<http::Response<Bytes>, SendError>,
        at: Timestamp,
    ) -> Reply {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return unanswered(call, &error),
        };
        let key = self.key.as_ref().map(|key| key.text.expose_secret());
        let answer = Answer::new(response, key);
        let outcome = match self.provider {
            _ if !call.is_for(self.provider) => Outcome::Refused(Refusal::Invalid {
                code: "unsupported_call".to_owned(),
                message: format!("{} has no call {:?}", self.provider, call.verb()),
            }),
            Provider::Jakov => jakov::read(call, &answer, at),
            Provider::Productai => productai::read(call, &answer, at),
            Provider::Jarai => jarai::read(call, &answer, at),
        };
        let kept = outcome.wants_its_answer_kept().then(|| answer.kept());
        Reply {
            http_status: Some(answer.status()),
            outcome,
            hint: answer.hint(at),
            correlation_id: answer.correlation_id(),
            kept,
        }
    }
}

/// What it means that no answer came.
fn unanswered(call: &Call, error: &SendError) -> Reply {
    let outcome = match error {
        SendError::NotSent(reason) => Outcome::Refused(Refusal::NotSent {
            reason: reason.clone(),
        }),
        SendError::TimedOut(_) | SendError::Broken(_) if call.acts_once() => Outcome::Unknown {
            reason: error.to_string(),
        },
        SendError::TimedOut(_) | SendError::Broken(_) => Outcome::Refused(Refusal::Unavailable {
            pause: None,
            message: error.to_string(),
        }),
    };
    Reply {
        http_status: None,
        outcome,
        hint: RateHint::default(),
        correlation_id: None,
        kept: None,
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("provider", &self.provider)
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}
