//! Hints that somebody else wrote. A hint only wakes: the database is always read again, and a reader
//! that misses one finds out at its next poll.
//!
//! SQLite: `pragma data_version` on the writer's own connection, which changes only when another connection
//! has committed, so that the worker does not wake itself; what this process writes for its own engine is
//! told directly. PostgreSQL: `listen vitrine_wake`; the triggers are in `0005_waking_and_roles.sql`.

use std::sync::Weak;
use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;

use crate::Store;
use crate::db::{Db, Inner, Tx};
use crate::sql::{Sql, statements};

/// How often the version of a file is looked at: nearly a hundred times a second, at no measurable cost. Half of it
/// is what an INSERT waits in the median (`bench latency`).
const SQLITE_LOOK: Duration = Duration::from_millis(10);
/// The longest wait between two tries to listen again.
const RECONNECT: Duration = Duration::from_secs(5);

statements! {
    VERSION: Sql = Sql {
        sqlite: "select json_object('version', data_version) from pragma_data_version",
        postgres: "select json_build_object('version', 0)::text",
    };
}

#[derive(serde::Deserialize)]
struct Version {
    version: i64,
}

/// Tells when another connection or program wrote.
#[derive(Debug)]
pub struct Watch {
    changes: watch::Receiver<u64>,
    pulse: watch::Receiver<u64>,
}

impl Watch {
    /// Resolves when something was written since the last time, or since the watch was made. Dropping the
    /// future loses nothing.
    pub async fn changed(&mut self) {
        let both = async {
            tokio::select! {
                seen = self.changes.changed() => seen.is_ok(),
                seen = self.pulse.changed() => seen.is_ok(),
            }
        };
        if !both.await {
            // The store is closed: nothing will be written any more.
            std::future::pending::<()>().await;
        }
    }
}

impl Store {
    /// Starts to watch. The watch ends when it is dropped.
    ///
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn watch(&self) -> Watch {
        let (sender, changes) = watch::channel(0);
        let inner = std::sync::Arc::downgrade(&self.inner);
        match &self.inner.db {
            Db::Sqlite { .. } => {
                tokio::spawn(look(inner, sender));
            }
            Db::Postgres { options, .. } => {
                tokio::spawn(listen((**options).clone(), sender));
            }
        }
        Watch {
            changes,
            pulse: self.inner.pulse.subscribe(),
        }
    }
}

/// Looks at the file until nobody watches or the store is gone.
async fn look(inner: Weak<Inner>, sender: watch::Sender<u64>) {
    let mut last = None;
    while !sender.is_closed() {
        let Some(inner) = inner.upgrade() else {
            return;
        };
        if let Some(version) = version(&inner).await {
            if last.is_some_and(|last| last != version) {
                sender.send_modify(|count| *count += 1);
            }
            last = Some(version);
        }
        drop(inner);
        tokio::time::sleep(SQLITE_LOOK).await;
    }
}

async fn version(inner: &Inner) -> Option<i64> {
    let Db::Sqlite { writer, .. } = &inner.db else {
        return None;
    };
    let mut db = writer.lock().await;
    let rows: Result<Vec<Version>, _> = Tx::Sqlite(&mut db, &inner.place)
        .rows("pragma_data_version", &VERSION, vec![])
        .await;
    rows.ok()?.first().map(|row| row.version)
}

/// Listens, and listens again after each loss, until nobody watches.
async fn listen(options: sqlx::postgres::PgConnectOptions, sender: watch::Sender<u64>) {
    let mut pause = reconnecting();
    loop {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options.clone());
        tokio::select! {
            () = sender.closed() => return,
            () = forward(&pool, &sender, &mut pause) => {}
        }
        pool.close().await;
        // Whatever came while nobody listened must be looked for.
        sender.send_modify(|count| *count += 1);
        let wait = pause.next_backoff().unwrap_or(RECONNECT);
        tokio::select! {
            () = sender.closed() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn forward(pool: &sqlx::PgPool, sender: &watch::Sender<u64>, pause: &mut ExponentialBackoff) {
    let Ok(mut listener) = PgListener::connect_with(pool).await else {
        return;
    };
    if listener.listen("vitrine_wake").await.is_err() {
        return;
    }
    pause.reset();
    // What was written before we listened counts as news.
    sender.send_modify(|count| *count += 1);
    // `None`: the connection was lost.
    while let Ok(Some(_)) = listener.try_recv().await {
        sender.send_modify(|count| *count += 1);
    }
}

fn reconnecting() -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(Duration::from_millis(50))
        .with_max_interval(RECONNECT)
        .with_max_elapsed_time(None)
        .build()
}
