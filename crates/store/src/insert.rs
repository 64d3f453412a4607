//! Inserting jobs in sets, as a plain INSERT of another program would: the same columns, the same guards.

use domain::{Input, JobKind, Timestamp};
use serde::Serialize;

use crate::db::{End, Tx, json};
use crate::model::NewJob;
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

/// Rows of one statement: long enough to be fast, short enough for memory.
const ROWS: usize = 2_000;

macro_rules! insert {
    ("description", $table:literal, $json:ident, $columns:ident) => {
        insert!(@ $table,
            "project_id, ean, product_name, product_brand",
            "value ->> 'project_id', value ->> 'ean', value ->> 'product_name', value ->> 'product_brand'",
            "project_id text, ean text, product_name text, product_brand text")
    };
    ("image", $table:literal, $json:ident, $columns:ident) => {
        insert!(@ $table,
            "operation, model, prompt, image_url, second_image_url, source_job",
            "value ->> 'operation', value ->> 'model', value ->> 'prompt', value ->> 'image_url', \
            value ->> 'second_image_url', value ->> 'source_job'",
            "operation text, model text, prompt text, image_url text, second_image_url text, source_job bigint")
    };
    ("production", $table:literal, $json:ident, $columns:ident) => {
        insert!(@ $table,
            "jarai_account_id, topic, language_id, country_id, avatar_id, project_type_slug, metadata_md",
            "value ->> 'jarai_account_id', value ->> 'topic', value ->> 'language_id', value ->> 'country_id', \
            value ->> 'avatar_id', value ->> 'project_type_slug', value ->> 'metadata_md'",
            "jarai_account_id text, topic text, language_id text, country_id text, avatar_id text, \
            project_type_slug text, metadata_md text")
    };
    (@ $table:literal, $columns:literal, $values:literal, $types:literal) => {
        Sql {
            sqlite: concat!(
                "insert into ", $table, " (account, client_product_id, dedupe_key, batch, priority, run_at, ", $columns, ") \
                select value ->> 'account', value ->> 'client_product_id', value ->> 'dedupe_key', \
                  value ->> 'batch', value ->> 'priority', value ->> 'run_at', ", $values, " \
                from json_each(?1) where true order by key on conflict do nothing"
            ),
            // With ordinality, so that ids come in the order of the rows.
            postgres: concat!(
                "insert into ", $table, " (account, client_product_id, dedupe_key, batch, priority, run_at, ", $columns, ") \
                select account, client_product_id, dedupe_key, batch, priority, run_at, ", $columns, " \
                from rows from (jsonb_to_recordset($1::jsonb) as (account text, client_product_id text, \
                  dedupe_key text, batch text, priority bigint, run_at timestamptz, ", $types, ")) \
                  with ordinality as r (account, client_product_id, dedupe_key, batch, priority, run_at, ",
                $columns, ", place) \
                order by place on conflict do nothing"
            ),
        }
    };
}

statements! {
    INSERT: PerKind = per_kind!(insert);
}

#[derive(Serialize)]
struct InsertColumns<'a> {
    account: Option<&'a str>,
    client_product_id: Option<&'a str>,
    dedupe_key: Option<&'a str>,
    batch: Option<&'a str>,
    priority: i64,
    run_at: Option<Timestamp>,
    /// The input's columns beside the others (and `kind`, which no statement reads).
    #[serde(flatten)]
    input: &'a Input,
}

impl Store {
    /// Inserts jobs in one transaction: all of them or, on an error, none. A row whose `dedupe_key` is
    /// there already is passed over. Says how many were inserted.
    ///
    /// # Errors
    /// [`StoreError::Refused`] with the name of the CHECK that a row breaks.
    pub async fn insert_jobs(&self, jobs: &[NewJob]) -> Result<u64, StoreError> {
        let mut texts = Vec::new();
        for kind in JobKind::ALL {
            let rows = columns_of(kind, jobs)?;
            for chunk in rows.chunks(ROWS) {
                texts.push((kind, json(kind.table(), chunk)?));
            }
        }
        let inserted = self
            .write(move |tx| Box::pin(insert_all(tx, texts)))
            .await?;
        self.wake();
        Ok(inserted)
    }
}

fn columns_of(kind: JobKind, jobs: &[NewJob]) -> Result<Vec<InsertColumns<'_>>, StoreError> {
    let mut rows = Vec::new();
    for job in jobs {
        let input = job.input.as_ref().ok_or_else(|| StoreError::Refused {
            constraint: "input".to_owned(),
            message: "a job to insert says nothing of what it asks for".to_owned(),
        })?;
        if input.kind() == kind {
            rows.push(InsertColumns {
                account: job.account.as_deref(),
                client_product_id: job.client_product_id.as_deref(),
                dedupe_key: job.dedupe_key.as_deref(),
                batch: job.batch.as_deref(),
                priority: job.priority,
                run_at: job.run_at,
                input,
            });
        }
    }
    Ok(rows)
}

async fn insert_all(mut tx: Tx<'_>, texts: Vec<(JobKind, String)>) -> Result<End<u64>, StoreError> {
    let mut inserted = 0;
    for (kind, rows) in texts {
        inserted += tx.run(INSERT.of(kind), vec![rows.into()]).await?;
    }
    Ok(End::Commit(inserted))
}
