//! The documents' own requests are accepted and answered as the documents show.

use super::*;
use crate::wire::Provider;
use serde_json::json;

#[test]
fn the_sample_of_jakov_is_accepted_and_read_as_documented() {
    let mut caller = Caller::documented();
    let answer = caller.jakov("POST", "products", JAKOV_SAMPLE);
    assert_eq!(answer.clean(), 202);
    let products = answer.json()["products"].clone();
    let id = products[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(products[0]["clientProductId"], "SKU-001");
    let pending = caller.jakov("GET", &format!("products?id={id}"), "").json();
    assert_eq!(pending["status"], "pending");
    assert!(pending.get("generatedDescription").is_none());
    caller.wait(600_000);
    let done = caller.jakov("GET", &format!("products?id={id}"), "");
    assert_eq!(done.clean(), 200);
    let done = done.json();
    assert_eq!(done["id"], id);
    assert_eq!(done["ean"], "1234567890123");
    assert_eq!(done["status"], "completed");
    assert_eq!(done["createdAt"], NOON);
    assert!(done["completedAt"].as_i64().unwrap() > NOON);
    assert!(
        done["generatedDescription"]
            .as_str()
            .unwrap()
            .contains("1234567890123")
    );
    assert_eq!(
        caller.jakov("GET", "credits", "").json(),
        json!({ "balance": 99_998 })
    );
}

#[test]
fn a_product_walks_through_the_documented_statuses() {
    let mut caller = Caller::documented();
    let id = caller.jakov("POST", "products", JAKOV_SAMPLE).json()["products"][1]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut seen: Vec<String> = Vec::new();
    while seen.last().is_none_or(|it| it != "completed") {
        let answer = caller.jakov("GET", &format!("products?id={id}"), "").json();
        seen.push(answer["status"].as_str().unwrap().to_owned());
        caller.wait(500);
    }
    seen.dedup();
    assert_eq!(
        seen,
        ["pending", "looking_up", "found", "generating", "completed"]
    );
}

#[test]
fn an_export_holds_the_completed_products_of_one_project() {
    let mut caller = Caller::documented();
    caller.jakov("POST", "products", JAKOV_SAMPLE);
    assert_eq!(
        caller
            .jakov("GET", "export?projectId=your_project_id", "")
            .json(),
        json!([])
    );
    caller.wait(600_000);
    let export = caller
        .jakov("GET", "export?projectId=your_project_id&format=json", "")
        .json();
    assert_eq!(export.as_array().unwrap().len(), 2);
    assert_eq!(export[1]["clientProductId"], "SKU-002");
    assert_eq!(
        caller.jakov("GET", "export?projectId=other", "").json(),
        json!([])
    );
    let csv = caller.jakov("GET", "export?projectId=your_project_id&format=csv", "");
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert!(text.starts_with("id,ean,clientProductId,productName,generatedDescription\r\n"));
    assert!(text.contains(",1234567890123,SKU-001,,\"") && text.contains("\"\"honestly\"\""));
}

#[test]
fn the_samples_of_productai_are_accepted_and_answered_as_documented() {
    let mut caller = Caller::documented();
    let answer = caller.productai("POST", "generate", GENERATE_SAMPLE);
    assert_eq!(answer.clean(), 200);
    let data = json!({ "id": 22292, "status": "RUNNING", "prompt": "Add sunglasses" });
    assert_eq!(answer.json(), json!({ "status": "OK", "data": data }));
    assert_eq!(
        caller
            .productai("POST", "generate", TWO_IMAGES_SAMPLE)
            .clean(),
        200
    );
    let upscale = caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert_eq!(upscale.clean(), 200);
    assert!(upscale.json()["data"].get("prompt").is_none());
    assert_eq!(
        caller.sandbox.ledger().charged(Provider::Productai),
        3 + 3 + 20
    );
    caller.wait(300_000);
    let done = caller.productai("GET", "job/22292", "");
    assert_eq!(done.clean(), 200);
    let done = done.json();
    assert_eq!(done["data"]["status"], "COMPLETED");
    assert_eq!(done["data"]["prompt"], "Add sunglasses");
    let link = done["data"]["image_url"].as_str().unwrap().to_owned();
    let file = caller.send("GET", &link, &[], "");
    assert_eq!(file.clean(), 200);
    assert_eq!(
        file.body,
        caller.sandbox.files(Provider::Productai, "22292")[0].bytes
    );
}

#[test]
fn every_model_has_the_documented_price() {
    let prices = [
        ("gpt-low", 2),
        ("gpt-medium", 3),
        ("gpt-high", 8),
        ("kontext-pro", 3),
        ("nanobanana", 3),
        ("nanobananapro", 8),
        ("seedream", 3),
    ];
    for (model, tokens) in prices {
        let mut caller = Caller::documented();
        let body = GENERATE_SAMPLE.replace("kontext-pro", model);
        assert_eq!(
            caller.productai("POST", "generate", &body).clean(),
            200,
            "{model}"
        );
        assert_eq!(
            caller.sandbox.ledger().charged(Provider::Productai),
            tokens,
            "{model}"
        );
    }
}

#[test]
fn a_failed_image_is_a_success_of_http_without_a_reason() {
    let mut options = Options::default();
    options.productai.error_share = 1.0;
    let mut caller = Caller::new(options);
    caller.productai("POST", "generate", GENERATE_SAMPLE);
    caller.wait(300_000);
    let answer = caller.productai("GET", "job/22292", "");
    assert_eq!(answer.clean(), 200);
    let expected = json!({ "status": "OK", "data": { "id": 22292, "status": "ERROR" } });
    assert_eq!(answer.json(), expected);
    caller.wait(5_000);
    let again = caller.productai("GET", "job/22292", "");
    assert_eq!(again.violations(), [Violation::PollAfterTerminal]);
}

#[test]
fn the_lengths_of_jobs_are_around_their_medians() {
    let mut options = Options::default();
    options.productai.requests_per_minute = 10_000;
    options.productai.tokens = u64::MAX;
    let mut caller = Caller::new(options);
    for _ in 0..501 {
        caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    }
    let mut lengths: Vec<i64> = caller
        .sandbox
        .jobs(NOON)
        .map(|it| it.end_ms - it.created_ms)
        .collect();
    lengths.sort_unstable();
    assert!((27_000..33_000).contains(&lengths[250]), "{}", lengths[250]);
}

#[test]
fn jobs_after_the_drift_take_the_other_time_and_those_before_it_what_they_took() {
    let lengths = |drift_from: Option<u64>| {
        let mut options = Options::default();
        options.productai.requests_per_minute = 100;
        options.productai.drift_from = drift_from;
        let mut caller = Caller::new(options);
        for _ in 0..40 {
            caller.productai("POST", "upscale", UPSCALE_SAMPLE);
        }
        let jobs = caller.sandbox.jobs(NOON);
        jobs.map(|it| it.end_ms - it.created_ms).collect::<Vec<_>>()
    };
    let (steady, drifting) = (lengths(None), lengths(Some(20)));
    assert_eq!(steady[..20], drifting[..20]);
    // From a median of 30 s to one of 12 s, with the same spread.
    let shrunk = |(before, after): (&i64, &i64)| (before * 12 / 30 - after).abs() <= 1;
    assert!(steady[20..].iter().zip(&drifting[20..]).all(shrunk));
}
