//! Whatever comes in, reading it gives an outcome.

use bytes::Bytes;
use domain::Provider;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::{AT, client, descriptions, generate, item, production, secret, status_call, upscale};
use crate::fetch::sniff;
use crate::webhook::{self, parse};
use crate::{Call, ExportFormat, ItemOutcome, Outcome, masked};

fn calls(provider: Provider) -> Vec<Call> {
    let id = || "x".to_owned();
    let own = match provider {
        Provider::Jakov => vec![
            descriptions(vec![item("a", Some("4006381333931")), item("b", None)]),
            descriptions(vec![item("a", None)]),
            Call::Export {
                project_id: id(),
                format: ExportFormat::Csv,
            },
        ],
        Provider::Productai => vec![generate(&["https://h/a"]), upscale()],
        Provider::Jarai => vec![
            production(),
            Call::Deliverables { remote_id: id() },
            Call::Cancel { remote_id: id() },
            Call::Accounts,
            Call::Account { account_id: id() },
            Call::VerifyPartner { token: secret("t") },
            Call::RotateKey,
            Call::Webhooks,
            Call::DeleteWebhook { id: id() },
        ],
    };
    own.into_iter()
        .chain([status_call("x"), Call::Credits])
        .collect()
}

/// Names that mean something to a reader, and some that do not.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "id",
            "productId",
            "data",
            "products",
            "items",
            "status",
            "error",
            "errors",
            "message",
            "code",
            "clientProductId",
            "ean",
            "image_url",
            "images",
            "url",
            "sasUrl",
            "type",
            "productionId",
            "accountId",
            "avatars",
            "deliverables",
            "balance",
            "createdAt",
            "retryAfterSeconds",
            "event",
            "eventType",
            "product",
            "timestamp",
            "sequenceNumber",
            "job_id",
            "apiKey",
            "signingSecret",
            "generatedDescription",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(vec![
            "a",
            "b",
            "COMPLETED",
            "failed",
            "OUT_OF_TOKENS",
            "Queued"
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((name(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![Just(200), Just(202), 100..1000_u16]
}

/// Reads one answer with every call of every provider, and checks what must hold of any reply.
fn read_all(status: u16, header: &[u8], body: &[u8]) {
    for provider in Provider::ALL {
        for call in calls(provider) {
            let mut response = http::Response::new(Bytes::copy_from_slice(body));
            *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
            if let Ok(value) = http::HeaderValue::from_bytes(header) {
                for name in [
                    "retry-after",
                    "location",
                    "x-ratelimit-reset",
                    "x-correlation-id",
                ] {
                    response.headers_mut().insert(name, value.clone());
                }
            }
            let reply = client(provider).read(&call, Ok(response), AT);
            assert_eq!(reply.http_status, Some(status));
            match (&call, &reply.outcome) {
                (Call::Submit(submit), Outcome::Submitted(items)) => {
                    assert_eq!(items.len(), submit.len(), "one outcome per item");
                    let ids: Vec<_> = items.iter().filter_map(accepted).collect();
                    let mut distinct = ids.clone();
                    distinct.sort_unstable();
                    distinct.dedup();
                    assert_eq!(ids.len(), distinct.len(), "no id for two items");
                    assert!((200..300).contains(&status), "only a 2xx accepts");
                }
                (call, Outcome::Unknown { .. }) => assert!(call.acts_once(), "{call:?}"),
                _ => {}
            }
        }
    }
}

fn accepted(item: &ItemOutcome) -> Option<&str> {
    match item {
        ItemOutcome::Accepted { remote_id, .. } => Some(remote_id),
        ItemOutcome::Refused { .. } | ItemOutcome::Unknown { .. } => None,
    }
}

proptest! {
    #[test]
    fn reading_any_bytes_gives_an_outcome(
        status in status(),
        header in proptest::collection::vec(any::<u8>(), 0..40),
        body in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        read_all(status, &header, &body);
    }

    #[test]
    fn reading_any_json_gives_an_outcome(status in status(), header in ".{0,20}", body in json()) {
        read_all(status, header.as_bytes(), body.to_string().as_bytes());
    }

    #[test]
    fn any_webhook_reads_or_is_no_object(body in json(), raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        for provider in Provider::ALL {
            let event = parse(provider, body.to_string().as_bytes());
            prop_assert_eq!(event.is_ok(), body.is_object());
            let _ = parse(provider, &raw);
            let header = String::from_utf8_lossy(&raw);
            let verified = webhook::verify(provider, &[secret("s")], Some(&header), &raw);
            prop_assert!(verified.is_err());
        }
    }

    #[test]
    fn masking_any_text_ends_and_is_stable(text in ".{0,200}") {
        let once = masked(&text);
        prop_assert_eq!(masked(&once), once);
    }

    #[test]
    fn any_head_is_sniffed(head in proptest::collection::vec(any::<u8>(), 0..600), kind in ".{0,20}") {
        let sniffed = sniff(&head, &kind);
        prop_assert!(!sniffed.extension.contains(['/', '.', '\\']) && !sniffed.extension.is_empty());
    }
}
