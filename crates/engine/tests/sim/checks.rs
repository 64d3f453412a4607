//! What must hold after every history, whatever crashed: read from the tables, the stored files and
//! the provider's own book (RELIABILITY.md section 4). Each broken invariant is a sentence.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Input, JobState, Status};
use serde_json::Value;
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

/// Products in one POST of the simulated account, at most.
const BATCH: usize = 8;

/// I8: how long after the last fault, and after the providers' last job, everything is settled: ten minutes,
/// and as long again where a person at the provider is waited for, whose pace is ten minutes.
const SETTLES_WITHIN: Duration = Duration::from_secs(1_200);

/// What an export has to prove waits for the next look at it, at most so much longer.
const EVIDENCE_WITHIN: Duration = Duration::from_secs(600);

/// Panics at the first broken invariant, with the story and how to play it again.
pub(crate) fn check(summary: &Summary) {
    let broken = broken(summary);
    assert!(
        broken.is_empty(),
        "seed {}: {broken:#?}\n{}",
        summary.seed,
        summary.history.join("\n")
    );
}

/// The invariants that do not hold, as sentences.
pub(crate) fn broken(summary: &Summary) -> Vec<String> {
    let mut broken = Vec::new();
    conserved(summary, &mut broken);
    paid_once(summary, &mut broken);
    for violation in &summary.violations {
        broken.push(format!("I3: the provider saw a rule broken: {violation}"));
    }
    for job in &summary.jobs {
        whole(summary, job, &mut broken);
        proven(summary, job, &mut broken);
    }
    for submission in &summary.forgotten {
        broken.push(format!(
            "I7: {submission} was heard to be accepted, and counts as unknown"
        ));
    }
    chained(summary, &mut broken);
    doubted_for_a_reason(summary, &mut broken);
    settled(summary, &mut broken);
    kept_secret(summary, &mut broken);
    balanced(summary, &mut broken);
    broken
}

/// I1: no row is gone, and each is in a state in which it may rest.
fn conserved(summary: &Summary, broken: &mut Vec<String>) {
    if summary.jobs.len() as u64 != summary.inserted {
        broken.push(format!(
            "I1: {} rows were inserted, {} are there",
            summary.inserted,
            summary.jobs.len()
        ));
    }
    for job in &summary.jobs {
        let rests = match job.work.status() {
            Status::Completed | Status::Failed | Status::Cancelled | Status::InDoubt => true,
            Status::Running => summary.never_released,
            Status::Pending | Status::Submitting | Status::Capturing => false,
        };
        if !rests {
            broken.push(format!("I1: {} is stuck: {:?}", job.id, job.work.state));
        }
    }
}

/// I2: the provider accepted each row once. A production that nobody picked up is documented as safe
/// to send again.
fn paid_once(summary: &Summary, broken: &mut Vec<String>) {
    let mut accepted = BTreeMap::<String, usize>::new();
    for remote in &summary.remote {
        if remote.provider == sandbox::Provider::Jarai && remote.status == "Failed" {
            continue;
        }
        *accepted.entry(remote_mark(remote)).or_default() += 1;
    }
    for (mark, n) in &accepted {
        if *n > 1 {
            broken.push(format!("I2: {mark} was accepted {n} times"));
        }
    }
}

/// I4: the result of a completed job is here, whole, and its own; what its provider finished is here
/// or says why not.
fn whole(summary: &Summary, job: &Job, broken: &mut Vec<String>) {
    let files = summary
        .deliverables
        .iter()
        .filter(|file| file.job == job.id);
    for file in files.clone() {
        if summary.stored.get(&file.location) != Some(&file.sha256) {
            broken.push(format!("I4: {} has a row without its object", job.id));
        }
    }
    let JobState::Completed { remote } = &job.work.state else {
        return;
    };
    let own = summary.remote.iter();
    let Some(own) = own
        .filter(|it| it.id == remote.id)
        .find(|it| remote_mark(it) == mark(job))
    else {
        broken.push(format!("I4: {} has another's remote job", job.id));
        return;
    };
    if let Input::Description(_) = job.input {
        if job.description.is_none() {
            broken.push(format!("I4: {} is completed and has no text", job.id));
        }
        return;
    }
    let made = summary.made.get(&(own.provider, own.id.clone()));
    let made = made.cloned().unwrap_or_default();
    for hash in &made {
        if !files.clone().any(|file| file.sha256 == *hash) {
            broken.push(format!("I4: {} is completed and lacks a file", job.id));
        }
    }
    if files.clone().any(|file| !made.contains(&file.sha256)) {
        broken.push(format!("I4: {} has a file that nobody made", job.id));
    }
}

/// I7: JAKOV's export proves what it completed, so no such product stays in doubt.
fn proven(summary: &Summary, job: &Job, broken: &mut Vec<String>) {
    let done = |remote: &&sandbox::RemoteJob| {
        remote.provider == sandbox::Provider::Jakov
            && remote.status == "completed"
            && remote_mark(remote) == mark(job)
    };
    if job.work.status() == Status::InDoubt && summary.remote.iter().any(|it| done(&it)) {
        broken.push(format!(
            "I7: {} is in doubt although the export proves it",
            job.id
        ));
    }
    if let JobState::Failed { fault, .. } = &job.work.state
        && fault.message.contains("productName is refused")
        && mark(job) != format!("text {}", crate::rows::POISON)
    {
        broken.push(format!(
            "I1: {} failed for another's fault: {fault:?}",
            job.id
        ));
    }
    // A result that was made is never given up for want of trying.
    if let JobState::Failed { fault, .. } = &job.work.state
        && fault.code == "capture_failed"
    {
        broken.push(format!("I4: {} was made and given up: {fault:?}", job.id));
    }
}

/// I5, I6: each job's timeline is one chain of states, from its beginning to what its row says, and it
/// is completed once.
fn chained(summary: &Summary, broken: &mut Vec<String>) {
    let mut chains = BTreeMap::<String, Vec<(&str, &str)>>::new();
    let word = |row: &'_ Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
    for event in &summary.events {
        let of = format!("{}:{}", word(event, "kind"), event["job_id"]);
        let from = event["from_status"].as_str().unwrap_or_default();
        let to = event["to_status"].as_str().unwrap_or_default();
        chains.entry(of).or_default().push((from, to));
    }
    for job in &summary.jobs {
        let chain = chains.remove(&job.id.to_string()).unwrap_or_default();
        let mut at = "pending";
        let mut completed = 0;
        for (from, to) in chain {
            if from != at {
                broken.push(format!("I5: {} went on from {from} and was {at}", job.id));
            }
            completed += usize::from(to == "completed" && from != "completed");
            at = to;
        }
        if at != job.work.status().as_str() {
            let status = job.work.status();
            broken.push(format!(
                "I5: {} is {status}, its timeline says {at}",
                job.id
            ));
        }
        if completed > 1 {
            broken.push(format!("I6: {} was completed {completed} times", job.id));
        }
    }
}

/// I7: in doubt only where a call was on the wire.
fn doubted_for_a_reason(summary: &Summary, broken: &mut Vec<String>) {
    let hurt = summary.sometimes.iter();
    let hurt = hurt
        .filter(|(what, _)| what.starts_with("provider:") || what.contains("frozen"))
        .map(|(_, n)| n)
        .sum::<u64>();
    let troubles = summary.crashes.get("database trouble").copied();
    if summary.crash_points() - troubles.unwrap_or(0) + summary.unanswered + hurt == 0 {
        // An answer that does not tell the items of a batch apart leaves that one batch in doubt.
        let ambiguous = if summary.shapes { BATCH } else { 0 };
        if summary.in_doubt() > ambiguous {
            broken.push(format!(
                "I7: {} jobs are in doubt without a reason",
                summary.in_doubt()
            ));
        }
    }
}

/// I8: soon after the last fault, and the providers' last word, everything is settled.
fn settled(summary: &Summary, broken: &mut Vec<String>) {
    let late = lateness(summary);
    let by_export = summary.proven_by_export > 0;
    let evidence = if by_export {
        EVIDENCE_WITHIN
    } else {
        Duration::ZERO
    };
    if late > SETTLES_WITHIN + evidence && !summary.sometimes.contains_key("the wall clock jumped")
    {
        broken.push(format!(
            "I8: the last job was settled {late:?} after the last fault"
        ));
    }
}

/// How long after the last fault and the providers' last job the last job was settled.
pub(crate) fn lateness(summary: &Summary) -> Duration {
    summary
        .settled
        .since(summary.last_fault.max(summary.last_remote))
}

/// I9: no key and no signed link is in the database.
fn kept_secret(summary: &Summary, broken: &mut Vec<String>) {
    for secret in &summary.secrets {
        if let Some((before, after)) = summary.text.split_once(secret.as_str()) {
            let from = before.chars().count().saturating_sub(300);
            let before: String = before.chars().skip(from).collect();
            let rest: String = after.chars().take(20).collect();
            let around = format!("{before}{secret}{rest}");
            broken.push(format!("I9: {secret:?} stands in the database: {around}"));
        }
    }
}

/// I10: what the provider charged minus what the ledger booked lies within the unknown ones.
fn balanced(summary: &Summary, broken: &mut Vec<String>) {
    for (provider, charged) in &summary.charged {
        let ours = summary
            .spent
            .iter()
            .find(|spent| spent.provider == *provider);
        let booked = ours.map_or(0, |spent| spent.credits);
        let reserved = ours.map_or(0, |spent| spent.reserved);
        let difference = i64::try_from(*charged).unwrap() - booked;
        if !(0..=reserved).contains(&difference) {
            broken.push(format!(
                "I10: {provider} charged {charged}, booked {booked}, reserved {reserved}"
            ));
        }
    }
}
