//! The calls on stored files come from several threads, which `strace` counts one by one. Here they are
//! counted together: its log is read while it is written, each such call is held back for a moment, and
//! the process is killed in the n-th.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Child, ChildStderr, Command, Stdio};

use super::super::shop::Shop;
use super::points::{at_once, most, rng};
use super::{finish, place, shop, under_strace};

/// What is done to a file on its way in.
const CALLS: &str = "openat,write,fsync,rename,mkdir,unlink";
/// How long each of them is held back, in microseconds: the kill has to arrive within it.
const HELD_BACK: u64 = 4_000;
/// Points of a run in CI.
const POINTS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_it_does_to_a_file_when_it_dies_nothing_is_lost_or_torn() {
    if !super::can_trace() {
        return;
    }
    let clean = shop().await;
    let length = tokio::task::block_in_place(|| killed_in(&clean, usize::MAX)).calls;
    assert!(length >= 30, "a clean run has only {length} calls on files");
    let mut points: Vec<usize> = (1..=length).collect();
    rng().shuffle(&mut points);
    points.truncate(most(POINTS));
    let tried = points.len();
    let came = at_once(points, |n| async move {
        let shop = shop().await;
        let came = tokio::task::block_in_place(|| killed_in(&shop, n));
        eprintln!("strace: the {n}th call on a file: {came:?}");
        finish(&shop).await;
        came
    });
    let came = came.await;
    let hit = came.iter().filter(|it| it.was_killed).count();
    let exact = came.iter().filter(|it| it.in_the_call).count();
    eprintln!(
        "strace: killed in {hit} of {tried} calls on files ({length} in all), {exact} times before \
         the call was carried out; all of them passed"
    );
    // Runs differ in length, so calls drawn near the end may come too late.
    assert!(hit * 2 >= tried, "{hit} of {tried}");
}

/// What a run came to.
#[derive(Debug, Default)]
struct Came {
    /// The calls on files that began.
    calls: usize,
    was_killed: bool,
    /// The kernel had not carried out the n-th call.
    in_the_call: bool,
}

/// Runs the worker, and kills it in its n-th call on a file of the storage.
fn killed_in(shop: &Shop, n: usize) -> Came {
    let mut strace = Command::new("strace");
    // The child is the worker, and the tracer a process beside it.
    strace.args(["-D", "-f", "-y", "-qq", "-s", "0", "-e"]);
    strace.arg(format!("trace={CALLS}")).arg("-e");
    strace.arg(format!("inject={CALLS}:delay_enter={HELD_BACK}"));
    let mut worker = under_strace(strace, shop, None);
    worker.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut worker = worker.spawn().unwrap();
    let log = worker.stderr.take().unwrap();
    let files = format!("{}/", place(shop, "files").display());
    let came = follow(&mut worker, log, &files, n);
    let status = worker.wait().unwrap();
    Came {
        was_killed: status.code().is_none(),
        ..came
    }
}

/// Reads the log to its end. A call stands there when it begins, on a line that is not ended yet.
fn follow(worker: &mut Child, mut log: ChildStderr, files: &str, n: usize) -> Came {
    let mut came = Came::default();
    let mut lines = BTreeSet::new();
    let mut fatal = None;
    let (mut text, mut chunk) = (Vec::new(), [0; 65_536]);
    let mut ended = 0;
    loop {
        let length = log.read(&mut chunk).unwrap();
        text.extend_from_slice(&chunk[..length]);
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate().skip(ended) {
            let line = String::from_utf8_lossy(line);
            if is_call_on(&line, files) && lines.insert(number) && lines.len() == n {
                worker.kill().unwrap();
                fatal = Some(number);
            }
        }
        ended = text.split(|byte| *byte == b'\n').count() - 1;
        if length == 0 {
            break;
        }
    }
    came.calls = lines.len();
    let text = String::from_utf8_lossy(&text);
    let line = fatal.and_then(|number| text.lines().nth(number));
    came.in_the_call = line.is_some_and(|line| !line.contains(" = "));
    came
}

/// `[pid 17] fsync(9</…/files/…>`; not the second half of a call.
fn is_call_on(line: &str, files: &str) -> bool {
    let line = line.strip_prefix("[pid").map_or(line, |rest| {
        let call = rest.split_once(']').map_or("", |(_, call)| call);
        call.trim_start()
    });
    let name = line.split_once('(').map_or("", |(name, _)| name);
    CALLS.split(',').any(|call| call == name) && line.contains(files)
}
