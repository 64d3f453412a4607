//! Where the budget does not bind: how soon an end is known, and how far apart the polls are, read from the
//! provider's own book.

use std::collections::{BTreeMap, HashMap};

use domain::Provider;
use sandbox::Verb;

use super::{keeps_the_limits, ours, small};
use crate::measure::percentile;
use crate::scenario::Tier;
use crate::{Run, Scenario};

/// The times between two polls of one job as they arrived, in seconds and sorted, by what the first of the two was
/// told.
fn gaps_by_status(run: &Run) -> BTreeMap<&'static str, Vec<f64>> {
    let mut last: HashMap<&str, (i64, &'static str)> = HashMap::new();
    let mut gaps: BTreeMap<_, Vec<f64>> = BTreeMap::new();
    let polls = run.sandbox.ledger().requests().iter();
    for entry in polls.filter(|entry| entry.verb == Verb::Poll) {
        for id in &entry.jobs {
            let mut jobs = run.sandbox.jobs(entry.at_ms);
            let status = jobs.find(|job| job.id == *id).unwrap().status;
            if let Some((before, told)) = last.insert(id, (entry.at_ms, status)) {
                let gap = (entry.at_ms - before) as f64 / 1_000.0;
                gaps.entry(told).or_default().push(gap);
            }
        }
    }
    gaps.values_mut()
        .for_each(|all| all.sort_by(f64::total_cmp));
    gaps
}

/// All of them are the documented interval, within 10 %.
fn are_of(gaps: &[f64], interval: f64) {
    let (first, last) = (percentile(gaps, 0.0), percentile(gaps, 1.0));
    println!(
        "{} polls {first:.2} to {last:.2} s after the one before, documented {interval} s",
        gaps.len()
    );
    assert!(!gaps.is_empty() && first >= interval && last <= interval * 1.1);
}

/// A hundred jobs one after the other, as a person at a desk sends them.
#[tokio::test]
async fn one_image_on_an_idle_account_is_known_within_five_and_a_half_seconds() {
    let scenario = Scenario {
        every_s: 240,
        ..small(Provider::Productai, 100)
    };
    let (run, measured) = ours(&scenario).await;
    assert_eq!(measured.completed, 100);
    println!(
        "delay p50 {:.2} s, p95 {:.2} s, mean {:.2} s",
        measured.delay_p50, measured.delay_p95, measured.delay_mean
    );
    assert!(measured.delay_p95 <= 5.5, "{}", measured.delay_p95);
    let gaps: Vec<f64> = gaps_by_status(&run).into_values().flatten().collect();
    let mut gaps = gaps;
    gaps.sort_by(f64::total_cmp);
    are_of(&gaps, 5.0);
    keeps_the_limits(&measured);
}

#[tokio::test]
async fn a_production_is_polled_every_ten_seconds_while_queued_and_every_thirty_while_producing() {
    let (mut queued, mut producing) = (Vec::new(), Vec::new());
    for seed in 1..=4 {
        let scenario = Scenario {
            seed,
            every_s: 3_600,
            tier: Tier::Standard,
            ..small(Provider::Jarai, 5)
        };
        let (run, measured) = ours(&scenario).await;
        assert_eq!(measured.completed, 5);
        keeps_the_limits(&measured);
        let mut gaps = gaps_by_status(&run);
        queued.extend(gaps.remove("Queued").unwrap_or_default());
        producing.extend(gaps.remove("Producing").unwrap_or_default());
    }
    queued.sort_by(f64::total_cmp);
    producing.sort_by(f64::total_cmp);
    are_of(&queued, 10.0);
    are_of(&producing, 30.0);
}
