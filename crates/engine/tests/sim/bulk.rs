//! JAKOV in bulk: an export answers for many jobs, and what is done when it fails, lies, or lacks things.
//! The answers are the sandbox's, twisted on their way.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use domain::{JobId, JobKind, Status, Timestamp};
use engine::{Account, Act, Engine, Here, Report, Said};
use http::{HeaderValue, StatusCode};
use providers::{Call, SendError};
use sandbox::{FaultPlan, Options, Sandbox, Verb};
use serde_json::{Value, json};
use store::Store;

use crate::accounts::{BASE, accounts};
use crate::database::Database;
use crate::rows;
use crate::world::START;

type Answer = Result<http::Response<Bytes>, SendError>;

/// What is left when all is done.
struct Played {
    _database: Database,
    store: Store,
    provider: Sandbox,
    ended: Timestamp,
    jobs: i64,
}

impl Played {
    fn sent(&self, verb: Verb) -> usize {
        let requests = self.provider.ledger().requests();
        requests.iter().filter(|entry| entry.verb == verb).count()
    }

    /// The least time between two reads of one job, and between two exports, as they arrived.
    fn shortest_gaps(&self) -> (i64, i64) {
        let mut last = BTreeMap::new();
        let (mut read, mut export) = (i64::MAX, i64::MAX);
        for entry in self.provider.ledger().requests() {
            let about = match entry.verb {
                Verb::Poll => entry.jobs.first().cloned(),
                Verb::Export => Some(String::new()),
                _ => None,
            };
            let Some(about) = about else { continue };
            let least = if about.is_empty() {
                &mut export
            } else {
                &mut read
            };
            if let Some(before) = last.insert(about, entry.at_ms) {
                *least = (*least).min(entry.at_ms - before);
            }
        }
        (read, export)
    }

    async fn statuses(&self) -> BTreeMap<Status, usize> {
        let mut counts = BTreeMap::new();
        for n in 1..=self.jobs {
            let job = self.store.job(JobId::new(JobKind::Description, n)).await;
            *counts
                .entry(job.unwrap().unwrap().work.status())
                .or_default() += 1;
        }
        counts
    }

    /// All is done once, each with its own text, and nothing was asked too early.
    async fn is_sound(&self, completed: usize) {
        assert_eq!(
            self.statuses().await.get(&Status::Completed).copied(),
            Some(completed)
        );
        assert_eq!(
            self.provider.jobs(self.ended.as_millis()).count() as i64,
            self.jobs
        );
        let violations = self.provider.ledger().requests().iter();
        let violations: Vec<_> = violations.flat_map(|entry| &entry.violations).collect();
        assert!(violations.is_empty(), "{violations:?}");
        let (read, export) = self.shortest_gaps();
        assert!(read >= 5_000 && export >= 5_000, "{read} {export}");
        for n in 1..=self.jobs {
            let job = self.store.job(JobId::new(JobKind::Description, n)).await;
            let job = job.unwrap().unwrap();
            if job.work.status() == Status::Completed {
                // The sandbox's texts end in the provider's id.
                let id = job.work.state.remote().unwrap().id.clone();
                assert!(job.description.unwrap().contains(&id), "{id}");
            }
        }
    }
}

/// Works until nothing is left to do, with the answers twisted; `twist` also hears when.
async fn play(
    jobs: usize,
    change: impl FnOnce(&mut Options, &mut Account),
    mut twist: impl FnMut(&Call, i64, Answer) -> Answer,
) -> Played {
    let database = Database::open(None).await;
    let store = database.store.clone();
    let mut options = Options {
        faults: FaultPlan::default(),
        ..Options::default()
    };
    BASE.clone_into(&mut options.base_url);
    let mut texts = accounts(&options).swap_remove(0);
    texts.policy.batch_size = 50;
    texts.policy.max_running = 10_000;
    change(&mut options, &mut texts);
    let mut provider = Sandbox::new(options);
    store.insert_jobs(&rows::some(jobs, 0, 0)).await.unwrap();
    let lane = [(texts.lane.clone(), texts.provider)];
    let epochs = store.take_over(&lane, "a process", START).await.unwrap();
    let (all, here) = (vec![texts.clone()], Here::default());
    let engine = Engine::load(store.clone(), all, &epochs, &here, 7, START);
    let mut engine = engine.await.unwrap();
    let mut coming: BTreeMap<(Timestamp, String), Report> = BTreeMap::new();
    let (mut now, end) = (START, START + Duration::from_secs(3 * 3_600));
    while now < end {
        let mut reports = Vec::new();
        while let Some(next) = coming.first_entry().filter(|next| next.key().0 <= now) {
            reports.push(next.remove());
        }
        let plan = engine.step(now, &reports).await.unwrap();
        for act in plan.acts {
            let Act::Send { flight, call, .. } = act else {
                panic!("texts have no files");
            };
            let at = now + Duration::from_millis(200);
            let exchange = provider.handle(now.as_millis(), texts.client.request(&call));
            let answer = twist(
                &call,
                now.since(START).as_secs() as i64,
                Ok(exchange.response),
            );
            let said = Said::Reply(Box::new(texts.client.read(&call, answer, at)));
            coming.insert((at, flight.clone()), Report { flight, at, said });
        }
        let outlook = engine.outlook();
        if coming.is_empty() && outlook.working == 0 && outlook.in_doubt == 0 {
            break;
        }
        let next = coming.first_key_value().map(|((at, _), _)| *at);
        let next = [next, plan.wake_at].into_iter().flatten().min();
        now = next.unwrap_or(end).max(now + Duration::from_millis(1));
    }
    Played {
        _database: database,
        store,
        provider,
        ended: now,
        jobs: jobs as i64,
    }
}

fn status(code: u16) -> Answer {
    let mut response = http::Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    Ok(response)
}

fn with_body(answer: Answer, kind: &'static str, body: String) -> Answer {
    let mut response = answer?;
    *response.body_mut() = Bytes::from(body);
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(kind));
    Ok(response)
}

fn products(answer: &Answer) -> Vec<Value> {
    serde_json::from_slice(answer.as_ref().unwrap().body()).unwrap()
}

fn as_json(answer: Answer, products: &[Value]) -> Answer {
    with_body(answer, "application/json", json!(products).to_string())
}

/// The products as a table; the sandbox's own CSV needs another request.
fn as_csv(answer: Answer) -> Answer {
    let mut csv = String::from("\u{feff}ID;Client Product ID;Description\r\n");
    for product in products(&answer) {
        let word = |name: &str| {
            product[name]
                .as_str()
                .unwrap_or_default()
                .replace('"', "\"\"")
        };
        let text = word("generatedDescription");
        csv.push_str(&format!(
            "{};{};\"{text}\"\r\n",
            word("id"),
            word("clientProductId")
        ));
    }
    with_body(answer, "text/csv", csv)
}

#[tokio::test]
async fn a_few_exports_replace_thousands_of_reads() {
    let played = play(1_000, |_, _| {}, |_, _, answer| answer).await;
    played.is_sound(1_000).await;
    let (reads, exports) = (played.sent(Verb::Poll), played.sent(Verb::Export));
    println!("{reads} reads, {exports} exports");
    assert!(exports >= 5, "{exports}");
    // Beside each export one job is asked alone, and a few that are late.
    assert!(
        reads <= exports + 20,
        "{reads} reads beside {exports} exports"
    );
    assert!(played.ended.since(START) < Duration::from_secs(300));
}

#[tokio::test]
async fn an_export_may_be_a_table() {
    let played = play(
        300,
        |_, _| {},
        |call, _, answer| match call {
            Call::Export { .. } => as_csv(answer),
            _ => answer,
        },
    )
    .await;
    played.is_sound(300).await;
    let (reads, exports) = (played.sent(Verb::Poll), played.sent(Verb::Export));
    assert!(
        reads <= exports + 10,
        "{reads} reads beside {exports} exports"
    );
}

#[tokio::test]
async fn without_a_working_export_every_job_is_asked_alone() {
    for code in [404, 403, 500] {
        let played = play(
            100,
            |_, _| {},
            |call, _, answer| match call {
                Call::Export { .. } => status(code),
                _ => answer,
            },
        )
        .await;
        played.is_sound(100).await;
        let (reads, exports) = (played.sent(Verb::Poll), played.sent(Verb::Export));
        println!("{code}: {reads} reads, {exports} exports");
        assert!(
            reads >= 100 && (1..=6).contains(&exports),
            "{code}: {reads} {exports}"
        );
        assert!(
            played.ended.since(START) < Duration::from_secs(400),
            "{code}"
        );
    }
}

#[tokio::test]
async fn an_export_that_breaks_off_half_way_tells_nothing() {
    let mut broken = 0;
    let played = play(
        200,
        |_, _| {},
        |call, _, answer| match call {
            Call::Export { .. } if broken < 3 => {
                broken += 1;
                let whole = answer.as_ref().unwrap().body().clone();
                let half = String::from_utf8_lossy(&whole[..whole.len() / 2]).into_owned();
                match broken {
                    1 => Err(SendError::Broken("connection reset".to_owned())),
                    _ => with_body(answer, "application/json", half),
                }
            }
            _ => answer,
        },
    )
    .await;
    assert_eq!(broken, 3, "exports are tried again");
    played.is_sound(200).await;
}

#[tokio::test]
async fn a_job_that_the_export_lacks_is_found_and_exports_rest() {
    // The first hundred rows only, as if there were pages: later ones are never in it.
    let played = play(
        400,
        |_, _| {},
        |call, _, answer| match call {
            Call::Export { .. } => {
                let mut products = products(&answer);
                products.truncate(100);
                as_json(answer, &products)
            }
            _ => answer,
        },
    )
    .await;
    played.is_sound(400).await;
    let (reads, exports) = (played.sent(Verb::Poll), played.sent(Verb::Export));
    println!(
        "{reads} reads, {exports} exports, {:?}",
        played.ended.since(START)
    );
    // Which hundred are the first changes while they are being made, so that exports tell of some more.
    assert!(reads >= 150, "{reads}");
    // Three times the mean length is later than that: nobody waited to be late.
    assert!(played.ended.since(START) < Duration::from_secs(190));
}

#[tokio::test]
async fn one_that_is_always_left_out_is_asked_alone_when_it_is_late() {
    let played = play(
        100,
        |_, _| {},
        |call, _, answer| match call {
            Call::Export { .. } => {
                let mut products = products(&answer);
                products.retain(|product| product["clientProductId"] != "SKU-7");
                as_json(answer, &products)
            }
            _ => answer,
        },
    )
    .await;
    played.is_sound(100).await;
    assert!(played.ended.since(START) < Duration::from_secs(400));
}

#[tokio::test]
async fn failures_are_never_concluded_from_absence_and_all_the_same_heard() {
    let change = |options: &mut Options, _: &mut Account| {
        options.jakov.not_found_share = 0.05;
        options.jakov.failed_share = 0.05;
    };
    let played = play(300, change, |_, _, answer| answer).await;
    let statuses = played.statuses().await;
    let failed = statuses[&Status::Failed];
    assert!((10..60).contains(&failed), "{statuses:?}");
    assert_eq!(statuses[&Status::Completed] + failed, 300, "{statuses:?}");
    played.is_sound(300 - failed).await;
    // Each bad end was read, and reads of late jobs grow apart.
    let reads = played.sent(Verb::Poll);
    assert!(
        reads >= failed && reads <= 6 * failed,
        "{reads} reads, {failed} failed"
    );
}

#[tokio::test]
async fn an_export_that_shows_another_product_under_our_id_is_not_believed() {
    let mut lies = 0;
    let played = play(
        60,
        |_, _| {},
        |call, seconds, answer| match call {
            Call::Export { .. } => {
                let mut products = products(&answer);
                if let (true, Some(first)) = (seconds < 120 && lies == 0, products.first_mut()) {
                    lies += 1;
                    first["clientProductId"] = json!("somebody else's");
                    first["generatedDescription"] = json!("somebody else's text");
                }
                as_json(answer, &products)
            }
            _ => answer,
        },
    )
    .await;
    assert_eq!(lies, 1);
    let mut not_believed = 0;
    for n in 1..=60 {
        let id = JobId::new(JobKind::Description, n);
        let lines = played.store.events(id).await.unwrap();
        not_believed += lines
            .iter()
            .filter(|it| it.event == "remote_is_anothers")
            .count();
    }
    assert_eq!(not_believed, 1);
    // Later exports show whose it is.
    played.is_sound(60).await;
}

#[tokio::test]
async fn of_two_texts_under_one_id_neither_is_believed() {
    let mut lies = 0;
    let played = play(
        60,
        |_, _| {},
        |call, _, answer| match call {
            Call::Export { .. } => {
                let mut products = products(&answer);
                if let (0, Some(mut first)) = (lies, products.first().cloned()) {
                    lies += 1;
                    first["generatedDescription"] = json!("an older text");
                    products.push(first);
                }
                as_json(answer, &products)
            }
            _ => answer,
        },
    )
    .await;
    assert_eq!(lies, 1);
    played.is_sound(60).await;
}
