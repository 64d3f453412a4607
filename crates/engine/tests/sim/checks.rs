//! What must hold after every history, whatever crashed: read from the tables, the stored files and
//! the provider's own book.

use std::collections::BTreeMap;

use domain::{Input, JobState, Status};
use store::Job;

use crate::summary::Summary;

/// The mark by which the provider saw this row.
fn mark(job: &Job) -> String {
    match &job.input {
        Input::Description(input) => {
            format!("text {}", input.product_name.as_deref().unwrap_or_default())
        }
        Input::Image(input) => format!("image {}", input.prompt.as_deref().unwrap_or_default()),
        Input::Production(input) => format!("video {}", input.topic),
    }
}

fn remote_mark(job: &sandbox::RemoteJob) -> String {
    match job.provider {
        sandbox::Provider::Jakov => format!("text {}", job.text("productName").unwrap_or_default()),
        sandbox::Provider::Productai => format!("image {}", job.text("prompt").unwrap_or_default()),
        _ => format!("video {}", job.text("topic").unwrap_or_default()),
    }
}

/// Products in one POST of the simulated account.
const BATCH: usize = 4;

/// All invariants that this simulator can see (RELIABILITY.md section 4).
pub(crate) fn check(summary: &Summary) {
    let seed = summary.seed;
    // I1: no loss.
    assert_eq!(
        summary.jobs.len() as u64,
        summary.inserted,
        "seed {seed}: rows are gone"
    );
    assert_eq!(
        summary.open(),
        0,
        "seed {seed}: jobs are stuck: {:#?}",
        stuck(summary)
    );
    // I2: no double.
    let mut accepted = BTreeMap::<String, usize>::new();
    for remote in &summary.remote {
        // A production that nobody picked up is documented as safe to send again.
        if remote.provider == sandbox::Provider::Jarai && remote.status == "Failed" {
            continue;
        }
        *accepted.entry(remote_mark(remote)).or_default() += 1;
    }
    for (mark, n) in &accepted {
        assert_eq!(
            *n,
            1,
            "seed {seed}: {mark} was accepted {n} times\n{}",
            story(summary)
        );
    }
    for job in &summary.jobs {
        let taken = accepted.contains_key(&mark(job));
        match &job.work.state {
            JobState::Completed { remote } => {
                assert!(
                    taken,
                    "seed {seed}: {} completed without a provider",
                    job.id
                );
                whole(summary, job, &remote.id);
            }
            JobState::InDoubt { .. } => proven(summary, job),
            JobState::Failed { .. } | JobState::Cancelled { .. } => {}
            other => panic!("seed {seed}: {} is {}", job.id, other.status()),
        }
    }
    // I3 and polls: the provider saw no broken rule.
    assert!(
        summary.violations.is_empty(),
        "seed {seed}: {:#?}\n{}",
        summary.violations,
        story(summary)
    );
    // I7: in doubt only where a call was on the wire.
    let crashes: u64 = summary.crashes.values().sum();
    if crashes + summary.unanswered == 0 {
        // An answer that does not tell the items of a batch apart leaves that one batch in doubt.
        let ambiguous = if summary.shapes { BATCH } else { 0 };
        assert!(
            summary.in_doubt() <= ambiguous,
            "seed {seed}: in doubt without a reason: {:#?}",
            stuck(summary)
        );
    }
    money(summary);
}

/// I7: JAKOV's export proves what it completed, so no such product stays in doubt.
fn proven(summary: &Summary, job: &Job) {
    let seed = summary.seed;
    let done = summary.remote.iter().any(|remote| {
        remote.provider == sandbox::Provider::Jakov
            && remote.status == "completed"
            && remote_mark(remote) == mark(job)
    });
    assert!(
        !done,
        "seed {seed}: {} is in doubt although the export proves it\n{}",
        job.id,
        story(summary)
    );
}

/// I4: the result of a completed job is here, whole.
fn whole(summary: &Summary, job: &Job, remote_id: &str) {
    let seed = summary.seed;
    let remote = summary
        .remote
        .iter()
        .find(|r| r.id == remote_id && remote_mark(r) == mark(job));
    assert!(
        remote.is_some(),
        "seed {seed}: {} has another's remote job",
        job.id
    );
    if let Input::Description(_) = job.input {
        assert!(
            job.description.is_some(),
            "seed {seed}: {} has no text",
            job.id
        );
        return;
    }
    let files: Vec<_> = summary
        .deliverables
        .iter()
        .filter(|file| file.job == job.id)
        .collect();
    assert!(!files.is_empty(), "seed {seed}: {} has no files", job.id);
    for file in files {
        assert_eq!(
            summary.stored.get(&file.location),
            Some(&file.sha256),
            "seed {seed}: {} has a row without its object",
            job.id
        );
    }
}

/// I10: what the provider charged minus what the ledger booked lies within the unknown ones.
fn money(summary: &Summary) {
    for (provider, charged) in &summary.charged {
        let ours = summary
            .spent
            .iter()
            .find(|spent| spent.provider == *provider);
        let booked = ours.map_or(0, |spent| spent.credits);
        let reserved = ours.map_or(0, |spent| spent.reserved);
        let difference = i64::try_from(*charged).unwrap() - booked;
        assert!(
            (0..=reserved).contains(&difference),
            "seed {}: {provider} charged {charged}, booked {booked}, reserved {reserved}",
            summary.seed
        );
    }
}

fn stuck(summary: &Summary) -> Vec<String> {
    summary
        .jobs
        .iter()
        .filter(|job| {
            !job.work.status().is_terminal() && job.work.status() != Status::InDoubt
                || job.work.status() == Status::InDoubt
        })
        .map(|job| format!("{} {:?}", job.id, job.work.state))
        .collect()
}

fn story(summary: &Summary) -> String {
    summary.history.join("\n")
}
