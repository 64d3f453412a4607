//! `vitrine run`: the worker, until it is stopped or nothing is left to do.

use std::sync::Arc;

use domain::Status;
use engine::{
    Clock, DiskReserve, DiskWatch, Ended, Hands, LocalStorage, Outlook, RunOptions, SystemClock,
};
use store::{Count, Store};

use crate::cli::{Globals, RunArgs};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::forecasts::Keeper;
use crate::opened;
use crate::output::{print_json, say};
use crate::progress::{Progress, plural};
use crate::signals::Signals;
use crate::tally::Tally;

/// When the worker ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Never.
    Stopped,
    /// When nothing is left that can go on by itself.
    Idle,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Worked {
    /// Why it ended.
    pub(crate) ended: Ended,
    /// How often a job failed on the way.
    pub(crate) failed: u64,
}

/// Works.
pub(crate) async fn run(globals: &Globals, args: &RunArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    check_keys(&config)?;
    store.check_server().await?;
    for setting in &config.unenforced {
        say(format!("warning: {setting}"));
    }
    let signals = Signals::listen()?;
    let until = if args.until_idle.unwrap_or_default() {
        Until::Idle
    } else {
        Until::Stopped
    };
    let worked = work(&config, &store, until, None, &signals).await?;
    let counts = store.counts(None).await?;
    let refused = match &worked.ended {
        Ended::Idle(outlook) => waiting_in_batches(&config, &store, outlook).await?,
        Ended::Drained | Ended::Stopped => 0,
    };
    store.close().await;
    for line in account(&counts) {
        say(line);
    }
    if globals.wants_json() {
        print_json(&Tally::by_kind(&counts))?;
    }
    Ok(match worked.ended {
        Ended::Idle(outlook) => {
            tell_what_waits(&outlook, &counts, globals);
            let paused = waiting_for_resume(&config, &outlook, &counts);
            if paused > 0 {
                say(format!(
                    "jobs whose account a person has paused: {paused}\n  next: {}",
                    globals.command("accounts list")
                ));
            }
            if refused > 0 {
                say(format!(
                    "jobs of batches that are paused because many in a row were refused: {refused}\n  next: {}",
                    globals.command("batch list")
                ));
            }
            let code = code_of(&outlook, worked.failed, &counts);
            if paused + refused > 0 && matches!(code, Code::Done | Code::CapReached) {
                Code::Unfinished
            } else {
                code
            }
        }
        Ended::Drained if !signals.interrupted() => Code::Done,
        Ended::Drained | Ended::Stopped => Code::Interrupted,
    })
}

/// A worker needs all its keys: to leave an account out in silence would leave its jobs waiting.
fn check_keys(config: &Config) -> Result<(), Failure> {
    let source = config.source.display();
    if !config.keyless.is_empty() {
        let why = format!("{source}: {}", config.keyless.join("\n  "));
        return Err(Failure::say(Code::Config, why)
            .next("set what is missing, or remove that account's section from the config"));
    }
    if config.accounts.is_empty() {
        let why = format!("{source} has no [accounts.…] section, so there is nobody to work for");
        return Err(Failure::say(Code::Config, why).next("vitrine init (writes an example)"));
    }
    Ok(())
}

/// The worker itself, with progress; `demo` uses it too.
pub(crate) async fn work(
    config: &Config,
    store: &Store,
    until: Until,
    batch: Option<&str>,
    signals: &Signals,
) -> Result<Worked, Failure> {
    let storage = LocalStorage::open(&config.storage)
        .await
        .map_err(|error| Failure::new(Code::Error, error))?;
    let clock = Arc::new(SystemClock);
    let (hands, reports) = Hands::new(&config.accounts, storage, clock.clone())
        .map_err(|error| Failure::new(Code::Error, error))?;
    let accounts: Vec<_> = config
        .accounts
        .iter()
        .map(|(account, _)| account.clone())
        .collect();
    let now = clock.now();
    let disk = DiskWatch::start(reserve(config)).await;
    let options = RunOptions {
        disk,
        until_idle: until == Until::Idle,
        in_doubt_wait: config.in_doubt_wait,
        drain_limit: config.drain_limit,
        owner: format!("{}@{} since {now}", std::process::id(), host_name()),
        lease: config.lease,
        seed: now.as_millis().unsigned_abs() ^ (u64::from(std::process::id()) << 32),
        drain: signals.drain.clone(),
        stop: signals.stop.clone(),
    };
    let progress = Progress::start(store.clone(), batch.map(str::to_owned));
    let forecasts = Keeper::start(store.clone(), accounts.clone()).await;
    let mut failed = 0;
    let ended = engine::run(
        store.clone(),
        accounts,
        hands,
        reports,
        clock,
        options,
        &mut |plan, _| failed += plan.moved.get(Status::Failed.as_str()).unwrap_or(&0),
    )
    .await;
    forecasts.finish().await;
    drop(progress);
    let ended = ended?;
    Ok(Worked { ended, failed })
}

/// What must stay free on the disks of the storage and of a database that is a file.
pub(crate) fn reserve(config: &Config) -> DiskReserve {
    let database = opened::sqlite_file(&config.database_url);
    DiskReserve {
        places: std::iter::once(config.storage.clone())
            .chain(database)
            .collect(),
        bytes: config.reserve,
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// The counted account, a line for each kind that has jobs.
fn account(counts: &[Count]) -> Vec<String> {
    let by_kind = Tally::by_kind(counts);
    let with_jobs = by_kind.iter().filter(|(_, tally)| tally.jobs > 0);
    with_jobs
        .map(|(kind, tally)| format!("{}: {}", plural(*kind), sentence(tally)))
        .collect()
}

/// `24 inserted = 23 completed + 1 failed + …`, by the rule of DESIGN.md 3.2.
pub(crate) fn sentence(tally: &Tally) -> String {
    format!(
        "{} inserted = {} completed + {} failed + {} cancelled + {} rejected + {} in doubt + {} open",
        tally.jobs,
        tally.completed,
        tally.failed,
        tally.cancelled,
        tally.rejected,
        tally.in_doubt,
        tally.open()
    )
}

fn tell_what_waits(outlook: &Outlook, counts: &[Count], globals: &Globals) {
    for (account, words) in outlook.key_refused.iter().chain(&outlook.out_of_credits) {
        say(format!("{account}: {words}"));
    }
    let strangers = unknown_accounts(counts);
    if strangers > 0 {
        say(format!(
            "jobs that name an account which the config does not have: {strangers}\n  next: {}",
            globals.command("status")
        ));
    }
    let capped = held_by(counts, "spend_cap");
    if capped > 0 {
        say(format!(
            "jobs that wait because a spending cap is reached: {capped}\n  next: {}",
            globals.command("credits")
        ));
    }
    let unpriced = held_by(counts, "price_unknown");
    if unpriced > 0 {
        say(format!(
            "jobs whose price is not known, which a spending cap cannot count: {unpriced}\n  next: {}",
            globals.command("jobs list --code price_unknown")
        ));
    }
    for why in &outlook.rests {
        say(format!("submits rest: {why}"));
    }
    let tally = Tally::of(counts);
    if tally.awaiting_approval > 0 {
        say(format!(
            "productions whose files are here and that wait for their release at the provider: {}",
            tally.awaiting_approval
        ));
    }
    let in_doubt = tally.in_doubt;
    if in_doubt > 0 {
        say(format!(
            "jobs in doubt, which wait for a person: {in_doubt}\n  next: {}",
            globals.command("jobs resolve (shows price and evidence of each)")
        ));
    }
}

/// Jobs whose account the config does not have.
pub(crate) fn unknown_accounts(counts: &[Count]) -> i64 {
    held_by(counts, "unknown_account")
}

/// Pending jobs whose account a person has paused.
fn waiting_for_resume(config: &Config, outlook: &Outlook, counts: &[Count]) -> i64 {
    pending_of(config, counts, |account| {
        outlook.paused.contains_key(account)
    })
}

/// Pending jobs of batches that are paused because their jobs were refused.
async fn waiting_in_batches(
    config: &Config,
    store: &Store,
    outlook: &Outlook,
) -> Result<i64, Failure> {
    let mut waiting = 0;
    for (name, batch) in &outlook.paused_batches {
        let counts = store.counts(Some(batch)).await?;
        waiting += pending_of(config, &counts, |account| account == name);
    }
    Ok(waiting)
}

/// Pending jobs that these accounts would take.
fn pending_of(config: &Config, counts: &[Count], taken_by: impl Fn(&str) -> bool) -> i64 {
    let takes = |count: &&Count| {
        config.accounts.iter().any(|(account, _)| {
            let names_it = match &count.account {
                Some(name) => *name == account.name,
                None => account.policy.takes_unnamed && account.provider == count.kind.provider(),
            };
            names_it && taken_by(&account.name)
        })
    };
    let pending = counts
        .iter()
        .filter(|count| count.status == Status::Pending);
    pending.filter(takes).map(|count| count.jobs).sum()
}

/// Pending jobs that wait for this reason.
fn held_by(counts: &[Count], code: &str) -> i64 {
    counts
        .iter()
        .filter(|count| count.status == Status::Pending)
        .filter(|count| count.error_code.as_deref() == Some(code))
        .map(|count| count.jobs)
        .sum()
}

/// The exit code of a run that came to its end: the gravest of what is to be told. What failed in earlier
/// runs was told then.
fn code_of(outlook: &Outlook, failed: u64, after: &[Count]) -> Code {
    // One that failed may have been tried again since, by a person, and be done.
    let failed = failed > 0 && Tally::of(after).without_result() > 0;
    let tally = Tally::of(after);
    let is_held_back = !outlook.rests.is_empty() && tally.pending + tally.capturing > 0;
    if is_held_back || outlook.waiting_for_room > 0 {
        // Nothing failed, and it did not come to its end: the disk, or the database's server.
        Code::Error
    } else if !outlook.key_refused.is_empty() {
        Code::KeyRefused
    } else if failed
        || Tally::of(after).in_doubt > 0
        || !outlook.out_of_credits.is_empty()
        || unknown_accounts(after) > 0
        || held_by(after, "price_unknown") > 0
    {
        Code::Unfinished
    } else if held_by(after, "spend_cap") > 0 {
        Code::CapReached
    } else {
        Code::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::JobKind;

    fn count(status: Status, code: Option<&str>, jobs: i64) -> Count {
        Count {
            kind: JobKind::Image,
            account: None,
            status,
            awaiting_approval: false,
            error_code: code.map(str::to_owned),
            jobs,
            credits: 0,
            oldest: None,
        }
    }

    #[test]
    fn what_failed_in_an_earlier_run_is_not_told_again() {
        let outlook = Outlook::default();
        let old = [count(Status::Failed, Some("remote_error"), 2)];
        assert_eq!(code_of(&outlook, 0, &old), Code::Done);
        assert_eq!(code_of(&outlook, 1, &old), Code::Unfinished);
        let mended = [count(Status::Completed, None, 2)];
        assert_eq!(code_of(&outlook, 1, &mended), Code::Done);
    }

    #[test]
    fn what_waits_for_a_person_is_no_success() {
        let outlook = Outlook::default();
        let doubt = [count(Status::InDoubt, Some("timed_out"), 1)];
        assert_eq!(code_of(&outlook, 0, &doubt), Code::Unfinished);
        let stranger = [count(Status::Pending, Some("unknown_account"), 1)];
        assert_eq!(code_of(&outlook, 0, &stranger), Code::Unfinished);
        let spent = Outlook {
            out_of_credits: [("shots".to_owned(), "OUT_OF_TOKENS".to_owned())].into(),
            ..Outlook::default()
        };
        assert_eq!(code_of(&spent, 0, &[]), Code::Unfinished);
        let refused = Outlook {
            key_refused: [("shots".to_owned(), "401".to_owned())].into(),
            ..Outlook::default()
        };
        assert_eq!(code_of(&refused, 0, &doubt), Code::KeyRefused);
    }

    #[test]
    fn a_cap_is_told_when_nothing_graver_is() {
        let outlook = Outlook::default();
        let capped = count(Status::Pending, Some("spend_cap"), 5);
        assert_eq!(
            code_of(&outlook, 0, std::slice::from_ref(&capped)),
            Code::CapReached
        );
        for graver in [
            count(Status::Failed, Some("provider_failed"), 1),
            count(Status::InDoubt, Some("timed_out"), 1),
            count(Status::Pending, Some("price_unknown"), 1),
        ] {
            let counts = [capped.clone(), graver];
            assert_eq!(code_of(&outlook, 1, &counts), Code::Unfinished);
        }
        // What was ended while it waited waits no more.
        let ended = count(Status::Cancelled, Some("spend_cap"), 5);
        assert_eq!(code_of(&outlook, 0, &[ended]), Code::Done);
    }

    #[test]
    fn the_account_names_every_place() {
        let counts = [
            count(Status::Completed, None, 20),
            count(Status::Failed, Some("missing_prompt"), 1),
            count(Status::Pending, None, 3),
        ];
        insta::assert_snapshot!(account(&counts).join("\n"), @"images: 24 inserted = 20 completed + 0 failed + 0 cancelled + 1 rejected + 0 in doubt + 3 open");
    }
}
