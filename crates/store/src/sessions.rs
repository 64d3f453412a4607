//! The PostgreSQL side of the connections: a pool of sessions that survives its server.
//!
//! Owns what a pool does not do by itself. It tells *why* no session is to be had (the pool only says that
//! its time was up); it throws the whole pool away when the server answers and the pool does not (sessions
//! whose peer died in silence keep their places, sqlx #4349); it throws a session away that has not
//! answered for longer than any statement may take; and it says when a new session leads to another server
//! than the one that was recognised (see `server`).

use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, PgPool, Postgres};

use crate::db::Db;
use crate::open::{ACQUIRE, PREPARED};
use crate::server::{self, ServerIdentity};
use crate::{Options, StoreError};

/// What the network may add to the longest statement before a session counts as dead.
const NETWORK: Duration = Duration::from_secs(15);

/// A session that was used so short a time ago is taken to live; if it does not, its statement says so, as it
/// would had the session died a moment later.
const FRESH: Duration = Duration::from_secs(1);

/// The sessions of one server.
pub(crate) struct Sessions {
    pool: RwLock<PgPool>,
    options: PgConnectOptions,
    size: u32,
    /// How long a transaction may take before its session is thrown away.
    pub(crate) limit: Duration,
    known: Arc<Known>,
}

/// The server that this process works on.
#[derive(Default)]
struct Known {
    identity: Mutex<Option<ServerIdentity>>,
    /// A new session led to another one.
    is_another: AtomicBool,
}

impl Known {
    fn compare(&self, found: &ServerIdentity) {
        let known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if known.as_ref().is_some_and(|known| known != found) {
            self.is_another.store(true, Ordering::Relaxed);
        }
    }
}

impl Sessions {
    fn new(options: PgConnectOptions, size: u32, limit: Duration) -> Self {
        let known = Arc::new(Known::default());
        Self {
            pool: RwLock::new(pool(&options, size, &known)),
            options,
            size,
            limit,
            known,
        }
    }

    fn now(&self) -> PgPool {
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        pool.clone()
    }

    /// A session, or why there is none.
    pub(crate) async fn acquire(
        &self,
        place: &str,
    ) -> Result<PoolConnection<Postgres>, StoreError> {
        let pool = self.now();
        let error = match pool.acquire().await {
            Ok(db) if !self.known.is_another.load(Ordering::Relaxed) => return Ok(db),
            Ok(_) => {
                return Err(StoreError::unavailable(format_args!(
                    "{place} is another server than before; looking at it anew"
                )));
            }
            Err(sqlx::Error::PoolTimedOut) => connect(&self.options, place).await.err(),
            Err(error) => return Err(StoreError::of(&error, place)),
        };
        Err(error.unwrap_or_else(|| {
            self.replace();
            StoreError::unavailable(format_args!(
                "{place} answers, and none of our {} sessions was free for {} s",
                self.size,
                ACQUIRE.as_secs()
            ))
        }))
    }

    /// New sessions from here on; the old ones end with the statements that run on them.
    pub(crate) fn replace(&self) {
        let fresh = pool(&self.options, self.size, &self.known);
        let mut place = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, fresh);
        drop(place);
        tokio::spawn(async move { old.close().await });
    }

    /// Works on this server from here on.
    pub(crate) fn recognise(&self, identity: Option<ServerIdentity>) {
        let mut known = (self.known.identity.lock()).unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *known, identity);
        let changed = before.is_some() && before != *known;
        drop(known);
        if changed {
            // Sessions to the other one may be left.
            self.replace();
        }
        self.known.is_another.store(false, Ordering::Relaxed);
    }

    /// Ends all of them.
    pub(crate) async fn close(&self) {
        self.now().close().await;
    }
}

fn pool(options: &PgConnectOptions, size: u32, known: &Arc<Known>) -> PgPool {
    let known = Arc::clone(known);
    PgPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        // One that was used a moment ago is not asked whether it lives: a round trip before each statement.
        .before_acquire(|db, meta| {
            Box::pin(async move { Ok(meta.idle_for < FRESH || db.ping().await.is_ok()) })
        })
        .after_connect(move |db, _| {
            let known = Arc::clone(&known);
            Box::pin(async move {
                if let Some(found) = server::identity(db).await? {
                    known.compare(&found);
                }
                Ok(())
            })
        })
        // A session never goes back with an open transaction, whatever became of who used it.
        .after_release(|db, _| {
            Box::pin(async move {
                // One that cannot even do that is thrown away.
                Ok(db.execute("rollback").await.is_ok())
            })
        })
        .connect_lazy_with(options.clone())
}

/// A session outside the pool, with the reason if there is none: host, port and what the system says.
pub(crate) async fn connect(
    options: &PgConnectOptions,
    place: &str,
) -> Result<PgConnection, StoreError> {
    match tokio::time::timeout(ACQUIRE, PgConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(|error| match StoreError::of(&error, place) {
            StoreError::Unavailable { why } => StoreError::unavailable(format_args!(
                "cannot connect to {place}: {}",
                plain(&why, place)
            )),
            other => other,
        }),
        Err(_) => Err(StoreError::unavailable(format_args!(
            "cannot connect to {place}: no answer within {} s",
            ACQUIRE.as_secs()
        ))),
    }
}

/// The reason without the place, which stands before it already.
fn plain<'a>(why: &'a str, place: &str) -> &'a str {
    why.strip_prefix(place)
        .and_then(|why| why.strip_prefix(": "))
        .unwrap_or(why)
}

/// Opens the server of a URL.
pub(crate) async fn open(url: &str, options: &Options) -> Result<(Db, String), StoreError> {
    let connect_with = PgConnectOptions::from_str(url).map_err(|error| StoreError::CannotOpen {
        place: "postgres".to_owned(),
        why: error.to_string(),
    })?;
    let place = place_of(&connect_with);
    let connect_with = connect_with
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
    // By hand and not through the pool, which would say that its time was up, and not why.
    let first = connect(&connect_with, &place)
        .await
        .map_err(|error| match error {
            StoreError::Unavailable { why } | StoreError::Statement { why } => {
                let bare = why.strip_prefix("cannot connect to ").unwrap_or(&why);
                StoreError::CannotOpen {
                    why: server::with_hint(plain(bare, &place)),
                    place: place.clone(),
                }
            }
            other => other,
        })?;
    // It is no loss if it does not end politely.
    let _ = first.close().await;
    let limit = options.statement_timeout + NETWORK;
    let db = Db::Postgres {
        pool: Sessions::new(connect_with.clone(), options.pool, limit),
        options: Box::new(connect_with),
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
