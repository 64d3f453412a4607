//! Every call of a series in turn: the k-th one kills the process (before the kernel has carried it
//! out), or fails with EIO or ENOSPC. `strace` counts calls by thread, so the k-th is that of whichever
//! thread comes first to k; the database's writer and the network have one thread each. For the files,
//! which have several, see `files`.
//!
//! Beyond one's k a thread is never hit: a series ends where the longest thread of a clean run ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::kill_loop;
use super::super::shop::{Shop, talk};
use super::log::{Call, calls};
use super::{finish, place, shop, traced};

/// Points of a run in CI: all that fit into its time.
const POINTS: usize = 30;
/// Points that are tried at once.
const AT_ONCE: usize = 6;

/// What is done to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Error(&'static str),
}

/// Calls of one sort.
#[derive(Debug, Clone, Copy)]
struct Series {
    fault: Fault,
    call: &'static str,
    /// Only those on this file of the shop; all, if there is none.
    file: Option<&'static str>,
}

const WAL: Option<&str> = Some("vitrine.db-wal");
const DATABASE: Option<&str> = Some("vitrine.db");
const EIO: Fault = Fault::Error("EIO");
const ENOSPC: Fault = Fault::Error("ENOSPC");

const fn series(fault: Fault, call: &'static str, file: Option<&'static str>) -> Series {
    Series { fault, call, file }
}

/// Everything that leaves the process or stays behind it.
const ALL: [Series; 25] = [
    // The database.
    series(Fault::Kill, "pwrite64", WAL),
    series(Fault::Kill, "fsync", WAL),
    series(Fault::Kill, "pwrite64", DATABASE),
    series(Fault::Kill, "ftruncate", None),
    series(EIO, "pwrite64", WAL),
    series(EIO, "fsync", WAL),
    series(EIO, "pwrite64", DATABASE),
    series(EIO, "fsync", DATABASE),
    series(EIO, "pread64", WAL),
    series(ENOSPC, "pwrite64", WAL),
    series(ENOSPC, "pwrite64", DATABASE),
    series(ENOSPC, "ftruncate", None),
    // The network.
    series(Fault::Kill, "connect", None),
    series(Fault::Kill, "writev", None),
    series(Fault::Kill, "recvfrom", None),
    // The files; also the rest that is written: wakes of threads, and what is said.
    series(Fault::Kill, "openat", None),
    series(Fault::Kill, "write", None),
    series(Fault::Kill, "fsync", None),
    series(Fault::Kill, "mkdir", None),
    series(Fault::Kill, "rename", None),
    series(EIO, "fsync", None),
    series(EIO, "rename", None),
    series(ENOSPC, "openat", None),
    series(ENOSPC, "mkdir", None),
    series(ENOSPC, "rename", None),
];

impl Series {
    fn words(&self, shop: &Shop, k: usize) -> Vec<String> {
        let fault = match self.fault {
            Fault::Kill => "signal=SIGKILL".to_owned(),
            Fault::Error(code) => format!("error={code}"),
        };
        let mut words = vec![
            "-e".to_owned(),
            format!("trace={}", self.call),
            "-e".to_owned(),
            format!("inject={}:{fault}:when={k}", self.call),
        ];
        if self.fault != Fault::Kill {
            // Much faster, and with it signals are not injected.
            words.push("--seccomp-bpf".to_owned());
        }
        if let Some(file) = self.file {
            let path = place(shop, file);
            words.extend(["-P".to_owned(), path.display().to_string()]);
        }
        words
    }

    fn is_of(&self, call: &Call) -> bool {
        let of_file = self
            .file
            .is_none_or(|file| call.file().ends_with(&format!("/{file}")));
        call.name == self.call && of_file
    }

    /// The most calls of one thread.
    fn longest(&self, calls: &[Call]) -> usize {
        let mut by_thread = BTreeMap::<&str, usize>::new();
        for call in calls.iter().filter(|call| self.is_of(call)) {
            *by_thread.entry(&call.thread).or_default() += 1;
        }
        by_thread.into_values().max().unwrap_or(0)
    }
}

/// What a point came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// The run was over before.
    TooLate,
    Hit,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_call_it_dies_in_or_sees_fail_nothing_is_lost_or_paid_twice() {
    if !super::can_trace() {
        return;
    }
    let lengths = lengths().await;
    let in_all: usize = lengths.iter().map(|(_, length)| length).sum();
    let points = chosen(&lengths);
    let tried = points.len();
    let came = at_once(points, |(series, k)| async move {
        (series, one(series, k).await)
    });
    let mut hit = BTreeMap::<String, [usize; 2]>::new();
    for (series, came) in came.await {
        let name = format!(
            "{:?} {} {}",
            series.fault,
            series.call,
            series.file.unwrap_or("")
        );
        let counts = hit.entry(name).or_default();
        counts[0] += usize::from(came == Came::Hit);
        counts[1] += 1;
    }
    let all: usize = hit.values().map(|counts| counts[0]).sum();
    for (name, [hit, tried]) in &hit {
        eprintln!("strace: {name}: {hit} of {tried} points hit");
    }
    eprintln!("strace: {all} of {tried} points hit ({in_all} in all), all of them passed");
    // Runs differ in length a little, so the last points of a series may come too late.
    assert!(all * 10 >= tried * 8, "{all} of {tried}");
}

/// Tries points, a few at a time: most of a run is waiting.
pub(super) async fn at_once<P, T, F>(points: Vec<P>, one: impl Fn(P) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let seats = Arc::new(Semaphore::new(AT_ONCE));
    let mut tries = JoinSet::new();
    for point in points {
        let seat = Arc::clone(&seats).acquire_owned().await.unwrap();
        let trying = one(point);
        tries.spawn(async move {
            let came = trying.await;
            drop(seat);
            came
        });
    }
    tries.join_all().await
}

/// How many points to try: so many in CI, `VITRINE_STRACE_POINTS` (a number, or `all`) by hand.
pub(super) fn most(in_ci: usize) -> usize {
    let wanted = std::env::var("VITRINE_STRACE_POINTS").unwrap_or_default();
    match wanted.as_str() {
        "" => in_ci,
        "all" => usize::MAX,
        number => number.parse().unwrap(),
    }
}

/// What draws the points.
pub(super) fn rng() -> fastrand::Rng {
    let seed = kill_loop::seed();
    eprintln!("strace: to try the same points again: VITRINE_SEED={seed}");
    kill_loop::dice(seed)
}

/// How many points each series has, from a clean run.
async fn lengths() -> Vec<(Series, usize)> {
    let shop = shop().await;
    let mut names: Vec<&str> = ALL.iter().map(|series| series.call).collect();
    names.sort_unstable();
    names.dedup();
    let words = ["-e".to_owned(), format!("trace={}", names.join(","))];
    let (output, log) = traced(&shop, None, &words);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    let calls = calls(&log);
    let lengths = ALL.map(|series| (series, series.longest(&calls)));
    for (series, length) in &lengths {
        assert!(*length > 0, "a clean run has no call of {series:?}");
    }
    lengths.to_vec()
}

/// All points, or a sample: as many of each series as of every other, as long as there are.
fn chosen(lengths: &[(Series, usize)]) -> Vec<(Series, usize)> {
    let most = most(POINTS);
    let mut rng = rng();
    let mut rest: Vec<(Series, Vec<usize>)> = Vec::new();
    for (series, length) in lengths {
        let mut all: Vec<usize> = (1..=*length).collect();
        rng.shuffle(&mut all);
        rest.push((*series, all));
    }
    let mut points = Vec::new();
    while points.len() < most && rest.iter().any(|(_, left)| !left.is_empty()) {
        for (series, left) in &mut rest {
            let k = left.pop().filter(|_| points.len() < most);
            points.extend(k.map(|k| (*series, k)));
        }
    }
    points
}

/// A disturbed run, an undisturbed one, and the account.
async fn one(series: Series, k: usize) -> Came {
    let shop = shop().await;
    let (output, log) = traced(&shop, None, &series.words(&shop, k));
    let point = format!("{series:?}, k = {k}");
    let code = output.status.code();
    let calls = calls(&log);
    let victim = calls.iter().find(|call| call.was_injected());
    let came = match series.fault {
        Fault::Kill if code.is_none() => Came::Hit,
        Fault::Error(_) if victim.is_some() => Came::Hit,
        Fault::Kill | Fault::Error(_) => Came::TooLate,
    };
    if came == Came::TooLate {
        assert_eq!(code, Some(0), "{point}: {}", talk(&output));
    }
    if let Some(code) = code {
        let said = talk(&output);
        // 6: the config could not be read.
        assert!(matches!(code, 0 | 1 | 3 | 6), "{point}: {code}: {said}");
        assert!(!said.contains("panicked"), "{point}: {said}");
    }
    eprintln!("strace: {point}: {came:?}, ended with {code:?}");
    finish(&shop).await;
    came
}
