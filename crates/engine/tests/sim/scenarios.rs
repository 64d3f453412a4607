//! Histories that are about one thing: rows, accounts and happenings of their own.

use std::time::Duration;

use domain::{JobId, JobKind, Status};
use sandbox::{FaultKind, FaultPlan, FaultRule, Verb, When};

use crate::checks::{broken, check};
use crate::faults::{Chances, Faults};
use crate::proof::is_thorough;
use crate::rows;
use crate::summary::Summary;
use crate::world::{Outside, World};

fn id(kind: JobKind, id: i64) -> JobId {
    JobId { kind, id }
}

#[test]
fn rows_that_come_while_it_works_are_done_and_a_cancelled_one_is_never_sent() {
    let minute = Duration::from_secs(60);
    let summary = World::of(11)
        .rows(rows::some(2, 20, 0))
        .accounts(|accounts| accounts[1].policy.max_running = 2)
        .options(|options| options.webhook_attempts = 1)
        .at(
            Duration::from_secs(1),
            Outside::Command(id(JobKind::Image, 20), "cancel", None),
        )
        .at(minute, Outside::Insert(vec![rows::text(90)]))
        .at(
            minute,
            Outside::Provider(Box::new(|provider, _| {
                assert!(!provider.ledger().requests().is_empty(), "nothing was sent");
            })),
        )
        .end(Duration::from_secs(7_200))
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.rows(), 23);
    let cancelled = summary
        .jobs
        .iter()
        .find(|job| job.id == id(JobKind::Image, 20))
        .unwrap();
    assert_eq!(cancelled.work.status(), Status::Cancelled);
    assert_eq!(summary.completed(), 22);
    let sent = summary
        .remote
        .iter()
        .any(|remote| remote.text("prompt") == Some("prompt 19"));
    assert!(!sent, "a cancelled job was sent");
}

#[test]
fn a_provider_that_fails_every_post_for_an_hour_leaves_at_most_ten_of_ten_thousand_in_doubt() {
    for kind in [FaultKind::ErrorBefore(500), FaultKind::ResetBefore] {
        let rule = FaultRule {
            provider: Some(sandbox::Provider::Jakov),
            verb: Some(Verb::Submit),
            when: When::Share(1.0),
            kind,
        };
        let faults = Faults {
            plan: FaultPlan { rules: vec![rule] },
            ..Faults::none()
        };
        let summary = World::of(21)
            .rows(rows::some(10_000, 0, 0))
            .faults(faults)
            .accounts(|accounts| accounts[0].policy.batch_size = 50)
            .end(Duration::from_secs(3_600))
            .play(Chances::none());
        println!("{kind:?}: {} in doubt", summary.in_doubt());
        assert_eq!(summary.rows(), 10_000);
        assert!(
            (1..=10).contains(&summary.in_doubt()),
            "{kind:?}: {}",
            summary.in_doubt()
        );
    }
}

#[test]
fn of_a_thousand_rows_in_batches_of_fifty_only_the_poisoned_one_fails() {
    let mut all = rows::some(999, 0, 0);
    all.insert(500, rows::poisoned_text());
    let summary = World::of(22)
        .rows(all)
        .options(|options| options.jakov.refused_name = Some(rows::POISON.to_owned()))
        .accounts(|accounts| {
            accounts[0].policy.batch_size = 50;
            accounts[0].policy.max_running = 500;
        })
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.failures().len(), 1, "{:?}", summary.failures());
    assert_eq!(summary.completed(), 999);
}

#[test]
fn a_wall_clock_that_jumps_an_hour_loses_nothing_and_pays_for_nothing_twice() {
    const HOUR: i64 = 3_600_000;
    let seeds = if is_thorough() { 0..50 } else { 0..5 };
    for (seed, step) in seeds.flat_map(|seed| [HOUR, -HOUR, 90_000, -90_000].map(|by| (seed, by))) {
        let summary = World::of(seed)
            .rows(rows::some(4, 3, 1))
            .faults(Faults::from_seed(seed))
            .at(Duration::from_secs(seed % 40 + 2), Outside::ClockStep(step))
            .at(Duration::from_secs(200 + seed), Outside::ClockStep(-step))
            .play(Chances::none());
        let broken: Vec<String> = broken(&summary)
            .into_iter()
            // What the export says is compared by time with what was sent: a request that our clock dates an
            // hour off proves nothing, and its job is held.
            .filter(|what| !what.starts_with("I7"))
            .collect();
        assert!(broken.is_empty(), "seed {seed}, {step} ms: {broken:#?}");
    }
}

/// What must be the same on both databases.
fn tables(summary: &Summary) -> Vec<String> {
    let jobs = summary
        .jobs
        .iter()
        .map(|job| format!("{} {:?} {:?}", job.id, job.work, job.taken_by));
    let events = summary.events.iter().map(|event| {
        let word = |column: &str| event[column].as_str().unwrap_or_default().to_owned();
        format!(
            "{}:{} {} {}",
            word("kind"),
            event["job_id"],
            word("event"),
            word("to_status")
        )
    });
    jobs.chain(events).collect()
}

#[test]
fn the_same_script_on_sqlite_and_on_postgresql_leaves_the_same_tables() {
    let mut points = 0;
    for seed in 300..310 {
        let script = || {
            World::of(seed)
                .rows(rows::some(5, 4, 1))
                .faults(Faults::from_seed(seed))
        };
        let chances = Chances {
            most: 40,
            ..Chances::crashes()
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let database = runtime.block_on(store::testing::postgres());
        let there = script().database(&database.url).play(chances.clone());
        let here = script().play(chances);
        check(&there);
        check(&here);
        points += there.crash_points();
        assert_eq!(here.history, there.history, "seed {seed}");
        assert_eq!(tables(&here), tables(&there), "seed {seed}");
    }
    println!("{points} crash points on PostgreSQL");
    assert!(points >= 100, "only {points} crash points");
}
