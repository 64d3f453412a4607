//! Whether a PostgreSQL server is one that paid work can rest on, and whether it is still the same one.
//!
//! A server without `fsync` loses intents with the power, and what it lost is paid for twice. A pooler that
//! hands each transaction to another session drops the lanes' locks in silence. A replica that was promoted,
//! or a backup that was restored, may lack the last intents: its timeline is another one, or its system
//! identifier. All three can be asked, so they are.

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, Executor, PgConnection, Row};

use crate::db::{Arg, Db, Tx};
use crate::sessions::connect;
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

/// The oldest major version that its makers still mend.
const OLDEST: i64 = 14;

statements! {
    FITNESS: Sql = Sql {
        sqlite: "select 1",
        postgres: "select json_build_object( \
            'version', current_setting('server_version_num')::bigint, \
            'spoken', current_setting('server_version'), \
            'standby', pg_is_in_recovery(), \
            'read_only', current_setting('default_transaction_read_only') = 'on', \
            'fsync', current_setting('fsync') = 'on', \
            'full_page_writes', current_setting('full_page_writes') = 'on', \
            'synchronous_commit', current_setting('synchronous_commit'))::text",
    };
    /// The timeline is that of the log that is written now: the last checkpoint's may be the old one for a
    /// while after a promotion.
    IDENTITY: Sql = Sql {
        sqlite: "select 1",
        postgres: "select json_build_object( \
            'system', (select system_identifier::text from pg_control_system()), \
            'timeline', case when pg_is_in_recovery() then 0 else \
              ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint end)::text",
    };
    /// Remembers the first server, and notes one that differs beside it.
    RECOGNISE: Sql = Sql {
        sqlite: "select 1 where ?1 is ?2 and ?3 is null",
        postgres: "insert into database_server as known (one, system, timeline, accepted_at) \
            values (1, $1, $2::bigint, $3::timestamptz) \
            on conflict (one) do update set \
              found_system = case when (known.system, known.timeline) = ($1, $2::bigint) then null else $1 end, \
              found_timeline = case when (known.system, known.timeline) = ($1, $2::bigint) then null else $2::bigint end, \
              found_at = case when (known.system, known.timeline) = ($1, $2::bigint) then null \
                else coalesce(known.found_at, $3::timestamptz) end \
            returning row_to_json(known)::text",
    };
    ACCEPT: Sql = Sql {
        sqlite: "select 1 where ?1 is ?2 and ?3 is null",
        postgres: "insert into database_server as known (one, system, timeline, accepted_at) \
            values (1, $1, $2::bigint, $3::timestamptz) \
            on conflict (one) do update set system = $1, timeline = $2::bigint, accepted_at = $3::timestamptz, \
              found_system = null, found_timeline = null, found_at = null \
            returning row_to_json(known)::text",
    };
    KNOWN: Sql = Sql {
        sqlite: "select json_object('system', system, 'timeline', timeline, 'found_system', found_system, \
            'found_timeline', found_timeline, 'found_at', found_at) from database_server",
        postgres: "select row_to_json(known)::text from database_server known",
    };
}

/// Which server: the one that was made under this identifier, in this history of its log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerIdentity {
    /// Given by `initdb`; a replica has that of its primary.
    pub system: String,
    /// Grows with each promotion and each restored backup.
    pub timeline: i64,
}

/// The database is not on the server that a person accepted: what was written last may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnotherServer {
    /// The accepted one.
    pub accepted: ServerIdentity,
    /// The present one.
    pub found: ServerIdentity,
    /// Since when.
    pub since: Timestamp,
}

impl std::fmt::Display for AnotherServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (accepted, found) = (&self.accepted, &self.found);
        if accepted.system == found.system {
            write!(
                f,
                "the database went from timeline {} to {}: a replica was promoted or a backup restored, \
                 and the last requests may be missing from it",
                accepted.timeline, found.timeline
            )
        } else {
            write!(
                f,
                "the database is on another server (system identifier {}, before {}), and the last \
                 requests may be missing from it",
                found.system, accepted.system
            )
        }
    }
}

/// What [`Store::check_server`] looked at, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// As the server says it, or SQLite's.
    pub version: String,
    /// `None` where it cannot be read (or is a file): a promoted replica is then not noticed.
    pub identity: Option<ServerIdentity>,
}

#[derive(Deserialize)]
struct Fitness {
    version: i64,
    spoken: String,
    standby: bool,
    read_only: bool,
    fsync: bool,
    full_page_writes: bool,
    synchronous_commit: String,
}

#[derive(Deserialize)]
struct Remembered {
    system: String,
    timeline: i64,
    found_system: Option<String>,
    found_timeline: Option<i64>,
    found_at: Option<Timestamp>,
}

impl Remembered {
    fn another(self) -> Option<AnotherServer> {
        Some(AnotherServer {
            found: ServerIdentity {
                system: self.found_system?,
                timeline: self.found_timeline?,
            },
            since: self.found_at?,
            accepted: ServerIdentity {
                system: self.system,
                timeline: self.timeline,
            },
        })
    }
}

impl Store {
    /// Looks whether paid work can rest on this server: that it syncs, that a session is a session, that it
    /// takes writes, that it is not too old. A file has nothing to look at here.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] with all that is wrong and what to do about it.
    pub async fn check_server(&self) -> Result<ServerReport, StoreError> {
        let place = &self.inner.place;
        let Db::Postgres { options, .. } = &self.inner.db else {
            return Ok(ServerReport {
                version: "SQLite, a file".to_owned(),
                identity: None,
            });
        };
        let mut db = connect(options, place).await?;
        let mut other = connect(options, place).await?;
        let is_session = is_session(&mut db, &mut other).await;
        let unfit = |why: String| StoreError::Unfit {
            place: place.clone(),
            why,
        };
        if !is_session.map_err(|error| unfit(with_hint(&error.to_string())))? {
            return Err(unfit(format!(
                "two transactions of one session reached different processes of the server. {POOLER}"
            )));
        }
        let found: Vec<Fitness> = Tx::Postgres(&mut db, place)
            .rows("pg_settings", &FITNESS, vec![])
            .await?;
        let complaints: Vec<String> = found.iter().flat_map(complaints).collect();
        if !complaints.is_empty() {
            return Err(unfit(complaints.join("; ")));
        }
        let identity = identity(&mut db).await;
        Ok(ServerReport {
            version: found.into_iter().map(|found| found.spoken).collect(),
            identity: identity.map_err(|error| StoreError::of(&error, place))?,
        })
    }

    /// Looks which server the database is on, and remembers the first one. From here on a session that
    /// leads to yet another one is refused with [`StoreError::Unavailable`], until this is called again.
    ///
    /// # Errors
    /// When the server does not answer, or takes no writes.
    pub async fn recognise_server(
        &self,
        now: Timestamp,
    ) -> Result<Option<AnotherServer>, StoreError> {
        self.identify(&RECOGNISE, now).await
    }

    /// A person says that the present server has all that the one before had.
    ///
    /// # Errors
    /// When the server does not answer, or takes no writes.
    pub async fn accept_server(&self, now: Timestamp) -> Result<(), StoreError> {
        self.identify(&ACCEPT, now).await.map(|_| ())
    }

    /// As the last worker that looked has found it; `None` while it is the accepted one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn another_server(&self) -> Result<Option<AnotherServer>, StoreError> {
        let rows: Vec<Remembered> = self.read("database_server", &KNOWN, vec![]).await?;
        Ok(rows.into_iter().find_map(Remembered::another))
    }

    async fn identify(
        &self,
        statement: &'static Sql,
        now: Timestamp,
    ) -> Result<Option<AnotherServer>, StoreError> {
        let Db::Postgres { pool, options } = &self.inner.db else {
            return Ok(None);
        };
        let place = &self.inner.place;
        // A session of its own: those of the pool may lead to the server of before.
        let mut db = connect(options, place).await?;
        let found = identity(&mut db).await;
        let found = found.map_err(|error| StoreError::of(&error, place))?;
        let another = match &found {
            None => None,
            Some(found) => {
                let args: Vec<Arg> = vec![
                    found.system.as_str().into(),
                    found.timeline.into(),
                    now.into(),
                ];
                let rows: Vec<Remembered> = Tx::Postgres(&mut db, place)
                    .rows("database_server", statement, args)
                    .await?;
                rows.into_iter().find_map(Remembered::another)
            }
        };
        pool.recognise(found);
        // It is no loss if it does not end politely.
        let _ = db.close().await;
        Ok(another)
    }
}

/// Which server this session leads to; `None` where its role may not know, and for a standby, which has no
/// log of its own.
pub(crate) async fn identity(db: &mut PgConnection) -> Result<Option<ServerIdentity>, sqlx::Error> {
    let text: String = match db.fetch_one(IDENTITY.postgres).await {
        Ok(row) => row.try_get(0)?,
        // Insufficient privilege; no such function (what only resembles PostgreSQL).
        Err(sqlx::Error::Database(said))
            if matches!(said.code().as_deref(), Some("42501" | "42883" | "0A000")) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let found: ServerIdentity =
        serde_json::from_str(&text).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(found).filter(|found| found.timeline > 0))
}

/// Whether each of two sessions has a process of its own and keeps it: a pooler in transaction mode gives
/// the process that one of them has just left to the other, and forgets what was set.
async fn is_session(db: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    const MARK: &str = "select pg_backend_pid()::text || set_config('vitrine.session', '', false)";
    const MARKED: &str = "select pg_backend_pid()::text || \
        case when current_setting('vitrine.session', true) is null then ' is new' else '' end";
    let first = ask(db, MARK).await?;
    other.execute(sqlx::raw_sql("begin")).await?;
    let beside = ask(other, MARKED).await;
    let again = ask(db, MARKED).await;
    other.execute(sqlx::raw_sql("rollback")).await?;
    let (beside, again) = (beside?, again?);
    let beside = beside.trim_end_matches(" is new");
    Ok(first == again && beside != first)
}

/// By the simple protocol: a prepared statement would not survive what is looked for.
async fn ask(db: &mut PgConnection, select: &'static str) -> Result<String, sqlx::Error> {
    db.fetch_one(sqlx::raw_sql(select)).await?.try_get(0)
}

const POOLER: &str = "this looks like PgBouncer in transaction mode, which drops the lanes' locks: give the \
    server's own address in database.url (a pooler in session mode will do as well)";

/// What a driver says of a server, with what is behind it where that can be told.
pub(crate) fn with_hint(why: &str) -> String {
    let pooler = [
        "unsupported startup parameter",
        "prepared statement",
        "not supported in transaction",
    ];
    if pooler.iter().any(|sign| why.contains(sign)) {
        format!("{why}. {POOLER}")
    } else {
        why.to_owned()
    }
}

fn complaints(found: &Fitness) -> Vec<String> {
    let mut all = Vec::new();
    if found.version / 10_000 < OLDEST {
        all.push(format!(
            "it is PostgreSQL {}, and {OLDEST} is the oldest that works",
            found.spoken
        ));
    }
    if found.standby {
        // It shows the settings of its own, and takes no writes at all.
        all.push("it is a standby, which takes no writes: give the primary's address".to_owned());
        return all;
    }
    if found.read_only {
        all.push(
            "default_transaction_read_only is on, so it takes no writes: set it to off for this role or database"
                .to_owned(),
        );
    }
    let off = [
        ("fsync", found.fsync),
        ("full_page_writes", found.full_page_writes),
    ];
    for (setting, _) in off.iter().filter(|(_, on)| !on) {
        all.push(format!(
            "{setting} is off, so a power cut can take the record of what was paid: set {setting} = on in \
             postgresql.conf and reload it (select pg_reload_conf())"
        ));
    }
    if found.synchronous_commit != "on" {
        all.push(format!(
            "synchronous_commit is {} although this session asks for on: something between us and the \
             server drops the session's settings",
            found.synchronous_commit
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit() -> Fitness {
        Fitness {
            version: 170_004,
            spoken: "17.4".into(),
            standby: false,
            read_only: false,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".into(),
        }
    }

    #[test]
    fn each_complaint_names_the_setting_and_what_to_do() {
        assert!(complaints(&fit()).is_empty());
        let cases = [
            (
                Fitness {
                    version: 130_020,
                    spoken: "13.20".into(),
                    ..fit()
                },
                "PostgreSQL 13.20, and 14",
            ),
            (
                Fitness {
                    standby: true,
                    fsync: false,
                    ..fit()
                },
                "standby",
            ),
            (
                Fitness {
                    read_only: true,
                    ..fit()
                },
                "default_transaction_read_only",
            ),
            (
                Fitness {
                    fsync: false,
                    ..fit()
                },
                "set fsync = on",
            ),
            (
                Fitness {
                    full_page_writes: false,
                    ..fit()
                },
                "set full_page_writes = on",
            ),
            (
                Fitness {
                    synchronous_commit: "off".into(),
                    ..fit()
                },
                "synchronous_commit is off",
            ),
        ];
        for (found, words) in cases {
            let said = complaints(&found);
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(said[0].contains(words), "{said:?}");
        }
    }

    #[test]
    fn a_pooler_that_refuses_our_settings_is_named() {
        let said = with_hint("unsupported startup parameter: options");
        assert!(
            said.contains("PgBouncer") && said.contains("own address"),
            "{said}"
        );
        assert_eq!(
            with_hint("password authentication failed"),
            "password authentication failed"
        );
    }
}
