//! What the documents forbid is refused; what they do not know is noted.

use super::*;
use serde_json::json;

fn named(answer: &Answer) -> Vec<String> {
    answer
        .violations()
        .iter()
        .map(|it| match it {
            Violation::UnknownField(name) | Violation::UnknownHeader(name) => name.clone(),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_missing_or_wrong_key_is_401_at_all_three() {
    let mut caller = Caller::documented();
    let cases: [(&str, &[(&str, &str)]); 6] = [
        ("/jakov/api/v1/credits", &[]),
        (
            "/jakov/api/v1/credits",
            &[("authorization", "Bearer wrong")],
        ),
        (
            "/jakov/api/v1/credits",
            &[("x-api-key", "ejaj_live_sandbox")],
        ),
        (
            "/productai/v1/api/job/1",
            &[("authorization", "Bearer sandboxkey0123456789abcdefABCDEF")],
        ),
        ("/jarai/v1/accounts", &[]),
        ("/jarai/v1/accounts", &[("x-api-key", "jarai_wrong")]),
    ];
    for (path, headers) in cases {
        let answer = caller.send("GET", path, headers, "");
        assert_eq!(answer.clean(), 401, "{path}");
        assert!(answer.entry.reason.is_some());
    }
    let answer = caller.send("GET", "/jarai/v1/accounts", &[], "").json();
    assert_eq!(answer["error"], "UNAUTHORIZED");
    assert!(answer["retryAfterSeconds"].is_null());
}

#[test]
fn a_wrong_product_is_refused_by_jakov() {
    let cases = [
        ("not json", 400),
        ("[]", 400),
        (r#"{"products":[{"ean":"1"}]}"#, 400),
        (r#"{"projectId":5,"products":[{"ean":"1"}]}"#, 400),
        (r#"{"projectId":"p","products":[]}"#, 400),
        (r#"{"projectId":"p","products":{"ean":"1"}}"#, 400),
        (
            r#"{"projectId":"p","products":[{"ean":4006381333931}]}"#,
            400,
        ),
        (
            r#"{"projectId":"p","products":[{"productBrand":"b"}]}"#,
            400,
        ),
        (r#"{"projectId":"p","products":[{"ean":""}]}"#, 400),
        (
            r#"{"projectId":"p","products":[{"ean":"1"},{"clientProductId":"x"}]}"#,
            400,
        ),
    ];
    for (body, status) in cases {
        let mut caller = Caller::documented();
        assert_eq!(
            caller.jakov("POST", "products", body).status,
            status,
            "{body}"
        );
        assert_eq!(caller.sandbox.jobs(NOON).count(), 0, "{body}");
        assert_eq!(caller.sandbox.ledger().charges().len(), 0, "{body}");
    }
    let mut caller = Caller::documented();
    for path in [
        "products",
        "products?id=",
        "export",
        "export?projectId=p&format=xml",
    ] {
        assert_eq!(caller.jakov("GET", path, "").status, 400, "{path}");
    }
    assert_eq!(caller.jakov("GET", "products?id=unknown", "").status, 404);
    assert_eq!(
        caller.jakov("DELETE", "products?id=unknown", "").status,
        404
    );
}

#[test]
fn a_wrong_image_order_is_refused_by_productai() {
    let url = "https://h/a.jpg";
    let cases = [
        ("generate", json!({ "image_url": url, "prompt": "p" })),
        (
            "generate",
            json!({ "model": "dall-e", "image_url": url, "prompt": "p" }),
        ),
        ("generate", json!({ "model": "seedream", "prompt": "p" })),
        ("generate", json!({ "model": "seedream", "image_url": url })),
        (
            "generate",
            json!({ "model": "seedream", "image_url": url, "prompt": " " }),
        ),
        (
            "generate",
            json!({ "model": "seedream", "image_url": [url, url, url], "prompt": "p" }),
        ),
        (
            "generate",
            json!({ "model": "seedream", "image_url": [], "prompt": "p" }),
        ),
        (
            "generate",
            json!({ "model": "seedream", "image_url": [url, 7], "prompt": "p" }),
        ),
        (
            "generate",
            json!({ "model": "gpt-low", "image_url": [url], "prompt": "p" }),
        ),
        (
            "generate",
            json!({ "model": "gpt-low", "image_url": "a.jpg", "prompt": "p" }),
        ),
        (
            "generate",
            json!({ "model": "gpt-low", "image_url": 7, "prompt": "p" }),
        ),
        ("upscale", json!({ "image_url": url, "prompt": "p" })),
        ("upscale", json!({ "image_url": [url] })),
        ("upscale", json!({})),
    ];
    for (path, body) in cases {
        let mut caller = Caller::documented();
        let answer = caller.productai("POST", path, &body.to_string());
        assert_eq!(answer.clean(), 400, "{body}");
        assert_eq!(caller.sandbox.ledger().charges().len(), 0, "{body}");
    }
    let mut caller = Caller::documented();
    assert_eq!(caller.productai("GET", "job/1", "").status, 404);
    assert_eq!(caller.productai("GET", "job/one", "").status, 404);
    // The newer dialect's paths do not exist here.
    assert_eq!(
        caller
            .productai("POST", "../generate", GENERATE_SAMPLE)
            .status,
        404
    );
}

#[test]
fn a_wrong_production_is_refused_by_jarai() {
    let emoji = "😀".repeat(251);
    let cases = [
        ("topic", json!("")),
        ("topic", json!(null)),
        ("topic", json!("x".repeat(501))),
        ("topic", json!(emoji)),
        ("languageId", json!("en")),
        ("countryId", json!("11111111-1111-4111-8111-111111111111")),
        ("avatarId", json!("11111111-1111-4111-8111-111111111111")),
        ("avatarId", json!(7)),
        ("projectTypeSlug", json!(1)),
        ("metadataMD", json!("x".repeat(4_097))),
        ("metadataMD", json!("😀".repeat(2_049))),
    ];
    for (field, value) in cases {
        let mut caller = Caller::documented();
        let mut body = production();
        body[field] = value.clone();
        let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
        let answer = caller.jarai("POST", &path, &body.to_string());
        assert_eq!(answer.clean(), 400, "{field}: {value}");
        assert_eq!(answer.json()["error"], "INVALID_REQUEST");
        assert_eq!(caller.sandbox.jobs(NOON).count(), 0);
    }
    for field in ["topic", "languageId", "countryId", "avatarId"] {
        let mut caller = Caller::documented();
        let mut body = production();
        body.as_object_mut().unwrap().remove(field);
        let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
        assert_eq!(
            caller.jarai("POST", &path, &body.to_string()).clean(),
            400,
            "{field}"
        );
    }
}

#[test]
fn the_longest_allowed_texts_are_accepted_by_jarai() {
    let mut caller = Caller::documented();
    let mut body = production();
    body["topic"] = json!("😀".repeat(250));
    body["metadataMD"] = json!("x".repeat(4_096));
    let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
    assert_eq!(caller.jarai("POST", &path, &body.to_string()).clean(), 202);
}

#[test]
fn a_body_that_is_not_declared_as_json_is_415() {
    let mut caller = Caller::documented();
    let key = caller.options.productai.api_key.clone();
    for headers in [
        vec![("x-api-key", key.as_str())],
        vec![("x-api-key", &key), ("content-type", "text/plain")],
    ] {
        let answer = caller.send(
            "POST",
            "/productai/v1/api/upscale",
            &headers,
            UPSCALE_SAMPLE,
        );
        assert_eq!(answer.clean(), 415);
    }
    let headers = [
        ("x-api-key", key.as_str()),
        ("content-type", "application/json; charset=utf-8"),
    ];
    let answer = caller.send(
        "POST",
        "/productai/v1/api/upscale",
        &headers,
        UPSCALE_SAMPLE,
    );
    assert_eq!(answer.clean(), 200);
}

#[test]
fn unknown_fields_and_headers_of_a_submit_are_noted() {
    let mut caller = Caller::documented();
    let body = r#"{"projectId":"p","language":"de","products":[{"ean":"1","price":"9"}]}"#;
    let answer = caller.jakov("POST", "products", body);
    assert_eq!(
        (answer.status, named(&answer)),
        (202, vec!["language".into(), "price".into()])
    );
    let body = GENERATE_SAMPLE.replace("{\"model\"", "{\"seed\": 1, \"model\"");
    let answer = caller.productai("POST", "generate", &body);
    assert_eq!((answer.status, named(&answer)), (200, vec!["seed".into()]));
    let key = caller.options.productai.api_key.clone();
    let headers = [
        ("x-api-key", key.as_str()),
        JSON,
        ("idempotency-key", "7"),
        ("authorization", "Bearer ejaj_live_sandbox"),
        ("user-agent", "vitrine"),
        ("accept", "*/*"),
    ];
    let answer = caller.send(
        "POST",
        "/productai/v1/api/upscale",
        &headers,
        UPSCALE_SAMPLE,
    );
    assert_eq!(
        (answer.status, named(&answer)),
        (200, vec!["idempotency-key".into(), "authorization".into()])
    );
    let mut body = production();
    body["clientReference"] = json!("x");
    let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
    let answer = caller.jarai("POST", &path, &body.to_string());
    assert_eq!(
        (answer.status, named(&answer)),
        (202, vec!["clientReference".into()])
    );
}

#[test]
fn out_of_tokens_is_told_under_each_code_and_takes_nothing() {
    use crate::options::ProductaiDialect;
    for code in [200, 400, 402, 500] {
        for dialect in [ProductaiDialect::Seed, ProductaiDialect::Coded] {
            let mut options = Options::default();
            options.productai.tokens = 22;
            options.productai.shape.out_of_tokens_code = code;
            options.productai.shape.dialect = dialect;
            let mut caller = Caller::new(options);
            assert_eq!(
                caller.productai("POST", "upscale", UPSCALE_SAMPLE).clean(),
                200
            );
            let refused = caller.productai("POST", "generate", GENERATE_SAMPLE);
            assert_eq!(refused.clean(), code);
            let body = refused.json();
            match dialect {
                ProductaiDialect::Seed => assert_eq!(
                    body,
                    json!({ "name": "ApiError", "message": "OUT_OF_TOKENS", "details": "Not enough credits" })
                ),
                ProductaiDialect::Coded => assert_eq!(body["code"], "OUT_OF_TOKENS"),
            }
            let left = caller.productai("GET", "key-check", "").json();
            assert_eq!(left["data"]["tokens_remaining"], 2);
        }
    }
}

#[test]
fn an_empty_balance_at_jakov_is_refused_or_ends_failed() {
    use crate::options::NoCredit;
    let mut options = Options::default();
    options.jakov.credits = 1;
    let mut caller = Caller::new(options.clone());
    assert_eq!(caller.jakov("POST", "products", JAKOV_SAMPLE).status, 402);
    assert_eq!(caller.sandbox.jobs(NOON).count(), 0);
    options.jakov.shape.no_credit = NoCredit::TakeAndFail;
    let mut caller = Caller::new(options);
    assert_eq!(caller.jakov("POST", "products", JAKOV_SAMPLE).status, 202);
    assert!(
        caller
            .sandbox
            .jobs(NOON + 900_000)
            .all(|it| it.status == "failed" && it.credits == 0)
    );
    assert_eq!(caller.jakov("GET", "credits", "").json()["balance"], 1);
}

#[test]
fn a_key_sent_to_the_file_host_is_noted() {
    let mut caller = Caller::documented();
    for header in ["authorization", "x-api-key"] {
        let answer = caller.send("GET", "/files/productai/1.png", &[(header, "k")], "");
        assert_eq!(answer.violations(), [Violation::KeySentToFileHost]);
    }
}
