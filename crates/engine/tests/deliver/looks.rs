//! Source images are looked at before their jobs are paid for, and only what is proven stops one.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use domain::{ImageInput, Input, JobKind, Provider, Status};
use providers::fetch::Look;
use sandbox::{Options, Verb};
use store::NewJob;

use crate::world::{BASE, World, account};

fn row(url: &str) -> NewJob {
    NewJob {
        input: Some(Input::Image(ImageInput {
            model: Some("nanobanana".to_owned()),
            prompt: Some("on a table".to_owned()),
            image_url: Some(url.to_owned()),
            ..ImageInput::default()
        })),
        ..NewJob::default()
    }
}

fn options() -> Options {
    let mut options = Options {
        seed: 5,
        base_url: BASE.to_owned(),
        ..Options::default()
    };
    options.productai.tokens = u64::from(u32::MAX);
    options.productai.requests_per_minute = 1_000_000;
    options
}

fn host(url: &str) -> Look {
    let why = |text: &str| text.to_owned();
    match url.rsplit('/').next().unwrap() {
        "gif" => Look::Broken {
            code: "source_type",
            why: why("the source image is image/gif by its bytes"),
        },
        "inside" => Look::Broken {
            code: "source_private",
            why: why("the source image is on a private address"),
        },
        "hotlink" => Look::Unsure {
            why: why("its host does not show it to us (HTTP 403)"),
        },
        "down" => Look::Unreachable {
            why: why("its host does not answer"),
        },
        _ => Look::Fine,
    }
}

/// Plays these rows; how often each image was looked at.
async fn play(urls: &[&str], looks: bool) -> (World, BTreeMap<String, usize>) {
    let options = options();
    let mut account = account(Provider::Productai, &options);
    account.policy.check_sources = looks;
    let rows: Vec<NewJob> = urls.iter().map(|url| row(url)).collect();
    let mut world = World::new(account, options, &rows).await;
    let asked = Rc::new(RefCell::new(BTreeMap::new()));
    let count = Rc::clone(&asked);
    world.images = Box::new(move |url| {
        *count.borrow_mut().entry(url.to_owned()).or_default() += 1;
        host(url)
    });
    world.play().await;
    let asked = asked.borrow().clone();
    (world, asked)
}

fn submits(world: &World) -> usize {
    let requests = world.provider.ledger().requests().iter();
    requests.filter(|entry| entry.verb == Verb::Submit).count()
}

#[tokio::test]
async fn only_a_proven_violation_stops_a_paid_job_and_it_names_the_rule() {
    let urls = [
        "https://shop.example/good",
        "https://shop.example/gif",
        "https://shop.example/inside",
        "https://shop.example/hotlink",
        "https://shop.example/down",
    ];
    let (world, asked) = play(&urls, true).await;
    let jobs = world.jobs(JobKind::Image).await;
    let says: Vec<_> = jobs
        .iter()
        .map(|job| {
            let code = job.work.state.fault().map_or("-", |fault| &fault.code);
            let warning = job.warning.as_deref().unwrap_or("-");
            (job.work.status(), code, warning)
        })
        .collect();
    assert_eq!(
        says,
        [
            (Status::Completed, "-", "-"),
            (Status::Failed, "source_type", "-"),
            (Status::Failed, "source_private", "-"),
            (
                Status::Completed,
                "-",
                "its host does not show it to us (HTTP 403)"
            ),
            (Status::Completed, "-", "its host does not answer"),
        ]
    );
    assert_eq!(submits(&world), 3, "what is refused is not paid for");
    assert_eq!(asked["https://shop.example/down"], 3);
    assert!(urls[..4].iter().all(|url| asked[*url] == 1), "{asked:?}");
}

#[tokio::test]
async fn an_image_that_rows_share_is_asked_for_once() {
    let urls = ["https://shop.example/one"; 40];
    let (world, asked) = play(&urls, true).await;
    assert_eq!(submits(&world), 40);
    assert_eq!(asked.values().sum::<usize>(), 1, "{asked:?}");
}

#[tokio::test]
async fn the_looks_can_be_switched_off() {
    let urls = ["https://shop.example/gif", "https://shop.example/inside"];
    let (world, asked) = play(&urls, false).await;
    assert_eq!(submits(&world), 2);
    assert!(asked.is_empty(), "{asked:?}");
}
