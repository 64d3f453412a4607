//! The SQLite side of the connections: how the file is opened, how its one writer is made anew after
//! trouble, and whether the file that we hold is still the one at its path.
//!
//! A file that was deleted or replaced under an open connection goes on taking writes that nobody will
//! ever find again, and SQLite does not say so in its write-ahead mode. So its place is looked at before
//! each transaction: two calls to the system.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use crate::db::Db;
use crate::open::{ACQUIRE, PREPARED};
use crate::{Options, StoreError, Synchronous};

/// How long a writer waits for a foreign writer of the same file.
const BUSY: Duration = Duration::from_secs(5);
/// Readers of a file: reads are short, and each holds back the checkpoint while it lasts.
const READERS: u32 = 4;
/// A write-ahead log that a long reader let grow shrinks to this many bytes when that reader has gone.
const WAL_KEPT: &str = "67108864";

/// A database file, and which one it was when it was opened.
pub(crate) struct File {
    pub(crate) path: PathBuf,
    place: String,
    writer: SqliteConnectOptions,
    database: Option<Mark>,
    /// The log is made by the first transaction.
    log: OnceLock<Mark>,
}

impl File {
    /// A new connection for writing.
    pub(crate) async fn writer(&self) -> Result<SqliteConnection, sqlx::Error> {
        SqliteConnection::connect_with(&self.writer).await
    }

    /// Makes the writer anew after an error that may have ended its transaction behind the driver's back:
    /// SQLite rolls back by itself when the disk is full, and the driver then counts one too many.
    pub(crate) async fn renew(&self, writer: &mut SqliteConnection) {
        match self.writer().await {
            // The old one is closed after the new one is open, so that the log stays.
            Ok(fresh) => drop(std::mem::replace(writer, fresh)),
            Err(error) => tracing::debug!(%error, "the writer cannot be made anew yet"),
        }
    }

    /// Whether the file and its write-ahead log are still at their place.
    ///
    /// # Errors
    /// [`StoreError::Moved`] if they are not.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let moved = |path: &Path| StoreError::Moved {
            place: self.place.clone(),
            what: path.display().to_string(),
        };
        let Some(before) = &self.database else {
            return Ok(());
        };
        if mark(&self.path).as_ref() != Some(before) {
            return Err(moved(&self.path));
        }
        let path = beside(&self.path, "-wal");
        match (mark(&path), self.log.get()) {
            (Some(now), None) => {
                // Another thread may have been first; both saw the same.
                let _ = self.log.set(now);
                Ok(())
            }
            (now, Some(before)) if now.as_ref() != Some(before) => Err(moved(&path)),
            _ => Ok(()),
        }
    }
}

/// The path with something behind it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    PathBuf::from(path)
}

/// What tells one file from another at the same path: device and number.
type Mark = (u64, u64);

#[cfg(unix)]
fn mark(path: &Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt;
    let about = path.metadata().ok()?;
    Some((about.dev(), about.ino()))
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
fn mark(_path: &Path) -> Option<Mark> {
    None
}

/// Opens the file of a URL without its scheme.
pub(crate) async fn open(rest: &str, options: &Options) -> Result<(Db, String), StoreError> {
    let path = PathBuf::from(rest.strip_prefix("//").unwrap_or(rest));
    let place = format!("sqlite://{}", path.display());
    let cannot = |why: String| StoreError::CannotOpen {
        place: place.clone(),
        why,
    };
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(cannot(
            "it names no file, and jobs must outlive the process".to_owned(),
        ));
    }
    if !options.create && !path.exists() {
        return Err(cannot("there is no such file".to_owned()));
    }
    let connect = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(options.create)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .statement_cache_capacity(PREPARED)
        .synchronous(match options.sqlite_synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Off => SqliteSynchronous::Off,
        })
        .disable_statement_logging();
    let mut file = File {
        writer: (connect.clone())
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", WAL_KEPT),
        database: None,
        log: OnceLock::new(),
        path,
        place: place.clone(),
    };
    // The writer comes first: it makes the file and its write-ahead log.
    let writer = file
        .writer()
        .await
        .map_err(|error| match StoreError::of(&error, &place) {
            StoreError::ReadOnly { place } => StoreError::ReadOnly { place },
            _ => cannot(error.to_string()),
        })?;
    file.database = mark(&file.path);
    let db = Db::Sqlite {
        readers: readers(connect),
        writer: Mutex::new(writer),
        file,
    };
    Ok((db, place))
}

fn readers(connect: SqliteConnectOptions) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        // Nobody can end our connection to a file: asking it first would cost as much as most reads.
        .test_before_acquire(false)
        .connect_lazy_with(connect.pragma("query_only", "on"))
}
