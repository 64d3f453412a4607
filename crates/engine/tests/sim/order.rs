//! An answer that names ids alone, in another order than the batch that was sent.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{JobId, JobKind, Status, Timestamp};
use engine::{Account, Act, Engine, Here, Report, Said, Stored};
use providers::Call;
use sandbox::{Options, Sandbox};
use serde_json::Value;

use crate::accounts::{BASE, accounts};
use crate::database::Database;
use crate::rows;
use crate::world::START;

/// Turns the first list of two or more around.
fn turn_around(value: &mut Value) {
    match value {
        Value::Array(list) if list.len() > 1 => list.reverse(),
        Value::Object(map) => map.values_mut().for_each(turn_around),
        _ => {}
    }
}

/// Two hours in which all that is sent arrives and is answered, with the answers twisted.
pub(crate) async fn work(
    engine: &mut Engine,
    provider: &mut Sandbox,
    account: &Account,
    from: Timestamp,
    mut twist: impl FnMut(&Call, &mut Value),
) {
    let mut coming: BTreeMap<(Timestamp, String), Report> = BTreeMap::new();
    let (mut now, end) = (from, from + Duration::from_secs(7_200));
    while now < end {
        let mut reports = Vec::new();
        while let Some(next) = coming.first_entry().filter(|next| next.key().0 <= now) {
            reports.push(next.remove());
        }
        let plan = engine.step(now, &reports).await.unwrap();
        for act in plan.acts {
            let at = now + Duration::from_millis(200);
            let flight = act.flight().clone();
            let said = match act {
                Act::Send { call, .. } => {
                    let exchange = provider.handle(now.as_millis(), account.client.request(&call));
                    let mut response = exchange.response;
                    if let Ok(mut body) = serde_json::from_slice(response.body()) {
                        twist(&call, &mut body);
                        *response.body_mut() = Bytes::from(body.to_string());
                    }
                    Said::Reply(Box::new(account.client.read(&call, Ok(response), at)))
                }
                Act::Look { .. } => Said::Looked(providers::fetch::Look::Fine),
                Act::Fetch { wanted, .. } => Said::Fetched(Ok(Stored {
                    location: format!("sim://{}/{}", wanted.kind, wanted.ordinal),
                    content_type: "application/octet-stream".to_owned(),
                    bytes: 1,
                    sha256: "00".repeat(32),
                    quarantined: false,
                    shape: providers::fetch::Shape::default(),
                })),
            };
            coming.insert((at, flight.clone()), Report { flight, at, said });
        }
        engine.notice_writes();
        let next = coming.first_key_value().map(|((at, _), _)| *at);
        let next = [next, plan.wake_at].into_iter().flatten().min();
        now = next.unwrap_or(end).max(now + Duration::from_millis(1));
    }
}

#[tokio::test]
async fn two_texts_that_were_tied_to_each_others_ids_come_right_by_the_export() {
    let database = Database::open(None).await;
    let store = &database.store;
    let mut options = Options::default();
    BASE.clone_into(&mut options.base_url);
    options.jakov.shape.echo_client_id = false;
    options.jakov.shape.echo_ean = false;
    let texts = accounts(&options).swap_remove(0);
    let mut provider = Sandbox::new(options);
    store.insert_jobs(&rows::some(3, 0, 0)).await.unwrap();
    let lane = [(texts.lane.clone(), texts.provider)];
    let epochs = store.take_over(&lane, "a process", START).await.unwrap();
    let (all, here) = (vec![texts.clone()], Here::default());
    let engine = Engine::load(store.clone(), all, &epochs, &here, 7, START);
    let mut engine = engine.await.unwrap();

    work(&mut engine, &mut provider, &texts, START, |call, body| {
        if matches!(call, Call::Submit(_)) {
            turn_around(body);
        }
    })
    .await;

    let mut mixed_up = 0;
    for n in 1..=3 {
        let id = JobId::new(JobKind::Description, n);
        let lines = store.events(id).await.unwrap();
        let anothers = lines.iter().filter(|it| it.event == "remote_is_anothers");
        mixed_up += anothers.count();
        let job = store.job(id).await.unwrap().unwrap();
        assert_eq!(job.work.status(), Status::Completed, "{lines:#?}");
        assert_eq!(job.work.credits, Some(1));
    }
    assert!(mixed_up > 0, "the answer was in order");
    assert_eq!(store.spent().await.unwrap()[0].credits, 3);
}
