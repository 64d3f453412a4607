//! Our storage: a folder. A file lies under its final name only when it is whole and synced; its
//! name is ours, made of what cannot lie (ids, a hash, the sniffed type), never the provider's.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use providers::fetch::{Shape, shape_of};
use tokio::fs;

use crate::act::Wanted;

/// Where files that are not whole yet live, inside the storage, so that a rename stays on one disk.
const INCOMING: &str = ".incoming";

/// The storage failed; nothing is wrong with the file.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}: {source}")]
pub struct StorageError {
    what: &'static str,
    path: String,
    source: std::io::Error,
}

pub(crate) fn failed(
    what: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.display().to_string();
    move |source| StorageError { what, path, source }
}

/// Folders that are remembered as synced; a storage has more of them than that only in long runs.
const MOST_SETTLED: usize = 4_096;

/// A folder that holds deliverables.
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: PathBuf,
    /// Folders below it whose entry in their parent is surely on the disk. That a folder is there says
    /// nothing: whoever made it may not have synced its parent yet.
    settled: Arc<Mutex<BTreeSet<PathBuf>>>,
}

/// A file on its way in: under a temporary name until it is kept.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
}

/// A file that has its own name.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) location: String,
    pub(crate) shape: Shape,
}

impl LocalStorage {
    /// The folder, made if it is missing. What an earlier process left half-way is removed; what another
    /// one that lives is writing stays.
    ///
    /// # Errors
    /// If the folder cannot be made or written.
    pub async fn open(root: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(root)
            .await
            .map_err(failed("cannot make the storage folder", root))?;
        let root = fs::canonicalize(root)
            .await
            .map_err(failed("cannot find", root))?;
        let incoming = root.join(INCOMING);
        let write = failed("cannot write in the storage folder", &root);
        fs::create_dir_all(&incoming).await.map_err(write)?;
        let mut left = fs::read_dir(&incoming)
            .await
            .map_err(failed("cannot read", &incoming))?;
        while let Some(entry) = left
            .next_entry()
            .await
            .map_err(failed("cannot read", &incoming))?
        {
            let path = entry.path();
            if is_being_written(&path) {
                continue;
            }
            fs::remove_file(&path)
                .await
                .map_err(failed("cannot remove", &path))?;
        }
        // The root's own entry; whoever made its parent unreadable for us has made the root too.
        let _ = root.parent().map(sync_folder);
        sync_folder(&root)?;
        Ok(Self::at(root))
    }

    pub(crate) fn at(root: PathBuf) -> Self {
        Self {
            root,
            settled: Arc::default(),
        }
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) async fn receive(&self, name: &str) -> Result<(Incoming, File), StorageError> {
        let path = self.root.join(INCOMING).join(name);
        // Read too: what its header says is read back from it.
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .open(&path)
            .await
            .map_err(failed("cannot make", &path))?;
        let file = file.into_std().await;
        // Held as long as the file is open, so that another worker's start leaves it alone. A file system
        // that has no locks has no file of ours that another worker could meet either.
        let _ = file.try_lock();
        Ok((Incoming { path }, file))
    }

    pub(crate) async fn drop_incoming(&self, incoming: Incoming) {
        // What stays is removed at the next start.
        let _ = fs::remove_file(&incoming.path).await;
    }

    /// Syncs the file, gives it its final name and syncs the folder: after this the bytes are there
    /// whatever happens. The same bytes under the same name are kept once.
    pub(crate) async fn keep(
        &self,
        incoming: Incoming,
        file: File,
        wanted: &Wanted,
        sha256: &str,
        extension: &str,
    ) -> Result<Kept, StorageError> {
        let path = self.path_of(wanted, sha256, extension);
        let storage = self.clone();
        let extension = extension.to_owned();
        let shown = path.clone();
        // Syncs take as long as the disk takes: off the event loop, in one go.
        let kept =
            tokio::task::spawn_blocking(move || storage.settle(&incoming, file, &path, &extension));
        kept.await.unwrap_or_else(|_| {
            let stopped = std::io::Error::other("the process is about to end");
            Err(failed("cannot keep", &shown)(stopped))
        })
    }

    fn settle(
        &self,
        incoming: &Incoming,
        mut file: File,
        path: &Path,
        extension: &str,
    ) -> Result<Kept, StorageError> {
        let shape = shape_of(&mut file, extension);
        file.sync_all()
            .map_err(failed("cannot sync", &incoming.path))?;
        let folder = path.parent().unwrap_or(&self.root);
        self.forget_removed(folder);
        std::fs::create_dir_all(folder).map_err(failed("cannot make", folder))?;
        std::fs::rename(&incoming.path, path).map_err(failed("cannot name", path))?;
        sync_folder(folder)?;
        self.settle_folders(folder)?;
        let location = url::Url::from_file_path(path)
            .map_or_else(|()| format!("file://{}", path.display()), String::from);
        Ok(Kept { location, shape })
    }

    /// A folder that somebody removed is a new one when it is made again.
    fn forget_removed(&self, leaf: &Path) {
        let gone = leaf.ancestors().take_while(|folder| !folder.exists());
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in gone {
            settled.remove(folder);
        }
    }

    /// New folders are entries of their parents: those are synced too.
    fn settle_folders(&self, leaf: &Path) -> Result<(), StorageError> {
        let known = || self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        for folder in leaf.ancestors().take_while(|folder| *folder != self.root) {
            if known().contains(folder) {
                break;
            }
            if let Some(parent) = folder.parent() {
                sync_folder(parent)?;
            }
        }
        // Only now: all of the way up is there.
        let mut settled = known();
        if settled.len() > MOST_SETTLED {
            settled.clear();
        }
        let new = leaf.ancestors().take_while(|folder| *folder != self.root);
        settled.extend(new.map(Path::to_path_buf));
        Ok(())
    }

    /// `{kind}/{job id}/{submission id}/{ordinal}-{type}-{hash}.{ext}` (DESIGN.md section 4, Capture).
    fn path_of(&self, wanted: &Wanted, sha256: &str, extension: &str) -> PathBuf {
        let short = sha256.get(..16).unwrap_or(sha256);
        let name = format!(
            "{}-{}-{short}.{extension}",
            wanted.ordinal,
            plain(&wanted.kind)
        );
        self.root
            .join(wanted.job.kind.as_str())
            .join(wanted.job.id.to_string())
            .join(plain(&wanted.submission.0))
            .join(name)
    }
}

/// Whether a process that lives holds this file open.
fn is_being_written(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

fn sync_folder(folder: &Path) -> Result<(), StorageError> {
    File::open(folder)
        .map_err(failed("cannot open", folder))?
        .sync_all()
        .map_err(failed("cannot sync", folder))
}

/// A word of letters, digits and `-` that is safe as a name everywhere.
fn plain(word: &str) -> String {
    /// Longer names help nobody.
    const LONGEST: usize = 48;
    let plain: String = word
        .chars()
        .take(LONGEST)
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    if plain.is_empty() {
        "file".to_owned()
    } else {
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{JobId, JobKind, SubmissionId};
    use providers::SignedUrl;

    fn wanted(kind: &str) -> Wanted {
        Wanted {
            job: JobId::new(JobKind::Production, 7),
            submission: SubmissionId("0190".into()),
            kind: kind.into(),
            ordinal: 0,
            url: SignedUrl::new("https://host.example/x?sig=1"),
            source_hash: String::new(),
            bytes: None,
            sha256: None,
        }
    }

    #[tokio::test]
    async fn a_file_has_its_name_only_when_it_is_whole_and_what_was_left_half_way_goes() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(&folder.path().join("new/files"))
            .await
            .unwrap();
        let (_, mut half) = storage.receive("half").await.unwrap();
        half.write_all(b"ha").unwrap();
        let (incoming, mut whole) = storage.receive("whole").await.unwrap();
        whole.write_all(b"whole").unwrap();
        let kept = storage
            .keep(incoming, whole, &wanted("Video"), "ab12", "mp4")
            .await
            .unwrap();
        let location = kept.location;
        assert!(
            location.ends_with("production/7/0190/0-video-ab12.mp4"),
            "{location}"
        );
        let path = location.strip_prefix("file://").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"whole");
        let incoming = || {
            let files = std::fs::read_dir(storage.root().join(INCOMING)).unwrap();
            files.count()
        };
        LocalStorage::open(storage.root()).await.unwrap();
        assert_eq!(incoming(), 1, "another worker is writing it");
        drop(half);
        let again = LocalStorage::open(storage.root()).await.unwrap();
        assert_eq!(
            std::fs::read_dir(again.root().join(INCOMING))
                .unwrap()
                .count(),
            0
        );
    }

    #[tokio::test]
    async fn a_name_from_outside_cannot_leave_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(folder.path()).await.unwrap();
        for name in ["../../etc/passwd", "a/b", "", "ü\0", &"x".repeat(500)] {
            let (incoming, file) = storage.receive("t").await.unwrap();
            let location = storage
                .keep(incoming, file, &wanted(name), "ab12", "bin")
                .await
                .unwrap()
                .location;
            let path = PathBuf::from(location.strip_prefix("file://").unwrap());
            assert!(path.starts_with(storage.root()), "{location}");
        }
    }
}
