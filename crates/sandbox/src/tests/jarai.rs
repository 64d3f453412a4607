//! JARAI's endpoints, from registration to deliverables.

use super::*;
use crate::options::Approval;
use crate::wire::Provider;
use serde_json::json;
use std::collections::BTreeSet;

#[test]
fn a_production_walks_through_the_documented_states() {
    let mut caller = Caller::documented();
    let id = caller.produce();
    let mut seen = Vec::new();
    loop {
        let answer = caller.jarai("GET", &format!("productions/{id}"), "");
        assert_eq!(answer.clean(), 200);
        let status = answer.json()["status"].as_str().unwrap().to_owned();
        seen.push(status.clone());
        if status == "Published" {
            break;
        }
        caller.wait(if status == "Queued" { 10_000 } else { 30_000 });
    }
    seen.dedup();
    assert_eq!(
        seen,
        [
            "Queued",
            "Producing",
            "AwaitingApproval",
            "Distributing",
            "Published"
        ]
    );
    let again = caller.jarai("GET", &format!("productions/{id}/status"), "");
    assert_eq!(
        (again.status, again.violations()),
        (200, [Violation::PollAfterTerminal].as_slice())
    );
}

#[test]
fn a_submit_answers_with_an_id_and_a_location_that_works() {
    let mut caller = Caller::documented();
    let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
    let answer = caller.jarai("POST", &path, &production().to_string());
    let body = answer.json();
    assert_eq!(body["status"], "Queued");
    assert_eq!(body["expiresAt"], "2026-01-01T12:10:00Z");
    let location = answer.header("location").unwrap();
    let path = location.strip_prefix("http://sandbox/jarai/v1/").unwrap();
    assert_eq!(
        caller.jarai("GET", path, "").json()["productionId"],
        body["productionId"]
    );
}

#[test]
fn a_production_that_is_never_picked_up_expires() {
    let mut options = Options::default();
    options.jarai.expired_share = 1.0;
    let mut caller = Caller::new(options);
    let id = caller.produce();
    caller.wait(599_999);
    assert_eq!(
        caller.jarai("GET", &format!("productions/{id}"), "").json()["status"],
        "Queued"
    );
    caller.wait(10_000);
    let answer = caller.jarai("GET", &format!("productions/{id}"), "").json();
    assert_eq!(answer["status"], "Failed");
    assert_eq!(answer["errorCode"], "PRODUCTION_EXPIRED");
}

#[test]
fn deliverables_come_at_approval_and_their_links_live_for_an_hour() {
    let mut options = Options::default();
    options.jarai.approval = Approval::Never;
    let mut caller = Caller::new(options);
    let id = caller.produce();
    let path = format!("productions/{id}/deliverables");
    let early = caller.jarai("GET", &path, "");
    assert_eq!(early.clean(), 409);
    caller.wait(7_200_000);
    let list = caller.jarai("GET", &path, "");
    assert_eq!(list.clean(), 200);
    let list = list.json()["deliverables"].clone();
    let expected = caller.sandbox.files(Provider::Jarai, &id);
    let mut kinds = BTreeSet::new();
    for (item, file) in list.as_array().unwrap().iter().zip(&expected) {
        kinds.insert(item["type"].as_str().unwrap().to_owned());
        let answer = caller.send("GET", item["sasUrl"].as_str().unwrap(), &[], "");
        assert_eq!((answer.clean(), &answer.body[..]), (200, &file.bytes[..]));
        assert_eq!(answer.header("content-type"), Some(file.content_type));
    }
    let five = [
        "AudioDescription",
        "ClosedCaptions",
        "ComplianceCertificate",
        "Transcript",
        "Video",
    ];
    assert_eq!(kinds, five.map(str::to_owned).into());
    caller.wait(3_600_000);
    let link = list[0]["sasUrl"].as_str().unwrap().to_owned();
    assert_eq!(caller.send("GET", &link, &[], "").status, 403);
    let renewed = caller.jarai("GET", &path, "").json()["deliverables"][0]["sasUrl"].clone();
    assert_eq!(
        caller
            .send("GET", renewed.as_str().unwrap(), &[], "")
            .status,
        200
    );
}

#[test]
fn an_operator_releases_or_rejects_by_script() {
    let mut options = Options::default();
    options.jarai.approval = Approval::Never;
    let mut caller = Caller::new(options);
    let (first, second) = (caller.produce(), caller.produce());
    assert!(!caller.sandbox.approve(caller.now_ms, &first));
    caller.wait(7_200_000);
    assert!(caller.sandbox.approve(caller.now_ms, &first));
    assert!(caller.sandbox.reject(caller.now_ms, &second));
    caller.wait(60_000);
    let statuses: Vec<_> = caller
        .sandbox
        .jobs(caller.now_ms)
        .map(|it| it.status)
        .collect();
    assert_eq!(statuses, ["Published", "Cancelled"]);
}

#[test]
fn a_running_production_can_be_cancelled_and_an_ended_one_cannot() {
    let mut caller = Caller::documented();
    let id = caller.produce();
    caller.wait(5_000);
    assert_eq!(
        caller
            .jarai("DELETE", &format!("productions/{id}"), "")
            .clean(),
        204
    );
    let answer = caller.jarai("GET", &format!("productions/{id}"), "").json();
    assert_eq!(answer["status"], "Cancelled");
    assert_eq!(
        caller
            .jarai("DELETE", &format!("productions/{id}"), "")
            .status,
        409
    );
    assert_eq!(
        caller.jarai("DELETE", "productions/unknown", "").status,
        404
    );
}

#[test]
fn a_submit_is_refused_for_each_documented_reason() {
    let submit = |caller: &mut Caller, account: &str| {
        let path = format!("accounts/{account}/productions");
        let answer = caller.jarai("POST", &path, &production().to_string());
        (
            answer.status,
            answer.json()["error"].as_str().unwrap().to_owned(),
        )
    };
    let own = JaraiAccount::demo().account_id;
    let mut caller = Caller::documented();
    let stranger = "11111111-1111-4111-8111-111111111111";
    assert_eq!(
        submit(&mut caller, stranger),
        (403, "INSUFFICIENT_SCOPE".to_owned())
    );
    let mut options = Options::default();
    options.jarai.accounts[0].active = false;
    assert_eq!(
        submit(&mut Caller::new(options), &own),
        (403, "ACCOUNT_NOT_ACTIVE".to_owned())
    );
    let mut options = Options::default();
    options.jarai.partner_active = false;
    assert_eq!(
        submit(&mut Caller::new(options), &own),
        (403, "PARTNER_NOT_ACTIVE".to_owned())
    );
    let mut options = Options::default();
    options.jarai.scopes = Some(vec!["accounts:read".to_owned()]);
    let mut caller = Caller::new(options);
    assert_eq!(
        submit(&mut caller, &own),
        (403, "PERMISSION_DENIED".to_owned())
    );
    assert_eq!(caller.jarai("GET", "accounts", "").status, 200);
    let mut options = Options::default();
    options.jarai.monthly_ceiling = Some(1);
    let mut caller = Caller::new(options);
    caller.produce();
    assert_eq!(
        submit(&mut caller, &own),
        (409, "BUDGET_GATE_1_FAILED".to_owned())
    );
    assert_eq!(caller.sandbox.ledger().charged(Provider::Jarai), 1);
}

#[test]
fn rate_headers_are_on_good_answers_and_on_429_alone() {
    let mut caller = Caller::documented();
    let good = caller.jarai("GET", "accounts", "");
    assert_eq!(good.header("x-ratelimit-remaining"), Some("59"));
    let reset = (NOON / 1000 + 60).to_string();
    assert_eq!(good.header("x-ratelimit-reset"), Some(reset.as_str()));
    let missing = caller.jarai("GET", "productions/unknown", "");
    assert_eq!(
        (missing.status, missing.header("x-ratelimit-limit")),
        (404, None)
    );
    assert!(good.header("x-correlation-id") != missing.header("x-correlation-id"));
    assert!(missing.header("x-correlation-id").is_some());
}

#[test]
fn a_partner_registers_verifies_once_and_rotates_its_key() {
    let mut caller = Caller::documented();
    let body = r#"{"organisationName":"Example Ltd","contactEmail":"api@example.com","contactName":"A. Person"}"#;
    let answer = caller.send("POST", "/jarai/v1/partners/register", &[JSON], body);
    assert_eq!(answer.clean(), 202);
    assert!(answer.json()["partnerId"].is_string());
    let mail = caller.sandbox.mails()[0].clone();
    assert_eq!(mail.to, "api@example.com");
    let path = format!("/jarai/v1/partners/verify?token={}", mail.token);
    let verified = caller.send("GET", &path, &[], "");
    let key = verified.json()["apiKey"].as_str().unwrap().to_owned();
    assert!(key.starts_with("jarai_"));
    assert_eq!(caller.send("GET", &path, &[], "").status, 400);
    let read = |caller: &mut Caller, key: &str| {
        caller
            .send("GET", "/jarai/v1/accounts", &[("x-api-key", key)], "")
            .status
    };
    assert_eq!(read(&mut caller, &key), 200);
    let rotated = caller.send(
        "POST",
        "/jarai/v1/partners/keys/rotate",
        &[("x-api-key", &key), JSON],
        "",
    );
    let fresh = rotated.json()["apiKey"].as_str().unwrap().to_owned();
    assert_eq!(
        (read(&mut caller, &key), read(&mut caller, &fresh)),
        (200, 200)
    );
    caller.wait(86_400_000);
    assert_eq!(
        (read(&mut caller, &key), read(&mut caller, &fresh)),
        (401, 200)
    );
}

#[test]
fn accounts_usage_and_performance_can_be_read() {
    let mut caller = Caller::documented();
    let account = JaraiAccount::demo();
    let accounts = caller.jarai("GET", "accounts", "").json();
    assert_eq!(accounts["accounts"][0]["accountId"], account.account_id);
    assert_eq!(
        accounts["accounts"][0]["avatars"][0]["avatarId"],
        account.avatars[0]
    );
    let one = caller
        .jarai("GET", &format!("accounts/{}", account.account_id), "")
        .json();
    assert_eq!(one, accounts["accounts"][0]);
    let id = caller.produce();
    assert_eq!(
        caller.jarai("GET", "partner/usage", "").json()["productionsToday"],
        1
    );
    let performance = caller
        .jarai("GET", &format!("productions/{id}/performance"), "")
        .json();
    assert_eq!(performance["productionId"], id);
    assert_eq!(caller.jarai("GET", "accounts/unknown", "").status, 404);
    assert_eq!(caller.jarai("GET", "nothing", "").status, 404);
}

#[test]
fn a_webhook_is_registered_listed_tested_and_deleted() {
    let mut caller = Caller::documented();
    let body = r#"{"endpointUrl":"https://host/hooks/jarai","eventTypes":["production.published","production.failed","deliverable.ready"]}"#;
    let made = caller.jarai("POST", "webhooks", body);
    assert_eq!(made.clean(), 201);
    let made = made.json();
    let id = made["webhookId"].as_str().unwrap();
    assert!(made["signingSecret"].is_string());
    let listed = caller.jarai("GET", "webhooks", "").json()["webhooks"].clone();
    assert_eq!(listed[0]["endpointUrl"], "https://host/hooks/jarai");
    assert!(listed[0].get("signingSecret").is_none());
    assert_eq!(
        caller
            .jarai("POST", &format!("webhooks/{id}/test"), "")
            .status,
        202
    );
    let sent = caller.sandbox.due_webhooks(caller.now_ms);
    let body: Value = serde_json::from_slice(&sent[0].body).unwrap();
    assert_eq!(body["eventType"], "webhook.test");
    assert_eq!(body["productionId"], "00000000-0000-0000-0000-000000000000");
    assert_eq!(
        caller.jarai("DELETE", &format!("webhooks/{id}"), "").status,
        204
    );
    assert_eq!(
        caller.jarai("GET", &format!("webhooks/{id}"), "").status,
        404
    );
}

#[test]
fn a_wrong_registration_of_a_webhook_is_refused() {
    let uuid = "11111111-1111-4111-8111-111111111111";
    let url = "https://h/x";
    let cases = [
        json!({ "eventTypes": ["webhook.test"] }),
        json!({ "endpointUrl": "http://h/x", "eventTypes": ["webhook.test"] }),
        json!({ "endpointUrl": url }),
        json!({ "endpointUrl": url, "eventTypes": [] }),
        json!({ "endpointUrl": url, "eventTypes": ["nonsense"] }),
        json!({ "endpointUrl": url, "eventTypes": ["webhook.test"], "accountIds": ["x"] }),
        json!({ "endpointUrl": url, "eventTypes": ["webhook.test"], "accountIds": vec![uuid; 51] }),
        json!({ "endpointUrl": url, "eventTypes": ["webhook.test"], "accountIds": [uuid], "accountScopeId": uuid }),
    ];
    for body in cases {
        let mut caller = Caller::documented();
        assert_eq!(
            caller.jarai("POST", "webhooks", &body.to_string()).status,
            400,
            "{body}"
        );
    }
}
