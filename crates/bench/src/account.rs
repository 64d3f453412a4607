//! The worker's account and rows of a scenario: the defaults of the config at the documented limits.
//! The config itself is the binary's; what is written here is what it makes of an account of which
//! only the key is named.

use std::time::Duration;

use domain::{
    Caps, Defaults, DescriptionInput, ImageInput, Input, Models, Prices, ProductionInput, Provider,
    Window,
};
use engine::{Account, CompleteAt, Limits, Policy, Polling, Timing, WebhookTrust};
use providers::Client;
use store::{LaneKey, NewJob};

use crate::error::BenchError;
use crate::scenario::{BASE, Scenario, Trust};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The one account.
pub(crate) fn account(
    scenario: &Scenario,
    options: &sandbox::Options,
) -> Result<Account, BenchError> {
    let provider = scenario.provider;
    let (path, key) = match provider {
        Provider::Jakov => ("/jakov", &options.jakov.api_key),
        Provider::Productai => ("/productai/v1", &options.productai.api_key),
        Provider::Jarai => ("/jarai/v1", &options.jarai.api_key),
    };
    let client = Client::new(provider, &format!("{BASE}{path}"), key.clone().into())?;
    Ok(Account {
        name: "bench".to_owned(),
        provider,
        lane: LaneKey(format!("{provider}:bench")),
        client,
        defaults: defaults(provider),
        prices: Prices {
            models: Models::documented(),
            description: Some(1),
            production: Some(1),
        },
        limits: limits(scenario),
        polling: Polling {
            min_interval: Duration::from_secs(5),
            queued: Duration::from_secs(10),
            producing: Duration::from_secs(30),
            awaiting_approval: Duration::from_secs(600),
            distributing: Duration::from_secs(60),
            delay_per_poll: scenario.delay_per_poll,
        },
        policy: Policy {
            takes_unnamed: true,
            complete_at: CompleteAt::Published,
            webhook_trust: match scenario.trust {
                Trust::Verify => WebhookTrust::Verify,
                Trust::Token => WebhookTrust::Token,
            },
            retry_failed: 0,
            check_sources: false,
            resubmit_in_doubt: false,
            batch_size: scenario.batch_size,
            max_running: scenario.max_running,
            deadline: DAY,
            capture_deadline: DAY,
            spend: Caps::default(),
        },
        timing: Timing {
            // Nobody else writes here, as in the crash simulator.
            look_again: Duration::from_secs(3_600),
            ..Timing::default()
        },
    })
}

fn defaults(provider: Provider) -> Defaults {
    match provider {
        Provider::Jakov => Defaults {
            project_id: Some("p1".to_owned()),
            ..Defaults::default()
        },
        Provider::Productai => Defaults::default(),
        Provider::Jarai => {
            let demo = sandbox::JaraiAccount::demo();
            Defaults {
                jarai_account_id: Some(demo.account_id),
                language_id: demo.languages.first().cloned(),
                country_id: demo.countries.first().cloned(),
                avatar_id: demo.avatars.first().cloned(),
                ..Defaults::default()
            }
        }
    }
}

/// The documented ones.
fn limits(scenario: &Scenario) -> Limits {
    let group = |name: &str, windows: Vec<Window>| (name.to_owned(), windows);
    let (groups, productions) = match scenario.provider {
        Provider::Jakov => {
            let submit = group("submit", vec![Window::rolling(100, MINUTE)]);
            let read = group("read", vec![Window::rolling(300, MINUTE)]);
            (vec![submit, read], None)
        }
        Provider::Productai => (vec![group("all", vec![Window::rolling(15, MINUTE)])], None),
        Provider::Jarai => {
            let (minute, day, productions) = scenario.tier.limits();
            let windows = vec![Window::rolling(minute, MINUTE), Window::calendar(day, DAY)];
            let productions = Window::calendar(productions, DAY);
            (vec![group("all", windows)], Some(productions))
        }
    };
    Limits {
        groups,
        productions,
    }
}

/// The rows: all there from the start, each to be submitted when the scenario says so.
pub(crate) fn rows(scenario: &Scenario) -> Vec<NewJob> {
    (0..scenario.jobs)
        .map(|n| NewJob {
            run_at: (scenario.every_s > 0).then(|| scenario.comes_at(n)),
            ..row(scenario.provider, n)
        })
        .collect()
}

pub(crate) fn row(provider: Provider, n: usize) -> NewJob {
    let input = match provider {
        Provider::Jakov => Input::Description(DescriptionInput {
            product_name: Some(format!("product {n}")),
            ..DescriptionInput::default()
        }),
        Provider::Productai => Input::Image(ImageInput {
            model: Some("nanobanana".to_owned()),
            prompt: Some(format!("prompt {n}")),
            image_url: Some(format!("https://images.example/{n}.jpg")),
            ..ImageInput::default()
        }),
        Provider::Jarai => Input::Production(ProductionInput {
            topic: format!("topic {n}"),
            ..ProductionInput::default()
        }),
    };
    NewJob {
        client_product_id: Some(format!("SKU-{n}")),
        input: Some(input),
        ..NewJob::default()
    }
}
