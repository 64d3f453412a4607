//! `jobs resolve`: jobs in doubt with what is known of each, and a person's decision about them. The
//! decision is a row of `job_commands` for each job, as any program could write it; the worker executes it.

use std::fmt::Write as _;
use std::io::{self, BufRead, IsTerminal};

use domain::{JobId, Status, SubmissionId, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use store::{Job, JobFilter, Store};

use super::ask::{self, Wish};
use super::view::JobView;
use crate::cli::{DoubtFilter, Globals, ResolveArgs};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json, say, shortened};

/// Jobs that one command decides about.
const MOST: u32 = 100_000;
/// How much of a job's subject is shown, in characters.
const ABOUT: usize = 60;
/// The timeline's word for a look at evidence.
const LOOKED: &str = "evidence_looked";

/// A job in doubt, with what a person needs for a decision.
#[derive(Debug, Serialize)]
struct Doubtful {
    job: JobId,
    account: Option<String>,
    batch: Option<String>,
    client_product_id: Option<String>,
    about: String,
    submission: Option<SubmissionId>,
    /// When the paid request was made durable; it left right after.
    sent_at: Option<Timestamp>,
    /// What the submission was to cost, and what another one may cost again; in the provider's unit.
    price: Option<i64>,
    code: Option<String>,
    why: Option<String>,
    /// Each look that changed what is known, oldest first.
    looked: Vec<Look>,
    /// Remote jobs that it may be, as last seen.
    candidates: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Look {
    at: Timestamp,
    detail: Value,
}

/// Shows, or decides.
pub(super) async fn resolve(globals: &Globals, args: &ResolveArgs) -> Result<Code, Failure> {
    let wish = args.how.wish();
    let decides = args.how.is_given();
    if decides && args.jobs.is_empty() && !args.all.unwrap_or_default() && !args.filter.is_given() {
        let why = "which jobs? Name them, filter them (--account, --batch, …), or say --all";
        return Err(Failure::say(Code::Error, why).next(globals.command("jobs resolve")));
    }
    let (_, store) = opened::open(globals).await?;
    let jobs = chosen(globals, &store, args).await?;
    let code = match (decides, args.dry_run.unwrap_or_default()) {
        (false, _) => show(globals, &store, &jobs, args).await,
        (true, dry_run) => {
            refuse_adoption(globals, &store, &jobs, args).await?;
            decide(globals, &store, &jobs, &wish, args, dry_run).await
        }
    };
    store.close().await;
    code
}

/// The jobs that were named, all in doubt; else those in doubt that the filter leaves.
async fn chosen(globals: &Globals, store: &Store, args: &ResolveArgs) -> Result<Vec<Job>, Failure> {
    if args.jobs.is_empty() {
        let filter = &args.filter;
        let filter = JobFilter {
            kind: filter.kind,
            status: Some(Status::InDoubt),
            account: filter.account.clone(),
            batch: filter.batch.clone(),
            error_code: filter.code.clone(),
            client_product_id: filter.product.clone(),
            after: None,
            limit: MOST,
        };
        return Ok(store.list_jobs(&filter).await?);
    }
    let jobs = store.jobs(&args.jobs).await?;
    for id in &args.jobs {
        let why = match jobs.iter().find(|job| job.id == *id) {
            Some(job) if job.work.status() == Status::InDoubt => continue,
            Some(job) => format!(
                "{id} is {}, not in doubt; nothing was asked",
                job.work.status()
            ),
            None => format!("there is no {id}; nothing was asked"),
        };
        let next = globals.command("jobs resolve (shows all that are in doubt)");
        return Err(Failure::say(Code::Error, why).next(next));
    }
    Ok(jobs)
}

/// A remote job is one job's: of exactly one that was chosen, and of none that the ledger knows.
async fn refuse_adoption(
    globals: &Globals,
    store: &Store,
    jobs: &[Job],
    args: &ResolveArgs,
) -> Result<(), Failure> {
    let Some(remote_id) = args.how.adopt.as_deref().map(str::trim) else {
        return Ok(());
    };
    let [job] = jobs else {
        let why = match jobs.len() {
            0 => none_fits(&args.filter).to_owned(),
            several => format!("--adopt is for one job, and these are {several}"),
        };
        return Err(Failure::say(Code::Error, why).next(globals.command("jobs resolve")));
    };
    if remote_id.is_empty() {
        return Err(Failure::say(
            Code::Error,
            "--adopt needs the provider's id of the job",
        ));
    }
    let rows = store.submissions_of_remote(job.id.kind, remote_id).await?;
    let own = job.work.state.submission();
    let other = rows
        .iter()
        .find(|row| row.job != job.id || Some(&row.id) != own);
    match other {
        None => Ok(()),
        Some(row) => {
            let why = format!(
                "{remote_id} is known already, as that of {}; nothing was asked",
                row.job
            );
            let next = globals.command(&format!("jobs show {}", row.job));
            Err(Failure::say(Code::Error, why).next(next))
        }
    }
}

async fn doubtful(store: &Store, job: &Job) -> Result<Doubtful, Failure> {
    let view = JobView::of(job);
    let events = store.events(job.id).await?;
    let submission = job.work.state.submission().cloned();
    let looked: Vec<Look> = events
        .into_iter()
        .filter(|event| event.event == LOOKED && event.submission == submission)
        .map(|event| Look {
            at: event.at,
            detail: event.detail,
        })
        .collect();
    let last = looked.last().and_then(|look| look.detail.get("candidates"));
    let candidates = last.and_then(Value::as_array).cloned().unwrap_or_default();
    let own = |text: Option<&str>| text.map(str::to_owned);
    Ok(Doubtful {
        job: job.id,
        account: own(view.worker()),
        batch: own(view.batch),
        client_product_id: own(view.client_product_id),
        about: view.about(),
        submission,
        sent_at: job.work.submitted_at,
        price: job.work.credits,
        code: own(view.error_code),
        why: own(view.error_message),
        looked,
        candidates,
    })
}

/// Why there is nothing to show or to decide.
fn none_fits(filter: &DoubtFilter) -> &'static str {
    if filter.is_given() {
        "no job in doubt fits this filter; without one, all in doubt are shown"
    } else {
        "no jobs are in doubt"
    }
}

async fn show(
    globals: &Globals,
    store: &Store,
    jobs: &[Job],
    args: &ResolveArgs,
) -> Result<Code, Failure> {
    let mut all = Vec::new();
    for job in jobs {
        all.push(doubtful(store, job).await?);
    }
    if globals.wants_json() {
        print_json(&all)?;
        return Ok(Code::Done);
    }
    if all.is_empty() {
        say(none_fits(&args.filter));
        return Ok(Code::Done);
    }
    for one in &all {
        print(page(one))?;
    }
    say(format!(
        "{}; a resubmit may cost {} again\n  next: {}",
        counted(all.len()),
        total(jobs),
        globals.command("jobs resolve JOB --adopt REMOTE_ID | --resubmit | --give-up")
    ));
    Ok(Code::Done)
}

/// One job in doubt, for people.
fn page(one: &Doubtful) -> String {
    let mut page = one.job.to_string();
    let mut add = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = write!(page, "\n  {name:11} {value}");
    };
    let mut optional = |name, value: &Option<String>| {
        if let Some(value) = value {
            add(name, value.clone());
        }
    };
    optional("account", &one.account);
    optional("batch", &one.batch);
    optional("product", &one.client_product_id);
    add("about", shortened(&one.about, ABOUT));
    add(
        "sent",
        one.sent_at
            .map_or_else(|| "-".to_owned(), |at| at.to_string()),
    );
    add(
        "price",
        format!("{}; a resubmit may cost it again", credits(one.price)),
    );
    add("why", one.why.clone().unwrap_or_default());
    match one.looked.last() {
        None => add("looked at", "nothing yet".to_owned()),
        Some(look) => add("looked at", looked_at(look)),
    }
    for candidate in &one.candidates {
        let word = |name: &str| candidate.get(name).and_then(Value::as_str);
        let id = word("remote_id").filter(|id| !id.is_empty());
        let mut text = id.unwrap_or("one without an id").to_owned();
        for (before, value) in [
            (", ", word("status")),
            (", made ", word("made_at")),
            (", heard of ", word("heard_at")),
            (", by ", word("source")),
        ] {
            text.extend(value.map(|value| format!("{before}{value}")));
        }
        add("candidate", text);
    }
    page + "\n"
}

fn looked_at(look: &Look) -> String {
    let word = |name: &str| {
        look.detail
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let number = |name: &str| look.detail.get(name).and_then(Value::as_u64);
    let products = number("products").map_or_else(String::new, |n| format!(" ({n} products)"));
    format!(
        "{}{products}, {}: {}",
        word("looked_at"),
        look.at,
        word("why")
    )
}

fn counted(jobs: usize) -> String {
    match jobs {
        1 => "1 job in doubt".to_owned(),
        jobs => format!("{jobs} jobs in doubt"),
    }
}

fn credits(price: Option<i64>) -> String {
    match price {
        None => "unknown".to_owned(),
        Some(1) => "1 credit".to_owned(),
        Some(price) => format!("{price} credits"),
    }
}

/// The sum of known prices, and how many are not.
fn total(jobs: &[Job]) -> String {
    let known: i64 = jobs.iter().filter_map(|job| job.work.credits).sum();
    let unknown = jobs.iter().filter(|job| job.work.credits.is_none()).count();
    match unknown {
        0 => credits(Some(known)),
        unknown => format!("{}, and {unknown} of unknown price", credits(Some(known))),
    }
}

async fn decide(
    globals: &Globals,
    store: &Store,
    jobs: &[Job],
    wish: &Wish,
    args: &ResolveArgs,
    dry_run: bool,
) -> Result<Code, Failure> {
    let plan = format!(
        "{}: {}; {}",
        counted(jobs.len()),
        wish.words(),
        at_stake(args, &total(jobs))
    );
    if jobs.is_empty() {
        say(none_fits(&args.filter));
    }
    if dry_run {
        if globals.wants_json() {
            let rows: Vec<Value> = jobs
                .iter()
                .map(|job| json!({ "job": job.id, "would": wish.words(), "price": job.work.credits }))
                .collect();
            print_json(&rows)?;
        } else {
            for job in jobs {
                print(format!(
                    "{}: would {}; {}",
                    job.id,
                    wish.words(),
                    at_stake(args, &credits(job.work.credits))
                ))?;
            }
        }
        say(format!("{plan}\nnothing was changed: --dry-run"));
        return Ok(Code::Done);
    }
    if jobs.len() > 1 && !args.yes.unwrap_or_default() {
        confirm(&plan)?;
    }
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    ask::write(globals, store, &ids, wish).await
}

/// What the price means for this decision.
fn at_stake(args: &ResolveArgs, price: &str) -> String {
    if args.how.resubmit.unwrap_or_default() {
        format!("it may cost {price} again")
    } else if args.how.adopt.is_some() {
        format!("{price} will be booked")
    } else {
        format!("{price} may have been charged for nothing")
    }
}

/// More than one job is a decision that is asked twice.
fn confirm(plan: &str) -> Result<(), Failure> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let why =
            format!("{plan}; nobody is here to be asked, so say --yes, or look with --dry-run");
        return Err(Failure::say(Code::Error, why));
    }
    say(format!("{plan}\nwrite yes to go on:"));
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    Err(Failure::say(Code::Error, "nothing was asked"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(detail: Value) -> Look {
        Look {
            at: Timestamp::from_millis(1_763_800_100_000),
            detail,
        }
    }

    #[test]
    fn a_person_sees_price_evidence_and_candidates() {
        let candidate = json!({
            "remote_id": "22292", "status": "COMPLETED", "made_at": null,
            "heard_at": "2025-11-22T08:28:00.000Z", "source": "webhook",
        });
        let one = Doubtful {
            job: "image:17".parse().unwrap(),
            account: Some("shots".to_owned()),
            batch: None,
            client_product_id: Some("SKU-1".to_owned()),
            about: "on a wooden table".to_owned(),
            submission: None,
            sent_at: Some(Timestamp::from_millis(1_763_800_000_000)),
            price: Some(3),
            code: Some("candidates".to_owned()),
            why: Some("it may be 22292 at the provider".to_owned()),
            looked: vec![look(json!({
                "looked_at": "webhook", "why": "it may be image:18 as well", "products": null,
            }))],
            candidates: vec![candidate],
        };
        insta::assert_snapshot!(page(&one), @r"
        image:17
          account     shots
          product     SKU-1
          about       on a wooden table
          sent        2025-11-22T08:26:40.000Z
          price       3 credits; a resubmit may cost it again
          why         it may be 22292 at the provider
          looked at   webhook, 2025-11-22T08:28:20.000Z: it may be image:18 as well
          candidate   22292, COMPLETED, heard of 2025-11-22T08:28:00.000Z, by webhook
        ");
    }
}
