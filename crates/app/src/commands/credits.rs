//! `vitrine credits`: what accounts have spent, how full their caps are, and whether their submits rest;
//! `--resume` and `--balance` ask the worker, by a row of `account_commands`.

use std::time::Duration;

use domain::{Provider, Timestamp};
use engine::{Account, Clock, SystemClock};
use serde::Serialize;
use store::{Pause, Store};

use crate::caps::{CapLine, Window, caps_table, spending};
use crate::cli::{CreditsArgs, Globals};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{or_dash, print, print_json, say, spoken, table};

/// How long a running worker may take to read a balance.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two looks at what it wrote.
const LOOK: Duration = Duration::from_millis(100);

/// One account.
#[derive(Debug, Serialize)]
struct Line {
    account: String,
    provider: Provider,
    today: Window,
    this_month: Window,
    caps: Vec<CapLine>,
    /// Why its submits rest for want of credits, and until when one tries again.
    paused: Option<Pause>,
    /// What the worker said of the provider's own balance, where it was asked.
    balance: Option<String>,
}

/// A command that was written down.
#[derive(Debug, Serialize)]
struct Asked {
    id: i64,
    account: String,
    command: &'static str,
}

/// Reports, or asks the worker.
pub(crate) async fn credits(globals: &Globals, args: &CreditsArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let accounts = chosen(&config, args.account.as_deref(), globals)?;
    for why in &config.keyless {
        say(format!("warning: an account is not shown: {why}"));
    }
    if args.resume.unwrap_or_default() {
        let asked = ask(&store, &accounts, "resume", Some("credits")).await?;
        store.close().await;
        return tell_resumed(globals, &asked);
    }
    let balances = if args.balance.unwrap_or_default() {
        balances(&store, &accounts).await?
    } else {
        vec![None; accounts.len()]
    };
    let now = SystemClock.now();
    let mut lines = Vec::new();
    for (account, balance) in accounts.iter().zip(balances) {
        lines.push(line(&store, account, balance, now).await?);
    }
    store.close().await;
    if globals.wants_json() {
        print_json(&lines)?;
    } else {
        print(page(&lines, now))?;
    }
    Ok(Code::Done)
}

fn chosen<'a>(
    config: &'a Config,
    name: Option<&str>,
    globals: &Globals,
) -> Result<Vec<&'a Account>, Failure> {
    let accounts = config.accounts.iter().map(|(account, _)| account);
    let chosen: Vec<&Account> = accounts
        .filter(|account| name.is_none_or(|name| account.name == name))
        .collect();
    match name {
        Some(name) if chosen.is_empty() => Err(Failure::say(
            Code::Error,
            format!("the config has no account {name:?} with a key"),
        )
        .next(globals.command("credits"))),
        _ => Ok(chosen),
    }
}

async fn ask(
    store: &Store,
    accounts: &[&Account],
    command: &'static str,
    value: Option<&str>,
) -> Result<Vec<Asked>, Failure> {
    let mut asked = Vec::new();
    for account in accounts {
        asked.push(Asked {
            id: store
                .add_account_command(&account.name, command, value)
                .await?,
            account: account.name.clone(),
            command,
        });
    }
    Ok(asked)
}

fn tell_resumed(globals: &Globals, asked: &[Asked]) -> Result<Code, Failure> {
    if globals.wants_json() {
        print_json(&asked)?;
        return Ok(Code::Done);
    }
    for Asked { id, account, .. } in asked {
        print(format!(
            "{account}: asked to resume (command {id}); the worker does it at once, or when it starts"
        ))?;
    }
    Ok(Code::Done)
}

/// Asks the worker for the balances that are documented, and waits a while for what it says.
async fn balances(store: &Store, accounts: &[&Account]) -> Result<Vec<Option<String>>, Failure> {
    let documented: Vec<&Account> = accounts
        .iter()
        .copied()
        .filter(|account| account.provider == Provider::Jakov)
        .collect();
    let asked = ask(store, &documented, "balance", None).await?;
    let ids: Vec<i64> = asked.iter().map(|asked| asked.id).collect();
    let mut said = store.account_commands(&ids).await?;
    let began = SystemClock.now();
    while said.iter().any(|command| command.outcome.is_none())
        && SystemClock.now().since(began) < PATIENCE
    {
        tokio::time::sleep(LOOK).await;
        said = store.account_commands(&ids).await?;
    }
    let of = |account: &&Account| {
        if account.provider != Provider::Jakov {
            return Some(format!("{} documents no balance", account.provider));
        }
        let command = said
            .iter()
            .find(|command| command.account == account.name)?;
        let none = "no worker has read it yet: `vitrine run` reads it when it works";
        Some(command.outcome.clone().unwrap_or_else(|| none.to_owned()))
    };
    Ok(accounts.iter().map(of).collect())
}

async fn line(
    store: &Store,
    account: &Account,
    balance: Option<String>,
    now: Timestamp,
) -> Result<Line, Failure> {
    let spending = spending(store, account, now).await?;
    let pauses = store.pauses(std::slice::from_ref(&account.lane)).await?;
    Ok(Line {
        account: account.name.clone(),
        provider: account.provider,
        today: spending.today,
        this_month: spending.this_month,
        caps: spending.caps,
        paused: pauses
            .into_iter()
            .find(|pause| pause.code == "out_of_credits"),
        balance,
    })
}

fn page(lines: &[Line], now: Timestamp) -> String {
    let mut money = table([
        "ACCOUNT",
        "PROVIDER",
        "TODAY",
        "RESERVED",
        "IN DOUBT",
        "THIS MONTH",
        "RESERVED",
        "IN DOUBT",
        "SUBMITS",
    ]);
    for line in lines {
        let (today, month) = (line.today.sums, line.this_month.sums);
        money.add_row([
            line.account.clone(),
            line.provider.to_string(),
            today.booked.to_string(),
            today.reserved.to_string(),
            today.in_doubt.to_string(),
            month.booked.to_string(),
            month.reserved.to_string(),
            month.in_doubt.to_string(),
            or_dash(line.paused.as_ref().map(|pause| rests(pause, now))),
        ]);
    }
    let mut parts = vec![money.to_string()];
    let caps: Vec<&CapLine> = lines.iter().flat_map(|line| &line.caps).collect();
    if !caps.is_empty() {
        parts.push(caps_table(caps));
    }
    let said = lines.iter().filter_map(|line| {
        let balance = line.balance.as_ref()?;
        Some(format!("{}: {balance}", line.account))
    });
    let said: Vec<String> = said.collect();
    if !said.is_empty() {
        parts.push(said.join("\n"));
    }
    parts.join("\n\n")
}

fn rests(pause: &Pause, now: Timestamp) -> String {
    let message = &pause.message;
    match pause.until.filter(|until| *until > now) {
        Some(until) => format!("rest for {}: {message}", spoken(until.since(now))),
        None => format!("try again: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::CapKind;
    use store::{LaneKey, Sums};

    #[test]
    fn a_glance_tells_what_is_spent_and_what_rests() {
        let now: Timestamp = "2026-11-22T16:00:00Z".parse().unwrap();
        let window = |booked| {
            Window::from(Sums {
                booked,
                reserved: 3,
                in_doubt: 6,
            })
        };
        let lines = [Line {
            account: "shots".into(),
            provider: Provider::Productai,
            today: window(40),
            this_month: window(400),
            caps: vec![CapLine {
                account: "shots".into(),
                cap: CapKind::PerDay,
                batch: None,
                limit: 50,
                taken: 49,
                percent: 98,
                state: "warning",
                frees_at: CapKind::PerDay.frees_at(now),
            }],
            paused: Some(Pause {
                lane: LaneKey("productai:x".into()),
                endpoints: "submits".into(),
                code: "out_of_credits".into(),
                message: "the account has no credits left".into(),
                since: Some(now),
                until: Some(now + Duration::from_secs(300)),
                strikes: 0,
            }),
            balance: Some("productai documents no balance".into()),
        }];
        let page: Vec<String> = page(&lines, now)
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(page.join("\n"));
    }
}
