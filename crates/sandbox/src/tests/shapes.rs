//! The undocumented varies by seed, stays parseable, and is the same for the same seed.

use super::*;
use crate::faults::FaultPlan;
use crate::options::{ErrorBody, JakovIds, JakovWrap, ListEnvelope};
use crate::wire::Provider;
use serde_json::json;
use std::collections::BTreeSet;

/// Ids of a submit answer in whatever shape: the way a careful client would look for them.
fn ids(body: &Value) -> Vec<String> {
    match body {
        Value::Array(items) => items.iter().flat_map(ids).collect(),
        Value::String(id) => vec![id.clone()],
        Value::Number(id) => vec![id.to_string()],
        Value::Object(map) => {
            let names = ["id", "productId", "product_id"];
            if let Some(id) = names.iter().find_map(|name| map.get(*name)) {
                return ids(id);
            }
            let lists = ["products", "data", "items", "results", "ids"];
            lists
                .iter()
                .find_map(|name| map.get(*name))
                .map(ids)
                .unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// The one array of a list answer.
fn list(body: &Value) -> Vec<Value> {
    let array = body
        .as_array()
        .or_else(|| body.as_object()?.values().find_map(Value::as_array));
    array.unwrap_or_else(|| panic!("no list in {body}")).clone()
}

#[test]
fn every_shape_of_jakov_can_be_read() {
    for seed in 0..200 {
        let mut caller = Caller::new(Options::from_seed(seed));
        let answer = caller.jakov("POST", "products", JAKOV_SAMPLE);
        assert!(matches!(answer.clean(), 200..=202), "seed {seed}");
        let told = ids(&answer.json());
        let made: BTreeSet<_> = caller.sandbox.jobs(NOON).map(|it| it.id).collect();
        assert_eq!(
            told.iter().cloned().collect::<BTreeSet<_>>(),
            made,
            "seed {seed}"
        );
        caller.wait(3_600_000);
        for id in &told {
            let read = caller.jakov("GET", &format!("products?id={id}"), "");
            assert_eq!(read.clean(), 200, "seed {seed}");
            assert_eq!(read.json()["id"], json!(id), "seed {seed}");
            let ended = ["completed", "not_found", "failed"];
            assert!(
                ended.contains(&read.json()["status"].as_str().unwrap()),
                "seed {seed}"
            );
        }
        let export = caller
            .jakov("GET", "export?projectId=your_project_id", "")
            .json();
        let completed = caller
            .sandbox
            .jobs(caller.now_ms)
            .filter(|it| it.status == "completed");
        assert_eq!(list(&export).len(), completed.count(), "seed {seed}");
    }
}

#[test]
fn items_in_another_order_can_always_be_told() {
    for seed in 0..200 {
        let mut options = Options::from_seed(seed);
        options.jakov.shape.reorder = true;
        let shape = options.jakov.shape.clone();
        let mut caller = Caller::new(options);
        let products: Vec<_> = (0..6)
            .map(|n| json!({ "productName": "n", "clientProductId": format!("c{n}") }))
            .collect();
        let body = json!({ "projectId": "p", "products": products });
        let told = ids(&caller.jakov("POST", "products", &body.to_string()).json());
        let made: Vec<_> = caller.sandbox.jobs(NOON).map(|it| it.id).collect();
        let echoes = matches!(shape.ids, JakovIds::Under(_)) && shape.echo_client_id;
        if !echoes {
            assert_eq!(
                told, made,
                "seed {seed}: without an echo, the order is all there is"
            );
        }
    }
}

#[test]
fn an_answer_without_ids_is_only_chosen_where_it_is_allowed() {
    for seed in 0..200 {
        assert_ne!(
            Options::from_seed(seed).jakov.shape.ids,
            JakovIds::None,
            "seed {seed}"
        );
    }
    let mut options = Options::default();
    options.jakov.without_ids();
    let mut caller = Caller::new(options);
    let answer = caller.jakov("POST", "products", JAKOV_SAMPLE);
    assert_eq!(answer.clean(), 202);
    assert_eq!(ids(&answer.json()), Vec::<String>::new());
    assert_eq!(caller.sandbox.jobs(NOON).count(), 2);
}

#[test]
fn every_shape_of_productai_can_be_read() {
    for seed in 0..200 {
        let mut caller = Caller::new(Options::from_seed(seed));
        let answer = caller.productai("POST", "generate", GENERATE_SAMPLE);
        assert!(matches!(answer.clean(), 200..=202), "seed {seed}");
        let id = answer.json()["data"]["id"].as_u64().unwrap();
        caller.wait(900_000);
        let done = caller.productai("GET", &format!("job/{id}"), "");
        assert_eq!(done.clean(), 200, "seed {seed}");
        let data = done.json()["data"].clone();
        if data["status"] == "ERROR" {
            continue;
        }
        assert_eq!(data["status"], "COMPLETED", "seed {seed}");
        let file = caller.send("GET", data["image_url"].as_str().unwrap(), &[], "");
        assert_eq!(file.clean(), 200, "seed {seed}");
        let kind = infer::get(&file.body).unwrap().mime_type();
        assert_eq!(file.header("content-type"), Some(kind), "seed {seed}");
    }
}

#[test]
fn every_shape_of_jarai_can_be_read() {
    for seed in 0..200 {
        let mut caller = Caller::new(Options::from_seed(seed));
        let accounts = list(&caller.jarai("GET", "accounts", "").json());
        assert_eq!(
            accounts[0]["accountId"],
            JaraiAccount::demo().account_id,
            "seed {seed}"
        );
        let id = caller.produce();
        let early = caller.jarai("GET", &format!("productions/{id}/deliverables"), "");
        assert!(matches!(early.clean(), 404 | 409), "seed {seed}");
        caller.wait(7_200_000);
        let status = caller.jarai("GET", &format!("productions/{id}"), "");
        assert_eq!(status.clean(), 200, "seed {seed}");
        if status.json()["status"] != "Published" {
            assert!(["Failed", "Cancelled"].contains(&status.json()["status"].as_str().unwrap()));
            continue;
        }
        let deliverables = caller.jarai("GET", &format!("productions/{id}/deliverables"), "");
        assert_eq!(deliverables.clean(), 200, "seed {seed}");
        for item in list(&deliverables.json()) {
            let names = ["type", "deliverableType", "kind"];
            assert!(
                names.iter().any(|name| item[*name].is_string()),
                "seed {seed}"
            );
            let file = caller.send("GET", item["sasUrl"].as_str().unwrap(), &[], "");
            assert_eq!(file.clean(), 200, "seed {seed}");
        }
    }
}

#[test]
fn two_hundred_seeds_reach_every_choice() {
    let all: Vec<_> = (0..200).map(Options::from_seed).collect();
    let reached = |choice: &dyn Fn(&Options) -> bool| assert!(all.iter().any(choice));
    for errors in [
        ErrorBody::Error,
        ErrorBody::Message,
        ErrorBody::Errors,
        ErrorBody::Html,
        ErrorBody::Empty,
    ] {
        reached(&|it| it.jakov.shape.errors == errors);
    }
    for name in ["products", "data", "items", "results", "ids"] {
        reached(&|it| it.jakov.shape.wrap == JakovWrap::Keyed(name));
    }
    reached(&|it| it.jakov.shape.wrap == JakovWrap::Array && it.jakov.shape.ids == JakovIds::Bare);
    reached(&|it| it.jakov.shape.wrap == JakovWrap::Nested("products"));
    for code in [200, 400, 402, 500] {
        reached(&|it| it.productai.shape.out_of_tokens_code == code);
    }
    for name in ["deliverables", "items", "data", "value"] {
        reached(&|it| it.jarai.shape.envelope == ListEnvelope::Keyed(name));
    }
    for name in ["type", "deliverableType", "kind"] {
        reached(&|it| it.jarai.shape.type_field == name);
    }
}

/// A small session at all three services, with faults, as text.
fn history(seed: u64) -> String {
    let mut options = Options {
        faults: FaultPlan::from_seed(seed, 0.05),
        ..Options::from_seed(seed)
    };
    options.jarai.webhook_url = Some("https://host/jarai".to_owned());
    options.productai.webhook_url = Some("https://host/productai".to_owned());
    let mut caller = Caller::new(options);
    let mut text = String::new();
    let path = format!("accounts/{}/productions", JaraiAccount::demo().account_id);
    for round in 0..12 {
        let answers = [
            caller.jakov("POST", "products", JAKOV_SAMPLE),
            caller.productai("POST", "generate", TWO_IMAGES_SAMPLE),
            caller.productai("GET", "job/22292", ""),
            caller.jarai("POST", &path, &production().to_string()),
            caller.jakov("GET", "export?projectId=your_project_id", ""),
        ];
        for answer in answers {
            text.push_str(&format!(
                "{:?} {:?} {:?}\n",
                answer.entry, answer.headers, answer.body
            ));
        }
        caller.wait(37_000 + round);
        text.push_str(&format!(
            "{:?}\n",
            caller.sandbox.due_webhooks(caller.now_ms)
        ));
    }
    assert!(
        !caller
            .sandbox
            .files(Provider::Productai, "22292")
            .is_empty()
    );
    text
}

#[test]
fn a_clone_goes_its_own_way() {
    let mut caller = Caller::documented();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    let fork = caller.sandbox.clone();
    caller.productai("POST", "upscale", UPSCALE_SAMPLE);
    assert_eq!(
        fork.jobs(NOON).count() + 1,
        caller.sandbox.jobs(NOON).count()
    );
    assert_eq!(fork.ledger().charged(Provider::Productai), 20);
}

#[test]
fn the_same_seed_has_the_same_history() {
    for seed in 0..20 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
        assert_ne!(history(seed), history(seed + 1), "seed {seed}");
    }
}
