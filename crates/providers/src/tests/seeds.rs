//! Every sample of the user's three documents, verbatim from `fixtures/seeds`, goes through the
//! clients. `fixtures/seeds/STATEMENTS.md` says which test holds which statement.

use domain::Provider::{Jakov, Jarai, Productai};
use domain::Timestamp;
use serde_json::Value;

use super::{
    AT, CANARY, client, descriptions, generate, items, json_of, outcome, production, read, refusal,
    secret, status, status_call, upscale,
};
use crate::webhook::{self, WebhookKind};
use crate::{
    Call, Client, DescriptionItem, ExportFormat, ItemOutcome, MatchedBy, Outcome, Phase, Refusal,
    Submit,
};

macro_rules! seed {
    ($path:literal) => {
        include_str!(concat!("../../fixtures/seeds/", $path))
    };
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// URL, headers and body of a curl command as the documents write them.
struct Curl {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

fn curl(text: &str) -> Curl {
    let between = |from: &str, to: &str| {
        let rest = text.split_once(from).unwrap().1;
        rest.split_once(to).unwrap().0.to_owned()
    };
    let headers = text
        .split("-H \"")
        .skip(1)
        .map(|rest| rest.split_once('"').unwrap().0.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    Curl {
        method: between("-X ", " "),
        url: between(
            "https://",
            if text.contains(" \\\n") { " \\" } else { "\n" },
        ),
        headers,
        body: text.contains("-d '").then(|| json(&between("-d '", "'"))),
    }
}

/// A call's bytes are those of the curl command.
fn same_as_curl(call: &Call, text: &str) {
    let curl = curl(text);
    let base = "https://api.productai.photo/v1";
    let client = Client::new(Productai, base, secret("YOUR_API_KEY")).unwrap();
    let request = client.request(call);
    assert_eq!(request.method().as_str(), curl.method);
    assert_eq!(request.uri().to_string(), format!("https://{}", curl.url));
    for (name, value) in &curl.headers {
        assert_eq!(&request.headers()[name.as_str()], value.as_str(), "{name}");
    }
    match curl.body {
        Some(body) => assert_eq!(json_of(&request), body),
        None => assert!(request.body().is_empty()),
    }
}

// JAKOV.AI

#[test]
fn jakov_authenticates_with_a_bearer_token() {
    let key = "ejaj_live_your_api_key_here";
    let client = Client::new(Jakov, "https://www.jakov.ai", secret(key)).unwrap();
    let (name, value) = seed!("jakov/authorization.txt")
        .trim()
        .split_once(": ")
        .unwrap();
    for call in [
        Call::Credits,
        descriptions(vec![]),
        status_call("product_id"),
    ] {
        let request = client.request(&call);
        assert_eq!(request.headers()[name], value);
        assert!(request.headers()[name].is_sensitive());
    }
}

#[test]
fn jakov_products_go_out_as_in_the_sample() {
    let call = Call::Submit(Submit::Descriptions {
        project_id: "your_project_id".to_owned(),
        items: vec![
            DescriptionItem {
                ean: Some("1234567890123".to_owned()),
                product_name: None,
                product_brand: None,
                client_product_id: "SKU-001".to_owned(),
            },
            DescriptionItem {
                ean: None,
                product_name: Some("Wireless Headphones".to_owned()),
                product_brand: Some("SoundMax".to_owned()),
                client_product_id: "SKU-002".to_owned(),
            },
        ],
    });
    let request = client(Jakov).request(&call);
    assert_eq!(request.method(), "POST");
    assert_eq!(request.uri(), "https://www.jakov.ai/api/v1/products");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert_eq!(
        json_of(&request),
        json(seed!("jakov/products_request.json"))
    );
}

#[test]
fn jakov_a_completed_product_reads_as_in_the_sample() {
    let request = client(Jakov).request(&status_call("product_id"));
    assert_eq!(request.method(), "GET");
    assert_eq!(
        request.uri(),
        "https://www.jakov.ai/api/v1/products?id=product_id"
    );
    let job = status(Jakov, seed!("jakov/product_completed.json"));
    assert_eq!(job.remote_id, "product_id");
    assert_eq!(job.ean.as_deref(), Some("1234567890123"));
    assert_eq!(job.client_product_id.as_deref(), Some("SKU-001"));
    assert_eq!((job.status.as_str(), job.phase), ("completed", Phase::Done));
    assert_eq!(job.text.as_deref(), Some("This premium product..."));
    assert_eq!(
        job.created_at,
        Some(Timestamp::from_millis(1_706_000_000_000))
    );
    assert_eq!(
        job.completed_at,
        Some(Timestamp::from_millis(1_706_000_060_000))
    );
}

#[test]
fn jakov_the_export_is_asked_for_by_project_and_format() {
    for (format, expect) in [(ExportFormat::Json, "json"), (ExportFormat::Csv, "csv")] {
        let call = Call::Export {
            project_id: "your project&id".to_owned(),
            format,
        };
        let request = client(Jakov).request(&call);
        let uri = format!(
            "https://www.jakov.ai/api/v1/export?projectId=your+project%26id&format={expect}"
        );
        assert_eq!(request.uri(), uri.as_str());
        assert_eq!(request.method(), "GET");
    }
    assert_eq!(ExportFormat::default(), ExportFormat::Json);
}

#[test]
fn jakov_credits_read_as_in_the_sample() {
    let request = client(Jakov).request(&Call::Credits);
    assert_eq!(request.uri(), "https://www.jakov.ai/api/v1/credits");
    let read = outcome(Jakov, &Call::Credits, 200, seed!("jakov/credits.json"));
    assert!(
        matches!(
            read,
            Outcome::Credits {
                balance: Some(1500.0),
                ..
            }
        ),
        "{read:?}"
    );
}

#[test]
fn jakov_the_webhook_reads_as_in_the_sample() {
    let raw = seed!("jakov/webhook_completed.json").as_bytes();
    let event = webhook::parse(Jakov, raw).unwrap();
    assert_eq!(event.event, "generation.completed");
    assert_eq!(event.kind, WebhookKind::Done);
    assert_eq!(event.remote_id.as_deref(), Some("product_id"));
    assert_eq!(event.client_product_id.as_deref(), Some("SKU-001"));
    assert_eq!(event.at, Some("2026-01-23T12:00:00Z".parse().unwrap()));
    let job = event.job.unwrap();
    assert_eq!(job.text.as_deref(), Some("This premium product..."));
    assert_eq!(job.ean.as_deref(), Some("1234567890123"));
    assert_eq!(job.phase, Phase::Done);
}

#[test]
fn jakov_signs_with_hmac_sha256_of_the_body() {
    let (name, value) = seed!("jakov/webhook_signature.txt")
        .trim()
        .split_once(": ")
        .unwrap();
    assert_eq!(webhook::signature_header(Jakov), Some(name));
    assert!(value.starts_with("sha256="));
    let raw = seed!("jakov/webhook_completed.json").trim_end().as_bytes();
    // `openssl dgst -sha256 -hmac whsec_sample` over the sample.
    let signature = "sha256=1a0049a227342903ed1e4545a0f739a21d0b771dee93147e702d0299a761552b";
    let secrets = [secret("whsec_sample")];
    assert_eq!(
        webhook::verify(Jakov, &secrets, Some(signature), raw),
        Ok(())
    );
    // The page's own `abc123...` is no signature at all.
    let sample = webhook::verify(Jakov, &secrets, Some(value), raw);
    assert_eq!(sample, Err(webhook::SignatureError::Malformed));
}

#[test]
fn jakov_errors_mean_what_the_table_says() {
    let call = descriptions(vec![super::item("SKU-001", None)]);
    let submit = |status| refusal(Jakov, &call, status, "");
    assert!(matches!(submit(400), Refusal::Invalid { .. }));
    assert!(matches!(submit(401), Refusal::Unauthorized { .. }));
    assert!(matches!(submit(404), Refusal::Invalid { .. }));
    let bare = Refusal::RateLimited {
        pause: None,
        production_quota: false,
    };
    assert_eq!(submit(429), bare);
    assert!(matches!(
        outcome(Jakov, &call, 500, ""),
        Outcome::Unknown { .. }
    ));
    let read = |status| outcome(Jakov, &status_call("x"), status, "");
    assert!(matches!(read(404), Outcome::Missing));
    assert!(matches!(
        read(500),
        Outcome::Refused(Refusal::Unavailable { .. })
    ));
}

// ProductAI.photo

#[test]
fn productai_a_generation_goes_out_as_in_the_curl_samples() {
    let call = Call::Submit(Submit::Generate {
        model: "kontext-pro".to_owned(),
        image_urls: vec!["https://example.com/product.jpg".to_owned()],
        prompt: "Add sunglasses".to_owned(),
    });
    same_as_curl(&call, seed!("productai/generate_curl.sh"));
    let request = client(Productai).request(&call);
    assert_eq!(
        json_of(&request),
        json(seed!("productai/generate_request.json"))
    );

    let call = Call::Submit(Submit::Generate {
        model: "nanobanana".to_owned(),
        image_urls: vec![
            "https://example.com/product1.jpg".to_owned(),
            "https://example.com/product2.jpg".to_owned(),
        ],
        prompt: "Put the first image on top of the second image.".to_owned(),
    });
    same_as_curl(&call, seed!("productai/generate_two_images_curl.sh"));
}

#[test]
fn productai_an_upscale_goes_out_as_in_the_curl_sample() {
    same_as_curl(&upscale(), seed!("productai/upscale_curl.sh"));
    let request = client(Productai).request(&upscale());
    assert_eq!(
        json_of(&request),
        json(seed!("productai/upscale_request.json"))
    );
}

#[test]
fn productai_a_job_is_asked_for_as_in_the_curl_sample() {
    same_as_curl(&status_call("22292"), seed!("productai/job_curl.sh"));
}

#[test]
fn productai_a_submit_is_accepted_as_in_the_samples() {
    for (call, body, id, prompt) in [
        (
            generate(&["https://h/a.jpg"]),
            seed!("productai/generate_accepted.json"),
            "22292",
            Some("lipstick should be on fire"),
        ),
        (
            upscale(),
            seed!("productai/upscale_accepted.json"),
            "22293",
            None,
        ),
    ] {
        let items = items(Productai, &call, 200, body);
        let [
            ItemOutcome::Accepted {
                remote_id,
                matched_by,
                job,
                location,
            },
        ] = items.as_slice()
        else {
            panic!("{items:?}");
        };
        assert_eq!((remote_id.as_str(), *matched_by), (id, MatchedBy::Only));
        assert_eq!(location, &None);
        let job = job.as_ref().unwrap();
        assert_eq!((job.phase, job.prompt.as_deref()), (Phase::Working, prompt));
    }
}

#[test]
fn productai_a_job_reads_as_in_the_samples() {
    for (body, phase, url) in [
        (
            seed!("productai/generate_running.json"),
            Phase::Working,
            None,
        ),
        (seed!("productai/job_running.json"), Phase::Working, None),
        (
            seed!("productai/generate_completed.json"),
            Phase::Done,
            Some("https://generated-image-url.jpg"),
        ),
        (
            seed!("productai/job_completed.json"),
            Phase::Done,
            Some("https://generated-image-url.jpg"),
        ),
        (
            seed!("productai/upscale_completed.json"),
            Phase::Done,
            Some("https://upscaled-image-url.jpg"),
        ),
        (
            seed!("productai/job_error.json"),
            Phase::Failed {
                safe_to_resubmit: false,
            },
            None,
        ),
    ] {
        let job = status(Productai, body);
        assert_eq!(job.phase, phase, "{body}");
        assert_eq!(
            job.result_url.as_ref().map(crate::SignedUrl::expose),
            url,
            "{body}"
        );
    }
}

#[test]
fn productai_out_of_tokens_is_seen_under_any_status() {
    for (call, body) in [
        (
            generate(&["https://h/a.jpg"]),
            seed!("productai/generate_out_of_tokens.json"),
        ),
        (upscale(), seed!("productai/upscale_out_of_tokens.json")),
    ] {
        for status in [
            200, 202, 400, 401, 402, 403, 404, 409, 422, 429, 500, 502, 503,
        ] {
            let expect = Refusal::OutOfCredits {
                code: "OUT_OF_TOKENS".to_owned(),
                message: "Not enough credits".to_owned(),
            };
            assert_eq!(refusal(Productai, &call, status, body), expect, "{status}");
        }
    }
}

#[test]
fn productai_webhooks_read_as_in_the_samples() {
    let raw = seed!("productai/webhook_success.json").as_bytes();
    let event = webhook::parse(Productai, raw).unwrap();
    assert_eq!(event.kind, WebhookKind::Done);
    assert_eq!(event.remote_id.as_deref(), Some("12312"));
    let url = event.job.unwrap().result_url.unwrap();
    assert_eq!(url.expose(), "https://generated-image-url.jpg");

    let raw = seed!("productai/webhook_error.json").as_bytes();
    let event = webhook::parse(Productai, raw).unwrap();
    assert_eq!(event.kind, WebhookKind::SomethingFailed);
    assert_eq!((event.remote_id, event.job), (None, None));
}

#[test]
fn productai_errors_mean_what_the_table_says() {
    let call = upscale();
    let submit = |status| refusal(Productai, &call, status, "");
    assert!(matches!(submit(400), Refusal::Invalid { .. }));
    assert!(matches!(submit(401), Refusal::Unauthorized { .. }));
    assert!(matches!(
        submit(429),
        Refusal::RateLimited { pause: None, .. }
    ));
    assert!(matches!(
        outcome(Productai, &call, 500, ""),
        Outcome::Unknown { .. }
    ));
}

/// The shell loop of the document sees the same states as the client: its two terminal words are
/// terminal, and what it calls "still running" is not.
#[test]
fn productai_the_shell_loop_and_the_client_agree() {
    let script = seed!("productai/poll_until_complete.sh");
    for word in ["COMPLETED", "ERROR"] {
        assert!(script.contains(&format!("\"$STATUS\" == \"{word}\"")));
        let body = format!(r#"{{"status":"OK","data":{{"id":22292,"status":"{word}"}}}}"#);
        assert!(status(Productai, &body).phase.is_terminal(), "{word}");
    }
    let job = status(
        Productai,
        r#"{"status":"OK","data":{"id":22292,"status":"NEW_WORD"}}"#,
    );
    assert!(!job.phase.is_terminal());
    let uri = client(Productai)
        .request(&status_call("22292"))
        .uri()
        .to_string();
    assert!(script.contains(uri.strip_suffix("22292").unwrap()));
}

// JARAI (its document has no samples, only statements)

#[test]
fn jarai_registers_without_a_key_and_gets_a_partner_id() {
    let call = Call::RegisterPartner {
        organisation_name: "Example Ltd".to_owned(),
        contact_email: "api@example.com".to_owned(),
        contact_name: "A. Person".to_owned(),
    };
    let client = Client::without_key(Jarai, Jarai.default_base_url()).unwrap();
    let request = client.request(&call);
    assert_eq!(request.method(), "POST");
    assert!(request.uri().path().ends_with("/v1/partners/register"));
    assert!(!request.headers().contains_key("x-api-key"));
    let expect = serde_json::json!({
        "organisationName": "Example Ltd",
        "contactEmail": "api@example.com",
        "contactName": "A. Person"
    });
    assert_eq!(json_of(&request), expect);
    let read = outcome(Jarai, &call, 202, r#"{"partnerId":"p-1"}"#);
    assert!(
        matches!(&read, Outcome::Raw(raw) if raw["partnerId"] == "p-1"),
        "{read:?}"
    );
}

#[test]
fn jarai_verification_gives_the_key_once_and_never_prints_it() {
    use secrecy::ExposeSecret as _;
    let call = Call::VerifyPartner {
        token: secret("a.b+c"),
    };
    let request = client(Jarai).request(&call);
    assert_eq!(request.method(), "GET");
    assert!(
        request
            .uri()
            .to_string()
            .ends_with("/v1/partners/verify?token=a.b%2Bc")
    );
    assert!(!request.headers().contains_key("x-api-key"));
    for body in [
        r#"{"apiKey":"jarai_CANARYCANARYCANARY"}"#,
        r#"{"data":{"credential":"jarai_CANARYCANARYCANARY"}}"#,
    ] {
        let reply = read(Jarai, &call, 200, body);
        assert!(!format!("{reply:?}").contains("CANARY"), "{reply:?}");
        let Outcome::KeyIssued { key, .. } = reply.outcome else {
            panic!("{reply:?}");
        };
        assert_eq!(key.expose_secret(), "jarai_CANARYCANARYCANARY");
    }
}

#[test]
fn jarai_accounts_have_an_id_avatars_and_platforms() {
    let request = client(Jarai).request(&Call::Accounts);
    assert!(request.uri().path().ends_with("/v1/accounts"));
    assert_eq!(request.headers()["x-api-key"], CANARY);
    let one =
        r#"{"accountId":"a1","avatars":[{"avatarId":"v1","name":"Ann"}],"platforms":["YouTube"]}"#;
    for body in [
        format!("[{one}]"),
        format!(r#"{{"accounts":[{one}],"total":1}}"#),
        format!(r#"{{"data":{{"items":[{one}]}}}}"#),
        one.to_owned(),
    ] {
        let Outcome::Accounts(accounts) = outcome(Jarai, &Call::Accounts, 200, &body) else {
            panic!("{body}");
        };
        let [account] = accounts.as_slice() else {
            panic!("{accounts:?}");
        };
        assert_eq!(account.account_id, "a1");
        assert_eq!(account.avatars[0].avatar_id, "v1");
        assert_eq!(account.platforms, ["YouTube"]);
    }
}

#[test]
fn jarai_a_production_is_accepted_with_id_and_location() {
    let location = "/v1/productions/prod-1/status";
    let answer = super::response(
        202,
        &[("Location", location)],
        r#"{"productionId":"prod-1"}"#,
    );
    let reply = client(Jarai).read(&production(), Ok(answer), AT);
    let Outcome::Submitted(items) = reply.outcome else {
        panic!("{reply:?}");
    };
    let expect = ItemOutcome::Accepted {
        remote_id: "prod-1".to_owned(),
        matched_by: MatchedBy::Only,
        job: None,
        location: Some(location.to_owned()),
    };
    assert_eq!(items, [expect]);
}

#[test]
fn jarai_optional_fields_go_out_only_if_given() {
    let request = client(Jarai).request(&production());
    assert_eq!(request.method(), "POST");
    assert!(
        request
            .uri()
            .path()
            .ends_with("/v1/accounts/acc-1/productions")
    );
    let expect = serde_json::json!({
        "topic": "A red lipstick", "languageId": "lang-1", "countryId": "country-1",
        "avatarId": "avatar-1"
    });
    assert_eq!(json_of(&request), expect);
    let Call::Submit(Submit::Production {
        account_id,
        topic,
        language_id,
        country_id,
        avatar_id,
        ..
    }) = production()
    else {
        panic!("no production");
    };
    let call = Call::Submit(Submit::Production {
        account_id,
        topic,
        language_id,
        country_id,
        avatar_id,
        project_type_slug: Some("social-video-30s".to_owned()),
        metadata_md: Some("# Brief".to_owned()),
    });
    let body = json_of(&client(Jarai).request(&call));
    assert_eq!(body["projectTypeSlug"], "social-video-30s");
    assert_eq!(body["metadataMD"], "# Brief");
}

#[test]
fn jarai_three_states_are_terminal_and_no_other() {
    for (word, phase, terminal) in [
        ("Queued", Phase::Queued, false),
        ("Producing", Phase::Working, false),
        ("AwaitingApproval", Phase::AwaitingApproval, false),
        ("Distributing", Phase::Distributing, false),
        ("Published", Phase::Done, true),
        (
            "Failed",
            Phase::Failed {
                safe_to_resubmit: false,
            },
            true,
        ),
        ("Cancelled", Phase::Cancelled, true),
    ] {
        let job = status(
            Jarai,
            &format!(r#"{{"productionId":"p","status":"{word}"}}"#),
        );
        assert_eq!(
            (job.phase, job.phase.is_terminal()),
            (phase, terminal),
            "{word}"
        );
        assert_eq!(job.status, word);
    }
    let request = client(Jarai).request(&status_call("prod-1"));
    assert!(request.uri().path().ends_with("/v1/productions/prod-1"));
}

#[test]
fn jarai_deliverables_have_a_type_and_a_sas_url() {
    let call = Call::Deliverables {
        remote_id: "prod-1".to_owned(),
    };
    let request = client(Jarai).request(&call);
    assert!(
        request
            .uri()
            .path()
            .ends_with("/v1/productions/prod-1/deliverables")
    );
    let types = [
        "Video",
        "ClosedCaptions",
        "AudioDescription",
        "Transcript",
        "ComplianceCertificate",
    ];
    let list: Vec<_> = types
        .iter()
        .map(|kind| serde_json::json!({"type": kind, "sasUrl": format!("https://b/{kind}?sig=CANARY")}))
        .collect();
    let body = serde_json::json!({ "deliverables": list }).to_string();
    let read = outcome(Jarai, &call, 200, &body);
    assert!(!format!("{read:?}").contains("CANARY"), "{read:?}");
    let Outcome::Deliverables(files) = read else {
        panic!("no deliverables");
    };
    let kinds: Vec<_> = files.iter().map(|file| file.kind.as_str()).collect();
    assert_eq!(kinds, types);
    assert_eq!(files[0].url.expose(), "https://b/Video?sig=CANARY");
}
