//! A program that knows nothing of us: plain SQL over a connection of its own, for the tests of crates
//! that may not use the driver themselves. It reads and writes what any other program could.

use std::str::FromStr as _;
use std::time::Duration;

use serde_json::{Map, Value};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{
    AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, PgConnection, Row as _,
    SqliteConnection, TypeInfo as _, ValueRef as _,
};

/// How long a foreign writer of a SQLite file waits for ours.
const SQLITE_BUSY: Duration = Duration::from_secs(10);

/// Runs one statement on the database of this URL; says how many rows it changed.
///
/// # Errors
/// What the database says, as a person sees it.
pub async fn sql(url: &str, statement: &str) -> Result<u64, String> {
    let statement = AssertSqlSafe(statement.to_owned());
    let run = async {
        if is_postgres(url) {
            let mut db = postgres(url).await?;
            let done = sqlx::query(statement).execute(&mut db).await?;
            db.close().await?;
            Ok(done.rows_affected())
        } else {
            let mut db = sqlite(url).await?;
            let done = sqlx::query(statement).execute(&mut db).await?;
            db.close().await?;
            Ok(done.rows_affected())
        }
    };
    run.await.map_err(|error: sqlx::Error| error.to_string())
}

/// A connection of somebody who looks at a SQLite file and leaves it open, as a person's browser of
/// databases does: as long as it lives, the write-ahead log is not folded into the file.
#[derive(Debug)]
pub struct Onlooker {
    _db: SqliteConnection,
}

/// Opens a SQLite file and leaves it open.
///
/// # Errors
/// What the database says, as a person sees it.
pub async fn onlooker(url: &str) -> Result<Onlooker, String> {
    let open = async {
        let mut db = sqlite(url).await?;
        // The file is not touched before the first statement.
        sqlx::query("select count(*) from sqlite_schema")
            .execute(&mut db)
            .await?;
        Ok(Onlooker { _db: db })
    };
    open.await.map_err(|error: sqlx::Error| error.to_string())
}

/// The rows of a SELECT, each an object of its columns: numbers as numbers, all else as text, times as
/// the database prints them.
///
/// # Errors
/// What the database says, as a person sees it.
pub async fn sql_rows(url: &str, select: &str) -> Result<Vec<Value>, String> {
    let run = async {
        if is_postgres(url) {
            let mut db = postgres(url).await?;
            let statement = format!("select to_jsonb(q)::text from ({select}) q");
            let rows = sqlx::query(AssertSqlSafe(statement))
                .fetch_all(&mut db)
                .await?;
            db.close().await?;
            rows.iter().map(postgres_row).collect()
        } else {
            let mut db = sqlite(url).await?;
            let rows = sqlx::query(AssertSqlSafe(select.to_owned()))
                .fetch_all(&mut db)
                .await?;
            db.close().await?;
            rows.iter().map(sqlite_row).collect()
        }
    };
    let rows: Result<Vec<Value>, sqlx::Error> = run.await;
    rows.map_err(|error| error.to_string())
}

fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres")
}

async fn postgres(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
    PgConnection::connect_with(&options).await
}

async fn sqlite(url: &str) -> Result<SqliteConnection, sqlx::Error> {
    let path = url.strip_prefix("sqlite://").unwrap_or(url);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(SQLITE_BUSY)
        .disable_statement_logging();
    SqliteConnection::connect_with(&options).await
}

fn postgres_row(row: &sqlx::postgres::PgRow) -> Result<Value, sqlx::Error> {
    let text: String = row.try_get(0)?;
    serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))
}

fn sqlite_row(row: &SqliteRow) -> Result<Value, sqlx::Error> {
    let mut object = Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let raw = row.try_get_raw(at)?;
        let is_number = raw.type_info().name() == "INTEGER";
        let value = if raw.is_null() {
            Value::Null
        } else if is_number {
            Value::from(row.try_get_unchecked::<i64, _>(at)?)
        } else {
            Value::from(row.try_get_unchecked::<String, _>(at)?)
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(Value::Object(object))
}

/// A foreign connection that holds a SQLite file's lock, or an old state of it.
#[derive(Debug)]
pub struct SqliteHold(SqliteConnection);

impl SqliteHold {
    /// Nobody else can write until it is released.
    ///
    /// # Panics
    /// If the file cannot be opened.
    pub async fn write(url: &str) -> Self {
        Self::with(url, "begin immediate").await
    }

    /// The log cannot be written back beyond this state until it is released.
    ///
    /// # Panics
    /// If the file cannot be opened.
    pub async fn read(url: &str) -> Self {
        let mut hold = Self::with(url, "begin").await;
        hold.run("select count(*) from sqlite_master").await;
        hold
    }

    async fn with(url: &str, begin: &'static str) -> Self {
        let opened = sqlite(url).await;
        #[expect(clippy::expect_used, reason = "only tests call this")]
        let mut hold = Self(opened.expect("the file opens"));
        hold.run(begin).await;
        hold
    }

    #[expect(clippy::expect_used, reason = "only tests call this")]
    async fn run(&mut self, statement: &'static str) {
        let done = sqlx::query(statement).fetch_all(&mut self.0).await;
        done.expect("the statement runs");
    }

    /// Ends it.
    pub async fn release(mut self) {
        self.run("rollback").await;
    }
}
