//! Opening and closing: what a database URL means. How a connection is set up is in `sqlite` and `sessions`.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::db::{Db, Inner};
use crate::{Store, StoreError, sessions, sqlite};

/// How long a caller waits for a session before the server counts as unavailable.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared; all of ours fit.
pub(crate) const PREPARED: usize = 256;

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
            Some(("sqlite", rest)) => sqlite::open(rest, &options).await?,
            Some(("postgres" | "postgresql", _)) => sessions::open(url, &options).await?,
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
