//! Signed webhooks: what they say ends its job, once, whatever comes after it.

use std::time::Duration;

use domain::{JobId, JobKind, Status};
use sandbox::{FaultKind, FaultPlan, FaultRule, Provider, Verb, When};
use serde_json::Value;

use crate::checks::check;
use crate::faults::{Chances, Faults};
use crate::rows;
use crate::summary::Summary;
use crate::world::World;

fn faults(provider: Provider, verb: Option<Verb>, when: When, kind: FaultKind) -> Faults {
    let rule = FaultRule {
        provider: Some(provider),
        verb,
        when,
        kind,
    };
    Faults {
        plan: FaultPlan { rules: vec![rule] },
        ..Faults::none()
    }
}

/// The events of this job that a webhook told.
fn told(summary: &Summary, job: JobId) -> Vec<&store::EventRow> {
    let of = summary.timeline.iter().filter(|event| event.job == job);
    of.filter(|event| event.detail.get("told_by") == Some(&Value::from("webhook")))
        .collect()
}

/// Each job of this kind was ended by one webhook, once, and no poll of it left after that.
fn ended_by_webhooks(summary: &Summary, kind: JobKind) {
    check(summary);
    for job in summary.jobs.iter().filter(|job| job.id.kind == kind) {
        assert_eq!(job.work.status(), Status::Completed, "{job:#?}");
        let told = told(summary, job.id);
        assert_eq!(told.len(), 1, "{told:#?}");
        assert_eq!(told[0].from_status, Status::Running, "{told:#?}");
        assert_ne!(told[0].to_status, Status::Running, "{told:#?}");
        let remote = &job.work.state.remote().unwrap().id;
        // What left before that is on its way for 0.4 s at the most.
        let over = told[0].at.as_millis() + 400;
        let polled = summary.limits.requests.iter().find(|entry| {
            entry.verb == Verb::Poll && entry.at_ms > over && entry.jobs.contains(remote)
        });
        assert!(polled.is_none(), "{polled:#?}");
    }
}

#[test]
fn a_signed_success_ends_a_text_at_once_and_cancels_its_poll() {
    let summary = World::of(71)
        .rows(rows::some(6, 0, 0))
        .believed()
        .play(Chances::none());
    ended_by_webhooks(&summary, JobKind::Description);
}

#[test]
fn a_signed_success_ends_a_production_and_cancels_its_poll() {
    let summary = World::of(72)
        .rows(rows::some(0, 0, 2))
        .believed()
        .play(Chances::none());
    ended_by_webhooks(&summary, JobKind::Production);
}

#[test]
fn a_duplicate_changes_nothing() {
    let twice = faults(
        Provider::Jakov,
        None,
        When::Share(1.0),
        FaultKind::DuplicateWebhook,
    );
    let summary = World::of(73)
        .rows(rows::some(6, 0, 0))
        .faults(twice)
        .believed()
        .play(Chances::none());
    ended_by_webhooks(&summary, JobKind::Description);
}

#[test]
fn one_that_comes_after_the_poll_changes_nothing() {
    for (provider, kind, rows) in [
        (Provider::Jakov, JobKind::Description, rows::some(4, 0, 0)),
        (Provider::Jarai, JobKind::Production, rows::some(0, 0, 2)),
    ] {
        let late = FaultKind::LateWebhook(600_000);
        let summary = World::of(74)
            .rows(rows)
            .faults(faults(provider, None, When::Share(1.0), late))
            .believed()
            .play(Chances::none());
        check(&summary);
        assert_eq!(summary.completed(), summary.rows(), "{:#?}", summary.jobs);
        for job in summary.jobs.iter().filter(|job| job.id.kind == kind) {
            assert!(told(&summary, job.id).is_empty(), "{:#?}", job.id);
        }
    }
}

/// The answer to the submit is lost: the webhook names a remote job that nobody knows yet.
#[test]
fn one_that_names_an_unknown_job_waits_until_it_is_clear_whose_it_is() {
    let lost = faults(
        Provider::Jakov,
        Some(Verb::Submit),
        When::Nth(1),
        FaultKind::LostAfterAccept,
    );
    let summary = World::of(75)
        .rows(rows::some(1, 0, 0))
        .faults(lost)
        .believed()
        // The export would tell as well, much later.
        .accounts(|accounts| accounts[0].timing.evidence_first = Duration::from_secs(3_600))
        .play(Chances::none());
    check(&summary);
    assert_eq!(summary.completed(), 1, "{:#?}", summary.jobs);
    let accepted: Vec<_> = (summary.timeline.iter())
        .filter(|event| event.event == "accepted")
        .collect();
    assert_eq!(accepted.len(), 1, "{accepted:#?}");
    assert_eq!(accepted[0].detail["evidence"]["source"], "webhook");
    assert_eq!(accepted[0].from_status, Status::InDoubt);
}
