//! A SQLite file that others write, read for long, fill, delete and replace, under a worker at work.

use std::process::Command;
use std::time::Duration;

use store::testing::sql;

use super::{Feeder, all_is_well, at_work, in_states, rounds, times, until_busy};
use crate::shop::{Engine, Shop};

const EVERY: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_from_outside_are_waited_for_and_wait() {
    let transactions = rounds("VITRINE_DATABASE_CONTENDED", 1_000);
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    let mut worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    shop.sql("create table theirs (n integer)").await;
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let url = shop.database.clone();
            tokio::spawn(async move {
                for number in 0..transactions / 4 {
                    let row = format!("insert into theirs values ({number} * 4 + {writer})");
                    while let Err(error) = sql(&url, &row).await {
                        assert!(error.contains("locked"), "{error}");
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(
        shop.text("select count(*) as n from theirs").await,
        (transactions / 4 * 4).to_string()
    );
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    println!("{transactions} contended transactions: {jobs} jobs, 0 lost, 0 double");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_for_longer_than_a_writer_waits_is_waited_for() {
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    let mut worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    let hold = store::testing::SqliteHold::write(&shop.database).await;
    worker.until_it_says(super::WAITS).await;
    hold.release().await;
    worker.until_it_says(super::GOES_ON).await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    assert_eq!(times(&worker, super::WAITS), 1, "{}", worker.talk());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_reader_holds_nothing_up_and_the_log_shrinks_after_it() {
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    let mut worker = shop.worker();
    let hold = store::testing::SqliteHold::read(&shop.database).await;
    let feeder = Feeder::start(&shop, EVERY);
    // Beside the jobs: enough to make the log longer than what is kept of it.
    shop.sql("create table theirs (t text)").await;
    let megabytes = "insert into theirs select hex(randomblob(500000)) from generate_series(1, 10)";
    let megabytes = megabytes.replace(
        "generate_series(1, 10)",
        "(with recursive n(i) as (select 1 union all select i + 1 from n where i < 10) select i from n)",
    );
    for _ in 0..8 {
        shop.sql(&megabytes).await;
    }
    let log = shop.path().join("vitrine.db-wal");
    let length = || std::fs::metadata(&log).unwrap().len();
    let long = length();
    assert!(long > 70_000_000, "{long}");
    hold.release().await;
    let mut looks = 0;
    while length() > 68_000_000 {
        looks += 1;
        assert!(looks < 600, "the log keeps {} bytes", length());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_deleted_or_replaced_ends_the_worker_with_a_sentence() {
    for ending in ["", "-wal"] {
        let shop = Shop::open(Engine::Sqlite, at_work()).await;
        let worker = shop.worker();
        shop.sql("insert into descriptions (product_name) values ('Lamp')")
            .await;
        shop.until(&in_states("'completed'"), "1").await;
        let file = shop.path().join(format!("vitrine.db{ending}"));
        std::fs::rename(&file, file.with_extension("gone")).unwrap();
        let ended = worker.wait();
        assert_eq!(ended.code, Some(1), "{}", ended.talk);
        for words in ["deleted or replaced", file.to_str().unwrap()] {
            assert!(ended.talk.contains(words), "{ending}: {}", ended.talk);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_file_that_is_deleted_is_made_anew() {
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    let mut worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    let lock = shop.path().join("vitrine.db.lock");
    std::fs::remove_file(&lock).unwrap();
    let mut looks = 0;
    while !lock.exists() {
        looks += 1;
        assert!(looks < 600, "no lock again: {}", worker.talk());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    // And it holds: a second worker refuses.
    assert_eq!(shop.output(&["run"]).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_may_not_grow_is_waited_for() {
    let shop = Shop::open(Engine::Sqlite, at_work()).await;
    // The files of a process may not be larger: what is written beyond fails as on a full disk.
    let worker = shop.command(&["run"]);
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "trap '' XFSZ; exec prlimit --fsize=1200000:unlimited \"$@\"",
            "sh",
        ])
        .arg(worker.get_program());
    command.args(worker.get_args()).current_dir(shop.path());
    for (name, value) in worker.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut worker = crate::shop::Worker::start(command);
    let feeder = Feeder::start(&shop, Duration::from_millis(20));
    worker.until_it_says(super::WAITS).await;
    let freed = Command::new("prlimit")
        .args([
            "--fsize=unlimited:unlimited",
            "--pid",
            &worker.pid().to_string(),
        ])
        .status();
    assert!(freed.unwrap().success());
    worker.until_it_says(super::GOES_ON).await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
}
