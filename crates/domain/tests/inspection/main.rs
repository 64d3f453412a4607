//! What optimal inspection with learned lengths makes of 15 requests a minute: the bars of the request
//! budget, in the study's own model, over 1,000 jobs a seed. The table is printed with `--nocapture`.

#[cfg(test)]
mod world;

use world::{Law, Outcome, Policy, backlog, quantile_of};

/// One well-timed question a job: 15 requests a minute, two a job.
const CEILING: f64 = 7.5;
const JOBS: usize = 1_000;
const SEEDS: u64 = 4;

fn over_seeds(law: Law, policy: Policy) -> Outcome {
    (0..SEEDS).fold(Outcome::default(), |sum, seed| {
        sum.and(backlog(law, policy, JOBS, seed))
    })
}

fn row(law: Law, policy: Policy) -> Outcome {
    let outcome = over_seeds(law, policy);
    println!(
        "| {law:?} | {policy:?} | {:.2} | {:.2} | {:.0} % | {:.1} | {:.1} | {:.1} | {:.1} |",
        outcome.requests_per_job(),
        outcome.jobs_per_minute(),
        100.0 * outcome.jobs_per_minute() / CEILING,
        outcome.delay(0.5),
        outcome.delay(0.95),
        outcome.mean_delay(),
        quantile_of(&outcome.medians_of_last, 0.5),
    );
    outcome
}

/// What a question is worth where the price is not set: the engine's own under a backlog.
const DEFAULT: f64 = 35.0;

#[test]
fn lengths_learned_from_polls_alone_reach_every_bar() {
    println!(
        "| lengths | policy, price in s | requests/job | jobs/min | of 7.5 | delay p50 s | p95 | mean | p50 of the last 300 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    row(Law::Lognormal, Policy::Documented);
    let default = row(Law::Lognormal, Policy::Inferred(DEFAULT));
    assert!(default.requests_per_job() <= 2.25);
    let ninety = row(Law::Lognormal, Policy::Inferred(24.0));
    assert!(ninety.jobs_per_minute() >= 0.90 * CEILING && ninety.mean_delay() <= 16.0);
    let ninety_five = row(Law::Lognormal, Policy::Inferred(85.0));
    assert!(ninety_five.jobs_per_minute() >= 0.95 * CEILING && ninety_five.mean_delay() <= 24.0);
    row(Law::Bimodal, Policy::Documented);
    let eighty = row(Law::Bimodal, Policy::Inferred(13.0));
    assert!(eighty.jobs_per_minute() >= 0.80 * CEILING && eighty.mean_delay() <= 16.0);
    row(Law::Bimodal, Policy::Inferred(DEFAULT));
    let drifted = row(Law::Drifting, Policy::Inferred(DEFAULT));
    assert!(
        quantile_of(&drifted.medians_of_last, 1.0) <= 21.0,
        "in the worst of the seeds"
    );
}

#[test]
fn lengths_that_the_provider_tells_serve_as_well() {
    let unimodal = row(Law::Lognormal, Policy::Told(21.5));
    assert!(unimodal.jobs_per_minute() >= 0.90 * CEILING && unimodal.mean_delay() <= 16.0);
    let two_humps = row(Law::Bimodal, Policy::Told(12.0));
    assert!(two_humps.jobs_per_minute() >= 0.80 * CEILING && two_humps.mean_delay() <= 16.0);
}
