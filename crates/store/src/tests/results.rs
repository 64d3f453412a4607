//! What programs read: the view of results, and what the inserting role may do.

use domain::{Event, JobKind, Timestamp};

use super::on_both;
use super::support::{
    Fresh, Stranger, accepted, at, change, ended, image, planned, production, stored,
};
use crate::{Batch, FileShape, Job, NewDeliverable, NewJob};

on_both!(the_view_shows_the_newest_of_each_part_of_a_product);

async fn finish(fresh: &Fresh, job: Job, file: Option<(&str, &str)>, quarantined: bool) {
    let submission = format!("s-{}", job.id);
    let job = fresh
        .advance(
            job,
            &[
                planned(&submission),
                accepted(&submission, "r"),
                ended("done"),
            ],
        )
        .await;
    let mut batch = Batch {
        jobs: vec![change(&job, &stored())],
        ..Batch::default()
    };
    if let Some((r#type, location)) = file {
        batch.deliverables.push(NewDeliverable {
            job: job.id,
            submission: domain::SubmissionId(submission),
            r#type: r#type.to_owned(),
            ordinal: 0,
            location: location.to_owned(),
            content_type: "x/y".to_owned(),
            bytes: 1,
            sha256: "aa".to_owned(),
            captured_at: at(70),
            source_hash: "bb".to_owned(),
            quarantined,
            shape: FileShape {
                width: Some(640),
                height: Some(480),
                duration_ms: None,
            },
        });
    }
    fresh.store.commit(batch).await.unwrap();
}

async fn the_view_shows_the_newest_of_each_part_of_a_product(fresh: Fresh) {
    let of_product = |job: NewJob| NewJob {
        client_product_id: Some("SKU-1".to_owned()),
        ..job
    };
    for (new, file, quarantined) in [
        (super::support::description("1"), None, false),
        (
            image("https://a.example/1"),
            Some(("Image", "file:///old.png")),
            false,
        ),
        (
            image("https://a.example/2"),
            Some(("Image", "file:///new.png")),
            false,
        ),
        (
            image("https://a.example/3"),
            Some(("Image", "file:///bad.png")),
            true,
        ),
        (production("shoes"), Some(("Video", "file:///v.mp4")), false),
    ] {
        let kind = new.input.as_ref().unwrap().kind();
        fresh.store.insert_jobs(&[of_product(new)]).await.unwrap();
        let job = fresh.newest(kind).await;
        finish(&fresh, job, file, quarantined).await;
    }
    let mut stranger = fresh.stranger().await;
    let columns = "account || '|' || client_product_id || '|' || description || '|' || image_location \
        || '|' || coalesce(upscaled_location, '-') || '|' || video_location";
    let rows = stranger
        .texts(&format!("select {columns} from product_results"))
        .await;
    assert_eq!(
        rows,
        ["texts|SKU-1|A fine text.|file:///new.png|-|file:///v.mp4"]
    );
}

/// What `vitrine_inserter` may do, and what it may not.
#[tokio::test]
async fn the_inserting_role_may_insert_and_see_no_results() {
    let fresh = Fresh::postgres().await;
    let job = fresh.description("1").await;
    fresh
        .advance(
            job,
            &[Event::FoundInvalid(domain::Fault::new("bad", "bad"))],
        )
        .await;
    let mut db = fresh.stranger().await;
    db.run("set role vitrine_inserter").await.unwrap();
    for sql in [
        "insert into descriptions (account, ean, product_name, project_id, batch, dedupe_key, run_at) \
            values ('a', '1', 'n', 'p', 'b', 'k', now())",
        "insert into descriptions (ean, dedupe_key) values ('1', 'k') on conflict do nothing",
        "insert into image_generations (operation, image_url) values ('upscale', 'x') returning id",
        "insert into productions (topic, priority, max_attempts) values ('x', 1, 2)",
        "insert into job_commands (kind, job_id, command, value) values ('image', 1, 'cancel', null)",
        "select id, status, error_code, error_message, client_product_id, dedupe_key, batch from descriptions",
    ] {
        assert!(db.run(sql).await.is_ok(), "{sql}");
    }
    for sql in [
        "select * from descriptions",
        "select description from descriptions",
        "select result_url from image_generations",
        "select product_name from descriptions",
        "select 1 from submissions",
        "select 1 from submission_jobs",
        "select 1 from requests",
        "select 1 from deliverables",
        "select 1 from job_events",
        "select 1 from product_results",
        "select 1 from webhook_inbox",
        "select 1 from lanes",
        "select 1 from job_commands",
        "insert into descriptions (ean, status) values ('1', 'completed')",
        "insert into descriptions (ean, credits) values ('1', 0)",
        "insert into submissions (id) values ('x')",
        "insert into webhook_inbox (account, dedupe_key, received_at, body) values ('a', 'b', now(), '')",
        "insert into lanes (lane, provider, epoch, owner, taken_at, heartbeat_at) values ('l', 'jakov', 1, 'x', now(), now())",
        "update descriptions set priority = 1",
        "delete from descriptions",
        "truncate descriptions",
        "drop table descriptions",
    ] {
        let said = db.run(sql).await.unwrap_err();
        assert!(
            said.contains("permission denied") || said.contains("must be owner"),
            "{sql}: {said}"
        );
    }
    assert!(matches!(db, Stranger::Postgres(_)));
}

/// A time of a row that a person reads in SQLite.
#[tokio::test]
async fn times_in_sqlite_are_text_that_sorts() {
    let fresh = Fresh::sqlite().await;
    let job = fresh.description("1").await;
    let mut stranger = fresh.stranger().await;
    let said = stranger.texts("select created_at from descriptions").await;
    assert_eq!(said[0].parse::<Timestamp>().unwrap(), job.created_at);
    assert_eq!(said[0], job.created_at.to_string());
    assert_eq!(job.id.kind, JobKind::Description);
}
