//! Opening and closing: what a database URL means, and how each connection is set up.

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, SqliteConnection};
use tokio::sync::{Mutex, watch};

use crate::db::{Db, Inner};
use crate::{Store, StoreError};

/// How long a writer waits for a foreign writer of the same file.
const SQLITE_BUSY: Duration = Duration::from_secs(5);
/// Readers of a file: reads are short, and each holds back the checkpoint while it lasts.
const SQLITE_READERS: u32 = 4;
/// How long a caller waits for a session before the server counts as unavailable.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared; all of ours fit.
const PREPARED: usize = 256;

/// How sure SQLite makes a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Synchronous {
    /// Every commit is on the disk before it is answered. The only one for paid work.
    #[default]
    Full,
    /// A power cut may take the last commits.
    Normal,
    /// For tests.
    Off,
}

/// How to open a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// SQLite only.
    pub sqlite_synchronous: Synchronous,
    /// SQLite only: make the file if it is not there.
    pub create: bool,
    /// PostgreSQL only: sessions in the pool. The lanes' lock and the listener use one each beside it.
    pub pool: u32,
    /// PostgreSQL only: no statement may take longer.
    pub statement_timeout: Duration,
    /// PostgreSQL only: no statement waits longer for another's lock.
    pub lock_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sqlite_synchronous: Synchronous::Full,
            create: true,
            pool: 8,
            statement_timeout: Duration::from_secs(60),
            lock_timeout: Duration::from_secs(10),
        }
    }
}

impl Store {
    /// Opens `sqlite://path` (relative or absolute) or `postgres://…` (also
    /// `postgresql:///db?host=/socket`). Migrates nothing.
    ///
    /// # Errors
    /// [`StoreError::CannotOpen`] when the URL is none of these, the file cannot be opened, or the
    /// server does not answer.
    pub async fn open(url: &str, options: Options) -> Result<Self, StoreError> {
        let (db, place) = match url.split_once(':') {
            Some(("sqlite", rest)) => open_sqlite(rest, &options).await?,
            Some(("postgres" | "postgresql", _)) => open_postgres(url, &options).await?,
            _ => {
                return Err(StoreError::CannotOpen {
                    // A URL of another sort may carry a password, so only its scheme is shown.
                    place: url.split(':').next().unwrap_or_default().to_owned(),
                    why: "write sqlite://path or postgres://user@host/database".to_owned(),
                });
            }
        };
        Ok(Self {
            inner: Arc::new(Inner {
                db,
                place,
                pulse: watch::Sender::new(0),
                #[cfg(feature = "testing")]
                fuse: std::sync::Mutex::new(None),
            }),
        })
    }

    /// Which database this is, for messages: never with a password.
    #[must_use]
    pub fn place(&self) -> String {
        self.inner.place.clone()
    }

    /// Closes the connections once their statements are through. Handles that are left fail with
    /// [`StoreError::Unavailable`] on PostgreSQL.
    pub async fn close(self) {
        match &self.inner.db {
            Db::Sqlite { readers, .. } => {
                readers.close().await;
                // The writer closes with the last handle; what it holds is durable already.
            }
            Db::Postgres { pool, .. } => pool.close().await,
        }
    }
}

async fn open_sqlite(rest: &str, options: &Options) -> Result<(Db, String), StoreError> {
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
        .busy_timeout(SQLITE_BUSY)
        .foreign_keys(true)
        .statement_cache_capacity(PREPARED)
        .synchronous(match options.sqlite_synchronous {
            Synchronous::Full => SqliteSynchronous::Full,
            Synchronous::Normal => SqliteSynchronous::Normal,
            Synchronous::Off => SqliteSynchronous::Off,
        })
        .disable_statement_logging();
    // The writer comes first: it makes the file and its write-ahead log.
    let writer =
        SqliteConnection::connect_with(&connect.clone().journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(|error| match StoreError::of(&error, &place) {
                StoreError::ReadOnly { place } => StoreError::ReadOnly { place },
                _ => cannot(error.to_string()),
            })?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE)
        .connect_lazy_with(connect.pragma("query_only", "on"));
    let db = Db::Sqlite {
        readers,
        writer: Mutex::new(writer),
        path,
    };
    Ok((db, place))
}

async fn open_postgres(url: &str, options: &Options) -> Result<(Db, String), StoreError> {
    let connect = PgConnectOptions::from_str(url).map_err(|error| StoreError::CannotOpen {
        place: "postgres".to_owned(),
        why: error.to_string(),
    })?;
    let place = place_of(&connect);
    let connect = connect
        .application_name(&format!("vitrine {}", process_name()))
        .statement_cache_capacity(PREPARED)
        .options([
            ("synchronous_commit", "on".to_owned()),
            ("timezone", "UTC".to_owned()),
            (
                "statement_timeout",
                options.statement_timeout.as_millis().to_string(),
            ),
            ("lock_timeout", options.lock_timeout.as_millis().to_string()),
            // A frozen process must not keep the rows of its lanes locked for as long as it is frozen.
            ("idle_in_transaction_session_timeout", "10000".to_owned()),
        ])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(options.pool)
        .acquire_timeout(ACQUIRE)
        // A session never goes back with an open transaction, whatever became of who used it.
        .after_release(|db, _| {
            Box::pin(async move {
                db.execute("rollback").await?;
                Ok(true)
            })
        })
        .connect_with(connect.clone())
        .await
        .map_err(|error| StoreError::CannotOpen {
            place: place.clone(),
            why: error.to_string(),
        })?;
    let db = Db::Postgres {
        pool,
        options: Box::new(connect),
    };
    Ok((db, place))
}

/// Names this process among the sessions of a server: who takes over from it ends them all.
fn process_name() -> String {
    // Containers number their processes from 1, and may share a host name: a random number tells them apart.
    let random = std::hash::RandomState::new().build_hasher().finish();
    format!("{} {random:x}", std::process::id())
}

fn place_of(connect: &PgConnectOptions) -> String {
    let host = connect.get_socket().map_or_else(
        || format!("{}:{}", connect.get_host(), connect.get_port()),
        |socket| socket.display().to_string(),
    );
    let database = connect.get_database().unwrap_or(connect.get_username());
    format!("postgres://{}@{host}/{database}", connect.get_username())
}
