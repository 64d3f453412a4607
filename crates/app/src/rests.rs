//! What rests, for whom, since when, until when and why: groups of endpoints by what a provider said or did
//! not say, and accounts by a person's word. `status` and `accounts` show it.

use std::collections::BTreeMap;

use domain::Timestamp;
use serde::Serialize;
use store::{AccountPause, BatchRefusals, LaneKey, Pause, Store};

use crate::config::Config;
use crate::exit::Failure;
use crate::output::{or_dash, spoken, table};

/// The code of a person's pause.
const PAUSED: &str = "paused";

/// The code of a batch that is paused because its jobs were refused.
const BATCH_REFUSED: &str = "batch_refused";

/// The code under which webhooks are not believed.
const FORGED: &str = "webhook_forged";

/// After these, one request tries when their time is over, before all go on.
const TRIED: [&str; 4] = [
    "unavailable",
    "outcome_unknown",
    "misdirected",
    "out_of_credits",
];

/// Requests that rest.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Rest {
    /// The accounts whose requests they are.
    pub(crate) accounts: Vec<String>,
    /// The lane of the key; none for a person's pause, which is the account's.
    lane: Option<LaneKey>,
    /// Which requests: `submits`, a group of endpoints, or a quota.
    pub(crate) endpoints: String,
    /// Only the jobs of this batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<String>,
    pub(crate) code: String,
    message: String,
    since: Option<Timestamp>,
    /// `None`: until somebody acts.
    pub(crate) until: Option<Timestamp>,
    /// Whether its time is over, and one request at a time tries until one succeeds.
    trying: bool,
    strikes: u32,
}

impl Rest {
    /// `None`: its time has passed, and nothing is left of it even if nobody removed it yet.
    fn of_lane(pause: Pause, accounts: Vec<String>, now: Timestamp) -> Option<Self> {
        let is_over = pause.until.is_some_and(|until| until <= now);
        let tries = TRIED.contains(&pause.code.as_str());
        (!is_over || tries).then_some(Self {
            accounts,
            lane: Some(pause.lane),
            endpoints: pause.endpoints,
            batch: None,
            code: pause.code,
            message: pause.message,
            since: pause.since,
            until: pause.until,
            trying: is_over,
            strikes: pause.strikes,
        })
    }

    fn of_account(pause: AccountPause) -> Self {
        Self {
            accounts: vec![pause.account],
            lane: None,
            endpoints: "submits".to_owned(),
            batch: None,
            code: PAUSED.to_owned(),
            message: pause
                .reason
                .unwrap_or_else(|| "a person said so".to_owned()),
            since: Some(pause.since),
            until: None,
            trying: false,
            strikes: 0,
        }
    }

    /// `None`: its jobs were refused, and not often enough.
    fn of_batch(known: BatchRefusals) -> Option<Self> {
        let since = known.paused_at?;
        Some(Self {
            accounts: vec![known.account],
            lane: None,
            endpoints: "submits".to_owned(),
            batch: Some(known.batch),
            code: BATCH_REFUSED.to_owned(),
            message: format!(
                "{} of its jobs were refused in a row, the last one with {}: {}",
                known.refusals, known.code, known.message
            ),
            since: Some(since),
            until: None,
            trying: false,
            strikes: known.refusals,
        })
    }
}

/// All that rests now, of the accounts of this config.
pub(crate) async fn read(
    store: &Store,
    config: &Config,
    now: Timestamp,
) -> Result<Vec<Rest>, Failure> {
    let lanes = lanes(config);
    let keys: Vec<LaneKey> = lanes.keys().cloned().collect();
    let names: Vec<String> = config.names.keys().cloned().collect();
    let of_people = store.account_pauses(&names).await?;
    let of_lanes = store.pauses(&keys).await?;
    let of_batches = store.batch_refusals(&names).await?;
    let mut rests = resting(of_people, of_lanes, &lanes, now);
    rests.extend(of_batches.into_iter().filter_map(Rest::of_batch));
    Ok(rests)
}

/// The accounts of each lane.
pub(crate) fn lanes(config: &Config) -> BTreeMap<LaneKey, Vec<String>> {
    let mut lanes: BTreeMap<LaneKey, Vec<String>> = BTreeMap::new();
    for (account, _) in &config.accounts {
        let accounts = lanes.entry(account.lane.clone()).or_default();
        accounts.push(account.name.clone());
    }
    lanes
}

/// What rests now, or tries.
pub(crate) fn resting(
    of_people: Vec<AccountPause>,
    of_lanes: Vec<Pause>,
    lanes: &BTreeMap<LaneKey, Vec<String>>,
    now: Timestamp,
) -> Vec<Rest> {
    let of_people = of_people.into_iter().map(Rest::of_account);
    let of_lanes = of_lanes.into_iter().filter_map(|pause| {
        let accounts = lanes.get(&pause.lane).cloned().unwrap_or_default();
        Rest::of_lane(pause, accounts, now)
    });
    of_people.chain(of_lanes).collect()
}

/// As people read it.
pub(crate) fn rests_table<'a>(rests: impl IntoIterator<Item = &'a Rest>, now: Timestamp) -> String {
    let mut table = table(["RESTS", "REQUESTS", "SINCE", "UNTIL", "CODE", "WHY"]);
    for rest in rests {
        let since = rest
            .since
            .map(|since| format!("{} ago", spoken(now.since(since))));
        let until = match rest.until {
            Some(_) if rest.trying => "one tries".to_owned(),
            Some(until) => format!("in {}", spoken(until.since(now))),
            None if rest.code == PAUSED => "accounts resume".to_owned(),
            None if rest.code == BATCH_REFUSED => "batch resume".to_owned(),
            None if rest.code == FORGED => "accounts resume --webhooks".to_owned(),
            None => "somebody acts".to_owned(),
        };
        table.add_row([
            rest.accounts.join(", "),
            match &rest.batch {
                Some(batch) => format!("{} of {batch}", rest.endpoints),
                None => rest.endpoints.clone(),
            },
            or_dash(since),
            until,
            rest.code.clone(),
            rest.message.clone(),
        ]);
    }
    table.to_string()
}
