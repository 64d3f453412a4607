//! The files of many jobs at once: for a batch's manifest, and to hold the rows against the storage.

use domain::{JobId, JobKind};

use crate::ledger::{deliverable_columns, deliverable_json};
use crate::model::DeliverableRow;
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

macro_rules! of_batch {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ",
                deliverable_json!(),
                " where kind = '",
                $kind,
                "' \
                  and job_id in (select id from ",
                $table,
                " where batch = ?1) order by job_id, id"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ",
                deliverable_columns!(),
                " where kind = '",
                $kind,
                "' \
                  and job_id in (select id from ",
                $table,
                " where batch = $1) order by job_id, id) r"
            ),
        }
    };
}

macro_rules! without_files {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select json_quote('", $kind, ":' || j.id) from ", $table, " j \
                where j.status = 'completed' and (?1 is null or j.batch = ?1) and not exists \
                  (select 1 from deliverables d where d.kind = '", $kind, "' and d.job_id = j.id) order by j.id"
            ),
            postgres: concat!(
                "select to_json('", $kind, ":' || j.id)::text from ", $table, " j \
                where j.status = 'completed' and ($1::text is null or j.batch = $1) and not exists \
                  (select 1 from deliverables d where d.kind = '", $kind, "' and d.job_id = j.id) order by j.id"
            ),
        }
    };
}

statements! {
    AFTER: Sql = Sql {
        sqlite: concat!("select ", deliverable_json!(), " where id > ?1 order by id limit ?2 + 0"),
        postgres: concat!("select row_to_json(r)::text from (select ", deliverable_columns!(),
            " where id > $1::bigint order by id limit $2::bigint) r"),
    };
    OF_BATCH: PerKind = per_kind!(of_batch);
    WITHOUT_FILES: PerKind = per_kind!(without_files);
}

impl Store {
    /// The files of all jobs whose row comes after this one, the oldest first, at most so many.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn files_after(
        &self,
        after: i64,
        limit: u32,
    ) -> Result<Vec<DeliverableRow>, StoreError> {
        let args = vec![after.into(), i64::from(limit).into()];
        self.read("deliverables", &AFTER, args).await
    }

    /// The files of a batch's jobs, by kind and job.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn files_of_batch(&self, batch: &str) -> Result<Vec<DeliverableRow>, StoreError> {
        let mut found = Vec::new();
        for kind in [JobKind::Image, JobKind::Production] {
            let rows: Vec<DeliverableRow> = self
                .read("deliverables", OF_BATCH.of(kind), vec![batch.into()])
                .await?;
            found.extend(rows);
        }
        Ok(found)
    }

    /// Completed images and productions, of a batch or all, that have no file at all.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn completed_without_files(
        &self,
        batch: Option<&str>,
    ) -> Result<Vec<JobId>, StoreError> {
        let mut found = Vec::new();
        for kind in [JobKind::Image, JobKind::Production] {
            let args = vec![batch.map(str::to_owned).into()];
            let ids: Vec<JobId> = self
                .read(kind.table(), WITHOUT_FILES.of(kind), args)
                .await?;
            found.extend(ids);
        }
        Ok(found)
    }
}
