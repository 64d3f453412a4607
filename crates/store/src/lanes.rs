//! Who owns which lane. One process owns a lane at a time; each takeover raises the lane's epoch, and a
//! conclusion counts only under the epoch that stands in the lane's row.
//!
//! SQLite: an advisory lock on a file beside the database, which the system drops with the process.
//! PostgreSQL: an advisory lock of one dedicated session, which the server drops with the connection.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use domain::{Provider, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection};

use crate::db::{Arg, Db, End, Tx, json};
use crate::jobs::list;
use crate::model::{Epoch, LaneKey};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    /// PostgreSQL only: SQLite's lock is the file.
    TRY_LOCK: Sql = Sql {
        sqlite: "select json_object('locked', json('true'))",
        postgres: "select json_build_object('locked', \
            pg_try_advisory_lock(hashtextextended('vitrine lane ' || $1, 0)))::text",
    };
    TAKE: Sql = Sql {
        sqlite: "insert into lanes (lane, provider, epoch, owner, taken_at, heartbeat_at) \
            select value ->> 'lane', value ->> 'provider', 1, ?2, ?3, ?3 from json_each(?1) where true order by key \
            on conflict (lane) do update set provider = excluded.provider, epoch = lanes.epoch + 1, \
              owner = excluded.owner, taken_at = excluded.taken_at, heartbeat_at = excluded.heartbeat_at \
            returning json_array(lane, epoch)",
        postgres: "insert into lanes (lane, provider, epoch, owner, taken_at, heartbeat_at) \
            select lane, provider, 1, $2, $3::timestamptz, $3::timestamptz \
            from jsonb_to_recordset($1::jsonb) as r (lane text, provider text) \
            on conflict (lane) do update set provider = excluded.provider, epoch = lanes.epoch + 1, \
              owner = excluded.owner, taken_at = excluded.taken_at, heartbeat_at = excluded.heartbeat_at \
            returning json_build_array(lane, epoch)::text",
    };
    EPOCHS: Sql = Sql {
        sqlite: "select json_array(lane, epoch) from lanes where lane in (select value from json_each(?1))",
        postgres: "select json_build_array(lane, epoch)::text from lanes \
            where lane in (select jsonb_array_elements_text($1::jsonb))",
    };
    OWNERS: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'owner', owner, 'epoch', epoch, 'taken_at', taken_at, \
            'heartbeat_at', heartbeat_at) from lanes order by lane",
        postgres: "select row_to_json(r)::text from (select lane, owner, epoch, taken_at, heartbeat_at \
            from lanes order by lane) r",
    };
    BEAT: Sql = Sql {
        sqlite: "update lanes set heartbeat_at = ?2 \
            where lane in (select value ->> 0 from json_each(?1)) and (lane, epoch) in ( \
              select value ->> 0, value ->> 1 from json_each(?1))",
        postgres: "update lanes set heartbeat_at = $2::timestamptz \
            where (lane, epoch) in ( \
              select value ->> 0, (value ->> 1)::bigint from jsonb_array_elements($1::jsonb))",
    };
}

#[derive(Deserialize)]
struct Locked {
    locked: bool,
}

#[derive(Serialize)]
struct LaneColumns<'a> {
    lane: &'a LaneKey,
    provider: Provider,
}

#[derive(Deserialize)]
struct LaneEpoch(LaneKey, Epoch);

/// A lane's row: who owned it last.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LaneOwner {
    /// Which lane.
    pub lane: LaneKey,
    /// What the owner called itself.
    pub owner: String,
    /// Under which epoch.
    pub epoch: Epoch,
    /// Since when.
    pub taken_at: Timestamp,
    /// When it last said that it lives.
    pub heartbeat_at: Timestamp,
}

/// The lanes that this process owns. They are free again when this is dropped.
#[derive(Debug)]
pub struct LaneHold {
    /// The lanes gained, with their new epochs.
    pub epochs: Vec<(LaneKey, Epoch)>,
    /// The lanes that another process owns.
    pub missed: Vec<LaneKey>,
    store: Store,
    guard: Guard,
}

#[derive(Debug)]
enum Guard {
    /// The locked file beside the database. Closing it unlocks it.
    File { file: File, path: PathBuf },
    /// The session that holds the locks. Closing it unlocks them.
    Session(Box<PgConnection>),
}

impl Store {
    /// Takes those of `lanes` that no other process owns, and raises their epochs. `owner` is what other
    /// processes are told.
    ///
    /// # Errors
    /// [`StoreError::Held`] in SQLite, where one process owns all lanes, if another one does.
    pub async fn take_lanes(
        &self,
        lanes: &[(LaneKey, Provider)],
        owner: &str,
        now: Timestamp,
    ) -> Result<LaneHold, StoreError> {
        let guard = match &self.inner.db {
            Db::Sqlite { path, .. } => lock_file(path, owner, now, &self.inner.place)?,
            Db::Postgres { options, .. } => {
                let db = PgConnection::connect_with(options)
                    .await
                    .map_err(|error| StoreError::of(&error, &self.inner.place))?;
                Guard::Session(Box::new(db))
            }
        };
        let store = self.clone();
        let lanes = lanes.to_vec();
        let owner = owner.to_owned();
        tokio::spawn(async move { store.raise(guard, lanes, owner, now).await })
            .await
            .map_err(StoreError::unavailable)?
    }

    async fn raise(
        self,
        mut guard: Guard,
        lanes: Vec<(LaneKey, Provider)>,
        owner: String,
        now: Timestamp,
    ) -> Result<LaneHold, StoreError> {
        let mut gained = Vec::new();
        let mut missed = Vec::new();
        for (lane, provider) in lanes {
            if guard.lock(&lane, &self.inner.place).await? {
                gained.push((lane, provider));
            } else {
                missed.push(lane);
            }
        }
        let rows: Vec<_> = gained
            .iter()
            .map(|(lane, provider)| LaneColumns {
                lane,
                provider: *provider,
            })
            .collect();
        let args = vec![json("lanes", &rows)?.into(), owner.into(), now.into()];
        let taken: Vec<LaneEpoch> = self
            .write(move |mut tx| {
                Box::pin(async move { tx.rows("lanes", &TAKE, args).await.map(End::Commit) })
            })
            .await?;
        Ok(LaneHold {
            epochs: taken.into_iter().map(|row| (row.0, row.1)).collect(),
            missed,
            store: self,
            guard,
        })
    }

    /// All lanes that were ever taken, with who took them last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lane_owners(&self) -> Result<Vec<LaneOwner>, StoreError> {
        self.read("lanes", &OWNERS, vec![]).await
    }
}

impl Guard {
    /// Locks one lane; `false` when another session has it.
    async fn lock(&mut self, lane: &LaneKey, place: &str) -> Result<bool, StoreError> {
        match self {
            Self::File { .. } => Ok(true),
            Self::Session(db) => {
                let rows: Vec<Locked> = Tx::Postgres(db, place)
                    .rows("lanes", &TRY_LOCK, vec![lane.0.as_str().into()])
                    .await?;
                Ok(rows.iter().any(|row| row.locked))
            }
        }
    }
}

impl LaneHold {
    /// Whether the lanes are still ours: the lock stands, and every epoch is the one that we took. `false`
    /// as well when the database does not answer: who cannot know must not send.
    pub async fn check(&mut self) -> bool {
        let keys: Vec<&LaneKey> = self.epochs.iter().map(|(lane, _)| lane).collect();
        let Ok(arg) = list(&keys) else {
            return false;
        };
        let place = self.store.inner.place.clone();
        let rows: Result<Vec<LaneEpoch>, _> = match &mut self.guard {
            Guard::File { path, file } => {
                if !is_at(file, path) {
                    return false;
                }
                self.store.read("lanes", &EPOCHS, vec![arg]).await
            }
            Guard::Session(db) => {
                Tx::Postgres(db, &place)
                    .rows("lanes", &EPOCHS, vec![arg])
                    .await
            }
        };
        rows.is_ok_and(|rows| {
            self.epochs
                .iter()
                .all(|(lane, epoch)| rows.iter().any(|row| row.0 == *lane && row.1 == *epoch))
        })
    }

    /// Writes the sign of life that people and frozen owners' heirs look at.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn beat(&self, now: Timestamp) -> Result<(), StoreError> {
        let args: Vec<Arg> = vec![list(&self.epochs)?, now.into()];
        self.store
            .write(move |mut tx| {
                Box::pin(async move {
                    if tx.is_postgres() {
                        // Whoever waits for work has no use for a heartbeat.
                        tx.run(&crate::commit::AS_WORKER, vec![]).await?;
                    }
                    tx.run(&BEAT, args).await.map(|_| End::Commit(()))
                })
            })
            .await
    }
}

/// Locks `<database>.lock` and writes into it who did.
fn lock_file(
    database: &Path,
    owner: &str,
    now: Timestamp,
    place: &str,
) -> Result<Guard, StoreError> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let cannot = |error: std::io::Error| StoreError::CannotOpen {
        place: place.to_owned(),
        why: format!("its lock file: {error}"),
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut by = String::new();
            // The lock is what counts; what it says about itself is a courtesy.
            let _ = file.read_to_string(&mut by);
            return Err(StoreError::Held {
                by: by.trim().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let about = format!(
        "{owner}, process {} on {}, since {now}\n",
        std::process::id(),
        host()
    );
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(about.as_bytes()))
        .map_err(cannot)?;
    Ok(Guard::File { file, path })
}

/// This machine's name, as far as the system says it without a question to the network.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map_or_else(
            || "an unknown host".to_owned(),
            |name| name.trim().to_owned(),
        )
}

/// Whether the locked file is still the one at its path: a deleted lock protects nothing.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), path.metadata()) {
        (Ok(ours), Ok(there)) => ours.ino() == there.ino() && ours.dev() == there.dev(),
        _ => false,
    }
}

/// Elsewhere an open file cannot be deleted.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}
