//! JARAI's administration and its lists.

use domain::Provider::{Jakov, Jarai, Productai};
use secrecy::ExposeSecret as _;

use super::{client, json_of, outcome, read};
use crate::{Call, Outcome, RemoteDeliverable};

fn deliverables(body: &str) -> Vec<RemoteDeliverable> {
    let call = Call::Deliverables {
        remote_id: "p".to_owned(),
    };
    match outcome(Jarai, &call, 200, body) {
        Outcome::Deliverables(files) => files,
        other => panic!("no deliverables: {other:?}\n{body}"),
    }
}

#[test]
fn deliverables_read_in_any_envelope_and_repeat() {
    for body in [
        r#"[{"type":"Video","sasUrl":"https://b/1?sig=x"},{"type":"Video","sasUrl":"https://b/2"}]"#,
        r#"{"deliverables":[{"deliverableType":"Video","downloadUrl":"https://b/1?sig=x"},
            {"kind":"Video","url":"https://b/2"}]}"#,
        r#"{"productionId":"p","data":{"items":[{"type":"Video","sasUrl":"https://b/1?sig=x"},
            {"type":"Video","sasUrl":"https://b/2","url":"https://page/"}]}}"#,
    ] {
        let files = deliverables(body);
        let links: Vec<_> = files.iter().map(|file| file.url.expose()).collect();
        assert_eq!(links, ["https://b/1?sig=x", "https://b/2"], "{body}");
        assert!(files.iter().all(|file| file.kind == "Video"));
    }
    assert_eq!(deliverables("[]"), []);
}

#[test]
fn a_deliverable_tells_size_hash_and_name_where_it_can() {
    let hash = "AB".repeat(32);
    let body = format!(
        r#"[{{"type":"Video","sasUrl":"https://b/1","sizeBytes":17,"sha256":"{hash}",
            "fileName":"../x.mp4","contentType":"video/mp4"}},
            {{"type":"Transcript","sasUrl":null,"checksum":"not a hash","size":"18"}}]"#
    );
    let files = deliverables(&body);
    assert_eq!(files[0].bytes, Some(17));
    assert_eq!(files[0].sha256, Some(hash.to_lowercase()));
    assert_eq!(files[0].name.as_deref(), Some("../x.mp4"));
    assert_eq!(files[0].content_type.as_deref(), Some("video/mp4"));
    // A file without a link stays in the list, so that its lack is seen.
    assert_eq!(
        (files[1].kind.as_str(), files[1].url.expose()),
        ("Transcript", "")
    );
    assert_eq!((files[1].bytes, &files[1].sha256), (Some(18), &None));
}

#[test]
fn deliverables_that_are_not_there_yet_are_no_error() {
    let call = Call::Deliverables {
        remote_id: "p".to_owned(),
    };
    for status in [404, 409] {
        let read = outcome(
            Jarai,
            &call,
            status,
            r#"{"error":"NOT_READY","message":"m"}"#,
        );
        assert!(matches!(read, Outcome::DeliverablesNotYet), "{read:?}");
    }
}

#[test]
fn every_call_has_its_method_and_path() {
    let webhook = Call::CreateWebhook {
        endpoint_url: "https://host/hooks/jarai".to_owned(),
        event_types: vec!["production.published".to_owned()],
        account_ids: vec![],
        account_scope_id: None,
    };
    let id = || "x/y".to_owned();
    for (call, verb, expect) in [
        (
            Call::Account { account_id: id() },
            "account",
            "GET /v1/accounts/x%2Fy",
        ),
        (
            Call::Performance { remote_id: id() },
            "performance",
            "GET /v1/productions/x%2Fy/performance",
        ),
        (Call::Credits, "credits", "GET /v1/partner/usage"),
        (
            Call::RotateKey,
            "rotate_key",
            "POST /v1/partners/keys/rotate",
        ),
        (webhook.clone(), "create_webhook", "POST /v1/webhooks"),
        (Call::Webhooks, "webhooks", "GET /v1/webhooks"),
        (
            Call::DeleteWebhook { id: id() },
            "delete_webhook",
            "DELETE /v1/webhooks/x%2Fy",
        ),
    ] {
        let request = client(Jarai).request(&call);
        let is = format!("{} {}", request.method(), request.uri().path());
        assert_eq!((is.as_str(), call.verb()), (expect, verb));
        assert!(!call.is_for(Jakov) || matches!(call, Call::Credits));
    }
    let expect = serde_json::json!({
        "endpointUrl": "https://host/hooks/jarai", "eventTypes": ["production.published"]
    });
    assert_eq!(json_of(&client(Jarai).request(&webhook)), expect);
    let uri = client(Productai).request(&Call::Credits).uri().to_string();
    assert_eq!(uri, "https://api.productai.photo/v1/api/key-check");
}

#[test]
fn a_webhooks_secret_and_a_rotated_key_are_handed_over_and_never_printed() {
    let call = Call::CreateWebhook {
        endpoint_url: "https://h/".to_owned(),
        event_types: vec![],
        account_ids: vec!["a".to_owned()],
        account_scope_id: None,
    };
    let body = r#"{"webhookId":"w1","signingSecret":"CANARY"}"#;
    let reply = read(Jarai, &call, 201, body);
    assert!(!format!("{reply:?}").contains("CANARY"), "{reply:?}");
    let Outcome::WebhookCreated {
        id, signing_secret, ..
    } = reply.outcome
    else {
        panic!("{reply:?}");
    };
    assert_eq!(id.as_deref(), Some("w1"));
    assert_eq!(signing_secret.unwrap().expose_secret(), "CANARY");

    let reply = read(
        Jarai,
        &Call::RotateKey,
        200,
        r#"{"apiKey":"jarai_CANARYCANARYCANARY"}"#,
    );
    assert!(!format!("{reply:?}").contains("CANARY"), "{reply:?}");
    assert!(matches!(reply.outcome, Outcome::KeyIssued { .. }));
    let lost = read(Jarai, &Call::RotateKey, 502, "");
    assert!(
        matches!(lost.outcome, Outcome::Unknown { .. }),
        "a rotation is not repeated blindly"
    );
}

#[test]
fn balances_read_where_there_is_one() {
    let balance = |provider, body| match outcome(provider, &Call::Credits, 200, body) {
        Outcome::Credits { balance, plan, .. } => (balance, plan),
        other => panic!("no credits: {other:?}"),
    };
    let body = r#"{"status":"OK","data":{"valid":true,"tokens_remaining":1250,"plan":"standard"}}"#;
    assert_eq!(
        balance(Productai, body),
        (Some(1250.0), Some("standard".to_owned()))
    );
    assert_eq!(
        balance(Jakov, r#"{"data":{"balance":"1500"}}"#),
        (Some(1500.0), None)
    );
    assert_eq!(balance(Jarai, r#"{"productionsToday":3}"#), (None, None));
}
