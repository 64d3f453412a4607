//! What can go wrong in the store, one variant for each decision that a caller can take.
//!
//! Both databases are mapped here and nowhere else: constraint names, SQLSTATEs and SQLite's result
//! codes do not leave this file.

use sqlx::error::DatabaseError;

/// A statement that failed, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or is none: the config is wrong, or a server is down at the start.
    #[error("the database {place} cannot be opened: {why}")]
    CannotOpen {
        /// Which database, without a password.
        place: String,
        /// What the driver says.
        why: String,
    },
    /// The file or the server takes no writes.
    #[error("the database {place} is read-only")]
    ReadOnly {
        /// Which database, without a password.
        place: String,
    },
    /// A server that paid work cannot rest on.
    #[error("the database {place} cannot be worked on: {why}")]
    Unfit {
        /// Which database, without a password.
        place: String,
        /// What is wrong, and what to do.
        why: String,
    },
    /// The file that is open is not the one at its path any more: what is written is lost.
    #[error(
        "the database {place} was deleted or replaced while it was open ({what}): put back the files that \
         belong together (the database, and its -wal if there is one) and start again"
    )]
    Moved {
        /// Which database.
        place: String,
        /// Which of its files.
        what: String,
    },
    /// Another process works on this file.
    #[error("another process works on this database: {by}")]
    Held {
        /// What the other process wrote about itself.
        by: String,
    },
    /// The tables were made by a newer Vitrine.
    #[error("the database was migrated by a newer vitrine ({}): use that one", .unknown.join(", "))]
    NewerSchema {
        /// The migrations that this program does not know.
        unknown: Vec<String>,
    },
    /// Tables are missing.
    #[error("the database needs a migration: run `vitrine migrate`")]
    NeedsMigration,
    /// A migration failed; the ones before it stay.
    #[error("a migration failed: {why}")]
    Migration {
        /// What the driver says.
        why: String,
    },
    /// Busy, restarting, cut off: wait and go on. After a commit it is not known whether it took place.
    #[error("the database is unavailable: {why}")]
    Unavailable {
        /// What the driver says.
        why: String,
    },
    /// The disk is full.
    #[error("the database's disk is full: {why}")]
    Full {
        /// What the driver says.
        why: String,
    },
    /// A CHECK, a unique index or a trigger said no; nothing was written.
    #[error("the database refused the change ({constraint}): {message}")]
    Refused {
        /// The constraint's name; `trigger` where a trigger spoke.
        constraint: String,
        /// One sentence.
        message: String,
    },
    /// A row that cannot be, or a batch that contradicts itself.
    #[error("{table} holds what cannot be: {what}")]
    Inconsistent {
        /// Which table.
        table: &'static str,
        /// Which row, and what is wrong with it.
        what: String,
    },
    /// Anything else: a defect of this program or of the schema.
    #[error("a statement failed: {why}")]
    Statement {
        /// What the driver says.
        why: String,
    },
}

impl StoreError {
    /// Whether waiting and trying again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Full { .. })
    }

    /// For the engine: a step was made anew so many times, and each time a row had changed in between.
    #[must_use]
    pub fn contended(tries: usize) -> Self {
        Self::unavailable(format!(
            "rows changed under the worker {tries} times in a row"
        ))
    }

    /// For the engine: another process owns the lanes now.
    #[must_use]
    pub fn lanes_lost() -> Self {
        Self::unavailable("another process has taken the lanes")
    }

    /// Whether the connection may have ended its transaction by itself, so that it is made anew.
    pub(crate) fn is_of_the_connection(&self) -> bool {
        !matches!(
            self,
            Self::Refused { .. } | Self::Inconsistent { .. } | Self::Moved { .. }
        )
    }

    pub(crate) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::Unavailable {
            why: format!("{why}"),
        }
    }

    /// The error of a driver, on the database called `place`.
    pub(crate) fn of(error: &sqlx::Error, place: &str) -> Self {
        match error {
            sqlx::Error::Database(said) => Self::of_database(said.as_ref(), place),
            sqlx::Error::Io(said) => Self::unavailable(format_args!("{place}: {said}")),
            sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            // The driver still counts a transaction that SQLite has ended by itself.
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::BeginFailed => Self::unavailable(format_args!("{place}: {error}")),
            _ => Self::Statement {
                why: error.to_string(),
            },
        }
    }

    fn of_database(said: &dyn DatabaseError, place: &str) -> Self {
        let code = said.code().unwrap_or_default();
        // SQLite's codes are short decimal numbers; SQLSTATEs have five characters.
        match code.parse::<u32>() {
            Ok(number) if code.len() < 5 => of_sqlite(number, said, place),
            _ => of_postgres(&code, said, place),
        }
    }
}

/// The primary codes of <https://sqlite.org/rescode.html>; the extended ones carry them in their low byte.
fn of_sqlite(code: u32, said: &dyn DatabaseError, place: &str) -> StoreError {
    let why = said.message().to_owned();
    match code & 0xff {
        // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, CANTOPEN (no file handles left), PROTOCOL
        5 | 6 | 7 | 9 | 10 | 14 | 15 => StoreError::Unavailable { why },
        8 => StoreError::ReadOnly {
            place: place.to_owned(),
        },
        13 => StoreError::Full { why },
        // CORRUPT, NOTADB
        11 | 26 => StoreError::CannotOpen {
            place: place.to_owned(),
            why,
        },
        // SQLITE_CONSTRAINT_TRIGGER: raise(abort, sentence).
        19 if code == 1811 => StoreError::Refused {
            constraint: "trigger".to_owned(),
            message: why,
        },
        19 => StoreError::Refused {
            constraint: why
                .rsplit_once("failed: ")
                .map_or_else(|| why.clone(), |(_, name)| name.to_owned()),
            message: why,
        },
        1 if why.starts_with("no such table") => StoreError::NeedsMigration,
        _ => StoreError::Statement { why },
    }
}

/// By SQLSTATE, or by its class.
fn of_postgres(code: &str, said: &dyn DatabaseError, place: &str) -> StoreError {
    let why = said.message().to_owned();
    match code {
        "53100" => return StoreError::Full { why },
        "42P01" => return StoreError::NeedsMigration,
        "P0001" => {
            return StoreError::Refused {
                constraint: "trigger".to_owned(),
                message: why,
            };
        }
        "42501" => {
            return StoreError::Refused {
                constraint: "privilege".to_owned(),
                message: why,
            };
        }
        // Wrong password, unknown role, unknown database.
        "28000" | "28P01" | "3D000" => {
            return StoreError::CannotOpen {
                place: place.to_owned(),
                why,
            };
        }
        // A lock took too long; a session that idled in a transaction, or was left in a broken one; a server
        // that takes no writes for now (a standby on its way up, a full disk at a hoster's).
        "55P03" | "25P02" | "25P03" | "25P04" | "25006" => return StoreError::Unavailable { why },
        // Statements that were prepared before the tables changed: a new session prepares them anew.
        "0A000" if why.starts_with("cached plan") => return StoreError::Unavailable { why },
        _ => {}
    }
    match code.get(..2) {
        // Connection, rollback (deadlock, serialisation), resources, operator intervention, system.
        Some("08" | "40" | "53" | "57" | "58") => StoreError::Unavailable { why },
        Some("23") => StoreError::Refused {
            constraint: said.constraint().unwrap_or("constraint").to_owned(),
            message: why,
        },
        _ => StoreError::Statement { why },
    }
}
