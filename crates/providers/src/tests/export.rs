//! JAKOV's export in the shapes that it might have.

use domain::Provider::Jakov;

use super::{AT, client, outcome, response};
use crate::{Call, ExportFormat, Outcome, Phase, Refusal, RemoteJob};

fn call() -> Call {
    Call::Export {
        project_id: "p1".to_owned(),
        format: ExportFormat::Json,
    }
}

fn export(body: &str) -> Vec<RemoteJob> {
    match outcome(Jakov, &call(), 200, body) {
        Outcome::Export(jobs) => jobs,
        other => panic!("no export: {other:?}\n{body}"),
    }
}

#[test]
fn an_export_reads_in_json_and_in_csv_under_many_names() {
    for body in [
        r#"[{"id":"1","clientProductId":"a","ean":"0012","generatedDescription":"T, \"x\""}]"#,
        r#"{"products":[{"id":1,"clientProductId":"a","ean":"0012","description":"T, \"x\""}]}"#,
        r#"{"data":{"rows":[{"id":"1","clientProductId":"a","gtin":"0012","text":"T, \"x\""}]}}"#,
        "id,clientProductId,ean,generatedDescription\n1,a,0012,\"T, \"\"x\"\"\"\n",
        "\u{feff}ID;SKU;EAN;Description\r\n1;a;0012;\"T, \"\"x\"\"\"\r\n",
        "{\"id\":1,\"clientProductId\":\"a\",\"ean\":\"0012\",\"text\":\"T, \\\"x\\\"\"}",
        r#"{"page":1,"errors":[],"data":{"items":[{"productId":1,"sku":null,"clientId":"a","ean":"0012","text":"T, \"x\""}]}}"#,
        "\u{feff}sep=;\r\nid;clientProductId;ean;text\r\n1;a;0012;\"T, \"\"x\"\"\"\r\n",
        "name|id|clientProductId|ean|text\nn|1|a|0012|\"T, \"\"x\"\"\"\n",
        "Product ID\tClient Product ID\tBarcode\tText\n1\ta\t0012\t\"T, \"\"x\"\"\"",
    ] {
        let jobs = export(body);
        let [job] = jobs.as_slice() else {
            panic!("{jobs:?}");
        };
        assert_eq!(job.remote_id, "1", "{body}");
        assert_eq!(job.client_product_id.as_deref(), Some("a"));
        assert_eq!(job.ean.as_deref(), Some("0012"));
        assert_eq!(job.text.as_deref(), Some("T, \"x\""));
        assert_eq!(job.phase, Phase::Done);
    }
}

#[test]
fn a_description_may_span_lines() {
    let jobs = export("id,description\n1,\"first\nsecond\"\n2,other\n");
    assert_eq!(jobs[0].text.as_deref(), Some("first\nsecond"));
    assert_eq!(jobs.len(), 2);
}

#[test]
fn json_lines_are_read_one_by_one_and_fields_may_be_missing() {
    let jobs = export(
        "\u{feff}{\"id\":1,\"text\":\"T\"}\r\n{\"ean\":\"0012\"}\n\n{\"clientProductId\":\"c\",\"x\":[1]}\n",
    );
    let named: Vec<_> = jobs
        .iter()
        .map(|job| {
            (
                job.remote_id.as_str(),
                job.ean.as_deref(),
                job.text.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            ("1", None, Some("T")),
            ("", Some("0012"), None),
            ("", None, None)
        ]
    );
    assert_eq!(jobs[2].client_product_id.as_deref(), Some("c"));
}

#[test]
fn an_empty_export_is_empty() {
    for body in ["[]", r#"{"products":[]}"#, "id,description\n"] {
        assert_eq!(export(body), []);
    }
}

#[test]
fn an_export_is_taken_whole_or_not_at_all() {
    for body in [
        "",
        "{}",
        "null",
        r#"[{"id":"1"},{"note":"no product"}]"#,
        r#"[{"id":"1","generatedDescription":"T"},{"id":"#,
        "<html>sorry</html>",
        "{\"id\":\"1\",\"text\":\"T\"}\n{\"id\":\"2\",\"te",
        "{\"id\":\"1\",\"text\":\"T\"}\n{\"message\":\"out of memory\"}\n",
        r#"{"error":{"id":"e-17","message":"no"}}"#,
        "id,description\n1,T\n2\n",
        "name,colour\nx,red\n",
    ] {
        let read = outcome(Jakov, &call(), 200, body);
        let unavailable = matches!(read, Outcome::Refused(Refusal::Unavailable { .. }));
        assert!(unavailable, "{body} {read:?}");
    }
    let html = response(
        200,
        &[("content-type", "text/html")],
        "id,description\n1,T\n",
    );
    let read = client(Jakov).read(&call(), Ok(html), AT).outcome;
    assert!(matches!(
        read,
        Outcome::Refused(Refusal::Unavailable { .. })
    ));
}
