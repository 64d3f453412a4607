//! How fast files come home: the worker's own hands and storage, each file checked, hashed and synced to the
//! disk, beside `curl` in parallel, which only writes them. Both fetch the same files from one host on
//! loopback, which is a part of this process and has one copy of one file: the memory that is told is all of it.
//!
//! The order is curl, Vitrine, curl, and the better curl counts: the host and the disk are warm for all.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use domain::{JobId, JobKind, Provider, SubmissionId};
use engine::{Act, Hands, HandsOptions, LocalStorage, Report, Said, SystemClock, Wanted};
use providers::SignedUrl;
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;

use crate::account::account;
use crate::error::BenchError;
use crate::scenario::Scenario;

/// Downloads at once, as the planner has them in one lane.
const AT_ONCE: usize = 16;
/// What the bar asks for.
const SHARE: f64 = 0.8;
/// And what memory it allows.
const MEMORY: u64 = 200_000_000;

/// What is run.
#[derive(Debug, Clone)]
pub struct Files {
    /// How many.
    pub files: usize,
    /// The bytes of each.
    pub bytes: usize,
    /// Where they are stored; none: a temporary folder.
    pub dir: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct FilesReport {
    /// How many.
    pub files: usize,
    /// The bytes of each.
    pub bytes: usize,
    /// The better of two runs of curl, in seconds.
    pub curl_s: f64,
    /// Vitrine's, in seconds.
    pub vitrine_s: f64,
    /// Vitrine's speed by curl's.
    pub share: f64,
    /// The most memory that this process had resident, in bytes; none where the system does not tell.
    pub memory: Option<u64>,
    /// Whether the share is 0.8 or more and memory below 200 MB.
    pub holds: bool,
}

impl fmt::Display for FilesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = (self.files * self.bytes) as f64 / 1e6;
        let line = |seconds: f64| format!("{seconds:8.2} s  {:8.0} MB/s", all / seconds);
        writeln!(
            f,
            "{} files of {} bytes from loopback",
            self.files, self.bytes
        )?;
        writeln!(
            f,
            "  curl, {AT_ONCE} at once            {}",
            line(self.curl_s)
        )?;
        writeln!(
            f,
            "  Vitrine, checked and synced   {}",
            line(self.vitrine_s)
        )?;
        writeln!(f, "  share                         {:8.2}", self.share)?;
        if let Some(memory) = self.memory {
            writeln!(
                f,
                "  memory at most                {:8.0} MB",
                memory as f64 / 1e6
            )?;
        }
        let verdict = if self.holds {
            "within the bar"
        } else {
            "NOT WITHIN THE BAR"
        };
        writeln!(f, "  {verdict}")
    }
}

/// Fetches files from a host on loopback.
///
/// # Errors
/// If there is no curl, or a file does not come home.
pub async fn files(asked: &Files) -> Result<FilesReport, BenchError> {
    // Already there only if something else set it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let temporary = match &asked.dir {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let folder = temporary.path();
    let mut tasks = JoinSet::new();
    let port = host(asked.bytes, &mut tasks).await?;
    let first = curl(asked, port, &folder.join("curl-1")).await?;
    let ours = vitrine(asked, port, &folder.join("files")).await?;
    let second = curl(asked, port, &folder.join("curl-2")).await?;
    let curl_s = first.min(second);
    let share = curl_s / ours;
    let memory = peak_memory();
    Ok(FilesReport {
        files: asked.files,
        bytes: asked.bytes,
        curl_s,
        vitrine_s: ours,
        share,
        memory,
        holds: share >= SHARE && memory.is_none_or(|memory| memory < MEMORY),
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is the real time"
)]
fn now() -> Instant {
    Instant::now()
}

fn seconds_since(begun: Instant) -> f64 {
    now().saturating_duration_since(begun).as_secs_f64()
}

async fn curl(asked: &Files, port: u16, folder: &Path) -> Result<f64, BenchError> {
    tokio::fs::create_dir_all(folder).await?;
    let lines = (0..asked.files).map(|n| {
        let file = folder.join(n.to_string());
        format!(
            "url = \"http://127.0.0.1:{port}/{n}\"\noutput = \"{}\"\n",
            file.display()
        )
    });
    let config = folder.with_extension("config");
    tokio::fs::write(&config, lines.collect::<String>()).await?;
    let begun = now();
    let status = Command::new("curl")
        .args(["--silent", "--fail", "--parallel", "--parallel-max"])
        .arg(AT_ONCE.to_string())
        .arg("--config")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    let took = seconds_since(begun);
    let status = status.map_err(|error| {
        BenchError::Scenario(format!(
            "curl, which this compares with, does not run: {error}"
        ))
    })?;
    tokio::fs::remove_dir_all(folder).await?;
    if status.success() {
        Ok(took)
    } else {
        Err(BenchError::Scenario(format!("curl failed: {status}")))
    }
}

async fn vitrine(asked: &Files, port: u16, folder: &Path) -> Result<f64, BenchError> {
    let failed = |error: &dyn fmt::Display| BenchError::Scenario(error.to_string());
    let storage = LocalStorage::open(folder)
        .await
        .map_err(|error| failed(&error))?;
    let scenario = Scenario::of(Provider::Productai);
    let account = account(&scenario, &sandbox::Options::default())?;
    let mut options = HandsOptions::default();
    options.fetch.trusted_hosts = vec![format!("127.0.0.1:{port}")];
    let name = account.name.clone();
    let (hands, mut reports) = Hands::new(&[(account, options)], storage, Arc::new(SystemClock))
        .map_err(|error| failed(&error))?;
    let begun = now();
    let mut under_way = 0;
    for n in 0..asked.files {
        if under_way == AT_ONCE {
            home(&mut reports, asked.bytes).await?;
            under_way -= 1;
        }
        hands.start(Act::Fetch {
            flight: n.to_string(),
            account: name.clone(),
            wanted: wanted(n, port),
        });
        under_way += 1;
    }
    for _ in 0..under_way {
        home(&mut reports, asked.bytes).await?;
    }
    Ok(seconds_since(begun))
}

fn wanted(n: usize, port: u16) -> Wanted {
    Wanted {
        job: JobId::new(JobKind::Image, n as i64),
        submission: SubmissionId(format!("bench-{n}")),
        kind: "Image".to_owned(),
        ordinal: 0,
        url: SignedUrl::new(format!("http://127.0.0.1:{port}/{n}")),
        source_hash: n.to_string(),
        bytes: None,
        sha256: None,
    }
}

/// Waits for the next file.
async fn home(reports: &mut UnboundedReceiver<Report>, bytes: usize) -> Result<(), BenchError> {
    match reports.recv().await.map(|report| report.said) {
        Some(Said::Fetched(Ok(stored))) if stored.bytes == bytes as u64 => Ok(()),
        other => Err(BenchError::Scenario(format!(
            "a file did not come home: {other:?}"
        ))),
    }
}

/// A host of pictures of so many bytes.
async fn host(bytes: usize, tasks: &mut JoinSet<()>) -> Result<u16, BenchError> {
    let mut body = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\xe0".to_vec();
    body.resize(bytes, 7);
    let body = Arc::new(body);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tasks.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let body = Arc::clone(&body);
            // One that breaks is missed by who asked.
            open.spawn(async move { serve(stream, &body).await.unwrap_or_default() });
        }
    });
    Ok(port)
}

/// Request after request on one connection.
async fn serve(mut stream: TcpStream, body: &[u8]) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut heard = Vec::new();
    let mut chunk = [0; 4_096];
    loop {
        while !heard.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut chunk).await?;
            if length == 0 {
                return Ok(());
            }
            heard.extend(chunk.iter().take(length));
        }
        heard.clear();
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
    }
}

/// The most that this process had resident, as Linux tells it.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1_024)
}
