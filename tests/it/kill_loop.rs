//! kill -9 of the real program, hundreds of times in one life of a shop, on both databases: at moments
//! drawn from a seed, while other programs go on inserting, so that there is work of all kinds on the
//! wire. Then one worker runs undisturbed to the end, and the account is checked.
//!
//! `VITRINE_KILLS` says how many (200); `VITRINE_SEED` repeats the moments of a run that failed. The
//! machine's own timing is not repeated with them. This module judges when and how to kill, and what
//! was hit; what has to hold afterwards is in `account`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use sandbox::{FaultKind, FaultPlan, FaultRule, Options, Provider, When};
use serde_json::Value;
use store::testing::sql_rows;

use super::account::{Inserted, check};
use super::shop::{Engine, Shop, Stopwatch, Worker, options, talk};

/// In CI; by hand a thousand.
const KILLS: u64 = 200;
/// Windows of 600 ms and images of half a second: a short life of a worker sees all of it.
const SPEED: f64 = 100.0;
/// How long the answers of the providers take, so that kills fall into calls as they would over a real
/// network.
const ANSWERS_MS: [u64; 2] = [15, 45];
/// The same for the files, so that kills fall into captures.
const FILES_MS: u64 = 90;
/// A worker that has not begun to send by now has nothing to send.
const FIRST_REQUEST: Duration = Duration::from_millis(3_000);
/// Within this time of its start a worker is killed before it has begun.
const BREATH: Duration = Duration::from_millis(80);
/// Within this time of its first request it is in the middle of its first calls.
const LIFE: Duration = Duration::from_millis(120);
/// Between two looks at the sandbox, which lives in this process.
const GLANCE: Duration = Duration::from_millis(1);
/// The worker does not ask about a job whose last question was cut off for so long (`load.rs`), so a
/// question that comes within it was sent before the kill.
const STILL_ON_ITS_WAY_MS: i64 = 2_000;
/// So many jobs of each kind wait at least, as long as the loop lasts.
const BACKLOG: u64 = 6;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_paid_twice_however_often_it_is_killed_on_sqlite() {
    killed_again_and_again(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_paid_twice_however_often_it_is_killed_on_postgresql() {
    killed_again_and_again(Engine::Postgres).await;
}

/// The test of the test: an account that accepts a second charge pays some of them, and it shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_resubmits_what_is_in_doubt_is_found_to_pay_twice() {
    let seed = seed();
    eprintln!("to repeat the moments of these kills: VITRINE_SEED={seed}");
    let mut killer = Killer::new(Engine::Sqlite, seed).await;
    let knowingly = "model = \"nanobanana\"\nin_doubt = \"resubmit\"";
    killer.shop.edit_config("model = \"nanobanana\"", knowingly);
    for _ in 0..25 {
        killer.one_life().await;
    }
    killer.shop.work();
    let checked = tokio::spawn(async move {
        check(&killer.shop, killer.inserted, &killer.open).await;
    });
    let found = checked.await.unwrap_err().into_panic();
    let found = found.downcast_ref::<String>().unwrap();
    assert!(found.starts_with("paid twice: "), "{found}");
}

async fn killed_again_and_again(engine: Engine) {
    let kills = number("VITRINE_KILLS").unwrap_or(KILLS);
    let seed = seed();
    eprintln!("{engine:?}: {kills} kills; to repeat their moments: VITRINE_SEED={seed}");
    let mut killer = Killer::new(engine, seed).await;
    for _ in 0..kills {
        killer.one_life().await;
    }
    killer.answers_that_nobody_heard();
    let ended = killer.shop.work();
    let code = ended.status.code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {}", talk(&ended));
    let account = check(&killer.shop, killer.inserted, &killer.open).await;
    assert_eq!(code == Some(3), account.in_doubt > 0, "{}", talk(&ended));
    let jobs = account.by_submission.iter();
    let hit = jobs.filter(|(submission, _)| killer.open.contains(*submission));
    let hit: Vec<_> = hit.flat_map(|(_, jobs)| jobs).collect();
    let proven = hit.iter().filter(|row| row.status == "completed").count();
    eprintln!(
        "{engine:?}, seed {seed}: {kills} kills hit {}\n  {} jobs = {} completed + {} in doubt; \
         {} were open at a kill, {proven} of them proven by the export; of those in doubt the \
         providers have {}\n  {} requests; the fullest minutes: {}; {} files whole, {} of them fetched \
         twice",
        killer.hits,
        killer.inserted.total(),
        account.completed,
        account.in_doubt,
        hit.len(),
        account.in_doubt_accepted,
        killer.shop.requests().len(),
        account.fullest,
        account.files,
        account.orphans,
    );
    killer.hits.prove_something(kills);
}

/// The seed of `VITRINE_SEED`, or one that nobody knows yet.
pub(crate) fn seed() -> u64 {
    number("VITRINE_SEED").unwrap_or_else(|| {
        // Each `RandomState` is keyed by the system's randomness.
        let random = std::collections::hash_map::RandomState::new();
        random.build_hasher().finish()
    })
}

/// What is drawn from a seed.
pub(crate) fn dice(seed: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}={text}: {error}")),
    )
}

/// What the worker was at when it was killed; a kill may hit several of these at once.
#[derive(Debug, Default)]
struct Hits {
    starting: u64,
    submitting: u64,
    reading: u64,
    capturing: u64,
    idle: u64,
}

impl Hits {
    /// A loop whose kills never fall into a paid call proves nothing.
    fn prove_something(&self, kills: u64) {
        assert!(
            self.submitting * 10 >= kills,
            "few submits were hit: {self}"
        );
        assert!(self.reading * 10 >= kills, "few reads were hit: {self}");
        assert!(
            self.capturing * 50 >= kills,
            "few captures were hit: {self}"
        );
        assert!(self.starting * 50 >= kills, "few starts were hit: {self}");
    }
}

impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} starts, {} submits in flight, {} reads in flight, {} captures, {} idle moments",
            self.starting, self.submitting, self.reading, self.capturing, self.idle
        )
    }
}

struct Killer {
    engine: Engine,
    shop: Shop,
    moments: fastrand::Rng,
    inserted: Inserted,
    hits: Hits,
    /// Submissions that were open when a worker died.
    open: BTreeSet<String>,
    /// Requests that stay without an answer, as far as they were seen.
    unanswered: BTreeSet<String>,
    /// Remote jobs that the last worker was asking about, and what it had seen of the providers.
    asked: Asked,
    epochs: u64,
    /// Descriptions, images and productions to be inserted while the next worker lives.
    missing: [u64; 3],
}

/// When a worker is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    AfterTheStart(Duration),
    /// In so many lives.
    AfterTheFirstRequest(f64),
}

/// Questions that were on the wire at a kill.
#[derive(Debug, Default)]
struct Asked {
    remote_ids: BTreeSet<String>,
    /// Requests that the providers had seen when that worker began.
    from: usize,
    /// When it was killed, as the sandbox tells the time.
    killed_ms: i64,
}

impl Killer {
    async fn new(engine: Engine, seed: u64) -> Self {
        let shop = Shop::open(engine, sped_up(seed)).await;
        shop.edit_config(
            "model = \"nanobanana\"",
            "model = \"nanobanana\"\nlimits = { requests_per_minute = 120 }",
        );
        shop.edit_config(
            "requests_per_minute = 60, requests_per_day = 2000, productions_per_day = 20",
            "requests_per_minute = 120, requests_per_day = 1000000, productions_per_day = 100000",
        );
        // What nobody answers holds its place for so long; a call takes some 50 ms here.
        shop.edit_config("\"10s\"", "\"2s\"");
        shop.edit_config("# For", "in_doubt_wait = \"5s\"\n# For");
        let moments = dice(seed);
        Self {
            engine,
            shop,
            moments,
            inserted: Inserted::default(),
            hits: Hits::default(),
            open: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            asked: Asked::default(),
            epochs: 0,
            missing: [BACKLOG; 3],
        }
    }

    /// A worker lives for a moment, while others insert, and is killed.
    async fn one_life(&mut self) {
        let from = self.shop.requests_seen();
        let moment = self.moment();
        let statements = self.inserted.more(self.missing);
        let worker = self.shop.worker();
        let inserting = async {
            for statement in &statements {
                self.shop.sql(statement).await;
            }
        };
        let (killed_ms, ()) = tokio::join!(self.kill(worker, from, moment), inserting);
        self.answers_that_nobody_heard();
        let seen = self.look().await;
        self.asked = Asked {
            remote_ids: self.judge(&seen),
            from,
            killed_ms,
        };
        self.answers_that_nobody_heard();
        let [descriptions, images, productions] = seen.pending;
        self.missing = [
            BACKLOG.saturating_sub(descriptions),
            BACKLOG.saturating_sub(images),
            (BACKLOG / 2).saturating_sub(productions),
        ];
    }

    /// Some are killed in their first breath, most soon after their first request, a quarter live long
    /// enough to bring several jobs to their end.
    fn moment(&mut self) -> Moment {
        let lot = self.moments.u64(..100);
        let share = self.moments.f64();
        match lot {
            0..12 => Moment::AfterTheStart(BREATH.mul_f64(share)),
            12..75 => Moment::AfterTheFirstRequest(share),
            _ => Moment::AfterTheFirstRequest(5.0 * share),
        }
    }

    /// Kills it when the moment has come, and waits until nothing of it is left: a server ends the
    /// statement that it is at. Says when.
    async fn kill(&self, worker: Worker, from: usize, moment: Moment) -> i64 {
        let wait = match moment {
            Moment::AfterTheStart(wait) => wait,
            Moment::AfterTheFirstRequest(lives) => {
                let start = Stopwatch::start();
                let begun = async {
                    while self.shop.requests_seen() == from {
                        tokio::time::sleep(GLANCE).await;
                    }
                };
                // Whether it has anything to send or not, it is killed.
                let _ = tokio::time::timeout(FIRST_REQUEST, begun).await;
                // On a machine that has much else to do, all of it takes longer.
                LIFE.max(start.elapsed() / 2).mul_f64(lives)
            }
        };
        tokio::time::sleep(wait).await;
        let said = worker.talk();
        worker.kill();
        assert!(!said.contains("panicked"), "{said}");
        let killed_ms = self.shop.sandbox.with(|_, now| now);
        if self.engine == Engine::Postgres {
            let sessions = "select count(*) as n from pg_stat_activity \
                where application_name like 'vitrine%' and datname = current_database()";
            self.shop.until(sessions, "0").await;
        }
        killed_ms
    }

    /// What an outsider sees of the crash. A SQLite file is looked at in a copy: the next worker must
    /// find the write-ahead log as the killed one left it.
    async fn look(&self) -> Seen {
        let scene = tempfile::tempdir().unwrap();
        let database = match self.engine {
            Engine::Postgres => self.shop.database.clone(),
            Engine::Sqlite => {
                let copy = scene.path().join("vitrine.db");
                for end in ["", "-wal"] {
                    let from = self.shop.path().join(format!("vitrine.db{end}"));
                    if from.exists() {
                        std::fs::copy(from, with_end(&copy, end)).unwrap();
                    }
                }
                format!("sqlite://{}", copy.display())
            }
        };
        let rows = sql_rows(&database, SCENE).await.unwrap();
        let mut seen = Seen::default();
        for row in rows {
            seen.add(&row);
        }
        let incoming = self.shop.path().join("files/.incoming");
        let half = std::fs::read_dir(incoming).map_or(0, Iterator::count);
        seen.capturing |= half > 0;
        seen
    }

    /// Counts what was hit; says which remote jobs were being asked about.
    fn judge(&mut self, seen: &Seen) -> BTreeSet<String> {
        let submitting = seen.open.iter().any(|id| !self.open.contains(id));
        let reads = seen.reads.iter();
        let new: Vec<_> = reads
            .filter(|(id, _)| !self.unanswered.contains(*id))
            .collect();
        let asked = new.iter().map(|(_, job)| (*job).clone()).collect();
        let reading = !new.is_empty();
        let starting = seen.epochs == self.epochs;
        self.hits.starting += u64::from(starting);
        self.hits.submitting += u64::from(submitting);
        self.hits.reading += u64::from(reading);
        self.hits.capturing += u64::from(seen.capturing && !starting);
        let busy = starting || submitting || reading || seen.capturing;
        self.hits.idle += u64::from(!busy);
        self.epochs = seen.epochs;
        self.open.extend(seen.open.iter().cloned());
        self.unanswered.extend(seen.reads.keys().cloned());
        asked
    }

    /// A terminal status that was told and never written down may be asked for again.
    fn answers_that_nobody_heard(&self) {
        let Asked {
            remote_ids,
            from,
            killed_ms,
        } = &self.asked;
        let lost: Vec<u64> = self.shop.sandbox.with(|sandbox, _| {
            let later = sandbox.ledger().requests().iter().skip(*from);
            let of_it = later.take_while(|entry| entry.at_ms <= killed_ms + STILL_ON_ITS_WAY_MS);
            let about = of_it.filter(|it| it.jobs.iter().any(|job| remote_ids.contains(job)));
            about.map(|entry| entry.no).collect()
        });
        for no in lost {
            self.shop.sandbox.answer_lost(no).unwrap();
        }
    }
}

fn with_end(path: &std::path::Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", path.display()))
}

/// Limits that bind, prices, answers that take a while.
fn sped_up(seed: u64) -> Options {
    let slow = |provider, when, ms| FaultRule {
        provider,
        verb: None,
        when,
        kind: FaultKind::Slow(ms),
    };
    let mut options = Options {
        seed,
        speed: SPEED,
        faults: FaultPlan {
            rules: vec![
                slow(Some(Provider::Files), When::Share(1.0), FILES_MS),
                slow(None, When::Share(0.5), ANSWERS_MS[0]),
                slow(None, When::Share(1.0), ANSWERS_MS[1]),
            ],
        },
        ..options()
    };
    options.productai.requests_per_minute = 120;
    options.productai.tokens = 1_000_000;
    options.jarai.requests_per_minute = Some(120);
    options.jarai.requests_per_day = Some(1_000_000);
    options.jarai.productions_per_day = Some(100_000);
    // However much the machine has to do, no link dies on its way.
    options.jarai.sas_life_ms = 100_000_000;
    options.productai.link_life_ms = 100_000_000;
    options
}

/// One look at everything, as rows of (what, id, of).
const SCENE: &str = "select 'epochs' as what, '' as id, '' as remote_id, coalesce(sum(epoch), 0) as n \
      from lanes \
    union all select distinct 'open', submission_id, '', 0 from submission_jobs where outcome = 'open' \
    union all select 'read', r.id, coalesce(d.remote_id, i.remote_id, p.remote_id, ''), 0 \
      from requests r \
      left join descriptions d on r.kind = 'description' and d.id = r.job_id \
      left join image_generations i on r.kind = 'image' and i.id = r.job_id \
      left join productions p on r.kind = 'production' and p.id = r.job_id \
      where r.answered_at is null and r.verb <> 'submit' \
    union all select 'capturing', '', '', count(*) from image_generations where status = 'capturing' \
    union all select 'capturing', '', '', count(*) from productions where status = 'capturing' \
    union all select 'descriptions', '', '', count(*) from descriptions where status = 'pending' \
    union all select 'images', '', '', count(*) from image_generations where status = 'pending' \
    union all select 'productions', '', '', count(*) from productions where status = 'pending'";

/// What is to be seen right after a kill.
#[derive(Debug, Default)]
struct Seen {
    epochs: u64,
    /// Submissions whose outcome nobody wrote down.
    open: BTreeSet<String>,
    /// Requests without an answer, with the remote jobs that they were about.
    reads: BTreeMap<String, String>,
    capturing: bool,
    /// Jobs that nobody has begun: descriptions, images, productions.
    pending: [u64; 3],
}

impl Seen {
    fn add(&mut self, row: &Value) {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let n = row["n"].as_u64().unwrap();
        match row["what"].as_str().unwrap() {
            "epochs" => self.epochs = n,
            "open" => {
                self.open.insert(text("id"));
            }
            "read" => {
                self.reads.insert(text("id"), text("remote_id"));
            }
            "capturing" => self.capturing |= n > 0,
            "descriptions" => self.pending[0] = n,
            "images" => self.pending[1] = n,
            _ => self.pending[2] = n,
        }
    }
}
