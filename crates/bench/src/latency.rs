//! How soon a row that another program inserts is on the wire: the production loop with its hands, over a real
//! database, against a sandbox behind a socket, in real time. Beside it stands what one durable commit of one
//! row takes on this machine, since that is what the worker's own intent costs too.
//!
//! The other program is a second store in this process, with connections of its own; the worker learns of its
//! rows as it learns of anybody's. Times are taken on one clock: a relay before the sandbox stamps the bytes of
//! each request as they arrive.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Provider, Window};
use engine::{DiskReserve, DiskWatch, Hands, LocalStorage, RunOptions, SystemClock};
use providers::Client;
use sandbox::{Options, SandboxServer};
use serde::Serialize;
use store::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::account::{account, row};
use crate::error::BenchError;
use crate::scenario::Scenario;

/// Rows that are not counted: the worker's trust is earned, statements are prepared, connections opened.
const WARMING: usize = 10;

/// Longer than this a row that was inserted is lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is run.
#[derive(Debug, Clone)]
pub struct Latency {
    /// An empty PostgreSQL database; none: a SQLite file in a temporary folder.
    pub database: Option<String>,
    /// Rows, one after another.
    pub rows: usize,
    /// The pauses between them are drawn from it.
    pub seed: u64,
}

/// A median and a 99th percentile, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Spread {
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 99 in 100 took no longer.
    pub p99_ms: f64,
}

impl Spread {
    fn of(mut all: Vec<f64>) -> Self {
        all.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let place = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(place).copied().unwrap_or_default()
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyReport {
    /// `SQLite` or `PostgreSQL`.
    pub database: &'static str,
    /// Rows that were counted.
    pub rows: usize,
    /// The other program's INSERT with its commit.
    pub commit: Spread,
    /// From the return of its commit to the arrival of the request.
    pub on_the_wire: Spread,
    /// What `on_the_wire` may be at most: 1.5 commits and 2 ms at the median, 3 commits and 10 ms at the 99th
    /// percentile, by the median commit of this run; with SQLite, which tells nobody of a commit, 12 and 30 ms.
    pub bar: Spread,
    /// Whether it is within both.
    pub holds: bool,
}

impl fmt::Display for LatencyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |spread: &Spread| {
            format!(
                "p50 {:8.2} ms   p99 {:8.2} ms",
                spread.p50_ms, spread.p99_ms
            )
        };
        writeln!(f, "{}: {} rows, one by one", self.database, self.rows)?;
        writeln!(
            f,
            "  one-row commit of the other program  {}",
            line(&self.commit)
        )?;
        writeln!(
            f,
            "  from its return to the wire          {}",
            line(&self.on_the_wire)
        )?;
        writeln!(
            f,
            "  the bar                              {}",
            line(&self.bar)
        )?;
        writeln!(
            f,
            "  {}",
            if self.holds {
                "within the bar"
            } else {
                "ABOVE THE BAR"
            }
        )
    }
}

/// Inserts rows into a database on which a worker works, and looks when each arrives at the sandbox.
///
/// # Errors
/// If the database cannot be used, or a row does not arrive within half a minute.
pub async fn latency(typed: &Latency) -> Result<LatencyReport, BenchError> {
    // The HTTP client asks for one, though all is plain here. It is there already only if something else set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir()?;
    let url = match &typed.database {
        Some(url) => url.clone(),
        None => format!("sqlite://{}", folder.path().join("bench.db").display()),
    };
    let options = || store::Options {
        create: true,
        ..store::Options::default()
    };
    let store = Store::open(&url, options()).await?;
    store.migrate().await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let sandbox = SandboxServer::start(fast(typed.seed), listener)?;
    let mut tasks = JoinSet::new();
    let behind = sandbox.base_url().replace("http://", "");
    let (address, arrivals) = relay(behind, &mut tasks).await?;
    let stop = CancellationToken::new();
    let other = Store::open(&url, options()).await?;
    let worker = work(&store, &address, folder.path(), stop.clone());
    let measured = async {
        let measured = measure(typed, &other, arrivals).await;
        stop.cancel();
        measured
    };
    let (worked, measured) = tokio::join!(worker, measured);
    worked?;
    let (commits, waits) = measured?;
    other.close().await;
    store.close().await;
    Ok(judged(typed, commits, waits))
}

fn judged(typed: &Latency, commits: Vec<f64>, waits: Vec<f64>) -> LatencyReport {
    let rows = waits.len();
    let (commit, on_the_wire) = (Spread::of(commits), Spread::of(waits));
    let (least, most) = match typed.database {
        Some(_) => (2.0, 10.0),
        None => (12.0, 30.0),
    };
    let bar = Spread {
        p50_ms: commit.p50_ms.mul_add(1.5, least),
        p99_ms: commit.p50_ms.mul_add(3.0, most),
    };
    LatencyReport {
        database: if typed.database.is_some() {
            "PostgreSQL"
        } else {
            "SQLite"
        },
        rows,
        commit,
        on_the_wire,
        bar,
        holds: on_the_wire.p50_ms <= bar.p50_ms && on_the_wire.p99_ms <= bar.p99_ms,
    }
}

/// A provider whose limits hold nothing back.
fn fast(seed: u64) -> Options {
    let mut options = Options {
        seed,
        ..Options::default()
    };
    options.jakov.submit_per_minute = 1_000_000;
    options.jakov.read_per_minute = 1_000_000;
    options.jakov.credits = u64::from(u32::MAX);
    options
}

/// The production loop, until it is stopped.
async fn work(
    store: &Store,
    address: &str,
    folder: &Path,
    stop: CancellationToken,
) -> Result<(), BenchError> {
    let scenario = Scenario::of(Provider::Jakov);
    let options = fast(scenario.seed);
    let mut account = account(&scenario, &options)?;
    let base = format!("{address}/jakov");
    account.client = Client::new(Provider::Jakov, &base, options.jakov.api_key.into())?;
    for (_, windows) in &mut account.limits.groups {
        *windows = vec![Window::rolling(1_000_000, Duration::from_secs(60))];
    }
    account.timing.look_again = engine::Timing::default().look_again;
    let machine = |error: &dyn fmt::Display| BenchError::Scenario(error.to_string());
    let storage = LocalStorage::open(&folder.join("files"))
        .await
        .map_err(|error| machine(&error))?;
    let clock = Arc::new(SystemClock);
    let config = [(account.clone(), engine::HandsOptions::default())];
    let (hands, reports) =
        Hands::new(&config, storage, clock.clone()).map_err(|error| machine(&error))?;
    let no_reserve = DiskReserve {
        places: Vec::new(),
        bytes: 0,
    };
    let options = RunOptions {
        disk: DiskWatch::start(no_reserve).await,
        until_idle: false,
        in_doubt_wait: Duration::ZERO,
        drain_limit: Duration::from_secs(1),
        owner: "bench".to_owned(),
        lease: Duration::from_secs(30),
        seed: scenario.seed,
        drain: CancellationToken::new(),
        stop,
    };
    let accounts = vec![account];
    let mut nobody_watches = |_: &engine::Plan, _: &engine::Outlook| {};
    let ended = engine::run(
        store.clone(),
        accounts,
        hands,
        reports,
        clock,
        options,
        &mut nobody_watches,
    );
    ended.await.map_err(|error| machine(&error))?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is the real time"
)]
fn now() -> Instant {
    Instant::now()
}

fn millis(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1_000.0
}

/// Inserts row by row; what each commit took, and what each row then needed to the wire.
async fn measure(
    typed: &Latency,
    other: &Store,
    mut arrivals: mpsc::UnboundedReceiver<Instant>,
) -> Result<(Vec<f64>, Vec<f64>), BenchError> {
    let mut rng = fastrand::Rng::with_seed(typed.seed);
    let (mut commits, mut waits) = (Vec::new(), Vec::new());
    for n in 0..typed.rows + WARMING {
        // At no fixed distance from the worker's own looks.
        tokio::time::sleep(Duration::from_micros(rng.u64(40_000..120_000))).await;
        let rows = [row(Provider::Jakov, n)];
        let begun = now();
        other.insert_jobs(&rows).await?;
        let returned = now();
        let arrived = tokio::time::timeout(PATIENCE, arrivals.recv()).await;
        let Ok(Some(arrived)) = arrived else {
            let why = format!("row {n} was inserted and never arrived");
            return Err(BenchError::Scenario(why));
        };
        if n >= WARMING {
            commits.push(millis(begun, returned));
            waits.push(millis(returned, arrived));
        }
    }
    Ok((commits, waits))
}

/// Stands before the sandbox and says when the first bytes of each paid POST arrive. Ends with its tasks.
async fn relay(
    sandbox: String,
    tasks: &mut JoinSet<()>,
) -> Result<(String, mpsc::UnboundedReceiver<Instant>), BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    let (arrives, arrivals) = mpsc::unbounded_channel();
    tasks.spawn(async move {
        let mut streams = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            streams.spawn(pass(client, sandbox.clone(), arrives.clone()));
        }
    });
    Ok((address, arrivals))
}

/// Passes on what comes. The first bytes are stamped before anything else is done for them.
async fn pass(mut client: TcpStream, sandbox: String, arrives: mpsc::UnboundedSender<Instant>) {
    // Only submits are POSTs here.
    let stamp = |came: &[u8]| {
        if came.starts_with(b"POST ") {
            let _ = arrives.send(now());
        }
    };
    let mut bytes = vec![0; 16 * 1_024];
    let Ok(n @ 1..) = client.read(&mut bytes).await else {
        return;
    };
    let first = bytes.get(..n).unwrap_or_default();
    stamp(first);
    let Ok(mut server) = TcpStream::connect(&sandbox).await else {
        return;
    };
    // Else the kernel holds small writes back for an acknowledgement.
    let _ = server.set_nodelay(true).and(client.set_nodelay(true));
    if server.write_all(first).await.is_err() {
        return;
    }
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async {
        while let Ok(n @ 1..) = from_client.read(&mut bytes).await {
            let came = bytes.get(..n).unwrap_or_default();
            stamp(came);
            if to_server.write_all(came).await.is_err() {
                return;
            }
        }
    };
    let back = tokio::io::copy(&mut from_server, &mut to_client);
    let _ = tokio::join!(there, back);
}
