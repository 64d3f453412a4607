//! Commands and webhooks.

use super::on_both;
use super::support::{Fresh, at, fenced};
use crate::{Batch, CommandDone, WebhookDone};

on_both!(
    a_command_is_open_until_it_has_an_outcome,
    trap_35_a_webhook_is_durable_before_it_is_answered_and_a_repeat_is_told,
    a_parked_webhook_waits_for_its_job,
    a_lost_lane_leaves_a_command_open,
);

async fn a_command_is_open_until_it_has_an_outcome(fresh: Fresh) {
    let job = fresh.description("1").await;
    let mut stranger = fresh.stranger().await;
    stranger
        .run("insert into job_commands (kind, job_id, command) values ('description', 1, 'cancel')")
        .await
        .unwrap();
    let id = fresh
        .store
        .add_command(job.id, "priority", Some("7\0"))
        .await
        .unwrap();
    let open = fresh.store.open_commands(10).await.unwrap();
    assert_eq!(open.len(), 2);
    assert_eq!((open[0].command.as_str(), open[0].job), ("cancel", job.id));
    assert_eq!(
        (open[1].id, open[1].value.as_deref()),
        (id, Some("7\u{fffd}"))
    );
    let done = |id, outcome: &str| Batch {
        commands: vec![CommandDone {
            id,
            outcome: outcome.to_owned(),
            at: at(1),
        }],
        ..Batch::default()
    };
    fresh.store.commit(done(open[0].id, "done")).await.unwrap();
    assert_eq!(fresh.store.open_commands(10).await.unwrap().len(), 1);
    // The first outcome stays.
    fresh.store.commit(done(open[0].id, "again")).await.unwrap();
    let outcomes = stranger
        .texts("select outcome from job_commands order by id")
        .await;
    assert_eq!(outcomes, ["done", "-"]);
    // Each job's own, with what came of it.
    let first = fresh.store.commands_of(open[0].job).await.unwrap();
    let mine = first.iter().find(|row| row.id == open[0].id).unwrap();
    assert_eq!(mine.outcome.as_deref(), Some("done"));
    assert_eq!(mine.done_at, Some(at(1)));
    let nobody = domain::JobId::new(domain::JobKind::Production, 99);
    assert_eq!(fresh.store.commands_of(nobody).await.unwrap(), []);
}

/// `add_webhook` returns when the row is committed; the answer 200 may follow, and the work later.
async fn trap_35_a_webhook_is_durable_before_it_is_answered_and_a_repeat_is_told(fresh: Fresh) {
    let add = |account: &'static str, key: &'static str| {
        fresh
            .store
            .add_webhook(account, key, "{\"a\": \"\\u0000\"}", at(1))
    };
    assert!(add("texts", "k1").await.unwrap());
    assert!(!add("texts", "k1").await.unwrap());
    assert!(add("films", "k1").await.unwrap());
    let open = fresh.store.open_webhooks(10).await.unwrap();
    assert_eq!(open.len(), 2);
    assert_eq!(open[0].body, "{\"a\": \"\\u0000\"}");
    assert_eq!(open[0].received_at, at(1));
}

async fn a_parked_webhook_waits_for_its_job(fresh: Fresh) {
    fresh
        .store
        .add_webhook("texts", "k", "\0", at(1))
        .await
        .unwrap();
    let hook = fresh.store.open_webhooks(10).await.unwrap().remove(0);
    let others = ["shots".to_owned()];
    let ours = ["texts".to_owned(), "films".to_owned()];
    for (state, left) in [("parked", 1), ("done", 0)] {
        let batch = Batch {
            webhooks: vec![WebhookDone {
                id: hook.id,
                state: state.to_owned(),
                note: Some("waits".to_owned()),
                at: at(2),
            }],
            ..Batch::default()
        };
        fresh.store.commit(batch).await.unwrap();
        assert_eq!(fresh.store.open_webhooks(10).await.unwrap().len(), left);
        let in_state = |state: &'static str, accounts| fresh.store.webhooks_in(state, accounts, 10);
        let parked = in_state("parked", &ours).await.unwrap();
        let notes: Vec<_> = parked.iter().map(|hook| hook.note.as_deref()).collect();
        assert_eq!(notes, vec![Some("waits"); left]);
        assert!(in_state("parked", &others).await.unwrap().is_empty());
        assert!(in_state("open", &ours).await.unwrap().is_empty());
    }
}

async fn a_lost_lane_leaves_a_command_open(fresh: Fresh) {
    let hold = fresh.hold().await;
    let old = hold.epochs[0].1;
    drop(hold);
    let hold = fresh.hold().await;
    let job = fresh.description("1").await;
    let id = fresh
        .store
        .add_command(job.id, "cancel", None)
        .await
        .unwrap();
    for (epoch, left) in [(old, 1), (hold.epochs[0].1, 0)] {
        let mut batch = fenced(epoch);
        batch.commands = vec![CommandDone {
            id,
            outcome: "refused".to_owned(),
            at: at(1),
        }];
        fresh.store.commit(batch).await.unwrap();
        assert_eq!(fresh.store.open_commands(10).await.unwrap().len(), left);
    }
}
