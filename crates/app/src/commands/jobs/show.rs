//! `jobs show`: all that is known of one job, the times with what passed between them.

use std::fmt::Write;

use domain::{JobId, Timestamp};
use serde::Serialize;
use store::{CommandRow, DeliverableRow, EventRow, Job, Outcome, SubmissionRow};

use super::view::JobView;
use crate::cli::Globals;
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{or_dash, print, print_json, spoken, table};

/// A job with its history.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    job: JobView<'a>,
    timeline: &'a [EventRow],
    submissions: &'a [SubmissionRow],
    commands: &'a [CommandRow],
    deliverables: &'a [DeliverableRow],
}

/// Shows.
pub(super) async fn show(globals: &Globals, id: JobId) -> Result<Code, Failure> {
    let (_, store) = opened::open(globals).await?;
    let Some(job) = store.job(id).await? else {
        return Err(Failure::say(Code::Error, format!("there is no {id}"))
            .next(globals.command(&format!("jobs list --kind {}", id.kind))));
    };
    let timeline = store.events(id).await?;
    let submissions = store.submissions(id).await?;
    let commands = store.commands_of(id).await?;
    let deliverables = store.deliverables(id).await?;
    store.close().await;
    let whole = Whole {
        job: JobView::of(&job),
        timeline: &timeline,
        submissions: &submissions,
        commands: &commands,
        deliverables: &deliverables,
    };
    if globals.wants_json() {
        print_json(&whole)?;
    } else {
        print(page(&job, &whole))?;
    }
    Ok(Code::Done)
}

fn page(job: &Job, whole: &Whole<'_>) -> String {
    let mut page = String::new();
    let mut add = |part: String| {
        if !part.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(page, "{part}\n");
        }
    };
    add(head(job, &whole.job));
    add(timeline(job.created_at, whole.timeline));
    add(submissions(whole.submissions));
    add(commands(whole.commands));
    add(deliverables(whole.deliverables));
    page.trim_end().to_owned()
}

/// Where it stands, and what it asks for.
fn head(job: &Job, view: &JobView<'_>) -> String {
    let mut facts = vec![("status", view.status.to_string())];
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            facts.push((name, value));
        }
    };
    let own = |text: Option<&str>| text.map(str::to_owned);
    add("error", own(view.error_code));
    add("why", own(view.error_message));
    add("warning", own(view.warning));
    add("account", own(view.worker()));
    add("product", own(view.client_product_id));
    add("batch", own(view.batch));
    add("remote id", own(view.remote_id));
    add("remote status", own(view.remote_status));
    add("credits", view.credits.map(|credits| credits.to_string()));
    add(
        "not before",
        job.run_at.max(job.not_before).map(|at| at.to_string()),
    );
    add(
        "attempts",
        Some(format!("{} of {}", job.work.attempt, job.work.max_attempts)),
    );
    facts.extend(view.inputs());
    facts.extend(
        view.description
            .map(|text| ("description", text.to_owned())),
    );
    facts.extend(view.result_url.map(|url| ("result_url", url.to_owned())));
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut head = view.name().to_string();
    for (name, value) in facts {
        let value = value.replace('\n', &format!("\n{:indent$}", "", indent = width + 4));
        let _ = write!(head, "\n  {name:width$}  {value}");
    }
    head
}

/// Each event with the time since the one before.
fn timeline(created_at: Timestamp, events: &[EventRow]) -> String {
    let mut table = table(["TIME", "AFTER", "EVENT", "NOW", "DETAIL"]);
    table.add_row([
        created_at.to_string(),
        "-".to_owned(),
        "inserted".to_owned(),
        "pending".to_owned(),
        String::new(),
    ]);
    let mut last = created_at;
    for event in events {
        table.add_row([
            event.at.to_string(),
            spoken(event.at.since(last)),
            event.event.clone(),
            event.to_status.to_string(),
            detail(&event.detail),
        ]);
        last = event.at;
    }
    format!("Timeline\n{table}")
}

/// A flat object as `name value` pairs; anything deeper as the JSON that it is.
fn detail(detail: &serde_json::Value) -> String {
    match detail {
        serde_json::Value::Null => String::new(),
        serde_json::Value::Object(fields) => {
            let shown = fields.iter().filter(|(_, value)| !value.is_null());
            let part = |(name, value): (&String, &serde_json::Value)| match value.as_str() {
                Some(text) => format!("{name} {text}"),
                None => format!("{name} {value}"),
            };
            shown.map(part).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn submissions(rows: &[SubmissionRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = table([
        "SUBMISSION",
        "PLANNED",
        "ANSWER",
        "OUTCOME",
        "REMOTE ID",
        "CREDITS",
        "WHY",
    ]);
    for row in rows {
        let took = row.answered_at.map(|at| spoken(at.since(row.planned_at)));
        let answer = match (row.http_status, took) {
            (Some(code), Some(took)) => format!("{code} after {took}"),
            (None, Some(took)) => format!("none, for {took}"),
            (_, None) => "-".to_owned(),
        };
        let outcome = match row.outcome {
            Outcome::Open => "open",
            Outcome::Refused => "refused",
            Outcome::Unknown => "unknown",
            Outcome::Accepted => "accepted",
        };
        table.add_row([
            row.id.to_string(),
            row.planned_at.to_string(),
            answer,
            outcome.to_owned(),
            or_dash(row.remote_id.as_deref()),
            or_dash(row.credits.or(row.price)),
            or_dash(row.reason.as_deref()),
        ]);
    }
    format!("Submissions\n{table}")
}

/// What people and programs asked for: a refusal is told nowhere else.
fn commands(rows: &[CommandRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = table(["COMMAND", "ASKED", "FOR", "OUTCOME"]);
    for row in rows {
        let value = row.value.as_deref().unwrap_or_default();
        let waits = "waits for the worker";
        table.add_row([
            row.id.to_string(),
            row.created_at.to_string(),
            format!("{} {value}", row.command).trim_end().to_owned(),
            row.outcome.as_deref().unwrap_or(waits).to_owned(),
        ]);
    }
    format!("Commands\n{table}")
}

fn deliverables(rows: &[DeliverableRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = table([
        "DELIVERABLE",
        "BYTES",
        "CONTENT TYPE",
        "CAPTURED",
        "LOCATION",
    ]);
    for row in rows {
        let mark = if row.quarantined {
            " (unexpected type)"
        } else {
            ""
        };
        table.add_row([
            row.r#type.clone() + mark,
            row.bytes.to_string(),
            row.content_type.clone(),
            row.captured_at.to_string(),
            row.location.clone(),
        ]);
    }
    format!("Deliverables\n{table}")
}

#[cfg(test)]
mod tests {
    use super::super::list::tests::{job, running};
    use super::*;
    use domain::{Status, SubmissionId};
    use serde_json::json;

    fn history(job: &Job) -> (Vec<EventRow>, Vec<SubmissionRow>, Vec<DeliverableRow>) {
        let at = |seconds: u64| job.created_at + std::time::Duration::from_secs(seconds);
        let submission = SubmissionId("0190aa".into());
        let event = |seq, seconds, event: &str, from_status, to_status, detail| EventRow {
            seq,
            job: job.id,
            at: at(seconds),
            event: event.into(),
            from_status,
            to_status,
            submission: Some(submission.clone()),
            detail,
        };
        let events = vec![
            event(
                1,
                2,
                "submit_planned",
                Status::Pending,
                Status::Submitting,
                json!({}),
            ),
            event(
                2,
                3,
                "accepted",
                Status::Submitting,
                Status::Running,
                json!({ "remote_id": "22292", "note": null, "jobs": 1 }),
            ),
        ];
        let row = SubmissionRow {
            id: submission.clone(),
            job: job.id,
            ordinal: 0,
            account: "shots".into(),
            operation: "generate".into(),
            planned_at: at(2),
            answered_at: Some(at(3)),
            http_status: Some(200),
            answer: None,
            client_ref: None,
            price: Some(3),
            outcome: Outcome::Accepted,
            remote_id: Some("22292".into()),
            location: None,
            reason: None,
            credits: Some(3),
            verdicts: None,
        };
        let file = DeliverableRow {
            id: 1,
            job: job.id,
            submission,
            r#type: "Image".into(),
            ordinal: 0,
            location: "file:///srv/image.png".into(),
            content_type: "image/png".into(),
            bytes: 1_024,
            sha256: "00".into(),
            captured_at: at(40),
            source_hash: "11".into(),
            quarantined: false,
            shape: store::FileShape {
                width: Some(640),
                height: Some(480),
                duration_ms: None,
            },
        };
        (events, vec![row], vec![file])
    }

    fn asked(job: &Job) -> [CommandRow; 2] {
        let row = |id, command: &str, value: Option<&str>, outcome: Option<&str>| CommandRow {
            id,
            command: command.to_owned(),
            value: value.map(str::to_owned),
            created_at: job.created_at,
            outcome: outcome.map(str::to_owned),
            done_at: outcome.map(|_| job.created_at),
        };
        let refused = "refused: the job is running";
        [
            row(1, "resolve", Some("resubmit"), Some(refused)),
            row(2, "cancel", None, None),
        ]
    }

    #[test]
    fn a_page_tells_the_whole_story() {
        let job = job(17, running());
        let (events, rows, files) = history(&job);
        let whole = Whole {
            job: JobView::of(&job),
            timeline: &events,
            submissions: &rows,
            commands: &asked(&job),
            deliverables: &files,
        };
        let page: Vec<String> = page(&job, &whole)
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        insta::assert_snapshot!(page.join("\n"));
    }

    #[test]
    fn programs_get_the_columns_by_their_names() {
        let job = job(17, running());
        let whole = Whole {
            job: JobView::of(&job),
            timeline: &[],
            submissions: &[],
            commands: &asked(&job),
            deliverables: &[],
        };
        insta::assert_json_snapshot!(whole);
    }
}
