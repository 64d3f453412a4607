//! The two databases behind one door: how a statement runs, how rows come back, how a transaction is made.
//!
//! Owns the connections. Every read and every transaction runs in a task of its own, because a database
//! future that is dropped half-way leaves its connection in an open transaction (sqlx #4385): who stops
//! waiting stops waiting, and the transaction completes all the same.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, Postgres, Row, SqliteConnection, SqlitePool};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::StoreError;
use crate::sessions::Sessions;
use crate::sql::Sql;
use crate::sqlite::File;

/// The connections of one database.
pub(crate) enum Db {
    /// A file.
    Sqlite {
        /// Readers; each sees the last commit.
        readers: SqlitePool,
        /// The one writer of this process.
        writer: Mutex<SqliteConnection>,
        /// The database file.
        file: File,
    },
    /// A server.
    Postgres {
        /// Readers and writers.
        pool: Sessions,
        /// For connections outside the pool: locks and notifications.
        options: Box<PgConnectOptions>,
    },
}

/// What all handles of one store share.
pub(crate) struct Inner {
    pub(crate) db: Db,
    /// For messages, without a password.
    pub(crate) place: String,
    /// Counts what this process wrote for its own engine to see (commands, webhooks, inserts): SQLite's
    /// `data_version` tells only of other connections.
    pub(crate) pulse: watch::Sender<u64>,
    #[cfg(feature = "testing")]
    pub(crate) fuse: std::sync::Mutex<Option<crate::fuse::Fuse>>,
}

/// The one handle to the database. Cheap to clone; every method is one verb and one transaction.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Store").field(&self.inner.place).finish()
    }
}

/// A parameter of a statement.
#[derive(Debug, Clone)]
pub(crate) enum Arg {
    /// Text, or null.
    Text(Option<String>),
    /// A number.
    Int(i64),
}

impl From<&str> for Arg {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<Option<&str>> for Arg {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(str::to_owned))
    }
}

impl From<Option<String>> for Arg {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<domain::Timestamp> for Arg {
    fn from(moment: domain::Timestamp) -> Self {
        Self::Text(Some(moment.to_string()))
    }
}

impl From<i64> for Arg {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// In whose name a transaction is made. SQLite has nobody to wake.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose {
    /// Its writes wake the worker.
    Anybody,
    /// The worker's own writes wake nobody.
    Worker,
}

/// Both in one round trip.
const BEGIN_AS_WORKER: &str = "begin; select set_config('vitrine.worker', 'on', true)";

/// What a transaction came to.
pub(crate) enum End<T> {
    /// Make it durable, and say this.
    Commit(T),
    /// Undo it, and say this.
    Rollback(T),
}

/// An open transaction, or a connection for one statement.
pub(crate) enum Tx<'c> {
    /// Of the file's writer.
    Sqlite(&'c mut SqliteConnection, &'c str),
    /// Of a pooled session.
    Postgres(&'c mut PgConnection, &'c str),
}

/// A future in a box that may borrow the transaction.
pub(crate) type Doing<'c, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'c>>;

/// Binds parameters in order.
macro_rules! bind {
    ($sql:expr, $args:expr) => {{
        let mut query = sqlx::query($sql);
        for arg in $args {
            query = match arg {
                Arg::Text(text) => query.bind(text),
                Arg::Int(number) => query.bind(number),
            };
        }
        query
    }};
}

impl Tx<'_> {
    /// Whether the other side is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(..))
    }

    fn place(&self) -> &str {
        match self {
            Self::Sqlite(_, place) | Self::Postgres(_, place) => place,
        }
    }

    /// Runs a statement that returns nothing; says how many rows it changed.
    pub(crate) async fn run(&mut self, sql: &Sql, args: Vec<Arg>) -> Result<u64, StoreError> {
        let changed = match self {
            Self::Sqlite(db, _) => bind!(sql.sqlite, args)
                .execute(&mut **db)
                .await
                .map(|done| done.rows_affected()),
            Self::Postgres(db, _) => bind!(sql.postgres, args)
                .execute(&mut **db)
                .await
                .map(|done| done.rows_affected()),
        };
        changed.map_err(|error| StoreError::of(&error, self.place()))
    }

    /// Runs a statement whose rows are JSON texts of `T`; `table` names them in errors.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &mut self,
        table: &'static str,
        sql: &Sql,
        args: Vec<Arg>,
    ) -> Result<Vec<T>, StoreError> {
        let texts = match self {
            Self::Sqlite(db, _) => bind!(sql.sqlite, args)
                .fetch_all(&mut **db)
                .await
                .and_then(|rows| rows.iter().map(|row| row.try_get_unchecked(0)).collect()),
            Self::Postgres(db, _) => bind!(sql.postgres, args)
                .fetch_all(&mut **db)
                .await
                .and_then(|rows| {
                    rows.iter()
                        .map(|row| row.try_get::<String, _>(0).map(String::into_bytes))
                        .collect()
                }),
        };
        let texts: Vec<Vec<u8>> = texts.map_err(|error| StoreError::of(&error, self.place()))?;
        texts.into_iter().map(|text| decode(table, text)).collect()
    }
}

/// A row of JSON. Other programs can put bytes that are no UTF-8 into a SQLite text; each such place
/// becomes U+001A, ASCII's own sign for it, which the check of the inputs refuses by name, so that one
/// broken row fails alone and does not stop the others.
fn decode<T: DeserializeOwned>(table: &'static str, bytes: Vec<u8>) -> Result<T, StoreError> {
    let text = String::from_utf8(bytes).unwrap_or_else(|broken| {
        broken
            .as_bytes()
            .utf8_chunks()
            .flat_map(|chunk| {
                let mark = if chunk.invalid().is_empty() {
                    ""
                } else {
                    "\\u001a"
                };
                [chunk.valid(), mark]
            })
            .collect()
    });
    serde_json::from_str(&text).map_err(|error| StoreError::Inconsistent {
        table,
        what: format!(
            "{error} in row {}",
            text.chars().take(120).collect::<String>()
        ),
    })
}

/// Rows as the one JSON parameter of a set-based write. NUL cannot stand in a text of PostgreSQL, and
/// would end one of SQLite: what a provider sends with it is kept with U+FFFD in its place.
pub(crate) fn json<T: serde::Serialize>(
    table: &'static str,
    rows: &[T],
) -> Result<String, StoreError> {
    let text = serde_json::to_string(rows).map_err(|error| StoreError::Inconsistent {
        table,
        what: format!("a row cannot be written: {error}"),
    })?;
    if text.contains("\\u0000") {
        return Ok(without_nul(&text));
    }
    Ok(text)
}

/// Replaces the escape of NUL, and only where the backslash is not escaped itself.
fn without_nul(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        clean.push_str(before);
        if let Some(after) = after.strip_prefix("u0000") {
            clean.push('\u{fffd}');
            rest = after;
        } else {
            clean.push('\\');
            let mut letters = after.chars();
            clean.extend(letters.next());
            rest = letters.as_str();
        }
    }
    clean.push_str(rest);
    clean
}

impl Store {
    /// Reads rows of JSON.
    pub(crate) async fn read<T: DeserializeOwned + Send + 'static>(
        &self,
        table: &'static str,
        sql: &'static Sql,
        args: Vec<Arg>,
    ) -> Result<Vec<T>, StoreError> {
        let inner = Arc::clone(&self.inner);
        finish(tokio::spawn(async move {
            match &inner.db {
                Db::Sqlite { readers, file, .. } => {
                    file.check()?;
                    let db = readers.acquire().await;
                    let mut db = db.map_err(|error| StoreError::of(&error, &inner.place))?;
                    Tx::Sqlite(&mut db, &inner.place)
                        .rows(table, sql, args)
                        .await
                }
                Db::Postgres { pool, .. } => {
                    let mut db = pool.acquire(&inner.place).await?;
                    let mut tx = Tx::Postgres(&mut db, &inner.place);
                    match timeout(pool.limit, tx.rows(table, sql, args)).await {
                        Ok(rows) => rows,
                        Err(_) => Err(silent(db, &inner.place)),
                    }
                }
            }
        }))
        .await
    }

    /// Runs `work` in one transaction, in a task of its own.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Doing<'c, End<T>> + Send + 'static,
    {
        self.write_as(Whose::Anybody, work).await
    }

    /// As [`Store::write`], and says in whose name.
    pub(crate) async fn write_as<T, F>(&self, whose: Whose, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(Tx<'c>) -> Doing<'c, End<T>> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        finish(tokio::spawn(async move {
            #[cfg(feature = "testing")]
            let lost = inner.burn()?;
            let value = inner.transact(whose, work).await?;
            #[cfg(feature = "testing")]
            lost.after_commit()?;
            Ok(value)
        }))
        .await
    }
}

impl Inner {
    async fn transact<T, F>(&self, whose: Whose, work: F) -> Result<T, StoreError>
    where
        F: for<'c> FnOnce(Tx<'c>) -> Doing<'c, End<T>>,
    {
        let place = self.place.as_str();
        match &self.db {
            Db::Sqlite { writer, file, .. } => {
                file.check()?;
                let mut db = writer.lock().await;
                let done = in_sqlite(&mut db, work, place).await;
                if let Err(error) = &done
                    && error.is_of_the_connection()
                {
                    file.renew(&mut db).await;
                }
                done
            }
            Db::Postgres { pool, .. } => {
                let mut db = pool.acquire(place).await?;
                match timeout(pool.limit, in_postgres(&mut db, whose, work, place)).await {
                    Ok(done) => done,
                    Err(_) => Err(silent(db, place)),
                }
            }
        }
    }
}

async fn in_sqlite<T, F>(db: &mut SqliteConnection, work: F, place: &str) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(Tx<'c>) -> Doing<'c, End<T>>,
{
    let fail = |error: sqlx::Error| StoreError::of(&error, place);
    let mut tx = db.begin_with("begin immediate").await.map_err(fail)?;
    match work(Tx::Sqlite(&mut tx, place)).await? {
        End::Commit(value) => tx.commit().await.map(|()| value).map_err(fail),
        End::Rollback(value) => tx.rollback().await.map(|()| value).map_err(fail),
    }
}

async fn in_postgres<T, F>(
    db: &mut PgConnection,
    whose: Whose,
    work: F,
    place: &str,
) -> Result<T, StoreError>
where
    F: for<'c> FnOnce(Tx<'c>) -> Doing<'c, End<T>>,
{
    let fail = |error: sqlx::Error| StoreError::of(&error, place);
    let mut tx = match whose {
        Whose::Anybody => db.begin().await,
        Whose::Worker => db.begin_with(BEGIN_AS_WORKER).await,
    }
    .map_err(fail)?;
    match work(Tx::Postgres(&mut tx, place)).await? {
        End::Commit(value) => tx.commit().await.map(|()| value).map_err(fail),
        End::Rollback(value) => tx.rollback().await.map(|()| value).map_err(fail),
    }
}

/// A session that is silent for longer than the server itself would let a statement run has lost its
/// server. It is thrown away, and never goes back into the pool: what was going on in it was cut off.
fn silent(db: PoolConnection<Postgres>, place: &str) -> StoreError {
    drop(db.detach());
    StoreError::unavailable(format_args!(
        "{place} went silent in the middle of a statement"
    ))
}

/// Waits for the task of a statement.
async fn finish<T>(task: tokio::task::JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    match task.await {
        Ok(result) => result,
        // The runtime is shutting down, or the driver panicked: whether it took place is unknown.
        Err(stopped) => Err(StoreError::unavailable(stopped)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nul_is_replaced_and_a_written_escape_is_not() {
        let rows = ["a\0b", "a\\u0000b", "\\\\\0"];
        let text = json("x", &rows).unwrap();
        let back: Vec<String> = serde_json::from_str(&text).unwrap();
        assert_eq!(back, ["a\u{fffd}b", "a\\u0000b", "\\\\\u{fffd}"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_marked() {
        let text: String = decode("x", b"\"a\xffb\"".to_vec()).unwrap();
        assert_eq!(text, "a\u{1a}b");
    }
}
