//! Webhooks are signed as documented, tried again, and disturbed by the fault plan.

use super::*;
use crate::faults::{FaultKind, FaultPlan, FaultRule, When};
use crate::options::Approval;
use crate::world::{Webhook, hmac_hex};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

fn header<'a>(webhook: &'a Webhook, name: &str) -> Option<&'a str> {
    webhook
        .headers
        .iter()
        .find(|it| it.0 == name)
        .map(|it| it.1.as_str())
}

fn body(webhook: &Webhook) -> Value {
    serde_json::from_slice(&webhook.body).unwrap()
}

/// Takes all webhooks to come, each when it is due.
fn all(caller: &mut Caller) -> Vec<Webhook> {
    let mut sent = Vec::new();
    while let Some(at_ms) = caller.sandbox.next_event_ms() {
        sent.extend(caller.sandbox.due_webhooks(at_ms));
    }
    sent
}

#[test]
fn the_webhook_of_jakov_is_as_documented() {
    let mut options = Options::default();
    options.jakov.webhook_url = Some("https://host/jakov".to_owned());
    let mut caller = Caller::new(options);
    caller.jakov("POST", "products", JAKOV_SAMPLE);
    assert!(caller.sandbox.due_webhooks(NOON + 1_000).is_empty());
    let sent = all(&mut caller);
    assert_eq!(sent.len(), 2);
    let first = sent
        .iter()
        .find(|it| body(it)["product"]["ean"] == "1234567890123")
        .unwrap();
    let told = body(first);
    assert_eq!(told["event"], "generation.completed");
    assert_eq!(told["product"]["id"], first.job);
    assert_eq!(told["product"]["clientProductId"], "SKU-001");
    assert_eq!(
        told["product"]["description"],
        caller.sandbox.description(&first.job).unwrap()
    );
    assert!(told["timestamp"].as_str().unwrap().ends_with('Z'));
    let expected = format!("sha256={}", hmac_hex(b"jakov-sandbox-secret", &first.body));
    assert_eq!(
        header(first, "x-webhook-signature"),
        Some(expected.as_str())
    );
}

#[test]
fn the_webhooks_of_productai_are_unsigned_and_an_error_names_no_job() {
    let mut options = Options::default();
    options.productai.webhook_url = Some("https://host/productai".to_owned());
    let mut caller = Caller::new(options.clone());
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    let sent = all(&mut caller);
    assert_eq!(body(&sent[0])["status"], "success");
    assert_eq!(body(&sent[0])["job_id"], "22292");
    assert_eq!(sent[0].headers.len(), 1);
    let link = body(&sent[0])["image_url"].as_str().unwrap().to_owned();
    caller.now_ms = sent[0].due_ms;
    assert_eq!(caller.send("GET", &link, &[], "").clean(), 200);
    options.productai.error_share = 1.0;
    let mut caller = Caller::new(options);
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert_eq!(body(&all(&mut caller)[0]), json!({ "status": "error" }));
}

#[test]
fn the_webhooks_of_jarai_are_numbered_and_signed_with_the_decoded_secret() {
    let mut caller = Caller::documented();
    let request = r#"{"endpointUrl":"https://host/hooks/jarai","eventTypes":["production.queued","production.published","deliverable.ready"]}"#;
    let made = caller.jarai("POST", "webhooks", request).json();
    let secret = BASE64_URL_SAFE_NO_PAD
        .decode(made["signingSecret"].as_str().unwrap())
        .unwrap();
    let id = caller.produce();
    let sent = all(&mut caller);
    let events: Vec<_> = sent
        .iter()
        .map(|it| body(it)["eventType"].clone())
        .collect();
    assert_eq!(
        events,
        [
            "production.queued",
            "deliverable.ready",
            "production.published"
        ]
    );
    let mut last = 0;
    for webhook in &sent {
        let told = body(webhook);
        assert_eq!(told["productionId"], id);
        assert_eq!(told["accountId"], JaraiAccount::demo().account_id);
        assert_eq!(told["truncated"], false);
        let sequence = told["sequenceNumber"].as_u64().unwrap();
        assert!(sequence > last);
        last = sequence;
        let expected = format!("sha256={}", hmac_hex(&secret, &webhook.body));
        assert_eq!(
            header(webhook, "x-jarai-signature"),
            Some(expected.as_str())
        );
    }
    assert_eq!(body(&sent[0])["data"]["expiresAt"], "2026-01-01T12:10:00Z");
}

#[test]
fn a_cancelled_production_announces_its_end_and_nothing_else() {
    let mut options = Options::default();
    options.jarai.webhook_url = Some("https://host/jarai".to_owned());
    options.jarai.approval = Approval::Never;
    let mut caller = Caller::new(options);
    let id = caller.produce();
    caller.wait(1_000);
    caller.jarai("DELETE", &format!("productions/{id}"), "");
    let told: Vec<_> = all(&mut caller)
        .iter()
        .map(|it| {
            (
                body(it)["eventType"].as_str().unwrap().to_owned(),
                body(it)["sequenceNumber"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("production.queued".to_owned(), 1),
        ("production.cancelled".to_owned(), 2),
    ];
    assert_eq!(told, expected);
}

#[test]
fn an_unanswered_webhook_is_tried_three_times_with_the_same_facts() {
    let mut options = Options::default();
    options.jarai.webhook_url = Some("https://host/jarai".to_owned());
    let mut caller = Caller::new(options);
    caller.produce();
    let first = caller.sandbox.due_webhooks(NOON).remove(0);
    assert_eq!(body(&first)["eventType"], "production.queued");
    caller
        .sandbox
        .webhook_answered(NOON, first.delivery_no, Some(500));
    assert!(caller.sandbox.due_webhooks(NOON + 999).is_empty());
    let mut again: Vec<_> = caller.sandbox.due_webhooks(NOON + 30_000);
    again.retain(|it| it.attempt == 2);
    let second = again.remove(0);
    assert_eq!(
        body(&second)["sequenceNumber"],
        body(&first)["sequenceNumber"]
    );
    assert_ne!(body(&second)["eventId"], body(&first)["eventId"]);
    caller
        .sandbox
        .webhook_answered(NOON + 30_000, second.delivery_no, None);
    let mut again: Vec<_> = caller.sandbox.due_webhooks(NOON + 90_000);
    again.retain(|it| it.attempt == 3);
    caller
        .sandbox
        .webhook_answered(NOON + 90_000, again[0].delivery_no, None);
    assert!(all(&mut caller).iter().all(|it| it.attempt == 1));
}

#[test]
fn productai_takes_nothing_but_200_for_an_answer() {
    let mut options = Options::default();
    options.productai.webhook_url = Some("https://host/productai".to_owned());
    for (status, goes_on) in [(200, false), (204, true)] {
        let mut caller = Caller::new(options.clone());
        caller.productai("POST", "upscale", UPSCALE_SAMPLE);
        let sent = all(&mut caller);
        caller
            .sandbox
            .webhook_answered(sent[0].due_ms, sent[0].delivery_no, Some(status));
        assert_eq!(
            caller.sandbox.next_event_ms().is_some(),
            goes_on,
            "{status}"
        );
    }
}

#[test]
fn webhooks_are_lost_doubled_late_and_overtaken() {
    let sent = |kind: Option<FaultKind>| {
        let rule = kind.map(|kind| FaultRule {
            provider: None,
            verb: None,
            when: When::Nth(1),
            kind,
        });
        let faults = FaultPlan {
            rules: rule.into_iter().collect(),
        };
        let mut options = Options {
            faults,
            ..Options::default()
        };
        options.jakov.webhook_url = Some("https://host/jakov".to_owned());
        // Both take the same time, so that only the fault decides their order.
        options.jakov.duration_sigma = 0.0;
        let mut caller = Caller::new(options);
        caller.jakov("POST", "products", JAKOV_SAMPLE);
        let sent = all(&mut caller);
        sent.iter()
            .map(|it| {
                (
                    body(it)["product"]["clientProductId"].clone(),
                    it.due_ms - NOON,
                )
            })
            .collect::<Vec<_>>()
    };
    let (one, two) = (json!("SKU-001"), json!("SKU-002"));
    assert_eq!(sent(None), [(one.clone(), 60_000), (two.clone(), 60_000)]);
    assert_eq!(sent(Some(FaultKind::LostWebhook)), [(two.clone(), 60_000)]);
    let doubled = [
        (one.clone(), 60_000),
        (two.clone(), 60_000),
        (one.clone(), 61_000),
    ];
    assert_eq!(sent(Some(FaultKind::DuplicateWebhook)), doubled);
    let late = [(two.clone(), 60_000), (one.clone(), 65_000)];
    assert_eq!(sent(Some(FaultKind::LateWebhook(5_000))), late);
    assert_eq!(
        sent(Some(FaultKind::ReorderedWebhook)),
        [(two, 60_000), (one, 150_000)]
    );
}
