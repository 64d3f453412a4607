//! The ledger as money: sums by day and batch, what a job has cost, what people want of an account.

use domain::{Event, JobKind};

use super::on_both;
use super::support::{
    Fresh, at, change, description, durable, fenced, lane, outcome, planned, refused, submission,
};
use crate::{
    AccountCommandDone, BatchRefusals, Epoch, Job, LaneKey, NewJob, Outcome, RefusalsChange, Sums,
};

on_both!(
    money_is_booked_reserved_or_in_doubt_by_day,
    a_batch_keeps_its_money_when_its_rows_go,
    a_job_costs_what_all_its_submissions_took,
    what_was_sent_again_may_still_be_charged,
    an_account_command_is_executed_once,
    a_pause_of_an_account_stands_until_a_later_word,
    an_account_command_that_does_not_exist_is_refused,
    refusals_of_a_batch_are_the_lane_owner_s_to_count,
);

/// Rows of the batch `spring`, all in one durable intent at 3 each.
async fn submitted(fresh: &Fresh, epoch: Epoch, name: &str, many: usize) -> Vec<Job> {
    let rows: Vec<NewJob> = (0..many)
        .map(|n| NewJob {
            batch: Some("spring".to_owned()),
            ..description(&format!("{name}{n}"))
        })
        .collect();
    fresh.store.insert_jobs(&rows).await.unwrap();
    let mut jobs = fresh.store.list_jobs(&filter()).await.unwrap();
    let jobs = jobs.split_off(jobs.len() - many);
    let mut batch = fenced(epoch);
    batch.jobs = jobs.iter().map(|job| change(job, &planned(name))).collect();
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    batch.submissions = vec![submission(name, &ids)];
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    jobs
}

fn filter() -> crate::JobFilter {
    crate::JobFilter {
        kind: Some(JobKind::Description),
        limit: 1_000,
        ..Default::default()
    }
}

async fn money_is_booked_reserved_or_in_doubt_by_day(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let jobs = submitted(&fresh, epoch, "s1", 5).await;
    let mut batch = fenced(epoch);
    let mut told = outcome("s1", jobs[0].id, Outcome::Accepted);
    told.credits = Some(7);
    batch.outcomes = vec![
        told,
        outcome("s1", jobs[1].id, Outcome::Accepted),
        outcome("s1", jobs[2].id, Outcome::Unknown),
        outcome("s1", jobs[3].id, Outcome::Refused),
    ];
    fresh.store.commit(batch).await.unwrap();
    let sums = Sums {
        booked: 10,
        reserved: 3,
        in_doubt: 3,
    };
    assert_eq!(sums.taken(), 16);
    let days = fresh.store.money_by_day("texts", at(0)).await.unwrap();
    assert_eq!(days.len(), 1);
    assert_eq!((days[0].day, days[0].sums), (at(50).utc_day(), sums));
    let later = fresh.store.money_by_day("texts", at(86_400)).await.unwrap();
    assert!(later.is_empty());
    let other = fresh.store.money_by_day("shots", at(0)).await.unwrap();
    assert!(other.is_empty());
    let names = ["spring".to_owned(), "summer".to_owned()];
    let batches = fresh.store.money_of_batches("texts", &names).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(
        (batches[0].batch.as_str(), batches[0].sums),
        ("spring", sums)
    );
    let full = |least| fresh.store.fullest_batches("texts", least, 10);
    assert_eq!(full(16).await.unwrap(), batches);
    assert!(full(17).await.unwrap().is_empty());
}

async fn a_batch_keeps_its_money_when_its_rows_go(fresh: Fresh) {
    let hold = fresh.hold().await;
    let jobs = submitted(&fresh, hold.epochs[0].1, "s1", 1).await;
    let job = fresh.job(jobs[0].id).await;
    let gone = Event::OutcomeUnknown {
        submission: domain::SubmissionId("s1".to_owned()),
        why: domain::Fault::new("timeout", "no answer came"),
    };
    let given_up = Event::Resolved(domain::Resolution::GiveUp);
    fresh.advance(job, &[gone, given_up]).await;
    let mut over = outcome("s1", jobs[0].id, Outcome::Unknown);
    over.ended = true;
    let mut batch = fenced(hold.epochs[0].1);
    batch.outcomes = vec![over];
    fresh.store.commit(batch).await.unwrap();
    let mut stranger = fresh.stranger().await;
    assert_eq!(stranger.run("delete from descriptions").await, Ok(1));
    let names = ["spring".to_owned()];
    let batches = fresh.store.money_of_batches("texts", &names).await.unwrap();
    assert_eq!(batches[0].sums.taken(), 3);
    let moved = stranger
        .run("update submission_jobs set batch = null")
        .await;
    assert!(moved.unwrap_err().contains("never changed"));
}

async fn a_job_costs_what_all_its_submissions_took(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = submitted(&fresh, epoch, "s1", 1).await.remove(0);
    let job = fresh.job(job.id).await;
    // While there is no answer the row shows the price.
    assert_eq!(job.work.credits, Some(3));
    let mut batch = fenced(epoch);
    let mut told = outcome("s1", job.id, Outcome::Accepted);
    told.credits = Some(5);
    told.released = true;
    batch.outcomes = vec![told];
    batch.jobs = vec![change(&job, &super::support::accepted("s1", "r1"))];
    fresh.store.commit(batch).await.unwrap();
    let job = fresh.job(job.id).await;
    assert_eq!(job.work.credits, Some(5));
    let failed = Event::RemoteFailed {
        fault: domain::Fault::new("expired", "nobody picked it up"),
        status: None,
        resubmit: true,
    };
    let job = fresh.advance(job, &[failed]).await;
    let mut batch = fenced(epoch);
    batch.jobs = vec![change(&job, &planned("s2"))];
    batch.submissions = vec![submission("s2", &[job.id])];
    fresh.store.commit(batch).await.unwrap();
    let job = fresh.job(job.id).await;
    let mut batch = fenced(epoch);
    batch.outcomes = vec![outcome("s2", job.id, Outcome::Accepted)];
    batch.jobs = vec![change(&job, &super::support::accepted("s2", "r2"))];
    fresh.store.commit(batch).await.unwrap();
    assert_eq!(fresh.job(job.id).await.work.credits, Some(8));
}

async fn what_was_sent_again_may_still_be_charged(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = submitted(&fresh, epoch, "s1", 1).await.remove(0);
    let mut batch = fenced(epoch);
    let mut again = outcome("s1", job.id, Outcome::Unknown);
    again.released = true;
    batch.outcomes = vec![again];
    fresh.store.commit(batch).await.unwrap();
    let days = fresh.store.money_by_day("texts", at(0)).await.unwrap();
    assert_eq!(days[0].sums.in_doubt, 3);
    let spent = fresh.store.spent().await.unwrap();
    assert_eq!((spent[0].unknown, spent[0].reserved), (1, 3));
}

async fn an_account_command_is_executed_once(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let store = &fresh.store;
    let texts = ["texts".to_owned()];
    let id = store
        .add_account_command("texts", "resume", None)
        .await
        .unwrap();
    let open = store.open_account_commands(&texts, 10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].id, open[0].account.as_str()), (id, "texts"));
    let done = |lane: LaneKey, outcome: &str| AccountCommandDone {
        id,
        lane,
        outcome: outcome.to_owned(),
        at: at(60),
    };
    // Under an epoch that is over, nothing is said about it.
    let mut stale = fenced(Epoch(epoch.0 - 1));
    stale.account_commands = vec![done(lane(), "by a stale worker")];
    store.commit(stale).await.unwrap();
    assert_eq!(store.open_account_commands(&texts, 10).await.unwrap(), open);
    for outcome in ["done", "again"] {
        let mut batch = fenced(epoch);
        batch.account_commands = vec![done(lane(), outcome)];
        store.commit(batch).await.unwrap();
    }
    assert!(
        store
            .open_account_commands(&texts, 10)
            .await
            .unwrap()
            .is_empty()
    );
    let read = store.account_commands(&[id]).await.unwrap();
    assert_eq!(read[0].outcome.as_deref(), Some("done"));
    let mut stranger = fresh.stranger().await;
    let forged =
        "insert into account_commands (account, command, outcome) values ('a', 'resume', 'x')";
    let said = stranger.run(forged).await.unwrap_err();
    assert!(said.contains("the worker writes the outcome"), "{said}");
}

async fn a_pause_of_an_account_stands_until_a_later_word(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let store = &fresh.store;
    let names = ["texts".to_owned(), "shots".to_owned()];
    let mut stranger = fresh.stranger().await;
    let words = [
        // Command, value, and the reason of the pause that stands after it.
        ("pause", Some("bad prompt"), Some(Some("bad prompt"))),
        ("resume", Some("credits"), Some(Some("bad prompt"))),
        ("balance", None, Some(Some("bad prompt"))),
        ("pause", None, Some(None)),
        ("resume", None, None),
    ];
    let before = store.account_pauses(&names).await.unwrap();
    assert!(before.is_empty());
    for (nth, (command, value, stands)) in words.into_iter().enumerate() {
        let was = store.account_pauses(&names).await.unwrap();
        let id = store
            .add_account_command("texts", command, value)
            .await
            .unwrap();
        // What nobody has executed changes nothing.
        assert_eq!(store.account_pauses(&names).await.unwrap(), was);
        let seconds = 60 + i64::try_from(nth).unwrap();
        let mut batch = fenced(epoch);
        batch.account_commands = vec![AccountCommandDone {
            id,
            lane: lane(),
            outcome: "done".to_owned(),
            at: at(seconds),
        }];
        store.commit(batch).await.unwrap();
        let pauses = store.account_pauses(&names).await.unwrap();
        let reasons: Vec<_> = pauses.iter().map(|pause| pause.reason.as_deref()).collect();
        assert_eq!(reasons, stands.into_iter().collect::<Vec<_>>(), "{command}");
        if command == "pause" {
            assert_eq!(pauses[0].since, at(seconds));
            let all = format!("delete from account_commands where id = {id}");
            let said = stranger.run(&all).await.unwrap_err();
            assert!(said.contains("insert a resume"), "{said}");
        }
    }
    stranger.run("delete from account_commands").await.unwrap();
}

async fn an_account_command_that_does_not_exist_is_refused(fresh: Fresh) {
    for (account, command, constraint) in [
        ("texts", "spend", "account_commands_command_is_known"),
        (" ", "resume", "account_commands_account_is_a_name"),
    ] {
        let said = fresh
            .store
            .add_account_command(account, command, None)
            .await;
        assert_eq!(refused(said), constraint);
    }
}

async fn refusals_of_a_batch_are_the_lane_owner_s_to_count(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let names = ["texts".to_owned()];
    let known = |refusals: u32| BatchRefusals {
        account: "texts".to_owned(),
        batch: "spring".to_owned(),
        refusals,
        code: "http_422".to_owned(),
        message: "no such project".to_owned(),
        refused_at: at(i64::from(refusals)),
        paused_at: (refusals >= 20).then(|| at(60)),
    };
    let write = async |epoch: Epoch, now: Option<BatchRefusals>| {
        let mut batch = fenced(epoch);
        batch.refusals = vec![RefusalsChange {
            lane: lane(),
            account: "texts".to_owned(),
            batch: "spring".to_owned(),
            now,
        }];
        fresh.store.commit(batch).await.unwrap();
        fresh.store.batch_refusals(&names).await.unwrap()
    };
    assert_eq!(write(epoch, Some(known(1))).await, [known(1)]);
    assert_eq!(write(epoch, Some(known(20))).await, [known(20)]);
    let stale = Epoch(epoch.0 - 1);
    assert_eq!(write(stale, Some(known(3))).await, [known(20)]);
    assert_eq!(write(stale, None).await, [known(20)]);
    let others = fresh.store.batch_refusals(&["shots".to_owned()]).await;
    assert!(others.unwrap().is_empty());
    assert!(write(epoch, None).await.is_empty());
}
