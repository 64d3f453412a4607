//! What answers mean apart from the documents' samples and traps.

use domain::Provider::{Jakov, Jarai, Productai};

use super::{
    AT, CANARY, client, items, outcome, production, response, secret, status, status_call, upscale,
};
use crate::{Call, Client, ItemOutcome, MatchedBy, Outcome, Phase, Refusal};

#[test]
fn the_newer_dialect_of_productai_reads_too() {
    let job = status(
        Productai,
        r#"{"job_id":"job_abc","status":"completed","images":[{"url":"https://h/1.png","width":1}],
            "created_at":"2024-01-15T10:30:00Z"}"#,
    );
    assert_eq!(
        (job.remote_id.as_str(), job.phase),
        ("job_abc", Phase::Done)
    );
    assert_eq!(job.result_url.unwrap().expose(), "https://h/1.png");
    let body =
        r#"{"job_id":"j","status":"failed","error":{"code":"generation_failed","message":"m"}}"#;
    let job = status(Productai, body);
    assert_eq!(job.error_code.as_deref(), Some("generation_failed"));
    assert_eq!(job.error_message.as_deref(), Some("m"));
    let items = items(
        Productai,
        &upscale(),
        202,
        r#"{"job_id":"job_x","status":"pending"}"#,
    );
    assert!(matches!(&items[0], ItemOutcome::Accepted { remote_id, .. } if remote_id == "job_x"));
}

#[test]
fn a_result_is_found_under_each_of_its_names() {
    for field in [
        r#""image_url":"https://h/1""#,
        r#""image_url":["https://h/1","https://h/2"]"#,
        r#""output_url":"https://h/1""#,
        r#""result_url":"https://h/1""#,
        r#""url":"https://h/1""#,
        r#""images":["https://h/1"]"#,
        r#""image_url":null,"images":[{"url":"https://h/1"}]"#,
    ] {
        let body = format!(r#"{{"status":"OK","data":{{"id":1,"status":"COMPLETED",{field}}}}}"#);
        let url = status(Productai, &body).result_url.unwrap();
        assert_eq!(url.expose(), "https://h/1", "{body}");
    }
}

#[test]
fn a_submit_may_come_back_completed_at_once() {
    let body = r#"{"status":"OK","data":{"id":5,"status":"COMPLETED","image_url":"https://h/1"}}"#;
    let items = items(Productai, &upscale(), 200, body);
    let [ItemOutcome::Accepted { job: Some(job), .. }] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!((job.phase, job.result_url.is_some()), (Phase::Done, true));
}

#[test]
fn a_production_without_a_body_is_found_by_its_location() {
    for (location, expect) in [
        ("https://apim.example/v1/productions/p-7", Some("p-7")),
        ("/v1/productions/p-7/status?x=1", Some("p-7")),
        ("/v1/accounts/a", None),
    ] {
        let answer = response(202, &[("location", location)], "");
        let outcome = client(Jarai).read(&production(), Ok(answer), AT).outcome;
        match (outcome, expect) {
            (Outcome::Submitted(items), Some(expect)) => {
                let [
                    ItemOutcome::Accepted {
                        remote_id,
                        matched_by,
                        ..
                    },
                ] = items.as_slice()
                else {
                    panic!("{items:?}");
                };
                assert_eq!((remote_id.as_str(), *matched_by), (expect, MatchedBy::Only));
            }
            (Outcome::Unknown { .. }, None) => {}
            (other, _) => panic!("{location} {other:?}"),
        }
    }
}

#[test]
fn statuses_tell_refused_from_unknown_for_a_paid_call() {
    for (http, word) in [
        (400, "invalid"),
        (401, "unauthorized"),
        (402, "credits"),
        (403, "forbidden"),
        (404, "invalid"),
        (405, "invalid"),
        (408, "rejected"),
        (409, "rejected"),
        (410, "rejected"),
        (413, "invalid"),
        (415, "invalid"),
        (418, "rejected"),
        (422, "invalid"),
        (429, "limited"),
        (451, "rejected"),
        (499, "unknown"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "unknown"),
        (504, "unknown"),
        (529, "unknown"),
        (101, "unknown"),
        (304, "invalid"),
        (999, "unknown"),
    ] {
        let is = match outcome(Productai, &upscale(), http, "") {
            Outcome::Refused(Refusal::Invalid { .. }) => "invalid",
            Outcome::Refused(Refusal::Unauthorized { .. }) => "unauthorized",
            Outcome::Refused(Refusal::OutOfCredits { .. }) => "credits",
            Outcome::Refused(Refusal::Forbidden { .. }) => "forbidden",
            Outcome::Refused(Refusal::Rejected { .. }) => "rejected",
            Outcome::Refused(Refusal::RateLimited { .. }) => "limited",
            Outcome::Unknown { .. } => "unknown",
            other => panic!("{http} {other:?}"),
        };
        assert_eq!(is, word, "{http}");
    }
}

#[test]
fn a_failed_jobs_message_is_masked_and_capped() {
    let words = format!("no file at https://h/a?sig=CANARY {}", "x".repeat(5_000));
    for (provider, body) in [
        (
            Jakov,
            format!(
                r#"{{"id":"1","status":"failed","error":{{"code":"E_1","message":"{words}"}}}}"#
            ),
        ),
        (
            Jarai,
            format!(r#"{{"status":"Failed","errorCode":"E_1","errorMessage":"{words}"}}"#),
        ),
        (
            Productai,
            format!(
                r#"{{"data":{{"id":1,"status":"ERROR","error":{{"code":"E_1","message":"{words}"}}}}}}"#
            ),
        ),
    ] {
        let job = status(provider, &body);
        assert_eq!(job.error_code.as_deref(), Some("E_1"), "{provider}");
        let message = job.error_message.unwrap();
        assert!(message.starts_with("no file at https://h/a?…") && message.len() < 510);
    }
    let job = status(Jakov, r#"{"id":"1","status":"not_found"}"#);
    assert_eq!(job.error_code.as_deref(), Some("not_found"));
}

#[test]
fn a_read_is_never_unknown() {
    for http in [200, 204, 500, 502, 503, 504, 999] {
        let read = outcome(Jakov, &status_call("x"), http, "<html>");
        assert!(
            matches!(read, Outcome::Refused(Refusal::Unavailable { .. })),
            "{http} {read:?}"
        );
    }
    assert!(matches!(
        outcome(Jakov, &status_call("x"), 200, "[]"),
        Outcome::Missing
    ));
}

#[test]
fn an_id_that_no_path_can_carry_is_never_sent() {
    for id in ["", ".", ".."] {
        let request = client(Productai).request(&status_call(id));
        assert!(
            request.extensions().get::<crate::send::Blocked>().is_some(),
            "{id}"
        );
        assert!(request.headers().is_empty(), "no key on it");
    }
    let uri = client(Productai)
        .request(&status_call("../key?x#y"))
        .uri()
        .to_string();
    assert!(uri.ends_with("/v1/api/job/..%2Fkey%3Fx%23y"), "{uri}");
    let foreign = client(Jakov).request(&production());
    assert!(foreign.extensions().get::<crate::send::Blocked>().is_some());
    let keyless = Client::without_key(Jarai, "https://h/v1").unwrap();
    let request = keyless.request(&Call::Accounts);
    assert!(request.extensions().get::<crate::send::Blocked>().is_some());
    assert!(Client::new(Jarai, "https://h/v1", secret(" \n")).is_err());
}

#[test]
fn a_request_carries_nothing_but_what_it_must() {
    for (provider, call) in [
        (Productai, upscale()),
        (Jarai, production()),
        (Jakov, super::descriptions(vec![super::item("a", None)])),
    ] {
        let request = client(provider).request(&call);
        let mut names: Vec<_> = request
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .collect();
        names.sort_unstable();
        let mut expect = ["accept", "content-type", "x-api-key"];
        if provider == Jakov {
            expect = ["accept", "authorization", "content-type"];
        }
        assert_eq!(names, expect);
    }
}

#[test]
fn a_key_from_a_file_may_end_in_a_line_break() {
    let client = Client::new(Jarai, "https://h/v1", secret(&format!("{CANARY}\r\n"))).unwrap();
    assert_eq!(
        client.request(&Call::Accounts).headers()["x-api-key"],
        CANARY
    );
}

#[test]
fn a_kept_answer_is_capped() {
    let long = "ü".repeat(100_000);
    let reply = super::read(Productai, &upscale(), 500, &long);
    let kept = reply.kept.unwrap();
    assert!(kept.len() <= 64 * 1024 + 8, "{}", kept.len());
    assert_eq!(reply.http_status, Some(500));
}

#[test]
fn the_correlation_id_is_kept_for_the_providers_support() {
    let answer = response(500, &[("X-Correlation-Id", "c-1")], "");
    let reply = client(Jarai).read(&production(), Ok(answer), AT);
    assert_eq!(reply.correlation_id.as_deref(), Some("c-1"));
}
