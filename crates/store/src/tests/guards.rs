//! What the tables refuse, whoever asks, and what they let through.

use domain::{Event, Fault};

use super::on_both;
use super::support::{Fresh, Stranger, accepted, fenced, planned, submission, unknown};

on_both!(
    an_insert_that_sets_a_workers_column_is_refused_with_a_sentence,
    the_least_an_insert_needs_is_enough,
    what_can_never_be_right_is_refused_by_name,
    what_only_a_look_can_tell_is_accepted,
    a_pending_row_may_be_changed_and_its_version_rises,
    an_update_of_a_workers_column_is_refused,
    an_update_of_a_row_under_way_is_refused,
    a_row_under_way_cannot_be_deleted,
    a_row_with_an_unknown_submission_cannot_be_deleted,
    a_repeated_dedupe_key_inserts_nothing,
    the_ledger_is_never_rewritten,
    hostile_texts_are_data,
);

/// Columns of the worker, each with a value.
const WORKERS: [(&str, &str); 14] = [
    ("id", "77"),
    ("status", "'running'"),
    ("attempt", "1"),
    ("taken_by", "'x'"),
    ("submission_id", "'x'"),
    ("remote_id", "'x'"),
    ("remote_status", "'x'"),
    ("credits", "1"),
    ("warning", "'x'"),
    ("cancel", "'asked'"),
    ("version", "2"),
    ("created_at", "'2026-01-01T00:00:00.000Z'"),
    ("completed_at", "'2026-01-01T00:00:00.000Z'"),
    ("updated_at", "'2026-01-01T00:00:00.000Z'"),
];

const LEAST: [(&str, &str, &str); 3] = [
    ("descriptions", "ean", "'1'"),
    (
        "image_generations",
        "image_url",
        "'https://a.example/1.png'",
    ),
    ("productions", "topic", "'shoes'"),
];

async fn an_insert_that_sets_a_workers_column_is_refused_with_a_sentence(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    for (table, column, value) in LEAST {
        for (worker, set) in WORKERS {
            let sql = format!("insert into {table} ({column}, {worker}) values ({value}, {set})");
            let said = stranger.run(&sql).await.unwrap_err();
            assert!(
                said.contains("an INSERT gives the input columns only")
                    || (worker == "id" && said.contains("non-DEFAULT value")),
                "{sql}: {said}"
            );
        }
        let count = format!("select cast(count(*) as text) from {table}");
        assert_eq!(stranger.texts(&count).await, ["0"]);
    }
    let sql = "insert into descriptions (ean, description) values ('1', 'x')";
    stranger.run(sql).await.unwrap_err();
    let sql = "insert into image_generations (image_url, result_url) values ('x', 'x')";
    stranger.run(sql).await.unwrap_err();
    let sql = "insert into job_commands (kind, job_id, command, outcome) values ('image', 1, 'cancel', 'done')";
    stranger.run(sql).await.unwrap_err();
}

async fn the_least_an_insert_needs_is_enough(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    for sql in [
        "insert into descriptions (ean) values ('1')",
        "insert into descriptions (product_name) values ('chair')",
        "insert into image_generations (model, image_url, prompt) values ('seedream', 'https://a.example/', 'x')",
        "insert into image_generations (operation, image_url) values ('upscale', 'https://a.example/')",
        "insert into image_generations (operation, source_job) values ('upscale', 1)",
        "insert into productions (topic) values ('shoes')",
        "insert into job_commands (kind, job_id, command) values ('image', 1, 'cancel')",
    ] {
        assert_eq!(stranger.run(sql).await, Ok(1), "{sql}");
    }
}

async fn what_can_never_be_right_is_refused_by_name(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    let huge = "x".repeat(1_000_000);
    for (sql, name) in [
        (
            "insert into descriptions (product_brand) values ('x')",
            "descriptions_need_ean_or_product_name",
        ),
        (
            "insert into descriptions (ean) values ('  ')",
            "descriptions_need_ean_or_product_name",
        ),
        (
            "insert into image_generations (operation, image_url) values ('melt', 'x')",
            "image_generations_operation_is_known",
        ),
        (
            "insert into image_generations (prompt) values ('x')",
            "image_generations_need_image_url_or_source_job",
        ),
        (
            "insert into productions (topic) values (' ')",
            "productions_need_topic",
        ),
        (
            "insert into descriptions (ean, max_attempts) values ('1', 0)",
            "descriptions_max_attempts_from_1_to_100",
        ),
        (
            "insert into descriptions (ean, priority) values ('1', 2000000)",
            "descriptions_priority_within_a_million",
        ),
        (
            "insert into descriptions (ean, batch) values ('1', ' ')",
            "descriptions_names_are_not_blank",
        ),
        (
            &format!("insert into descriptions (ean) values ('{huge}')"),
            "descriptions_texts_are_not_huge",
        ),
        (
            "insert into job_commands (kind, job_id, command) values ('video', 1, 'x')",
            "job_commands_kind_is_known",
        ),
        (
            "insert into descriptions (ean, run_at) values ('1', '9999-12-31T23:59:59Z')",
            "descriptions_run_at_within_years_1_to_9998",
        ),
    ] {
        let said = stranger.run(sql).await.unwrap_err();
        assert!(said.contains(name), "{said}");
    }
    what_one_database_lets_in_alone_is_refused(fresh.is_postgres(), &mut stranger).await;
}

async fn what_one_database_lets_in_alone_is_refused(is_postgres: bool, stranger: &mut Stranger) {
    let cases = if is_postgres {
        [
            (
                "insert into productions (topic, run_at) values ('x', '-infinity')",
                "productions_run_at_within_years_1_to_9998",
            ),
            ("truncate descriptions", "TRUNCATE would lose jobs"),
            ("truncate submissions cascade", "TRUNCATE would lose jobs"),
        ]
    } else {
        [
            (
                "insert into descriptions (ean) values ('1' || char(0) || '2')",
                "descriptions_texts_have_no_nul",
            ),
            (
                "insert into descriptions (ean, run_at) values ('1', 'soon')",
                "descriptions_run_at_is_a_time",
            ),
            (
                "insert into descriptions (ean, run_at) values ('1', '')",
                "descriptions_run_at_is_a_time",
            ),
        ]
    };
    for (sql, name) in cases {
        let said = stranger.run(sql).await.unwrap_err();
        assert!(said.contains(name), "{said}");
    }
}

async fn what_only_a_look_can_tell_is_accepted(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    let long = "x".repeat(2_000);
    for sql in [
        format!("insert into productions (topic) values ('{long}')"),
        "insert into image_generations (operation, image_url, prompt, model) values ('upscale', 'no-scheme', 'x', 'y')".to_owned(),
        "insert into image_generations (image_url, source_job) values ('x', 3)".to_owned(),
        "insert into descriptions (ean, account) values ('not a number', 'nobody')".to_owned(),
    ] {
        assert_eq!(stranger.run(&sql).await, Ok(1));
    }
}

async fn a_pending_row_may_be_changed_and_its_version_rises(fresh: Fresh) {
    let job = fresh.description("1").await;
    let mut stranger = fresh.stranger().await;
    let later = if fresh.is_postgres() {
        "now() + interval '1 hour'"
    } else {
        "datetime('now', '+1 hour')"
    };
    for set in [
        "priority = 7".to_owned(),
        format!("run_at = {later}"),
        "product_name = 'chair', ean = null".to_owned(),
        "dedupe_key = 'k'".to_owned(),
    ] {
        let before = fresh.job(job.id).await;
        let sql = format!("update descriptions set {set}");
        assert_eq!(stranger.run(&sql).await, Ok(1), "{set}");
        let after = fresh.job(job.id).await;
        assert_eq!(after.version, before.version + 1, "{set}");
    }
    let changed = fresh.job(job.id).await;
    assert_eq!(changed.priority, 7);
    let hour = std::time::Duration::from_secs(3_600);
    let waits = changed.run_at.unwrap().since(job.created_at);
    assert!(
        waits > hour.mul_f64(0.9) && waits < hour.mul_f64(1.1),
        "{waits:?}"
    );
}

async fn an_update_of_a_workers_column_is_refused(fresh: Fresh) {
    let job = fresh.description("1").await;
    let mut stranger = fresh.stranger().await;
    for (column, value) in WORKERS {
        let sql = format!("update descriptions set {column} = {value}");
        let said = stranger.run(&sql).await;
        if column == "version" {
            // A version that rises by one is how the worker writes; nothing else came with it.
            continue;
        }
        assert!(said.is_err(), "{sql}");
        let now = fresh.job(job.id).await;
        assert_eq!((now.work, now.taken_by), (job.work.clone(), None), "{sql}");
        assert_eq!(now.created_at, job.created_at);
    }
    let sql = "update descriptions set version = version + 5";
    assert!(stranger.run(sql).await.is_err());
}

async fn an_update_of_a_row_under_way_is_refused(fresh: Fresh) {
    let job = fresh.description("1").await;
    let job = fresh.advance(job, &[planned("s1")]).await;
    let mut stranger = fresh.stranger().await;
    for set in ["priority = 7", "ean = '2'", "batch = 'b'"] {
        let said = stranger
            .run(&format!("update descriptions set {set}"))
            .await
            .unwrap_err();
        assert!(said.contains("only a pending job can be changed"), "{said}");
    }
    assert_eq!(fresh.job(job.id).await, job);
}

async fn a_row_under_way_cannot_be_deleted(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    let job = fresh.description("1").await;
    let mut job = job;
    for event in [planned("s1"), unknown("s1"), accepted("s1", "r")] {
        job = fresh.advance(job, &[event]).await;
        let said = stranger.run("delete from descriptions").await.unwrap_err();
        assert!(said.contains("under way"), "{said}");
    }
    let failed = Event::RemoteFailed {
        fault: Fault::new("x", "y"),
        status: None,
        resubmit: false,
    };
    fresh.advance(job, &[failed]).await;
    assert_eq!(stranger.run("delete from descriptions").await, Ok(1));
}

async fn a_row_with_an_unknown_submission_cannot_be_deleted(fresh: Fresh) {
    let hold = fresh.hold().await;
    let job = fresh.description("1").await;
    let mut batch = fenced(hold.epochs[0].1);
    batch.submissions = vec![submission("s1", &[job.id])];
    fresh.store.commit(batch).await.unwrap();
    let mut stranger = fresh.stranger().await;
    assert!(stranger.run("delete from descriptions").await.is_err());
}

async fn a_repeated_dedupe_key_inserts_nothing(fresh: Fresh) {
    let mut stranger = fresh.stranger().await;
    let insert = "insert into descriptions (ean, dedupe_key) values ('1', 'k')";
    assert_eq!(stranger.run(insert).await, Ok(1));
    let again = format!("{insert} on conflict do nothing");
    assert_eq!(stranger.run(&again).await, Ok(0));
    assert!(stranger.run(insert).await.is_err());
    let other = "insert into descriptions (ean, dedupe_key) values ('1', 'k2')";
    assert_eq!(stranger.run(other).await, Ok(1));
    if !fresh.is_postgres() {
        for sql in [
            "insert or replace into descriptions (ean, dedupe_key) values ('2', 'k')",
            "replace into descriptions (ean, dedupe_key) values ('2', 'k')",
            "update or replace descriptions set dedupe_key = 'k' where dedupe_key = 'k2'",
        ] {
            let said = stranger.run(sql).await.unwrap_err();
            assert!(said.contains("dedupe_key is taken"), "{said}");
        }
    }
    let eans = stranger
        .texts("select ean from descriptions order by id")
        .await;
    assert_eq!(eans, ["1", "1"]);
}

async fn the_ledger_is_never_rewritten(fresh: Fresh) {
    let hold = fresh.hold().await;
    let job = fresh.description("1").await;
    let mut batch = fenced(hold.epochs[0].1);
    let mut new = submission("s1", &[job.id]);
    new.planned_at = job.created_at;
    batch.submissions = vec![new];
    batch.events = vec![super::support::event(job.id, "x")];
    fresh.store.commit(batch).await.unwrap();
    let id = fresh
        .store
        .add_command(job.id, "cancel", None)
        .await
        .unwrap();
    let mut stranger = fresh.stranger().await;
    for sql in [
        "update job_events set event = 'y'".to_owned(),
        "update submissions set request_hash = 'y'".to_owned(),
        "delete from submission_jobs".to_owned(),
        "update submission_jobs set price = 0".to_owned(),
        format!("update job_commands set command = 'retry' where id = {id}"),
        "delete from job_commands".to_owned(),
    ] {
        assert!(stranger.run(&sql).await.is_err(), "{sql}");
    }
}

async fn hostile_texts_are_data(fresh: Fresh) {
    let payloads = [
        "'; drop table descriptions; --",
        "<script>alert(1)</script>",
        "\"]}, {\"id\": 1",
        "=cmd|' /C calc'!A0",
        "\u{202e}\u{feff}\u{1f600}",
        "\\u0041 \\\\ %s {} $1 ?1",
        "line\nbreak\ttab\u{1}",
    ];
    for payload in payloads {
        assert_eq!(
            fresh.description(payload).await.input,
            super::support::description(payload).input.unwrap()
        );
    }
    if !fresh.is_postgres() {
        let mut stranger = fresh.stranger().await;
        stranger
            .run("insert into descriptions (ean) values (cast(x'61ff62' as text))")
            .await
            .unwrap();
        // A byte that is no text is marked, so that the row fails by name and the others go on.
        assert_eq!(
            fresh.newest(domain::JobKind::Description).await.input,
            super::support::description("a\u{1a}b").input.unwrap()
        );
    }
}
