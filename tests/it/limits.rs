//! The request budget as the providers see it, with the real program: workers that are killed again and again,
//! three of them on one PostgreSQL, two accounts on one key, and a network that takes up to three seconds of the
//! providers' time on each way. What counts is the sandbox's own log, by the moment of arrival.
//!
//! `VITRINE_LIMIT_KILLS` says how often a worker is killed (a hundred by hand), `VITRINE_SEED` repeats the moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandbox::{Options, Provider, RequestEntry, Verb, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::kill_loop::{dice, seed};
use super::shop::{Engine, Shop, Worker, options};

/// A minute of the providers takes three seconds.
const SPEED: f64 = 20.0;
/// The longest way, of the providers' time.
const WIRE: Duration = Duration::from_secs(3);
/// In CI; by hand a hundred.
const KILLS: u64 = 6;
const WORKERS: usize = 3;
/// What each provider allows in a minute.
const PRODUCTAI: u32 = 60;
const JAKOV: [u32; 2] = [60, 90];

/// Between the workers and the sandbox: bytes go both ways, each time a little later, evenly from nothing to a
/// most. Ends with its value.
struct SlowWay {
    address: String,
    _tasks: JoinSet<()>,
}

impl SlowWay {
    async fn to(sandbox: String, most: Duration, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut dice = dice(seed);
            let mut ways = JoinSet::new();
            while let Ok((from, _)) = listener.accept().await {
                let Ok(to) = TcpStream::connect(&sandbox).await else {
                    continue;
                };
                let (from_read, from_write) = from.into_split();
                let (to_read, to_write) = to.into_split();
                ways.spawn(pass(from_read, to_write, most, dice.fork()));
                ways.spawn(pass(to_read, from_write, most, dice.fork()));
            }
        });
        let _tasks = tasks;
        Self { address, _tasks }
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    most: Duration,
    mut dice: fastrand::Rng,
) {
    let mut bytes = vec![0; 64 * 1_024];
    while let Ok(n @ 1..) = from.read(&mut bytes).await {
        tokio::time::sleep(most.mul_f64(dice.f64())).await;
        if to.write_all(&bytes[..n]).await.is_err() {
            return;
        }
    }
    // What was sent before the end of one side still arrives.
    let _ = to.shutdown().await;
}

fn busy(seed: u64) -> Options {
    let mut options = Options {
        seed,
        speed: SPEED,
        ..options()
    };
    options.productai.requests_per_minute = PRODUCTAI;
    options.productai.tokens = 1_000_000;
    [
        options.jakov.submit_per_minute,
        options.jakov.read_per_minute,
    ] = JAKOV;
    options
}

/// Two accounts with the images' key, limits that bind, and the slow way to all providers.
fn configure(shop: &Shop, way: &SlowWay) {
    let text = std::fs::read_to_string(shop.config()).unwrap();
    let base = format!("base_url = \"{}", shop.sandbox.base_url());
    assert!(text.contains(&base), "{text}");
    let text = text.replace(&base, &format!("base_url = \"{}", way.address));
    // What nobody answers holds its place for so long.
    let text = text.replace("\"10s\"", "\"2s\"");
    let (before, rest) = text.split_once("[accounts.shots]").unwrap();
    let (shots, after) = rest.split_once("\n[accounts.").unwrap();
    let shots = format!("[accounts.shots]{shots}").replace(
        "model = \"nanobanana\"",
        &format!("model = \"nanobanana\"\nlimits = {{ requests_per_minute = {PRODUCTAI} }}"),
    );
    assert!(shots.contains("requests_per_minute"), "{shots}");
    let twin = shots.replace("[accounts.shots]", "[accounts.shots_too]");
    let limits = format!(
        "[accounts.texts.limits]\nsubmit_per_minute = {}\nread_per_minute = {}\n",
        JAKOV[0], JAKOV[1]
    );
    let text = format!("{before}{shots}\n{twin}\n{limits}\n[accounts.{after}");
    std::fs::write(shop.config(), text).unwrap();
}

async fn backlog(shop: &Shop, rows: u64) {
    shop.sql(&format!(
        "insert into descriptions (product_name) select 'Lamp ' || n from generate_series(1, {rows}) n"
    ))
    .await;
    shop.sql(&format!(
        "insert into image_generations (account, image_url, prompt) \
         select case n % 2 when 0 then 'shots' else 'shots_too' end, \
           'https://images.example/' || n || '.jpg', 'lamp ' || n from generate_series(1, {rows}) n"
    ))
    .await;
}

/// A minute of the providers, in milliseconds of ours.
const MINUTE_MS: i64 = 3_000;

/// The most that arrived in any of the providers' minutes; nothing was answered 429, and no rule broken.
fn fullest(shop: &Shop, counts: impl Fn(&RequestEntry) -> bool, limit: u32) -> usize {
    let most = shop
        .sandbox
        .with(|it, _| it.ledger().busiest(MINUTE_MS, counts));
    assert!(
        most <= limit as usize,
        "{most} in a minute, {limit} are allowed"
    );
    most
}

/// No rule was broken. A job is asked about again after its end was told only where the telling was lost: a process
/// that died, or lost its lane, between the answer and its own commit. Then the ledger has that request without
/// an answer. The sandbox cannot know: here it hands its answers to the slow way, whoever lives behind it.
async fn rules_are_kept(shop: &Shop) {
    let lost = "select coalesce(i.remote_id, d.remote_id) as remote_id, count(*) as n from requests r \
        left join image_generations i on r.kind = 'image' and i.id = r.job_id \
        left join descriptions d on r.kind = 'description' and d.id = r.job_id \
        where r.verb = 'status' and r.http_status is null and (i.remote_id is not null or d.remote_id is not null) \
        group by 1";
    let mut lost: BTreeMap<String, i64> = (shop.rows(lost).await.iter())
        .map(|row| {
            (
                row["remote_id"].as_str().unwrap().to_owned(),
                row["n"].as_i64().unwrap(),
            )
        })
        .collect();
    for entry in shop.requests() {
        assert_ne!(entry.status, 429, "{entry:#?}");
        for broken in &entry.violations {
            assert_eq!(*broken, Violation::PollAfterTerminal, "{entry:#?}");
            let left = lost.entry(entry.jobs[0].clone()).or_default();
            *left -= 1;
            assert!(
                *left >= 0,
                "its end was written down, and it is asked again: {entry:#?}"
            );
            println!(
                "{}: its end was told to a process that did not live to write it down",
                entry.jobs[0]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_that_are_killed_never_fill_a_window_of_two_accounts_on_one_key() {
    let kills = std::env::var("VITRINE_LIMIT_KILLS").ok();
    let kills: u64 = kills.map_or(KILLS, |text| text.parse().unwrap());
    let seed = seed();
    eprintln!("{kills} kills; to repeat their moments: VITRINE_SEED={seed}");
    let shop = Shop::open(Engine::Postgres, busy(seed)).await;
    let address = shop.sandbox.base_url().replace("http://", "");
    let way = SlowWay::to(address, WIRE.div_f64(SPEED), seed).await;
    configure(&shop, &way);
    shop.edit_config("[database]", "[database]\nlease = \"4s\"");
    backlog(&shop, 2_000).await;
    let mut dice = dice(seed);
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| shop.worker()).collect();
    shop.until("select count(*) from lanes where epoch > 0", "3")
        .await;
    for _ in 0..kills {
        let life = Duration::from_millis(dice.u64(50..900));
        tokio::time::sleep(life).await;
        let one = dice.usize(..workers.len());
        let said = workers[one].talk();
        assert!(!said.contains("panicked"), "{said}");
        workers.swap_remove(one).kill();
        workers.push(shop.worker());
    }
    // A minute in which nobody dies: the windows are used to the full.
    tokio::time::sleep(Duration::from_secs(6)).await;
    for worker in workers {
        assert_eq!(worker.end("TERM").code, Some(0));
    }
    rules_are_kept(&shop).await;
    let mut paid = BTreeSet::new();
    for job in shop.remote_jobs() {
        let name = job
            .text("prompt")
            .or(job.text("productName"))
            .unwrap_or_default()
            .to_owned();
        assert!(paid.insert(name.clone()), "paid twice: {name}");
    }
    let images = fullest(&shop, |it| it.provider == Provider::Productai, PRODUCTAI);
    let of_texts = |submit: bool| {
        move |it: &RequestEntry| {
            it.provider == Provider::Jakov && (it.verb == Verb::Submit) == submit
        }
    };
    let submits = fullest(&shop, of_texts(true), JAKOV[0]);
    let reads = fullest(&shop, of_texts(false), JAKOV[1]);
    let requests = shop.requests();
    let of_twins = "select count(distinct taken_by) from image_generations";
    assert_eq!(shop.text(of_twins).await, "2");
    println!(
        "seed {seed}: {kills} kills of {WORKERS} workers, {} requests, none answered 429; the fullest minutes: \
         images {images} of {PRODUCTAI} (two accounts on one key), texts {submits} of {} submits and {reads} of {} reads",
        requests.len(),
        JAKOV[0],
        JAKOV[1]
    );
    assert!(
        images * 10 >= PRODUCTAI as usize * 6,
        "only {images} in a minute"
    );
}
