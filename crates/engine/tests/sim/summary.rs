//! What a history left behind: the tables, the files and the provider's own book, and nothing of
//! what the processes had in mind.

use std::collections::BTreeMap;

use domain::{JobKind, Provider, Status, Timestamp};
use serde_json::Value;
use store::{DeliverableRow, Job, JobFilter, Spent, Store};

use crate::world::World;

/// What a history left behind.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) shapes: bool,
    pub(crate) never_released: bool,
    pub(crate) inserted: u64,
    pub(crate) jobs: Vec<Job>,
    pub(crate) deliverables: Vec<DeliverableRow>,
    pub(crate) remote: Vec<sandbox::RemoteJob>,
    /// SHA-256 of each file that the providers made, by provider and remote id.
    pub(crate) made: BTreeMap<(sandbox::Provider, String), Vec<String>>,
    pub(crate) violations: Vec<String>,
    pub(crate) charged: BTreeMap<Provider, u64>,
    pub(crate) spent: Vec<Spent>,
    /// The timeline, in its order.
    pub(crate) events: Vec<Value>,
    /// Everything that is text in the database, where this history was chosen for it.
    pub(crate) text: String,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    pub(crate) sometimes: BTreeMap<String, u64>,
    pub(crate) points: u64,
    pub(crate) unanswered: u64,
    pub(crate) stored: BTreeMap<String, String>,
    pub(crate) history: Vec<String>,
    pub(crate) ticks: u64,
    /// Answers 4xx: what the provider did not want from us.
    pub(crate) refused: Vec<String>,
    /// Lost submits whose job was found in an export.
    pub(crate) proven_by_export: usize,
    /// The timeline of all jobs.
    pub(crate) timeline: Vec<store::EventRow>,
    pub(crate) limits: Limits,
    /// All requests that ProductAI saw.
    pub(crate) asked_productai: usize,
    /// The most requests that ProductAI saw in any minute.
    pub(crate) busiest_minute: usize,
    /// Submissions whose acceptance was heard, and that count as unknown all the same.
    pub(crate) forgotten: Vec<String>,
    /// When the last fault was over: a crash, a freeze, a jump of the clock, an answer gone wrong.
    pub(crate) last_fault: Timestamp,
    /// When the last remote job came to its end.
    pub(crate) last_remote: Timestamp,
    /// When the last job became terminal, by our clock.
    pub(crate) settled: Timestamp,
    /// Keys, and what signs links: they must be in no table.
    pub(crate) secrets: Vec<String>,
}

/// What was asked, and what it was held back by.
#[derive(Debug)]
pub(crate) struct Limits {
    /// Every request, as the providers saw it.
    pub(crate) requests: Vec<sandbox::RequestEntry>,
    /// Requests whose answer 429 was heard.
    pub(crate) too_many: Vec<Value>,
    /// What rests at the end.
    pub(crate) paused: Vec<Value>,
    /// Batches whose jobs were refused.
    pub(crate) refused: Vec<Value>,
}

impl Limits {
    async fn of(world: &World) -> Self {
        let too_many = "select * from requests where problem = 'rate_limited'";
        Self {
            requests: world.provider.ledger().requests().to_vec(),
            too_many: rows(&world.url, too_many).await,
            paused: rows(&world.url, "select * from lane_pauses").await,
            refused: rows(&world.url, "select * from batch_refusals").await,
        }
    }
}

impl Summary {
    /// Productions in doubt.
    pub(crate) fn in_doubt_productions(&self) -> usize {
        let productions = self
            .jobs
            .iter()
            .filter(|job| job.id.kind == JobKind::Production);
        productions
            .filter(|job| job.work.status() == Status::InDoubt)
            .count()
    }

    /// The codes of failed jobs.
    pub(crate) fn failures(&self) -> Vec<String> {
        let faults = self.jobs.iter().filter_map(|job| job.work.state.fault());
        faults.map(|fault| fault.code.clone()).collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.jobs.len()
    }

    fn count(&self, wanted: &[Status]) -> usize {
        self.jobs
            .iter()
            .filter(|job| wanted.contains(&job.work.status()))
            .count()
    }

    pub(crate) fn completed(&self) -> usize {
        self.count(&[Status::Completed])
    }

    pub(crate) fn in_doubt(&self) -> usize {
        self.count(&[Status::InDoubt])
    }

    pub(crate) fn open(&self) -> usize {
        self.count(&[
            Status::Pending,
            Status::Submitting,
            Status::Running,
            Status::Capturing,
        ])
    }

    /// Crashes and database troubles.
    pub(crate) fn crash_points(&self) -> u64 {
        self.crashes.values().sum()
    }
}

/// Every how many histories all text of the database is searched for secrets.
const SEARCHED: u64 = 8;

const TABLES: [&str; 13] = [
    "batch_refusals",
    "descriptions",
    "image_generations",
    "productions",
    "submissions",
    "submission_jobs",
    "requests",
    "job_events",
    "deliverables",
    "lanes",
    "lane_pauses",
    "webhook_inbox",
    "job_commands",
];

impl Summary {
    /// Reads what `world` leaves.
    pub(crate) async fn of(world: World) -> Self {
        let ledger = world.provider.ledger();
        let entries = ledger.requests().iter();
        let refused = entries
            .filter(|entry| (400..500).contains(&entry.status))
            .map(|entry| format!("{} {}: {:?}", entry.status, entry.path, entry.reason))
            .collect();
        let violations = ledger
            .violations()
            .map(|(entry, violation)| format!("{} {}: {violation:?}", entry.at_ms, entry.path))
            .collect();
        let busiest_minute = ledger.busiest(60_000, |entry| {
            entry.provider == sandbox::Provider::Productai
        });
        let charged = [
            (Provider::Jakov, sandbox::Provider::Jakov),
            (Provider::Productai, sandbox::Provider::Productai),
            (Provider::Jarai, sandbox::Provider::Jarai),
        ]
        .map(|(ours, theirs)| (ours, ledger.charged(theirs)))
        .into();
        let jobs = jobs(&world.store).await;
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        let submitted = rows(&world.url, "select * from submission_jobs").await;
        let events = rows(&world.url, "select * from job_events order by seq").await;
        let sends = "select id, submission_id from requests where verb = 'submit'";
        let sends = rows(&world.url, sends).await;
        let forgotten = forgotten(&world, &sends, &submitted);
        let text = text(&world).await;
        let remote: Vec<_> = world.provider.jobs(world.now.as_millis()).collect();
        let last_remote = remote.iter().map(|it| it.end_ms).max().unwrap_or(0);
        let settled = jobs.iter().filter(|job| job.work.status().is_terminal());
        let settled = settled.filter_map(|job| job.work.completed_at).max();
        let last_answer = ledger.requests().iter().filter(|it| it.fault.is_some());
        let last_answer = last_answer.map(|it| it.at_ms).max().unwrap_or(0);
        let timeline = world.store.events_after(0, u32::MAX).await.unwrap();
        Self {
            limits: Limits::of(&world).await,
            seed: world.seed,
            shapes: world.shapes,
            never_released: world.never_released,
            inserted: world.inserted,
            deliverables: world.store.deliverables_of(&ids).await.unwrap(),
            made: made(&world, &remote),
            remote,
            violations,
            charged,
            spent: world.store.spent().await.unwrap(),
            points: world.points(),
            proven_by_export: submitted.iter().filter(|row| by_export(row)).count(),
            sometimes: sometimes(&world, &submitted, &events),
            events,
            forgotten,
            text,
            crashes: world.crashes,
            unanswered: world.unanswered,
            stored: world.stored,
            history: world.history,
            ticks: world.ticks,
            refused,
            timeline,
            asked_productai: asked_productai(ledger),
            busiest_minute,
            last_fault: world.last_fault.max(Timestamp::from_millis(last_answer)),
            last_remote: Timestamp::from_millis(last_remote),
            settled: settled.unwrap_or_default(),
            secrets: world.secrets,
            jobs,
        }
    }
}

fn asked_productai(ledger: &sandbox::Ledger) -> usize {
    let asked = ledger.requests().iter();
    asked
        .filter(|entry| entry.provider == sandbox::Provider::Productai)
        .count()
}

/// Rows as any program would read them.
async fn rows(url: &str, select: &str) -> Vec<Value> {
    store::testing::sql_rows(url, select).await.unwrap()
}

async fn jobs(store: &Store) -> Vec<Job> {
    let mut jobs = Vec::new();
    for kind in JobKind::ALL {
        let filter = JobFilter {
            kind: Some(kind),
            limit: 100_000,
            ..JobFilter::default()
        };
        jobs.extend(store.list_jobs(&filter).await.unwrap());
    }
    jobs
}

fn forgotten(world: &World, sends: &[Value], submitted: &[Value]) -> Vec<String> {
    let heard = |row: &&Value| {
        let id = row["id"].as_str().unwrap_or_default();
        world.accepted_and_heard.contains(id)
    };
    let unknown = |id: &Value| {
        let mut rows = submitted.iter();
        rows.any(|row| row["submission_id"] == *id && row["outcome"] == "unknown")
    };
    let heard = sends.iter().filter(heard).map(|row| &row["submission_id"]);
    heard
        .filter(|id| unknown(id))
        .map(ToString::to_string)
        .collect()
}

async fn text(world: &World) -> String {
    let mut text = String::new();
    if world.seed.is_multiple_of(SEARCHED) {
        for table in TABLES {
            for row in rows(&world.url, &format!("select * from {table}")).await {
                text.push_str(&row.to_string());
            }
        }
    }
    text
}

fn made(
    world: &World,
    remote: &[sandbox::RemoteJob],
) -> BTreeMap<(sandbox::Provider, String), Vec<String>> {
    use sha2::{Digest, Sha256};
    let mut made = BTreeMap::new();
    for job in remote.iter().filter(|job| job.has_result) {
        let files = world.provider.files(job.provider, &job.id).into_iter();
        let hashes = files.map(|file| crate::world::wire::hex(&Sha256::digest(&file.bytes)));
        made.insert((job.provider, job.id.clone()), hashes.collect());
    }
    made
}

fn has(row: &Value, column: &str, part: &str) -> bool {
    row[column].as_str().is_some_and(|text| text.contains(part))
}

fn by_export(row: &Value) -> bool {
    has(row, "reason", "proven by the export")
}

/// What happens in some histories only, read from what the history left.
fn sometimes(world: &World, submitted: &[Value], events: &[Value]) -> BTreeMap<String, u64> {
    let mut seen: BTreeMap<String, u64> = world
        .sometimes
        .iter()
        .map(|(what, n)| ((*what).to_owned(), *n))
        .collect();
    let mut saw = |what: String, n: usize| *seen.entry(what).or_default() += n as u64;
    for entry in world.provider.ledger().requests() {
        if let Some(fault) = entry.fault {
            saw(format!("provider: {fault:?}"), 1);
        }
        if entry.read_after_terminal {
            saw("a finished job's link was read again".to_owned(), 1);
        }
    }
    let of = |part: &str| submitted.iter().filter(|r| has(r, "reason", part)).count();
    saw(
        "adopted by the export".to_owned(),
        of("proven by the export"),
    );
    saw(
        "interrupted: sent or not, unknown".to_owned(),
        of("whether it was sent is unknown"),
    );
    saw(
        "an intent that surely never left".to_owned(),
        of("made durable and then not sent"),
    );
    let late = |row: &&Value| {
        has(row, "from_status", "in_doubt")
            && has(row, "to_status", "running")
            && has(row, "event", "accepted")
    };
    saw(
        "late success adopted out of doubt".to_owned(),
        events.iter().filter(late).count(),
    );
    let moved = |event: &str| events.iter().filter(|row| has(row, "event", event)).count();
    for event in [
        "refused",
        "remote_failed",
        "remote_cancelled",
        "capture_trouble",
    ] {
        saw(format!("event: {event}"), moved(event));
    }
    let mut sizes = BTreeMap::<&str, usize>::new();
    for row in submitted.iter().filter(|row| row["outcome"] == "refused") {
        *sizes
            .entry(row["submission_id"].as_str().unwrap_or_default())
            .or_default() += 1;
    }
    let batches = sizes.values().filter(|n| **n > 1).count();
    saw("a batch was refused as a whole".to_owned(), batches);
    seen
}
