//! What the whole engine makes of ProductAI's 15 requests a minute, in virtual time against the sandbox:
//! the numbers of the study, with delays on the wire. The first forty jobs or so are asked about before anybody knows
//! how long they take, which costs about 12 requests beside: 60 jobs take 2.38 each, 200 take 2.25, 600 take 2.20.
//! `VITRINE_PACE_JOBS` asks for more jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::checks::check;
use crate::rows;
use crate::summary::Summary;
use crate::world::World;

fn jobs() -> usize {
    let asked = std::env::var("VITRINE_PACE_JOBS").ok();
    asked.and_then(|jobs| jobs.parse().ok()).unwrap_or(200)
}

/// Seconds from the end of each job to its result here, sorted.
fn delays(summary: &Summary) -> Vec<f64> {
    let ends: BTreeMap<&str, i64> = summary
        .remote
        .iter()
        .map(|remote| (remote.id.as_str(), remote.end_ms))
        .collect();
    let mut delays: Vec<f64> = summary
        .jobs
        .iter()
        .map(|job| {
            let remote = job.work.state.remote().unwrap();
            let known = job.work.completed_at.unwrap().as_millis();
            (known - ends[remote.id.as_str()]) as f64 / 1_000.0
        })
        .collect();
    delays.sort_by(f64::total_cmp);
    delays
}

/// Requests a job, jobs a minute, and the mean delay.
fn report(name: &str, summary: &Summary) -> (f64, f64, f64) {
    let jobs = summary.jobs.len();
    let submits = summary.jobs.iter().filter_map(|job| job.work.submitted_at);
    let minutes = summary.settled.since(submits.min().unwrap()).as_secs_f64() / 60.0;
    let (each, pace) = (
        summary.asked_productai as f64 / jobs as f64,
        jobs as f64 / minutes,
    );
    let delays = delays(summary);
    let mean = delays.iter().sum::<f64>() / jobs as f64;
    println!(
        "{name}: {jobs} jobs, {each:.2} requests a job, {pace:.2} jobs a minute, delay mean {mean:.1} s, \
        p50 {:.1}, p95 {:.1}; {} requests in the busiest minute",
        delays[jobs / 2],
        delays[jobs * 95 / 100],
        summary.busiest_minute,
    );
    (each, pace, mean)
}

fn backlog(slow_share: f64) -> Summary {
    let summary = World::of(3)
        .rows(rows::some(0, jobs(), 0))
        .options(move |options| {
            options.productai.slow_share = slow_share;
            options.productai.error_share = 0.0;
            options.productai.instant_share = 0.0;
            if slow_share > 0.0 {
                options.productai.duration_median_ms = 15_000;
                options.productai.duration_sigma = 0.25;
                options.productai.slow_median_ms = 90_000;
            }
        })
        .end(Duration::from_secs(400_000))
        .play(crate::faults::Chances::none());
    check(&summary);
    assert!(summary.busiest_minute <= 15);
    assert_eq!(summary.completed(), jobs());
    summary
}

#[test]
fn a_backlog_is_worked_off_with_little_more_than_two_requests_a_job() {
    let (each, pace, mean) = report("lognormal", &backlog(0.0));
    assert!(each <= 2.3 && pace >= 6.4 && mean <= 20.0);
    let (each, pace, mean) = report("bimodal", &backlog(0.3));
    assert!(each <= 2.6 && pace >= 5.5 && mean <= 29.0);
}

#[test]
fn a_single_job_is_asked_about_every_interval() {
    let summary = World::of(4)
        .rows(rows::some(0, 1, 0))
        .options(|options| options.productai.error_share = 0.0)
        .play(crate::faults::Chances::none());
    check(&summary);
    let (_, _, delay) = report("alone", &summary);
    assert!(delay <= 15.0, "{delay}");
}
