//! The program under `strace`: killed, or told that the disk is broken or full, at each of its system
//! calls in turn; and the order in which it writes, syncs, sends and renames. kill -9 alone keeps the
//! page cache, and cannot see a missing fsync.
//!
//! A run of five jobs of all kinds on SQLite. After each disturbed run comes an undisturbed one to the
//! end, and the account of `account`. In CI a sample of the points, drawn from a seed; by hand all of
//! them (`VITRINE_STRACE_POINTS=all`).
//!
//! Where `strace` is missing (macOS, a container that forbids it) these tests say that they did not
//! run; `VITRINE_STRACE=required`, which `.ci/run` sets, lets them fail instead.

mod files;
mod log;
mod order;
mod points;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sandbox::{Options, SandboxServer};
use store::testing::{onlooker, sql_rows};
use tokio::sync::OnceCell;

use super::account::{Account, Inserted, check};
use super::shop::{Engine, Shop, finished, options, talk};

/// Five jobs: two descriptions in one POST, two images, one production.
const JOBS: [u64; 3] = [2, 2, 1];
/// A run takes half a second.
const SPEED: f64 = 400.0;

/// SQLite folds its log into the file when it has 1,000 pages; a run writes some 250, so that it happens
/// within the run.
const LONG_LOG: u64 = 850 * 4_120;

/// A shop with five jobs in it, made once and copied for each point.
struct Template {
    config: String,
    database: Vec<u8>,
    log: Vec<u8>,
    base_url: String,
}

static TEMPLATE: OnceCell<Template> = OnceCell::const_new();

async fn template() -> &'static Template {
    TEMPLATE.get_or_init(make_template).await
}

async fn make_template() -> Template {
    let shop = Shop::open(Engine::Sqlite, fast()).await;
    // A job that stays in doubt is waited for so long: JAKOV's export proves what it can before that.
    shop.edit_config("# For", "in_doubt_wait = \"1500ms\"\n# For");
    let log = shop.path().join("vitrine.db-wal");
    let _onlooker = onlooker(&shop.database).await.unwrap();
    while std::fs::metadata(&log).map_or(0, |it| it.len()) < LONG_LOG {
        let rows = vec!["('nobody', 'a lamp')"; 50].join(", ");
        let insert = format!("insert into descriptions (account, product_name) values {rows}");
        shop.sql(&insert).await;
        shop.sql("delete from descriptions").await;
    }
    for statement in Inserted::default().more(JOBS) {
        shop.sql(&statement).await;
    }
    Template {
        config: std::fs::read_to_string(shop.config()).unwrap(),
        database: std::fs::read(shop.path().join("vitrine.db")).unwrap(),
        log: std::fs::read(log).unwrap(),
        base_url: shop.sandbox.base_url(),
    }
}

/// Jobs that are done after a poll or two: each kind of call is there, and few of them.
fn fast() -> Options {
    let mut options = Options {
        speed: SPEED,
        ..options()
    };
    options.jakov.duration_median_ms = 4_000;
    options.productai.duration_median_ms = 4_000;
    options.jarai.queued_median_ms = 8_000;
    options.jarai.producing_median_ms = 20_000;
    // A machine that has much else to do may take seconds, which is an hour of the providers.
    options.jarai.sas_life_ms = 100_000_000;
    options.productai.link_life_ms = 100_000_000;
    options
}

/// A shop with the five jobs, and nothing done yet.
async fn shop() -> Shop {
    let template = template().await;
    Shop::from_files(fast(), |base_url| {
        let config = template.config.replace(&template.base_url, base_url);
        [
            ("vitrine.toml", config.into_bytes()),
            ("vitrine.db", template.database.clone()),
            ("vitrine.db-wal", template.log.clone()),
        ]
    })
    .await
}

fn inserted() -> Inserted {
    let mut inserted = Inserted::default();
    inserted.more(JOBS);
    inserted
}

/// Whether programs can be traced here. Where they have to be and cannot, the test fails.
fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => talk(&output),
        Err(error) => error.to_string(),
    };
    let required = std::env::var("VITRINE_STRACE").is_ok_and(|word| word == "required");
    assert!(
        !required,
        "strace does not work here, and VITRINE_STRACE=required: {why}"
    );
    eprintln!("DID NOT RUN: strace does not work here ({})", why.trim());
    false
}

/// Seconds after which a traced run waits for a disk that stays broken.
const WAITS_FOR_GOOD: &str = "15";

/// Runs the worker, or another program that works as it does, under `strace`; the log is kept beside
/// the database.
fn traced(shop: &Shop, program: Option<&Path>, words: &[String]) -> (Output, String) {
    let log = shop.path().join("strace.log");
    // A fault is counted in each thread, and a worker that opens its database anew does so in a fresh one: for
    // it the disk fails for good, and it waits, as it should. It is then killed, with its whole group.
    let mut strace = Command::new("timeout");
    strace.args(["--signal=KILL", WAITS_FOR_GOOD, "strace"]);
    strace.args(["-f", "-y", "-qq", "-o"]).arg(&log).args(words);
    let output = tokio::task::block_in_place(|| finished(under_strace(strace, shop, program)));
    let bytes = std::fs::read(&log).unwrap_or_default();
    (output, String::from_utf8_lossy(&bytes).into_owned())
}

/// The worker under this `strace`. One thread runs all tasks, so that calls are counted in one place.
fn under_strace(mut strace: Command, shop: &Shop, program: Option<&Path>) -> Command {
    let command = shop.command(&["run", "--until-idle"]);
    strace.arg("--");
    strace.arg(program.unwrap_or(Path::new(command.get_program())));
    strace.args(command.get_args()).current_dir(shop.path());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.env("TOKIO_WORKER_THREADS", "1");
    strace
}

/// The path of a file of the shop, as the kernel names it.
fn place(shop: &Shop, name: &str) -> PathBuf {
    shop.path().canonicalize().unwrap().join(name)
}

/// What was on the wire when the worker died: the submissions without an outcome, and the remote jobs
/// that it was asking about. It is looked at in a copy, so that the next worker finds all as it was.
async fn scene(shop: &Shop) -> (BTreeSet<String>, BTreeSet<String>) {
    let copy = tempfile::tempdir().unwrap();
    for name in ["vitrine.db", "vitrine.db-wal"] {
        let from = shop.path().join(name);
        if from.exists() {
            std::fs::copy(from, copy.path().join(name)).unwrap();
        }
    }
    let database = format!("sqlite://{}", copy.path().join("vitrine.db").display());
    let select = "select 'open' as what, submission_id as id from submission_jobs where outcome = 'open' \
        union select 'asked', coalesce(d.remote_id, i.remote_id, p.remote_id, '') from requests r \
          left join descriptions d on r.kind = 'description' and d.id = r.job_id \
          left join image_generations i on r.kind = 'image' and i.id = r.job_id \
          left join productions p on r.kind = 'production' and p.id = r.job_id \
          where r.answered_at is null and r.verb <> 'submit'";
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for row in sql_rows(&database, select).await.unwrap() {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        found.entry(text("what")).or_default().insert(text("id"));
    }
    let mut take = |what: &str| found.remove(what).unwrap_or_default();
    (take("open"), take("asked"))
}

/// After a disturbed run: an undisturbed one to the end, and the account.
async fn finish(shop: &Shop) -> Account {
    let (open, asked) = scene(shop).await;
    forget_answers(&shop.sandbox, &asked);
    let ended = tokio::task::block_in_place(|| shop.work());
    let code = ended.status.code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {}", talk(&ended));
    let account = check(shop, inserted(), &open).await;
    assert_eq!(code == Some(3), account.in_doubt > 0, "{}", talk(&ended));
    account
}

/// A terminal status that was told and never written down may be asked for again.
fn forget_answers(sandbox: &SandboxServer, asked: &BTreeSet<String>) {
    let lost: Vec<u64> = sandbox.with(|sandbox, _| {
        let all = sandbox.ledger().requests().iter();
        let about = all.filter(|entry| entry.jobs.iter().any(|job| asked.contains(job)));
        about.map(|entry| entry.no).collect()
    });
    for no in lost {
        sandbox.answer_lost(no).unwrap();
    }
}
