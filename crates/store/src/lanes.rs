//! Who owns which lane. One process owns a lane at a time; each takeover raises the lane's epoch, and a
//! conclusion counts only under the epoch that stands in the lane's row.
//!
//! SQLite: an advisory lock on a file beside the database, which the system drops with the process.
//! PostgreSQL: an advisory lock of one dedicated session, which the server drops with the connection, so
//! that a dead owner's lanes are free at once; and a heartbeat in the lane's row, by the server's clock,
//! for an owner that is frozen or cut off: after the lease its session is ended from outside. Which of
//! the free lanes to take, and when to give one away, is the engine's to decide.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use domain::{Provider, Timestamp};
use serde::{Deserialize, Serialize};

use self::session::Session;
use crate::db::{Arg, Db, End, json};
use crate::jobs::list;
use crate::model::{Epoch, LaneKey};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

mod file;
mod session;

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
            select lane, provider, 1, $2, $3::timestamptz, clock_timestamp() \
            from jsonb_to_recordset($1::jsonb) as r (lane text, provider text) \
            on conflict (lane) do update set provider = excluded.provider, epoch = lanes.epoch + 1, \
              owner = excluded.owner, taken_at = excluded.taken_at, heartbeat_at = excluded.heartbeat_at \
            returning json_build_array(lane, epoch)::text",
    };
    OWNERS: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'owner', owner, 'epoch', epoch, 'taken_at', taken_at, \
            'heartbeat_at', heartbeat_at) from lanes order by lane",
        postgres: "select row_to_json(r)::text from (select lane, owner, epoch, taken_at, heartbeat_at \
            from lanes order by lane) r",
    };
    /// SQLite only: PostgreSQL's heartbeat is part of its look.
    BEAT: Sql = Sql {
        sqlite: "update lanes set heartbeat_at = ?2 \
            where (lane, epoch) in (select value ->> 0, value ->> 1 from json_each(?1)) \
            returning json_array(lane, epoch)",
        postgres: "update lanes set heartbeat_at = $2::timestamptz \
            where (lane, epoch) in ( \
              select value ->> 0, (value ->> 1)::bigint from jsonb_array_elements($1::jsonb)) \
            returning json_build_array(lane, epoch)::text",
    };
    /// PostgreSQL only: this session is one of the fleet's.
    JOIN_FLEET: Sql = Sql {
        sqlite: "select json_object('locked', json('true'))",
        postgres: "select json_build_object('locked', \
            pg_try_advisory_lock_shared(hashtextextended('vitrine worker', 0)))::text",
    };
    /// PostgreSQL only. One statement in the session that holds the locks: the sign of life, whether each
    /// lane is still ours, who else works, with which lanes, and which owners show no life. A lock's key
    /// stands in pg_locks as two halves.
    LOOK: Sql = Sql {
        sqlite: "select json_object('epochs', json(?1), 'members', json(?2), 'stale', json(?3))",
        postgres: "with beat as ( \
              update lanes set heartbeat_at = clock_timestamp() \
              where (lane, epoch) in ( \
                select value ->> 0, (value ->> 1)::bigint from jsonb_array_elements($2::jsonb)) \
              returning lane, epoch), \
            locks as materialized ( \
              select pid, (classid::bigint << 32) | objid::bigint as key from pg_locks \
              where locktype = 'advisory' and objsubid = 1 and granted \
                and database = (select oid from pg_database where datname = current_database())), \
            wanted as ( \
              select lane, hashtextextended('vitrine lane ' || lane, 0) as key \
              from jsonb_array_elements_text($1::jsonb) as w (lane)) \
            select json_build_object( \
              'epochs', (select coalesce(json_agg(json_build_array(lane, epoch)), '[]') from beat), \
              'members', (select coalesce(json_agg(json_build_object('pid', m.pid, 'me', m.pid = pg_backend_pid(), \
                  'lanes', (select coalesce(json_agg(w.lane order by w.lane), '[]') \
                    from locks l join wanted w using (key) where l.pid = m.pid)) order by m.pid), '[]') \
                from locks m where m.key = hashtextextended('vitrine worker', 0)), \
              'stale', (select coalesce(json_agg(w.lane order by w.lane), '[]') \
                from wanted w join lanes r using (lane) \
                where r.heartbeat_at < clock_timestamp() - ($3::bigint * interval '1 millisecond') \
                  and exists (select 1 from locks l where l.key = w.key and l.pid <> pg_backend_pid())))::text",
    };
    /// PostgreSQL only: ends all sessions of the process that holds this lane's lock. A frozen one may have a
    /// transaction open, which keeps the rows of its lanes locked.
    EVICT: Sql = Sql {
        sqlite: "select json_object('locked', json('false')) where ?1 is null",
        postgres: "select json_build_object('locked', pg_terminate_backend(its.pid))::text \
            from pg_locks l join pg_stat_activity owner on owner.pid = l.pid \
            join pg_stat_activity its on its.pid = owner.pid \
              or (its.application_name = owner.application_name and its.usename = owner.usename \
                and its.datname = owner.datname and owner.application_name like 'vitrine %') \
            where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and owner.pid <> pg_backend_pid() \
              and l.database = (select oid from pg_database where datname = current_database()) \
              and ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('vitrine lane ' || $1, 0) \
              and its.application_name is distinct from current_setting('application_name')",
    };
    /// PostgreSQL only.
    UNLOCK: Sql = Sql {
        sqlite: "select json_object('locked', json('false')) where ?1 is null",
        postgres: "select json_build_object('locked', \
            pg_advisory_unlock(hashtextextended('vitrine lane ' || $1, 0)))::text",
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

/// A process of the fleet, as its lock shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Whether it is this one.
    pub me: bool,
    /// The lanes that it holds, of those that were asked about.
    pub lanes: Vec<LaneKey>,
}

/// What one look at the fleet shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether every lane that this process holds is still its own.
    pub is_ours: bool,
    /// All processes at work on this database, this one too.
    pub members: Vec<Member>,
    /// Lanes whose owner still has the lock and has shown no life for longer than was asked about.
    pub stale: Vec<LaneKey>,
}

#[derive(Deserialize)]
struct LookRow {
    epochs: Vec<LaneEpoch>,
    members: Vec<Member>,
    stale: Vec<LaneKey>,
}

/// The lanes that this process owns. They are free again when this is dropped.
#[derive(Debug)]
pub struct LaneHold {
    /// The lanes held, with their epochs.
    pub epochs: Vec<(LaneKey, Epoch)>,
    /// The lanes that another process owned when they were asked for.
    pub missed: Vec<LaneKey>,
    owner: String,
    store: Store,
    guard: Guard,
}

#[derive(Debug)]
enum Guard {
    /// The locked file beside the database. Closing it unlocks it.
    File { file: File, path: PathBuf },
    /// The session that holds the locks. Closing it unlocks them.
    Session(Session),
}

impl Store {
    /// Joins those who work on this database, and takes those of `lanes` that no other process owns. Each
    /// gained lane's epoch goes up. `owner` is what other processes are told.
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
            Db::Sqlite { file: database, .. } => {
                let (file, path) = file::lock(&database.path, owner, now, &self.inner.place)?;
                Guard::File { file, path }
            }
            Db::Postgres { options, .. } => Guard::Session(Session::open(self, options).await?),
        };
        let mut hold = LaneHold {
            epochs: Vec::new(),
            missed: Vec::new(),
            owner: owner.to_owned(),
            store: self.clone(),
            guard,
        };
        let gained = hold.take(lanes, now).await?;
        let is_missed = |lane: &LaneKey| !gained.iter().any(|(gained, _)| gained == lane);
        let missed = lanes
            .iter()
            .map(|(lane, _)| lane)
            .filter(|lane| is_missed(lane));
        hold.missed = missed.cloned().collect();
        Ok(hold)
    }

    /// Whether a lane can change hands while a process that held it still lives: a frozen or cut-off one
    /// may yet hear the answer to what it sent. In SQLite the lock proves that it is dead.
    #[must_use]
    pub fn owners_may_outlive_their_lanes(&self) -> bool {
        matches!(self.inner.db, Db::Postgres { .. })
    }

    /// All lanes that were ever taken, with who took them last.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn lane_owners(&self) -> Result<Vec<LaneOwner>, StoreError> {
        self.read("lanes", &OWNERS, vec![]).await
    }

    async fn raise(
        &self,
        lanes: Vec<(LaneKey, Provider)>,
        owner: String,
        now: Timestamp,
    ) -> Result<Vec<(LaneKey, Epoch)>, StoreError> {
        let rows: Vec<_> = lanes
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
        Ok(taken.into_iter().map(|row| (row.0, row.1)).collect())
    }
}

impl LaneHold {
    /// Takes those of these lanes that no other process owns, and raises their epochs.
    ///
    /// # Errors
    /// When the database does not answer. Then nobody knows what is held: drop the hold.
    pub async fn take(
        &mut self,
        lanes: &[(LaneKey, Provider)],
        now: Timestamp,
    ) -> Result<Vec<(LaneKey, Epoch)>, StoreError> {
        let place = self.store.inner.place.clone();
        let mut free = Vec::new();
        for (lane, provider) in lanes {
            let is_free = match &mut self.guard {
                Guard::File { .. } => true,
                Guard::Session(session) => {
                    let args = vec![lane.0.as_str().into()];
                    let rows: Vec<Locked> = session.ask(&place, &TRY_LOCK, args).await?;
                    rows.iter().any(|row| row.locked)
                }
            };
            if is_free {
                free.push((lane.clone(), *provider));
            }
        }
        if free.is_empty() {
            return Ok(Vec::new());
        }
        let gained = self.store.raise(free, self.owner.clone(), now).await?;
        self.epochs.extend(gained.iter().cloned());
        Ok(gained)
    }

    /// Shows a sign of life, and looks who works on these lanes, and who has shown none for so long. What cannot be known is not ours: an error
    /// means the same as `is_ours = false`, send nothing more and start over.
    ///
    /// # Errors
    /// When the database does not answer, or the session that holds the locks is gone.
    pub async fn look(
        &mut self,
        lanes: &[LaneKey],
        lifeless: Duration,
        now: Timestamp,
    ) -> Result<Look, StoreError> {
        let row = match &mut self.guard {
            Guard::File { path, file } => {
                let stands = file::is_at(file, path);
                let epochs = if stands {
                    self.store.beat(&self.epochs, now).await?
                } else {
                    Vec::new()
                };
                let held = self.epochs.iter().map(|(lane, _)| lane.clone());
                LookRow {
                    epochs,
                    members: vec![Member {
                        me: true,
                        lanes: held.collect(),
                    }],
                    stale: Vec::new(),
                }
            }
            Guard::Session(session) => {
                let lifeless = i64::try_from(lifeless.as_millis()).unwrap_or(i64::MAX);
                let args = vec![list(lanes)?, list(&self.epochs)?, lifeless.into()];
                let place = self.store.inner.place.clone();
                let rows: Vec<LookRow> = session.ask(&place, &LOOK, args).await?;
                let row = rows.into_iter().next();
                row.ok_or_else(|| StoreError::unavailable("the look at the lanes shows nothing"))?
            }
        };
        let is_ours = (self.epochs.iter())
            .all(|(lane, epoch)| row.epochs.iter().any(|r| r.0 == *lane && r.1 == *epoch));
        Ok(Look {
            is_ours,
            members: row.members,
            stale: row.stale,
        })
    }

    /// Lets another process have this lane. Does nothing in SQLite.
    ///
    /// # Errors
    /// When the database does not answer. Then the lock ends with the session.
    pub async fn give_away(&mut self, lane: &LaneKey) -> Result<(), StoreError> {
        let place = self.store.inner.place.clone();
        if let Guard::Session(session) = &mut self.guard {
            self.epochs.retain(|(held, _)| held != lane);
            let args = vec![lane.0.as_str().into()];
            session.ask::<Locked>(&place, &UNLOCK, args).await?;
        }
        Ok(())
    }

    /// Ends the sessions of another owner of this lane, so that its lock is free. Whether there was one and
    /// it was told to end.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if this role may not end the sessions of that one.
    pub async fn evict(&mut self, lane: &LaneKey) -> Result<bool, StoreError> {
        let place = self.store.inner.place.clone();
        match &mut self.guard {
            Guard::File { .. } => Ok(false),
            Guard::Session(session) => {
                let args = vec![lane.0.as_str().into()];
                let rows: Vec<Locked> = session.ask(&place, &EVICT, args).await?;
                Ok(rows.iter().any(|row| row.locked))
            }
        }
    }
}

impl Store {
    /// SQLite's heartbeat: for people who look who works. Says which lanes still have their epochs.
    async fn beat(
        &self,
        epochs: &[(LaneKey, Epoch)],
        now: Timestamp,
    ) -> Result<Vec<LaneEpoch>, StoreError> {
        let args: Vec<Arg> = vec![list(epochs)?, now.into()];
        self.write(move |mut tx| {
            Box::pin(async move { tx.rows("lanes", &BEAT, args).await.map(End::Commit) })
        })
        .await
    }
}

#[cfg(feature = "testing")]
impl Store {
    /// For the crash simulator: raises these lanes' epochs without any lock, as PostgreSQL lets a new owner
    /// do when the server has dropped the old one's. In SQLite it stands for that.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn take_over(
        &self,
        lanes: &[(LaneKey, Provider)],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<(LaneKey, Epoch)>, StoreError> {
        self.raise(lanes.to_vec(), owner.to_owned(), now).await
    }
}
