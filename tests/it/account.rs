//! The account at the end of a run that was disturbed: is every job there, paid for at most once, with
//! its whole result? It is checked from three things that the worker cannot talk its way around: the
//! rows as any program reads them, the files, and the sandbox's own ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sandbox::{Provider, RemoteJob};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

use super::shop::Shop;

const PROVIDERS: [Provider; 3] = [Provider::Jakov, Provider::Productai, Provider::Jarai];

/// Jobs that were inserted, by kind. Each has a name of its own, under which its provider saw it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Inserted {
    pub(crate) descriptions: u64,
    pub(crate) images: u64,
    pub(crate) productions: u64,
}

impl Inserted {
    pub(crate) fn total(self) -> u64 {
        self.descriptions + self.images + self.productions
    }

    /// The statements by which a program that knows nothing of us inserts so many more descriptions,
    /// images and productions.
    pub(crate) fn more(&mut self, [descriptions, images, productions]: [u64; 3]) -> Vec<String> {
        let mut statements = Vec::new();
        let mut insert = |into: &str, so_far: &mut u64, more: u64, row: fn(u64) -> String| {
            let rows: Vec<String> = (*so_far + 1..=*so_far + more).map(row).collect();
            *so_far += more;
            if more > 0 {
                statements.push(format!("insert into {into} values {}", rows.join(", ")));
            }
        };
        insert(
            "descriptions (product_name)",
            &mut self.descriptions,
            descriptions,
            |n| format!("('Lamp {n}')"),
        );
        insert(
            "image_generations (model, image_url, prompt)",
            &mut self.images,
            images,
            |n| format!("('nanobanana', 'https://images.example/{n}.jpg', 'lamp {n} on a table')"),
        );
        insert(
            "productions (topic)",
            &mut self.productions,
            productions,
            |n| format!("('Film {n}')"),
        );
        statements
    }
}

/// What came of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) completed: u64,
    pub(crate) in_doubt: u64,
    /// Of those in doubt, how many the provider has.
    pub(crate) in_doubt_accepted: u64,
    /// Jobs by the submission that is theirs now.
    pub(crate) by_submission: BTreeMap<String, Vec<Row>>,
    pub(crate) files: u64,
    /// Whole files whose row was not written any more before a crash: each was fetched again.
    pub(crate) orphans: u64,
    /// The most requests of one provider within a minute of its time, of the allowed.
    pub(crate) fullest: String,
}

/// A job as other programs see it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) kind: String,
    id: i64,
    name: String,
    pub(crate) status: String,
    submission: Option<String>,
    remote_id: Option<String>,
    text: Option<String>,
}

impl Row {
    fn of(value: &Value) -> Self {
        let text = |name: &str| value[name].as_str().map(str::to_owned);
        Self {
            kind: text("kind").unwrap(),
            id: value["id"].as_i64().unwrap(),
            name: text("name").unwrap(),
            status: text("status").unwrap(),
            submission: text("submission_id"),
            remote_id: text("remote_id"),
            text: text("result"),
        }
    }

    fn provider(&self) -> Provider {
        match self.kind.as_str() {
            "description" => Provider::Jakov,
            "image" => Provider::Productai,
            _ => Provider::Jarai,
        }
    }
}

const ROWS: &str = "select 'description' as kind, id, product_name as name, status, submission_id, \
      remote_id, description as result from descriptions \
    union all select 'image', id, prompt, status, submission_id, remote_id, null from image_generations \
    union all select 'production', id, topic, status, submission_id, remote_id, null from productions";

/// Checks all of it. `in_flight` names the submissions that were open when a process died: no other
/// job may be in doubt.
pub(crate) async fn check(
    shop: &Shop,
    inserted: Inserted,
    in_flight: &BTreeSet<String>,
) -> Account {
    let rows: Vec<Row> = shop.rows(ROWS).await.iter().map(Row::of).collect();
    assert_eq!(rows.len() as u64, inserted.total(), "rows were lost");
    let mut account = Account::default();
    let mut remote = BTreeMap::<(Provider, String), Vec<RemoteJob>>::new();
    let jobs = shop.remote_jobs();
    let accepted = jobs.len();
    for job in jobs {
        remote
            .entry((job.provider, name_of(&job)))
            .or_default()
            .push(job);
    }
    let mut lost_answers = BTreeMap::<Provider, u64>::new();
    let mut known = 0;
    for row in &rows {
        let none = Vec::new();
        let theirs = remote.get(&(row.provider(), row.name.clone()));
        let theirs = theirs.unwrap_or(&none);
        assert!(theirs.len() <= 1, "paid twice: {row:?} as {theirs:#?}");
        known += theirs.len();
        match row.status.as_str() {
            "completed" => {
                let Some(theirs) = theirs.first() else {
                    panic!("completed, and the provider has no such job: {row:?}");
                };
                assert_eq!(row.remote_id.as_ref(), Some(&theirs.id), "{row:?}");
                if row.provider() == Provider::Jakov {
                    let text = shop.sandbox.with(|it, _| it.description(&theirs.id));
                    assert_eq!(row.text, text, "{row:?}");
                }
                account.completed += 1;
            }
            "in_doubt" => {
                let submission = row.submission.as_ref().unwrap();
                let was_open = in_flight.contains(submission);
                assert!(was_open, "nothing of it was on the wire: {row:?}");
                if let Some(theirs) = theirs.first() {
                    account.in_doubt_accepted += 1;
                    *lost_answers.entry(row.provider()).or_default() += theirs.credits;
                    let provable = row.provider() == Provider::Jakov && theirs.has_result;
                    assert!(!provable, "the export proves it: {row:?}");
                }
                account.in_doubt += 1;
            }
            _ => panic!("it has not come to its end: {row:?}"),
        }
        if let Some(submission) = &row.submission {
            let jobs = account.by_submission.entry(submission.clone()).or_default();
            jobs.push(row.clone());
        }
    }
    assert_eq!(known, accepted, "the providers have jobs that are no row's");
    money(shop, &lost_answers).await;
    files(shop, &rows, &mut account).await;
    timelines(shop, &rows).await;
    account.fullest = a_good_caller(shop);
    account
}

fn name_of(job: &RemoteJob) -> String {
    let field = match job.provider {
        Provider::Jakov => "productName",
        Provider::Productai => "prompt",
        Provider::Jarai | Provider::Files | Provider::Control => "topic",
    };
    job.text(field).unwrap_or_default().to_owned()
}

/// What was charged is what was booked, but for accepted jobs whose answers never came; those are
/// within what is reserved.
async fn money(shop: &Shop, lost_answers: &BTreeMap<Provider, u64>) {
    let select = "select s.provider, j.outcome, coalesce(sum(j.credits), 0) as credits, \
        coalesce(sum(j.price), 0) as price from submission_jobs j \
        join submissions s on s.id = j.submission_id group by s.provider, j.outcome";
    let rows = shop.rows(select).await;
    for provider in PROVIDERS {
        let word = format!("{provider:?}").to_lowercase();
        let sum = |outcome: &str, column: &str| {
            let mut rows = rows
                .iter()
                .filter(|row| row["provider"] == word && row["outcome"] == outcome);
            let row = rows.next();
            row.map_or(0, |row| row[column].as_u64().unwrap())
        };
        let open = rows.iter().find(|row| row["outcome"] == "open");
        assert!(open.is_none(), "nobody decided about {open:?}");
        let charged = shop.sandbox.with(|it, _| it.ledger().charged(provider));
        let lost = lost_answers.get(&provider).copied().unwrap_or_default();
        assert_eq!(charged, sum("accepted", "credits") + lost, "{provider:?}");
        let reserved = sum("unknown", "price");
        assert!(
            lost <= reserved,
            "{provider:?}: {lost} lost of {reserved} reserved"
        );
    }
}

/// Each completed job has the files that its provider made, byte for byte; whatever lies under a final
/// name is whole.
async fn files(shop: &Shop, rows: &[Row], account: &mut Account) {
    let select = "select kind, job_id, submission_id, location, bytes, sha256 from deliverables";
    let mut ours = BTreeMap::<(String, i64), BTreeSet<String>>::new();
    let mut places = BTreeSet::new();
    for row in shop.rows(select).await {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let path = Url::parse(&text("location"))
            .unwrap()
            .to_file_path()
            .unwrap();
        let (bytes, hash) = measured(&path);
        assert_eq!(bytes, row["bytes"].as_u64().unwrap(), "{row}");
        assert_eq!(hash, text("sha256"), "{row}");
        let job = (text("kind"), row["job_id"].as_i64().unwrap());
        ours.entry(job).or_default().insert(hash);
        places.insert(path);
    }
    for row in rows.iter().filter(|row| row.status == "completed") {
        let remote_id = row.remote_id.as_ref().unwrap();
        let made = shop
            .sandbox
            .with(|it, _| it.files(row.provider(), remote_id));
        let made: BTreeSet<String> = made.iter().map(|file| hash_of(&file.bytes)).collect();
        let ours = ours.get(&(row.kind.clone(), row.id)).cloned();
        assert_eq!(ours.unwrap_or_default(), made, "{row:?}");
    }
    let mut found = Vec::new();
    walk(&shop.path().join("files"), &mut found);
    for path in &found {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let told = name.rsplit('-').next().unwrap();
        let (_, hash) = measured(path);
        assert!(hash.starts_with(told), "a torn file: {}", path.display());
        account.files += 1;
        account.orphans += u64::from(!places.contains(path));
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            walk(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn measured(path: &Path) -> (u64, String) {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (bytes.len() as u64, hash_of(&bytes))
}

fn hash_of(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each job's events are one unbroken chain to its state, and none leaves an end.
async fn timelines(shop: &Shop, rows: &[Row]) {
    let select = "select kind, job_id, event, from_status, to_status from job_events order by seq";
    let mut last = BTreeMap::<(String, i64), String>::new();
    for event in shop.rows(select).await {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        let job = (text("kind"), event["job_id"].as_i64().unwrap());
        let before = last.insert(job, text("to_status"));
        let before = before.as_deref().unwrap_or("pending");
        assert_eq!(before, text("from_status"), "{event}");
        let over = before == "completed" && text("to_status") != "completed";
        assert!(!over, "{event}");
    }
    for row in rows {
        let last = last.get(&(row.kind.clone(), row.id));
        assert_eq!(last, Some(&row.status), "{row:?}");
    }
}

/// No rule of a provider was broken: no window over its limit, no early poll, no poll after the end,
/// nothing that made no sense. Says how full the windows were.
fn a_good_caller(shop: &Shop) -> String {
    shop.assert_a_good_caller();
    let minute_ms = (60_000.0 / shop.speed) as i64;
    let words = PROVIDERS.map(|provider| {
        let busiest = shop.sandbox.with(|it, _| {
            let ledger = it.ledger();
            ledger.busiest(minute_ms, |entry| entry.provider == provider)
        });
        format!("{provider:?} {busiest}")
    });
    words.join(", ")
}
