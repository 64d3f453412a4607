//! How the undocumented answer to JAKOV's submit is tied to what was sent.

use domain::Provider::Jakov;

use super::{descriptions, item, items, outcome, read, refusal};
use crate::{DescriptionItem, ItemOutcome, MatchedBy, Outcome, Refusal};

/// `id:by` for an accepted item, `!code` for a refused one, `?` for an unknown one.
fn said(outcome: &ItemOutcome) -> String {
    match outcome {
        ItemOutcome::Accepted {
            remote_id,
            matched_by,
            ..
        } => {
            let by = match matched_by {
                MatchedBy::Only => "only",
                MatchedBy::ClientProductId => "client",
                MatchedBy::Ean => "ean",
                MatchedBy::Order => "order",
            };
            format!("{remote_id}:{by}")
        }
        ItemOutcome::Refused { code, .. } => format!("!{code}"),
        ItemOutcome::Unknown { .. } => "?".to_owned(),
    }
}

fn check(sent: &[DescriptionItem], body: &str, expect: &str) {
    let call = descriptions(sent.to_vec());
    let said: Vec<_> = items(Jakov, &call, 200, body).iter().map(said).collect();
    assert_eq!(said.join(" "), expect, "{body}");
}

fn two() -> Vec<DescriptionItem> {
    vec![
        item("a", Some("4006381333931")),
        item("b", Some("0012345678905")),
    ]
}

#[test]
fn a_single_product_is_accepted_in_any_shape() {
    for body in [
        r#"{"id":"1"}"#,
        r#"{"_id":"1"}"#,
        r#"{"productId":1}"#,
        r#"{"product":{"id":"1"}}"#,
        r#"{"success":true,"data":{"product":{"id":"1"}}}"#,
        r#"{"id":"1","tags":["x","y"]}"#,
        r#"[{"id":"1"}]"#,
        r#"["1"]"#,
        "[1]",
        r#"{"ids":["1"]}"#,
        r#"{"batchId":"b","products":["1"]}"#,
        r#"{"id":"b","products":[{"id":"1"}]}"#,
        r#"{"data":{"products":[{"id":"1"}]}}"#,
        r#"{"results":[{"index":0,"product":{"id":"1"}}]}"#,
    ] {
        check(&[item("a", None)], body, "1:only");
    }
    check(
        &[item("a", None)],
        r#"{"id":"1","clientProductId":"a"}"#,
        "1:client",
    );
}

#[test]
fn our_own_id_ties_before_the_barcode_and_in_any_order() {
    check(
        &two(),
        r#"{"products":[{"id":"2","clientProductId":"b"},{"id":"1","clientProductId":"a"}]}"#,
        "1:client 2:client",
    );
    check(
        &two(),
        r#"[{"id":"2","ean":"12345678905"},{"id":"1","ean":"4006381333931"}]"#,
        "1:ean 2:ean",
    );
    check(
        &two(),
        r#"[{"id":"9","ean":"4006381333931","clientProductId":"b"},{"id":"1","clientProductId":"a"}]"#,
        "1:client 9:client",
    );
}

#[test]
fn order_ties_only_if_nothing_else_could() {
    check(&two(), r#"["1","2"]"#, "1:order 2:order");
    check(&two(), r#"[{"id":1},{"id":2}]"#, "1:order 2:order");
    check(&two(), r#"["1"]"#, "? ?");
    check(&two(), r#"["1","2","3"]"#, "? ?");
    // One element says whose it is, so the other's place proves nothing.
    check(
        &two(),
        r#"[{"id":"1"},{"id":"2","clientProductId":"b"}]"#,
        "? 2:client",
    );
    check(
        &two(),
        r#"[{"id":"1","ean":"4006381333931"},{"id":"2"}]"#,
        "1:ean ?",
    );
}

#[test]
fn what_fits_twice_is_unknown() {
    check(&two(), r#"["1","1"]"#, "? ?");
    check(
        &two(),
        r#"[{"id":"1","clientProductId":"a"},{"id":"2","clientProductId":"a"}]"#,
        "? ?",
    );
    let twins = [
        item("a", Some("4006381333931")),
        item("b", Some("4006381333931")),
    ];
    check(
        &twins,
        r#"[{"id":"1","ean":"4006381333931"},{"id":"2","ean":"4006381333931"}]"#,
        "? ?",
    );
    check(&twins, r#"[{"id":"1","ean":"4006381333931"}]"#, "? ?");
    let same = [item("a", None), item("a", None)];
    check(&same, r#"[{"id":"1","clientProductId":"a"}]"#, "? ?");
    // The provider takes two products for one.
    check(
        &two(),
        r#"[{"id":"1","clientProductId":"a"},{"id":"1","clientProductId":"b"}]"#,
        "? ?",
    );
}

#[test]
fn another_products_answer_is_not_ours() {
    check(
        &[item("a", None)],
        r#"{"id":"1","clientProductId":"z"}"#,
        "?",
    );
    check(
        &[item("a", Some("4006381333931"))],
        r#"{"id":"1","ean":"5901234123457"}"#,
        "?",
    );
    check(&[item("a", None)], r#"["1","2"]"#, "?");
}

#[test]
fn a_refused_item_is_refused_only_if_unmistakable() {
    for (element, expect) in [
        (
            r#"{"clientProductId":"b","error":"EAN_INVALID"}"#,
            "!EAN_INVALID",
        ),
        (r#"{"clientProductId":"b","status":"failed"}"#, "!failed"),
        (
            r#"{"clientProductId":"b","success":false,"message":"m"}"#,
            "!rejected",
        ),
        (r#"{"clientProductId":"b"}"#, "?"),
        (r#"{"clientProductId":"b","status":"pending"}"#, "?"),
        (r#"{"clientProductId":"b","error":null}"#, "?"),
        (r#"{"clientProductId":"b","error":false}"#, "?"),
        (
            r#"{"clientProductId":"b","id":"2","status":"failed"}"#,
            "2:client",
        ),
        (
            r#"{"clientProductId":"b","id":"2","error":"late"}"#,
            "2:client",
        ),
    ] {
        let body = format!(r#"{{"products":[{{"id":"1","clientProductId":"a"}},{element}]}}"#);
        check(&two(), &body, &format!("1:client {expect}"));
    }
    check(
        &two(),
        r#"{"products":[{"id":"1","clientProductId":"a"}],"errors":[{"clientProductId":"b","code":"X_1"}]}"#,
        "1:client !X_1",
    );
    check(
        &[item("a", None)],
        r#"{"errors":[{"message":"no such EAN"}]}"#,
        "!rejected",
    );
    check(
        &[item("a", None)],
        r#"{"errors":["no such EAN"]}"#,
        "!rejected",
    );
}

#[test]
fn a_submit_that_names_nothing_is_unknown_with_its_answer_kept() {
    let call = descriptions(two());
    for body in [
        r#"{"success":true,"accepted":2}"#,
        "{}",
        "null",
        "\"ok\"",
        "12",
    ] {
        let reply = read(Jakov, &call, 200, body);
        assert!(
            matches!(reply.outcome, Outcome::Unknown { .. }),
            "{body} {reply:?}"
        );
        assert_eq!(reply.kept.as_deref(), Some(body));
    }
    let reply = read(Jakov, &call, 200, r#"{"products":[]}"#);
    assert!(reply.kept.is_some());
    check(&two(), r#"{"products":[]}"#, "? ?");
}

#[test]
fn the_id_of_a_receipt_is_not_taken_for_the_products() {
    let one = [item("a", None)];
    for body in [
        r#"{"success":true,"id":"batch_77","count":1}"#,
        r#"{"data":{"id":"batch_77","accepted":1}}"#,
    ] {
        let reply = read(Jakov, &descriptions(one.to_vec()), 200, body);
        assert!(
            matches!(reply.outcome, Outcome::Unknown { .. }),
            "{body} {reply:?}"
        );
        assert_eq!(reply.kept.as_deref(), Some(body));
    }
    check(&one, r#"{"id":"1","status":"pending","count":1}"#, "1:only");
    check(&one, r#"{"count":1,"products":[{"id":"1"}]}"#, "1:only");
}

#[test]
fn an_empty_balance_refuses_all_unless_something_was_accepted() {
    let call = descriptions(two());
    let all = r#"[{"clientProductId":"a","error":"OUT_OF_TOKENS"},
        {"clientProductId":"b","error":"OUT_OF_TOKENS"}]"#;
    assert!(matches!(
        refusal(Jakov, &call, 200, all),
        Refusal::OutOfCredits { .. }
    ));
    let half = r#"[{"id":"1","clientProductId":"a"},
        {"clientProductId":"b","error":"OUT_OF_TOKENS"}]"#;
    check(&two(), half, "1:client !OUT_OF_TOKENS");
    let completed = r#"{"products":[{"id":"1","clientProductId":"a","status":"completed",
        "generatedDescription":"T"}]}"#;
    let Outcome::Submitted(items) =
        outcome(Jakov, &descriptions(vec![item("a", None)]), 200, completed)
    else {
        panic!("not submitted");
    };
    let [ItemOutcome::Accepted { job: Some(job), .. }] = items.as_slice() else {
        panic!("{items:?}");
    };
    assert_eq!(job.text.as_deref(), Some("T"));
}
