//! Hints: what wakes a watcher and what does not; `vitrine_done`; events under concurrent writers.

use std::time::Duration;

use sqlx::postgres::PgListener;

use super::on_both;
use super::support::{Fresh, accepted, change, description, event, planned, stored};
use crate::{Batch, Watch};

on_both!(
    a_strangers_insert_wakes_the_watch,
    what_this_process_adds_for_its_engine_wakes_it,
    the_workers_own_commits_wake_nobody,
    inserters_and_worker_do_not_lose_each_others_rows,
    a_reader_of_events_misses_nothing_under_concurrent_writers,
);

/// Whether the watch resolves; the limit only ends a test that fails.
async fn woken(watch: &mut Watch) -> bool {
    tokio::time::timeout(Duration::from_secs(20), watch.changed())
        .await
        .is_ok()
}

/// A watch that has begun to look: it wakes for a command, and PostgreSQL's for having begun to listen.
async fn ready(fresh: &Fresh) -> Watch {
    let mut watch = fresh.store.watch();
    if fresh.is_postgres() {
        assert!(woken(&mut watch).await);
    } else {
        // The first look only learns the version: write until a change is seen.
        let mut stranger = fresh.stranger().await;
        loop {
            let sql = "insert into job_commands (kind, job_id, command) values ('image', 1, 'x')";
            stranger.run(sql).await.unwrap();
            let soon = Duration::from_millis(100);
            if tokio::time::timeout(soon, watch.changed()).await.is_ok() {
                break;
            }
        }
    }
    watch
}

async fn a_strangers_insert_wakes_the_watch(fresh: Fresh) {
    let mut watch = ready(&fresh).await;
    let mut stranger = fresh.stranger().await;
    for sql in [
        "insert into descriptions (ean) values ('1')",
        "insert into image_generations (image_url) values ('x')",
        "insert into productions (topic) values ('x')",
        "update descriptions set priority = 3",
        "insert into job_commands (kind, job_id, command) values ('image', 1, 'cancel')",
        "delete from productions",
    ] {
        stranger.run(sql).await.unwrap();
        assert!(woken(&mut watch).await, "{sql}");
    }
}

async fn what_this_process_adds_for_its_engine_wakes_it(fresh: Fresh) {
    let mut watch = ready(&fresh).await;
    let job = fresh.description("1").await;
    assert!(woken(&mut watch).await);
    fresh
        .store
        .add_command(job.id, "cancel", None)
        .await
        .unwrap();
    assert!(woken(&mut watch).await);
    let other = fresh.other().await;
    other.add_command(job.id, "cancel", None).await.unwrap();
    assert!(woken(&mut watch).await);
}

async fn the_workers_own_commits_wake_nobody(fresh: Fresh) {
    let job = fresh.description("1").await;
    if fresh.is_postgres() {
        let mut listener = PgListener::connect(&fresh.url).await.unwrap();
        listener.listen("vitrine_wake").await.unwrap();
        fresh.advance(job, &[planned("s")]).await;
        // Notifications come in commit order: the first that arrives is the later insert's.
        let mut stranger = fresh.stranger().await;
        stranger
            .run("insert into productions (topic) values ('x')")
            .await
            .unwrap();
        assert_eq!(listener.recv().await.unwrap().payload(), "productions");
    } else {
        let version = || async {
            let crate::db::Db::Sqlite { writer, .. } = &fresh.store.inner.db else {
                panic!("not a file");
            };
            let mut db = writer.lock().await;
            sqlx::query_scalar::<_, i64>("pragma data_version")
                .fetch_one(&mut *db)
                .await
                .unwrap()
        };
        let before = version().await;
        fresh.advance(job, &[planned("s")]).await;
        assert_eq!(version().await, before);
        let mut stranger = fresh.stranger().await;
        stranger
            .run("insert into productions (topic) values ('x')")
            .await
            .unwrap();
        assert_ne!(version().await, before);
    }
}

async fn inserters_and_worker_do_not_lose_each_others_rows(fresh: Fresh) {
    let mut inserters = tokio::task::JoinSet::new();
    for number in 0..3 {
        let mut stranger = fresh.stranger().await;
        inserters.spawn(async move {
            for row in 0..60 {
                let sql = format!("insert into descriptions (ean) values ('{number}-{row}')");
                stranger.run(&sql).await.unwrap();
            }
        });
    }
    let mut moved = 0;
    for number in 0..60 {
        let job = fresh.description(&format!("own-{number}")).await;
        let batch = Batch {
            jobs: vec![change(&job, &planned("s"))],
            events: vec![event(job.id, "moved")],
            ..Batch::default()
        };
        fresh.store.commit(batch).await.unwrap();
        moved += 1;
    }
    while let Some(done) = inserters.join_next().await {
        done.unwrap();
    }
    let counts = fresh.store.counts(None).await.unwrap();
    assert_eq!(
        counts.iter().map(|count| count.jobs).sum::<i64>(),
        180 + moved
    );
    let events = fresh.store.events_after(0, 1_000).await.unwrap();
    assert_eq!(i64::try_from(events.len()).unwrap(), moved);
}

async fn a_reader_of_events_misses_nothing_under_concurrent_writers(fresh: Fresh) {
    const WRITERS: usize = 4;
    const EACH: usize = 40;
    let job = fresh.description("1").await.id;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let store = fresh.other().await;
        writers.spawn(async move {
            for number in 0..EACH {
                let batch = Batch {
                    events: vec![event(job, &format!("{writer}-{number}"))],
                    ..Batch::default()
                };
                store.commit(batch).await.unwrap();
            }
        });
    }
    let (mut seq, mut seen) = (0, Vec::new());
    while seen.len() < WRITERS * EACH {
        for row in fresh.store.events_after(seq, 7).await.unwrap() {
            assert!(row.seq > seq);
            seq = row.seq;
            seen.push(row.event);
        }
        if writers.try_join_next().is_none() && writers.is_empty() {
            // All are through: whatever is left must be found now, or was missed.
            let rest = fresh.store.events_after(seq, 1_000).await.unwrap();
            seen.extend(rest.into_iter().map(|row| row.event));
            break;
        }
        tokio::task::yield_now().await;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), WRITERS * EACH);
}

#[tokio::test]
async fn one_notification_names_all_that_ended_in_a_statement() {
    let fresh = Fresh::postgres().await;
    let mut listener = PgListener::connect(&fresh.url).await.unwrap();
    listener.listen("vitrine_done").await.unwrap();
    let many: Vec<_> = (0..700)
        .map(|number| description(&number.to_string()))
        .collect();
    fresh.store.insert_jobs(&many).await.unwrap();
    let filter = crate::JobFilter {
        limit: 1_000,
        ..Default::default()
    };
    let jobs = fresh.store.list_jobs(&filter).await.unwrap();
    for step in [planned("s"), accepted("s", "r"), stored()] {
        for part in [&jobs[..2], &jobs[2..]] {
            let ids: Vec<_> = part.iter().map(|job| job.id).collect();
            let now = fresh.store.jobs(&ids).await.unwrap();
            let batch = Batch {
                jobs: now.iter().map(|job| change(job, &step)).collect(),
                ..Batch::default()
            };
            fresh.store.commit(batch).await.unwrap();
        }
    }
    let first = listener.recv().await.unwrap();
    assert_eq!(first.payload(), "description:1,description:2");
    // More than a payload holds: the kind alone.
    assert_eq!(listener.recv().await.unwrap().payload(), "description");
}
