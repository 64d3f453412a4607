//! What imports and exports ask about many products at once: which jobs are there already, which products
//! have jobs, and what came of them.

use std::collections::BTreeSet;

use domain::{JobKind, Status, Timestamp};
use serde::Deserialize;

use crate::columns::{
    JobRow, description_columns, description_json, image_columns, image_json, jobs,
    production_columns, production_json, work_columns, work_json,
};
use crate::db::Arg;
use crate::jobs::list;
use crate::model::Job;
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

macro_rules! known_keys {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select json_object('text', dedupe_key) from ",
                $table,
                " where dedupe_key in (select value from json_each(?1))"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select dedupe_key as text from ",
                $table,
                " where dedupe_key in (select jsonb_array_elements_text($1::jsonb))) r"
            ),
        }
    };
}

/// Jobs that may still make something, or have. `operation` of an image, else the kind.
macro_rules! made {
    ("image", $table:literal, $json:ident, $columns:ident) => {
        made!(@ "operation", $table)
    };
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        made!(@ "''", $table)
    };
    (@ $operation:literal, $table:literal) => {
        Sql {
            sqlite: concat!(
                "select distinct json_object('text', client_product_id, 'operation', ", $operation, ") from ", $table,
                " where client_product_id in (select value from json_each(?1)) and status not in ('failed', 'cancelled')"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select distinct client_product_id as text, ", $operation,
                " as operation from ", $table,
                " where client_product_id in (select jsonb_array_elements_text($1::jsonb)) \
                and status not in ('failed', 'cancelled')) r"
            ),
        }
    };
}

/// Which rows an export is of. Parameters 2 to 7: batch, status, account, ended not before, ended before, and
/// the number of an event after which they ended (0: whenever).
macro_rules! wanted_sqlite {
    ($kind:literal) => {
        concat!(
            "(?2 is null or batch = ?2) and (?3 is null or status = ?3) \
            and (?4 is null or coalesce(taken_by, account) = ?4) \
            and (?5 is null or completed_at >= ?5) and (?6 is null or completed_at < ?6) \
            and (?7 = 0 or id in (select job_id from job_events where seq > ?7 and kind = '",
            $kind,
            "' \
              and to_status in ('completed', 'failed', 'cancelled')))"
        )
    };
}
macro_rules! wanted_postgres {
    ($kind:literal) => {
        concat!(
            "($2::text is null or batch = $2) and ($3::text is null or status = $3) \
            and ($4::text is null or coalesce(taken_by, account) = $4) \
            and ($5::timestamptz is null or completed_at >= $5::timestamptz) \
            and ($6::timestamptz is null or completed_at < $6::timestamptz) \
            and ($7::bigint = 0 or id in (select job_id from job_events where seq > $7::bigint and kind = '", $kind, "' \
              and to_status in ('completed', 'failed', 'cancelled')))"
        )
    };
}

/// The next products in the order of their ids. Parameter 1: after this one; 8: how many.
macro_rules! next_products {
    ($kind:tt, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select json_object('text', client_product_id) from ", $table,
                " where client_product_id > ?1 and ", wanted_sqlite!($kind),
                " group by client_product_id order by client_product_id limit ?8 + 0"
            ),
            // Differs because PostgreSQL may sort by a language; the order of bytes is SQLite's and ours.
            postgres: concat!(
                "select row_to_json(r)::text from (select client_product_id as text from ", $table,
                " where client_product_id collate \"C\" > $1::text collate \"C\" and ", wanted_postgres!($kind),
                " group by client_product_id order by client_product_id collate \"C\" limit $8::bigint) r"
            ),
        }
    };
}

/// All wanted jobs of some products. Parameter 1: their ids.
macro_rules! jobs_of_products {
    ($kind:tt, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ",
                $json!(),
                " from ",
                $table,
                " where client_product_id in (select value from json_each(?1)) and ",
                wanted_sqlite!($kind),
                " order by client_product_id, id"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ",
                $columns!(),
                " from ",
                $table,
                " where client_product_id in (select jsonb_array_elements_text($1::jsonb)) and ",
                wanted_postgres!($kind),
                " order by client_product_id collate \"C\", id) r"
            ),
        }
    };
}

/// Wanted jobs of rows that name no product. Parameter 1: after this id; 8: how many.
macro_rules! jobs_of_none {
    ($kind:tt, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ",
                $json!(),
                " from ",
                $table,
                " where client_product_id is null and id > ?1 and ",
                wanted_sqlite!($kind),
                " order by id limit ?8 + 0"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ",
                $columns!(),
                " from ",
                $table,
                " where client_product_id is null and id > $1::bigint and ",
                wanted_postgres!($kind),
                " order by id limit $8::bigint) r"
            ),
        }
    };
}

statements! {
    KNOWN_KEYS: PerKind = per_kind!(known_keys);
    MADE: PerKind = per_kind!(made);
    NEXT_PRODUCTS: PerKind = per_kind!(next_products);
    JOBS_OF_PRODUCTS: PerKind = per_kind!(jobs_of_products);
    JOBS_OF_NONE: PerKind = per_kind!(jobs_of_none);
    LAST_EVENT: Sql = Sql {
        sqlite: "select json_object('seq', coalesce(max(seq), 0)) from job_events",
        postgres: "select row_to_json(r)::text from (select coalesce(max(seq), 0) as seq from job_events) r",
    };
}

/// Which jobs an export is of. What is not said leaves nothing out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultFilter {
    /// Only this batch.
    pub batch: Option<String>,
    /// Only this state.
    pub status: Option<Status>,
    /// Only jobs of this account (named by the row, or taken by it).
    pub account: Option<String>,
    /// Ended then or later.
    pub since: Option<Timestamp>,
    /// Ended before then.
    pub until: Option<Timestamp>,
    /// Ended after the event of this number in the timeline; 0: whenever.
    pub after_event: i64,
}

impl ResultFilter {
    fn args(&self, first: Arg) -> Vec<Arg> {
        let time = |at: Option<Timestamp>| Arg::Text(at.map(|at| at.to_string()));
        vec![
            first,
            self.batch.clone().into(),
            self.status.map(|status| status.as_str().to_owned()).into(),
            self.account.clone().into(),
            time(self.since),
            time(self.until),
            Arg::Int(self.after_event),
        ]
    }
}

#[derive(Deserialize)]
struct One {
    text: String,
    #[serde(default)]
    operation: Option<String>,
}

#[derive(Deserialize)]
struct Seq {
    seq: i64,
}

impl Store {
    /// Which of these `dedupe_key`s jobs of this kind have already.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn known_keys(
        &self,
        kind: JobKind,
        keys: &[String],
    ) -> Result<BTreeSet<String>, StoreError> {
        let args = vec![list(keys)?];
        let rows: Vec<One> = self.read(kind.table(), KNOWN_KEYS.of(kind), args).await?;
        Ok(rows.into_iter().map(|row| row.text).collect())
    }

    /// Of these products those that have a job of this kind, neither failed nor cancelled, with what it
    /// does: an image's `operation`, else an empty text.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn products_with_jobs(
        &self,
        kind: JobKind,
        products: &[String],
    ) -> Result<BTreeSet<(String, String)>, StoreError> {
        let args = vec![list(products)?];
        let rows: Vec<One> = self.read(kind.table(), MADE.of(kind), args).await?;
        let pair = |row: One| (row.text, row.operation.unwrap_or_default());
        Ok(rows.into_iter().map(pair).collect())
    }

    /// The next products after this one, at most so many, that have wanted jobs, in the order of the bytes of
    /// their ids.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn next_products(
        &self,
        after: &str,
        filter: &ResultFilter,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let mut found = BTreeSet::new();
        for kind in JobKind::ALL {
            let mut args = filter.args(after.into());
            args.push(Arg::Int(limit.into()));
            let sql = NEXT_PRODUCTS.of(kind);
            let rows: Vec<One> = self.read(kind.table(), sql, args).await?;
            found.extend(rows.into_iter().map(|row| row.text));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(found.into_iter().take(limit).collect())
    }

    /// The wanted jobs of these products, kind by kind, each in the order of products and ids.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs_of_products(
        &self,
        products: &[String],
        filter: &ResultFilter,
    ) -> Result<Vec<Job>, StoreError> {
        let mut found = Vec::new();
        for kind in JobKind::ALL {
            let args = filter.args(list(products)?);
            let sql = JOBS_OF_PRODUCTS.of(kind);
            let rows: Vec<JobRow> = self.read(kind.table(), sql, args).await?;
            found.extend(jobs(rows)?);
        }
        Ok(found)
    }

    /// Wanted jobs of this kind that name no product, after this id, at most so many.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs_of_no_product(
        &self,
        kind: JobKind,
        after: i64,
        filter: &ResultFilter,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let mut args = filter.args(Arg::Int(after));
        args.push(Arg::Int(limit.into()));
        let sql = JOBS_OF_NONE.of(kind);
        let rows: Vec<JobRow> = self.read(kind.table(), sql, args).await?;
        jobs(rows)
    }

    /// The number of the last event in the timeline: what ends later has a higher one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_event(&self) -> Result<i64, StoreError> {
        let rows: Vec<Seq> = self.read("job_events", &LAST_EVENT, vec![]).await?;
        Ok(rows.first().map_or(0, |row| row.seq))
    }
}
