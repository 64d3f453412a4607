//! `vitrine status`: how many jobs stand where, by account and kind; what rests, until when and why;
//! how long the open work takes, and what it cost.

use std::collections::BTreeMap;

use domain::{JobKind, Status, Timestamp};
use engine::{Clock, SystemClock};
use serde::Serialize;
use store::{Count, Spent, Store};

use crate::caps::{CapLine, caps_table, spending};
use crate::cli::{Globals, StatusArgs};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::forecasts::{Asking, Forecasts, paragraph};
use crate::opened;
use crate::output::{or_dash, print, print_json, say, spoken, table};
use crate::paces::{self, Slowed, paces_table};
use crate::rests::{self, Rest, rests_table};
use crate::tally::Tally;

/// All that is shown.
#[derive(Debug, Serialize)]
struct Report {
    database: String,
    jobs: Vec<Line>,
    pauses: Vec<Rest>,
    /// Groups that use only a part of their limit, after answers 429.
    slowed: Vec<Slowed>,
    spent: Vec<Spent>,
    caps: Vec<CapLine>,
    unknown_accounts: Vec<String>,
    /// Why submits rest everywhere, as seen from here.
    rests: Vec<String>,
    /// How long the open work takes and what it costs.
    forecast: Forecasts,
}

/// The jobs of one account and kind.
#[derive(Debug, Serialize)]
struct Line {
    /// `None`: rows that name none, and that nobody took yet.
    account: Option<String>,
    kind: JobKind,
    #[serde(flatten)]
    tally: Tally,
    /// `created_at` of the oldest pending one.
    oldest_pending: Option<Timestamp>,
}

/// Reports.
pub(crate) async fn status(globals: &Globals, args: &StatusArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let counts = store.counts(args.batch.as_deref()).await?;
    let now = SystemClock.now();
    let mut caps = Vec::new();
    for (account, _) in &config.accounts {
        if !account.policy.spend.is_empty() {
            caps.extend(spending(&store, account, now).await?.caps);
        }
    }
    let everywhere = rests_everywhere(&config, &store, globals).await?;
    let accounts: Vec<_> = (config.accounts.iter())
        .map(|(account, _)| account.clone())
        .collect();
    let asking = Asking {
        store: &store,
        accounts: &accounts,
        everywhere: &everywhere,
        planned: &[],
        now,
    };
    let report = Report {
        forecast: asking.read().await?,
        caps,
        database: store.place(),
        jobs: lines(&counts),
        pauses: rests::read(&store, &config, now).await?,
        slowed: paces::read(&store, &config, now).await?,
        spent: store.spent().await?,
        unknown_accounts: unknown_accounts(&counts),
        rests: everywhere,
    };
    store.close().await;
    for why in &config.keyless {
        say(format!("warning: its pauses are not shown: {why}"));
    }
    if globals.wants_json() {
        print_json(&report)?;
    } else {
        print(page(&report, now))?;
    }
    Ok(Code::Done)
}

/// A disk that is low, a server that nobody accepted.
async fn rests_everywhere(
    config: &Config,
    store: &Store,
    globals: &Globals,
) -> Result<Vec<String>, Failure> {
    let another = store.another_server().await?.map(|another| {
        let next = globals.command("doctor --accept-database");
        format!("submits rest: {another}; to go on all the same: {next}")
    });
    let low = super::run::reserve(config).low(false);
    let low = low.map(|why| format!("submits and captures rest: {why}"));
    Ok(another.into_iter().chain(low).collect())
}

fn lines(counts: &[Count]) -> Vec<Line> {
    let mut groups: BTreeMap<(Option<&str>, JobKind), Vec<&Count>> = BTreeMap::new();
    for count in counts {
        let group = groups.entry((count.account.as_deref(), count.kind));
        group.or_default().push(count);
    }
    let line = |((account, kind), counts): ((Option<&str>, JobKind), Vec<&Count>)| Line {
        account: account.map(str::to_owned),
        kind,
        tally: Tally::of(counts.iter().copied()),
        oldest_pending: counts
            .iter()
            .filter(|count| count.status == Status::Pending)
            .filter_map(|count| count.oldest)
            .min(),
    };
    groups.into_iter().map(line).collect()
}

fn unknown_accounts(counts: &[Count]) -> Vec<String> {
    let mut names: Vec<String> = counts
        .iter()
        .filter(|count| count.error_code.as_deref() == Some("unknown_account"))
        .filter_map(|count| count.account.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn page(report: &Report, now: Timestamp) -> String {
    let mut parts = vec![report.database.clone(), jobs(&report.jobs, now)];
    parts.extend(report.rests.iter().cloned());
    if !report.pauses.is_empty() {
        parts.push(rests_table(&report.pauses, now));
    }
    if !report.slowed.is_empty() {
        parts.push(paces_table(&report.slowed));
    }
    parts.extend(paragraph(&report.forecast, now));
    if !report.spent.is_empty() {
        parts.push(credits(&report.spent));
    }
    if !report.caps.is_empty() {
        parts.push(caps_table(&report.caps));
    }
    if !report.unknown_accounts.is_empty() {
        parts.push(format!(
            "Jobs name accounts that the config does not have: {}",
            report.unknown_accounts.join(", ")
        ));
    }
    parts.join("\n\n")
}

fn jobs(lines: &[Line], now: Timestamp) -> String {
    if lines.is_empty() {
        return "no jobs".to_owned();
    }
    let mut table = table([
        "ACCOUNT",
        "KIND",
        "JOBS",
        "PENDING",
        "SUBMITTING",
        "RUNNING",
        "APPROVAL",
        "CAPTURING",
        "COMPLETED",
        "FAILED",
        "REJECTED",
        "CANCELLED",
        "IN DOUBT",
        "OLDEST PENDING",
    ]);
    for line in lines {
        let tally = &line.tally;
        let numbers = [
            tally.jobs,
            tally.pending,
            tally.submitting,
            tally.running,
            tally.awaiting_approval,
            tally.capturing,
            tally.completed,
            tally.failed,
            tally.rejected,
            tally.cancelled,
            tally.in_doubt,
        ];
        let oldest = line.oldest_pending.map(|at| spoken(now.since(at)));
        let cells = [or_dash(line.account.as_deref()), line.kind.to_string()]
            .into_iter()
            .chain(numbers.map(|number| number.to_string()))
            .chain([or_dash(oldest)]);
        table.add_row(cells.collect::<Vec<_>>());
    }
    table.to_string()
}

fn credits(spent: &[Spent]) -> String {
    let mut table = table([
        "ACCOUNT",
        "PROVIDER",
        "SUBMISSIONS",
        "ACCEPTED",
        "UNKNOWN",
        "CREDITS",
        "RESERVED",
    ]);
    for one in spent {
        table.add_row([
            one.account.clone(),
            one.provider.to_string(),
            one.submissions.to_string(),
            one.accepted.to_string(),
            one.unknown.to_string(),
            one.credits.to_string(),
            one.reserved.to_string(),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Provider;
    use std::time::Duration;
    use store::{LaneKey, Pause};

    const NOW: Timestamp = Timestamp::from_millis(1_763_800_000_000);

    fn count(account: Option<&str>, status: Status, code: Option<&str>, jobs: i64) -> Count {
        Count {
            kind: JobKind::Image,
            account: account.map(str::to_owned),
            status,
            awaiting_approval: false,
            error_code: code.map(str::to_owned),
            jobs,
            credits: jobs * 3,
            oldest: Some(NOW.before(Duration::from_secs(600))),
        }
    }

    #[test]
    fn a_glance_tells_what_waits_for_whom() {
        let counts = [
            count(None, Status::Pending, None, 7),
            count(Some("shots"), Status::Completed, None, 20),
            count(Some("shots"), Status::Failed, Some("remote_error"), 1),
            count(Some("shtos"), Status::Pending, Some("unknown_account"), 2),
        ];
        let lane = LaneKey("productai:sandbox".into());
        let pause = |until: Option<Timestamp>| Pause {
            lane: lane.clone(),
            endpoints: "all".into(),
            code: "rate_limited".into(),
            message: "the provider asks to wait".into(),
            until,
            since: Some(NOW.before(Duration::from_secs(90))),
            strikes: 1,
        };
        let by_hand = store::AccountPause {
            account: "shots".into(),
            since: NOW.before(Duration::from_secs(600)),
            reason: Some("the prompt is wrong".into()),
        };
        let over = pause(Some(NOW.before(Duration::from_secs(1))));
        let lanes = BTreeMap::from([(lane.clone(), vec!["shots".to_owned()])]);
        let report = Report {
            database: "sqlite://shop.db".into(),
            jobs: lines(&counts),
            pauses: rests::resting(
                vec![by_hand],
                vec![over, pause(Some(NOW + Duration::from_secs(30)))],
                &lanes,
                NOW,
            ),
            slowed: Vec::new(),
            spent: vec![Spent {
                account: "shots".into(),
                provider: Provider::Productai,
                submissions: 22,
                accepted: 21,
                unknown: 0,
                credits: 63,
                reserved: 0,
            }],
            caps: vec![CapLine {
                account: "shots".into(),
                cap: domain::CapKind::PerBatch,
                batch: Some("spring".into()),
                limit: 60,
                taken: 60,
                percent: 100,
                state: "reached",
                frees_at: None,
            }],
            unknown_accounts: unknown_accounts(&counts),
            rests: Vec::new(),
            forecast: Forecasts::default(),
        };
        let page: Vec<String> = page(&report, NOW)
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(page.join("\n"));
    }
}
