//! The traps of the three contracts, one test each, by their number in the notes on the public
//! APIs. Those about money, waiting and storage are held where that is decided.

use std::time::Duration;

use domain::Provider::{Jakov, Jarai, Productai};
use domain::Timestamp;

use super::{
    AT, CANARY, client, descriptions, generate, item, items, json_of, outcome, production, read,
    refusal, response, secret, status, status_call, upscale,
};
use crate::webhook::{self, SignatureError, WebhookKind};
use crate::{Call, Client, ItemOutcome, Outcome, Pause, Phase, Refusal, SendError, Submit};

#[test]
fn trap_01_a_productai_id_is_the_same_text_as_number_and_as_string() {
    for body in [
        r#"{"status":"OK","data":{"id":12312,"status":"RUNNING"}}"#,
        r#"{"status":"OK","data":{"id":"12312","status":"RUNNING"}}"#,
        r#"{"job_id":"12312","status":"pending"}"#,
    ] {
        assert_eq!(status(Productai, body).remote_id, "12312");
    }
    let raw = br#"{"status":"success","job_id":"12312","image_url":"https://h/x.png"}"#;
    assert_eq!(
        webhook::parse(Productai, raw).unwrap().remote_id.as_deref(),
        Some("12312")
    );
}

#[test]
fn trap_02_the_outer_ok_is_not_the_jobs_state() {
    let job = status(
        Productai,
        r#"{"status":"OK","data":{"id":1,"status":"ERROR"}}"#,
    );
    assert_eq!(job.status, "ERROR");
    assert_eq!(
        job.phase,
        Phase::Failed {
            safe_to_resubmit: false
        }
    );
    // An outer OK without a job is no job.
    let read = outcome(Productai, &status_call("1"), 200, r#"{"status":"OK"}"#);
    assert!(
        matches!(read, Outcome::Refused(Refusal::Unavailable { .. })),
        "{read:?}"
    );
}

#[test]
fn trap_03_the_five_spellings_of_done_are_done() {
    assert_eq!(
        status(Jarai, r#"{"status":"Published"}"#).phase,
        Phase::Done
    );
    assert_eq!(
        status(Jakov, r#"{"status":"completed"}"#).phase,
        Phase::Done
    );
    let body = r#"{"status":"OK","data":{"id":1,"status":"COMPLETED"}}"#;
    assert_eq!(status(Productai, body).phase, Phase::Done);
    let raw = br#"{"status":"success","job_id":"1"}"#;
    assert_eq!(
        webhook::parse(Productai, raw).unwrap().kind,
        WebhookKind::Done
    );
    let raw = br#"{"event":"generation.completed","product":{"id":"p"}}"#;
    assert_eq!(webhook::parse(Jakov, raw).unwrap().kind, WebhookKind::Done);
    assert_eq!(
        status(Jakov, r#"{"status":"looking_up"}"#).phase,
        Phase::Working
    );
}

#[test]
fn trap_04_metadata_md_keeps_its_capitals() {
    let call = Call::Submit(Submit::Production {
        account_id: "a".to_owned(),
        topic: "t".to_owned(),
        language_id: "l".to_owned(),
        country_id: "c".to_owned(),
        avatar_id: "v".to_owned(),
        project_type_slug: None,
        metadata_md: Some("# x".to_owned()),
    });
    let request = client(Jarai).request(&call);
    let text = std::str::from_utf8(request.body()).unwrap();
    assert!(text.contains(r##""metadataMD":"# x""##), "{text}");
}

#[test]
fn trap_05_the_text_has_another_name_in_the_webhook() {
    let job = status(
        Jakov,
        r#"{"id":"p","status":"completed","generatedDescription":"A"}"#,
    );
    assert_eq!(job.text.as_deref(), Some("A"));
    let raw = br#"{"event":"generation.completed","product":{"id":"p","description":"A"}}"#;
    let event = webhook::parse(Jakov, raw).unwrap();
    assert_eq!(event.job.unwrap().text.as_deref(), Some("A"));
}

#[test]
fn trap_06_times_are_milliseconds_seconds_and_iso_each_in_its_place() {
    let moment = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let job = status(Jakov, r#"{"status":"pending","createdAt":1706000000000}"#);
    assert_eq!(job.created_at, moment("2024-01-23T08:53:20Z"));
    let raw = br#"{"event":"x","timestamp":"2026-01-23T12:00:00Z"}"#;
    assert_eq!(
        webhook::parse(Jakov, raw).unwrap().at,
        moment("2026-01-23T12:00:00Z")
    );
    let job = status(
        Jarai,
        r#"{"status":"Queued","expiresAt":"2026-04-03T14:40:00Z"}"#,
    );
    assert_eq!(job.expires_at, moment("2026-04-03T14:40:00Z"));
    let headers = [
        ("X-RateLimit-Reset", "1795338660"),
        ("X-RateLimit-Limit", "10"),
        ("X-RateLimit-Remaining", "3"),
    ];
    let answer = response(200, &headers, r#"{"status":"Queued"}"#);
    let hint = client(Jarai).read(&status_call("p"), Ok(answer), AT).hint;
    assert_eq!(hint.reset_at, moment("2026-11-22T09:11:00Z"));
    assert_eq!((hint.limit, hint.remaining), (Some(10), Some(3)));
    let body = r#"{"error":"RATE_LIMIT_EXCEEDED","message":"m","retryAfterSeconds":42}"#;
    let expect = Refusal::RateLimited {
        pause: Some(Pause::For(Duration::from_secs(42))),
        production_quota: false,
    };
    assert_eq!(refusal(Jarai, &status_call("p"), 429, body), expect);
}

#[test]
fn trap_07_every_error_envelope_reads_and_none_hides_the_status() {
    for (body, code, message) in [
        (
            r#"{"error":"INVALID_REQUEST","message":"m","retryAfterSeconds":null}"#,
            "INVALID_REQUEST",
            "m",
        ),
        (
            r#"{"name":"ApiError","message":"m","details":"d"}"#,
            "ApiError",
            "m",
        ),
        (
            r#"{"name":"ApiError","message":"BAD_IMAGE","details":"d"}"#,
            "BAD_IMAGE",
            "d",
        ),
        (
            r#"{"status":"ERROR","message":"m","code":"INVALID_MODEL"}"#,
            "INVALID_MODEL",
            "m",
        ),
        (r#"{"error":{"code":"X_1","message":"m"}}"#, "X_1", "m"),
        (r#"{"errors":[{"code":"X_1","message":"m"}]}"#, "X_1", "m"),
        (
            r#"{"error":"the name is too long"}"#,
            "http_400",
            "the name is too long",
        ),
        (r#"{"statusCode":400,"message":"m"}"#, "http_400", "m"),
        (
            "<html>400</html>",
            "http_400",
            "the provider answered HTTP 400",
        ),
        ("", "http_400", "the provider answered HTTP 400"),
        ("\u{feff}{\"error\":\"E_1\",\"message\":\"m\"}", "E_1", "m"),
    ] {
        let expect = Refusal::Invalid {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        for provider in [Jakov, Productai, Jarai] {
            assert_eq!(
                refusal(provider, &status_call("x"), 400, body),
                expect,
                "{body}"
            );
        }
    }
    let too_large = refusal(Jarai, &production(), 413, "<html>too large</html>");
    assert!(matches!(too_large, Refusal::Invalid { code, .. } if code == "http_413"));
}

#[test]
fn trap_08_an_ean_is_a_text_with_its_leading_zeros() {
    let call = descriptions(vec![item("a", Some("0012345678905"))]);
    let request = client(Jakov).request(&call);
    let text = std::str::from_utf8(request.body()).unwrap();
    assert!(text.contains(r#""ean":"0012345678905""#), "{text}");
    // The document's own sample fails its check digit and goes out all the same.
    let call = descriptions(vec![item("a", Some("1234567890123"))]);
    assert_eq!(
        json_of(&client(Jakov).request(&call))["products"][0]["ean"],
        "1234567890123"
    );
}

#[test]
fn trap_09_one_image_is_a_string_and_two_are_an_array() {
    let one = json_of(&client(Productai).request(&generate(&["https://h/a"])));
    assert_eq!(one["image_url"], "https://h/a");
    let two = json_of(&client(Productai).request(&generate(&["https://h/a", "https://h/b"])));
    assert_eq!(
        two["image_url"],
        serde_json::json!(["https://h/a", "https://h/b"])
    );
    // While it runs there is no result, whatever stands in the field.
    let body =
        r#"{"status":"OK","data":{"id":1,"status":"RUNNING","image_url":"https://h/source"}}"#;
    assert_eq!(status(Productai, body).result_url, None);
}

#[test]
fn trap_10_an_unknown_state_is_not_terminal() {
    for (provider, body) in [
        (Jakov, r#"{"id":"1","status":"polishing"}"#),
        (
            Productai,
            r#"{"status":"OK","data":{"id":1,"status":"DREAMING"}}"#,
        ),
        (
            Jarai,
            r#"{"productionId":"1","status":"OnHold","new":{"deep":[1]}}"#,
        ),
    ] {
        assert_eq!(status(provider, body).phase, Phase::Unrecognised);
    }
    let data = |word: &str| format!(r#"{{"status":"OK","data":{{"id":1,"status":"{word}"}}}}"#);
    assert_eq!(status(Productai, &data("NOT_STARTED")).phase, Phase::Queued);
    for word in ["FAILED", "TIMEOUT"] {
        let phase = status(Productai, &data(word)).phase;
        assert_eq!(
            phase,
            Phase::Failed {
                safe_to_resubmit: false
            },
            "{word}"
        );
    }
    let raw = br#"{"eventType":"production.paused","productionId":"p","sequenceNumber":4}"#;
    assert_eq!(
        webhook::parse(Jarai, raw).unwrap().kind,
        WebhookKind::Unrecognised
    );
}

#[test]
fn trap_11_the_brand_goes_out_though_the_table_forgets_it() {
    let mut product = item("a", None);
    product.product_name = Some("Headphones".to_owned());
    product.product_brand = Some("SoundMax".to_owned());
    let body = json_of(&client(Jakov).request(&descriptions(vec![product])));
    assert_eq!(body["products"][0]["productBrand"], "SoundMax");
}

#[test]
fn trap_12_no_text_is_cut_on_its_way_out() {
    let long = "🦀".repeat(5000);
    let call = Call::Submit(Submit::Generate {
        model: "m".to_owned(),
        image_urls: vec!["https://h/a".to_owned()],
        prompt: long.clone(),
    });
    assert_eq!(
        json_of(&client(Productai).request(&call))["prompt"],
        long.as_str()
    );
}

#[test]
fn trap_13_the_bases_own_path_survives() {
    for base in [
        "https://api.jarai.studio/v1/partner",
        "https://api.jarai.studio/v1/partner/",
    ] {
        let client = Client::new(Jarai, base, secret(CANARY)).unwrap();
        let uri = client.request(&Call::Accounts).uri().to_string();
        assert_eq!(uri, "https://api.jarai.studio/v1/partner/accounts");
    }
    let bad = [
        "",
        "api.example/v1",
        "ftp://h/",
        "https://",
        "https://u:p@h/",
        "https://h/?a=b",
    ];
    for base in bad {
        assert!(Client::new(Jarai, base, secret(CANARY)).is_err(), "{base}");
    }
}

#[test]
fn trap_14_productai_is_spoken_in_the_users_dialect() {
    let request = client(Productai).request(&generate(&["https://h/a"]));
    assert_eq!(request.uri(), "https://api.productai.photo/v1/api/generate");
    assert_eq!(request.headers()["x-api-key"], CANARY);
    assert!(!request.headers().contains_key("authorization"));
}

#[test]
fn trap_15_a_redirect_is_a_refusal_that_names_the_host_alone() {
    let location = "https://elsewhere.example/login?token=CANARY";
    for status in [301, 302, 303, 307, 308] {
        let answer = response(status, &[("Location", location)], "");
        let reply = client(Productai).read(&upscale(), Ok(answer), AT);
        let text = format!("{reply:?}");
        assert!(
            !text.contains("CANARY") && text.contains("elsewhere.example"),
            "{text}"
        );
        assert!(
            matches!(reply.outcome, Outcome::Refused(Refusal::Invalid { code, .. }) if code == "redirect")
        );
    }
}

#[test]
fn trap_16_a_location_is_followed_only_on_the_configured_origin() {
    let base = "https://apim.example/v1";
    let client = Client::new(Jarai, base, secret(CANARY)).unwrap();
    let by_id = "https://apim.example/v1/productions/p1";
    for (location, expect) in [
        (
            "https://apim.example/v1/productions/p1/status",
            "https://apim.example/v1/productions/p1/status",
        ),
        (
            "/v1/productions/p1/status?x=1",
            "https://apim.example/v1/productions/p1/status?x=1",
        ),
        ("https://apim.example:443/v1/p", "https://apim.example/v1/p"),
        ("https://internal.example/v1/productions/p1", by_id),
        ("http://apim.example/v1/productions/p1", by_id),
        ("https://apim.example:8443/v1/productions/p1", by_id),
        ("https://apim.example@evil.example/x", by_id),
        ("https://user@apim.example/x", by_id),
        ("//evil.example/x", by_id),
        ("/\\evil.example/x", by_id),
        ("p1/status", by_id),
        ("javascript:x", by_id),
        ("", by_id),
    ] {
        let call = Call::Status {
            remote_id: "p1".to_owned(),
            location: Some(location.to_owned()),
        };
        assert_eq!(client.request(&call).uri(), expect, "{location}");
    }
}

#[test]
fn trap_17_a_signed_link_is_printed_nowhere() {
    let call = Call::Deliverables {
        remote_id: "p".to_owned(),
    };
    let body = r#"[{"type":"Video","sasUrl":"https://b/v?sig=CANARY&se=1"}]"#;
    let reply = read(Jarai, &call, 200, body);
    assert!(!format!("{reply:?}").contains("CANARY"), "{reply:?}");
    // Nor in an answer that is kept for people.
    for broken in [
        body.strip_suffix(']').unwrap(),
        r#"{"u":"https:\/\/b\/v?sig=CANARY"}"#,
    ] {
        let reply = read(Jarai, &call, 200, broken);
        assert!(reply.kept.is_some());
        assert!(!format!("{reply:?}").contains("CANARY"), "{reply:?}");
    }
    let submit = generate(&["https://s/a.jpg?X-Amz-Signature=CANARY"]);
    assert!(!format!("{submit:?}").contains("CANARY"));
}

#[test]
fn trap_19_keys_are_printed_nowhere() {
    let client = client(Jarai);
    let request = client.request(&Call::Accounts);
    assert!(!format!("{client:?} {request:?}").contains("CANARY"));
    assert_eq!(request.headers()["x-api-key"], CANARY);
    for echo in [
        CANARY.to_owned(),
        format!("Bearer {CANARY}"),
        "jarai_live_CANARYCANARY1".to_owned(),
    ] {
        let body = format!(r#"{{"error":"UNAUTHORIZED","message":"key {echo} is wrong"}}"#);
        let reply = read(Jarai, &Call::Accounts, 401, &body);
        let Outcome::Refused(Refusal::Unauthorized { .. }) = &reply.outcome else {
            panic!("{reply:?}");
        };
        assert!(!reply.kept.unwrap().contains("CANARY"));
        assert!(
            !format!("{:?}", reply.outcome).contains("CANARY"),
            "{:?}",
            reply.outcome
        );
    }
    let bad = Client::new(Jarai, "https://h/", secret("CANARY\u{7f}\nkey")).unwrap_err();
    assert!(!format!("{bad:?} {bad}").contains("CANARY"));
    let bad = Client::new(Jarai, "https://u:CANARY@h/", secret("k")).unwrap_err();
    assert!(!format!("{bad:?} {bad}").contains("CANARY"));
}

#[test]
fn trap_20_a_lost_submit_answer_is_unknown_and_a_lost_read_is_not() {
    let lost = |call: &Call, error: SendError| client(Productai).read(call, Err(error), AT).outcome;
    for error in [
        SendError::TimedOut("t".to_owned()),
        SendError::Broken("b".to_owned()),
    ] {
        assert!(matches!(
            lost(&upscale(), error.clone()),
            Outcome::Unknown { .. }
        ));
        let read = lost(&status_call("1"), error);
        assert!(matches!(
            read,
            Outcome::Refused(Refusal::Unavailable { .. })
        ));
    }
    let unsent = lost(&upscale(), SendError::NotSent("dns".to_owned()));
    assert!(matches!(unsent, Outcome::Refused(Refusal::NotSent { .. })));
    for (status, body) in [
        (200, ""),
        (200, "{"),
        (200, "<html>"),
        (200, "null"),
        (200, "{}"),
        (204, ""),
        (202, r#"{"status":"OK"}"#),
        (500, "{}"),
        (502, "<html>"),
        (503, "{}"),
        (504, ""),
        (200, r#"{"name":"ApiError","message":"oops"}"#),
    ] {
        for (provider, call) in [
            (Productai, upscale()),
            (Jarai, production()),
            (Jakov, descriptions(vec![item("a", None)])),
        ] {
            let reply = read(provider, &call, status, body);
            assert!(
                matches!(reply.outcome, Outcome::Unknown { .. }),
                "{status} {body} {reply:?}"
            );
            assert_eq!(reply.kept.as_deref(), Some(body), "kept for people");
        }
    }
    // JARAI's own maintenance answer is a refusal; a gateway's 503 is not.
    let body = r#"{"error":"SERVICE_UNAVAILABLE","message":"m","retryAfterSeconds":30}"#;
    let expect = Refusal::Unavailable {
        pause: Some(Pause::For(Duration::from_secs(30))),
        message: "m".to_owned(),
    };
    assert_eq!(refusal(Jarai, &production(), 503, body), expect);
    let internal = r#"{"error":"INTERNAL_ERROR","message":"m"}"#;
    assert!(matches!(
        outcome(Jarai, &production(), 500, internal),
        Outcome::Unknown { .. }
    ));
}

#[test]
fn trap_22_only_an_expired_production_is_safe_to_send_again() {
    let failed = |code: &str| {
        let body = format!(
            r#"{{"productionId":"p","status":"Failed","errorCode":"{code}","errorMessage":"m"}}"#
        );
        let job = status(Jarai, &body);
        assert_eq!(job.error_code.as_deref(), Some(code));
        assert_eq!(job.error_message.as_deref(), Some("m"));
        job.phase
    };
    assert_eq!(
        failed("PRODUCTION_EXPIRED"),
        Phase::Failed {
            safe_to_resubmit: true
        }
    );
    assert_eq!(
        failed("PIPELINE_FAILED"),
        Phase::Failed {
            safe_to_resubmit: false
        }
    );
    for code in ["BUDGET_GATE_1_FAILED", "BUDGET_GATE_2_FAILED"] {
        let body = format!(r#"{{"error":"{code}","message":"m"}}"#);
        let expect = Refusal::OutOfCredits {
            code: code.to_owned(),
            message: "m".to_owned(),
        };
        assert_eq!(refusal(Jarai, &production(), 409, &body), expect);
    }
    let conflict = refusal(
        Jarai,
        &production(),
        409,
        r#"{"error":"CONFLICT","message":"m"}"#,
    );
    assert!(matches!(conflict, Refusal::Rejected { .. }));
}

#[test]
fn trap_23_a_batch_may_be_accepted_in_part() {
    let call = descriptions(vec![item("a", None), item("b", None), item("c", None)]);
    let body = r#"{"products":[{"id":"1","clientProductId":"a"},
        {"clientProductId":"b","status":"rejected","error":{"code":"BAD_EAN","message":"no such EAN"}}]}"#;
    let items = items(Jakov, &call, 207, body);
    assert!(matches!(&items[0], ItemOutcome::Accepted { remote_id, .. } if remote_id == "1"));
    let refused = ItemOutcome::Refused {
        code: "BAD_EAN".to_owned(),
        message: "no such EAN".to_owned(),
    };
    assert_eq!(items[1], refused);
    assert!(matches!(items[2], ItemOutcome::Unknown { .. }));
}

#[test]
fn trap_24_out_of_credits_is_seen_before_a_5xx_is_taken_for_transient() {
    for body in [
        r#"{"name":"ApiError","message":"OUT_OF_TOKENS","details":"d"}"#,
        r#"{"status":"ERROR","message":"d","code":"OUT_OF_TOKENS"}"#,
        r#"{"error":{"code":"OUT_OF_TOKENS"}}"#,
        r#"{"errors":[{"message":"Error: OUT_OF_TOKENS"}]}"#,
    ] {
        for status in [200, 400, 402, 500, 503] {
            let refused = refusal(Productai, &upscale(), status, body);
            assert!(
                matches!(refused, Refusal::OutOfCredits { .. }),
                "{status} {body}"
            );
        }
    }
    let paid = refusal(Jakov, &descriptions(vec![item("a", None)]), 402, "");
    assert!(matches!(paid, Refusal::OutOfCredits { .. }));
    // A prompt that says so means nothing, and an id that came with it is not dropped.
    let body = r#"{"status":"OK","data":{"id":7,"status":"RUNNING","prompt":"OUT_OF_TOKENS"}}"#;
    let items = items(Productai, &upscale(), 200, body);
    assert!(matches!(&items[0], ItemOutcome::Accepted { remote_id, .. } if remote_id == "7"));
}

#[test]
fn trap_25_awaiting_approval_is_not_the_end() {
    let phase = status(Jarai, r#"{"status":"AwaitingApproval"}"#).phase;
    assert_eq!(
        (phase, phase.is_terminal()),
        (Phase::AwaitingApproval, false)
    );
}

#[test]
fn trap_26_the_servers_expiry_is_read_not_guessed() {
    let body = r#"{"productionId":"p","status":"Queued","expiresAt":"2026-04-03T14:40:00Z"}"#;
    let expiry = "2026-04-03T14:40:00Z".parse().ok();
    assert_eq!(status(Jarai, body).expires_at, expiry);
    let items = items(Jarai, &production(), 202, body);
    let [ItemOutcome::Accepted { job: Some(job), .. }] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!((job.phase, job.expires_at), (Phase::Queued, expiry));
}

#[test]
fn trap_28_a_429_may_ask_for_a_day_and_may_mean_the_production_quota() {
    let body = |message: &str| {
        format!(
            r#"{{"error":"RATE_LIMIT_EXCEEDED","message":"{message}","retryAfterSeconds":86400}}"#
        )
    };
    let pause = Some(Pause::For(Duration::from_secs(86_400)));
    for (call, message, production_quota) in [
        (
            production(),
            "daily production quota of this account reached",
            true,
        ),
        (production(), "too many requests", false),
        (
            status_call("p"),
            "daily production quota of this account reached",
            false,
        ),
    ] {
        let expect = Refusal::RateLimited {
            pause,
            production_quota,
        };
        assert_eq!(
            refusal(Jarai, &call, 429, &body(message)),
            expect,
            "{message}"
        );
    }
}

#[test]
fn trap_29_a_pause_is_read_from_body_then_retry_after_then_reset() {
    let seconds = |count| Some(Pause::For(Duration::from_secs(count)));
    let until = |text: &str| Some(Pause::Until(text.parse().unwrap()));
    let body = r#"{"error":"RATE_LIMIT_EXCEEDED","retryAfterSeconds":7}"#;
    for (headers, body, expect) in [
        (
            vec![("Retry-After", "9"), ("X-RateLimit-Reset", "1795338660")],
            body,
            seconds(7),
        ),
        (
            vec![("Retry-After", "9"), ("X-RateLimit-Reset", "1795338660")],
            "",
            seconds(9),
        ),
        (
            vec![("Retry-After", "Sun, 22 Nov 2026 09:12:00 GMT")],
            "",
            until("2026-11-22T09:12:00Z"),
        ),
        (
            vec![("Retry-After", "Sunday, 22-Nov-26 09:12:00 GMT")],
            "",
            until("2026-11-22T09:12:00Z"),
        ),
        (
            vec![("Retry-After", "Sun Nov 22 09:12:00 2026")],
            "",
            until("2026-11-22T09:12:00Z"),
        ),
        (
            vec![("X-RateLimit-Reset", "1795338660")],
            "<html>",
            until("2026-11-22T09:11:00Z"),
        ),
        (
            vec![("Retry-After", "Sun, 22 Nov 2026 09:00:00 GMT")],
            "",
            None,
        ),
        (vec![("X-RateLimit-Reset", "1795330000")], "", None),
        (vec![("Retry-After", "soon")], "", None),
        (
            vec![("Retry-After", "99999999999")],
            "",
            seconds(7 * 24 * 3600),
        ),
        (vec![], r#"{"retryAfterSeconds":null}"#, None),
        (vec![], r#"{"retryAfterSeconds":-5}"#, None),
        (vec![], r#"{"retryAfterSeconds":1e300}"#, None),
    ] {
        let reply = client(Productai).read(&upscale(), Ok(response(429, &headers, body)), AT);
        let Outcome::Refused(Refusal::RateLimited { pause, .. }) = reply.outcome else {
            panic!("{reply:?}");
        };
        assert_eq!(pause, expect, "{headers:?} {body}");
    }
}

#[test]
fn trap_30_only_jarai_can_cancel() {
    let cancel = Call::Cancel {
        remote_id: "p".to_owned(),
    };
    let request = client(Jarai).request(&cancel);
    assert_eq!(request.method(), "DELETE");
    assert!(request.uri().path().ends_with("/productions/p"));
    for status in [200, 202, 204] {
        assert!(matches!(
            outcome(Jarai, &cancel, status, ""),
            Outcome::CancelAsked
        ));
    }
    assert!(matches!(outcome(Jarai, &cancel, 404, ""), Outcome::Missing));
    for provider in [Jakov, Productai] {
        assert!(!cancel.is_for(provider));
        let refused = refusal(provider, &cancel, 200, "{}");
        assert!(matches!(refused, Refusal::Invalid { code, .. } if code == "unsupported_call"));
    }
}

#[test]
fn trap_31_each_signature_is_keyed_its_own_way() {
    let raw = br#"{"a":1}"#;
    // HMAC-SHA256 of the body, by Python's hmac: with the bytes fb ef be 01, and with the text.
    let decoded = "sha256=801b980b321e6d7387e33e82e06171fe0245fcb3305d430bd8644b4e59b28d0e";
    let as_it_stands = "sha256=67354a554ad5accc88967781b19b76a6459c69437593dfc87fc1ca6052644abb";
    for text in ["--6-AQ==", "--6-AQ"] {
        assert_eq!(
            webhook::verify(Jarai, &[secret(text)], Some(decoded), raw),
            Ok(()),
            "{text}"
        );
    }
    let jakov = [secret("--6-AQ==")];
    assert_eq!(
        webhook::verify(Jakov, &jakov, Some(as_it_stands), raw),
        Ok(())
    );
    assert_eq!(
        webhook::verify(Jakov, &jakov, Some(decoded), raw),
        Err(SignatureError::Mismatch)
    );
    let upper = as_it_stands.to_uppercase();
    assert_eq!(webhook::verify(Jakov, &jakov, Some(&upper), raw), Ok(()));
    // Two secrets live side by side during a rotation; empty ones verify nothing.
    let two = [secret("old"), secret("--6-AQ==")];
    assert_eq!(
        webhook::verify(Jakov, &two, Some(as_it_stands), raw),
        Ok(())
    );
    for none in [vec![], vec![secret("")], vec![secret("  ")]] {
        let verified = webhook::verify(Jakov, &none, Some(as_it_stands), raw);
        assert_eq!(verified, Err(SignatureError::NoSecret));
    }
    let unsigned = webhook::verify(Productai, &jakov, Some(as_it_stands), raw);
    assert_eq!(unsigned, Err(SignatureError::Unsigned));
}

#[test]
fn trap_32_productais_error_call_names_no_job() {
    let event = webhook::parse(Productai, br#"{"status":"error"}"#).unwrap();
    assert_eq!(
        (event.kind, event.remote_id),
        (WebhookKind::SomethingFailed, None)
    );
    let event = webhook::parse(Productai, br#"{"status":"success"}"#).unwrap();
    assert_eq!((event.kind, event.job), (WebhookKind::Unrecognised, None));
}

#[test]
fn trap_33_a_resent_event_has_the_same_dedupe_key() {
    let jarai = |event_id: &str, production: &str, sequence: i64| {
        let body = serde_json::json!({"eventId": event_id, "eventType": "production.published",
            "productionId": production, "sequenceNumber": sequence});
        webhook::parse(Jarai, body.to_string().as_bytes())
            .unwrap()
            .dedupe_key
    };
    assert_eq!(jarai("e1", "p1", 12), jarai("e2", "p1", 12));
    assert_ne!(jarai("e1", "p1", 12), jarai("e1", "p1", 13));
    assert_ne!(jarai("e1", "p1", 12), jarai("e1", "p2", 12));
    // A test names the nil UUID: two of them are two events.
    let nil = "00000000-0000-0000-0000-000000000000";
    assert_ne!(jarai("e1", nil, 0), jarai("e2", nil, 0));
    let jakov = |id: &str, time: &str, text: &str| {
        let body = serde_json::json!({"event": "generation.completed", "timestamp": time,
            "product": {"id": id, "description": text}});
        webhook::parse(Jakov, body.to_string().as_bytes())
            .unwrap()
            .dedupe_key
    };
    assert_eq!(jakov("1", "t", "a"), jakov("1", "t", "b"));
    assert_ne!(jakov("1", "t", "a"), jakov("1", "u", "a"));
    let productai = |raw: &[u8]| webhook::parse(Productai, raw).unwrap().dedupe_key;
    assert_eq!(
        productai(br#"{"job_id":"1"}"#),
        productai(br#"{"job_id":"1"}"#)
    );
    assert_ne!(
        productai(br#"{"job_id":"1"}"#),
        productai(br#"{"job_id":"2"}"#)
    );
}

#[test]
fn trap_36_a_ready_deliverable_is_only_a_reason_to_read_the_list() {
    let raw = br#"{"eventType":"deliverable.ready","productionId":"p","sequenceNumber":3,
        "truncated":true,"data":{"items":[{"sasUrl":"https://b/x?sig=CANARY"}]}}"#;
    let event = webhook::parse(Jarai, raw).unwrap();
    assert_eq!(
        (event.kind, &event.job),
        (WebhookKind::DeliverableReady, &None)
    );
    assert!(!format!("{event:?}").contains("CANARY"));
}
