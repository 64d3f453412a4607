//! Trouble with the database under a worker at work (RELIABILITY.md section 4, L4): the worker waits and
//! goes on by itself. Afterwards nothing is lost, nothing was sent twice, the limits held, the ledger is
//! what the providers took, and the process is the one that was started.
//!
//! Short by default. By hand: `VITRINE_DATABASE_STOPPED` (seconds), `VITRINE_DATABASE_RESTARTS`,
//! `VITRINE_DATABASE_TERMINATIONS`, `VITRINE_DATABASE_CONTENDED` (transactions); the figures are printed.

mod disk;
mod postgres;
mod proxy;
mod sqlite;
mod start;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sandbox::{Options, Provider};
use store::testing::sql;
use tokio::task::JoinHandle;

use super::crash::nothing_twice;
use super::shop::{Shop, Worker, options};

/// How much of it: a number from the environment, or the usual one.
pub(super) fn rounds(variable: &str, usual: u64) -> u64 {
    let told = std::env::var(variable).ok();
    told.and_then(|told| told.parse().ok()).unwrap_or(usual)
}

/// Slow enough that work is under way whenever the database goes.
pub(super) fn at_work() -> Options {
    Options {
        speed: 60.0,
        ..options()
    }
}

/// A program that inserts jobs all the time, and again what the database did not take.
pub(super) struct Feeder {
    stop: Arc<AtomicBool>,
    fed: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Feeder {
    /// A text and an image each time.
    pub(super) fn start(shop: &Shop, every: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let fed = Arc::new(AtomicU64::new(0));
        let (database, until, count) = (shop.database.clone(), Arc::clone(&stop), Arc::clone(&fed));
        let task = tokio::spawn(async move {
            while !until.load(Ordering::Relaxed) {
                let number = count.load(Ordering::Relaxed);
                feed(&database, number, &until).await;
                count.store(number + 1, Ordering::Relaxed);
                tokio::time::sleep(every).await;
            }
        });
        Self { stop, fed, task }
    }

    /// Stops, and says how many jobs there are.
    pub(super) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        2 * self.fed.load(Ordering::Relaxed)
    }
}

async fn feed(database: &str, number: u64, until: &AtomicBool) {
    let rows = [
        format!(
            "insert into descriptions (product_name, dedupe_key) values ('Lamp {number}', 'd{number}') \
             on conflict do nothing"
        ),
        format!(
            "insert into image_generations (model, image_url, prompt, dedupe_key) values \
             ('nanobanana', 'https://images.example/{number}.jpg', 'lamp {number}', 'i{number}') \
             on conflict do nothing"
        ),
    ];
    for row in rows {
        let mut tries = 0;
        while sql(database, &row).await.is_err() {
            tries += 1;
            assert!(
                tries < 2_000 || !until.load(Ordering::Relaxed),
                "{row} is never taken"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// How many texts and images stand in one of these states.
pub(super) fn in_states(states: &str) -> String {
    format!(
        "select (select count(*) from descriptions where status in ({states})) \
         + (select count(*) from image_generations where status in ({states})) as n"
    )
}

/// Waits until work is on the wire, and some of it is done.
pub(super) async fn until_busy(shop: &Shop) {
    let busy = format!(
        "select case when ({}) > 0 and ({}) > 3 then 1 else 0 end as n",
        in_states("'running', 'submitting', 'capturing'"),
        in_states("'completed'"),
    );
    shop.until(&busy, "1").await;
}

/// All of `jobs` are completed by the same process, each was bought once, and the account is whole.
pub(super) async fn all_is_well(shop: &Shop, worker: &mut Worker, jobs: u64) {
    shop.until(&in_states("'completed'"), &jobs.to_string())
        .await;
    assert!(!worker.has_ended(), "it ended: {}", worker.talk());
    let talk = worker.talk();
    assert!(!talk.contains("panicked"), "{talk}");
    let remote = shop.remote_jobs();
    assert_eq!(remote.len() as u64, jobs, "each was bought once: {talk}");
    nothing_twice(&remote);
    shop.assert_a_good_caller();
    for (provider, name) in [
        (Provider::Jakov, "jakov"),
        (Provider::Productai, "productai"),
    ] {
        let charged = shop
            .sandbox
            .with(|sandbox, _| sandbox.ledger().charged(provider));
        let booked = format!(
            "select coalesce(sum(j.credits), 0) as n from submission_jobs j \
             join submissions s on s.id = j.submission_id where s.provider = '{name}'"
        );
        assert_eq!(shop.text(&booked).await, charged.to_string(), "{name}");
    }
    let files = shop
        .rows("select location from deliverables where kind = 'image'")
        .await;
    let files: BTreeSet<String> = files
        .iter()
        .map(|row| row["location"].as_str().unwrap().replace("file://", ""))
        .collect();
    assert_eq!(files.len() as u64, jobs / 2, "a file for each image");
    for file in files {
        assert!(std::fs::metadata(&file).unwrap().len() > 0, "{file}");
    }
}

/// How often the log says this.
pub(super) fn times(worker: &Worker, words: &str) -> usize {
    worker.talk().matches(words).count()
}

/// What the worker says when the trouble begins, and when it is over.
pub(super) const WAITS: &str = "waiting for it";
pub(super) const GOES_ON: &str = "the database answers again";
