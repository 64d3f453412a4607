//! Each fault does what its name says, and nothing happens twice or by accident.

use super::*;
use crate::faults::{FaultKind, FaultPlan};
use crate::wire::{Provider, Verb};

fn with(provider: Provider, verb: Verb, kind: FaultKind) -> Caller {
    let faults = FaultPlan::once(provider, verb, 1, kind);
    Caller::new(Options {
        faults,
        ..Options::default()
    })
}

#[test]
fn only_faults_after_accepting_cost_tokens() {
    let cases = [
        (FaultKind::ErrorBefore(500), 500, Delivery::Answer, 0),
        (FaultKind::ErrorBefore(503), 503, Delivery::Answer, 0),
        (FaultKind::ErrorAfter(502), 502, Delivery::Answer, 20),
        (
            FaultKind::LostAfterAccept,
            200,
            Delivery::LostAfterAccept,
            20,
        ),
        (FaultKind::ResetBefore, 500, Delivery::ResetBefore, 0),
        (FaultKind::Slow(4_000), 200, Delivery::DelayMs(4_000), 20),
        (FaultKind::BrokenJson, 200, Delivery::Answer, 20),
        (FaultKind::HtmlBody, 200, Delivery::Answer, 20),
        (FaultKind::TooManyRequests, 429, Delivery::Answer, 0),
        (FaultKind::BareTooManyRequests, 429, Delivery::Answer, 0),
    ];
    for (kind, status, delivery, tokens) in cases {
        let mut caller = with(Provider::Productai, Verb::Submit, kind);
        let answer = caller.productai("POST", "upscale", UPSCALE_SAMPLE);
        assert_eq!(
            (answer.status, answer.delivery),
            (status, delivery),
            "{kind:?}"
        );
        assert_eq!(answer.entry.fault, Some(kind));
        assert_eq!(answer.violations(), [], "{kind:?}");
        let ledger = caller.sandbox.ledger();
        assert_eq!(ledger.charged(Provider::Productai), tokens, "{kind:?}");
        assert_eq!(
            caller.sandbox.jobs(NOON).count(),
            usize::from(tokens > 0),
            "{kind:?}"
        );
        assert_eq!(
            caller.productai("POST", "upscale", UPSCALE_SAMPLE).clean(),
            200,
            "{kind:?}"
        );
    }
}

#[test]
fn a_broken_body_does_not_parse_and_a_page_is_html() {
    let mut caller = with(Provider::Productai, Verb::Submit, FaultKind::BrokenJson);
    let answer = caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err() && !answer.body.is_empty());
    let mut caller = with(Provider::Productai, Verb::Submit, FaultKind::HtmlBody);
    let answer = caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(answer.body.starts_with(b"<!DOCTYPE html>"));
}

#[test]
fn a_429_tells_a_time_or_nothing_at_all() {
    let submit = |kind| {
        let mut caller = with(Provider::Jarai, Verb::Accounts, kind);
        caller.jarai("GET", "accounts", "")
    };
    let told = submit(FaultKind::TooManyRequests);
    assert_eq!(told.json()["retryAfterSeconds"], 20);
    let bare = submit(FaultKind::BareTooManyRequests);
    assert!(bare.headers.is_empty() && bare.body.is_empty());
    assert_eq!(bare.status, 429);
}

#[test]
fn a_503_of_jarai_before_accepting_is_in_its_own_envelope_and_one_after_is_not() {
    let mut caller = with(Provider::Jarai, Verb::Accounts, FaultKind::ErrorBefore(503));
    let answer = caller.jarai("GET", "accounts", "");
    assert_eq!(answer.json()["error"], "SERVICE_UNAVAILABLE");
    let mut caller = with(Provider::Jarai, Verb::Accounts, FaultKind::ErrorAfter(503));
    let answer = caller.jarai("GET", "accounts", "");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (503, Some("text/html"))
    );
}

#[test]
fn a_vanished_job_stays_away_and_a_status_goes_backwards_once() {
    let mut caller = with(Provider::Productai, Verb::Poll, FaultKind::JobVanishes);
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    for _ in 0..2 {
        assert_eq!(caller.productai("GET", "job/22292", "").status, 404);
        caller.wait(5_000);
    }
    let mut caller = with(Provider::Jakov, Verb::Poll, FaultKind::StatusBackwards);
    let submitted = caller.jakov("POST", "products", JAKOV_SAMPLE).json();
    let path = format!(
        "products?id={}",
        submitted["products"][0]["id"].as_str().unwrap()
    );
    caller.wait(900_000);
    assert_eq!(
        caller.jakov("GET", &path, "").json()["status"],
        "generating"
    );
    assert_eq!(caller.jakov("GET", &path, "").json()["status"], "completed");
}

#[test]
fn a_terminal_status_that_was_not_delivered_may_be_asked_for_again() {
    let kinds = [
        FaultKind::LostAfterAccept,
        FaultKind::BrokenJson,
        FaultKind::ErrorAfter(500),
    ];
    for kind in kinds {
        let mut caller = with(Provider::Jarai, Verb::Poll, kind);
        let id = caller.produce();
        caller.wait(7_200_000);
        caller.jarai("GET", &format!("productions/{id}"), "");
        caller.wait(30_000);
        let again = caller.jarai("GET", &format!("productions/{id}"), "");
        assert_eq!(
            (again.clean(), again.json()["status"].as_str()),
            (200, Some("Published"))
        );
    }
    let mut caller = Caller::documented();
    let id = caller.produce();
    caller.wait(7_200_000);
    let read = caller.jarai("GET", &format!("productions/{id}"), "");
    caller.sandbox.answer_lost(read.request_no);
    caller.wait(30_000);
    assert_eq!(
        caller
            .jarai("GET", &format!("productions/{id}"), "")
            .clean(),
        200
    );
}

#[test]
fn a_request_of_a_refused_key_or_a_full_window_meets_no_fault() {
    let mut caller = with(Provider::Jakov, Verb::Credits, FaultKind::LostAfterAccept);
    let refused = caller.send("GET", "/jakov/api/v1/credits", &[], "");
    assert_eq!((refused.status, refused.delivery), (401, Delivery::Answer));
    assert_eq!(refused.entry.fault, None);
}

#[test]
fn a_poll_that_meets_a_fault_still_counts_as_a_poll() {
    let kinds = [
        FaultKind::ErrorBefore(500),
        FaultKind::TooManyRequests,
        FaultKind::BareTooManyRequests,
    ];
    for kind in kinds {
        let mut caller = with(Provider::Productai, Verb::Poll, kind);
        caller.productai("POST", "upscale", UPSCALE_SAMPLE);
        assert!(
            caller.productai("GET", "job/22292", "").clean() >= 429,
            "{kind:?}"
        );
        caller.wait(1_000);
        let hasty = caller.productai("GET", "job/22292", "");
        let expected = [Violation::EarlyPoll {
            after_ms: 1_000,
            floor_ms: 3_000,
        }];
        assert_eq!(hasty.violations(), expected, "{kind:?}");
    }
}

#[test]
fn the_book_holds_the_status_that_went_over_the_wire() {
    let cases = [
        (FaultKind::ErrorAfter(504), 504),
        (FaultKind::ResetBefore, 0),
    ];
    for (kind, status) in cases {
        let mut caller = with(Provider::Productai, Verb::Submit, kind);
        let entry = caller.productai("POST", "upscale", UPSCALE_SAMPLE).entry;
        assert_eq!(entry.status, status);
        assert!(entry.reason.is_some());
    }
}
