//! The accounts of a history, one at each provider, with the documented limits. A scenario that
//! needs others changes these ([`Builder::accounts`](crate::world::Builder::accounts)).

use std::time::Duration;

use domain::{Defaults, Models, Prices, Provider, Window};
use engine::{Account, CompleteAt, Limits, Policy, Polling, Timing};
use providers::Client;
use sandbox::Options;
use store::LaneKey;

/// Where the sandbox's model is, as the clients see it.
pub(crate) const BASE: &str = "http://sandbox.test";

fn account(name: &str, provider: Provider, path: &str, key: &str, groups: Limits) -> Account {
    Account {
        name: name.to_owned(),
        provider,
        lane: LaneKey(format!("{provider}:sim")),
        client: Client::new(provider, &format!("{BASE}{path}"), key.to_owned().into()).unwrap(),
        defaults: Defaults::default(),
        prices: Prices {
            models: Models::documented(),
            description: Some(1),
            production: Some(1),
        },
        limits: groups,
        polling: Polling {
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: Duration::from_secs(600),
            distributing: Duration::from_secs(60),
            delay_per_poll: None,
        },
        policy: Policy {
            takes_unnamed: true,
            complete_at: CompleteAt::Published,
            webhook_trust: engine::WebhookTrust::Verify,
            retry_failed: 0,
            check_sources: false,
            resubmit_in_doubt: false,
            batch_size: 4,
            max_running: 50,
            deadline: Duration::from_secs(86_400),
            capture_deadline: Duration::from_secs(86_400),
            spend: domain::Caps::default(),
        },
        timing: Timing {
            // Nobody else inserts here: the database is looked at when a write is noticed.
            look_again: Duration::from_secs(3_600),
            ..Timing::default()
        },
    }
}

pub(crate) fn accounts(options: &Options) -> Vec<Account> {
    let minute = Duration::from_secs(60);
    let day = Duration::from_secs(86_400);
    let group = |name: &str, windows: Vec<Window>| (name.to_owned(), windows);
    let jakov = Limits {
        groups: vec![
            group("submit", vec![Window::rolling(100, minute)]),
            group("read", vec![Window::rolling(300, minute)]),
        ],
        productions: None,
    };
    let productai = Limits {
        groups: vec![group("all", vec![Window::rolling(15, minute)])],
        productions: None,
    };
    let jarai = Limits {
        groups: vec![group(
            "all",
            vec![Window::rolling(60, minute), Window::calendar(2_000, day)],
        )],
        productions: Some(Window::calendar(20, day)),
    };
    let mut films = account(
        "films",
        Provider::Jarai,
        "/jarai/v1",
        &options.jarai.api_key,
        jarai,
    );
    let demo = sandbox::JaraiAccount::demo();
    films.defaults = Defaults {
        jarai_account_id: Some(demo.account_id),
        language_id: demo.languages.first().cloned(),
        country_id: demo.countries.first().cloned(),
        avatar_id: demo.avatars.first().cloned(),
        ..Defaults::default()
    };
    let mut texts = account(
        "texts",
        Provider::Jakov,
        "/jakov",
        &options.jakov.api_key,
        jakov,
    );
    texts.defaults.project_id = Some("p1".to_owned());
    let shots = &options.productai.api_key;
    vec![
        texts,
        account(
            "shots",
            Provider::Productai,
            "/productai/v1",
            shots,
            productai,
        ),
        films,
    ]
}
