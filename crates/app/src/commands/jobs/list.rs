//! `jobs list`.

use std::collections::BTreeSet;

use comfy_table::Table;
use store::{BatchRefusals, Job, JobFilter};

use super::view::JobView;
use crate::cli::{Globals, ListArgs};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{or_dash, print, print_json, say, shortened, table};

/// How much of a job's subject a line shows, in characters.
const ABOUT: usize = 40;

/// Lists.
pub(super) async fn list(globals: &Globals, args: ListArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    let limit = args.limit;
    let mut jobs = store.list_jobs(&filter(args)).await?;
    let names: Vec<String> = config.names.keys().cloned().collect();
    let refused = store.batch_refusals(&names).await?;
    store.close().await;
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = jobs.len() > most;
    jobs.truncate(most);
    if globals.wants_json() {
        let views: Vec<JobView<'_>> = jobs.iter().map(JobView::of).collect();
        print_json(&views)?;
    } else if jobs.is_empty() {
        say("no jobs");
    } else {
        print(rows(&jobs))?;
    }
    for batch in paused_among(&jobs, &refused) {
        say(format!(
            "the batch {batch} is paused: its jobs were refused\n  next: {}",
            globals.command("batch list")
        ));
    }
    if has_more {
        say(format!(
            "there are more than these {limit}: --limit, or --kind with --after"
        ));
    }
    Ok(Code::Done)
}

/// Paused batches of which pending jobs are shown.
fn paused_among<'a>(jobs: &[Job], refused: &'a [BatchRefusals]) -> BTreeSet<&'a str> {
    let waits = |known: &&BatchRefusals| {
        jobs.iter().any(|job| {
            job.work.status() == domain::Status::Pending
                && job.batch.as_deref() == Some(known.batch.as_str())
                && job.account.as_ref().is_none_or(|it| *it == known.account)
        })
    };
    let paused = refused.iter().filter(|known| known.paused_at.is_some());
    paused
        .filter(waits)
        .map(|known| known.batch.as_str())
        .collect()
}

/// One more than is shown tells whether there are more.
fn filter(args: ListArgs) -> JobFilter {
    JobFilter {
        kind: args.kind,
        status: args.status,
        account: args.account,
        batch: args.batch,
        error_code: args.code,
        client_product_id: args.product,
        after: args.after,
        limit: args.limit.saturating_add(1),
    }
}

fn rows(jobs: &[Job]) -> Table {
    let mut table = table([
        "JOB", "STATUS", "ACCOUNT", "PRODUCT", "ABOUT", "CREDITS", "UPDATED", "ERROR",
    ]);
    for job in jobs {
        let view = JobView::of(job);
        let status = match view.remote_status {
            Some("AwaitingApproval") if view.status == domain::Status::Running => {
                "awaiting approval"
            }
            _ => view.status.as_str(),
        };
        table.add_row([
            view.name().to_string(),
            status.to_owned(),
            or_dash(view.worker()),
            or_dash(view.client_product_id),
            shortened(&view.about(), ABOUT),
            or_dash(view.credits),
            view.updated_at.to_string(),
            or_dash(view.error_code),
        ]);
    }
    table
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use domain::{
        Fault, ImageInput, Input, JobId, JobKind, JobState, Remote, SubmissionId, Timestamp, Work,
    };

    pub(in crate::commands::jobs) fn job(id: i64, state: JobState) -> Job {
        let at = Timestamp::from_millis(1_763_800_000_000);
        Job {
            id: JobId::new(JobKind::Image, id),
            account: None,
            taken_by: Some("shots".into()),
            client_product_id: Some("SKU-1".into()),
            batch: Some("spring".into()),
            priority: 0,
            run_at: None,
            not_before: None,
            created_at: at,
            updated_at: at,
            version: 3,
            input: Input::Image(ImageInput {
                model: Some("nanobanana".into()),
                prompt: Some(
                    "Arc desk lamp, brass, on a plain white ground with soft light".into(),
                ),
                image_url: Some("https://images.example/lamp.jpg".into()),
                ..ImageInput::default()
            }),
            work: Work {
                state,
                credits: Some(3),
                ..Work::fresh(3)
            },
            warning: None,
            description: None,
            result_url: None,
        }
    }

    pub(in crate::commands::jobs) fn running() -> JobState {
        JobState::Running {
            remote: Remote {
                submission: SubmissionId("0190".into()),
                id: "22292".into(),
                status: Some("RUNNING".into()),
            },
        }
    }

    #[test]
    fn a_list_shows_what_is_wrong_at_a_glance() {
        let failed = JobState::Failed {
            fault: Fault::new("remote_error", "the provider failed"),
            remote: None,
        };
        let jobs = [job(1, running()), job(17, failed)];
        let lines: Vec<String> = rows(&jobs)
            .to_string()
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
