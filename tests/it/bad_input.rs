//! Rows that are wrong: each fails alone, in words, before anything of it is sent.

use serde_json::Value;

use super::shop::{BOTH, Engine, Shop, finished, options, talk};

const IMAGE: &str = "https://images.example/lamp.jpg";
/// Stands in every wrong row, so that it can be looked for at the providers.
const MARK: &str = "must-not-be-sent";

/// Column by column: what is inserted, its table, the code, and what the sentence names.
fn wrong() -> Vec<(String, &'static str, &'static str, &'static str)> {
    let image = |columns: &str, values: &str| {
        format!("insert into image_generations ({columns}) values ({values})")
    };
    let film = format!("{MARK}{}", "x".repeat(501 - MARK.len()));
    vec![
        (
            image(
                "model, image_url, prompt",
                &format!("'nanobananna', '{IMAGE}', '{MARK}'"),
            ),
            "image_generations",
            "unknown_model",
            "nanobananna",
        ),
        (
            image(
                "model, image_url, second_image_url, prompt",
                &format!("'kontext-pro', '{IMAGE}', '{IMAGE}?2', '{MARK}'"),
            ),
            "image_generations",
            "too_many_images",
            "second_image_url",
        ),
        (
            image(
                "operation, image_url, prompt",
                &format!("'upscale', '{IMAGE}', '{MARK}'"),
            ),
            "image_generations",
            "upscale_takes_no_prompt",
            "prompt",
        ),
        (
            image(
                "model, image_url, prompt",
                &format!("'nanobanana', 'images.example/{MARK}.jpg', 'x'"),
            ),
            "image_generations",
            "invalid_image_url",
            "image_url",
        ),
        (
            format!("insert into productions (topic) values ('{film}')"),
            "productions",
            "text_too_long",
            "topic",
        ),
    ]
}

fn good() -> [String; 4] {
    [
        // The digit of the seed's own sample is wrong too: the provider decides.
        "insert into descriptions (ean) values ('8690000000001')".to_owned(),
        "insert into descriptions (product_name) values ('Lamp')".to_owned(),
        format!(
            "insert into image_generations (model, image_url, prompt) values ('nanobanana', '{IMAGE}', 'x')"
        ),
        "insert into productions (topic) values ('Why people love lamps')".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_not_there_is_found_before_a_worker_starts() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    assert_eq!(shop.output(&["doctor"]).status.code(), Some(0));
    let mut command = shop.command(&["doctor"]);
    command.env_remove("JAKOV_API_KEY");
    let looked = finished(command);
    assert_eq!(looked.status.code(), Some(1));
    let page = String::from_utf8_lossy(&looked.stdout);
    let named = "wrong  accounts.texts.api_key: the environment variable JAKOV_API_KEY is not set";
    assert!(page.contains(named), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_row_fails_alone_with_a_code_and_a_sentence() {
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        for (statement, ..) in wrong() {
            shop.sql(&statement).await;
        }
        for statement in good() {
            shop.sql(&statement).await;
        }
        let ended = shop.work();
        assert_eq!(ended.status.code(), Some(3), "{}", talk(&ended));
        they_are_told_by_their_rows(&shop).await;
        let completed = "select (select count(*) from descriptions where status = 'completed') \
            + (select count(*) from image_generations where status = 'completed') \
            + (select count(*) from productions where status = 'completed') as n";
        assert_eq!(shop.text(completed).await, "4");
        let jobs = shop.remote_jobs();
        assert_eq!(jobs.len(), 4);
        for job in jobs {
            assert!(!job.submitted.to_string().contains(MARK), "{job:#?}");
        }
        shop.assert_a_good_caller();
        // They were told once; a run after it has nothing to add.
        assert_eq!(shop.work().status.code(), Some(0));
    }
}

async fn they_are_told_by_their_rows(shop: &Shop) {
    let mut failed = Vec::new();
    for table in ["image_generations", "productions"] {
        let select = format!(
            "select error_code, error_message, attempt, submission_id, credits from {table} \
             where status = 'failed' order by id"
        );
        failed.extend(shop.rows(&select).await);
    }
    let wrong = wrong();
    assert_eq!(failed.len(), wrong.len());
    for (row, (statement, _, code, named)) in failed.iter().zip(wrong) {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        assert!(text("error_code").contains(code), "{row:#} of {statement}");
        let sentence = text("error_message");
        assert!(sentence.contains(named), "{row:#} of {statement}");
        assert!(sentence.contains(' '), "{sentence} is no sentence");
        for never in ["submission_id", "credits"] {
            assert_eq!(row[never], Value::Null, "{row:#}");
        }
    }
    let warned = "select warning from descriptions where ean = '8690000000001'";
    let warning = shop.text(warned).await;
    assert!(warning.contains("check digit"), "{warning}");
    let others = "select count(*) as n from descriptions where warning is null";
    assert_eq!(shop.text(others).await, "1");
}
