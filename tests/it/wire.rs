//! What the providers see of a mixed run, in every shape of answers that their documents allow: no rule
//! broken, nothing refused because of us, every submit as documented. The sandbox is the judge: it
//! refuses what no document knows.

use serde_json::Value;

use sandbox::{Options, Provider, RemoteJob, Tier};

use super::shop::{Engine, SPEED, Shop, options, talk};

const PRODUCTS: usize = 12;

async fn mixed_run(options: Options) -> Shop {
    let shop = Shop::open(Engine::Sqlite, options).await;
    for number in 0..PRODUCTS {
        shop.sql(&format!(
            "insert into descriptions (product_name, product_brand, client_product_id) \
             values ('Lamp {number}', 'Ikéa', 'sku-{number}')"
        ))
        .await;
        shop.sql(&format!(
            "insert into image_generations (model, image_url, prompt) values \
             ('nanobanana', 'https://images.example/{number}.jpg', 'lamp {number} on a table')"
        ))
        .await;
    }
    shop.sql(
        "insert into image_generations (model, image_url, second_image_url, prompt) values \
        ('nanobananapro', 'https://images.example/a.jpg', 'https://images.example/b.jpg', 'both')",
    )
    .await;
    shop.sql("insert into image_generations (operation, source_job) values ('upscale', 1)")
        .await;
    for number in 0..3 {
        shop.sql(&format!(
            "insert into productions (topic, metadata_md) values ('Film {number}', '# Brand')"
        ))
        .await;
    }
    shop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mixed_run_breaks_no_rule_and_is_refused_nowhere() {
    let shop = mixed_run(options()).await;
    let ended = shop.work();
    assert_eq!(ended.status.code(), Some(0), "{}", talk(&ended));
    shop.assert_a_good_caller();
    let jobs = shop.remote_jobs();
    assert_eq!(jobs.len(), 2 * PRODUCTS + 5);
    as_documented(&jobs);
    let submits = shop.submits();
    let to = |provider| submits.iter().filter(|it| it.provider == provider).count();
    assert!(to(Provider::Jakov) <= 3, "products go together");
    assert_eq!(to(Provider::Productai), PRODUCTS + 2);
    assert_eq!(to(Provider::Jarai), 3);
    let made = submits.iter().map(|it| it.jobs.len()).sum::<usize>();
    assert_eq!(made, jobs.len(), "each was made by one submit");
    for submit in &submits {
        assert_eq!(submit.method, "POST");
        assert!((200..300).contains(&submit.status), "{submit:#?}");
        assert_eq!(submit.reason, None);
    }
    every_poll_was_for_something(&shop);
}

/// The bodies, as the providers read them: the documented fields, no null, nothing else.
fn as_documented(jobs: &[RemoteJob]) {
    for job in jobs {
        let body = job.submitted.as_object().unwrap();
        assert!(!body.values().any(Value::is_null), "{body:#?}");
        let mut names: Vec<&str> = body.keys().map(String::as_str).collect();
        names.sort_unstable();
        let expected: &[&str] = match job.operation {
            "product" => &["clientProductId", "productBrand", "productName"],
            "generate" => &["image_url", "model", "prompt"],
            "upscale" => &["image_url"],
            _ => &["avatarId", "countryId", "languageId", "metadataMD", "topic"],
        };
        assert_eq!(names, expected, "{}", job.operation);
        if job.text("prompt") == Some("both") {
            assert_eq!(body["image_url"].as_array().map(Vec::len), Some(2));
        }
    }
}

fn every_poll_was_for_something(shop: &Shop) {
    let book = shop.sandbox.with(|sandbox, _| sandbox.ledger().summary());
    assert_eq!(book.violations.len(), 0, "{book:#?}");
    assert_eq!(book.faults, 0);
    assert!(
        book.by_status.keys().all(|status| *status < 400),
        "{book:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_shape_the_answers_have_every_rule_is_kept() {
    for seed in [3, 5, 8] {
        let mut options = Options {
            speed: SPEED,
            ..Options::from_seed(seed)
        };
        options.jarai.tier = Tier::Standard;
        let shop = mixed_run(options).await;
        let ended = shop.work();
        // Some shapes fail a few jobs, at random.
        let code = ended.status.code();
        assert!(matches!(code, Some(0 | 3)), "seed {seed}: {}", talk(&ended));
        for entry in shop.requests() {
            assert!(entry.violations.is_empty(), "seed {seed}: {entry:#?}");
            let refused = (400..500).contains(&entry.status);
            // Deliverables that are asked for too early are the document's own answer, and no fault.
            assert!(
                !refused || entry.path.ends_with("/deliverables"),
                "seed {seed}: {entry:#?}"
            );
        }
        let open = "select (select count(*) from descriptions \
              where status not in ('completed', 'failed')) \
            + (select count(*) from image_generations where status not in ('completed', 'failed')) \
            + (select count(*) from productions where status not in ('completed', 'failed')) as n";
        assert_eq!(shop.text(open).await, "0", "seed {seed}");
        let expected = 2 * PRODUCTS + 5;
        let remote = shop.remote_jobs().len();
        // An upscale whose source failed is not sent; an expired production is sent again.
        assert!(
            (expected - 1..=expected + 9).contains(&remote),
            "seed {seed}: {remote}"
        );
    }
}
