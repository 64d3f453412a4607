//! kill -9 of the demo, with its sandbox in the same process: the next one goes on, nothing is lost,
//! nothing is paid for twice, and only what was on the wire may stay in doubt. For the worker alone, and
//! hundreds of kills, see `kill_loop`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sandbox::{RemoteJob, RequestEntry, SandboxServer, Verb};
use serde_json::Value;
use tokio::net::TcpListener;

use super::shop::{Worker, finished, json, options, talk, vitrine};

const ROWS: usize = 150;
/// How long after its beginning each run of the demo is killed, in milliseconds.
const KILLS: [u64; 5] = [130, 870, 40, 420, 1_150];

/// A catalog with a name, a barcode and an image in most rows.
fn catalog(path: &Path) {
    let mut text = "sku,ean,product_name,brand,image_url\n".to_owned();
    for number in 0..ROWS {
        let image = if number % 3 == 0 {
            format!("https://images.example/{number}.jpg")
        } else {
            String::new()
        };
        text += &format!("SKU-{number},,Lamp number {number},Ikéa,{image}\n");
    }
    std::fs::write(path, text).unwrap();
}

fn demo(folder: &Path) -> Command {
    vitrine(
        folder,
        &[
            "demo",
            "catalog.csv",
            "--json",
            "--dir",
            "d",
            "--speed",
            "150",
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_that_is_killed_again_and_again_ends_with_the_same_account() {
    let folder = tempfile::tempdir().unwrap();
    catalog(&folder.path().join("catalog.csv"));
    let database = format!("sqlite://{}", folder.path().join("d/vitrine.db").display());
    let mut in_flight = 0;
    for moment in KILLS {
        let worker = Worker::start(demo(folder.path()));
        // It has read its catalog, and is at work.
        worker.until_it_says("new jobs").await;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        worker.kill();
        in_flight += open_on_the_wire(&database).await;
    }
    let output = finished(demo(folder.path()));
    let report = json(&output);
    let count = |name: &str| report["jobs"]["total"][name].as_u64().unwrap();
    let inserted = report["jobs"]["inserted"].as_u64().unwrap();
    assert_eq!(report["jobs"]["accounted"], true, "{report:#}");
    let in_doubt = count("in_doubt");
    let ended = count("completed") + count("failed") + in_doubt + count("awaiting_approval");
    assert_eq!(inserted, ended, "{report:#}");
    assert!(
        in_doubt <= in_flight,
        "{in_doubt} in doubt, {in_flight} were on the wire"
    );
    let code = if in_doubt == 0 { 0 } else { 3 };
    assert_eq!(output.status.code(), Some(code), "{}", talk(&output));
    assert_eq!(report["violations"], serde_json::json!({}), "{report:#}");
    let (jobs, requests) = remembered(folder.path()).await;
    nothing_twice(&jobs);
    assert!(jobs.len() as u64 + in_doubt >= inserted, "nothing was lost");
    polls_kept_their_rules(&requests);
    for credits in report["credits"].as_array().unwrap() {
        let number = |name: &str| credits[name].as_u64().unwrap();
        assert!(number("booked") <= number("charged"), "{report:#}");
        assert!(
            number("charged") <= number("booked") + number("reserved"),
            "{report:#}"
        );
    }
}

/// Jobs whose submit had begun and not ended when the process was killed.
async fn open_on_the_wire(database: &str) -> u64 {
    let select = "select count(*) as n from submission_jobs where outcome = 'open'";
    let rows = store::testing::sql_rows(database, select).await.unwrap();
    rows[0]["n"].as_u64().unwrap()
}

/// What the demo's sandbox remembers of all its runs.
async fn remembered(folder: &Path) -> (Vec<RemoteJob>, Vec<RequestEntry>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut options = options();
    options.speed = 150.0;
    options.jakov.not_found_share = 0.01;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let journal = folder.join("d/sandbox.journal");
    assert!(journal.exists(), "the demo keeps its journal elsewhere");
    let server = SandboxServer::start_with_journal(options, listener, Some(&journal)).unwrap();
    server.with(|sandbox, now| {
        let jobs = sandbox.jobs(now).collect();
        (jobs, sandbox.ledger().requests().to_vec())
    })
}

/// Each product, prompt and topic is of one job, so that a second acceptance shows.
pub(super) fn nothing_twice(jobs: &[RemoteJob]) {
    let mut seen = BTreeMap::new();
    for job in jobs {
        let mut submitted = job.submitted.clone();
        if let Some(body) = submitted.as_object_mut() {
            // Ours for each submission; the link of a source is signed anew for each read.
            body.remove("clientProductId");
            if job.operation == "upscale" {
                let link = body.get("image_url").and_then(Value::as_str);
                let link = link.and_then(|url| url.split('?').next());
                let link = link.map(|url| url.split("/files/").last().unwrap_or(url).to_owned());
                body.insert("image_url".to_owned(), link.into());
            }
        }
        let twin = seen.insert((job.operation, submitted.to_string()), &job.id);
        assert!(
            twin.is_none(),
            "paid twice: {submitted} as {twin:?} and {}",
            job.id
        );
    }
}

fn polls_kept_their_rules(requests: &[RequestEntry]) {
    for entry in requests {
        assert!(entry.violations.is_empty(), "{entry:#?}");
        assert!(!(400..500).contains(&entry.status), "{entry:#?}");
    }
    let polls = requests.iter().filter(|entry| entry.verb == Verb::Poll);
    assert!(polls.count() > 0);
}
