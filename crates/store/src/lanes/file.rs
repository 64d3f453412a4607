//! The lock beside a SQLite file: one process works on it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use domain::Timestamp;

use crate::StoreError;

/// Locks `<database>.lock` and writes into it who did.
pub(super) fn lock(
    database: &Path,
    owner: &str,
    now: Timestamp,
    place: &str,
) -> Result<(File, PathBuf), StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let cannot = |error: std::io::Error| StoreError::CannotOpen {
        place: place.to_owned(),
        why: format!("its lock file: {error}"),
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            // The lock is what counts; what it says about itself is a courtesy.
            let _ = file.read_to_string(&mut by);
            return Err(StoreError::Held {
                by: by.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let about = about(owner, now);
    let written = (file.set_len(0))
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(about.as_bytes()));
    if let Err(error) = written {
        // On a full disk the lock still holds, and the worker waits for room.
        tracing::debug!(%error, "the lock file does not say who holds it");
    }
    Ok((file, path))
}

/// Which process holds the lock, for whoever is refused. A worker's name for itself says all of it.
fn about(owner: &str, now: Timestamp) -> String {
    let pid = std::process::id();
    if owner.starts_with(&format!("{pid}@")) {
        return format!("{owner}\n");
    }
    format!("{owner}, process {pid} on {}, since {now}\n", host())
}

/// This machine's name, as far as the system says it without a question to the network.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map_or_else(
            || "an unknown host".to_owned(),
            |name| name.trim().to_owned(),
        )
}

/// Whether the locked file is still the one at its path: a deleted lock protects nothing.
#[cfg(unix)]
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
pub(super) fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_reads_once_who_holds_it() {
        let now = Timestamp::from_millis(1_763_800_000_000);
        let pid = std::process::id();
        let worker = format!("{pid}@shop since {now}");
        assert_eq!(about(&worker, now), format!("{worker}\n"));
        let other = about("import", now);
        assert!(
            other.starts_with(&format!("import, process {pid} on ")),
            "{other}"
        );
    }
}
