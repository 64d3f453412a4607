//! Groups of endpoints whose limit is used only in part, because the provider said "too many" (429) lately.
//! The pace follows from the ledger of requests, as the worker's own does.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Pace, Shape, Timestamp, Window};
use engine::Account;
use serde::Serialize;
use store::{Store, StoreError, TooMany};

use crate::config::Config;
use crate::exit::Failure;
use crate::output::{spoken, table};
use crate::rests::lanes;

/// One of them.
#[derive(Debug, Serialize)]
pub(crate) struct Slowed {
    /// The accounts that share it.
    accounts: Vec<String>,
    endpoints: String,
    percent: f64,
    /// Requests that are sent in each window, now.
    limit: u32,
    /// Those that the config allows.
    configured: u32,
    window_ms: u64,
}

/// All of this config.
pub(crate) async fn read(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Slowed>, Failure> {
    let mut slowed = Vec::new();
    for (key, accounts) in lanes(config) {
        let of_lane = config.accounts.iter().find(|(one, _)| one.lane == key);
        let Some((account, _)) = of_lane else {
            continue;
        };
        let groups = &account.limits.groups;
        let paces = groups.iter().filter_map(|(_, windows)| Pace::new(windows));
        let memory = paces.map(|pace| pace.memory()).max().unwrap_or_default();
        let heard = store
            .too_many(std::slice::from_ref(&key), now.before(memory))
            .await?;
        for (endpoints, windows) in groups {
            slowed.extend(pace_of(&accounts, endpoints, windows, &heard, now));
        }
    }
    Ok(slowed)
}

/// The pace of each group of an account that follows less than its limit, in thousandths.
pub(crate) async fn thousandths(
    store: &Store,
    account: &Account,
    now: Timestamp,
) -> Result<BTreeMap<String, u32>, StoreError> {
    let groups = &account.limits.groups;
    let paces = groups.iter().filter_map(|(_, windows)| Pace::new(windows));
    let memory = paces.map(|pace| pace.memory()).max().unwrap_or_default();
    let lane = std::slice::from_ref(&account.lane);
    let heard = store.too_many(lane, now.before(memory)).await?;
    let of = |(name, windows): &(String, Vec<Window>)| {
        let mut pace = Pace::new(windows)?;
        for answer in heard.iter().filter(|answer| answer.endpoints == *name) {
            pace.too_many(answer.sent_at.min(now), answer.answered_at.min(now));
        }
        Some((name.clone(), pace.at(now)))
    };
    Ok(groups.iter().filter_map(of).collect())
}

fn pace_of(
    accounts: &[String],
    endpoints: &str,
    windows: &[Window],
    heard: &[TooMany],
    now: Timestamp,
) -> Option<Slowed> {
    let mut pace = Pace::new(windows)?;
    for answer in heard.iter().filter(|answer| answer.endpoints == endpoints) {
        pace.too_many(answer.sent_at.min(now), answer.answered_at.min(now));
    }
    let thousandths = pace.at(now);
    let rolling = windows
        .iter()
        .filter(|window| window.shape == Shape::Rolling);
    let shortest = rolling.min_by_key(|window| window.length)?;
    (thousandths < 1_000).then(|| Slowed {
        accounts: accounts.to_vec(),
        endpoints: endpoints.to_owned(),
        percent: f64::from(thousandths) / 10.0,
        limit: Pace::of(thousandths, shortest.limit),
        configured: shortest.limit,
        window_ms: u64::try_from(shortest.length.as_millis()).unwrap_or(u64::MAX),
    })
}

/// As people read it.
pub(crate) fn paces_table(slowed: &[Slowed]) -> String {
    let mut table = table(["SLOWED BY 429", "REQUESTS", "PACE", "NOW", "CONFIGURED"]);
    for one in slowed {
        let window = spoken(Duration::from_millis(one.window_ms));
        table.add_row([
            one.accounts.join(", "),
            one.endpoints.clone(),
            format!("{} %", one.percent),
            format!("{} in {window}", one.limit),
            one.configured.to_string(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::LaneKey;

    #[test]
    fn a_429_shows_until_it_is_made_up_for() {
        let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
        let windows = [Window::rolling(15, Duration::from_secs(60))];
        let heard = |minutes: u64| TooMany {
            lane: LaneKey("productai:x".into()),
            endpoints: "all".into(),
            sent_at: now.before(Duration::from_secs(minutes * 60 + 1)),
            answered_at: now.before(Duration::from_secs(minutes * 60)),
        };
        let accounts = ["shots".to_owned()];
        let of = |heard: &[TooMany]| pace_of(&accounts, "all", &windows, heard, now);
        assert!(of(&[]).is_none());
        assert!(of(&[heard(200)]).is_none());
        let slowed = of(&[heard(25), heard(1)]).unwrap();
        assert_eq!((slowed.limit, slowed.configured), (9, 15));
        let page: Vec<String> = paces_table(&[slowed])
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(page.join("\n"));
    }
}
