//! Limits are enforced at arrival, polls have floors, links have an end.

use super::*;
use crate::options::Tier;
use crate::wire::Provider;

fn is_rate_violation(answer: &Answer) -> bool {
    matches!(answer.violations(), [Violation::RateLimit(_)])
}

#[test]
fn the_sixteenth_request_of_a_minute_is_refused_by_productai() {
    let mut caller = Caller::documented();
    for at in 0..15 {
        assert_eq!(
            caller.productai("GET", "key-check", "").clean(),
            200,
            "{at}"
        );
        caller.wait(1_000);
    }
    let refused = caller.productai("GET", "key-check", "");
    assert_eq!(refused.status, 429);
    assert!(is_rate_violation(&refused));
    assert_eq!(refused.header("retry-after"), Some("45"));
    caller.wait(44_999);
    assert_eq!(caller.productai("GET", "key-check", "").status, 429);
    caller.wait(1);
    assert_eq!(caller.productai("GET", "key-check", "").clean(), 200);
}

#[test]
fn the_book_tells_the_busiest_window() {
    let mut caller = Caller::documented();
    for wait in [0, 10_000, 49_999, 1, 30_000] {
        caller.wait(wait);
        caller.productai("GET", "key-check", "");
    }
    caller.jakov("GET", "credits", "");
    let busiest = |ms, provider| {
        caller
            .sandbox
            .ledger()
            .busiest(ms, |it| it.provider == provider)
    };
    assert_eq!(busiest(60_000, Provider::Productai), 3);
    assert_eq!(busiest(60_001, Provider::Productai), 4);
    assert_eq!(busiest(1, Provider::Jakov), 1);
}

#[test]
fn a_429_tells_seconds_a_date_or_nothing() {
    use crate::options::RetryAfter;
    let cases = [
        (RetryAfter::Seconds, Some("60")),
        (RetryAfter::Date, Some("Thu, 01 Jan 2026 12:01:00 GMT")),
        (RetryAfter::Absent, None),
    ];
    for (retry_after, expected) in cases {
        let mut options = Options::default();
        options.productai.shape.retry_after = retry_after;
        options.productai.requests_per_minute = 1;
        let mut caller = Caller::new(options);
        caller.productai("GET", "key-check", "");
        let refused = caller.productai("GET", "key-check", "");
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (429, expected)
        );
    }
}

#[test]
fn jakov_counts_submits_and_reads_apart() {
    let mut caller = Caller::documented();
    for _ in 0..100 {
        assert_eq!(caller.jakov("POST", "products", JAKOV_SAMPLE).clean(), 202);
    }
    assert!(is_rate_violation(&caller.jakov(
        "POST",
        "products",
        JAKOV_SAMPLE
    )));
    for _ in 0..300 {
        assert_eq!(caller.jakov("GET", "credits", "").clean(), 200);
    }
    assert!(is_rate_violation(&caller.jakov("GET", "credits", "")));
    caller.wait(60_000);
    assert_eq!(caller.jakov("POST", "products", JAKOV_SAMPLE).clean(), 202);
}

#[test]
fn each_tier_of_jarai_has_its_limits() {
    for (tier, minute, day) in [
        (Tier::Free, 10, Some(100)),
        (Tier::Standard, 60, Some(2_000)),
        (Tier::Enterprise, 300, None),
    ] {
        let mut options = Options::default();
        options.jarai.tier = tier;
        let mut caller = Caller::new(options);
        for _ in 0..minute {
            assert_eq!(caller.jarai("GET", "accounts", "").clean(), 200);
        }
        let refused = caller.jarai("GET", "accounts", "");
        assert!(is_rate_violation(&refused));
        assert_eq!(refused.json()["error"], "RATE_LIMIT_EXCEEDED");
        assert_eq!(refused.json()["retryAfterSeconds"], 60);
        assert_eq!(
            refused.header("x-ratelimit-limit"),
            Some(minute.to_string().as_str())
        );
        assert_eq!(refused.header("x-ratelimit-remaining"), Some("0"));
        let Some(day) = day else { continue };
        caller.wait(60_000);
        for _ in minute..day {
            caller.wait(6_000);
            assert_eq!(caller.jarai("GET", "accounts", "").clean(), 200);
        }
        caller.wait(60_000);
        let refused = caller.jarai("GET", "accounts", "");
        let midnight = NOON + 43_200_000;
        assert_eq!(
            refused.json()["retryAfterSeconds"],
            (midnight - caller.now_ms) / 1_000
        );
        caller.now_ms = midnight;
        assert_eq!(caller.jarai("GET", "accounts", "").clean(), 200);
    }
}

#[test]
fn the_quota_of_productions_stops_submits_and_leaves_polls_alone() {
    let mut options = Options::default();
    options.jarai.tier = Tier::Free;
    let mut caller = Caller::new(options);
    let id = caller.produce();
    caller.produce();
    caller.produce();
    let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
    let refused = caller.jarai("POST", &path, &production().to_string());
    assert_eq!(refused.status, 429);
    assert!(is_rate_violation(&refused));
    assert_eq!(refused.json()["retryAfterSeconds"], 43_200);
    assert_eq!(
        caller
            .jarai("GET", &format!("productions/{id}"), "")
            .clean(),
        200
    );
    assert_eq!(caller.sandbox.ledger().charged(Provider::Jarai), 3);
}

#[test]
fn the_speed_divides_windows_and_days() {
    let mut caller = Caller::new(Options {
        speed: 100.0,
        ..Options::default()
    });
    for _ in 0..15 {
        assert_eq!(caller.productai("GET", "key-check", "").clean(), 200);
    }
    assert_eq!(caller.productai("GET", "key-check", "").status, 429);
    caller.wait(600);
    assert_eq!(caller.productai("GET", "key-check", "").clean(), 200);
}

#[test]
fn a_poll_sooner_than_documented_is_refused_and_noted() {
    let mut caller = Caller::documented();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert_eq!(caller.productai("GET", "job/22292", "").clean(), 200);
    caller.wait(2_999);
    let early = caller.productai("GET", "job/22292", "");
    assert_eq!(early.status, 429);
    assert_eq!(
        early.violations(),
        [Violation::EarlyPoll {
            after_ms: 2_999,
            floor_ms: 3_000
        }]
    );
    caller.wait(1);
    assert_eq!(caller.productai("GET", "job/22292", "").clean(), 200);
}

#[test]
fn an_early_poll_is_served_where_violations_are_only_noted() {
    let mut caller = Caller::new(Options {
        refuse_violations: false,
        ..Options::default()
    });
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    caller.productai("GET", "job/22292", "");
    let early = caller.productai("GET", "job/22292", "");
    assert_eq!((early.status, early.violations().len()), (200, 1));
}

#[test]
fn the_floor_of_a_production_follows_the_status_last_told() {
    let mut caller = Caller::documented();
    let id = caller.produce();
    let path = format!("productions/{id}");
    let mut told = String::new();
    while told != "Producing" {
        let answer = caller.jarai("GET", &path, "");
        assert_eq!(answer.clean(), 200);
        told = answer.json()["status"].as_str().unwrap().to_owned();
        caller.wait(10_000);
    }
    let early = caller.jarai("GET", &path, "");
    assert_eq!(
        early.violations(),
        [Violation::EarlyPoll {
            after_ms: 10_000,
            floor_ms: 30_000
        }]
    );
    caller.wait(20_000);
    assert_eq!(caller.jarai("GET", &path, "").clean(), 200);
}

#[test]
fn a_read_of_a_completed_image_renews_its_link_and_breaks_no_rule() {
    let mut caller = Caller::documented();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    caller.wait(300_000);
    let link = |answer: &Answer| {
        answer.json()["data"]["image_url"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let first = caller.productai("GET", "job/22292", "");
    assert!(!first.entry.read_after_terminal);
    caller.wait(86_400_000);
    let expired = caller.send("GET", &link(&first), &[], "");
    assert_eq!(expired.status, 403);
    let second = caller.productai("GET", "job/22292", "");
    assert_eq!(second.clean(), 200);
    assert!(second.entry.read_after_terminal);
    assert_eq!(caller.send("GET", &link(&second), &[], "").clean(), 200);
    assert_eq!(caller.sandbox.ledger().summary().reads_after_terminal, 1);
}

#[test]
fn a_link_with_a_wrong_signature_opens_nothing() {
    let mut caller = Caller::documented();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    caller.wait(300_000);
    let answer = caller.productai("GET", "job/22292", "").json();
    let link = answer["data"]["image_url"].as_str().unwrap().to_owned();
    for wrong in [
        link.replace("sig=", "sig=0"),
        link.replace("se=", "se=9"),
        link.replace("22292.", "22293."),
    ] {
        assert_eq!(caller.send("GET", &wrong, &[], "").status, 403);
    }
    assert_eq!(
        caller
            .send("GET", link.split('?').next().unwrap(), &[], "")
            .status,
        403
    );
    assert_eq!(caller.send("POST", &link, &[], "").status, 405);
}

#[test]
fn an_unsigned_link_dies_when_it_is_as_old() {
    let mut options = Options::default();
    options.productai.shape.signed_links = false;
    let mut caller = Caller::new(options);
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    caller.wait(300_000);
    let answer = caller.productai("GET", "job/22292", "").json();
    let link = answer["data"]["image_url"].as_str().unwrap().to_owned();
    assert!(!link.contains('?'));
    assert_eq!(caller.send("GET", &link, &[], "").status, 200);
    caller.wait(86_400_000);
    assert_eq!(caller.send("GET", &link, &[], "").status, 403);
}

#[test]
fn a_file_can_be_had_in_parts_and_by_its_head() {
    let mut caller = Caller::documented();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    caller.wait(300_000);
    let answer = caller.productai("GET", "job/22292", "").json();
    let link = answer["data"]["image_url"].as_str().unwrap().to_owned();
    let whole = caller.send("GET", &link, &[], "");
    let tag = whole.header("etag").unwrap().to_owned();
    let rest = caller.send(
        "GET",
        &link,
        &[("range", "bytes=100-"), ("if-range", &tag)],
        "",
    );
    assert_eq!((rest.status, &rest.body[..]), (206, &whole.body[100..]));
    let range = format!("bytes 100-{}/{}", whole.body.len() - 1, whole.body.len());
    assert_eq!(rest.header("content-range"), Some(range.as_str()));
    let changed = caller.send(
        "GET",
        &link,
        &[("range", "bytes=100-"), ("if-range", "\"x\"")],
        "",
    );
    assert_eq!(
        (changed.status, changed.body.len()),
        (200, whole.body.len())
    );
    assert_eq!(
        caller
            .send("GET", &link, &[("range", "bytes=999999-")], "")
            .status,
        416
    );
    let head = caller.send("HEAD", &link, &[], "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        Some(whole.body.len().to_string().as_str())
    );
}
