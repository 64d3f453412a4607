//! Who tests the tests: each planted bug is found within a thousand crash points, and what is printed
//! then plays it again.

use std::process::Command;

use store::planted::Bug;

use crate::hunt::Case;

/// Each is found within so many crash points.
const WITHIN: u64 = 1_000;

/// Plays histories with this bug until one shows it; the first of several processes and of one in turn.
fn find(bug: Bug) -> (Case, Vec<String>) {
    let mut points = 0;
    for seed in 7_000.. {
        let case = Case {
            bug: Some(bug),
            ..Case::new(seed, 1 + usize::try_from(seed % 2).unwrap())
        };
        let played = case.play();
        points += played.summary.map_or(1, |summary| summary.crash_points());
        let blamed = Case {
            bug: None,
            ..case.clone()
        };
        if !played.broken.is_empty() && blamed.play().broken.is_empty() {
            println!(
                "{bug:?}: found after {points} crash points: {:?}",
                played.broken[0]
            );
            return (case, played.broken);
        }
        assert!(
            points < WITHIN,
            "{bug:?} was not found within {points} crash points"
        );
    }
    unreachable!("seeds do not end");
}

macro_rules! found {
    ($($name:ident: $bug:ident,)*) => {
        $(#[test]
        fn $name() {
            find(Bug::$bug);
        })*

        #[test]
        fn every_planted_bug_has_a_test() {
            assert_eq!(Bug::ALL, [$(Bug::$bug,)*]);
        }
    };
}

found! {
    a_submit_before_its_intent_is_found: SubmitBeforeIntent,
    a_blind_retry_is_found: BlindRetry,
    a_retry_of_server_errors_is_found: RetryOfServerErrors,
    a_limiter_in_memory_is_found: LimiterInMemory,
    a_write_without_an_epoch_is_found: NoFence,
    a_cost_booked_twice_is_found: CostBookedTwice,
    a_row_without_its_file_is_found: RowWithoutFile,
    a_forgotten_poll_floor_is_found: PollFloorForgotten,
    items_in_the_wrong_order_are_found: ItemsInWrongOrder,
    a_short_export_taken_for_the_whole_is_found: ShortExportIsWhole,
    a_breaker_that_stops_polls_is_found: BreakerStopsPolls,
    a_dead_link_not_read_again_is_found: LinkNotReadAgain,
    a_dropped_reservation_is_found: ReservationDropped,
}

#[test]
fn the_printed_command_plays_the_same_failure_again() {
    let (case, broken) = find(Bug::BlindRetry);
    let command = case.command();
    let (variables, rest) = command.split_once(" cargo ").unwrap();
    let arguments = rest.split_once(" -- ").unwrap().1;
    let variables = variables
        .split(' ')
        .map(|pair| pair.split_once('=').unwrap());
    // What cargo would run, without cargo.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(arguments.split(' '))
        .envs(variables)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&broken[0]), "{} is not in {text}", broken[0]);
    assert!(text.contains("crash: "), "no story in {text}");
}
