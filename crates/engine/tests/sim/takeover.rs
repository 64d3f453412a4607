//! The planner step by step, without a world around it: above all what the next owner of a lane may
//! conclude about what another process, which may still live, had sent.

use std::time::Duration;

use domain::{JobId, JobKind, Status, Timestamp};
use engine::{Account, Act, CompleteAt, Engine, Here, Report, Said};
use providers::{Call, SendError};
use sandbox::{Options, Sandbox};
use serde_json::Value;
use store::{Job, LaneKey, NewJob, Store};

use crate::accounts::{BASE, accounts};
use crate::database::Database;
use crate::order::work;
use crate::rows;
use crate::world::START;

const IMAGE: JobId = JobId {
    kind: JobKind::Image,
    id: 1,
};

fn video(id: i64) -> JobId {
    JobId::new(JobKind::Production, id)
}

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

fn living() -> Here {
    Here {
        others_may_live: true,
        ..Here::default()
    }
}

fn provider() -> Sandbox {
    let mut options = Options::default();
    BASE.clone_into(&mut options.base_url);
    options.jarai.webhook_url = Some("http://vitrine.test/hooks".to_owned());
    Sandbox::new(options)
}

fn shots() -> Account {
    accounts(&Options::default()).swap_remove(1)
}

/// The next owner of the account's lane.
async fn take(store: &Store, account: &Account, here: &Here, now: Timestamp) -> Engine {
    take_one_of(store, std::slice::from_ref(account), here, now).await
}

/// The next owner of the first account's lane, which knows the others too.
async fn take_one_of(store: &Store, all: &[Account], here: &Here, now: Timestamp) -> Engine {
    let lane = [(all[0].lane.clone(), all[0].provider)];
    let epochs = store.take_over(&lane, "a process", now).await.unwrap();
    let accounts = all.to_vec();
    // Each process makes ids of its own.
    let seed = u64::from(all[0].name.as_bytes()[0]) << 32 | u64::try_from(epochs[0].1.0).unwrap();
    let engine = Engine::load(store.clone(), accounts, &epochs, here, seed, now);
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

/// The provider carries the request out. What the hands bring back, unless the answer is lost.
fn carried_out(provider: &mut Sandbox, act: &Act, account: &Account, at: Timestamp) -> Report {
    let Act::Send { flight, call, .. } = act else {
        panic!("{act:?}");
    };
    let exchange = provider.handle(at.as_millis(), account.client.request(call));
    let reply = account.client.read(call, Ok(exchange.response), at);
    Report {
        flight: flight.clone(),
        at,
        said: Said::Reply(Box::new(reply)),
    }
}

fn timed_out(act: &Act, account: &Account, at: Timestamp) -> Report {
    let Act::Send { flight, call, .. } = act else {
        panic!("{act:?}");
    };
    let nothing = Err(SendError::TimedOut("no answer".to_owned()));
    Report {
        flight: flight.clone(),
        at,
        said: Said::Reply(Box::new(account.client.read(call, nothing, at))),
    }
}

async fn job(store: &Store, id: JobId) -> Job {
    store.job(id).await.unwrap().unwrap()
}

async fn status(store: &Store, id: JobId) -> Status {
    job(store, id).await.work.status()
}

async fn told(store: &Store, id: JobId, event: &str) -> Vec<Value> {
    let lines = store.events(id).await.unwrap().into_iter();
    let lines = lines.filter(|line| line.event == event);
    lines.map(|line| line.detail).collect()
}

/// Steps until nothing is due before `end`. How many paid POSTs it sent.
async fn go_on(engine: &mut Engine, from: Timestamp, end: Timestamp) -> usize {
    let mut sent = 0;
    let mut now = from;
    while now < end {
        let plan = engine.step(now, &[]).await.unwrap();
        sent += posts(&plan.acts);
        let next = plan.wake_at.unwrap_or(end);
        now = next.max(now + Duration::from_millis(1));
    }
    sent
}

#[tokio::test]
async fn what_another_process_sent_is_not_sent_again_after_trouble_with_the_database() {
    let database = Database::open(None).await;
    let store = &database.store;
    let shots = &shots();
    store.insert_jobs(&[rows::image(1)]).await.unwrap();
    // The first one sends, and is cut off: its answer is on the way.
    let mut first = take(store, shots, &living(), after(0)).await;
    let plan = first.step(after(0), &[]).await.unwrap();
    assert_eq!(posts(&plan.acts), 1);
    // The second one waits for that answer, and has trouble with the database meanwhile.
    let mut second = take(store, shots, &living(), after(10)).await;
    assert_eq!(go_on(&mut second, after(10), after(20)).await, 0);
    assert_eq!(status(store, IMAGE).await, Status::Submitting);
    let here = Here {
        unsent: second.unsent(),
        ..living()
    };
    let mut second = take(store, shots, &here, after(21)).await;
    let sent = go_on(&mut second, after(21), after(600)).await;
    assert_eq!(sent, 0, "paid twice");
    assert_eq!(status(store, IMAGE).await, Status::InDoubt);
}

/// The first owner freezes with a submit on the wire; a person decides meanwhile; then it goes on, and
/// brings the answer. What the second owner concludes from that.
async fn decided_before_the_answer(store: &Store, decision: &str) -> Engine {
    let shots = &shots();
    let mut provider = provider();
    store.insert_jobs(&[rows::image(1)]).await.unwrap();
    let mut first = take(store, shots, &living(), after(0)).await;
    let plan = first.step(after(0), &[]).await.unwrap();
    let answer = carried_out(&mut provider, &plan.acts[0], shots, after(1));
    let mut second = take(store, shots, &living(), after(60)).await;
    go_on(&mut second, after(60), after(200)).await;
    assert_eq!(status(store, IMAGE).await, Status::InDoubt);
    store
        .add_command(IMAGE, "resolve", Some(decision))
        .await
        .unwrap();
    second.notice_writes();
    go_on(&mut second, after(200), after(210)).await;
    second.notice_writes();
    go_on(&mut second, after(210), after(300)).await;
    first.step(after(400), &[answer]).await.unwrap();
    second.notice_writes();
    go_on(&mut second, after(401), after(500)).await;
    second
}

#[tokio::test]
async fn an_answer_that_comes_after_a_job_was_given_up_is_adopted() {
    let database = Database::open(None).await;
    let store = &database.store;
    decided_before_the_answer(store, "give_up").await;
    assert_eq!(told(store, IMAGE, "accepted_late").await.len(), 1);
    let job = job(store, IMAGE).await;
    assert_eq!(job.work.status(), Status::Running);
    assert_eq!(store.spent().await.unwrap()[0].credits, 3);
}

#[tokio::test]
async fn an_answer_that_comes_after_a_job_was_sent_again_is_booked() {
    let database = Database::open(None).await;
    let store = &database.store;
    decided_before_the_answer(store, "resubmit").await;
    assert_eq!(told(store, IMAGE, "accepted_late").await.len(), 1);
    let spent = &store.spent().await.unwrap()[0];
    assert_eq!((spent.credits, spent.reserved), (3, 3));
}

/// Two keys of one partner with a production each, and the processes that have one lane each.
async fn two_keys(store: &Store) -> (Account, Account, Engine, Engine) {
    let films = accounts(&Options::default()).swap_remove(2);
    let other = Account {
        name: "other".to_owned(),
        lane: LaneKey("jarai:other".to_owned()),
        ..films.clone()
    };
    let named = |n, account: &Account| NewJob {
        account: Some(account.name.clone()),
        ..rows::video(n)
    };
    let rows = [named(1, &films), named(2, &other)];
    store.insert_jobs(&rows).await.unwrap();
    let both = [films.clone(), other.clone()];
    let ours = take_one_of(store, &both, &living(), after(0)).await;
    let both = [other.clone(), films.clone()];
    let theirs = take_one_of(store, &both, &living(), after(0)).await;
    (films, other, ours, theirs)
}

#[tokio::test]
async fn the_production_of_another_key_is_nobodys_in_doubt() {
    let database = Database::open(None).await;
    let store = &database.store;
    let mut provider = provider();
    let (films, other, mut ours, mut theirs) = two_keys(store).await;
    // One submit never arrives; that of the other key is accepted, and known.
    let lost = ours.step(after(0), &[]).await.unwrap().acts.remove(0);
    let sent = theirs.step(after(0), &[]).await.unwrap().acts.remove(0);
    let answer = carried_out(&mut provider, &sent, &other, after(5));
    theirs.step(after(6), &[answer]).await.unwrap();
    assert_eq!(status(store, video(2)).await, Status::Running);
    // Both keys are one partner's, who registered one address.
    let rings = provider.due_webhooks(after(8).as_millis());
    assert_eq!(rings.len(), 1);
    let body = String::from_utf8(rings[0].body.to_vec()).unwrap();
    store
        .add_webhook("films", "a ring", &body, after(8))
        .await
        .unwrap();
    ours.notice_writes();
    let nothing = timed_out(&lost, &films, after(60));
    ours.step(after(60), &[nothing]).await.unwrap();
    go_on(&mut ours, after(60), after(600)).await;
    let job = job(store, video(1)).await;
    assert_eq!(job.work.status(), Status::InDoubt, "{job:#?}");
}

#[tokio::test]
async fn a_doubt_that_was_decided_without_its_account_is_over_in_the_ledger_too() {
    let decisions = [
        ("resubmit", 1, (0, 6)),
        ("give_up", 0, (0, 3)),
        ("adopt:1", 0, (3, 0)),
    ];
    for (decision, becomes, money) in decisions {
        let database = Database::open(None).await;
        let store = &database.store;
        let all = accounts(&Options::default());
        let [texts, shots, _] = all.as_slice() else {
            panic!("{all:?}");
        };
        store.insert_jobs(&[rows::image(1)]).await.unwrap();
        let alone = Here::default();
        let mut first = take(store, shots, &alone, after(0)).await;
        first.step(after(0), &[]).await.unwrap();
        take(store, shots, &alone, after(10)).await;
        assert_eq!(status(store, IMAGE).await, Status::InDoubt);
        // The config loses the account, and a person decides.
        let mut without = take(store, texts, &alone, after(20)).await;
        let command = store.add_command(IMAGE, "resolve", Some(decision));
        command.await.unwrap();
        go_on(&mut without, after(20), after(30)).await;
        assert_ne!(status(store, IMAGE).await, Status::InDoubt);
        // It has it again.
        let mut again = take(store, shots, &alone, after(100)).await;
        again.step(after(100), &[]).await.unwrap();
        again.notice_writes();
        let sent = go_on(&mut again, after(101), after(110)).await;
        let held = told(store, IMAGE, "submit_planned").await.len();
        assert_eq!(held, 1 + becomes, "{decision}, {sent}");
        let spent = &store.spent().await.unwrap()[0];
        assert_eq!((spent.credits, spent.reserved), money, "{decision}");
        let names = ["shots".to_owned()];
        let past = store.past_doubts(&names, after(0), 9).await.unwrap();
        assert_eq!(past.len(), usize::from(money.0 == 0), "{decision}");
    }
}

#[tokio::test]
async fn a_new_key_loses_nothing_of_what_the_old_one_sent() {
    let database = Database::open(None).await;
    let store = &database.store;
    let mut provider = provider();
    let old = accounts(&Options::default()).swap_remove(0);
    let new = Account {
        lane: LaneKey("jakov:new".to_owned()),
        ..old.clone()
    };
    store.insert_jobs(&[rows::text(1)]).await.unwrap();
    let text = JobId::new(JobKind::Description, 1);
    // Accepted, and the process ends before it hears of it.
    let mut first = take(store, &old, &Here::default(), after(0)).await;
    let plan = first.step(after(0), &[]).await.unwrap();
    carried_out(&mut provider, &plan.acts[0], &old, after(1));
    let mut second = take(store, &new, &Here::default(), after(10)).await;
    work(&mut second, &mut provider, &new, after(10), |_, _| {}).await;
    let job = job(store, text).await;
    assert_eq!(job.work.status(), Status::Completed, "{job:#?}");
    assert_eq!(
        provider
            .ledger()
            .requests()
            .iter()
            .filter(|it| it.verb == sandbox::Verb::Submit)
            .count(),
        1
    );
    let spent = &store.spent().await.unwrap()[0];
    assert_eq!((spent.credits, spent.reserved), (1, 0));
}

#[tokio::test]
async fn a_production_is_not_complete_while_a_file_of_its_list_has_no_link_yet() {
    let database = Database::open(None).await;
    let store = &database.store;
    let mut provider = provider();
    let mut films = accounts(&Options::default()).swap_remove(2);
    films.policy.complete_at = CompleteAt::AwaitingApproval;
    store.insert_jobs(&[rows::video(1)]).await.unwrap();
    let mut engine = take(store, &films, &Here::default(), after(0)).await;
    let (mut lists, mut files) = (0, 0);
    work(
        &mut engine,
        &mut provider,
        &films,
        after(0),
        |call, body| {
            let Call::Deliverables { .. } = call else {
                return;
            };
            let list = match body {
                Value::Array(list) => list,
                Value::Object(map) => match map.values_mut().find_map(Value::as_array_mut) {
                    Some(list) => list,
                    None => return,
                },
                _ => return,
            };
            lists += 1;
            files = list.len();
            if lists <= 3 {
                list[0].as_object_mut().unwrap().remove("sasUrl");
            }
        },
    )
    .await;
    let job = job(store, video(1)).await;
    assert_eq!(job.work.status(), Status::Completed, "{job:#?}");
    assert!(lists > 3 && files > 1, "{lists} {files}");
    let here = store.deliverables(video(1)).await.unwrap();
    assert_eq!(here.len(), files);
}

#[tokio::test]
async fn a_production_that_may_be_another_keys_in_doubt_is_adopted_by_neither() {
    let database = Database::open(None).await;
    let store = &database.store;
    let mut provider = provider();
    let (films, other, mut ours, mut theirs) = two_keys(store).await;
    // Both answers are lost; one of the two had arrived.
    let lost = ours.step(after(0), &[]).await.unwrap().acts.remove(0);
    let sent = theirs.step(after(0), &[]).await.unwrap().acts.remove(0);
    carried_out(&mut provider, &sent, &other, after(5));
    let nothing = timed_out(&sent, &other, after(60));
    theirs.step(after(60), &[nothing]).await.unwrap();
    let rings = provider.due_webhooks(after(8).as_millis());
    let body = String::from_utf8(rings[0].body.to_vec()).unwrap();
    let ring = store.add_webhook("films", "a ring", &body, after(8));
    ring.await.unwrap();
    ours.notice_writes();
    let nothing = timed_out(&lost, &films, after(60));
    ours.step(after(60), &[nothing]).await.unwrap();
    go_on(&mut ours, after(60), after(600)).await;
    let ours = job(store, video(1)).await;
    assert_eq!(ours.work.status(), Status::InDoubt, "{ours:#?}");
    assert_eq!(status(store, video(2)).await, Status::InDoubt);
}
