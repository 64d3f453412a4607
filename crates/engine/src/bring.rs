//! Bringing one file home: fetched to a temporary name, checked, and given its own. A part that broke off is
//! kept for the next try, which may have another link to the same file.
//!
//! What was paid for is kept whatever it looks like: a whole file of an unexpected type, or one that keeps
//! coming with another hash than the provider told, goes to quarantine. Error pages, empty and short bodies
//! are no files.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::{JobId, SubmissionId};
use providers::fetch::{FetchError, Fetched, Fetcher, Part, sniff};

use crate::act::{CaptureTrouble, Stored, Wanted};
use crate::storage::{Incoming, Kept, LocalStorage, StorageError};

/// Parts that are kept at most; the oldest goes.
const MOST_HALVES: usize = 64;
/// Their bytes in all.
const MOST_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// Names a file over all its links.
type Key = (JobId, SubmissionId, String, usize, String);

fn key(wanted: &Wanted) -> Key {
    let (kind, ordinal, source) = wanted.key();
    (wanted.job, wanted.submission.clone(), kind, ordinal, source)
}

/// A file of which a part is here.
#[derive(Debug)]
struct Half {
    incoming: Incoming,
    part: Part,
}

/// What earlier tries left, in memory: a new process begins anew.
#[derive(Debug, Clone, Default)]
pub(crate) struct Halves(Arc<Mutex<Left>>);

#[derive(Debug, Default)]
struct Left {
    parts: VecDeque<(Key, Half)>,
    /// Hashes of whole files that were not what the provider told.
    odd: VecDeque<(Key, [u8; 32])>,
}

impl Halves {
    fn left(&self) -> MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: &Key) -> Option<Half> {
        let mut left = self.left();
        let at = left.parts.iter().position(|(of, _)| of == key)?;
        left.parts.remove(at).map(|(_, half)| half)
    }

    /// Keeps a part; gives back those that have to go for it.
    fn put(&self, key: Key, half: Half) -> Vec<Half> {
        let mut left = self.left();
        left.parts.push_back((key, half));
        let bytes = |left: &Left| -> u64 {
            let parts = left.parts.iter();
            parts.map(|(_, half)| half.part.bytes()).sum()
        };
        let mut gone = Vec::new();
        while left.parts.len() > MOST_HALVES || bytes(&left) > MOST_BYTES {
            gone.extend(left.parts.pop_front().map(|(_, half)| half));
        }
        gone
    }

    /// Whether these very bytes came for this file before, and were not what was told.
    fn came_before(&self, key: Key, sha256: [u8; 32]) -> bool {
        let mut left = self.left();
        let known = left.odd.iter().any(|odd| *odd == (key.clone(), sha256));
        if !known {
            left.odd.push_back((key, sha256));
            if left.odd.len() > MOST_HALVES {
                left.odd.pop_front();
            }
        }
        known
    }
}

/// Brings files into one storage.
#[derive(Debug)]
pub(crate) struct Bringer {
    pub(crate) storage: LocalStorage,
    pub(crate) halves: Halves,
}

impl Bringer {
    /// Fetches a file, or the rest of it, checks it, and gives it its own name.
    pub(crate) async fn bring_home(
        &self,
        fetcher: &Fetcher,
        flight: &str,
        wanted: &Wanted,
    ) -> Result<Stored, CaptureTrouble> {
        let mut half = match self.halves.take(&key(wanted)) {
            Some(half) => half,
            None => self.begin(flight).await.map_err(|error| trouble(&error))?,
        };
        let limit = fetcher.limit_of(&wanted.kind);
        let fetched = match fetcher.fetch(&wanted.url, limit, &mut half.part).await {
            Ok(fetched) => fetched,
            Err(error) => {
                self.put_aside(wanted, half, &error).await;
                return Err(trouble_of(&error));
            }
        };
        let odd = match self.judge(wanted, &fetched) {
            Ok(odd) => odd,
            Err(error) => {
                self.storage.drop_incoming(half.incoming).await;
                return Err(error);
            }
        };
        self.keep(half, wanted, &fetched, odd).await
    }

    async fn begin(&self, flight: &str) -> Result<Half, StorageError> {
        let (incoming, file) = self.storage.receive(flight).await?;
        let part = Part::new(file);
        Ok(Half { incoming, part })
    }

    /// A part that can be gone on with waits for the next try.
    async fn put_aside(&self, wanted: &Wanted, half: Half, error: &FetchError) {
        let is_worth_it = half.part.can_go_on() && !matches!(error, FetchError::Refused { .. });
        let gone = if is_worth_it {
            self.halves.put(key(wanted), half)
        } else {
            vec![half]
        };
        for half in gone {
            self.storage.drop_incoming(half.incoming).await;
        }
    }

    /// What was told about the file must be so; if the same bytes come again, they are what there is, and it
    /// is told that they are not what was expected.
    fn judge(&self, wanted: &Wanted, fetched: &Fetched) -> Result<Expected, CaptureTrouble> {
        if sniff(&fetched.head, &wanted.kind).error_page {
            let why = "an error page came instead of the file".to_owned();
            return Err(CaptureTrouble::LinkDead(why));
        }
        if let Some(told) = wanted.bytes.filter(|told| *told > fetched.bytes) {
            let why = format!("{} bytes came, the provider said {told}", fetched.bytes);
            return Err(CaptureTrouble::Later(why));
        }
        let longer = wanted.bytes.is_some_and(|told| told < fetched.bytes);
        let hash = fetched.sha256_hex();
        let told = wanted.sha256.as_ref();
        let altered = told.is_some_and(|told| !told.eq_ignore_ascii_case(&hash));
        if !longer && !altered {
            return Ok(Expected::Yes);
        }
        if self.halves.came_before(key(wanted), fetched.sha256) {
            return Ok(Expected::No);
        }
        Err(CaptureTrouble::Later(if altered {
            "the file's SHA-256 is not the one that the provider told".to_owned()
        } else {
            let said = wanted.bytes.unwrap_or_default();
            format!("{} bytes came, the provider said {said}", fetched.bytes)
        }))
    }

    async fn keep(
        &self,
        half: Half,
        wanted: &Wanted,
        fetched: &Fetched,
        told: Expected,
    ) -> Result<Stored, CaptureTrouble> {
        let sniffed = sniff(&fetched.head, &wanted.kind);
        let sha256 = fetched.sha256_hex();
        let Half { incoming, part } = half;
        let Some(file) = part.into_file() else {
            self.storage.drop_incoming(incoming).await;
            let why = "the file was lost while it was written".to_owned();
            return Err(CaptureTrouble::Storage(why));
        };
        let kept = self
            .storage
            .keep(incoming, file, wanted, &sha256, &sniffed.extension)
            .await;
        let Kept { location, shape } = kept.map_err(|error| trouble(&error))?;
        Ok(Stored {
            location,
            content_type: sniffed.content_type,
            bytes: fetched.bytes,
            sha256,
            quarantined: !sniffed.expected || told == Expected::No,
            shape,
        })
    }
}

/// Whether a file is what the provider told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Yes,
    No,
}

fn trouble(error: &StorageError) -> CaptureTrouble {
    CaptureTrouble::Storage(error.to_string())
}

fn trouble_of(error: &FetchError) -> CaptureTrouble {
    let why = error.to_string();
    match error {
        FetchError::Gone { .. } | FetchError::ErrorPage => CaptureTrouble::LinkDead(why),
        FetchError::Refused { .. } => CaptureTrouble::Never(why),
        FetchError::Empty
        | FetchError::Inside
        | FetchError::Altered
        | FetchError::Short { .. }
        | FetchError::Unavailable { .. } => CaptureTrouble::Later(why),
        FetchError::Local { .. } => CaptureTrouble::Storage(why),
    }
}

#[cfg(test)]
mod tests;
