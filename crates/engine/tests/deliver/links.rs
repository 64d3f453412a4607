//! Links that die while hundreds of files wait for their turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use domain::{Input, JobKind, ProductionInput, Provider, Status, Timestamp};
use engine::CaptureTrouble;
use sandbox::{Approval, Options, Verb};
use store::NewJob;

use crate::world::{World, account, from_sandbox};

/// What the hosts of the files saw.
#[derive(Default)]
struct Seen {
    fetches: usize,
    dead: usize,
    broke_off: usize,
    under_way: Vec<Timestamp>,
    most_at_once: usize,
}

fn options(link_life_ms: u64) -> Options {
    let mut options = Options {
        seed: 5,
        base_url: crate::world::BASE.to_owned(),
        ..Options::default()
    };
    let jarai = &mut options.jarai;
    jarai.requests_per_minute = Some(1_000_000);
    jarai.requests_per_day = Some(1_000_000);
    jarai.productions_per_day = Some(1_000_000);
    (jarai.expired_share, jarai.failed_share) = (0.0, 0.0);
    // All of them are made at the same time.
    (jarai.queued_median_ms, jarai.producing_median_ms) = (5_000, 10_000);
    jarai.duration_sigma = 0.0;
    jarai.approval = Approval::Never;
    jarai.sas_life_ms = link_life_ms;
    jarai.shape.more_deliverables = true;
    options
}

fn production(n: usize) -> NewJob {
    NewJob {
        input: Some(Input::Production(ProductionInput {
            topic: format!("topic {n}"),
            ..ProductionInput::default()
        })),
        ..NewJob::default()
    }
}

/// Plays productions whose links live so long; every third body breaks off, at a random moment.
async fn play(productions: usize, link_life_ms: u64) -> (World, Rc<RefCell<Seen>>) {
    let options = options(link_life_ms);
    let rows: Vec<NewJob> = (0..productions).map(production).collect();
    let account = account(Provider::Jarai, &options);
    let mut world = World::new(account, options, &rows).await;
    let seen = Rc::new(RefCell::new(Seen::default()));
    let (sees, mut rng) = (Rc::clone(&seen), fastrand::Rng::with_seed(9));
    world.files = Box::new(move |provider, wanted, now| {
        let mut seen = sees.borrow_mut();
        seen.fetches += 1;
        seen.under_way.retain(|until| *until > now);
        let takes = Duration::from_millis(rng.u64(200..3_000));
        seen.under_way.push(now + takes);
        seen.most_at_once = seen.most_at_once.max(seen.under_way.len());
        let result = from_sandbox(provider, wanted, now);
        if result.is_err() {
            seen.dead += 1;
        } else if seen.fetches.is_multiple_of(3) {
            seen.broke_off += 1;
            let why = "the file broke off".to_owned();
            return (Err(CaptureTrouble::Later(why)), takes);
        }
        (result, takes)
    });
    world.play().await;
    (world, seen)
}

#[tokio::test]
async fn of_five_hundred_files_behind_links_that_live_two_seconds_none_is_lost() {
    let (world, seen) = play(75, 2_000).await;
    let jobs = world.jobs(JobKind::Production).await;
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let done = jobs
        .iter()
        .filter(|job| job.work.status() == Status::Completed);
    assert_eq!(done.count(), jobs.len());
    let files = world.store.deliverables_of(&ids).await.unwrap();
    let mut of_job: BTreeMap<_, usize> = BTreeMap::new();
    for file in &files {
        *of_job.entry(file.job).or_default() += 1;
    }
    let each: Vec<usize> = of_job.values().copied().collect();
    let seen = seen.borrow();
    let requests = world.provider.ledger().requests().iter();
    let lists = requests.filter(|entry| entry.verb == Verb::Deliverables);
    let lists = lists.count();
    eprintln!(
        "{} files of {} productions, {lists} lists read, {} downloads begun, {} links found dead, \
         {} broke off, {} at once",
        files.len(),
        of_job.len(),
        seen.fetches,
        seen.dead,
        seen.broke_off,
        seen.most_at_once
    );
    assert!(files.len() >= 500, "{}", files.len());
    assert_eq!(of_job.len(), jobs.len());
    assert!(each.iter().all(|files| *files == each[0]), "{each:?}");
    assert!(seen.most_at_once <= 16, "{}", seen.most_at_once);
    // Links are read when their turn has come: few of them die while they wait.
    assert!(seen.dead * 20 <= seen.fetches, "{} dead", seen.dead);
    // Seven files of a list and sixteen places: a few lists for each production, and not one for each file.
    assert!(lists <= 8 * jobs.len(), "{lists} lists");
}
