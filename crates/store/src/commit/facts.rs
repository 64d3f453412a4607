//! Facts: appended without an epoch, by whoever got them, and repeated without harm.

use domain::{JobKind, Timestamp};
use serde::Serialize;

use crate::StoreError;
use crate::db::{Tx, json};
use crate::model::{Batch, FileShape, NewDeliverable};
use crate::sql::{Sql, statements};

statements! {
    /// The first answer with an HTTP code stays; one without (a time-out) gives way to it.
    ANSWER_SUBMISSIONS: Sql = Sql {
        sqlite: "update submissions set \
              answered_at = a.value ->> 'at', http_status = a.value ->> 'http_status', \
              answer = a.value ->> 'answer', \
              verdicts = a.value -> 'verdicts', \
              correlation_id = coalesce(a.value ->> 'correlation_id', submissions.correlation_id) \
            from json_each(?1) as a \
            where submissions.id = a.value ->> 'submission' and submissions.http_status is null",
        postgres: "update submissions set \
              answered_at = a.at, http_status = a.http_status, answer = a.answer, \
              verdicts = a.verdicts, \
              correlation_id = coalesce(a.correlation_id, submissions.correlation_id) \
            from jsonb_to_recordset($1::jsonb) as a (submission text, at timestamptz, http_status bigint, \
              answer text, correlation_id text, verdicts jsonb) \
            where submissions.id = a.submission and submissions.http_status is null",
    };
    /// The later of two times stays: a slot must not age too early.
    ANSWER_REQUESTS: Sql = Sql {
        sqlite: "update requests set \
              answered_at = max(coalesce(requests.answered_at, ''), a.value ->> 'at'), \
              http_status = coalesce(a.value ->> 'http_status', requests.http_status), \
              problem = coalesce(a.value ->> 'problem', requests.problem) \
            from json_each(?1) as a \
            where requests.id = a.value ->> 'id'",
        postgres: "update requests set \
              answered_at = greatest(requests.answered_at, a.at), \
              http_status = coalesce(a.http_status, requests.http_status), \
              problem = coalesce(a.problem, requests.problem) \
            from jsonb_to_recordset($1::jsonb) as a (id text, at timestamptz, http_status bigint, problem text) \
            where requests.id = a.id",
    };
    /// The same file of the same link is one row.
    ADD_DELIVERABLES: Sql = Sql {
        sqlite: "insert into deliverables (kind, job_id, submission_id, type, ordinal, location, content_type, \
              bytes, sha256, captured_at, source_hash, quarantined, width, height, duration_ms) \
            select value ->> 'kind', value ->> 'job_id', value ->> 'submission_id', value ->> 'type', \
              value ->> 'ordinal', value ->> 'location', value ->> 'content_type', value ->> 'bytes', \
              value ->> 'sha256', value ->> 'captured_at', value ->> 'source_hash', value ->> 'quarantined', \
              value ->> 'width', value ->> 'height', value ->> 'duration_ms' \
            from json_each(?1) where true order by key on conflict do nothing",
        postgres: "insert into deliverables (kind, job_id, submission_id, type, ordinal, location, content_type, \
              bytes, sha256, captured_at, source_hash, quarantined, width, height, duration_ms) \
            select kind, job_id, submission_id, type, ordinal, location, content_type, \
              bytes, sha256, captured_at, source_hash, quarantined, width, height, duration_ms \
            from jsonb_to_recordset($1::jsonb) as r (kind text, job_id bigint, submission_id text, type text, \
              ordinal bigint, location text, content_type text, bytes bigint, sha256 text, \
              captured_at timestamptz, source_hash text, quarantined boolean, \
              width bigint, height bigint, duration_ms bigint) \
            on conflict do nothing",
    };
}

#[derive(Serialize)]
struct DeliverableColumns<'a> {
    kind: JobKind,
    job_id: i64,
    submission_id: &'a str,
    r#type: &'a str,
    ordinal: i64,
    location: &'a str,
    content_type: &'a str,
    bytes: i64,
    sha256: &'a str,
    captured_at: Timestamp,
    source_hash: &'a str,
    quarantined: bool,
    #[serde(flatten)]
    shape: FileShape,
}

impl<'a> DeliverableColumns<'a> {
    fn new(new: &'a NewDeliverable) -> Self {
        Self {
            kind: new.job.kind,
            job_id: new.job.id,
            submission_id: &new.submission.0,
            r#type: &new.r#type,
            ordinal: new.ordinal,
            location: &new.location,
            content_type: &new.content_type,
            bytes: new.bytes,
            sha256: &new.sha256,
            captured_at: new.captured_at,
            source_hash: &new.source_hash,
            quarantined: new.quarantined,
            shape: new.shape,
        }
    }
}

/// Appends the facts of a batch.
pub(super) async fn append(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    if !batch.answers.is_empty() {
        let rows = json("submissions", &batch.answers)?;
        tx.run(&ANSWER_SUBMISSIONS, vec![rows.into()]).await?;
    }
    if !batch.answered.is_empty() {
        let rows = json("requests", &batch.answered)?;
        tx.run(&ANSWER_REQUESTS, vec![rows.into()]).await?;
    }
    if !batch.deliverables.is_empty() {
        let rows: Vec<_> = batch
            .deliverables
            .iter()
            .map(DeliverableColumns::new)
            .collect();
        let rows = json("deliverables", &rows)?;
        tx.run(&ADD_DELIVERABLES, vec![rows.into()]).await?;
    }
    Ok(())
}
