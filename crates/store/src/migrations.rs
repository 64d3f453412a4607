//! The schema: which migrations there are, which of them a database has, and running the rest.
//!
//! The same numbered, spoken names in both folders; they travel inside the program.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, SqlSafeStr};

use crate::db::Db;
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

/// How a database stands to this program's migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaState {
    /// It has them all.
    Current,
    /// It lacks these.
    Missing {
        /// Their names, in order.
        pending: Vec<String>,
    },
    /// It has some that this program does not know: a newer one made them.
    Newer {
        /// Their numbers and names.
        unknown: Vec<String>,
    },
}

statements! {
    /// Whether a migration ever ran.
    HAS_MIGRATIONS: Sql = Sql {
        sqlite: "select json_object('found', count(*)) \
            from sqlite_master where type = 'table' and name = '_sqlx_migrations'",
        postgres: "select json_build_object('found', \
            case when to_regclass('_sqlx_migrations') is null then 0 else 1 end)::text",
    };
}

/// Not in [`statements!`]: the table it reads is made by the first migration, and not by us.
const APPLIED: Sql = Sql {
    sqlite: "select json_object('version', version, 'description', description) \
        from _sqlx_migrations order by version",
    postgres: "select json_build_object('version', version, 'description', description)::text \
        from _sqlx_migrations order by version",
};

macro_rules! twins {
    ($($number:literal $name:literal $file:literal;)+) => {
        /// Number, spoken name, SQLite's text, PostgreSQL's text.
        const MIGRATIONS: &[(i64, &str, &str, &str)] = &[$((
            $number,
            $name,
            include_str!(concat!("../../../migrations/sqlite/", $file)),
            include_str!(concat!("../../../migrations/postgres/", $file)),
        ),)+];
    };
}

twins! {
    1 "jobs" "0001_jobs.sql";
    2 "ledger" "0002_ledger.sql";
    3 "lanes and inbox" "0003_lanes_and_inbox.sql";
    4 "product results" "0004_product_results.sql";
    5 "waking and roles" "0005_waking_and_roles.sql";
    6 "money" "0006_money.sql";
    7 "strangers" "0007_strangers.sql";
    8 "database server" "0008_database_server.sql";
    9 "verdicts" "0009_verdicts.sql";
    10 "lengths" "0010_lengths.sql";
    11 "breakers" "0011_breakers.sql";
    12 "webhooks" "0012_webhooks.sql";
    13 "forecasts" "0013_forecasts.sql";
    14 "limits" "0014_limits.sql";
    15 "shapes" "0015_shapes.sql";
}

#[derive(serde::Deserialize)]
struct Found {
    found: i64,
}

#[derive(serde::Deserialize)]
struct Applied {
    version: i64,
    description: String,
}

fn spoken(number: i64, name: &str) -> String {
    format!("{number:04} {name}")
}

impl Store {
    /// How the database stands to this program.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn schema(&self) -> Result<SchemaState, StoreError> {
        let found: Vec<Found> = self
            .read("_sqlx_migrations", &HAS_MIGRATIONS, vec![])
            .await?;
        let applied: Vec<Applied> = if found.iter().any(|row| row.found > 0) {
            self.read("_sqlx_migrations", &APPLIED, vec![]).await?
        } else {
            Vec::new()
        };
        let ours: BTreeSet<i64> = MIGRATIONS.iter().map(|known| known.0).collect();
        let unknown: Vec<String> = applied
            .iter()
            .filter(|row| !ours.contains(&row.version))
            .map(|row| spoken(row.version, &row.description))
            .collect();
        if !unknown.is_empty() {
            return Ok(SchemaState::Newer { unknown });
        }
        let theirs: BTreeSet<i64> = applied.iter().map(|row| row.version).collect();
        let pending: Vec<String> = MIGRATIONS
            .iter()
            .filter(|known| !theirs.contains(&known.0))
            .map(|known| spoken(known.0, known.1))
            .collect();
        if pending.is_empty() {
            return Ok(SchemaState::Current);
        }
        Ok(SchemaState::Missing { pending })
    }

    /// Runs what is missing and says what it ran; nothing when all is there.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] for a database of a newer program, [`StoreError::Migration`] when a
    /// migration fails or one that ran was changed since.
    pub async fn migrate(&self) -> Result<Vec<String>, StoreError> {
        /// Tries during which nobody got further: then it is the migration that fails.
        const TRIES: u32 = 10;
        let mut pending = match self.schema().await? {
            SchemaState::Current => return Ok(Vec::new()),
            SchemaState::Newer { unknown } => return Err(StoreError::NewerSchema { unknown }),
            SchemaState::Missing { pending } => pending,
        };
        let mut tries = 0;
        loop {
            let store = self.clone();
            let ran = tokio::spawn(async move { store.run_migrations().await })
                .await
                .map_err(StoreError::unavailable)?;
            let Err(error) = ran else {
                return Ok(pending);
            };
            // Somebody else may be running them (SQLite has no lock for this): who comes second goes
            // on where the other is.
            let left = match self.schema().await? {
                SchemaState::Current => return Ok(Vec::new()),
                SchemaState::Newer { unknown } => return Err(StoreError::NewerSchema { unknown }),
                SchemaState::Missing { pending } => pending,
            };
            tries = if left.len() < pending.len() {
                0
            } else {
                tries + 1
            };
            pending = left;
            if tries >= TRIES {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn run_migrations(&self) -> Result<(), StoreError> {
        let failed = |error: sqlx::migrate::MigrateError| StoreError::Migration {
            why: error.to_string(),
        };
        match &self.inner.db {
            Db::Sqlite { writer, .. } => {
                let mut db = writer.lock().await;
                migrator(false)
                    .run_direct(None, &mut *db, false)
                    .await
                    .map_err(failed)
            }
            Db::Postgres { options, .. } => {
                let mut db = crate::sessions::connect(options, &self.inner.place).await?;
                let ran = migrator(true)
                    .run_direct(None, &mut db, false)
                    .await
                    .map_err(failed);
                // The connection is dropped in any case; its lock goes with it.
                let _ = db.close().await;
                ran
            }
        }
    }
}

fn migrator(postgres: bool) -> Migrator {
    let migrations = MIGRATIONS
        .iter()
        .map(|(number, name, for_sqlite, for_postgres)| {
            let sql = if postgres { for_postgres } else { for_sqlite };
            Migration::new(
                *number,
                (*name).into(),
                MigrationType::Simple,
                sql.into_sql_str(),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
}
