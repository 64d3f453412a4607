//! A lane that changes hands, step by step: what the one who takes it may conclude about what another
//! process, which may still live, had sent.

use std::time::Duration;

use domain::{JobId, JobKind, Status, Timestamp};
use engine::{Account, Act, Engine, Here, Report};
use providers::Call;
use sandbox::Options;
use store::Store;

use crate::accounts::accounts;
use crate::database::Database;
use crate::rows;
use crate::world::START;

const IMAGE: JobId = JobId {
    kind: JobKind::Image,
    id: 1,
};

fn shots() -> Account {
    accounts(&Options::default()).swap_remove(1)
}

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// The next owner of the lane.
async fn take(store: &Store, here: &Here, now: Timestamp) -> Engine {
    let account = shots();
    let lane = [(account.lane.clone(), account.provider)];
    let epochs = store.take_over(&lane, "a process", now).await.unwrap();
    let engine = Engine::load(store.clone(), vec![account], &epochs, here, 7, now);
    engine.await.unwrap()
}

fn posts(acts: &[Act]) -> usize {
    let is_post = |act: &&Act| {
        matches!(
            act,
            Act::Send {
                call: Call::Submit(_),
                ..
            }
        )
    };
    acts.iter().filter(is_post).count()
}

async fn status(store: &Store) -> Status {
    store.job(IMAGE).await.unwrap().unwrap().work.status()
}

/// Steps until nothing is due before `end`. How many paid POSTs it sent.
async fn go_on(engine: &mut Engine, from: Timestamp, end: Timestamp) -> usize {
    let mut sent = 0;
    let mut now = from;
    let mut reports: Vec<Report> = Vec::new();
    while now < end {
        let plan = engine.step(now, &reports).await.unwrap();
        sent += posts(&plan.acts);
        reports.clear();
        now = plan
            .wake_at
            .unwrap_or(end)
            .max(now + Duration::from_millis(1));
    }
    sent
}

#[tokio::test]
async fn what_another_process_sent_is_not_sent_again_after_trouble_with_the_database() {
    let database = Database::open(None).await;
    let store = &database.store;
    store.insert_jobs(&[rows::image(1)]).await.unwrap();
    let living = Here {
        others_may_live: true,
        ..Here::default()
    };
    // The first one sends, and is cut off: its answer is on the way.
    let mut first = take(store, &living, after(0)).await;
    let plan = first.step(after(0), &[]).await.unwrap();
    assert_eq!(posts(&plan.acts), 1);
    // The second one waits for that answer, and has trouble with the database meanwhile.
    let mut second = take(store, &living, after(10)).await;
    assert_eq!(go_on(&mut second, after(10), after(20)).await, 0);
    assert_eq!(status(store).await, Status::Submitting);
    let here = Here {
        unsent: second.unsent(),
        ..living
    };
    let mut second = take(store, &here, after(21)).await;
    let sent = go_on(&mut second, after(21), after(600)).await;
    assert_eq!(sent, 0, "paid twice");
    assert_eq!(status(store).await, Status::InDoubt);
}
