//! The figures of a run. What was sent and when a job was done is read from the provider's own book;
//! when that was known is the run's.

use std::collections::HashMap;
use std::time::Duration;

use domain::{Provider, Timestamp};
use sandbox::{RequestEntry, Verb, Violation};
use serde::Serialize;

use crate::run::{Foretold, Run};
use crate::scenario::Scenario;

/// The most requests that the provider saw in any window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// Which endpoints, in which time.
    pub name: &'static str,
    /// The documented limit.
    pub limit: u64,
    /// The most that arrived in any window of the length, refused ones included.
    pub most: u64,
}

/// What was said of the end of a run, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forecast {
    /// Jobs that were over when it was said.
    pub over: i64,
    /// From then on, in minutes.
    pub said_minutes: f64,
    /// The same, as it came.
    pub took_minutes: f64,
    /// How much longer it took, in percent.
    pub off_percent: i64,
    /// Whether jobs had ended before, so that their lengths were learned.
    pub learned: bool,
}

/// The forecasts of a run, against the moment in which the last end was known.
fn forecasts(run: &Run) -> Vec<Forecast> {
    let last = run.known.iter().map(|(_, at)| *at).max();
    let last = last.unwrap_or(run.ended);
    let compare = |foretold: &Foretold| {
        let (said, took) = (foretold.forecast.finishes_after, last.since(foretold.at));
        Forecast {
            over: foretold.over,
            said_minutes: said.as_secs_f64() / 60.0,
            took_minutes: took.as_secs_f64() / 60.0,
            off_percent: domain::forecast::off_by_percent(said, took),
            learned: foretold.forecast.learned,
        }
    };
    run.forecasts.iter().map(compare).collect()
}

/// The figures of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Whose.
    pub policy: String,
    /// Jobs whose whole result is here.
    pub completed: u64,
    /// Jobs that failed at the provider.
    pub failed: u64,
    /// Sent, outcome unknown.
    pub in_doubt: u64,
    /// Rows that were not over when the run was.
    pub unfinished: u64,
    /// Requests that the provider saw, downloads aside.
    pub requests: u64,
    /// Requests for each job whose end is known.
    pub requests_per_job: f64,
    /// From the first request to the last end that was known, in minutes.
    pub minutes: f64,
    /// Jobs whose end is known, over those minutes.
    pub jobs_per_minute: f64,
    /// The same between the first and the last tenth of the ends: without the way up and down.
    pub sustained_per_minute: f64,
    /// Of what the documented limits allow: jobs a minute (JAKOV: without the way up and down), or
    /// productions in the days of the run.
    pub percent_of_limit: f64,
    /// JAKOV: products that were submitted from the first POST to the last, of what the limit allows in that
    /// time: what was made of it while rows waited. How long the last texts take is not in it.
    pub percent_while_waiting: f64,
    /// Time known minus time done at the provider, in seconds: half of the jobs are known by then.
    pub delay_p50: f64,
    /// 95 % of them.
    pub delay_p95: f64,
    /// On average.
    pub delay_mean: f64,
    /// The median over the last three tenths of the jobs, in order of acceptance: after a drift.
    pub delay_p50_last: f64,
    /// Seconds between two polls of one job as they arrived: half of them are no longer.
    pub poll_gap_p50: f64,
    /// 95 % of them.
    pub poll_gap_p95: f64,
    /// The busiest windows at the provider.
    pub windows: Vec<Window>,
    /// Answers 429.
    pub answered_429: u64,
    /// Polls sooner than documented.
    pub early_polls: u64,
    /// Downloads whose link had died.
    pub dead_links: u64,
    /// What the worker said of its end, at the start and half-way.
    pub forecasts: Vec<Forecast>,
}

/// The value that this share of `sorted` does not pass.
pub(crate) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (share * sorted.len() as f64) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(at.min(last)).copied().unwrap_or(0.0)
}

fn mean(all: &[f64]) -> f64 {
    over(all.iter().sum(), all.len() as f64)
}

/// Nothing over nothing is nothing.
pub(crate) fn over(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

fn minutes(from: Timestamp, to: Timestamp) -> f64 {
    to.since(from).as_secs_f64() / 60.0
}

/// The delays in order of acceptance, in seconds.
fn delays(run: &Run) -> Vec<f64> {
    let known: HashMap<&str, Timestamp> = (run.known.iter())
        .map(|(id, at)| (id.as_str(), *at))
        .collect();
    let jobs = run.sandbox.jobs(run.ended.as_millis());
    jobs.filter_map(|job| {
        let at = known.get(job.id.as_str())?;
        Some(at.since(Timestamp::from_millis(job.end_ms)).as_secs_f64())
    })
    .collect()
}

/// The times between two polls of one job, in seconds.
fn poll_gaps(requests: &[&RequestEntry]) -> Vec<f64> {
    let mut last: HashMap<&str, i64> = HashMap::new();
    let mut gaps = Vec::new();
    for entry in requests.iter().filter(|entry| entry.verb == Verb::Poll) {
        for job in &entry.jobs {
            if let Some(before) = last.insert(job, entry.at_ms) {
                gaps.push((entry.at_ms - before) as f64 / 1_000.0);
            }
        }
    }
    gaps
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// Requests of the provider itself: its files lie elsewhere.
fn is_request(entry: &RequestEntry) -> bool {
    entry.provider != sandbox::Provider::Files
}

/// The figures of a run.
pub(crate) fn measure(scenario: &Scenario, run: &Run) -> Measured {
    let requests: Vec<&RequestEntry> = (run.sandbox.ledger().requests().iter())
        .filter(|entry| is_request(entry))
        .collect();
    let known = run.known.len() as u64;
    let began = requests
        .first()
        .map(|entry| Timestamp::from_millis(entry.at_ms));
    let began = began.unwrap_or(run.ended);
    let mut ends: Vec<Timestamp> = run.known.iter().map(|(_, at)| *at).collect();
    ends.sort_unstable();
    let minutes = minutes(began, ends.last().copied().unwrap_or(began));
    let jobs_per_minute = over(known as f64, minutes);
    let sustained = sustained(&ends);
    let delays = delays(run);
    let in_order = sorted(&delays);
    let gaps = sorted(&poll_gaps(&requests));
    let last = delays.len() - (delays.len() * 3).div_ceil(10);
    let percent = match (scenario.most_per_minute(), scenario.most_jobs()) {
        (_, Some(most)) => over(run.completed as f64, most as f64),
        // Batches of minutes go out in seconds: only the middle of a run says what is kept up.
        (most, None) if scenario.provider == Provider::Jakov => {
            over(sustained, most.unwrap_or_default())
        }
        (most, None) => over(jobs_per_minute, most.unwrap_or_default()),
    };
    let count = |counts: &dyn Fn(&RequestEntry) -> bool| {
        let entries = run.sandbox.ledger().requests().iter();
        entries.filter(|entry| counts(entry)).count() as u64
    };
    Measured {
        policy: run.policy.clone(),
        completed: run.completed,
        failed: run.failed,
        in_doubt: run.in_doubt,
        unfinished: (scenario.jobs as u64)
            .saturating_sub(run.completed + run.failed + run.in_doubt),
        requests: requests.len() as u64,
        requests_per_job: over(requests.len() as f64, known as f64),
        minutes,
        jobs_per_minute,
        sustained_per_minute: sustained,
        percent_of_limit: percent * 100.0,
        percent_while_waiting: while_waiting(scenario, &requests) * 100.0,
        delay_p50: percentile(&in_order, 0.5),
        delay_p95: percentile(&in_order, 0.95),
        delay_mean: mean(&delays),
        delay_p50_last: percentile(&sorted(delays.get(last..).unwrap_or_default()), 0.5),
        poll_gap_p50: percentile(&gaps, 0.5),
        poll_gap_p95: percentile(&gaps, 0.95),
        windows: windows(scenario, run),
        answered_429: count(&|entry| entry.status == 429),
        early_polls: count(&|entry| {
            let early = |it: &Violation| matches!(it, Violation::EarlyPoll { .. });
            entry.violations.iter().any(early)
        }),
        dead_links: count(&|entry| !is_request(entry) && entry.status == 403),
        forecasts: forecasts(run),
    }
}

/// Ends a minute between the first and the last tenth of them.
fn sustained(ends: &[Timestamp]) -> f64 {
    let tenth = ends.len() / 10;
    let middle = ends.get(tenth..ends.len() - tenth).unwrap_or_default();
    match middle {
        [first, .., last] => over((middle.len() - 1) as f64, minutes(*first, *last)),
        _ => 0.0,
    }
}

/// The share of JAKOV's limit that the submits took while rows waited. The last POST has its own part of the minute.
fn while_waiting(scenario: &Scenario, requests: &[&RequestEntry]) -> f64 {
    let (Some(most), Provider::Jakov) = (scenario.most_per_minute(), scenario.provider) else {
        return 0.0;
    };
    let accepted = |entry: &&&RequestEntry| entry.verb == Verb::Submit && entry.status < 300;
    let submits: Vec<_> = requests.iter().filter(accepted).collect();
    let (Some(first), Some(last)) = (submits.first(), submits.last()) else {
        return 0.0;
    };
    let products: usize = submits.iter().map(|entry| entry.jobs.len()).sum();
    let minutes = (last.at_ms - first.at_ms) as f64 / 60_000.0;
    over(products as f64, minutes * most + scenario.batch_size as f64)
}

/// The busiest windows of the scenario's limits.
fn windows(scenario: &Scenario, run: &Run) -> Vec<Window> {
    const MINUTE_MS: i64 = 60_000;
    let busiest = |name, limit, counts: &dyn Fn(&RequestEntry) -> bool| Window {
        name,
        limit,
        most: run.sandbox.ledger().busiest(MINUTE_MS, counts) as u64,
    };
    match scenario.provider {
        Provider::Productai => vec![busiest("requests in any minute", 15, &is_request)],
        Provider::Jakov => vec![
            busiest("submits in any minute", 100, &|entry| {
                is_request(entry) && entry.verb == Verb::Submit
            }),
            busiest("reads in any minute", 300, &|entry| {
                is_request(entry) && entry.verb != Verb::Submit
            }),
        ],
        Provider::Jarai => {
            let (minute, day, productions) = scenario.tier.limits();
            let submitted = |entry: &RequestEntry| entry.verb == Verb::Submit && entry.status < 300;
            vec![
                busiest("requests in any minute", minute.into(), &is_request),
                Window {
                    name: "requests on any day",
                    limit: day.into(),
                    most: fullest_day(run, &is_request),
                },
                Window {
                    name: "productions on any day",
                    limit: productions.into(),
                    most: fullest_day(run, &submitted),
                },
            ]
        }
    }
}

/// The most requests that count on one day in UTC.
fn fullest_day(run: &Run, counts: &dyn Fn(&RequestEntry) -> bool) -> u64 {
    let day = Duration::from_secs(86_400).as_millis() as i64;
    let mut days: HashMap<i64, u64> = HashMap::new();
    for entry in run.sandbox.ledger().requests() {
        if counts(entry) {
            *days.entry(entry.at_ms.div_euclid(day)).or_default() += 1;
        }
    }
    days.into_values().max().unwrap_or(0)
}
