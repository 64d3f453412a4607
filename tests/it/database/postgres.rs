//! A PostgreSQL that stops, restarts, ends sessions and has no room, under a worker at work.

use std::time::Duration;

use store::testing::{OwnServer, sql};

use super::{Feeder, GOES_ON, WAITS, all_is_well, at_work, in_states, rounds, times, until_busy};
use crate::shop::{Shop, Worker, talk};

const EVERY: Duration = Duration::from_millis(100);

/// A shop on a server that the test may stop, and a worker in it.
pub(super) async fn at_work_on(settings: &[&str]) -> (OwnServer, Shop, Worker, Feeder) {
    let server = OwnServer::start(settings).await;
    let shop = Shop::on(server.url.clone(), at_work()).await;
    let made = shop.output(&["migrate"]);
    assert_eq!(made.status.code(), Some(0), "{}", talk(&made));
    let worker = shop.worker();
    let feeder = Feeder::start(&shop, EVERY);
    until_busy(&shop).await;
    (server, shop, worker, feeder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_stopped_for_a_while_is_waited_for() {
    let seconds = rounds("VITRINE_DATABASE_STOPPED", 5);
    let (mut server, shop, mut worker, feeder) = at_work_on(&[]).await;
    server.stop().unwrap();
    worker.until_it_says(WAITS).await;
    // What is on the wire is answered; then nothing is sent until the database is back.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = shop.requests().len();
    let memory = resident(&worker);
    tokio::time::sleep(Duration::from_secs(seconds.saturating_sub(2))).await;
    assert_eq!(
        shop.requests().len(),
        before,
        "nothing is sent without a database"
    );
    let grown = resident(&worker).saturating_sub(memory);
    assert!(grown < 16_000, "{grown} kB more after {seconds} s");
    server.start_again().await.unwrap();
    worker.until_it_says(GOES_ON).await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    assert_eq!(
        (times(&worker, WAITS), times(&worker, GOES_ON)),
        (1, 1),
        "{}",
        worker.talk()
    );
    println!(
        "stopped for {seconds} s: {jobs} jobs, 0 lost, 0 double, 0 in doubt, {grown} kB grown"
    );
}

/// Memory in kB.
fn resident(worker: &Worker) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_again_and_again_costs_nothing() {
    let restarts = rounds("VITRINE_DATABASE_RESTARTS", 5);
    let (mut server, shop, mut worker, feeder) = at_work_on(&[]).await;
    for round in 0..restarts {
        server.stop().unwrap();
        server.start_again().await.unwrap();
        // In the middle of what the worker does first, or later.
        tokio::time::sleep(Duration::from_millis(200 + 370 * (round % 7))).await;
    }
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    let doubts = shop
        .text("select count(*) as n from job_events where to_status = 'in_doubt'")
        .await;
    println!("{restarts} restarts: {jobs} jobs, 0 lost, 0 double, {doubts} ever in doubt");
    // The same server after each restart: nobody has to accept it.
    assert_eq!(times(&worker, "another server"), 0, "{}", worker.talk());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_ended_cost_nothing() {
    let terminations = rounds("VITRINE_DATABASE_TERMINATIONS", 100);
    let (_server, shop, mut worker, feeder) = at_work_on(&[]).await;
    // Whichever: one of the pool, the one that holds the lanes' locks, or the one that listens.
    let end_one = "select pg_terminate_backend(pid) from pg_stat_activity \
        where application_name like 'vitrine %' order by random() limit 1";
    let mut ended = 0;
    while ended < terminations {
        if sql(&shop.database, end_one).await.unwrap() > 0 {
            ended += 1;
        }
        tokio::time::sleep(Duration::from_millis(20 + 17 * (ended % 5))).await;
    }
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    println!("{ended} sessions ended: {jobs} jobs, 0 lost, 0 double");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_session_or_in_read_only_mode_is_waited_for() {
    let (_server, shop, mut worker, feeder) = at_work_on(&["max_connections=20"]).await;
    let jobs = feeder.end().await;
    let end_all = "select pg_terminate_backend(pid) from pg_stat_activity \
        where application_name like 'vitrine %'";
    // Others take the places faster than the worker can.
    let hogs: Vec<_> = (0..24)
        .map(|_| {
            let url = shop.database.clone();
            tokio::spawn(async move { while sql(&url, "select pg_sleep(4)").await.is_err() {} })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(300)).await;
    // No place is free to say so from outside either, until somebody goes.
    while sql(&shop.database, end_all).await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for hog in hogs {
        hog.await.unwrap();
    }
    all_is_well(&shop, &mut worker, jobs).await;
    shop.sql("alter database shop set default_transaction_read_only = on")
        .await;
    shop.sql(end_all).await;
    worker.until_it_says("read-only").await;
    sql(
        &shop.database,
        "set session characteristics as transaction read write",
    )
    .await
    .unwrap();
    let writable = shop.database.replace("/shop", "/postgres");
    sql(
        &writable,
        "alter database shop reset default_transaction_read_only",
    )
    .await
    .unwrap();
    sql(&writable, end_all).await.unwrap();
    let feeder = Feeder::start(&shop, EVERY);
    shop.until(
        &format!(
            "select case when ({}) >= {} then 1 else 0 end as n",
            in_states("'completed'"),
            jobs
        ),
        "1",
    )
    .await;
    let again = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs.max(again)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_another_history_gets_no_submits_until_a_person_accepts_it() {
    let (mut server, shop, mut worker, feeder) = at_work_on(&[]).await;
    server.stop().unwrap();
    server.fork().unwrap();
    server.start_again().await.unwrap();
    worker.until_it_says("timeline 1 to 2").await;
    let before = shop.submits().len();
    // What is running is polled and captured; what is pending stays.
    shop.until(&in_states("'submitting', 'running', 'capturing'"), "0")
        .await;
    assert_eq!(shop.submits().len(), before, "no submit: {}", worker.talk());
    let status = shop.output(&["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        said.contains("doctor --accept-database") && said.contains("another_server"),
        "{said}"
    );
    assert_eq!(shop.output(&["doctor"]).status.code(), Some(1));
    // A run to the end does not end well, and says why.
    let accepted = shop.output(&["doctor", "--accept-database"]);
    assert_eq!(accepted.status.code(), Some(0), "{}", talk(&accepted));
    worker.until_it_says("is accepted").await;
    let jobs = feeder.end().await;
    all_is_well(&shop, &mut worker, jobs).await;
    assert_eq!(shop.output(&["doctor"]).status.code(), Some(0));
}
