//! `vitrine accounts`: which accounts there are, which of them rest and why; `pause` and `resume` ask the
//! worker, by a row of `account_commands`. They need no key: the config's names are enough.

use std::time::Duration;

use domain::{Provider, Timestamp};
use engine::{Clock, SystemClock};
use serde::Serialize;
use store::Store;

use crate::cli::{AccountsCommand, Globals};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{or_dash, print, print_json, table};
use crate::rests::{self, Rest, rests_table};

/// How long a running worker may take to say what it did.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks at what it wrote.
const LOOK: Duration = Duration::from_millis(50);
/// Commands shown that nobody has executed yet.
const MOST_OPEN: u32 = 1_000;

/// One account.
#[derive(Debug, Serialize)]
struct Line {
    account: String,
    provider: Provider,
    /// Whether its key could be read here.
    has_key: bool,
    /// Whether a person has paused it.
    paused: bool,
    /// What was asked and no worker has executed yet.
    asked: Vec<String>,
    /// Accounts with the same key, whose requests count together.
    shares_budget_with: Vec<String>,
    /// What rests of it.
    rests: Vec<Rest>,
}

/// A command that was written down.
#[derive(Debug, Serialize)]
pub(super) struct Asked {
    pub(super) id: i64,
    pub(super) account: String,
    pub(super) command: &'static str,
    /// What the worker said; `None`: none has executed it yet.
    pub(super) outcome: Option<String>,
}

/// Does what was typed after `accounts`.
pub(crate) async fn accounts(
    globals: &Globals,
    command: Option<AccountsCommand>,
) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let done = match command.unwrap_or(AccountsCommand::List) {
        AccountsCommand::List => list(globals, &config, &store).await,
        AccountsCommand::Pause { accounts, reason } => {
            let wish = ("pause", reason.as_deref());
            ask(globals, &config, &store, &accounts, wish).await
        }
        AccountsCommand::Resume { accounts, webhooks } => {
            let what = webhooks.unwrap_or(false).then_some("webhooks");
            ask(globals, &config, &store, &accounts, ("resume", what)).await
        }
    };
    store.close().await;
    done
}

async fn list(globals: &Globals, config: &Config, store: &Store) -> Result<Code, Failure> {
    let now = SystemClock.now();
    let mut lines = Vec::new();
    let lanes = rests::lanes(config);
    let all = rests::read(store, config, now).await?;
    let names: Vec<String> = config.names.keys().cloned().collect();
    let open = store.open_account_commands(&names, MOST_OPEN).await?;
    for (name, provider) in &config.names {
        let mates = lanes.values().find(|names| names.contains(name));
        let of_account = all.iter().filter(|rest| rest.accounts.contains(name));
        let rests: Vec<Rest> = of_account.cloned().collect();
        let asked = open.iter().filter(|command| command.account == *name);
        lines.push(Line {
            account: name.clone(),
            provider: *provider,
            has_key: mates.is_some(),
            paused: rests.iter().any(|rest| rest.code == "paused"),
            asked: asked.map(|command| command.command.clone()).collect(),
            shares_budget_with: mates
                .into_iter()
                .flatten()
                .filter(|mate| *mate != name)
                .cloned()
                .collect(),
            rests,
        });
    }
    if globals.wants_json() {
        print_json(&lines)?;
    } else {
        print(page(&lines, &all, now))?;
    }
    Ok(Code::Done)
}

/// Writes the wish for each of the accounts; for none if one of them is not in the config.
async fn ask(
    globals: &Globals,
    config: &Config,
    store: &Store,
    accounts: &[String],
    (command, value): (&'static str, Option<&str>),
) -> Result<Code, Failure> {
    for name in accounts {
        if !config.names.contains_key(name) {
            let why = format!("the config has no account {name:?}; nothing was asked");
            return Err(Failure::say(Code::Error, why).next(globals.command("accounts list")));
        }
    }
    let mut asked = Vec::new();
    for name in accounts {
        asked.push(Asked {
            id: store.add_account_command(name, command, value).await?,
            account: name.clone(),
            command,
            outcome: None,
        });
    }
    wait(store, &mut asked).await?;
    if globals.wants_json() {
        print_json(&asked)?;
        return Ok(Code::Done);
    }
    for one in &asked {
        print(told(one, globals))?;
    }
    Ok(Code::Done)
}

/// Waits a while for what a running worker says.
pub(super) async fn wait(store: &Store, asked: &mut [Asked]) -> Result<(), Failure> {
    let ids: Vec<i64> = asked.iter().map(|asked| asked.id).collect();
    let began = SystemClock.now();
    loop {
        for said in store.account_commands(&ids).await? {
            let one = asked.iter_mut().find(|asked| asked.id == said.id);
            if let Some(one) = one {
                one.outcome = said.outcome;
            }
        }
        let all = asked.iter().all(|asked| asked.outcome.is_some());
        if all || SystemClock.now().since(began) >= PATIENCE {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn told(asked: &Asked, globals: &Globals) -> String {
    let Asked {
        id,
        account,
        command,
        outcome,
    } = asked;
    match outcome {
        Some(outcome) => format!("{account}: {outcome}"),
        None => format!(
            "{account}: asked to {command} (command {id}); no worker has done it yet, the next one does it \
             before it submits anything\n  next: {}",
            globals.command("accounts list")
        ),
    }
}

fn page(lines: &[Line], all: &[Rest], now: Timestamp) -> String {
    if lines.is_empty() {
        return "the config has no accounts".to_owned();
    }
    let mut glance = table([
        "ACCOUNT",
        "PROVIDER",
        "KEY",
        "STATE",
        "ASKED",
        "SHARES ITS BUDGET WITH",
    ]);
    for line in lines {
        let state = match (line.paused, line.rests.is_empty()) {
            (true, _) => "paused",
            (false, false) => "rests",
            (false, true) => "works",
        };
        let listed = |words: &[String]| or_dash(Some(words.join(", ")).filter(|w| !w.is_empty()));
        glance.add_row([
            line.account.clone(),
            line.provider.to_string(),
            if line.has_key { "found" } else { "missing" }.to_owned(),
            state.to_owned(),
            listed(&line.asked),
            listed(&line.shares_budget_with),
        ]);
    }
    let mut parts = vec![glance.to_string()];
    if !all.is_empty() {
        parts.push(rests_table(all, now));
    }
    parts.join("\n\n")
}
