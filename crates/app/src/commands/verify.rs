//! `vitrine verify`: holds the storage against its rows. A row without its file, a file that is not what was
//! captured and a completed job without any file are losses, and end it with 1; files that no row names are
//! listed, and removed when that is asked for. It may run beside a worker, and needs no key.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::{Checked, Clock, Depth, LocalStorage, Object, SystemClock};
use serde::Serialize;
use store::{DeliverableRow, Store};

use crate::cli::{Globals, VerifyArgs};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json};

/// Rows that are read at once.
const PAGE: u32 = 1_000;
/// A file this young may be one whose row is on its way.
const GRACE: Duration = Duration::from_secs(3_600);

/// A row whose file is not what it should be.
#[derive(Debug, Serialize)]
struct Loss {
    job: String,
    location: String,
    /// `missing`, `altered` or `elsewhere`.
    what: &'static str,
}

/// All that was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    bytes: i64,
    quarantined: usize,
    lost: Vec<Loss>,
    /// Completed jobs that have no file.
    without_files: Vec<String>,
    orphans: Option<Vec<Object>>,
    removed: usize,
}

/// Verifies.
pub(crate) async fn verify(globals: &Globals, args: &VerifyArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let storage =
        LocalStorage::look_at(&config.storage).map_err(|error| Failure::new(Code::Error, error))?;
    let report = look(&store, &storage, args).await;
    store.close().await;
    let report = report?;
    if globals.wants_json() {
        print_json(&report)?;
    } else {
        print(page(&report))?;
    }
    let whole = report.lost.is_empty() && report.without_files.is_empty();
    Ok(if whole { Code::Done } else { Code::Error })
}

async fn look(store: &Store, storage: &LocalStorage, args: &VerifyArgs) -> Result<Report, Failure> {
    let depth = match args.quick {
        Some(true) => Depth::Length,
        Some(false) | None => Depth::Hash,
    };
    let removes = args.remove_orphans.unwrap_or_default();
    let wants_orphans = removes || args.orphans.unwrap_or_default();
    // Before the rows are read: what is captured meanwhile is younger than the grace.
    let now = SystemClock.now();
    let mut report = Report::default();
    let mut known = BTreeSet::new();
    let mut after = 0;
    loop {
        let rows = match &args.batch {
            Some(batch) => store.files_of_batch(batch).await?,
            None => store.files_after(after, PAGE).await?,
        };
        let Some(last) = rows.last() else {
            break;
        };
        after = last.id;
        if wants_orphans {
            known.extend(rows.iter().map(|row| row.location.clone()));
        }
        for row in rows {
            report.add(storage, row, depth).await?;
        }
        if args.batch.is_some() {
            break;
        }
    }
    let lacking = store.completed_without_files(args.batch.as_deref()).await?;
    report.without_files = lacking.iter().map(ToString::to_string).collect();
    if wants_orphans {
        let failed = |error| Failure::new(Code::Error, error);
        let orphans = storage.orphans(&known, now, GRACE).map_err(failed)?;
        for orphan in orphans.iter().filter(|_| removes) {
            storage.remove(orphan).map_err(failed)?;
            report.removed += 1;
        }
        report.orphans = Some(orphans);
    }
    Ok(report)
}

impl Report {
    async fn add(
        &mut self,
        storage: &LocalStorage,
        row: DeliverableRow,
        depth: Depth,
    ) -> Result<(), Failure> {
        self.files += 1;
        self.bytes += row.bytes;
        self.quarantined += usize::from(row.quarantined);
        let bytes = u64::try_from(row.bytes).unwrap_or_default();
        let storage = storage.clone();
        let (location, sha256) = (row.location.clone(), row.sha256);
        let checked =
            tokio::task::spawn_blocking(move || storage.check(&location, bytes, &sha256, depth));
        let checked = checked
            .await
            .map_err(|error| Failure::new(Code::Error, error))?
            .map_err(|error| Failure::new(Code::Error, error))?;
        let what = match checked {
            Checked::Whole => return Ok(()),
            Checked::Missing => "missing",
            Checked::Altered => "altered",
            Checked::Elsewhere => "elsewhere",
        };
        self.lost.push(Loss {
            job: row.job.to_string(),
            location: row.location,
            what,
        });
        Ok(())
    }
}

fn page(report: &Report) -> String {
    let mut lines = Vec::new();
    for loss in &report.lost {
        let what = match loss.what {
            "missing" => "is not there",
            "altered" => "is not what was captured",
            _ => "is outside of [storage] url",
        };
        lines.push(format!("{}: {} {what}", loss.job, loss.location));
    }
    for job in &report.without_files {
        lines.push(format!("{job}: completed, and no file of it is here"));
    }
    for orphan in report.orphans.iter().flatten() {
        let bytes = orphan.bytes;
        lines.push(format!("no row names {} ({bytes} bytes)", orphan.location));
    }
    let whole = report.files - report.lost.len();
    lines.push(format!(
        "{} files, {} bytes: {whole} whole, {} lost, {} of an unexpected kind",
        report.files,
        report.bytes,
        report.lost.len(),
        report.quarantined
    ));
    if let Some(orphans) = &report.orphans {
        let removed = report.removed;
        lines.push(format!("{} orphans, {removed} removed", orphans.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_named_and_counted() {
        let report = Report {
            files: 3,
            bytes: 30,
            quarantined: 1,
            lost: vec![Loss {
                job: "image:17".into(),
                location: "file:///srv/a.png".into(),
                what: "altered",
            }],
            without_files: vec!["production:2".into()],
            orphans: Some(vec![Object {
                location: "file:///srv/b.png".into(),
                bytes: 4,
            }]),
            removed: 0,
        };
        assert_eq!(
            page(&report),
            "image:17: file:///srv/a.png is not what was captured\n\
             production:2: completed, and no file of it is here\n\
             no row names file:///srv/b.png (4 bytes)\n\
             3 files, 30 bytes: 2 whole, 1 lost, 1 of an unexpected kind\n\
             1 orphans, 0 removed"
        );
    }
}
