//! Webhooks apart from the documents' samples and traps.

use domain::Provider::{Jakov, Jarai, Productai};

use super::secret;
use crate::Phase;
use crate::webhook::{BadPayload, SignatureError, WebhookKind, parse, signature_header, verify};

#[test]
fn a_wrong_signature_is_told_from_a_missing_and_a_malformed_one() {
    let secrets = [secret("whsec")];
    let check = |header: Option<&str>| verify(Jakov, &secrets, header, b"{}");
    assert_eq!(check(None), Err(SignatureError::Missing));
    let other = format!("sha256={}", "0".repeat(64));
    assert_eq!(check(Some(&other)), Err(SignatureError::Mismatch));
    let odd = [
        "",
        "sha256=",
        "sha256=abc",
        "abc",
        &"0".repeat(64),
        &format!("sha1={}", "0".repeat(64)),
        &format!("sha256={}", "g".repeat(64)),
        &format!("sha256={}", "0".repeat(66)),
        &format!("sha256={}", "é".repeat(32)),
    ];
    for header in odd {
        assert_eq!(
            check(Some(header)),
            Err(SignatureError::Malformed),
            "{header}"
        );
    }
}

#[test]
fn a_jarai_secret_that_does_not_decode_verifies_nothing() {
    let header = format!("sha256={}", "0".repeat(64));
    let verified = verify(Jarai, &[secret("not base64url!")], Some(&header), b"{}");
    assert_eq!(verified, Err(SignatureError::NoSecret));
}

#[test]
fn one_changed_byte_breaks_the_signature() {
    // HMAC-SHA256 of "{}" with the key "whsec", by Python's hmac.
    let header = "sha256=ae6341ea7f40a435db57d903d02cba19085efb8a913f8cfbd8cff3d7df0c7a2d";
    assert_eq!(
        verify(Jakov, &[secret("whsec")], Some(header), b"{}"),
        Ok(())
    );
    for body in [&b"{ }"[..], b"{}\n", b""] {
        let verified = verify(Jakov, &[secret("whsec")], Some(header), body);
        assert_eq!(verified, Err(SignatureError::Mismatch));
    }
}

#[test]
fn each_provider_signs_in_its_own_header() {
    assert_eq!(signature_header(Jakov), Some("X-Webhook-Signature"));
    assert_eq!(signature_header(Jarai), Some("X-JARAI-Signature"));
    assert_eq!(signature_header(Productai), None);
}

#[test]
fn jarais_envelope_reads_whole() {
    let raw = br#"{"eventId":"e","eventType":"production.queued","productionId":"p","accountId":"a",
        "timestamp":"2026-04-03T14:30:00Z","sequenceNumber":12,"correlationId":"c","truncated":false,
        "data":{"status":"Queued","expiresAt":"2026-04-03T14:40:00Z"}}"#;
    let event = parse(Jarai, raw).unwrap();
    assert_eq!(event.dedupe_key, "jarai:p:12");
    assert_eq!(
        (event.sequence, event.kind),
        (Some(12), WebhookKind::Progress)
    );
    assert_eq!(event.account_id.as_deref(), Some("a"));
    assert_eq!(event.at, "2026-04-03T14:30:00Z".parse().ok());
    let job = event.job.unwrap();
    assert_eq!((job.phase, job.remote_id.as_str()), (Phase::Queued, "p"));
    assert_eq!(job.expires_at, "2026-04-03T14:40:00Z".parse().ok());
}

#[test]
fn each_event_of_jarai_has_its_kind() {
    let nil = "00000000-0000-0000-0000-000000000000";
    for (name, production, data, kind, phase) in [
        (
            "production.published",
            "p",
            "{}",
            WebhookKind::Done,
            Some(Phase::Done),
        ),
        (
            "production.step.complete",
            "p",
            "{}",
            WebhookKind::Progress,
            None,
        ),
        (
            "production.step.complete",
            "p",
            r#"{"status":"Producing"}"#,
            WebhookKind::Progress,
            Some(Phase::Working),
        ),
        (
            "production.failed",
            "p",
            r#"{"errorCode":"PRODUCTION_EXPIRED"}"#,
            WebhookKind::Failed,
            Some(Phase::Failed {
                safe_to_resubmit: true,
            }),
        ),
        (
            "deliverable.ready",
            "p",
            "{}",
            WebhookKind::DeliverableReady,
            None,
        ),
        ("webhook.test", nil, "{}", WebhookKind::Test, None),
        (
            "production.cancelled",
            "p",
            r#"{"status":"Cancelled"}"#,
            WebhookKind::Unrecognised,
            Some(Phase::Cancelled),
        ),
        ("", "p", "{}", WebhookKind::Unrecognised, None),
    ] {
        let raw = format!(
            r#"{{"eventType":"{name}","productionId":"{production}","accountId":"{nil}","data":{data}}}"#
        );
        let event = parse(Jarai, raw.as_bytes()).unwrap();
        assert_eq!(event.kind, kind, "{raw}");
        assert_eq!(event.job.map(|job| job.phase), phase, "{raw}");
        assert_eq!(event.account_id, None, "the nil UUID is nobody");
        assert_eq!(event.remote_id.is_some(), production == "p");
    }
}

#[test]
fn an_event_of_jakov_that_nobody_documented_is_a_reason_to_read() {
    let raw =
        br#"{"event":"generation.failed","product":{"id":"p","status":"failed"},"timestamp":"t"}"#;
    let event = parse(Jakov, raw).unwrap();
    assert_eq!(event.kind, WebhookKind::Unrecognised);
    assert_eq!(event.remote_id.as_deref(), Some("p"));
    assert_eq!(
        event.job.unwrap().phase,
        Phase::Failed {
            safe_to_resubmit: false
        }
    );
}

#[test]
fn an_error_of_productai_that_names_its_job_fails_it() {
    let event = parse(Productai, br#"{"status":"error","job_id":12312}"#).unwrap();
    assert_eq!(event.kind, WebhookKind::Failed);
    assert_eq!(event.remote_id.as_deref(), Some("12312"));
}

#[test]
fn what_is_no_object_is_no_event() {
    for raw in ["", "[]", "null", "\"x\"", "{", "<html>"] {
        for provider in domain::Provider::ALL {
            assert_eq!(
                parse(provider, raw.as_bytes()),
                Err(BadPayload::NotAnObject),
                "{raw}"
            );
        }
    }
}
