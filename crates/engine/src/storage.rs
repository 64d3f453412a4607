//! Our storage: a folder. A file lies under its final name only when it is whole and synced; its
//! name is ours, made of what cannot lie (ids, a hash, the sniffed type), never the provider's.

use std::path::{Path, PathBuf};

use tokio::fs::{self, File};

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

fn failed(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StorageError {
    let path = path.display().to_string();
    move |source| StorageError { what, path, source }
}

/// A folder that holds deliverables.
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: PathBuf,
}

/// A file on its way in: under a temporary name until it is kept.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    pub(crate) file: File,
}

impl LocalStorage {
    /// The folder, made if it is missing. What an earlier process left half-way is removed.
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
            fs::remove_file(&path)
                .await
                .map_err(failed("cannot remove", &path))?;
        }
        Ok(Self { root })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) async fn receive(&self, name: &str) -> Result<Incoming, StorageError> {
        let path = self.root.join(INCOMING).join(name);
        let file = File::create(&path)
            .await
            .map_err(failed("cannot make", &path))?;
        Ok(Incoming { path, file })
    }

    pub(crate) async fn drop_incoming(&self, incoming: Incoming) {
        drop(incoming.file);
        // What stays is removed at the next start.
        let _ = fs::remove_file(&incoming.path).await;
    }

    /// Syncs the file, gives it its final name and syncs the folder: after this the bytes are there
    /// whatever happens. The same bytes under the same name are kept once.
    pub(crate) async fn keep(
        &self,
        incoming: Incoming,
        wanted: &Wanted,
        sha256: &str,
        extension: &str,
    ) -> Result<String, StorageError> {
        let path = self.path_of(wanted, sha256, extension);
        let folder = path.parent().unwrap_or(&self.root).to_path_buf();
        let made = first_missing(&folder);
        fs::create_dir_all(&folder)
            .await
            .map_err(failed("cannot make", &folder))?;
        incoming
            .file
            .sync_all()
            .await
            .map_err(failed("cannot sync", &incoming.path))?;
        fs::rename(&incoming.path, &path)
            .await
            .map_err(failed("cannot name", &path))?;
        let mut parent = Some(folder.as_path());
        while let Some(folder) = parent {
            let opened = File::open(folder)
                .await
                .map_err(failed("cannot open", folder))?;
            opened
                .sync_all()
                .await
                .map_err(failed("cannot sync", folder))?;
            // New folders are entries of their parents: those are synced too.
            if made.as_deref().is_none_or(|made| !folder.starts_with(made)) {
                break;
            }
            parent = folder.parent();
        }
        let uri = url::Url::from_file_path(&path)
            .map_or_else(|()| format!("file://{}", path.display()), String::from);
        Ok(uri)
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

/// The topmost folder on the way that does not exist yet.
fn first_missing(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .take_while(|ancestor| !ancestor.exists())
        .last()
        .map(Path::to_path_buf)
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
        use tokio::io::AsyncWriteExt;
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(&folder.path().join("new/files"))
            .await
            .unwrap();
        let mut half = storage.receive("half").await.unwrap();
        half.file.write_all(b"ha").await.unwrap();
        let mut whole = storage.receive("whole").await.unwrap();
        whole.file.write_all(b"whole").await.unwrap();
        let location = storage
            .keep(whole, &wanted("Video"), "ab12", "mp4")
            .await
            .unwrap();
        assert!(
            location.ends_with("production/7/0190/0-video-ab12.mp4"),
            "{location}"
        );
        let path = location.strip_prefix("file://").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"whole");
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
            let file = storage.receive("t").await.unwrap();
            let location = storage
                .keep(file, &wanted(name), "ab12", "bin")
                .await
                .unwrap();
            let path = PathBuf::from(location.strip_prefix("file://").unwrap());
            assert!(path.starts_with(storage.root()), "{location}");
        }
    }
}
