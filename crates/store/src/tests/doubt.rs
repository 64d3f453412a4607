//! What may settle a doubt.

use domain::JobKind;

use super::on_both;
use super::support::{Fresh, at, change, durable, fenced, image, outcome, planned, submission};
use crate::{Outcome, SubmissionJobChange};

on_both!(
    a_doubt_that_was_given_up_is_remembered_until_its_outcome_is_known,
    a_remote_id_is_known_by_kind,
    a_prompt_tells_whether_it_names_one_job_only,
);

async fn a_doubt_that_was_given_up_is_remembered_until_its_outcome_is_known(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = fresh.description("1").await;
    let mut batch = fenced(epoch);
    batch.jobs = vec![change(&job, &planned("s1"))];
    batch.submissions = vec![submission("s1", &[job.id])];
    assert_eq!(fresh.store.commit(batch).await.unwrap(), durable());
    let accounts = ["texts".to_owned()];
    let past = || fresh.store.past_doubts(&accounts, at(0), 10);
    for (ended, released, known) in [(false, false, 0), (true, false, 1), (true, true, 1)] {
        let mut batch = fenced(epoch);
        batch.outcomes = vec![SubmissionJobChange {
            ended,
            released,
            ..outcome("s1", job.id, Outcome::Unknown)
        }];
        fresh.store.commit(batch).await.unwrap();
        let rows = past().await.unwrap();
        assert_eq!(rows.len(), known, "ended {ended}, released {released}");
    }
    let later = fresh.store.past_doubts(&accounts, at(51), 10).await;
    assert!(later.unwrap().is_empty(), "made before that moment");
    let mut batch = fenced(epoch);
    batch.outcomes = vec![outcome("s1", job.id, Outcome::Accepted)];
    fresh.store.commit(batch).await.unwrap();
    assert!(past().await.unwrap().is_empty());
}

async fn a_remote_id_is_known_by_kind(fresh: Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let job = fresh.description("1").await;
    let mut batch = fenced(epoch);
    batch.jobs = vec![change(&job, &planned("s1"))];
    batch.submissions = vec![submission("s1", &[job.id])];
    fresh.store.commit(batch).await.unwrap();
    let mut batch = fenced(epoch);
    batch.outcomes = vec![outcome("s1", job.id, Outcome::Accepted)];
    fresh.store.commit(batch).await.unwrap();
    let remote = format!("remote-{}", job.id.id);
    for (kind, known) in [(JobKind::Description, 1), (JobKind::Image, 0)] {
        let rows = fresh.store.submissions_of_remote(kind, &remote).await;
        assert_eq!(rows.unwrap().len(), known);
    }
}

async fn a_prompt_tells_whether_it_names_one_job_only(fresh: Fresh) {
    let named = |prompt: &'static str| fresh.store.jobs_with_prompt(prompt);
    assert!(named("on a table").await.unwrap().is_empty());
    for known in [1, 2, 2] {
        let rows = [image("https://images.example/a.jpg")];
        fresh.store.insert_jobs(&rows).await.unwrap();
        assert_eq!(named(" on a table\n").await.unwrap().len(), known);
    }
    assert!(named("on a Table").await.unwrap().is_empty());
}
