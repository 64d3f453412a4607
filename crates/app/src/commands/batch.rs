//! `vitrine batch`: which batches have jobs that were refused in a row, and which are paused for it; `resume`
//! asks the worker, by a row of `account_commands`. It needs no key.

use domain::Timestamp;
use engine::{Clock, SystemClock};
use store::{BatchRefusals, DeliverableRow, Store};

use super::accounts::{Asked, wait};
use crate::cli::{BatchCommand, Globals};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json, spoken, table};

/// Does what was typed after `batch`.
pub(crate) async fn batch(
    globals: &Globals,
    command: Option<BatchCommand>,
) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let done = match command.unwrap_or(BatchCommand::List) {
        BatchCommand::List => list(globals, &config, &store).await,
        BatchCommand::Resume { batches, account } => {
            resume(globals, &config, &store, &batches, account.as_deref()).await
        }
        BatchCommand::Manifest { batch } => manifest(globals, &store, &batch).await,
    };
    store.close().await;
    done
}

/// The files of a batch.
async fn manifest(globals: &Globals, store: &Store, batch: &str) -> Result<Code, Failure> {
    let files = store.files_of_batch(batch).await?;
    if globals.wants_json() {
        print_json(&files)?;
    } else {
        print(listed(&files))?;
    }
    Ok(Code::Done)
}

fn listed(files: &[DeliverableRow]) -> String {
    if files.is_empty() {
        return "no file of this batch is here".to_owned();
    }
    let mut table = table([
        "JOB",
        "DELIVERABLE",
        "BYTES",
        "TYPE",
        "SIZE",
        "SHA-256",
        "LOCATION",
    ]);
    for file in files {
        let shape = file.shape;
        let size = match (shape.width, shape.height, shape.duration_ms) {
            (Some(width), Some(height), _) => format!("{width} x {height}"),
            (_, _, Some(millis)) => format!("{:.1} s", millis as f64 / 1_000.0),
            _ => "-".to_owned(),
        };
        let mark = if file.quarantined {
            " (unexpected)"
        } else {
            ""
        };
        table.add_row([
            file.job.to_string(),
            format!("{} {}{mark}", file.r#type, file.ordinal),
            file.bytes.to_string(),
            file.content_type.clone(),
            size,
            file.sha256.clone(),
            file.location.clone(),
        ]);
    }
    table.to_string()
}

async fn known(config: &Config, store: &Store) -> Result<Vec<BatchRefusals>, Failure> {
    let names: Vec<String> = config.names.keys().cloned().collect();
    Ok(store.batch_refusals(&names).await?)
}

async fn list(globals: &Globals, config: &Config, store: &Store) -> Result<Code, Failure> {
    let rows = known(config, store).await?;
    if globals.wants_json() {
        print_json(&rows)?;
    } else {
        print(page(&rows, SystemClock.now()))?;
    }
    Ok(Code::Done)
}

fn page(rows: &[BatchRefusals], now: Timestamp) -> String {
    if rows.is_empty() {
        return "no batch has jobs that were refused in a row".to_owned();
    }
    let mut table = table([
        "ACCOUNT", "BATCH", "REFUSED", "STATE", "LAST", "CODE", "WHY",
    ]);
    for row in rows {
        let state = match row.paused_at {
            Some(_) => "paused",
            None => "works",
        };
        table.add_row([
            row.account.clone(),
            row.batch.clone(),
            format!("{} in a row", row.refusals),
            state.to_owned(),
            format!("{} ago", spoken(now.since(row.refused_at))),
            row.code.clone(),
            row.message.clone(),
        ]);
    }
    table.to_string()
}

/// Writes the wish for each account that has paused one of the batches; for none if one of them is not paused.
async fn resume(
    globals: &Globals,
    config: &Config,
    store: &Store,
    batches: &[String],
    account: Option<&str>,
) -> Result<Code, Failure> {
    let rows = known(config, store).await?;
    let paused = |batch: &str| -> Vec<&BatchRefusals> {
        let of_it = rows.iter().filter(|row| row.batch == batch);
        of_it
            .filter(|row| row.paused_at.is_some())
            .filter(|row| account.is_none_or(|account| row.account == account))
            .collect()
    };
    for batch in batches {
        if paused(batch).is_empty() {
            let why = format!("the batch {batch:?} is not paused; nothing was asked");
            return Err(Failure::say(Code::Error, why).next(globals.command("batch list")));
        }
    }
    let wanted: Vec<_> = batches.iter().flat_map(|batch| paused(batch)).collect();
    let mut asked = Vec::new();
    for row in &wanted {
        let value = format!("batch:{}", row.batch);
        asked.push(Asked {
            id: (store.add_account_command(&row.account, "resume", Some(&value))).await?,
            account: row.account.clone(),
            command: "resume",
            outcome: None,
        });
    }
    wait(store, &mut asked).await?;
    if globals.wants_json() {
        print_json(&asked)?;
        return Ok(Code::Done);
    }
    for (one, row) in asked.iter().zip(wanted) {
        let said = one.outcome.as_deref().unwrap_or(
            "asked to resume; no worker has done it yet, the next one does it before it submits anything",
        );
        print(format!("{}: {}: {said}", row.account, row.batch))?;
    }
    Ok(Code::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_says_how_often_it_was_refused_and_whether_it_is_paused() {
        let now = Timestamp::from_millis(1_763_800_000_000);
        let row = |batch: &str, refusals: u32| BatchRefusals {
            account: "shots".into(),
            batch: batch.into(),
            refusals,
            code: "http_422".into(),
            message: "no such model".into(),
            refused_at: now.before(std::time::Duration::from_secs(120)),
            paused_at: (refusals >= 20).then_some(now),
        };
        let page = page(&[row("spring", 20), row("summer", 3)], now);
        let lines: Vec<&str> = page.lines().filter(|line| line.contains("shots")).collect();
        assert!(
            lines[0].contains("20 in a row") && lines[0].contains("paused"),
            "{page}"
        );
        assert!(
            lines[1].contains("3 in a row") && lines[1].contains("works"),
            "{page}"
        );
    }
}
