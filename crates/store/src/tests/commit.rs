//! Batches: facts and conclusions, the fence, compare-and-set, never twice.

use domain::{Event, Fault, JobKind, JobState, Status, Verdict};

use super::on_both;
use super::support::{
    Fresh, accepted, at, change, durable, ended, event, fenced, lane, learned, outcome, planned,
    refused, stored, submission, submission_id, unknown,
};
use crate::{
    Batch, Committed, FileShape, Fuse, FuseMode, LaneKey, NewDeliverable, NewRequest, Outcome,
    Pause, PauseChange, PriorityChange, RequestAnswered, StoreError, SubmissionAnswer,
};

on_both!(
    every_state_reads_back_as_it_was_written,
    a_stale_version_changes_nothing,
    a_deleted_row_is_stale,
    a_job_may_move_twice_in_one_batch,
    a_job_is_never_submitted_twice,
    a_released_submission_makes_room_for_another,
    a_client_reference_is_under_way_once_in_a_lane,
    a_lost_lane_keeps_facts_and_drops_conclusions,
    a_conclusion_without_its_epoch_is_refused,
    an_answer_is_kept_as_it_was_first_read,
    a_repeated_deliverable_is_one_row,
    requests_are_found_by_their_answer_and_while_unanswered,
    pauses_are_set_replaced_and_lifted,
    what_was_learned_is_kept_and_replaced_by_the_owner_only,
    a_priority_changes_by_compare_and_set,
    a_transaction_completes_although_its_caller_went_away,
    a_lost_answer_to_a_commit_leaves_it_durable,
    nul_in_a_providers_words_does_not_stop_the_commit,
);

async fn every_state_reads_back_as_it_was_written(fresh: Fresh) {
    let job = fresh.description("1").await;
    assert_eq!(job.work.state, JobState::Pending { waits: None });
    let held = Event::HeldBack(Some(Fault::new("out_of_credits", "no credits are left")));
    let events = [
        held,
        planned("s1"),
        unknown("s1"),
        accepted("s1", "r1"),
        ended("completed"),
        Event::CaptureTrouble(Fault::new("slow", "the link does not answer")),
        stored(),
    ];
    let mut expected = job.work.clone();
    let mut job = job;
    for event in &events {
        expected = domain::next(&expected, event, at(60)).unwrap();
        job = fresh.advance(job, std::slice::from_ref(event)).await;
        assert_eq!(job.work, expected, "after {}", event.name());
    }
    assert_eq!(job.description.as_deref(), Some("A fine text."));
    assert_eq!(job.taken_by.as_deref(), Some("texts"));
    assert_eq!(job.updated_at, at(60));
    assert_eq!(job.version, 1 + i64::try_from(events.len()).unwrap());

    let failed = fresh.description("2").await;
    let failed = fresh
        .advance(
            failed,
            &[Event::FoundInvalid(Fault::new("bad", "it is bad"))],
        )
        .await;
    assert_eq!(failed.work.status(), Status::Failed);
    assert_eq!(failed.work.completed_at, Some(at(60)));
    let again = fresh.advance(failed, &[Event::RetryAsked]).await;
    assert_eq!(again.work.state, JobState::Pending { waits: None });
}

async fn a_stale_version_changes_nothing(fresh: Fresh) {
    let (one, two) = (fresh.description("1").await, fresh.description("2").await);
    let mut stranger = fresh.stranger().await;
    stranger
        .run("update descriptions set ean = '7' where ean = '2'")
        .await
        .unwrap();
    let batch = Batch {
        jobs: vec![change(&one, &planned("s1")), change(&two, &planned("s1"))],
        events: vec![event(one.id, "x")],
        ..Batch::default()
    };
    let said = fresh.store.commit(batch).await.unwrap();
    assert_eq!(said, Committed::Stale(vec![two.id]));
    assert_eq!(fresh.job(one.id).await, one);
    assert!(fresh.store.events(one.id).await.unwrap().is_empty());
}

async fn a_deleted_row_is_stale(fresh: Fresh) {
    let job = fresh.description("1").await;
    let mut stranger = fresh.stranger().await;
    stranger.run("delete from descriptions").await.unwrap();
    let batch = Batch {
        jobs: vec![change(&job, &planned("s1"))],
        ..Batch::default()
    };
    assert_eq!(
        fresh.store.commit(batch).await.unwrap(),
        Committed::Stale(vec![job.id])
    );
    // Its id is never used again.
    assert!(fresh.description("2").await.id.id > job.id.id);
}

async fn a_job_may_move_twice_in_one_batch(fresh: Fresh) {
    let job = fresh.description("1").await;
    let first = change(&job, &planned("s1"));
    let mut between = job.clone();
    between.work = first.work.clone();
    between.version += 1;
    let second = change(&between, &unknown("s1"));
    let batch = Batch {
        jobs: vec![first, second],
        ..Batch::default()
    };
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    assert_eq!(fresh.job(job.id).await.work.status(), Status::InDoubt);
}

async fn a_job_is_never_submitted_twice(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = fresh.description("1").await;
    for state in [None, Some(Outcome::Unknown), Some(Outcome::Accepted)] {
        let mut batch = fenced(epoch);
        match state {
            None => batch.submissions = vec![submission("s1", &[job.id])],
            Some(state) => batch.outcomes = vec![outcome("s1", job.id, state)],
        }
        assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
        let mut second = fenced(epoch);
        second.submissions = vec![submission("s2", &[job.id])];
        second.submissions[0].jobs[0].client_ref = None;
        let name = refused(fresh.store.commit(second).await);
        assert!(
            name.contains("submission_jobs"),
            "{name} is the index that says never twice"
        );
    }
    let rows = fresh.store.submissions(job.id).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].outcome, Outcome::Accepted);
    assert_eq!(rows[0].remote_id.as_deref(), Some("remote-1"));
}

async fn a_released_submission_makes_room_for_another(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = fresh.description("1").await;
    let mut batch = fenced(epoch);
    batch.submissions = vec![submission("s1", &[job.id])];
    fresh.store.commit(batch).await.unwrap();
    let mut batch = fenced(epoch);
    let mut release = outcome("s1", job.id, Outcome::Unknown);
    release.released = true;
    batch.outcomes = vec![release];
    batch.submissions = vec![submission("s2", &[job.id])];
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    let open = fresh.store.open_submissions(&[lane()]).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].id, submission_id("s2"));
    assert_eq!(fresh.store.submissions(job.id).await.unwrap().len(), 2);
}

async fn a_client_reference_is_under_way_once_in_a_lane(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let (one, two) = (fresh.description("1").await, fresh.description("2").await);
    let with_ref = |name, job| {
        let mut new = submission(name, &[job]);
        new.jobs[0].client_ref = Some("SKU-1".to_owned());
        let mut batch = fenced(epoch);
        batch.submissions = vec![new];
        batch
    };
    fresh.store.commit(with_ref("s1", one.id)).await.unwrap();
    let name = refused(fresh.store.commit(with_ref("s2", two.id)).await);
    assert!(name.contains("client_ref"), "{name}");
    let mut batch = fenced(epoch);
    let mut over = outcome("s1", one.id, Outcome::Accepted);
    over.ended = true;
    batch.outcomes = vec![over];
    fresh.store.commit(batch).await.unwrap();
    assert_eq!(
        fresh.store.commit(with_ref("s2", two.id)).await.unwrap(),
        durable()
    );
}

async fn a_lost_lane_keeps_facts_and_drops_conclusions(fresh: Fresh) {
    let hold = fresh.hold().await;
    let old = hold.epochs[0].1;
    let job = fresh.description("1").await;
    let mut batch = fenced(old);
    batch.submissions = vec![submission("s1", &[job.id])];
    batch.jobs = vec![change(&job, &planned("s1"))];
    fresh.store.commit(batch).await.unwrap();
    drop(hold);
    let new = fresh.hold().await.epochs[0].1;
    assert!(new > old);

    let job = fresh.job(job.id).await;
    let other = LaneKey("never taken".to_owned());
    let mut late = fenced(old);
    late.fences.push((other.clone(), old));
    late.answers = vec![answer("s1", Some(200))];
    late.jobs = vec![change(&job, &accepted("s1", "r1"))];
    late.jobs[0].lane = Some(lane());
    late.outcomes = vec![outcome("s1", job.id, Outcome::Accepted)];
    late.events = vec![event(job.id, "accepted")];
    late.events[0].lane = Some(lane());
    late.requests = vec![request("q1")];
    late.pauses = vec![PauseChange::Set(pause("busy"))];
    late.submissions = vec![submission("s2", &[job.id])];
    assert_eq!(
        fresh.store.commit(late).await.unwrap(),
        Committed::Durable {
            lost: vec![lane(), other]
        }
    );
    assert_eq!(fresh.job(job.id).await, job);
    assert!(fresh.store.events(job.id).await.unwrap().is_empty());
    assert!(fresh.store.pauses(&[lane()]).await.unwrap().is_empty());
    assert!(
        fresh
            .store
            .requests_since(&lane(), at(0))
            .await
            .unwrap()
            .is_empty()
    );
    let rows = fresh.store.submissions(job.id).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].outcome, Outcome::Open);
    assert_eq!(rows[0].http_status, Some(200), "the answer is a fact");
}

async fn a_conclusion_without_its_epoch_is_refused(fresh: Fresh) {
    let job = fresh.description("1").await;
    let mut batch = Batch {
        jobs: vec![change(&job, &planned("s1"))],
        ..Batch::default()
    };
    batch.jobs[0].lane = Some(lane());
    let said = fresh.store.commit(batch).await;
    assert!(matches!(
        said,
        Err(StoreError::Inconsistent { table: "lanes", .. })
    ));
    assert_eq!(fresh.job(job.id).await, job);
}

fn answer(name: &str, http_status: Option<u16>) -> SubmissionAnswer {
    SubmissionAnswer {
        submission: submission_id(name),
        at: at(56),
        http_status,
        answer: Some(format!("said {http_status:?}")),
        correlation_id: None,
        verdicts: serde_json::json!([]),
    }
}

async fn an_answer_is_kept_as_it_was_first_read(fresh: Fresh) {
    let hold = fresh.hold().await;
    let job = fresh.description("1").await;
    let mut batch = fenced(hold.epochs[0].1);
    batch.submissions = vec![submission("s1", &[job.id])];
    fresh.store.commit(batch).await.unwrap();
    for (said, kept) in [
        (None, "said None"),
        (Some(202), "said Some(202)"),
        (Some(500), "said Some(202)"),
        (None, "said Some(202)"),
    ] {
        let facts = Batch {
            answers: vec![answer("s1", said)],
            ..Batch::default()
        };
        assert_eq!(fresh.store.commit(facts).await.unwrap(), durable());
        let rows = fresh.store.submissions(job.id).await.unwrap();
        assert_eq!(rows[0].answer.as_deref(), Some(kept));
    }
}

async fn a_repeated_deliverable_is_one_row(fresh: Fresh) {
    let job = fresh.description("1").await;
    let file = NewDeliverable {
        job: job.id,
        submission: submission_id("s1"),
        r#type: "Image".to_owned(),
        ordinal: 0,
        location: "file:///a".to_owned(),
        content_type: "image/png".to_owned(),
        bytes: 12,
        sha256: "aa".to_owned(),
        captured_at: at(70),
        source_hash: "cc".to_owned(),
        quarantined: true,
        shape: FileShape::default(),
    };
    let mut changed = file.clone();
    changed.sha256 = "bb".to_owned();
    for _ in 0..2 {
        let batch = Batch {
            deliverables: vec![file.clone(), changed.clone()],
            ..Batch::default()
        };
        fresh.store.commit(batch).await.unwrap();
    }
    let rows = fresh.store.deliverables(job.id).await.unwrap();
    assert_eq!(rows.len(), 2, "a changed file is a new row");
    assert!(rows[0].quarantined);
    assert_eq!(rows[0].captured_at, at(70));
    assert_eq!(rows[1].sha256, "bb");
}

fn request(id: &str) -> NewRequest {
    NewRequest {
        id: id.to_owned(),
        lane: lane(),
        account: "texts".to_owned(),
        endpoints: "read".to_owned(),
        verb: "status".to_owned(),
        job: None,
        submission: None,
        quota: None,
        sent_at: at(10),
    }
}

async fn requests_are_found_by_their_answer_and_while_unanswered(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = fresh.description("1").await;
    let job = fresh
        .advance(job, &[planned("s1"), accepted("s1", "r1")])
        .await;
    let mut batch = fenced(epoch);
    batch.requests = vec![request("q1"), request("q2"), request("q3")];
    for one in &mut batch.requests {
        one.job = Some(job.id);
    }
    batch.requests[2].sent_at = at(11);
    fresh.store.commit(batch).await.unwrap();
    assert_eq!(
        fresh.store.last_reads(&lane()).await.unwrap(),
        [(job.id, at(11))]
    );
    let answered = |id: &str, seconds| RequestAnswered {
        id: id.to_owned(),
        at: at(seconds),
        http_status: Some(200),
        problem: None,
    };
    let facts = Batch {
        answered: vec![answered("q1", 12), answered("q2", 30)],
        ..Batch::default()
    };
    fresh.store.commit(facts).await.unwrap();
    let ids = |rows: Vec<crate::Request>| rows.into_iter().map(|row| row.id).collect::<Vec<_>>();
    let since = fresh.store.requests_since(&lane(), at(20)).await.unwrap();
    assert_eq!(ids(since), ["q2", "q3"]);
    let since = fresh.store.requests_since(&lane(), at(12)).await.unwrap();
    assert_eq!(since[0].job, Some(job.id));
    assert_eq!(since[0].http_status, Some(200));
    assert_eq!(ids(since), ["q1", "q2", "q3"]);
    assert_eq!(
        fresh.store.last_reads(&lane()).await.unwrap(),
        [(job.id, at(30))]
    );
    let other = LaneKey("other".to_owned());
    assert!(fresh.store.last_reads(&other).await.unwrap().is_empty());
    let lanes = [lane(), other];
    let none = fresh.store.too_many(&lanes, at(0)).await.unwrap();
    assert!(none.is_empty(), "{none:?}");
    let mut too_many = answered("q3", 40);
    too_many.http_status = Some(429);
    too_many.problem = Some("rate_limited".to_owned());
    let facts = Batch {
        answered: vec![too_many],
        ..Batch::default()
    };
    fresh.store.commit(facts).await.unwrap();
    for (since, found) in [(40, 1), (41, 0)] {
        let rows = fresh.store.too_many(&lanes, at(since)).await.unwrap();
        assert_eq!(rows.len(), found);
        for row in rows {
            assert_eq!((row.endpoints.as_str(), row.sent_at), ("read", at(11)));
            assert_eq!((row.lane, row.answered_at), (lane(), at(40)));
        }
    }
}

fn pause(message: &str) -> Pause {
    Pause {
        lane: lane(),
        endpoints: "submit".to_owned(),
        code: "rate_limited".to_owned(),
        message: message.to_owned(),
        since: Some(at(2)),
        until: Some(at(90)),
        strikes: 2,
    }
}

async fn pauses_are_set_replaced_and_lifted(fresh: Fresh) {
    let hold = fresh.hold().await;
    for (change, left) in [
        (PauseChange::Set(pause("once")), vec![pause("once")]),
        (PauseChange::Set(pause("twice")), vec![pause("twice")]),
        (
            PauseChange::Lift {
                lane: lane(),
                endpoints: "submit".to_owned(),
                code: "rate_limited".to_owned(),
            },
            vec![],
        ),
    ] {
        let mut batch = fenced(hold.epochs[0].1);
        batch.pauses = vec![change];
        fresh.store.commit(batch).await.unwrap();
        assert_eq!(fresh.store.pauses(&[lane()]).await.unwrap(), left);
    }
}

async fn what_was_learned_is_kept_and_replaced_by_the_owner_only(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let texts = ["texts".to_owned()];
    let keep = |learned: &crate::LearnedLengths, epoch| {
        let mut batch = fenced(epoch);
        batch.lengths = vec![learned.clone()];
        fresh.store.commit(batch)
    };
    let known = async || fresh.store.learned_lengths(&texts).await.unwrap();
    let mut first = learned(at(1));
    assert!(known().await.is_empty());
    keep(&first, epoch).await.unwrap();
    let mut other = learned(at(2));
    other.account = "others".to_owned();
    keep(&other, epoch).await.unwrap();
    first.lengths.outlasted(std::time::Duration::from_secs(99));
    first.learned_at = at(3);
    keep(&first, epoch).await.unwrap();
    // A row names no lane: it is the account's, whoever owns it.
    first.lane = crate::LaneKey(String::new());
    assert_eq!(known().await, [first.clone()]);
    let stale = keep(&learned(at(4)), crate::Epoch(epoch.0 + 1))
        .await
        .unwrap();
    assert_eq!(stale, Committed::Durable { lost: vec![lane()] });
    assert_eq!(known().await, [first]);
}

async fn a_priority_changes_by_compare_and_set(fresh: Fresh) {
    let job = fresh.description("1").await;
    let raise = || Batch {
        priorities: vec![PriorityChange {
            job: job.id,
            version: job.version,
            lane: None,
            priority: 9,
            at: at(3),
        }],
        ..Batch::default()
    };
    assert_eq!(fresh.store.commit(raise()).await.unwrap(), durable());
    assert_eq!(fresh.job(job.id).await.priority, 9);
    assert_eq!(
        fresh.store.commit(raise()).await.unwrap(),
        Committed::Stale(vec![job.id])
    );
}

async fn a_transaction_completes_although_its_caller_went_away(fresh: Fresh) {
    for number in 0..20 {
        let job = fresh.description(&number.to_string()).await;
        let batch = Batch {
            jobs: vec![change(&job, &planned("s1"))],
            ..Batch::default()
        };
        // Polled once: the transaction is under way, and nobody waits for it.
        let mut commit = Box::pin(fresh.store.commit(batch));
        tokio::select! {
            biased;
            _ = &mut commit => {}
            () = std::future::ready(()) => {}
        }
        drop(commit);
        // The next transaction of the same pool finds no open transaction left behind.
        let next = fresh.description("after").await;
        assert_eq!(next.work.status(), Status::Pending);
    }
    let mut left = usize::MAX;
    // What was begun completes by itself; each look is a round trip, not a sleep.
    for _ in 0..1_000 {
        let filter = crate::JobFilter {
            kind: Some(JobKind::Description),
            status: Some(Status::Submitting),
            limit: 100,
            ..Default::default()
        };
        left = 20 - fresh.store.list_jobs(&filter).await.unwrap().len();
        if left == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(left, 0, "every commit took place");
    let mut stranger = fresh.stranger().await;
    let seen = stranger
        .texts("select ean from descriptions where status = 'submitting'")
        .await;
    assert_eq!(seen.len(), 20, "and every other connection sees it");
}

async fn a_lost_answer_to_a_commit_leaves_it_durable(fresh: Fresh) {
    let job = fresh.description("1").await;
    for (mode, status) in [
        (FuseMode::BeforeBegin, Status::Pending),
        (FuseMode::AfterCommit, Status::Submitting),
    ] {
        let batch = Batch {
            jobs: vec![change(&job, &planned("s1"))],
            ..Batch::default()
        };
        fresh.store.set_fuse(Some(Fuse { nth: 1, mode }));
        let error = fresh.store.commit(batch).await.unwrap_err();
        assert!(error.is_transient());
        assert_eq!(fresh.store.fuse(), None);
        assert_eq!(fresh.job(job.id).await.work.status(), status);
    }
}

async fn nul_in_a_providers_words_does_not_stop_the_commit(fresh: Fresh) {
    let job = fresh.description("1").await;
    let job = fresh.advance(job, &[planned("s1")]).await;
    let said = Event::Refused {
        submission: submission_id("s1"),
        verdict: Verdict::Wait,
        fault: Fault::new(
            "refused",
            "it said \0 and <b>'; drop table descriptions; --",
        ),
    };
    let mut batch = Batch {
        jobs: vec![change(&job, &said)],
        events: vec![event(job.id, "a\0b")],
        ..Batch::default()
    };
    batch.events[0].detail = serde_json::json!({ "\0": "\0", "plain": "\\u0000" });
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    let job = fresh.job(job.id).await;
    let message = &job.work.state.fault().unwrap().message;
    assert_eq!(
        message,
        "it said \u{fffd} and <b>'; drop table descriptions; --"
    );
    let events = fresh.store.events(job.id).await.unwrap();
    assert_eq!(events[0].detail["plain"], "\\u0000");
    assert_eq!(events[0].event, "a\u{fffd}b");
}
