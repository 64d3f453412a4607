//! The open work, what was sent, and how good forecasts were.

use domain::{JobKind, Status, Timestamp};

use super::on_both;
use super::support::{Fresh, accepted, at, change, description, fenced, image, lane, planned};
use super::support::{production, stored, submission};
use crate::{ForecastRow, NewForecast, NewJob, NewRequest, OpenWork, RequestAnswered};

fn made(account: &str, newest: i64, at: Timestamp) -> NewForecast {
    NewForecast {
        account: account.to_owned(),
        made_at: at,
        newest,
        jobs: 2,
        said_ms: 9_600_000,
        said_credits: Some(6),
    }
}

async fn last(fresh: &Fresh) -> Vec<ForecastRow> {
    let accounts = ["texts".to_owned(), "shots".to_owned()];
    fresh.store.last_forecasts(&accounts).await.unwrap()
}

async fn open_work_is_counted_by_what_it_asks_for(fresh: Fresh) {
    let later = NewJob {
        run_at: Some(at(3_600)),
        batch: Some("spring".to_owned()),
        ..image("https://a.example/3")
    };
    let named = NewJob {
        account: Some("shots".to_owned()),
        ..image("https://a.example/4")
    };
    let rows = [
        description("1"),
        image("https://a.example/1"),
        image("https://a.example/2"),
        later,
        named,
        production("shoes"),
    ];
    fresh.store.insert_jobs(&rows).await.unwrap();
    let taken = fresh.newest(JobKind::Description).await;
    fresh.advance(taken, &[planned("s1")]).await;
    let work = fresh.store.open_work().await.unwrap();
    let of = |kind: JobKind| -> Vec<&OpenWork> {
        work.iter().filter(|work| work.kind == kind).collect()
    };
    assert_eq!(of(JobKind::Description)[0].status, Status::Submitting);
    assert_eq!(of(JobKind::Description)[0].operation, "description");
    assert_eq!(of(JobKind::Production)[0].operation, "production");
    let images = of(JobKind::Image);
    assert_eq!(images.len(), 3);
    assert_eq!(images.iter().map(|work| work.jobs).sum::<i64>(), 4);
    let two = images.iter().find(|work| work.jobs == 2).unwrap();
    assert_eq!(two.operation, "generate");
    assert!(two.model.is_some() && two.account.is_none() && two.last_run_at.is_none());
    let spring = images.iter().find(|work| work.batch.is_some()).unwrap();
    assert_eq!(spring.last_run_at, Some(at(3_600)));
    let named = images.iter().find(|work| work.account.is_some()).unwrap();
    assert_eq!(named.account.as_deref(), Some("shots"));
}

async fn a_body_of_work_is_over_with_its_last_job(fresh: Fresh) {
    let body = async |newest: i64| {
        let store = &fresh.store;
        store
            .body(JobKind::Description, "texts", true, newest)
            .await
            .unwrap()
    };
    assert!(!body(i64::MAX).await.open);
    let first = fresh.description("1").await;
    let newest = body(i64::MAX).await.newest;
    assert!(body(newest).await.open);
    assert_eq!(newest, first.id.id);
    let other = fresh
        .store
        .body(JobKind::Description, "others", false, newest)
        .await;
    assert!(
        !other.unwrap().open,
        "a row without a name is the default account's"
    );
    // It runs, and fails; another one came meanwhile.
    let first = fresh
        .advance(first, &[planned("s1"), accepted("s1", "r1")])
        .await;
    assert!(body(newest).await.open);
    fresh.description("2").await;
    fresh.advance(first, &[stored()]).await;
    assert!(!body(newest).await.open);
    assert!(body(i64::MAX).await.open);
}

async fn one_forecast_of_an_account_is_open_and_its_end_is_written_once(fresh: Fresh) {
    let store = &fresh.store;
    let hold = fresh.hold().await;
    let job = fresh.description("1").await;
    store
        .begin_forecast(made("texts", job.id.id, at(1)))
        .await
        .unwrap();
    store
        .begin_forecast(made("texts", 99, at(2)))
        .await
        .unwrap();
    store.begin_forecast(made("shots", 7, at(3))).await.unwrap();
    let open = last(&fresh).await;
    assert_eq!(open.len(), 2);
    let texts = open.iter().find(|row| row.account == "texts").unwrap();
    assert_eq!((texts.made_at, texts.newest), (at(1), job.id.id));
    assert_eq!((texts.said_credits, texts.ended_at), (Some(6), None));
    // What was planned since then is what it cost; the same job in a later body is not this one's.
    let mut batch = fenced(hold.epochs[0].1);
    batch.jobs = vec![change(&job, &planned("s1"))];
    batch.submissions = vec![submission("s1", &[job.id])];
    store.commit(batch).await.unwrap();
    store
        .end_forecast(texts, JobKind::Description, at(200))
        .await
        .unwrap();
    store
        .end_forecast(texts, JobKind::Description, at(999))
        .await
        .unwrap();
    store
        .begin_forecast(NewForecast {
            said_credits: None,
            ..made("texts", 99, at(300))
        })
        .await
        .unwrap();
    let all = last(&fresh).await;
    let texts: Vec<&ForecastRow> = all.iter().filter(|row| row.account == "texts").collect();
    assert_eq!(texts.len(), 2);
    assert_eq!(texts[0].ended_at, Some(at(200)));
    assert!(texts[0].credits.is_some_and(|credits| credits > 0));
    assert_eq!((texts[1].ended_at, texts[1].said_credits), (None, None));
}

async fn only_the_last_forecasts_are_kept(fresh: Fresh) {
    for nth in 0..103 {
        let store = &fresh.store;
        store
            .begin_forecast(made("texts", nth, at(1)))
            .await
            .unwrap();
        let all = last(&fresh).await;
        let open = all.iter().find(|row| row.ended_at.is_none()).unwrap();
        store
            .end_forecast(open, JobKind::Image, at(2))
            .await
            .unwrap();
    }
    let mut stranger = fresh.stranger().await;
    let removed = stranger.run("delete from forecasts").await.unwrap();
    assert_eq!(removed, 100);
}

async fn requests_are_counted_with_the_time_of_their_answers(fresh: Fresh) {
    let hold = fresh.hold().await;
    let request = |id: &str, verb: &str| NewRequest {
        id: id.to_owned(),
        lane: lane(),
        account: "texts".to_owned(),
        endpoints: "all".to_owned(),
        verb: verb.to_owned(),
        job: None,
        submission: None,
        quota: None,
        sent_at: at(50),
    };
    let mut batch = fenced(hold.epochs[0].1);
    batch.requests = vec![request("q1", "submit"), request("q2", "status")];
    fresh.store.commit(batch).await.unwrap();
    let mut batch = fenced(hold.epochs[0].1);
    batch.answered = ["q1", "q2"]
        .map(|id| RequestAnswered {
            id: id.to_owned(),
            at: at(52),
            http_status: Some(200),
            problem: None,
        })
        .into();
    fresh.store.commit(batch).await.unwrap();
    let sent = fresh.store.requests_sent(&[lane()], at(10)).await.unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].requests, sent[0].submits), (2, 1));
    assert!((1_999..=2_001).contains(&sent[0].answer_ms), "{sent:?}");
    let none = fresh.store.requests_sent(&[lane()], at(53)).await.unwrap();
    assert!(none.is_empty());
}

on_both!(
    open_work_is_counted_by_what_it_asks_for,
    a_body_of_work_is_over_with_its_last_job,
    one_forecast_of_an_account_is_open_and_its_end_is_written_once,
    only_the_last_forecasts_are_kept,
    requests_are_counted_with_the_time_of_their_answers,
);
