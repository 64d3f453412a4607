//! The storage held against its rows: whether an object is there and is what its row says, and which objects
//! no row knows. Nothing is removed but by name, and never what is on its way in.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Timestamp;
use sha2::{Digest, Sha256};

use crate::storage::{LocalStorage, StorageError, failed};
use crate::submit::hex;

/// How an object is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Is it there, and as long as its row says?
    Length,
    /// And are its bytes those that were captured?
    Hash,
}

/// What an object is, beside its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// It is there and as it was captured.
    Whole,
    /// It is not there.
    Missing,
    /// It has other bytes than those that were captured.
    Altered,
    /// The row names a place outside of this storage: it moved, or the config names another.
    Elsewhere,
}

/// An object of the storage.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Object {
    /// As a row would name it.
    pub location: String,
    /// Length.
    pub bytes: u64,
}

impl LocalStorage {
    /// The storage as it is, to be looked at while others work with it: nothing is made or removed.
    ///
    /// # Errors
    /// If the folder is not there.
    pub fn look_at(root: &Path) -> Result<Self, StorageError> {
        let root = std::fs::canonicalize(root).map_err(failed("cannot find", root))?;
        Ok(Self::at(root))
    }

    /// Holds an object against what its row says. Reads all of it at [`Depth::Hash`]: call it where waiting
    /// is allowed.
    ///
    /// # Errors
    /// If it is there and cannot be read.
    pub fn check(
        &self,
        location: &str,
        bytes: u64,
        sha256: &str,
        depth: Depth,
    ) -> Result<Checked, StorageError> {
        let path = url::Url::parse(location)
            .ok()
            .and_then(|url| url.to_file_path().ok());
        let Some(path) = path.filter(|path| self.holds(path)) else {
            return Ok(Checked::Elsewhere);
        };
        let about = match std::fs::symlink_metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Checked::Missing);
            }
            Err(error) => return Err(failed("cannot look at", &path)(error)),
        };
        if !about.is_file() || about.len() != bytes {
            return Ok(Checked::Altered);
        }
        if depth == Depth::Length || hash_of(&path)?.eq_ignore_ascii_case(sha256) {
            Ok(Checked::Whole)
        } else {
            Ok(Checked::Altered)
        }
    }

    /// The objects that none of these rows names. Those younger than `grace` are left out: their rows may be
    /// on their way.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn orphans(
        &self,
        known: &BTreeSet<String>,
        now: Timestamp,
        grace: Duration,
    ) -> Result<Vec<Object>, StorageError> {
        let young = now.before(grace);
        let mut orphans = Vec::new();
        let mut folders = self.kinds();
        while let Some(folder) = folders.pop() {
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("cannot read", &folder)(error)),
            };
            for entry in entries {
                let entry = entry.map_err(failed("cannot read", &folder))?;
                let path = entry.path();
                let about = entry.metadata().map_err(failed("cannot look at", &path))?;
                if about.is_dir() {
                    folders.push(path);
                    continue;
                }
                let location = location_of(&path);
                let old = written_at(&about).is_some_and(|at| at <= young);
                if about.is_file() && old && !known.contains(&location) {
                    let bytes = about.len();
                    orphans.push(Object { location, bytes });
                }
            }
        }
        orphans.sort_by(|one, other| one.location.cmp(&other.location));
        Ok(orphans)
    }

    /// Removes an object, and the folders that are empty then.
    ///
    /// # Errors
    /// If it is not of this storage, or cannot be removed.
    pub fn remove(&self, object: &Object) -> Result<(), StorageError> {
        let path = url::Url::parse(&object.location)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .filter(|path| self.holds(path));
        let Some(path) = path else {
            let elsewhere = std::io::Error::other("it lies outside of the storage");
            return Err(failed("cannot remove", Path::new(&object.location))(
                elsewhere,
            ));
        };
        std::fs::remove_file(&path).map_err(failed("cannot remove", &path))?;
        let kinds = self.kinds();
        let above = path.ancestors().skip(1);
        for folder in above.take_while(|folder| kinds.iter().all(|kind| kind != folder)) {
            // One that is not empty stays, and so do those above it.
            if !folder.starts_with(self.root()) || std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The folders in which deliverables are: beside them others may keep what they like.
    fn kinds(&self) -> Vec<PathBuf> {
        let kinds = domain::JobKind::ALL.iter();
        kinds.map(|kind| self.root().join(kind.as_str())).collect()
    }

    /// Whether this is the path of a deliverable here, by its words alone.
    fn holds(&self, path: &Path) -> bool {
        let plain = path
            .components()
            .all(|part| !matches!(part, std::path::Component::ParentDir));
        plain && self.kinds().iter().any(|kind| path.starts_with(kind))
    }
}

fn location_of(path: &Path) -> String {
    url::Url::from_file_path(path)
        .map_or_else(|()| format!("file://{}", path.display()), String::from)
}

fn written_at(about: &std::fs::Metadata) -> Option<Timestamp> {
    let at = about.modified().ok()?;
    let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
    let millis = i64::try_from(since.as_millis()).ok()?;
    Some(Timestamp::from_millis(millis))
}

fn hash_of(path: &Path) -> Result<String, StorageError> {
    let mut file = File::open(path).map_err(failed("cannot open", path))?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 256 * 1024];
    loop {
        match file.read(&mut chunk).map_err(failed("cannot read", path))? {
            0 => return Ok(hex(&hash.finalize())),
            length => hash.update(chunk.get(..length).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, LocalStorage) {
        let folder = tempfile::tempdir().unwrap();
        let storage = LocalStorage::look_at(folder.path()).unwrap();
        (folder, storage)
    }

    fn put(storage: &LocalStorage, name: &str, text: &str) -> String {
        let path = storage.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        location_of(&path)
    }

    #[test]
    fn an_object_is_held_against_its_row() {
        let (_folder, storage) = place();
        let at = put(&storage, "image/7/s/0-image-ab.png", "abc");
        let hash = hex(&Sha256::digest(b"abc"));
        let check = |location: &str, bytes, hash: &str, depth, expect| {
            let checked = storage.check(location, bytes, hash, depth).unwrap();
            assert_eq!(checked, expect, "{location} {bytes} {hash}");
        };
        check(&at, 3, &hash, Depth::Hash, Checked::Whole);
        check(&at, 3, "00", Depth::Hash, Checked::Altered);
        check(&at, 3, "00", Depth::Length, Checked::Whole);
        check(&at, 4, &hash, Depth::Length, Checked::Altered);
        let gone = at.replace("ab.png", "cd.png");
        check(&gone, 3, &hash, Depth::Hash, Checked::Missing);
        for elsewhere in [
            "file:///etc/passwd",
            "s3://bucket/image/7",
            "",
            &at.replace("image/7", "image/../../7"),
        ] {
            check(elsewhere, 3, &hash, Depth::Hash, Checked::Elsewhere);
        }
    }

    #[test]
    fn what_no_row_names_is_an_orphan_and_goes_alone() {
        let (folder, storage) = place();
        let known = put(&storage, "image/7/s/0-image-ab.png", "abc");
        let orphan = put(&storage, "image/8/s/0-image-cd.png", "de");
        put(&storage, ".incoming/half", "f");
        put(&storage, "notes/mine.txt", "g");
        let rows = BTreeSet::from([known.clone()]);
        let later = Timestamp::from_millis(i64::from(u32::MAX) * 1_000);
        let hour = Duration::from_secs(3_600);
        let orphans = storage.orphans(&rows, later, hour).unwrap();
        let expected = Object {
            location: orphan,
            bytes: 2,
        };
        assert_eq!(orphans, std::slice::from_ref(&expected));
        // By a clock that stands at its writing it is too young.
        let at = written_at(&std::fs::metadata(folder.path()).unwrap()).unwrap();
        assert!(storage.orphans(&rows, at, hour).unwrap().is_empty());
        storage.remove(&expected).unwrap();
        assert!(!folder.path().join("image/8").exists());
        assert!(folder.path().join("image/7/s").exists());
        let outside = Object {
            location: "file:///etc/passwd".to_owned(),
            bytes: 1,
        };
        assert!(storage.remove(&outside).is_err());
    }
}
