//! Histories about failures and limits: breakers that open and close, a job whose reads never work, and the
//! pace after "too many". What counts is the provider's own log.

use std::time::Duration;

use domain::Status;
use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, Verb, When};

use crate::checks::check;
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::World;

const MINUTE: i64 = 60_000;
const HOUR: Duration = Duration::from_secs(3_600);

fn at_productai(verb: Option<Verb>, when: When, kind: FaultKind) -> Faults {
    let rule = FaultRule {
        provider: Some(Provider::Productai),
        verb,
        when,
        kind,
    };
    Faults {
        plan: FaultPlan { rules: vec![rule] },
        ..Faults::none()
    }
}

/// When requests of this verb arrived at ProductAI, in milliseconds.
fn arrivals(summary: &Summary, verb: Option<Verb>) -> Vec<i64> {
    let of = |entry: &&sandbox::RequestEntry| {
        entry.provider == Provider::Productai && verb.is_none_or(|verb| entry.verb == verb)
    };
    let entries = summary.limits.requests.iter().filter(of);
    entries.map(|entry| entry.at_ms).collect()
}

/// The most of them in any minute.
fn busiest(arrivals: &[i64]) -> usize {
    let minute = |from: &i64| {
        let held = arrivals
            .iter()
            .filter(|at| (*from..*from + MINUTE).contains(*at));
        held.count()
    };
    arrivals.iter().map(minute).max().unwrap_or(0)
}

/// When the last of all jobs but one was done.
fn done_but_one(summary: &Summary) -> i64 {
    let ended = summary.jobs.iter().filter_map(|job| job.work.completed_at);
    let mut ended: Vec<i64> = ended.map(domain::Timestamp::as_millis).collect();
    ended.sort_unstable();
    ended[summary.rows() - 2]
}

#[test]
fn one_remote_job_whose_reads_always_fail_costs_the_good_ones_nothing() {
    let world = || World::of(31).rows(rows::some(0, 30, 0));
    let healthy = world().play(Chances::none());
    let broken = world()
        .unreadable("prompt 3")
        .end(HOUR)
        .play(Chances::none());
    assert_eq!(healthy.completed(), 30);
    assert_eq!(broken.completed(), 29);
    let sick = broken
        .jobs
        .iter()
        .find(|job| job.work.status() == Status::Running)
        .unwrap();
    let sick = sick.work.state.remote().unwrap().id.clone();
    let polls = broken
        .limits
        .requests
        .iter()
        .filter(|entry| entry.verb == Verb::Poll && entry.jobs.contains(&sick))
        .count();
    // 2, 4, 8 … seconds apart, ten minutes at last.
    assert!((8..=16).contains(&polls), "{polls} polls of the sick job");
    let start = crate::world::START.as_millis();
    let (with, without) = (
        done_but_one(&broken) - start,
        done_but_one(&healthy) - start,
    );
    println!(
        "29 good jobs: {with} ms beside a sick one, {without} ms without; {polls} polls of it"
    );
    assert!(
        with * 10 <= without * 12,
        "{with} ms instead of {without} ms"
    );
    assert!(
        broken.limits.paused.is_empty(),
        "{:?}",
        broken.limits.paused
    );
}

#[test]
fn while_polls_fail_one_tries_now_and_then_and_submits_go_on() {
    for chances in [Chances::none(), Chances::crashes()] {
        let faults = at_productai(
            Some(Verb::Poll),
            When::Share(1.0),
            FaultKind::ErrorBefore(500),
        );
        let summary = World::of(32)
            .rows(rows::some(0, 30, 0))
            .faults(faults)
            .end(HOUR)
            .play(chances);
        let polls = arrivals(&summary, Some(Verb::Poll)).len();
        let submits = arrivals(&summary, Some(Verb::Submit)).len();
        println!("{submits} submits, {polls} polls in an hour without one good answer");
        assert!(submits >= 30 - summary.in_doubt(), "only {submits} submits");
        // Without the breaker thirty jobs at ten minutes each would be asked 300 times and more.
        assert!((8..=60).contains(&polls), "{polls} polls");
        let open = summary
            .limits
            .paused
            .iter()
            .find(|row| row["endpoints"] == "status")
            .unwrap();
        assert_eq!(open["code"], "unavailable", "{open}");
        assert!(open["since"].is_string(), "{open}");
    }
}

#[test]
fn a_read_that_tries_takes_its_place_in_the_budget() {
    let faults = at_productai(
        Some(Verb::Poll),
        When::Share(1.0),
        FaultKind::ErrorBefore(500),
    );
    // Enough submits to fill each minute, so that a read too many would be the sixteenth request.
    let summary = World::of(35)
        .rows(rows::some(0, 150, 0))
        .accounts(|accounts| {
            for account in accounts {
                account.policy.max_running = 1_000;
            }
        })
        .faults(faults)
        .end(HOUR)
        .play(Chances::none());
    let (all, polls) = (
        arrivals(&summary, None),
        arrivals(&summary, Some(Verb::Poll)),
    );
    // The first five open the breaker; what was on the wire with them may follow.
    let tries = polls.iter().filter(|at| **at > polls[4] + MINUTE / 6);
    let until = |at: &i64| {
        let minute = at - MINUTE + 1..=*at;
        all.iter().filter(|other| minute.contains(other)).count()
    };
    let full: Vec<usize> = tries.map(until).collect();
    println!("requests in the minutes that end with one that tries: {full:?}");
    assert!(full.iter().any(|count| *count >= 14), "{full:?}");
    assert!(busiest(&all) <= 15, "{} in a minute", busiest(&all));
}

#[test]
fn after_an_outage_everything_completes_and_no_breaker_is_left_open() {
    for chances in [Chances::none(), Chances::crashes()] {
        for verb in [Some(Verb::Poll), None] {
            let when = When::Between(20, 40);
            let faults = at_productai(verb, when, FaultKind::ErrorBefore(502));
            let summary = World::of(33)
                .rows(rows::some(0, 30, 0))
                .faults(faults)
                .play(chances.clone());
            check(&summary);
            assert_eq!(summary.completed() + summary.in_doubt(), 30);
            let open = |row: &&serde_json::Value| row["endpoints"] == "status";
            assert_eq!(summary.limits.paused.iter().filter(open).count(), 0);
        }
    }
}

/// The busiest minutes of the hour after the only answer 429, if a process lived to hear it.
fn busiest_after_a_429(seed: u64, chances: Chances) -> Option<(usize, u64)> {
    let faults = at_productai(None, When::Nth(20), FaultKind::BareTooManyRequests);
    let summary = World::of(seed)
        .rows(rows::some(0, 60, 0))
        .faults(faults)
        .play(chances);
    check(&summary);
    let refused = |entry: &&sandbox::RequestEntry| {
        entry.provider == Provider::Productai && entry.status == 429
    };
    let at = summary.limits.requests.iter().find(refused).unwrap().at_ms;
    // What was on the wire with it arrives a little later; a hundredth comes back every ten minutes.
    let hour = at + 2_000..at + 60 * MINUTE;
    let all = arrivals(&summary, None).into_iter();
    let after: Vec<i64> = all.filter(|at| hour.contains(at)).collect();
    (summary.limits.too_many.len() == 1).then(|| (busiest(&after), summary.crash_points()))
}

#[test]
fn after_a_429_the_pace_is_a_fifth_slower_over_restarts_too() {
    let quiet = World::of(34)
        .rows(rows::some(0, 60, 0))
        .play(Chances::none());
    let without = busiest(&arrivals(&quiet, None));
    assert!(without > 12, "{without} in a minute at full pace");
    let (with, _) = busiest_after_a_429(34, Chances::none()).unwrap();
    println!("{without} in a minute without a 429, {with} after one");
    assert!((11..=12).contains(&with), "{with} in a minute after a 429");
    let mut crashes = 0;
    for seed in 34..44 {
        let Some((with, died)) = busiest_after_a_429(seed, Chances::crashes()) else {
            continue;
        };
        crashes += died;
        assert!(with <= 12, "seed {seed}: {with} in a minute after a 429");
    }
    println!("no more than 12 over {crashes} crashes");
    assert!(crashes >= 50, "only {crashes} crashes");
}
