//! Several workers on one PostgreSQL: they spread the lanes, a dead one's work goes on at once, a frozen one's
//! within its lease, and nothing that wakes up late is believed twice.
//!
//! `VITRINE_FLEET_ROUNDS` sets how often the owner dies or freezes; the figures are printed.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use sandbox::{FaultKind, FaultPlan, Options, Provider, RemoteJob, Verb};

use super::shop::{Engine, Shop, Stopwatch, Worker, options, talk};

/// Slow enough that there is work for the whole test.
const SPEED: f64 = 20.0;
/// Short, so that a test need not wait for half a minute.
const LEASE: Duration = Duration::from_secs(4);
/// Jobs that are there from the beginning, of each of two kinds.
const BACKLOG: u32 = 3_000;

fn rounds(usual: usize) -> usize {
    let told = std::env::var("VITRINE_FLEET_ROUNDS").ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

async fn empty(faults: FaultPlan) -> Shop {
    let options = Options {
        speed: SPEED,
        faults,
        ..options()
    };
    let shop = Shop::open(Engine::Postgres, options).await;
    shop.edit_config(
        "[database]",
        &format!("[database]\nlease = \"{}s\"", LEASE.as_secs()),
    );
    shop
}

async fn with_backlog() -> Shop {
    let shop = empty(FaultPlan::none()).await;
    shop.sql(&format!(
        "insert into descriptions (product_name) select 'Lamp ' || n from generate_series(1, {BACKLOG}) n"
    ))
    .await;
    shop.sql(&format!(
        "insert into image_generations (model, image_url, prompt) \
         select 'nanobanana', 'https://images.example/' || n || '.jpg', 'lamp ' || n \
         from generate_series(1, {BACKLOG}) n"
    ))
    .await;
    shop
}

/// The process that owns this provider's lane, as the database knows it.
async fn owner(shop: &Shop, provider: &str) -> u32 {
    let sql = format!("select split_part(owner, '@', 1) from lanes where provider = '{provider}'");
    shop.text(&sql).await.parse().unwrap()
}

/// Waits until each of `workers` owns a lane.
async fn until_spread(shop: &Shop, workers: &[&Worker]) {
    let wanted: BTreeSet<u32> = workers.iter().map(|worker| worker.pid()).collect();
    let begin = Stopwatch::start();
    loop {
        let rows = shop
            .rows("select split_part(owner, '@', 1) as pid from lanes")
            .await;
        let pids = rows
            .iter()
            .map(|row| row["pid"].as_str().unwrap().parse().unwrap());
        if pids.collect::<BTreeSet<u32>>() == wanted {
            return;
        }
        let said: Vec<String> = workers.iter().map(|worker| worker.talk()).collect();
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "not spread: {said:#?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn seen(shop: &Shop, provider: Provider) -> usize {
    let requests = shop.requests();
    requests
        .iter()
        .filter(|entry| entry.provider == provider)
        .count()
}

/// How long until this provider sees a request again.
async fn until_it_asks(shop: &Shop, provider: Provider, begin: Stopwatch) -> Duration {
    let before = seen(shop, provider);
    while seen(shop, provider) == before {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "nobody asks {provider:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    begin.elapsed()
}

fn signal(worker: &Worker, name: &str) {
    let pid = worker.pid().to_string();
    let sent = Command::new("kill")
        .args(["-s", name, &pid])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// Two workers, the first of which owns the images' lane.
async fn pair(shop: &Shop) -> (Worker, Worker) {
    let (one, two) = (shop.worker(), shop.worker());
    until_spread(shop, &[&one, &two]).await;
    // A lane that nobody has had yet has no row.
    until_it_asks(shop, Provider::Productai, Stopwatch::start()).await;
    if owner(shop, "productai").await == one.pid() {
        (one, two)
    } else {
        (two, one)
    }
}

/// No product and no prompt was accepted twice.
fn nothing_twice(jobs: &[RemoteJob]) {
    let mut seen = BTreeMap::new();
    for job in jobs {
        let text = |name: &str| job.submitted.get(name).and_then(|value| value.as_str());
        let what = text("prompt")
            .or_else(|| text("productName"))
            .unwrap_or_default();
        let twin = seen.insert(what.to_owned(), &job.id);
        assert!(
            twin.is_none(),
            "paid twice: {what} as {twin:?} and {}",
            job.id
        );
    }
}

/// The books agree, and everything that is not in doubt is somewhere on its way.
async fn the_account_is_right(shop: &Shop) {
    nothing_twice(&shop.remote_jobs());
    for entry in shop.requests() {
        assert!(entry.violations.is_empty(), "{entry:#?}");
    }
    for (provider, name, table) in [
        (Provider::Jakov, "jakov", "descriptions"),
        (Provider::Productai, "productai", "image_generations"),
    ] {
        let rows = shop.text(&format!("select count(*) from {table}")).await;
        assert_eq!(rows, BACKLOG.to_string());
        let booked = format!(
            "select coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) end), 0) as n, \
             coalesce(sum(case when j.outcome in ('open', 'unknown') then j.price end), 0) as r \
             from submission_jobs j join submissions s on s.id = j.submission_id where s.provider = '{name}'"
        );
        let charged = || {
            shop.sandbox
                .with(|sandbox, _| sandbox.ledger().charged(provider))
        };
        // The workers work on: what was charged before the books are read is in them, and what is in
        // them was charged by the time that they have been read.
        let before = charged();
        let row = &shop.rows(&booked).await[0];
        let after = charged();
        let number = |name: &str| {
            row[name]
                .to_string()
                .trim_matches('"')
                .parse::<u64>()
                .unwrap()
        };
        let (booked, reserved) = (number("n"), number("r"));
        assert!(
            booked <= after && before <= booked + reserved,
            "{name}: {before} to {after} charged, {booked} booked, {reserved} reserved"
        );
    }
}

/// The workers that are left stop in order.
fn stop(workers: Vec<Worker>) {
    for worker in workers {
        let ended = worker.end("TERM");
        assert_eq!(ended.code, Some(0), "{}", ended.talk);
        assert!(!ended.talk.contains("panicked"), "{}", ended.talk);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_owners_lane_is_served_by_the_other_within_moments() {
    let shop = with_backlog().await;
    let (mut dies, mut lives) = pair(&shop).await;
    let mut took = Vec::new();
    for _ in 0..rounds(4) {
        until_it_asks(&shop, Provider::Productai, Stopwatch::start()).await;
        let begin = Stopwatch::start();
        dies.kill();
        took.push(until_it_asks(&shop, Provider::Productai, begin).await);
        assert_eq!(owner(&shop, "productai").await, lives.pid());
        // The next one to die is the one that has the lane now.
        let fresh = shop.worker();
        until_spread(&shop, &[&lives, &fresh]).await;
        (dies, lives) = if owner(&shop, "productai").await == lives.pid() {
            (lives, fresh)
        } else {
            (fresh, lives)
        };
    }
    took.sort();
    println!(
        "failover after kill -9: median {:?}, longest {:?}, {} times",
        took[took.len() / 2],
        took[took.len() - 1],
        took.len()
    );
    // What a killed worker left open is in doubt once its time-out of ten seconds is over.
    let orphans = "select count(*) from submission_jobs j join submissions s on s.id = j.submission_id \
        where j.outcome = 'open' and s.planned_at < now() - interval '14 seconds'";
    tokio::time::sleep(Duration::from_secs(15)).await;
    shop.until(orphans, "0").await;
    the_account_is_right(&shop).await;
    stop(vec![dies, lives]);
}

/// How many owners the lane has had.
async fn epoch(shop: &Shop) -> i64 {
    let epoch = shop.text("select epoch from lanes where provider = 'productai'");
    epoch.await.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_owner_loses_its_lane_and_what_it_does_after_it_wakes_changes_nothing() {
    let shop = with_backlog().await;
    let (mut frozen, mut other) = pair(&shop).await;
    let mut took = Vec::new();
    for _ in 0..rounds(2) {
        until_it_asks(&shop, Provider::Productai, Stopwatch::start()).await;
        signal(&frozen, "STOP");
        let begin = Stopwatch::start();
        while owner(&shop, "productai").await != other.pid() {
            let waited = begin.elapsed();
            assert!(waited < LEASE * 3, "{waited:?}: {}", other.talk());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        took.push(begin.elapsed());
        let epoch = epoch(&shop).await;
        let late = until_it_asks(&shop, Provider::Productai, Stopwatch::start()).await;
        assert!(late < LEASE, "{late:?}");
        signal(&frozen, "CONT");
        frozen.until_it_says("nothing is sent meanwhile").await;
        until_spread(&shop, &[&frozen, &other]).await;
        assert!(self::epoch(&shop).await >= epoch);
        if owner(&shop, "productai").await == other.pid() {
            (frozen, other) = (other, frozen);
        }
    }
    took.sort();
    println!(
        "lane of a frozen owner taken over: median {:?}, longest {:?}, lease {LEASE:?}",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    the_account_is_right(&shop).await;
    stop(vec![frozen, other]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_spreads_its_lanes_and_ends_one_by_one_without_loss() {
    let shop = with_backlog().await;
    let one = shop.worker();
    until_spread(&shop, &[&one]).await;
    let two = shop.worker();
    let three = shop.worker();
    until_spread(&shop, &[&one, &two, &three]).await;
    // Handing a lane over in order leaves nothing in doubt.
    let doubts = "select count(*) from submission_jobs where outcome = 'unknown'";
    assert_eq!(shop.text(doubts).await, "0");
    assert_eq!(one.end("TERM").code, Some(0));
    until_spread(&shop, &[&two, &three]).await;
    assert_eq!(two.end("TERM").code, Some(0));
    until_spread(&shop, &[&three]).await;
    until_it_asks(&shop, Provider::Productai, Stopwatch::start()).await;
    assert_eq!(shop.text(doubts).await, "0", "{}", three.talk());
    the_account_is_right(&shop).await;
    assert_eq!(three.end("TERM").code, Some(0));
    let status = shop.output(&["status"]);
    assert_eq!(status.status.code(), Some(0), "{}", talk(&status));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_frozen_owner_hears_late_is_the_new_owners_to_conclude_from() {
    // Longer than the lease, shorter than the submit's time-out of ten seconds.
    let slow = FaultKind::Slow(6_000);
    let plan = FaultPlan::once(Provider::Productai, Verb::Submit, 1, slow);
    let shop = empty(plan).await;
    let (one, two) = (shop.worker(), shop.worker());
    until_spread(&shop, &[&one, &two]).await;
    shop.sql(
        "insert into image_generations (model, image_url, prompt) \
         values ('nanobanana', 'https://images.example/1.jpg', 'lamp 1')",
    )
    .await;
    until_it_asks(&shop, Provider::Productai, Stopwatch::start()).await;
    let begin = Stopwatch::start();
    let first = owner(&shop, "productai").await;
    let (frozen, other) = if first == one.pid() {
        (one, two)
    } else {
        (two, one)
    };
    signal(&frozen, "STOP");
    while owner(&shop, "productai").await != other.pid() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = "select status from image_generations";
    assert_eq!(
        shop.text(status).await,
        "submitting",
        "{:?}",
        begin.elapsed()
    );
    tokio::time::sleep(Duration::from_millis(7_000).saturating_sub(begin.elapsed())).await;
    signal(&frozen, "CONT");
    shop.until(status, "completed").await;
    let doubts = "select count(*) from job_events where to_status = 'in_doubt'";
    assert_eq!(shop.text(doubts).await, "0", "{}", other.talk());
    assert_eq!(shop.remote_jobs().len(), 1);
    stop(vec![frozen, other]);
}
