//! Every state against every event: what is legal stands in one table, all the rest is refused.

use super::*;

fn remote() -> Remote {
    Remote {
        submission: SubmissionId("s1".into()),
        id: "r1".into(),
        status: None,
    }
}

fn states() -> Vec<JobState> {
    let submission = SubmissionId("s1".into());
    let fault = Fault::new("x", "why");
    vec![
        JobState::Pending { waits: None },
        JobState::Submitting {
            submission: submission.clone(),
        },
        JobState::InDoubt {
            submission,
            why: fault.clone(),
        },
        JobState::Running { remote: remote() },
        JobState::Capturing {
            remote: remote(),
            trouble: None,
        },
        JobState::Completed { remote: remote() },
        JobState::Failed {
            fault,
            remote: Some(remote()),
        },
        JobState::Cancelled {
            remote: Some(remote()),
        },
    ]
}

fn events() -> Vec<Event> {
    let submission = || SubmissionId("s1".into());
    let fault = || Fault::new("x", "why");
    vec![
        Event::FoundInvalid(fault()),
        Event::HeldBack(Some(fault())),
        Event::SubmitPlanned {
            submission: SubmissionId("s2".into()),
            price: Some(3),
        },
        Event::Accepted {
            submission: submission(),
            remote_id: "r1".into(),
            status: None,
        },
        Event::AcceptedLate {
            submission: submission(),
            remote_id: "r1".into(),
            status: None,
        },
        Event::Refused {
            submission: submission(),
            verdict: Verdict::Never,
            fault: fault(),
        },
        Event::OutcomeUnknown {
            submission: submission(),
            why: fault(),
        },
        Event::Seen {
            status: "RUNNING".into(),
        },
        Event::Ended {
            status: "COMPLETED".into(),
        },
        Event::CaptureTrouble(fault()),
        Event::ResultStored { status: None },
        Event::RemoteFailed {
            fault: fault(),
            status: None,
            resubmit: false,
        },
        Event::RemoteCancelled {
            status: "Cancelled".into(),
        },
        Event::RemoteIsAnothers { why: fault() },
        Event::CancelAsked {
            how: Cancel::Abandon,
            provider: Provider::Jakov,
        },
        Event::RetryAsked,
        Event::Resolved(Resolution::GiveUp),
    ]
}

fn in_state(state: JobState) -> Work {
    Work {
        state,
        attempt: 1,
        ..Work::fresh(3)
    }
}

const NOW: Timestamp = Timestamp::from_millis(1_000);

use Status as S;

/// Per event: from which states it leads where.
const LEGAL: &[(&str, &[(S, S)])] = &[
    ("found_invalid", &[(S::Pending, S::Failed)]),
    ("held_back", &[(S::Pending, S::Pending)]),
    ("submit_planned", &[(S::Pending, S::Submitting)]),
    (
        "accepted",
        &[(S::Submitting, S::Running), (S::InDoubt, S::Running)],
    ),
    // A job that failed without ever being at the provider: see its own test.
    ("accepted_late", &[]),
    (
        "refused",
        &[(S::Submitting, S::Failed), (S::InDoubt, S::Failed)],
    ),
    (
        "outcome_unknown",
        &[(S::Submitting, S::InDoubt), (S::InDoubt, S::InDoubt)],
    ),
    ("seen", &[(S::Running, S::Running)]),
    (
        "ended",
        &[
            (S::Running, S::Capturing),
            (S::Capturing, S::Capturing),
            (S::Failed, S::Capturing),
            (S::Cancelled, S::Capturing),
        ],
    ),
    ("capture_trouble", &[(S::Capturing, S::Capturing)]),
    (
        "result_stored",
        &[
            (S::Running, S::Completed),
            (S::Capturing, S::Completed),
            (S::Failed, S::Completed),
            (S::Cancelled, S::Completed),
        ],
    ),
    (
        "remote_failed",
        &[(S::Running, S::Failed), (S::Capturing, S::Failed)],
    ),
    (
        "remote_cancelled",
        &[(S::Running, S::Cancelled), (S::Capturing, S::Cancelled)],
    ),
    (
        "remote_is_anothers",
        &[(S::Running, S::InDoubt), (S::Capturing, S::InDoubt)],
    ),
    (
        "cancel_asked",
        &[
            (S::Pending, S::Cancelled),
            (S::Submitting, S::Submitting),
            (S::InDoubt, S::InDoubt),
            (S::Running, S::Cancelled),
            (S::Capturing, S::Cancelled),
        ],
    ),
    (
        "retry_asked",
        &[
            (S::Pending, S::Pending),
            (S::Failed, S::Pending),
            (S::Cancelled, S::Pending),
        ],
    ),
    ("resolved", &[(S::InDoubt, S::Failed)]),
];

#[test]
fn what_is_legal_stands_in_this_table_and_nothing_else_is() {
    for event in events() {
        let (_, rows) = LEGAL
            .iter()
            .find(|(name, _)| *name == event.name())
            .expect("every event stands in the table");
        for state in states() {
            let from = state.status();
            let got = next(&in_state(state), &event, NOW)
                .map(|work| work.status())
                .ok();
            let want = rows.iter().find(|(s, _)| *s == from).map(|(_, to)| *to);
            assert_eq!(got, want, "{from} + {}", event.name());
        }
    }
}

#[test]
fn an_answer_to_another_submission_changes_nothing() {
    let work = in_state(JobState::Submitting {
        submission: SubmissionId("s2".into()),
    });
    let stale = Event::Accepted {
        submission: SubmissionId("s1".into()),
        remote_id: "r9".into(),
        status: None,
    };
    assert!(next(&work, &stale, NOW).is_err());
}

#[test]
fn waiting_spends_no_attempt_and_a_refusal_does() {
    let planned = next(
        &Work::fresh(2),
        &Event::SubmitPlanned {
            submission: SubmissionId("s1".into()),
            price: Some(8),
        },
        NOW,
    )
    .unwrap();
    assert_eq!((planned.attempt, planned.credits), (1, Some(8)));
    let answer = |verdict| {
        let event = Event::Refused {
            submission: SubmissionId("s1".into()),
            verdict,
            fault: Fault::new("x", "why"),
        };
        next(&planned, &event, NOW).unwrap()
    };
    let waited = answer(Verdict::Wait);
    assert_eq!(
        (waited.status(), waited.attempt, waited.credits),
        (Status::Pending, 0, None)
    );
    let again = answer(Verdict::TryAgain);
    assert_eq!((again.status(), again.attempt), (Status::Pending, 1));
    assert_eq!(answer(Verdict::Never).status(), Status::Failed);
}

#[test]
fn the_last_attempt_refused_fails_the_job() {
    let mut work = in_state(JobState::Submitting {
        submission: SubmissionId("s1".into()),
    });
    work.attempt = 3;
    let event = Event::Refused {
        submission: SubmissionId("s1".into()),
        verdict: Verdict::TryAgain,
        fault: Fault::new("x", "why"),
    };
    let after = next(&work, &event, NOW).unwrap();
    assert_eq!(after.status(), Status::Failed);
    assert_eq!(after.completed_at, Some(NOW));
}

#[test]
fn a_wish_to_cancel_while_submitting_waits_for_the_outcome() {
    let submitting = in_state(JobState::Submitting {
        submission: SubmissionId("s1".into()),
    });
    let asked = Event::CancelAsked {
        how: Cancel::Asked,
        provider: Provider::Productai,
    };
    let remembered = next(&submitting, &asked, NOW).unwrap();
    assert_eq!(remembered.status(), Status::Submitting);
    let refused = Event::Refused {
        submission: SubmissionId("s1".into()),
        verdict: Verdict::Wait,
        fault: Fault::new("x", "why"),
    };
    assert_eq!(
        next(&remembered, &refused, NOW).unwrap().status(),
        Status::Cancelled
    );
}

#[test]
fn only_jarai_cancels_what_runs() {
    let running = in_state(JobState::Running { remote: remote() });
    let ask = |provider| {
        let event = Event::CancelAsked {
            how: Cancel::Asked,
            provider,
        };
        next(&running, &event, NOW)
    };
    assert!(ask(Provider::Jakov).is_err());
    assert!(ask(Provider::Productai).is_err());
    assert_eq!(ask(Provider::Jarai).unwrap().cancel, Some(Cancel::Asked));
}

#[test]
fn an_abandoned_job_that_the_provider_finishes_is_captured_and_keeps_its_cost() {
    let mut running = in_state(JobState::Running { remote: remote() });
    running.credits = Some(20);
    let abandon = Event::CancelAsked {
        how: Cancel::Abandon,
        provider: Provider::Productai,
    };
    let gone = next(&running, &abandon, NOW).unwrap();
    assert_eq!((gone.status(), gone.credits), (Status::Cancelled, Some(20)));
    let late = Event::Ended {
        status: "COMPLETED".into(),
    };
    let adopted = next(&gone, &late, NOW).unwrap();
    assert_eq!(
        (adopted.status(), adopted.completed_at),
        (Status::Capturing, None)
    );
}

#[test]
fn trap_21_a_paid_failure_is_sent_again_only_where_that_is_allowed() {
    let running = in_state(JobState::Running { remote: remote() });
    let failed = |resubmit| {
        let event = Event::RemoteFailed {
            fault: Fault::new("PRODUCTION_EXPIRED", "not picked up"),
            status: Some("Failed".into()),
            resubmit,
        };
        next(&running, &event, NOW).unwrap().status()
    };
    assert_eq!(failed(false), Status::Failed);
    assert_eq!(failed(true), Status::Pending);
}

#[test]
fn trap_21_a_paid_failure_is_never_sent_beyond_the_rows_attempts() {
    let mut running = in_state(JobState::Running { remote: remote() });
    running.attempt = running.max_attempts;
    let failed = Event::RemoteFailed {
        fault: Fault::new("ERROR", "it failed"),
        status: Some("ERROR".into()),
        resubmit: true,
    };
    assert_eq!(
        next(&running, &failed, NOW).unwrap().status(),
        Status::Failed
    );
}

#[test]
fn trap_34_a_terminal_state_is_final_for_every_late_word_but_a_late_success() {
    let completed = in_state(JobState::Completed { remote: remote() });
    for event in events() {
        assert!(next(&completed, &event, NOW).is_err(), "{}", event.name());
    }
    let failed = in_state(JobState::Failed {
        fault: Fault::new("x", "why"),
        remote: Some(remote()),
    });
    let late = Event::Seen {
        status: "Producing".into(),
    };
    assert!(next(&failed, &late, NOW).is_err());
}

#[test]
fn a_job_that_was_given_up_in_doubt_is_adopted_when_its_acceptance_comes_out() {
    let doubt = Work {
        credits: Some(3),
        ..in_state(JobState::InDoubt {
            submission: SubmissionId("s1".into()),
            why: Fault::new("x", "why"),
        })
    };
    let given_up = next(&doubt, &Event::Resolved(Resolution::GiveUp), NOW).unwrap();
    let late = Event::AcceptedLate {
        submission: SubmissionId("s1".into()),
        remote_id: "r1".into(),
        status: None,
    };
    let adopted = next(&given_up, &late, NOW).unwrap();
    assert_eq!(adopted.state, JobState::Running { remote: remote() });
    assert_eq!((adopted.credits, adopted.completed_at), (Some(3), None));
    // Tried again meanwhile, it has another submission: the late one's result is not wanted any more.
    let again = next(&given_up, &Event::RetryAsked, NOW).unwrap();
    assert!(next(&again, &late, NOW).is_err());
}
