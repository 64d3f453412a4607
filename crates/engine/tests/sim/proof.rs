//! The proof: crash points by the thousand, over seeds and by sweeps, with one process and with several.
//!
//! `VITRINE_SIM_POINTS` says how many crash points the hunts visit; the test command of the README visits
//! a few thousand, `.ci/run` the whole figure.

use crate::faults::{Chances, Place};
use crate::hunt::{Case, Tally, hunt, small};

/// Crash points of each hunt where nobody says.
const POINTS: u64 = 3_000;

/// What must have happened at least once in so many points of a hunt.
const EVERYTHING_HAPPENS_WITHIN: u64 = 3_000;

fn points() -> u64 {
    let asked = std::env::var("VITRINE_SIM_POINTS").ok();
    asked.map_or(POINTS, |text| text.parse().unwrap())
}

/// Nothing broke, and everything happened that should have.
fn proves(tally: &Tally, needed: &[String]) {
    tally.print();
    assert!(
        tally.failures.is_empty(),
        "see above for the commands that play them again"
    );
    if tally.points < EVERYTHING_HAPPENS_WITHIN {
        return;
    }
    let count = |what: &String| {
        let counted = tally
            .crashes
            .get(what)
            .or_else(|| tally.sometimes.get(what));
        counted.copied().unwrap_or(0)
    };
    let never: Vec<&String> = needed.iter().filter(|what| count(what) == 0).collect();
    assert!(never.is_empty(), "these never happened: {never:#?}");
}

/// What one process must have met.
fn of_one() -> Vec<String> {
    let faults = sandbox::EVERY_KIND.iter().filter(|kind| !kind.is_webhook());
    let faults = faults.map(|kind| format!("provider: {kind:?}"));
    let places = Place::ALL.iter().map(|place| place.name().to_owned());
    let paths = [
        "a batch was refused as a whole",
        "a finished job's link was read again",
        "a link was dead",
        "adopted by the export",
        "an intent that surely never left",
        "away for longer than a link lives",
        "event: capture_trouble",
        "event: refused",
        "event: remote_failed",
        "interrupted: sent or not, unknown",
        "late success adopted out of doubt",
    ];
    let paths = paths.map(str::to_owned);
    faults.chain(places).chain(paths).collect()
}

/// What several must have met besides.
fn of_several() -> Vec<String> {
    let paths = [
        "a frozen owner lost its lanes",
        "a lane was taken over",
        "a process found its lane lost",
        "a replaced owner's conclusions were dropped",
        "a request was held back, since the lane was not certain",
        "frozen for a moment",
        "frozen for longer than the lease",
    ];
    // Between two sessions of one process another may have the lane: nothing surely never left.
    let of_one = of_one().into_iter();
    of_one
        .filter(|what| what != "an intent that surely never left")
        .chain(paths.map(str::to_owned))
        .collect()
}

#[test]
fn crash_points_of_one_process_lose_nothing_and_pay_for_nothing_twice() {
    let tally = hunt(1_000_000, points(), |seed| Case::new(seed, 1));
    proves(&tally, &of_one());
}

#[test]
fn crash_points_of_several_processes_lose_nothing_and_pay_for_nothing_twice() {
    let tally = hunt(2_000_000, points() / 5, |seed| {
        Case::new(seed, 2 + usize::try_from(seed % 2).unwrap())
    });
    proves(&tally, &of_several());
}

/// Whether somebody asks for more than the test command visits.
pub(crate) fn is_thorough() -> bool {
    points() > POINTS
}

/// Every n-th point of the small history is swept where nobody asks for more.
fn stride() -> usize {
    if is_thorough() { 1 } else { 7 }
}

#[test]
fn a_crash_at_each_single_point_of_a_small_history_does_no_harm() {
    let all = small(1).play(Chances::none()).points;
    let cases: Vec<Case> = (1..=all)
        .step_by(stride())
        .map(|k| Case {
            at: vec![k],
            ..Case::new(1, 1)
        })
        .collect();
    sweep(&cases);
}

#[test]
fn a_second_crash_soon_after_each_point_of_a_small_history_does_no_harm() {
    let all = small(2).play(Chances::none()).points;
    let cases: Vec<Case> = (1..=all)
        .step_by(stride() * 5)
        .flat_map(|k| {
            (1..=8).map(move |j| Case {
                at: vec![k, k + j],
                ..Case::new(2, 1)
            })
        })
        .collect();
    sweep(&cases);
}

fn sweep(cases: &[Case]) {
    let failed: Vec<_> = cases
        .iter()
        .map(|case| (case, case.play()))
        .filter(|(_, played)| !played.broken.is_empty())
        .take(3)
        .map(|(case, played)| (case.command(), played.broken))
        .collect();
    println!("{} cases", cases.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn replay() {
    let case = Case::of_environment();
    let played = case.play();
    if let Some(summary) = &played.summary {
        println!("{}", summary.history.join("\n"));
    }
    assert!(played.broken.is_empty(), "{case:?}: {:#?}", played.broken);
}
