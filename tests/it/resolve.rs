//! Jobs in doubt as people meet them: what is shown, what a decision does, and what is refused.

use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, Verb, When};
use serde_json::Value;

use super::shop::{BOTH, Shop, json, options, talk};

/// Three images whose submits are accepted and answered 500: nobody knows.
async fn in_doubt(engine: super::shop::Engine) -> Shop {
    let mut options = options();
    options.faults = FaultPlan {
        rules: vec![FaultRule {
            provider: Some(Provider::Productai),
            verb: Some(Verb::Submit),
            when: When::Between(1, 3),
            kind: FaultKind::ErrorAfter(500),
        }],
    };
    let shop = Shop::open(engine, options).await;
    for n in 1..=3 {
        let batch = if n == 3 { "other" } else { "spring" };
        shop.sql(&format!(
            "insert into image_generations (model, image_url, prompt, batch) \
             values ('nanobanana', 'https://images.example/{n}.jpg', 'on table {n}', '{batch}')"
        ))
        .await;
    }
    let worked = shop.work();
    assert_eq!(worked.status.code(), Some(3), "{}", talk(&worked));
    let count = "select count(*) as n from image_generations where status = 'in_doubt'";
    assert_eq!(shop.text(count).await, "3");
    shop
}

fn said(shop: &Shop, words: &[&str], code: i32) -> String {
    let output = shop.output(words);
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        talk(&output)
    );
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    text
}

/// The provider's id of the job that was made of this picture.
fn made_of(shop: &Shop, picture: &str) -> String {
    let remote = shop.remote_jobs();
    let url = format!("https://images.example/{picture}.jpg");
    let made = remote
        .iter()
        .find(|job| job.text("image_url") == Some(&url));
    made.unwrap().id.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_sees_price_and_evidence_and_decides() {
    for engine in BOTH {
        let shop = in_doubt(engine).await;
        let shown = json(&shop.output(&["jobs", "resolve", "--json"]));
        let shown = shown.as_array().unwrap();
        assert_eq!(shown.len(), 3, "{shown:#?}");
        for one in shown {
            assert_eq!(one["price"], 3);
            assert_eq!(one["account"], "shots");
            assert!(
                one["sent_at"].is_string() && one["why"].is_string(),
                "{one:#}"
            );
        }
        let page = said(&shop, &["jobs", "resolve", "--batch", "other"], 0);
        assert!(
            page.contains("image:3") && !page.contains("image:1"),
            "{page}"
        );
        assert!(
            page.contains("3 credits; a resubmit may cost it again"),
            "{page}"
        );

        let all = ["jobs", "resolve", "--all", "--resubmit", "--dry-run"];
        let page = said(&shop, &all, 0);
        assert!(
            page.contains("3 jobs in doubt: resubmit; it may cost 9 credits again"),
            "{page}"
        );
        let nobodys = ["jobs", "resolve", "--batch", "nope", "--give-up", "--yes"];
        let page = said(&shop, &nobodys, 0);
        assert!(page.contains("no job in doubt fits this filter"), "{page}");
        let spring = ["jobs", "resolve", "--batch", "spring", "--give-up"];
        let refused = said(&shop, &spring, 1);
        assert!(refused.contains("--yes"), "{refused}");
        let count = "select count(*) as n from job_commands";
        assert_eq!(shop.text(count).await, "0", "nothing was asked so far");

        // One remote job is never two of ours, whoever asks, and when.
        let id = made_of(&shop, "1");
        let asked = said(&shop, &["jobs", "resolve", "image:1", "--adopt", &id], 0);
        assert!(asked.contains("now or when it runs"), "{asked}");
        shop.sql(&format!(
            "insert into job_commands (kind, job_id, command, value) \
             values ('image', 2, 'resolve', 'adopt:{id}')"
        ))
        .await;
        said(&shop, &["jobs", "resolve", "image:3", "--resubmit"], 0);
        assert_eq!(shop.work().status.code(), Some(3));
        let status = |n: i64| format!("select status from image_generations where id = {n}");
        assert_eq!(shop.text(&status(1)).await, "completed");
        assert_eq!(shop.text(&status(2)).await, "in_doubt");
        assert_eq!(shop.text(&status(3)).await, "completed");
        let outcome = "select outcome from job_commands where job_id = 2";
        assert!(shop.text(outcome).await.contains("that of image:1"));
        let refused = said(&shop, &["jobs", "resolve", "image:2", "--adopt", &id], 1);
        assert!(refused.contains("that of image:1"), "{refused}");

        said(&shop, &["jobs", "resolve", "image:2", "--give-up"], 0);
        assert_eq!(shop.work().status.code(), Some(3));
        assert_eq!(shop.text(&status(2)).await, "failed");
        let refused = said(&shop, &["jobs", "resolve", "image:2", "--resubmit"], 1);
        assert!(
            refused.contains("image:2 is failed, not in doubt"),
            "{refused}"
        );
        assert_eq!(shop.submits().len(), 4, "only the resubmit was sent again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistyped_remote_id_leaves_the_doubt_as_it_was() {
    for engine in BOTH {
        let shop = in_doubt(engine).await;
        shop.edit_config("[database]", "in_doubt_wait = \"0s\"\n\n[database]");
        // A 404 counts at once, as it does for a person who comes back after ten minutes.
        shop.edit_config(
            "timing = { submit_timeout = \"10s\"",
            "timing = { missing_grace = \"0s\", submit_timeout = \"10s\"",
        );
        said(
            &shop,
            &["jobs", "resolve", "image:1", "--adopt", "99999"],
            0,
        );
        assert_eq!(shop.work().status.code(), Some(3));
        let page = said(&shop, &["jobs", "show", "image:1"], 0);
        assert!(page.contains("knows no job \"99999\""), "{page}");
        let credits = json(&shop.output(&["credits", "shots", "--json"]));
        let today = &credits[0]["today"];
        let (booked, doubt) = (&today["booked"], &today["in_doubt"]);
        assert!(*booked == 0 && *doubt == 9, "{credits:#}");
        // Whoever looks again finds the right one.
        let id = made_of(&shop, "1");
        said(&shop, &["jobs", "resolve", "image:1", "--adopt", &id], 0);
        assert_eq!(shop.work().status.code(), Some(3));
        let status = "select status from image_generations where id = 1";
        assert_eq!(shop.text(status).await, "completed");
        // Another picture's id is taken at a person's word, and the row tells of it.
        let id = made_of(&shop, "3");
        said(&shop, &["jobs", "resolve", "image:2", "--adopt", &id], 0);
        assert_eq!(shop.work().status.code(), Some(3));
        let warning =
            |n| format!("select coalesce(warning, '-') from image_generations where id = {n}");
        let told = shop.text(&warning(2)).await;
        assert!(told.contains("another prompt: \"on table 3\""), "{told}");
        assert_eq!(shop.text(&warning(1)).await, "-");
        assert_eq!(shop.submits().len(), 3, "nothing was sent again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_command_is_told_where_people_look() {
    let shop = in_doubt(super::shop::Engine::Sqlite).await;
    for _ in 0..2 {
        said(&shop, &["jobs", "resolve", "image:1", "--give-up"], 0);
    }
    let page = said(&shop, &["jobs", "show", "image:1"], 0);
    assert_eq!(page.matches("waits for the worker").count(), 2, "{page}");
    assert_eq!(shop.work().status.code(), Some(3));
    let page = said(&shop, &["jobs", "show", "image:1"], 0);
    assert!(page.contains("refused: the job is failed"), "{page}");
    assert!(page.contains("decision give_up"), "{page}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_about_several_needs_a_choice_and_a_yes() {
    let shop = in_doubt(super::shop::Engine::Sqlite).await;
    let refused = said(&shop, &["jobs", "resolve", "--resubmit"], 1);
    assert!(refused.contains("--all"), "{refused}");
    let refused = said(&shop, &["jobs", "resolve", "--all", "--adopt", "22292"], 1);
    assert!(refused.contains("one job"), "{refused}");
    let asked = shop.output(&["jobs", "resolve", "--all", "--give-up", "--yes", "--json"]);
    assert_eq!(json(&asked).as_array().map(Vec::len), Some(3));
    assert_eq!(shop.work().status.code(), Some(3));
    let count = "select count(*) as n from image_generations where status = 'failed'";
    assert_eq!(shop.text(count).await, "3");
    let none = said(&shop, &["jobs", "resolve"], 0);
    assert!(none.contains("no jobs are in doubt"), "{none}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_in_the_inbox_is_evidence_for_the_running_worker() {
    for engine in BOTH {
        let shop = in_doubt(engine).await;
        let id = made_of(&shop, "2");
        // As the route of ProductAI's webhooks stores it: unsigned, so it is only a reason to look.
        let body = format!("{{\"status\": \"success\", \"job_id\": \"{id}\"}}");
        shop.edit_config(
            "submit_timeout = \"10s\"",
            "submit_timeout = \"4s\", longest_accept = \"1s\"",
        );
        let worker = shop.worker();
        let now = if engine == super::shop::Engine::Sqlite {
            "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
        } else {
            "now()"
        };
        shop.sql(&format!(
            "insert into webhook_inbox (account, dedupe_key, received_at, body) \
             values ('shots', 'productai:{id}', {now}, '{body}')"
        ))
        .await;
        shop.until(
            "select status from image_generations where id = 2",
            "completed",
        )
        .await;
        worker.end("TERM");
        let evidence = "select count(*) as n from requests where verb = 'evidence'";
        assert_eq!(shop.text(evidence).await, "1", "it was read once");
        let shown = json(&shop.output(&["jobs", "show", "image:2", "--json"]));
        let timeline = shown["timeline"].as_array().unwrap();
        let accepted = timeline
            .iter()
            .find(|line| line["event"] == "accepted")
            .unwrap();
        assert_eq!(
            accepted["detail"]["evidence"]["source"],
            Value::from("webhook")
        );
        let hook = "select state from webhook_inbox";
        assert_eq!(shop.text(hook).await, "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_ends_when_idle_looks_once_at_old_doubts() {
    let mut options = options();
    options.faults = FaultPlan::once(Provider::Jakov, Verb::Submit, 1, FaultKind::ErrorAfter(500));
    let shop = Shop::open(super::shop::Engine::Sqlite, options).await;
    // As if the text took longer than the first run waits for evidence, and a night had passed.
    shop.edit_config("[database]", "in_doubt_wait = \"0s\"\n\n[database]");
    shop.edit_config(
        "timing = { submit_timeout = \"10s\"",
        "timing = { evidence_first = \"1ms\", submit_timeout = \"10s\"",
    );
    shop.sql("insert into descriptions (product_name) values ('Arc lamp')")
        .await;
    assert_eq!(shop.work().status.code(), Some(3));
    let status = "select status from descriptions";
    assert_eq!(shop.text(status).await, "in_doubt");
    while !shop.remote_jobs().iter().all(|job| job.has_result) {
        tokio::task::yield_now().await;
    }
    let worked = shop.work();
    assert_eq!(worked.status.code(), Some(0), "{}", talk(&worked));
    assert_eq!(shop.text(status).await, "completed");
    assert_eq!(shop.submits().len(), 1, "nothing was sent again");
}
