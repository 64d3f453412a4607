//! The claims: whole histories, with and without crashes and faults.

use crate::checks::check;
use crate::faults::{Chances, Faults};
use crate::summary::Summary;
use crate::world::World;

/// Crash points of one CI run (issue "The whole main job": 1,000).
const CRASH_POINTS: u64 = 1_000;

fn play(seed: u64, chances: Chances, faults: Faults) -> Summary {
    World::of(seed).faults(faults).play(chances)
}

#[test]
fn without_faults_everything_completes_and_no_rule_is_broken() {
    let summary = play(1, Chances::none(), Faults::none());
    check(&summary);
    assert!(summary.refused.is_empty(), "{:#?}", summary.refused);
    assert_eq!(summary.in_doubt(), 0, "{summary:#?}");
    assert_eq!(summary.completed(), summary.rows(), "{summary:#?}");
    println!("{} ticks until {:?}", summary.ticks, summary.history.last());
}

#[test]
fn trap_27_submits_and_polls_share_one_budget_and_use_it_up() {
    let summary = play(3, Chances::none(), Faults::none());
    check(&summary);
    // ProductAI allows 15 requests in any minute, submits and polls together.
    assert!(
        (12..=15).contains(&summary.busiest_minute),
        "{}",
        summary.busiest_minute
    );
}

#[test]
fn what_waits_for_a_release_has_its_files_here_and_stays_running() {
    for chances in [Chances::none(), Chances::crashes()] {
        let summary = play(7, chances, Faults::never_released());
        let waiting: Vec<_> = summary
            .jobs
            .iter()
            .filter(|job| job.id.kind == domain::JobKind::Production)
            .filter(|job| job.work.status() == domain::Status::Running)
            .collect();
        assert_eq!(
            waiting.len() + summary.in_doubt_productions(),
            2,
            "{summary:#?}"
        );
        for job in waiting {
            let files = summary
                .deliverables
                .iter()
                .filter(|file| file.job == job.id);
            assert_eq!(files.count(), 5, "{}", job.id);
            let said = job
                .work
                .state
                .remote()
                .and_then(|remote| remote.status.clone());
            assert_eq!(said.as_deref(), Some("AwaitingApproval"));
        }
        assert!(summary.violations.is_empty(), "{:#?}", summary.violations);
    }
}

#[test]
fn trap_37_bad_ends_that_no_webhook_tells_are_found_by_polling() {
    let ends: Vec<String> = (0..12)
        .flat_map(|seed| play(seed, Chances::none(), Faults::shapes()).failures())
        .collect();
    assert!(
        !ends.is_empty(),
        "no product ended badly in twelve histories"
    );
    assert!(ends.iter().any(|end| end == "not_found"), "{ends:?}");
}

#[test]
fn a_thousand_crash_points_lose_nothing_and_pay_for_nothing_twice() {
    let mut points = 0;
    let mut kinds = std::collections::BTreeMap::new();
    let mut seed = 100;
    while points < CRASH_POINTS {
        let summary = play(seed, Chances::crashes(), Faults::none());
        check(&summary);
        for (kind, n) in &summary.crashes {
            *kinds.entry(*kind).or_insert(0) += n;
            points += n;
        }
        seed += 1;
    }
    println!(
        "{points} crash points over {} histories: {kinds:?}",
        seed - 100
    );
    for (kind, n) in kinds {
        assert!(n > 4, "{kind} was reached {n} times only");
    }
}

#[test]
fn lost_answers_broken_answers_and_limits_end_in_a_visible_state() {
    let mut proven = 0;
    for seed in 500..520 {
        let summary = play(seed, Chances::crashes(), Faults::some(seed));
        check(&summary);
        proven += summary.proven_by_export;
    }
    assert!(proven > 0, "no export proved anything in twenty histories");
}

/// Two hundred shapes of what the documents leave open, in four parts for two cores.
fn shapes(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let summary = play(seed, Chances::none(), Faults::shapes());
        check(&summary);
        assert_eq!(summary.open(), 0, "seed {seed}: {summary:#?}");
        assert!(
            summary.refused.is_empty(),
            "seed {seed}: {:#?}",
            summary.refused
        );
    }
}

#[test]
fn shapes_0_to_49_lose_nothing_and_pay_for_nothing_twice() {
    shapes(0..50);
}

#[test]
fn shapes_50_to_99_lose_nothing_and_pay_for_nothing_twice() {
    shapes(50..100);
}

#[test]
fn shapes_100_to_149_lose_nothing_and_pay_for_nothing_twice() {
    shapes(100..150);
}

#[test]
fn shapes_150_to_199_lose_nothing_and_pay_for_nothing_twice() {
    shapes(150..200);
}

#[test]
fn the_same_seed_tells_the_same_history() {
    let one = play(42, Chances::crashes(), Faults::some(42));
    let two = play(42, Chances::crashes(), Faults::some(42));
    assert_eq!(one.history, two.history);
}
