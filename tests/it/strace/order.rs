//! What is durable before what: each paid POST leaves after its intent is synced, and each stored file
//! is synced, renamed, its folder synced, and only then named by a row. Read from the log of one run.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::shop::{Shop, talk};
use super::log::{Call, calls};
use super::{finish, place, shop, traced};

/// Whole pages and whole bodies are in the log.
const WHOLE: &str = "65536";
const CALLS: &str =
    "trace=pwrite64,write,writev,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2";

/// What a log says.
#[derive(Debug, Default)]
struct Verdict {
    posts: usize,
    /// POSTs that left before the database's log held their intent, synced.
    posts_too_early: Vec<String>,
    files: usize,
    /// Renames that came too early, or rows that did.
    files_too_early: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_post_leaves_after_its_intent_is_synced_and_every_file_before_its_row() {
    if !super::can_trace() {
        return;
    }
    let (shop, calls) = logged(None).await;
    let wal = place(&shop, "vitrine.db-wal");
    let wal = wal.to_str().unwrap();
    let verdict = judge(&calls, wal);
    assert_eq!(verdict.posts_too_early, Vec::<String>::new());
    assert_eq!(verdict.files_too_early, Vec::<String>::new());
    // The log shows all of them, else the check would be blind.
    assert_eq!(verdict.posts, shop.submits().len());
    let rows = shop.text("select count(*) as n from deliverables").await;
    assert_eq!(verdict.files.to_string(), rows);
    assert!(verdict.posts >= 4 && verdict.files >= 3, "{verdict:?}");
    // Without the syncs of files and folders the same log would be wrong.
    let mut worse = calls;
    worse.retain(|call| call.name != "fsync" || call.file() == wal);
    assert_eq!(judge(&worse, wal).files_too_early.len(), verdict.files);
    finish(&shop).await;
    let (posts, files) = (verdict.posts, verdict.files);
    eprintln!(
        "strace: {posts} of {posts} POSTs left after their intent was synced, {files} files in order"
    );
}

/// The test of the test: the same worker with a database that does not sync each commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_order_is_broken_when_the_database_does_not_sync_each_commit() {
    if !super::can_trace() {
        return;
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_vitrine"));
    let program = bin.with_file_name("examples").join("synchronous_normal");
    assert!(program.exists(), "cargo test builds {}", program.display());
    let (shop, calls) = logged(Some(&program)).await;
    let verdict = judge(&calls, place(&shop, "vitrine.db-wal").to_str().unwrap());
    assert_eq!(verdict.posts, shop.submits().len());
    // One may leave right after the log was folded into the file, which syncs it.
    let too_early = verdict.posts_too_early.len();
    assert!(too_early * 2 > verdict.posts, "{verdict:?}");
    eprintln!(
        "strace, synchronous = NORMAL: {too_early} of {} POSTs left too early",
        verdict.posts
    );
}

async fn logged(program: Option<&Path>) -> (Shop, Vec<Call>) {
    let shop = shop().await;
    let words = ["--seccomp-bpf", "-s", WHOLE, "-e", CALLS].map(str::to_owned);
    let (output, log) = traced(&shop, program, &words);
    assert_eq!(output.status.code(), Some(0), "{}", talk(&output));
    (shop, calls(&log))
}

fn judge(calls: &[Call], wal: &str) -> Verdict {
    let mut verdict = Verdict::default();
    for call in calls {
        if matches!(
            call.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg"
        ) {
            let sent = call.bytes().concat();
            if call.file().starts_with("socket:") && sent.starts_with(b"POST ") {
                verdict.posts += 1;
                if let Err(why) = post(calls, wal, call, &sent) {
                    verdict.posts_too_early.push(why);
                }
            }
        }
        if call.name.starts_with("rename") {
            verdict.files += 1;
            if let Err(why) = file(calls, wal, call) {
                verdict.files_too_early.push(why);
            }
        }
    }
    verdict
}

/// The hash of what is sent stands in the intent: its page was written to the write-ahead log, then a
/// commit, and a sync of the log was over before the first byte left.
fn post(calls: &[Call], wal: &str, post: &Call, sent: &[u8]) -> Result<(), String> {
    let head = sent.windows(4).position(|it| it == b"\r\n\r\n");
    let body = &sent[head.ok_or("a POST in pieces")? + 4..];
    let hash: String = Sha256::digest(body)
        .iter()
        .map(|it| format!("{it:02x}"))
        .collect();
    let written = first_with(calls, wal, hash.as_bytes()).ok_or("its intent is nowhere")?;
    let committed = commit_after(calls, wal, written).ok_or("its intent was not committed")?;
    match synced(calls, wal, committed.ended) {
        Some(sync) if sync.ended < post.began => Ok(()),
        sync => Err(format!(
            "a POST left on line {}; its intent was committed on line {} and synced {sync:?}",
            post.began, committed.ended
        )),
    }
}

/// All bytes, then a sync, then the name, then a sync of the folder, then the row.
fn file(calls: &[Call], wal: &str, rename: &Call) -> Result<(), String> {
    let from = String::from_utf8(rename.text(0)).unwrap();
    let to = PathBuf::from(String::from_utf8(rename.text(1)).unwrap());
    let mut writes = calls
        .iter()
        .filter(|it| it.name == "write" && it.file() == from);
    let last = writes.next_back().ok_or("nothing was written")?;
    let whole = synced(calls, &from, last.ended).filter(|sync| sync.ended < rename.began);
    whole.ok_or(format!("{from} was not synced before its rename"))?;
    let folder = to.parent().unwrap().to_str().unwrap();
    let named = synced(calls, folder, rename.ended).ok_or(format!("{folder} was not synced"))?;
    let name = to.file_name().unwrap().to_str().unwrap();
    let row = first_with(calls, wal, name.as_bytes()).ok_or(format!("no row names {name}"))?;
    if row.began < named.ended {
        let renames = calls.iter().filter(|it| it.name.starts_with("rename"));
        let of_it: Vec<(usize, usize)> = renames
            .filter(|it| it.text(1) == rename.text(1))
            .map(|it| (it.began, it.ended))
            .collect();
        return Err(format!(
            "the row of {name} was written on line {}, before its folder was synced on lines {} to {}; \
             it was renamed on lines {of_it:?}",
            row.began, named.began, named.ended
        ));
    }
    Ok(())
}

/// The first page with these bytes in it that was written to the log.
fn first_with<'a>(calls: &'a [Call], wal: &str, bytes: &[u8]) -> Option<&'a Call> {
    calls.iter().find(|call| {
        let is_page = call.name == "pwrite64" && call.file() == wal;
        is_page && call.text(0).windows(bytes.len()).any(|it| it == bytes)
    })
}

/// The page after which the transaction counts: bytes 4 to 8 of the head of its frame, which comes right
/// before it, are the size of the database, and zero in all other frames (SQLite's file format, 4.1).
fn commit_after<'a>(calls: &'a [Call], wal: &str, page: &Call) -> Option<&'a Call> {
    let frames = calls
        .iter()
        .filter(|it| it.name == "pwrite64" && it.file() == wal);
    let frames: Vec<&Call> = frames.collect();
    let pairs = frames.windows(2).filter(|pair| pair[1].began >= page.began);
    let mut commits = pairs.filter(|pair| {
        let head = pair[0].text(0);
        head.len() == 24 && head[4..8] != [0; 4]
    });
    commits.next().map(|pair| pair[1])
}

/// The first sync of this file or folder that began after this line.
fn synced<'a>(calls: &'a [Call], path: &str, after: usize) -> Option<&'a Call> {
    calls.iter().find(|call| {
        let is_sync = matches!(call.name.as_str(), "fsync" | "fdatasync");
        let worked = call.result.as_deref() == Some("0");
        is_sync && worked && call.began >= after && call.file() == path
    })
}
