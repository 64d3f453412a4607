//! The same script on both databases leaves the same tables, column by column.

use domain::{Event, Fault, JobKind};

use super::support::learned;
use super::support::{
    Fresh, accepted, at, change, description, ended, event, fenced, image, lane, outcome, planned,
    production, stored, submission, unknown,
};
use crate::{
    Epoch, Job, NewRequest, Outcome, Pause, PauseChange, RequestAnswered, SubmissionAnswer,
};

/// All tables that the script writes.
const TABLES: [&str; 11] = [
    "descriptions",
    "image_generations",
    "productions",
    "submissions",
    "submission_jobs",
    "requests",
    "job_events",
    "job_commands",
    "lane_pauses",
    "lengths",
    "webhook_inbox",
];

/// Columns that the database's own clock fills; `updated_at` too, until the worker writes it.
const CLOCK: [&str; 1] = ["created_at"];

async fn script(fresh: &Fresh) {
    let hold = fresh.hold().await;
    let epoch = hold.epochs[0].1;
    let (first, second) = submit(fresh, epoch).await;
    hear(fresh, epoch, &first, &second).await;
}

/// Inserts, and one intent for two jobs.
async fn submit(fresh: &Fresh, epoch: Epoch) -> (Job, Job) {
    let store = &fresh.store;
    store
        .insert_jobs(&[
            description("1"),
            description("2"),
            image("https://a.example/é"),
            production("shoes"),
        ])
        .await
        .unwrap();
    let first = store
        .job("description:1".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let second = store
        .job("description:2".parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let mut batch = fenced(epoch);
    batch.jobs = vec![
        change(&first, &planned("s1")),
        change(&second, &planned("s1")),
    ];
    batch.submissions = vec![submission("s1", &[first.id, second.id])];
    batch.requests = vec![NewRequest {
        id: "q1".to_owned(),
        lane: lane(),
        account: "texts".to_owned(),
        endpoints: "submit".to_owned(),
        verb: "submit".to_owned(),
        job: None,
        submission: Some(domain::SubmissionId("s1".to_owned())),
        quota: Some("day".to_owned()),
        sent_at: at(51),
    }];
    batch.events = vec![
        event(first.id, "submit_planned"),
        event(second.id, "submit_planned"),
    ];
    store.commit(batch).await.unwrap();
    (first, second)
}

/// What came of it, and the other ways of a job.
async fn hear(fresh: &Fresh, epoch: Epoch, first: &Job, second: &Job) {
    let store = &fresh.store;
    let mut batch = fenced(epoch);
    batch.answers = vec![SubmissionAnswer {
        submission: domain::SubmissionId("s1".to_owned()),
        at: at(52),
        http_status: Some(202),
        answer: Some("{\"ok\": true}".to_owned()),
        correlation_id: Some("c".to_owned()),
        verdicts: serde_json::json!([{ "unknown": "x" }]),
    }];
    batch.answered = vec![RequestAnswered {
        id: "q1".to_owned(),
        at: at(52),
        http_status: Some(202),
        problem: None,
    }];
    batch.outcomes = vec![
        outcome("s1", first.id, Outcome::Accepted),
        outcome("s1", second.id, Outcome::Unknown),
    ];
    batch.pauses = vec![PauseChange::Set(Pause {
        lane: lane(),
        endpoints: "submit".to_owned(),
        code: "rate_limited".to_owned(),
        message: "wait".to_owned(),
        since: Some(at(2)),
        until: Some(at(99)),
        strikes: 1,
    })];
    batch.lengths = vec![learned(at(52))];
    store.commit(batch).await.unwrap();
    let first = fresh.job(first.id).await;
    fresh
        .advance(first, &[accepted("s1", "r1"), ended("completed"), stored()])
        .await;
    let second = fresh.job(second.id).await;
    fresh.advance(second, &[unknown("s1")]).await;
    let image = fresh.newest(JobKind::Image).await;
    fresh
        .advance(
            image,
            &[Event::FoundInvalid(Fault::new("bad", "it is bad"))],
        )
        .await;
    store
        .add_command("image:1".parse().unwrap(), "retry", Some("now"))
        .await
        .unwrap();
    store.add_webhook("texts", "k", "{}", at(1)).await.unwrap();
    let verified = store.add_verified_webhook("texts", "v", "{}", at(2));
    verified.await.unwrap();
}

/// Each row of a table as JSON, times as text of one form.
async fn rows(fresh: &Fresh, table: &str) -> Vec<serde_json::Value> {
    let mut stranger = fresh.stranger().await;
    let texts = if fresh.is_postgres() {
        stranger.run("set timezone = 'UTC'").await.unwrap();
        stranger
            .texts(&format!(
                "select to_jsonb(t)::text from {table} t order by 1"
            ))
            .await
    } else {
        let names = stranger
            .texts(&format!("select name from pragma_table_info('{table}')"))
            .await;
        let pairs: Vec<String> = names
            .iter()
            .map(|name| format!("'{name}', {name}"))
            .collect();
        stranger
            .texts(&format!(
                "select json_object({}) from {table}",
                pairs.join(", ")
            ))
            .await
    };
    let mut rows: Vec<serde_json::Value> = texts
        .iter()
        .map(|text| normal(serde_json::from_str(text).unwrap()))
        .collect();
    rows.sort_by_key(ToString::to_string);
    rows
}

fn normal(mut row: serde_json::Value) -> serde_json::Value {
    for (name, value) in row.as_object_mut().unwrap() {
        let text = value.as_str().unwrap_or_default().to_owned();
        let moment = text.parse::<domain::Timestamp>();
        if CLOCK.contains(&name.as_str()) || (name == "updated_at" && moment != Ok(at(60))) {
            *value = serde_json::Value::Null;
        } else if let Ok(moment) = moment {
            *value = moment.to_string().into();
        } else if let ("verified", Some(number)) = (name.as_str(), value.as_i64()) {
            // SQLite has no truth values.
            *value = (number == 1).into();
        } else if ["detail", "verdicts"].contains(&name.as_str()) && !text.is_empty() {
            *value = serde_json::from_str(&text).unwrap();
        }
    }
    row
}

#[tokio::test]
async fn the_same_script_leaves_the_same_rows_on_both_databases() {
    let (sqlite, postgres) = (Fresh::sqlite().await, Fresh::postgres().await);
    script(&sqlite).await;
    script(&postgres).await;
    for table in TABLES {
        let (one, other) = (rows(&sqlite, table).await, rows(&postgres, table).await);
        assert!(!one.is_empty(), "the script writes {table}");
        assert_eq!(one, other, "{table}");
    }
}
