//! What a person says of an account: `vitrine accounts`, with the real program, on both databases.

use sandbox::{FaultKind, FaultPlan, FaultRule, Options, Provider, Verb, When};

use super::shop::{BOTH, Engine, Shop, finished, json, options, talk};

const COMPLETED: &str = "select count(*) as n from image_generations where status = 'completed'";

async fn images(shop: &Shop, from: usize, many: usize) {
    for n in from..from + many {
        shop.sql(&format!(
            "insert into image_generations (image_url, prompt) \
             values ('https://images.example/{n}.jpg', 'lamp {n}')"
        ))
        .await;
    }
}

fn submits_to(shop: &Shop, provider: Provider) -> usize {
    let of = |entry: &&sandbox::RequestEntry| entry.provider == provider;
    shop.submits().iter().filter(of).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_account_submits_nothing_over_restarts_and_another_key_until_it_is_resumed() {
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        images(&shop, 0, 4).await;
        shop.sql("insert into descriptions (product_name) values ('lamp')")
            .await;
        // No worker, and no keys either: the word waits in the database.
        let mut keyless = shop.command(&["accounts", "pause", "shots", "--reason", "bad prompt"]);
        keyless.env_remove("PRODUCTAI_API_KEY");
        let asked = finished(keyless);
        assert_eq!(asked.status.code(), Some(0), "{}", talk(&asked));
        let said = String::from_utf8_lossy(&asked.stdout).into_owned();
        assert!(said.contains("no worker has done it yet"), "{said}");
        let list = json(&shop.output(&["accounts", "--json"]));
        assert_eq!(list[1]["account"], "shots", "{list}");
        assert_eq!(list[1]["asked"][0], "pause", "{list}");
        for _ in 0..2 {
            let done = shop.work();
            assert_eq!(done.status.code(), Some(3), "{}", talk(&done));
            let said = talk(&done);
            assert!(said.contains("a person has paused: 4"), "{said}");
            assert!(said.contains("accounts list"), "{said}");
            assert_eq!(submits_to(&shop, Provider::Productai), 0);
        }
        let texts = "select count(*) as n from descriptions where status = 'completed'";
        assert_eq!(shop.text(texts).await, "1");
        let status = json(&shop.output(&["status", "--json"]));
        let pause = &status["pauses"][0];
        assert_eq!(pause["accounts"][0], "shots", "{status}");
        assert_eq!(pause["code"], "paused", "{status}");
        assert_eq!(pause["message"], "bad prompt", "{status}");
        assert!(pause["since"].is_string(), "{status}");
        // Another budget is another lane: what a person said is about the account.
        shop.edit_config("budget = \"sandbox\"", "budget = \"another\"");
        assert_eq!(shop.work().status.code(), Some(3));
        assert_eq!(submits_to(&shop, Provider::Productai), 0);
        // What is about credits alone does not end it.
        let credits = shop.output(&["credits", "shots", "--resume"]);
        assert_eq!(credits.status.code(), Some(0), "{}", talk(&credits));
        assert_eq!(shop.work().status.code(), Some(3));
        let gone = store::testing::sql(&shop.database, "delete from account_commands").await;
        assert!(gone.is_err(), "a pause that stands was deleted");
        shop.output(&["accounts", "resume", "shots"]);
        let done = shop.work();
        assert_eq!(done.status.code(), Some(0), "{}", talk(&done));
        assert_eq!(shop.text(COMPLETED).await, "4");
        assert_eq!(submits_to(&shop, Provider::Productai), 4);
        let gone = shop.sql("delete from account_commands").await;
        assert_eq!(gone, 3);
        shop.assert_a_good_caller();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_takes_effect_at_once_and_what_runs_comes_home() {
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        images(&shop, 0, 3).await;
        let worker = shop.worker();
        let sent = "select count(*) as n from image_generations where remote_id is not null";
        shop.until(sent, "3").await;
        let paused = json(&shop.output(&["accounts", "pause", "shots", "texts", "--json"]));
        for one in [0, 1] {
            let outcome = paused[one]["outcome"].as_str().unwrap();
            assert!(outcome.starts_with("submits rest"), "{paused}");
        }
        images(&shop, 3, 2).await;
        shop.until(COMPLETED, "3").await;
        assert_eq!(submits_to(&shop, Provider::Productai), 3);
        let resumed = shop.output(&["accounts", "resume", "shots"]);
        let said = String::from_utf8_lossy(&resumed.stdout).into_owned();
        assert_eq!(said.trim(), "shots: submits go on");
        shop.until(COMPLETED, "5").await;
        assert_eq!(worker.end("TERM").code, Some(0));
        shop.assert_a_good_caller();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_is_not_there_is_told_with_the_next_command() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    for word in ["pause", "resume"] {
        let done = shop.output(&["accounts", word, "shots", "shtos"]);
        assert_eq!(done.status.code(), Some(1), "{}", talk(&done));
        let said = talk(&done);
        assert!(said.contains("no account \"shtos\""), "{said}");
        assert!(said.contains("accounts list"), "{said}");
        let asked = "select count(*) as n from account_commands";
        assert_eq!(shop.text(asked).await, "0");
    }
    let blank = shop.output(&["accounts", "pause", "shots", "--reason", " "]);
    assert_eq!(blank.status.code(), Some(2), "{}", talk(&blank));
    let list = shop.output(&["accounts", "list"]);
    let said = String::from_utf8_lossy(&list.stdout).into_owned();
    for name in ["films", "shots", "texts"] {
        assert!(said.contains(name), "{said}");
    }
}

fn at_productai(verb: Option<Verb>, when: When, kind: FaultKind) -> Options {
    let rule = FaultRule {
        provider: Some(Provider::Productai),
        verb,
        when,
        kind,
    };
    let mut options = options();
    options.faults = FaultPlan { rules: vec![rule] };
    options
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_of_polls_is_shown_and_submits_go_on_and_it_closes() {
    for engine in BOTH {
        let when = When::Between(1, 7);
        let options = at_productai(Some(Verb::Poll), when, FaultKind::ErrorBefore(502));
        let shop = Shop::open(engine, options).await;
        // As long as it takes to look at it.
        shop.edit_config(
            "read_timeout = \"10s\"",
            "read_timeout = \"10s\", breaker_first = \"2s\", breaker_longest = \"2s\"",
        );
        images(&shop, 0, 8).await;
        let worker = shop.worker();
        let open = "select count(*) as n from lane_pauses where endpoints = 'status'";
        shop.until(open, "1").await;
        let status = json(&shop.output(&["status", "--json"]));
        let rests = status["pauses"].as_array().unwrap();
        let rest = rests.iter().find(|rest| rest["endpoints"] == "status");
        let rest = rest.unwrap_or_else(|| panic!("{status}"));
        assert_eq!(rest["code"], "unavailable", "{status}");
        assert_eq!(rest["accounts"][0], "shots", "{status}");
        assert!(rest["since"].is_string() && rest["until"].is_string());
        // While nobody can be asked, all is submitted.
        let sent = "select count(*) as n from image_generations where remote_id is not null";
        shop.until(sent, "8").await;
        shop.until(COMPLETED, "8").await;
        shop.until(open, "0").await;
        assert_eq!(worker.end("TERM").code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slower_pace_after_a_429_is_shown_by_whoever_looks() {
    for engine in BOTH {
        let options = at_productai(None, When::Nth(3), FaultKind::BareTooManyRequests);
        let shop = Shop::open(engine, options).await;
        images(&shop, 0, 3).await;
        let done = shop.work();
        assert_eq!(done.status.code(), Some(0), "{}", talk(&done));
        let status = json(&shop.output(&["status", "--json"]));
        let slowed = &status["slowed"][0];
        assert_eq!(slowed["accounts"][0], "shots", "{status}");
        assert_eq!(slowed["endpoints"], "all", "{status}");
        let percent = slowed["percent"].as_f64().unwrap();
        assert!((80.0..100.0).contains(&percent), "{status}");
        assert_eq!(slowed["configured"], 15, "{status}");
        assert!(slowed["limit"].as_u64().unwrap() < 15, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_of_wrong_rows_is_paused_shown_and_resumed_when_they_are_mended() {
    const WRONG: &str = "no such product";
    for engine in BOTH {
        let mut options = options();
        options.jakov.refused_name = Some(WRONG.to_owned());
        let shop = Shop::open(engine, options).await;
        // Else many are on the wire with the twentieth.
        shop.edit_config(
            "project_id = \"demo\"",
            "project_id = \"demo\"\nbatch_size = 1",
        );
        for n in 0..30 {
            shop.sql(&format!(
                "insert into descriptions (product_name, batch, client_product_id) \
                 values ('{WRONG}', 'spring', 'SKU-{n}')"
            ))
            .await;
        }
        let done = shop.work();
        assert_eq!(done.status.code(), Some(3), "{}", talk(&done));
        let count = |status: &str| {
            format!(
                "select count(*) as n from descriptions where batch = 'spring' and status = '{status}'"
            )
        };
        let failed: u64 = shop.text(&count("failed")).await.parse().unwrap();
        assert!((20..=24).contains(&failed), "{failed}");
        assert_eq!(
            shop.text(&count("pending")).await,
            (30 - failed).to_string()
        );
        let said = talk(&done);
        assert!(said.contains("many in a row were refused"), "{said}");
        let status = json(&shop.output(&["status", "--json"]));
        let of_batch = |status: &serde_json::Value| {
            let mut pauses = status["pauses"].as_array().unwrap().iter();
            pauses.any(|it| it["code"] == "batch_refused" && it["batch"] == "spring")
        };
        assert!(of_batch(&status), "{status}");
        let list = shop.output(&["jobs", "list", "--status", "pending"]);
        assert!(
            talk(&list).contains("batch spring is paused"),
            "{}",
            talk(&list)
        );
        let listed = json(&shop.output(&["batch", "list", "--json"]));
        assert_eq!(listed[0]["batch"], "spring", "{listed}");
        let stranger = shop.output(&["batch", "resume", "summer"]);
        assert_eq!(stranger.status.code(), Some(1), "{}", talk(&stranger));
        // A restart changes nothing; what is mended goes on.
        assert_eq!(shop.work().status.code(), Some(3));
        assert_eq!(shop.text(&count("failed")).await, failed.to_string());
        shop.sql("update descriptions set product_name = 'Lamp ' || id where status = 'pending'")
            .await;
        let asked = shop.output(&["batch", "resume", "spring"]);
        assert_eq!(asked.status.code(), Some(0), "{}", talk(&asked));
        let done = shop.work();
        assert_eq!(done.status.code(), Some(0), "{}", talk(&done));
        assert_eq!(
            shop.text(&count("completed")).await,
            (30 - failed).to_string()
        );
        let status = json(&shop.output(&["status", "--json"]));
        assert!(!of_batch(&status), "{status}");
    }
}
