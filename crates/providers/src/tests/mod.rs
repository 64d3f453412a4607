//! Tests of the whole crate through its public face: what a call's bytes are, what an answer means,
//! and what happens on the wire.

mod accepted;
mod answers;
mod export;
mod fetch_hostile;
mod fetch_resume;
mod fetch_wire;
mod http_wire;
mod look;
mod never_panics;
mod partner;
mod seeds;
mod server;
mod traps;
mod webhooks;

use bytes::Bytes;
use domain::{Provider, Timestamp};
use http::{Request, Response};
use secrecy::SecretString;
use serde_json::Value;

use crate::{Call, Client, DescriptionItem, ItemOutcome, Outcome, Refusal, Reply, Submit};

/// The key of every client here, to be found nowhere.
pub(super) const CANARY: &str = "CANARYkeyCANARYkeyCANARYkey00000";

/// 2026-11-22T09:10:35.123Z.
pub(super) const AT: Timestamp = Timestamp::from_millis(1_795_338_635_123);

pub(super) fn client(provider: Provider) -> Client {
    Client::new(provider, provider.default_base_url(), CANARY.into()).unwrap()
}

pub(super) fn response(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

/// What the provider's client makes of this answer.
pub(super) fn read(provider: Provider, call: &Call, status: u16, body: &str) -> Reply {
    client(provider).read(call, Ok(response(status, &[], body)), AT)
}

pub(super) fn outcome(provider: Provider, call: &Call, status: u16, body: &str) -> Outcome {
    read(provider, call, status, body).outcome
}

pub(super) fn refusal(provider: Provider, call: &Call, status: u16, body: &str) -> Refusal {
    match outcome(provider, call, status, body) {
        Outcome::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The outcomes of a submit.
pub(super) fn items(provider: Provider, call: &Call, status: u16, body: &str) -> Vec<ItemOutcome> {
    match outcome(provider, call, status, body) {
        Outcome::Submitted(items) => items,
        other => panic!("not submitted: {other:?}"),
    }
}

pub(super) fn status(provider: Provider, body: &str) -> crate::RemoteJob {
    match outcome(provider, &status_call("asked"), 200, body) {
        Outcome::Status(job) => *job,
        other => panic!("no status: {other:?}"),
    }
}

pub(super) fn json_of(request: &Request<Bytes>) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

pub(super) fn status_call(id: &str) -> Call {
    Call::Status {
        remote_id: id.to_owned(),
        location: None,
    }
}

pub(super) fn generate(image_urls: &[&str]) -> Call {
    Call::Submit(Submit::Generate {
        model: "nanobanana".to_owned(),
        image_urls: image_urls.iter().map(|&url| url.to_owned()).collect(),
        prompt: "Add sunglasses".to_owned(),
    })
}

pub(super) fn upscale() -> Call {
    Call::Submit(Submit::Upscale {
        image_url: "https://example.com/image.jpg".to_owned(),
    })
}

pub(super) fn production() -> Call {
    Call::Submit(Submit::Production {
        account_id: "acc-1".to_owned(),
        topic: "A red lipstick".to_owned(),
        language_id: "lang-1".to_owned(),
        country_id: "country-1".to_owned(),
        avatar_id: "avatar-1".to_owned(),
        project_type_slug: None,
        metadata_md: None,
    })
}

pub(super) fn item(client_product_id: &str, ean: Option<&str>) -> DescriptionItem {
    DescriptionItem {
        ean: ean.map(str::to_owned),
        product_name: None,
        product_brand: None,
        client_product_id: client_product_id.to_owned(),
    }
}

pub(super) fn descriptions(items: Vec<DescriptionItem>) -> Call {
    Call::Submit(Submit::Descriptions {
        project_id: "p1".to_owned(),
        items,
    })
}

pub(super) fn secret(text: &str) -> SecretString {
    SecretString::from(text)
}

/// The TLS provider that the binary installs; a second time changes nothing.
pub(super) fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
