//! Bars of the request budget: nothing is answered 429, and no window at the provider, wherever it begins,
//! holds more requests than documented, as they arrive there: over kills, with up to three seconds on each way,
//! with several processes, with two accounts on one key, and over jumps of the clock. `VITRINE_WINDOW_SEEDS`
//! asks for more histories.

use std::time::Duration;

use domain::{Timestamp, Window};
use sandbox::{Provider, RequestEntry, Verb};
use store::NewJob;

use crate::faults::Chances;
use crate::rows;
use crate::summary::Summary;
use crate::world::{Builder, Outside, World};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;

/// Seconds on the way, each way: as the bar has it.
const WIRE_MS: u64 = 3_000;

fn seeds(usual: u64) -> u64 {
    let asked = std::env::var("VITRINE_WINDOW_SEEDS").ok();
    asked.map_or(usual, |text| text.parse().unwrap())
}

/// Work for a quarter of an hour; every second image belongs to another account with the same key.
fn backlog() -> Vec<NewJob> {
    let mut all = rows::some(60, 90, 3);
    for (n, row) in all.iter_mut().enumerate() {
        if matches!(row.input, Some(domain::Input::Image(_))) && n.is_multiple_of(2) {
            row.account = Some("shots too".to_owned());
        }
    }
    all
}

fn burdened(seed: u64) -> Builder {
    World::of(seed)
        .rows(backlog())
        .wire(WIRE_MS)
        .options(|options| {
            options.jakov.submit_per_minute = 20;
            options.jakov.read_per_minute = 30;
            options.jarai.tier = sandbox::Tier::Free;
            options.jarai.productions_per_day = Some(20);
        })
        .accounts(|accounts| {
            let minute = Duration::from_secs(60);
            let mut twin = accounts[1].clone();
            twin.name = "shots too".to_owned();
            twin.policy.takes_unnamed = false;
            accounts.push(twin);
            accounts[0].policy.batch_size = 1;
            for (group, limit) in accounts[0].limits.groups.iter_mut().zip([20, 30]) {
                group.1 = vec![Window::rolling(limit, minute)];
            }
            let day = Window::calendar(100, Duration::from_secs(86_400));
            accounts[2].limits.groups[0].1 = vec![Window::rolling(10, minute), day];
        })
        .end(Duration::from_secs(3 * 3_600))
}

/// A group of endpoints at a provider, and its limits: in a minute, in a day.
struct Group {
    name: &'static str,
    is_of: fn(&RequestEntry) -> bool,
    minute: usize,
    day: usize,
}

const GROUPS: [Group; 4] = [
    Group {
        name: "jakov submit",
        is_of: |it| it.provider == Provider::Jakov && it.verb == Verb::Submit,
        minute: 20,
        day: usize::MAX,
    },
    Group {
        name: "jakov read",
        is_of: |it| it.provider == Provider::Jakov && it.verb != Verb::Submit,
        minute: 30,
        day: usize::MAX,
    },
    Group {
        name: "productai",
        is_of: |it| it.provider == Provider::Productai,
        minute: 15,
        day: usize::MAX,
    },
    Group {
        name: "jarai",
        is_of: |it| it.provider == Provider::Jarai,
        minute: 10,
        day: 100,
    },
];

/// The most of these moments in any stretch of this length.
fn busiest(arrivals: &[i64], length: i64) -> usize {
    let held = |(nth, from): (usize, &i64)| {
        let later = arrivals[nth..].iter();
        later.take_while(|at| **at < from + length).count()
    };
    arrivals.iter().enumerate().map(held).max().unwrap_or(0)
}

/// What the fullest minutes held; panics where it is too much, or where anything was answered 429.
fn fullest(summary: &Summary) -> Vec<(&'static str, usize)> {
    let story = || format!("seed {}\n{}", summary.seed, summary.history.join("\n"));
    let requests = &summary.limits.requests;
    let too_many = requests.iter().filter(|it| it.status == 429).count();
    assert_eq!(too_many, 0, "{}", story());
    let limited = summary
        .violations
        .iter()
        .find(|it| it.contains("RateLimit"));
    assert!(limited.is_none(), "{limited:?} {}", story());
    let of = |group: &Group| {
        let arrivals: Vec<i64> = (requests.iter())
            .filter(|it| (group.is_of)(it))
            .map(|it| it.at_ms)
            .collect();
        let most = busiest(&arrivals, MINUTE_MS);
        assert!(
            most <= group.minute,
            "{} in a minute of {}: {}",
            most,
            group.name,
            story()
        );
        let day = 24 * HOUR_MS;
        for first in &arrivals {
            let today = |at: &&i64| at.div_euclid(day) == first.div_euclid(day);
            assert!(
                arrivals.iter().filter(today).count() <= group.day,
                "{}",
                story()
            );
        }
        (group.name, most)
    };
    GROUPS.iter().map(of).collect()
}

/// Plays histories of one kind until enough processes died in them.
fn hold(name: &str, kills: u64, history: impl Fn(u64) -> (Builder, Chances)) {
    let (mut died, mut requests, mut most) = (0, 0, vec![0; GROUPS.len()]);
    let mut seed = 6_000;
    while seed < 6_000 + seeds(1) || died < kills {
        let (builder, chances) = history(seed);
        let summary = builder.play(chances);
        for (known, (_, held)) in most.iter_mut().zip(fullest(&summary)) {
            *known = held.max(*known);
        }
        died += summary.crash_points();
        requests += summary.limits.requests.len();
        seed += 1;
    }
    let fullest: Vec<String> = (GROUPS.iter().zip(&most))
        .map(|(group, most)| format!("{} {most} of {}", group.name, group.minute))
        .collect();
    println!(
        "{name}: {} histories, {died} deaths, {requests} requests, none answered 429; the fullest minutes: {}",
        seed - 6_000,
        fullest.join(", ")
    );
    // A history that never comes near its limits proves nothing. JARAI's few requests are for its day's limit,
    // and exports leave JAKOV's reads far below theirs.
    let binding = GROUPS
        .iter()
        .zip(&most)
        .filter(|(group, _)| group.day == usize::MAX && group.name != "jakov read");
    for (group, most) in binding {
        assert!(
            most * 2 >= group.minute,
            "{}: only {most} in a minute",
            group.name
        );
    }
}

fn killed() -> Chances {
    Chances {
        rate: 25,
        again: true,
        most: 120,
        freezes: 5,
        ..Chances::none()
    }
}

#[test]
fn seconds_on_the_way_fill_no_window() {
    hold("undisturbed", 0, |seed| (burdened(seed), Chances::none()));
}

#[test]
fn a_hundred_kills_fill_no_window() {
    hold("killed", 100, |seed| (burdened(seed), killed()));
}

#[test]
fn three_processes_that_are_killed_and_freeze_fill_no_window() {
    hold("three processes", 100, |seed| {
        (burdened(seed).processes(3), killed())
    });
}

#[test]
fn jumps_of_the_clock_fill_no_window() {
    hold("jumps of an hour", 100, |seed| {
        let step = if seed % 2 == 0 { HOUR_MS } else { -HOUR_MS };
        let at = |seconds: u64| Duration::from_secs(seconds + seed % 50);
        let processes = 1 + usize::try_from(seed % 3).unwrap();
        let jumping = burdened(seed)
            .processes(processes)
            // Not within reach of midnight: a clock that is an hour off is in another day there.
            .start(Timestamp::from_millis(1_700_042_400_000))
            .at(at(100), Outside::ClockStep(step))
            .at(at(400), Outside::ClockStep(-step))
            .at(at(700), Outside::ClockStep(-step))
            .at(at(1_000), Outside::ClockStep(step));
        (jumping, killed())
    });
}
