//! Reading jobs: what could go next, what is under way, one, some, a page.
//!
//! The questions that the engine asks at every step stay cheap however many jobs wait: they walk the
//! partial indexes of `0001_jobs.sql`, and their order and conditions are written exactly as there. SQLite is
//! told which index, because without statistics it takes the plain one on `status`.

use domain::{JobId, JobKind, Timestamp};
use serde::Deserialize;

use crate::columns::{
    JobRow, description_columns, description_json, image_columns, image_json, jobs,
    production_columns, production_json, work_columns, work_json,
};
use crate::db::Arg;
use crate::model::{Job, JobFilter, PendingWant};
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

/// Waits, and is not marked as belonging to an account that nobody knows.
macro_rules! waits {
    () => {
        "status = 'pending' and coalesce(error_code, '') <> 'unknown_account'"
    };
}

/// The order within a batch, and among the first of all batches.
macro_rules! turn {
    () => {
        "priority desc, coalesce(run_at, created_at), id"
    };
}

macro_rules! under_way {
    () => {
        "status in ('submitting', 'in_doubt', 'running', 'capturing')"
    };
}

macro_rules! by_ids {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ", $json!(), " from ", $table,
                " where id in (select value from json_each(?1)) order by id"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ", $columns!(), " from ", $table,
                " where id in (select value::bigint from jsonb_array_elements_text($1::jsonb)) order by id) r"
            ),
        }
    };
}

macro_rules! open_of_accounts {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ",
                $json!(),
                " from ",
                $table,
                " where ",
                under_way!(),
                " and taken_by in (select value from json_each(?1)) order by id"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ",
                $columns!(),
                " from ",
                $table,
                " where ",
                under_way!(),
                " and taken_by in (select jsonb_array_elements_text($1::jsonb)) order by id) r"
            ),
        }
    };
}

/// The first of each batch (a loose index scan over at most 1,000 batches), and the first of all, so that
/// a thousand batches do not hide an urgent job of another one. Parameters: account, whether rows that
/// name none count, now, how many of a batch, how many in all, batches that are paused. Of the first of all a
/// thousand more are looked at where batches are paused, and not the whole of a large one.
macro_rules! next_in_turn {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "with recursive streams (stream) as (select ?1 union all select '' where ?2 = 1), \
                batches (stream, label, depth) as ( \
                  select stream, (select coalesce(batch, '') from ", $table, " indexed by ", $table, "_next_of_batch where ", waits!(), " \
                    and coalesce(account, '') = streams.stream \
                    order by coalesce(batch, '') limit 1), 1 from streams \
                  union all \
                  select stream, (select coalesce(batch, '') from ", $table, " indexed by ", $table, "_next_of_batch where ", waits!(), " \
                    and coalesce(account, '') = batches.stream and coalesce(batch, '') > batches.label \
                    order by coalesce(batch, '') limit 1), depth + 1 \
                  from batches where label is not null and depth < 1000), \
                candidates (job) as ( \
                  select j.id from batches cross join ", $table, " as j on j.id in ( \
                    select id from ", $table, " indexed by ", $table, "_next_of_batch where ", waits!(), " \
                      and coalesce(account, '') = batches.stream and coalesce(batch, '') = batches.label \
                      and (run_at is null or run_at <= ?3) and (not_before is null or not_before <= ?3) \
                    order by ", turn!(), " limit ?4 + 0) \
                  where batches.label is not null \
                    and batches.label not in (select value from json_each(?6)) \
                  union \
                  select j.id from streams cross join ", $table, " as j on j.id in ( \
                    select id from ", $table, " indexed by ", $table, "_next_of_all where ", waits!(), " \
                      and coalesce(account, '') = streams.stream \
                      and (run_at is null or run_at <= ?3) and (not_before is null or not_before <= ?3) \
                    order by ", turn!(), " limit ?5 + 0 + min(1000, 1000 * json_array_length(?6))) \
                  where coalesce(j.batch, '') not in (select value from json_each(?6))), \
                ranked (job, place) as ( \
                  select id, row_number() over ( \
                    partition by coalesce(batch, ''), priority order by coalesce(run_at, created_at), id) \
                  from candidates cross join ", $table, " on id = job) \
                select ", $json!(), " from ranked cross join ", $table, " on id = job \
                order by priority desc, place, coalesce(run_at, created_at), id limit ?5 + 0"
            ),
            postgres: concat!(
                "with recursive streams (stream) as (select $1::text union all select '' where $2::bigint = 1), \
                batches (stream, label, depth) as ( \
                  select stream, (select coalesce(batch, '') from ", $table, " where ", waits!(), " \
                    and coalesce(account, '') = streams.stream \
                    order by coalesce(batch, '') limit 1), 1 from streams \
                  union all \
                  select stream, (select coalesce(batch, '') from ", $table, " where ", waits!(), " \
                    and coalesce(account, '') = batches.stream and coalesce(batch, '') > batches.label \
                    order by coalesce(batch, '') limit 1), depth + 1 \
                  from batches where label is not null and depth < 1000), \
                candidates (job) as ( \
                  select j.id from batches cross join lateral ( \
                    select id from ", $table, " where ", waits!(), " \
                      and coalesce(account, '') = batches.stream and coalesce(batch, '') = batches.label \
                      and (run_at is null or run_at <= $3::timestamptz) \
                      and (not_before is null or not_before <= $3::timestamptz) \
                    order by ", turn!(), " limit $4::bigint) j \
                  where batches.label is not null \
                    and batches.label not in (select jsonb_array_elements_text($6::jsonb)) \
                  union \
                  select j.id from streams cross join lateral ( \
                    select id, batch from ", $table, " where ", waits!(), " \
                      and coalesce(account, '') = streams.stream \
                      and (run_at is null or run_at <= $3::timestamptz) \
                      and (not_before is null or not_before <= $3::timestamptz) \
                    order by ", turn!(), " \
                    limit $5::bigint + least(1000, 1000 * jsonb_array_length($6::jsonb))) j \
                  where coalesce(j.batch, '') not in (select jsonb_array_elements_text($6::jsonb))), \
                ranked (job, place) as ( \
                  select id, row_number() over ( \
                    partition by coalesce(batch, ''), priority order by coalesce(run_at, created_at), id) \
                  from candidates join ", $table, " on id = job) \
                select row_to_json(r)::text from ( \
                  select ", $columns!(), " from ranked join ", $table, " on id = job \
                  order by priority desc, place, coalesce(run_at, created_at), id limit $5::bigint) r"
            ),
        }
    };
}

macro_rules! due {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select json_object('at', min(at)) from ( \
                  select min(run_at) as at from ",
                $table,
                " indexed by ",
                $table,
                "_run_at where status = 'pending' and run_at > ?1 \
                  union all \
                  select min(not_before) from ",
                $table,
                " indexed by ",
                $table,
                "_not_before where status = 'pending' and not_before > ?1)"
            ),
            postgres: concat!(
                "select json_build_object('at', min(at))::text from ( \
                  select min(run_at) as at from ",
                $table,
                " where status = 'pending' and run_at > $1::timestamptz \
                  union all \
                  select min(not_before) from ",
                $table,
                " \
                  where status = 'pending' and not_before > $1::timestamptz) r"
            ),
        }
    };
}

/// A loose index scan over the accounts that waiting rows name, then the rows of those that nobody knows.
/// Parameters: the known accounts, whether somebody takes rows that name none, how many.
/// Differs because SQLite would sort a million rows to order ten; its index is in order already.
macro_rules! of_unknown_account {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "with recursive names (name) as ( \
                  select (select coalesce(account, '') from ", $table, " indexed by ", $table, "_next_of_all where ", waits!(), " \
                    order by coalesce(account, '') limit 1) \
                  union all \
                  select (select coalesce(account, '') from ", $table, " indexed by ", $table, "_next_of_all where ", waits!(), " \
                    and coalesce(account, '') > names.name order by coalesce(account, '') limit 1) \
                  from names where name is not null) \
                select ", $json!(), " from names cross join ", $table, " indexed by ", $table, "_next_of_all \
                where name is not null and not (name = '' and ?2 = 1) \
                  and name not in (select value from json_each(?1)) \
                  and coalesce(account, '') = name and ", waits!(), " limit ?3 + 0"
            ),
            postgres: concat!(
                "with recursive names (name) as ( \
                  select (select coalesce(account, '') from ", $table, " where ", waits!(), " \
                    order by coalesce(account, '') limit 1) \
                  union all \
                  select (select coalesce(account, '') from ", $table, " where ", waits!(), " \
                    and coalesce(account, '') > names.name order by coalesce(account, '') limit 1) \
                  from names where name is not null) \
                select row_to_json(r)::text from (select ", $columns!(), " from ", $table, " where ", waits!(), " \
                  and coalesce(account, '') in ( \
                    select name from names where name is not null and not (name = '' and $2::bigint = 1) \
                      and name not in (select jsonb_array_elements_text($1::jsonb))) \
                order by coalesce(account, ''), ", turn!(), " limit $3::bigint) r"
            ),
        }
    };
}

macro_rules! of_known_account {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ", $json!(), " from ", $table, " \
                where status = 'pending' and error_code = 'unknown_account' and coalesce(account, '') in ( \
                  select value from json_each(?1) union all select '' where ?2 = 1) \
                order by coalesce(account, ''), id limit ?3 + 0"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ", $columns!(), " from ", $table, " \
                where status = 'pending' and error_code = 'unknown_account' and coalesce(account, '') in ( \
                  select jsonb_array_elements_text($1::jsonb) union all select '' where $2::bigint = 1) \
                order by coalesce(account, ''), id limit $3::bigint) r"
            ),
        }
    };
}

/// A page. One statement for each index that can lead, since a prepared statement cannot choose.
/// Parameters: after this id, how many, status, account, batch, error code, product.
macro_rules! page {
    ($kind:literal, $table:literal, $json:ident, $columns:ident, [$sqlite:literal, $postgres:literal]) => {
        Sql {
            sqlite: concat!(
                "select ", $json!(), " from ", $table, " where ", $sqlite, " id > ?1 \
                and (?3 is null or status = ?3) and (?4 is null or coalesce(taken_by, account) = ?4) \
                and (?5 is null or batch = ?5) and (?6 is null or error_code = ?6) \
                and (?7 is null or client_product_id = ?7) order by id limit ?2 + 0"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ", $columns!(), " from ", $table, " where ", $postgres,
                " id > $1::bigint \
                and ($3::text is null or status = $3) and ($4::text is null or coalesce(taken_by, account) = $4) \
                and ($5::text is null or batch = $5) and ($6::text is null or error_code = $6) \
                and ($7::text is null or client_product_id = $7) order by id limit $2::bigint) r"
            ),
        }
    };
}

statements! {
    BY_IDS: PerKind = per_kind!(by_ids);
    OPEN: PerKind = per_kind!(open_of_accounts);
    PENDING: PerKind = per_kind!(next_in_turn);
    DUE: PerKind = per_kind!(due);
    UNKNOWN_ACCOUNT: PerKind = per_kind!(of_unknown_account);
    KNOWN_ACCOUNT: PerKind = per_kind!(of_known_account);
    PAGE: PerKind = per_kind!(page, ["", ""]);
    PAGE_OF_STATUS: PerKind = per_kind!(page, ["status = ?3 and", "status = $3::text and"]);
    PAGE_OF_BATCH: PerKind = per_kind!(page, ["batch = ?5 and", "batch = $5::text and"]);
    PAGE_OF_ERROR: PerKind = per_kind!(page, ["error_code = ?6 and", "error_code = $6::text and"]);
    PAGE_OF_PRODUCT: PerKind =
        per_kind!(page, ["client_product_id = ?7 and", "client_product_id = $7::text and"]);
}

#[derive(Deserialize)]
struct Due {
    at: Option<Timestamp>,
}

/// A list as the one JSON parameter of a statement.
pub(crate) fn list<T: serde::Serialize>(items: &[T]) -> Result<Arg, StoreError> {
    crate::db::json("parameters", items).map(Arg::from)
}

pub(crate) fn number(yes: bool) -> Arg {
    Arg::Int(i64::from(yes))
}

impl Store {
    /// The jobs that these accounts took and that are submitting, in doubt, running or capturing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_jobs(&self, accounts: &[String]) -> Result<Vec<Job>, StoreError> {
        let mut found = Vec::new();
        for kind in JobKind::ALL {
            let rows: Vec<JobRow> = self
                .read(kind.table(), OPEN.of(kind), vec![list(accounts)?])
                .await?;
            found.extend(jobs(rows)?);
        }
        Ok(found)
    }

    /// What could go next: the first of each batch and the first of all, ordered by priority, then in
    /// turn over the batches, then by `run_at` (`created_at` where there is none) and id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending(&self, want: &PendingWant) -> Result<Vec<Job>, StoreError> {
        let args = vec![
            want.account.as_str().into(),
            number(want.takes_unnamed),
            want.now.into(),
            Arg::Int(want.per_batch.into()),
            Arg::Int(want.limit.into()),
            list(&want.without)?,
        ];
        let rows: Vec<JobRow> = self
            .read(want.kind.table(), PENDING.of(want.kind), args)
            .await?;
        jobs(rows)
    }

    /// The earliest `run_at` or `not_before` of a pending job that is still to come.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut earliest = None;
        for kind in JobKind::ALL {
            let rows: Vec<Due> = self
                .read(kind.table(), DUE.of(kind), vec![now.into()])
                .await?;
            earliest = rows
                .into_iter()
                .filter_map(|row| row.at)
                .chain(earliest)
                .min();
        }
        Ok(earliest)
    }

    /// Pending jobs that no account takes and that do not say so yet: they name one that is not in
    /// `known`, or none while `takes_unnamed` is false.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_with_unknown_account(
        &self,
        kind: JobKind,
        known: &[String],
        takes_unnamed: bool,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let args = vec![list(known)?, number(takes_unnamed), Arg::Int(limit.into())];
        jobs(
            self.read(kind.table(), UNKNOWN_ACCOUNT.of(kind), args)
                .await?,
        )
    }

    /// The opposite: pending jobs marked `unknown_account` that an account takes by now. [`Store::pending`]
    /// passes over them until the mark is gone.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_with_known_account(
        &self,
        kind: JobKind,
        known: &[String],
        takes_unnamed: bool,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let args = vec![list(known)?, number(takes_unnamed), Arg::Int(limit.into())];
        jobs(
            self.read(kind.table(), KNOWN_ACCOUNT.of(kind), args)
                .await?,
        )
    }

    /// One job; `None` where there is no such row.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        Ok(self.jobs(&[id]).await?.pop())
    }

    /// These jobs, by kind and id; the ones that are gone are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs(&self, ids: &[JobId]) -> Result<Vec<Job>, StoreError> {
        let mut found = Vec::new();
        for kind in JobKind::ALL {
            let of_kind: Vec<i64> = ids
                .iter()
                .filter(|job| job.kind == kind)
                .map(|job| job.id)
                .collect();
            if !of_kind.is_empty() {
                let rows = self
                    .read(kind.table(), BY_IDS.of(kind), vec![list(&of_kind)?])
                    .await?;
                found.extend(jobs(rows)?);
            }
        }
        Ok(found)
    }

    /// A page of jobs in the order of their kinds and ids.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_jobs(&self, filter: &JobFilter) -> Result<Vec<Job>, StoreError> {
        let mut found: Vec<Job> = Vec::new();
        for kind in JobKind::ALL {
            let room = usize::try_from(filter.limit)
                .unwrap_or(usize::MAX)
                .saturating_sub(found.len());
            if filter.kind.is_some_and(|only| only != kind) || room == 0 {
                continue;
            }
            let args = vec![
                Arg::Int(filter.after.unwrap_or(0)),
                Arg::Int(i64::try_from(room).unwrap_or(i64::MAX)),
                filter
                    .status
                    .map(|status| status.as_str().to_owned())
                    .into(),
                filter.account.clone().into(),
                filter.batch.clone().into(),
                filter.error_code.clone().into(),
                filter.client_product_id.clone().into(),
            ];
            let rows = self
                .read(kind.table(), leading(filter).of(kind), args)
                .await?;
            found.extend(jobs(rows)?);
        }
        Ok(found)
    }
}

/// The page by the filter that leaves the fewest rows, as a rule.
fn leading(filter: &JobFilter) -> &'static PerKind {
    if filter.client_product_id.is_some() {
        &PAGE_OF_PRODUCT
    } else if filter.error_code.is_some() {
        &PAGE_OF_ERROR
    } else if filter.batch.is_some() {
        &PAGE_OF_BATCH
    } else if filter.status.is_some() {
        &PAGE_OF_STATUS
    } else {
        &PAGE
    }
}
