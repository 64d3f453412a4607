//! What could go next, what waits and why, pages, counts, money, the timeline.

use domain::{Event, Fault, JobKind, Provider, Status};

use super::on_both;
use super::support::{
    Fresh, accepted, at, change, description, durable, event, fenced, image, outcome, planned,
    submission,
};
use crate::{Batch, JobFilter, NewJob, Outcome, PendingWant};

on_both!(
    nothing_of_a_paused_batch_is_offered_however_urgent,
    priority_goes_first_then_the_batches_in_turn_then_age,
    what_is_not_due_is_not_offered_but_is_announced,
    rows_without_an_account_go_to_the_account_that_takes_them,
    an_unknown_account_is_found_once_and_again_when_it_is_known,
    open_jobs_are_those_under_way_at_the_asked_accounts,
    pages_follow_each_other_under_every_filter,
    counts_add_up_to_what_was_inserted,
    money_is_counted_by_outcome,
    events_after_a_number_come_in_order,
    the_last_event_of_a_name_is_found_for_many_jobs_at_once,
    a_thousand_batches_do_not_hide_an_urgent_job,
);

fn want(per_batch: u32, limit: u32) -> PendingWant {
    PendingWant {
        kind: JobKind::Description,
        account: "texts".to_owned(),
        takes_unnamed: true,
        now: at(0),
        per_batch,
        limit,
        without: Vec::new(),
    }
}

fn job(ean: &str, batch: Option<&str>, priority: i64, run_at: Option<i64>) -> NewJob {
    NewJob {
        batch: batch.map(str::to_owned),
        priority,
        run_at: run_at.map(at),
        ..description(ean)
    }
}

async fn offered(fresh: &Fresh, want: &PendingWant) -> Vec<String> {
    let jobs = fresh.store.pending(want).await.unwrap();
    jobs.into_iter().map(|job| ean(&job)).collect()
}

fn ean(job: &crate::Job) -> String {
    match &job.input {
        domain::Input::Description(input) => input.ean.clone().unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn priority_goes_first_then_the_batches_in_turn_then_age(fresh: Fresh) {
    let jobs = [
        job("a1", Some("a"), 0, Some(-30)),
        job("a2", Some("a"), 0, Some(-29)),
        job("a3", Some("a"), 0, Some(-28)),
        job("b1", Some("b"), 0, Some(-10)),
        job("b2", Some("b"), 0, Some(-9)),
        job("n1", None, 0, Some(-20)),
        job("u", Some("b"), 5, Some(-1)),
    ];
    fresh.store.insert_jobs(&jobs).await.unwrap();
    let order = ["u", "a1", "n1", "b1", "a2", "b2", "a3"];
    assert_eq!(offered(&fresh, &want(10, 100)).await, order);
    assert_eq!(offered(&fresh, &want(10, 3)).await, ["u", "a1", "n1"]);
    let none = PendingWant {
        takes_unnamed: false,
        ..want(10, 100)
    };
    assert!(offered(&fresh, &none).await.is_empty());
}

async fn nothing_of_a_paused_batch_is_offered_however_urgent(fresh: Fresh) {
    let mut jobs: Vec<NewJob> = (0..1_100)
        .map(|n| job(&format!("p{n}"), Some("paused"), 9, Some(-60)))
        .collect();
    jobs.push(job("a", Some("a"), 0, Some(-5)));
    jobs.push(job("n", None, 0, Some(-4)));
    fresh.store.insert_jobs(&jobs).await.unwrap();
    assert_eq!(offered(&fresh, &want(10, 2)).await, ["p0", "p1"]);
    let without = PendingWant {
        without: vec!["paused".to_owned()],
        ..want(10, 10)
    };
    assert_eq!(offered(&fresh, &without).await, ["a", "n"]);
}

async fn what_is_not_due_is_not_offered_but_is_announced(fresh: Fresh) {
    let jobs = [
        job("now", None, 0, Some(0)),
        job("later", None, 9, Some(60)),
    ];
    fresh.store.insert_jobs(&jobs).await.unwrap();
    assert_eq!(offered(&fresh, &want(10, 100)).await, ["now"]);
    assert_eq!(fresh.store.next_due(at(0)).await.unwrap(), Some(at(60)));
    let held = fresh.store.pending(&want(1, 1)).await.unwrap().remove(0);
    let mut batch = Batch {
        jobs: vec![change(&held, &Event::HeldBack(None))],
        ..Batch::default()
    };
    batch.jobs[0].not_before = Some(at(20));
    fresh.store.commit(batch).await.unwrap();
    assert!(offered(&fresh, &want(10, 100)).await.is_empty());
    assert_eq!(fresh.store.next_due(at(0)).await.unwrap(), Some(at(20)));
    assert_eq!(fresh.store.next_due(at(60)).await.unwrap(), None);
    let later = PendingWant {
        now: at(60),
        ..want(10, 100)
    };
    assert_eq!(offered(&fresh, &later).await, ["later", "now"]);
}

async fn rows_without_an_account_go_to_the_account_that_takes_them(fresh: Fresh) {
    let named = |ean: &str, account: &str| NewJob {
        account: Some(account.to_owned()),
        ..description(ean)
    };
    let jobs = [named("1", "texts"), named("2", "other"), description("3")];
    fresh.store.insert_jobs(&jobs).await.unwrap();
    assert_eq!(offered(&fresh, &want(10, 10)).await, ["1", "3"]);
    let strict = PendingWant {
        takes_unnamed: false,
        ..want(10, 10)
    };
    assert_eq!(offered(&fresh, &strict).await, ["1"]);
}

async fn an_unknown_account_is_found_once_and_again_when_it_is_known(fresh: Fresh) {
    let jobs = [
        NewJob {
            account: Some("ghost".to_owned()),
            ..description("1")
        },
        NewJob {
            account: Some("texts".to_owned()),
            ..description("2")
        },
        description("3"),
    ];
    fresh.store.insert_jobs(&jobs).await.unwrap();
    let kind = JobKind::Description;
    let known = ["texts".to_owned()];
    let find = |unnamed| {
        fresh
            .store
            .pending_with_unknown_account(kind, &known, unnamed, 10)
    };
    let found = find(true).await.unwrap();
    assert_eq!(found.iter().map(ean).collect::<Vec<_>>(), ["1"]);
    assert_eq!(find(false).await.unwrap().len(), 2);
    let mark = Event::HeldBack(Some(Fault::new(
        "unknown_account",
        "nobody is called ghost",
    )));
    let mut batch = Batch {
        jobs: vec![change(&found[0], &mark)],
        ..Batch::default()
    };
    batch.jobs[0].taken_by = None;
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    assert!(find(true).await.unwrap().is_empty());
    let both = ["texts".to_owned(), "ghost".to_owned()];
    let again = |known| {
        fresh
            .store
            .pending_with_known_account(kind, known, false, 10)
    };
    assert!(again(&known).await.unwrap().is_empty());
    assert_eq!(again(&both).await.unwrap().len(), 1);
}

async fn open_jobs_are_those_under_way_at_the_asked_accounts(fresh: Fresh) {
    let waiting = fresh.description("1").await;
    let running = fresh.description("2").await;
    let running = fresh
        .advance(running, &[planned("s"), accepted("s", "r")])
        .await;
    let open = fresh.store.open_jobs(&["texts".to_owned()]).await.unwrap();
    assert_eq!(open, std::slice::from_ref(&running));
    let other = fresh.store.open_jobs(&["other".to_owned()]).await.unwrap();
    assert!(other.is_empty());
    let both = fresh.store.jobs(&[running.id, waiting.id]).await.unwrap();
    assert_eq!(both, [waiting, running]);
}

async fn pages_follow_each_other_under_every_filter(fresh: Fresh) {
    let mut jobs: Vec<NewJob> = (0..25)
        .map(|number| NewJob {
            client_product_id: Some(format!("p{}", number % 5)),
            ..job(
                &number.to_string(),
                Some(if number < 10 { "a" } else { "b" }),
                0,
                None,
            )
        })
        .collect();
    jobs.push(image("https://a.example/1.png"));
    fresh.store.insert_jobs(&jobs).await.unwrap();
    let failed = fresh.store.pending(&want(1, 1)).await.unwrap().remove(0);
    fresh
        .advance(failed, &[Event::FoundInvalid(Fault::new("bad", "bad"))])
        .await;
    let all = JobFilter {
        limit: 7,
        ..JobFilter::default()
    };
    let with = |change: fn(&mut JobFilter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filter
    };
    for (filter, expected) in [
        (with(|filter| filter.kind = Some(JobKind::Description)), 25),
        (with(|filter| filter.batch = Some("a".to_owned())), 10),
        (
            with(|filter| filter.client_product_id = Some("p3".to_owned())),
            5,
        ),
        (with(|filter| filter.status = Some(Status::Failed)), 1),
        (with(|filter| filter.error_code = Some("bad".to_owned())), 1),
        (with(|filter| filter.account = Some("texts".to_owned())), 1),
        (with(|filter| filter.kind = Some(JobKind::Image)), 1),
    ] {
        let mut seen = Vec::new();
        let mut page = filter.clone();
        loop {
            let jobs = fresh.store.list_jobs(&page).await.unwrap();
            let Some(last) = jobs.last() else { break };
            assert!(jobs.len() <= 7);
            page.after = Some(last.id.id);
            seen.extend(jobs.iter().map(|job| job.id));
        }
        assert_eq!(seen.len(), expected, "{filter:?}");
        assert!(seen.is_sorted());
    }
    let every = JobFilter {
        limit: 100,
        ..JobFilter::default()
    };
    assert_eq!(fresh.store.list_jobs(&every).await.unwrap().len(), 26);
}

async fn counts_add_up_to_what_was_inserted(fresh: Fresh) {
    let jobs = [
        job("1", Some("a"), 0, None),
        job("2", Some("a"), 0, None),
        job("3", None, 0, None),
        image("https://a.example/1.png"),
    ];
    fresh.store.insert_jobs(&jobs).await.unwrap();
    let one = fresh.store.pending(&want(1, 1)).await.unwrap().remove(0);
    let one = fresh
        .advance(one, &[planned("s"), accepted("s", "r")])
        .await;
    let seen = Event::Seen {
        status: "AwaitingApproval".to_owned(),
    };
    fresh.advance(one, &[seen]).await;
    let counts = fresh.store.counts(None).await.unwrap();
    assert_eq!(counts.iter().map(|count| count.jobs).sum::<i64>(), 4);
    let waiting = counts.iter().find(|count| count.awaiting_approval).unwrap();
    assert_eq!(
        (waiting.status, waiting.jobs, waiting.credits),
        (Status::Running, 1, 3)
    );
    assert_eq!(waiting.account.as_deref(), Some("texts"));
    assert!(waiting.oldest.is_some());
    let of_batch = fresh.store.counts(Some("a")).await.unwrap();
    assert_eq!(of_batch.iter().map(|count| count.jobs).sum::<i64>(), 2);
}

async fn money_is_counted_by_outcome(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let mut batch = fenced(epoch);
    let mut ids = Vec::new();
    for ean in ["1", "2", "3", "4"] {
        ids.push(fresh.description(ean).await.id);
    }
    batch.submissions = vec![submission("s1", &ids)];
    fresh.store.commit(batch).await.unwrap();
    let mut batch = fenced(epoch);
    let mut paid = outcome("s1", ids[0], Outcome::Accepted);
    paid.credits = Some(8);
    batch.outcomes = vec![
        paid,
        outcome("s1", ids[1], Outcome::Refused),
        outcome("s1", ids[2], Outcome::Unknown),
    ];
    fresh.store.commit(batch).await.unwrap();
    let spent = fresh.store.spent().await.unwrap();
    assert_eq!(spent.len(), 1);
    let spent = &spent[0];
    assert_eq!(spent.provider, Provider::Jakov);
    assert_eq!(
        (spent.submissions, spent.accepted, spent.unknown),
        (1, 1, 2)
    );
    assert_eq!((spent.credits, spent.reserved), (8, 6));
    assert!(fresh.store.spent_since(at(51)).await.unwrap().is_empty());
    let known = fresh
        .store
        .submissions_of_remotes(
            JobKind::Description,
            &["remote-1".to_owned(), "nobody".to_owned()],
        )
        .await
        .unwrap();
    assert_eq!(known.len(), 1);
}

async fn events_after_a_number_come_in_order(fresh: Fresh) {
    let job = fresh.description("1").await;
    for text in ["a", "b", "c"] {
        let batch = Batch {
            events: vec![event(job.id, text)],
            ..Batch::default()
        };
        fresh.store.commit(batch).await.unwrap();
    }
    let first = fresh.store.events_after(0, 2).await.unwrap();
    let rest = fresh.store.events_after(first[1].seq, 10).await.unwrap();
    let words: Vec<&str> = first
        .iter()
        .chain(&rest)
        .map(|row| row.event.as_str())
        .collect();
    assert_eq!(words, ["a", "b", "c"]);
    assert_eq!(
        rest[0].detail,
        serde_json::json!({ "text": "c", "n": [1, null, 2.5] })
    );
    assert_eq!(fresh.store.events(job.id).await.unwrap().len(), 3);
}

async fn the_last_event_of_a_name_is_found_for_many_jobs_at_once(fresh: Fresh) {
    let (one, two, none) = (
        fresh.description("1").await.id,
        fresh.description("2").await.id,
        fresh.description("3").await.id,
    );
    let events = ["looked", "other", "looked", "other"].map(|name| event(one, name));
    let batch = Batch {
        events: [
            events.to_vec(),
            vec![event(two, "looked"), event(none, "other")],
        ]
        .concat(),
        ..Batch::default()
    };
    fresh.store.commit(batch).await.unwrap();
    let last = fresh
        .store
        .last_events(&[none, two, one], "looked")
        .await
        .unwrap();
    let found: Vec<_> = last.iter().map(|row| (row.job, row.seq)).collect();
    let all = fresh.store.events(one).await.unwrap();
    assert_eq!(found[0], (one, all[2].seq));
    assert_eq!(found[1].0, two);
    assert_eq!(found.len(), 2);
}

async fn a_thousand_batches_do_not_hide_an_urgent_job(fresh: Fresh) {
    let mut jobs: Vec<NewJob> = (0..1_200)
        .map(|number| job("x", Some(&format!("b{number:05}")), 0, None))
        .collect();
    jobs.push(job("urgent", Some("z"), 3, None));
    fresh.store.insert_jobs(&jobs).await.unwrap();
    assert_eq!(offered(&fresh, &want(1, 5)).await[0], "urgent");
}
