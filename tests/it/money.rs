//! Money: caps that are never passed, credits that end and come back, and what people see of it. The
//! provider's own book of charges is what counts.

use sandbox::{NoCredit, Provider};

use super::shop::{BOTH, Engine, Shop, json, options, talk};

const COMPLETED: &str = "select count(*) as n from image_generations where status = 'completed'";
const PAUSED: &str = "select count(*) as n from lane_pauses where code = 'out_of_credits'";

/// Images at 3 tokens each.
async fn images(shop: &Shop, batch: &str, many: usize) {
    for n in 0..many {
        shop.sql(&format!(
            "insert into image_generations (batch, image_url, prompt) \
             values ('{batch}', 'https://images.example/{n}.jpg', 'lamp {batch} {n}')"
        ))
        .await;
    }
}

async fn texts(shop: &Shop, many: usize) {
    for n in 0..many {
        shop.sql(&format!(
            "insert into descriptions (product_name) values ('lamp {n}')"
        ))
        .await;
    }
}

fn charged(shop: &Shop, provider: Provider) -> u64 {
    shop.sandbox
        .with(|sandbox, _| sandbox.ledger().charged(provider))
}

/// The account's section of the config has this line too.
fn set(shop: &Shop, account: &str, line: &str) {
    let head = format!("[accounts.{account}]\n");
    shop.edit_config(&head, &format!("{head}{line}\n"));
}

fn work(shop: &Shop, code: i32) -> String {
    let done = shop.work();
    assert_eq!(done.status.code(), Some(code), "{}", talk(&done));
    talk(&done)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_is_reached_and_never_passed() {
    for engine in BOTH {
        let shop = Shop::open(engine, options()).await;
        set(&shop, "shots", "spend = { per_month = 10 }");
        images(&shop, "spring", 5).await;
        texts(&shop, 2).await;
        let said = work(&shop, 8);
        assert!(said.contains("spending cap is reached: 2"), "{said}");
        assert_eq!(charged(&shop, Provider::Productai), 9);
        // Other accounts go on.
        let done = "select count(*) as n from descriptions where status = 'completed'";
        assert_eq!(shop.text(done).await, "2");
        let held = shop
            .rows("select attempt, error_code, error_message, credits from image_generations where status = 'pending'")
            .await;
        assert_eq!(held.len(), 2);
        for row in held {
            assert_eq!(row["attempt"], 0, "{row}");
            assert_eq!(row["error_code"], "spend_cap", "{row}");
            let message = row["error_message"].as_str().unwrap();
            assert!(message.starts_with("spend.per_month = 10 "), "{message}");
            assert!(message.contains("has taken 9"), "{message}");
            assert!(message.contains("it frees at "), "{message}");
        }
        let status = json(&shop.output(&["status", "--json"]));
        assert_eq!(status["caps"][0]["percent"], 90, "{status}");
        assert_eq!(status["caps"][0]["state"], "warning", "{status}");
        let credits = json(&shop.output(&["credits", "shots", "--json"]));
        assert_eq!(credits[0]["this_month"]["booked"], 9, "{credits}");
        // A start changes nothing about it.
        work(&shop, 8);
        assert_eq!(charged(&shop, Provider::Productai), 9);
        // Another cap does.
        shop.edit_config("per_month = 10", "per_month = 15");
        work(&shop, 0);
        assert_eq!(charged(&shop, Provider::Productai), 15);
        assert_eq!(shop.text(COMPLETED).await, "5");
        let booked = "select sum(credits) as n from image_generations";
        assert_eq!(shop.text(booked).await, "15");
        shop.assert_a_good_caller();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_dearer_than_its_whole_cap_is_told_that_waiting_is_in_vain() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    set(&shop, "shots", "spend = { per_day = 10 }");
    shop.sql(
        "insert into image_generations (operation, image_url) \
         values ('upscale', 'https://images.example/1.jpg')",
    )
    .await;
    work(&shop, 8);
    let why = shop
        .text("select error_message from image_generations")
        .await;
    assert!(
        why.contains("this needs 20; that is more than the whole cap"),
        "{why}"
    );
    assert!(!why.contains("it frees"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cap_on_batches_lets_other_batches_go_on() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    set(&shop, "shots", "spend = { per_batch = 7 }");
    images(&shop, "spring", 4).await;
    images(&shop, "summer", 1).await;
    work(&shop, 8);
    assert_eq!(charged(&shop, Provider::Productai), 9);
    let of_summer = format!("{COMPLETED} and batch = 'summer'");
    assert_eq!(shop.text(&of_summer).await, "1");
    // The money of a batch stays when its rows go.
    let gone = "delete from image_generations where status = 'completed'";
    assert_eq!(shop.sql(gone).await, 3);
    images(&shop, "spring", 1).await;
    work(&shop, 8);
    assert_eq!(charged(&shop, Provider::Productai), 9);
    let status = json(&shop.output(&["status", "--json"]));
    assert_eq!(status["caps"][0]["batch"], "spring", "{status}");
    assert_eq!(status["caps"][0]["taken"], 6, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_price_under_a_cap_waits_for_a_price() {
    let shop = Shop::open(Engine::Sqlite, options()).await;
    set(&shop, "texts", "spend = { per_day = 5 }");
    shop.edit_config("credits_per_description = 1\n", "");
    texts(&shop, 2).await;
    let said = work(&shop, 3);
    assert!(said.contains("price is not known"), "{said}");
    assert!(shop.submits().is_empty());
    let code =
        "select min(error_code) || ' ' || count(*) as n from descriptions where status = 'pending'";
    assert_eq!(shop.text(code).await, "price_unknown 2");
    set(&shop, "texts", "credits_per_description = 1");
    work(&shop, 0);
    assert_eq!(charged(&shop, Provider::Jakov), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_charge_above_its_estimate_is_booked_and_shown() {
    let mut options = options();
    options.productai.shape.extras = true;
    if let Some(model) = options.productai.models.get_mut("nanobanana") {
        model.tokens = 5;
    }
    let shop = Shop::open(Engine::Sqlite, options).await;
    images(&shop, "spring", 2).await;
    work(&shop, 0);
    assert_eq!(charged(&shop, Provider::Productai), 10);
    let booked = "select sum(credits) as n from image_generations";
    assert_eq!(shop.text(booked).await, "10");
    let told = "select count(*) as n from job_events where event = 'charged'";
    assert_eq!(shop.text(told).await, "2");
    let prices = "select sum(price) as n from submission_jobs";
    assert_eq!(shop.text(prices).await, "6");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_tokens_polls_go_on_and_submits_resume_after_a_top_up() {
    for engine in BOTH {
        let mut options = options();
        options.productai.tokens = 6;
        let shop = Shop::open(engine, options).await;
        images(&shop, "spring", 5).await;
        let worker = shop.worker();
        shop.until(PAUSED, "1").await;
        // What was paid for comes home.
        shop.until(COMPLETED, "2").await;
        let tried =
            "select count(*) as n from image_generations where attempt > 0 and status = 'pending'";
        assert_eq!(shop.text(tried).await, "0");
        shop.sandbox.top_up(Provider::Productai, 100).unwrap();
        shop.until(COMPLETED, "5").await;
        shop.until(PAUSED, "0").await;
        assert_eq!(charged(&shop, Provider::Productai), 15);
        let booked = "select sum(credits) as n from image_generations";
        assert_eq!(shop.text(booked).await, "15");
        assert_eq!(worker.end("TERM").code, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_says_that_credits_are_back() {
    for engine in BOTH {
        let mut options = options();
        options.productai.tokens = 3;
        let shop = Shop::open(engine, options).await;
        shop.edit_config(
            "read_timeout = \"10s\"",
            "read_timeout = \"10s\", credits_probe = \"1h\"",
        );
        images(&shop, "spring", 3).await;
        let worker = shop.worker();
        shop.until(PAUSED, "1").await;
        shop.until(COMPLETED, "1").await;
        let paused = json(&shop.output(&["credits", "shots", "--json"]));
        assert_eq!(paused[0]["paused"]["code"], "out_of_credits", "{paused}");
        let before = shop.submits().len();
        shop.sandbox.top_up(Provider::Productai, 100).unwrap();
        let asked = shop.output(&["credits", "shots", "--resume"]);
        assert_eq!(asked.status.code(), Some(0), "{}", talk(&asked));
        shop.until(COMPLETED, "3").await;
        assert_eq!(shop.submits().len(), before + 2);
        let outcome = "select min(outcome) as n from account_commands";
        assert_eq!(shop.text(outcome).await, "submits go on");
        assert_eq!(worker.end("TERM").code, Some(0));
        let unknown = shop.output(&["credits", "nobody", "--resume"]);
        assert_eq!(unknown.status.code(), Some(1), "{}", talk(&unknown));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reached_budget_of_the_month_rests_submits_and_ends_an_idle_run() {
    let mut options = options();
    options.jarai.monthly_ceiling = Some(1);
    let shop = Shop::open(Engine::Sqlite, options).await;
    for n in 0..2 {
        shop.sql(&format!(
            "insert into productions (topic) values ('lamp {n}')"
        ))
        .await;
    }
    let said = work(&shop, 3);
    assert!(said.contains("BUDGET_GATE_1_FAILED"), "{said}");
    let states = "select min(status) || ' ' || max(status) as n from productions";
    assert_eq!(shop.text(states).await, "completed pending");
    shop.sandbox.top_up(Provider::Jarai, 1).unwrap();
    // A new run tries at once.
    work(&shop, 0);
    assert_eq!(shop.text(states).await, "completed completed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_balance_that_jakov_calls_a_bad_request_fails_no_row() {
    for code in [400, 402, 403] {
        let mut options = options();
        options.jakov.credits = 2;
        options.jakov.shape.no_credit = NoCredit::Refuse(code);
        let shop = Shop::open(Engine::Sqlite, options).await;
        set(&shop, "texts", "batch_size = 1");
        texts(&shop, 5).await;
        let worker = shop.worker();
        let done = "select count(*) as n from descriptions where status = 'completed'";
        shop.until(PAUSED, "1").await;
        shop.until(done, "2").await;
        let open =
            "select count(*) as n from descriptions where status = 'pending' and attempt = 0";
        shop.until(open, "3").await;
        let said = json(&shop.output(&["credits", "texts", "--balance", "--json"]));
        assert_eq!(said[0]["balance"], "balance: 0", "{said}");
        shop.sandbox.top_up(Provider::Jakov, 10).unwrap();
        shop.until(done, "5").await;
        assert_eq!(charged(&shop, Provider::Jakov), 5);
        assert_eq!(worker.end("TERM").code, Some(0));
    }
}
