//! `vitrine import`: a shop's catalog into the job tables, by the same INSERT that other programs use.

mod intake;
mod make;
mod notices;
mod report;

use std::path::{Path, PathBuf};

use catalog::{Catalog, Mapping};
use domain::{Provider, Status, Timestamp};
use engine::{Account, Clock, SystemClock};
use store::{OpenWork, Store};

use crate::cli::{Globals, ImportArgs};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::forecasts::Asking;
use crate::opened;
use crate::output::{print, print_json, say};
use intake::{Intake, Rules};
use make::{Order, Task};
use notices::Notices;
use report::{JobsReport, Report};

/// What a file of rejected rows is called after.
const REJECTED: &str = ".rejected";

/// Imports.
pub(crate) async fn import(globals: &Globals, args: &ImportArgs) -> Result<Code, Failure> {
    let tasks = Task::all(args);
    let dry_run = args.dry_run == Some(true);
    let opened = match opened::open(globals).await {
        Ok(opened) => Ok(opened),
        // A look needs no database, and a dry run does without a forecast.
        Err(failure) if tasks.is_empty() || dry_run => Err(failure),
        Err(failure) => return Err(failure),
    };
    let (config, store) = match &opened {
        Ok((config, store)) => (Some(config), Some(store)),
        Err(_) => (None, None),
    };
    let mut report = Report {
        dry_run: dry_run || tasks.is_empty(),
        ..Report::default()
    };
    let mut notices = Notices::new(args.notices.as_deref())?;
    for file in &args.files {
        notices.first.clear();
        let batch = args.batch.clone().unwrap_or_else(|| batch_of(file));
        let catalog = Catalog::open(file, Mapping(args.map.clone()))
            .map_err(|error| Failure::new(Code::Error, error).while_doing(name_of(file)))?;
        let rules = rules(args, file, report.dry_run);
        let orders = orders(&tasks, args, config, &batch)?;
        let mut intake = Intake::new(catalog, orders, &rules, store);
        let outcome = Box::pin(intake.run(&file.display().to_string(), &mut notices)).await;
        outcome.map_err(|failure| failure.while_doing(name_of(file)))?;
        report.files.push(intake.report(file, &batch, &notices));
        let room = 3_usize.saturating_sub(report.samples.len());
        report.samples.extend(intake.samples.into_iter().take(room));
        add(&mut report.jobs, intake.counts);
    }
    notices.finish()?;
    let now = SystemClock.now();
    if dry_run && !tasks.is_empty() {
        match &opened {
            Ok((config, store)) => {
                report.forecast = Some(forecast(config, store, &report, now).await?);
            }
            Err(failure) => report.no_forecast = Some(failure.to_string().replace('\n', ";")),
        }
    }
    if let Ok((_, store)) = opened {
        store.close().await;
    }
    tell(globals, args, &report, now)
}

fn tell(
    globals: &Globals,
    args: &ImportArgs,
    report: &Report,
    now: Timestamp,
) -> Result<Code, Failure> {
    if globals.wants_json() {
        print_json(report)?;
    } else {
        print(report.words(now))?;
    }
    if report.jobs.is_empty() {
        say(
            "nothing was asked for: add --describe, --image \"PROMPT\", --upscale or --video \"TOPIC\"",
        );
    } else if args.sample.is_some() && !report.dry_run {
        say("next: look at these, then type the same without --sample");
    } else if !report.dry_run {
        say(format!("next: {}", globals.command("run --until-idle")));
    }
    Ok(Code::Done)
}

fn rules(args: &ImportArgs, file: &Path, dry_run: bool) -> Rules {
    Rules {
        only_missing: args.only_missing == Some(true),
        keep_repeated: args.keep_repeated == Some(true),
        dry_run,
        sample: args.sample.unwrap_or(u64::MAX),
        // A look leaves nothing behind, unless somebody names a file.
        rejects: match &args.rejects {
            Some(path) => Some(path.clone()),
            None if dry_run => None,
            None => Some(rejects_of(file, &args.files)),
        },
    }
}

/// The tasks with their accounts.
fn orders<'a>(
    tasks: &[Task],
    args: &ImportArgs,
    config: Option<&'a Config>,
    batch: &'a str,
) -> Result<Vec<Order<'a>>, Failure> {
    let order = |task: &Task| {
        let named = match config {
            Some(config) => named(config, &args.account, task.provider())?,
            None => None,
        };
        Ok(Order {
            account: config.and_then(|config| account(config, named.as_deref(), task.provider())),
            task: task.clone(),
            named,
            batch,
            priority: args.priority,
        })
    };
    tasks.iter().map(order).collect()
}

/// The account of this provider that was named, if one was.
fn named(config: &Config, names: &[String], at: Provider) -> Result<Option<String>, Failure> {
    if let Some(unknown) = names.iter().find(|name| !config.names.contains_key(*name)) {
        let known: Vec<&str> = config.names.keys().map(String::as_str).collect();
        let why = format!(
            "there is no account {unknown:?} in the config; it has: {}",
            known.join(", ")
        );
        return Err(Failure::say(Code::Usage, why));
    }
    let own = names
        .iter()
        .find(|name| config.names.get(*name) == Some(&at));
    if own.is_none() && !config.names.values().any(|provider| *provider == at) {
        let why = format!("the config has no account at {at}, so that nobody would do these jobs");
        return Err(Failure::say(Code::Config, why));
    }
    Ok(own.cloned())
}

fn account<'a>(config: &'a Config, named: Option<&str>, at: Provider) -> Option<&'a Account> {
    let mut own = config.accounts.iter().map(|(account, _)| account);
    own.find(|account| match named {
        Some(name) => account.name == name,
        None => account.provider == at && account.policy.takes_unnamed,
    })
}

/// The label of a file's jobs: its name without its ending; rejected rows keep that of their file.
fn batch_of(file: &Path) -> String {
    let stem = file
        .file_stem()
        .unwrap_or(file.as_os_str())
        .to_string_lossy();
    let (stem, _) = stem.split_once(REJECTED).unwrap_or((&stem, ""));
    let kept: String = stem.trim().chars().take(100).collect();
    if kept.is_empty() {
        "import".to_owned()
    } else {
        kept
    }
}

/// Where the rejected rows of a file go: into the working directory, and never over a file that is read.
fn rejects_of(file: &Path, files: &[PathBuf]) -> PathBuf {
    let batch = batch_of(file);
    let ending = match file.extension().and_then(|ending| ending.to_str()) {
        Some("json" | "jsonl" | "ndjson" | "xml" | "rss" | "atom") => "jsonl",
        _ => "csv",
    };
    let is_read = |path: &Path| {
        let same = |file: &PathBuf| match (file.canonicalize(), path.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => file.as_path() == path,
        };
        files.iter().any(same)
    };
    let mut path = PathBuf::from(format!("{batch}{REJECTED}.{ending}"));
    let mut number = 2;
    while is_read(&path) {
        path = PathBuf::from(format!("{batch}{REJECTED}-{number}.{ending}"));
        number += 1;
    }
    path
}

fn name_of(file: &Path) -> String {
    format!("cannot import {}", file.display())
}

/// Adds the counts of one more file.
fn add(all: &mut Vec<JobsReport>, more: Vec<JobsReport>) {
    for counts in more {
        match all
            .iter_mut()
            .find(|known| known.operation == counts.operation)
        {
            Some(known) => {
                known.new += counts.new;
                known.known += counts.known;
                known.has_text += counts.has_text;
                known.has_job += counts.has_job;
                known.impossible += counts.impossible;
            }
            None => all.push(counts),
        }
    }
}

/// How long everything takes with the jobs that would be new.
async fn forecast(
    config: &Config,
    store: &Store,
    report: &Report,
    now: Timestamp,
) -> Result<crate::forecasts::Forecasts, Failure> {
    let accounts: Vec<Account> = config
        .accounts
        .iter()
        .map(|(account, _)| account.clone())
        .collect();
    let batch = report.files.first().map(|file| file.batch.clone());
    let planned: Vec<OpenWork> = report
        .jobs
        .iter()
        .filter(|jobs| jobs.new > 0)
        .filter_map(|jobs| planned(jobs, batch.clone()))
        .collect();
    let asking = Asking {
        store,
        accounts: &accounts,
        everywhere: &[],
        planned: &planned,
        now,
    };
    Ok(asking.read().await?)
}

fn planned(jobs: &JobsReport, batch: Option<String>) -> Option<OpenWork> {
    let mut kinds = domain::JobKind::ALL.into_iter();
    let kind = kinds.find(|kind| Some(kind.provider()) == jobs.provider)?;
    Some(OpenWork {
        kind,
        account: jobs.account.clone(),
        status: Status::Pending,
        awaiting_approval: false,
        error_code: None,
        batch,
        operation: jobs.operation.to_owned(),
        model: jobs.model.clone(),
        place: None,
        jobs: i64::try_from(jobs.new).unwrap_or(i64::MAX),
        newest: 0,
        last_run_at: None,
    })
}

#[cfg(test)]
mod tests;
