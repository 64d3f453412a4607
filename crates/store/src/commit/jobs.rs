//! Jobs move, by compare-and-set on their version.

use std::collections::BTreeSet;

use domain::{JobId, JobKind};
use serde::Serialize;

use crate::StoreError;
use crate::columns::ChangedRow;
use crate::db::{Tx, json};
use crate::model::{Batch, JobChange, PriorityChange};
use crate::sql::{PerKind, Sql, per_kind, statements};

macro_rules! description_result {
    (sqlite) => {
        ", description = coalesce(c.value ->> 'description', t.description)"
    };
    (postgres) => {
        ", description = coalesce(c.description, t.description)"
    };
}

macro_rules! image_result {
    (sqlite) => {
        ", result_url = nullif(coalesce(c.value ->> 'result_url', t.result_url), '')"
    };
    (postgres) => {
        ", result_url = nullif(coalesce(c.result_url, t.result_url), '')"
    };
}

/// What the ledger has booked on a job, over all its submissions; null where nothing was accepted, or no
/// price is known.
macro_rules! booked {
    ($kind:literal) => {
        concat!(
            "select sum(coalesce(p.credits, p.price)) from submission_jobs p \
            where p.kind = '",
            $kind,
            "' and p.job_id = t.id and p.outcome = 'accepted'"
        )
    };
}

macro_rules! change {
    ("description", $table:literal, $json:ident, $columns:ident) => {
        change!(@ "description", $table, description_result)
    };
    ("image", $table:literal, $json:ident, $columns:ident) => {
        change!(@ "image", $table, image_result)
    };
    ("production", $table:literal, $json:ident, $columns:ident) => {
        change!(@ "production", $table, no_result)
    };
    (@ $kind:literal, $table:literal, $result:ident) => {
        Sql {
            sqlite: concat!(
                "update ", $table, " as t set version = t.version + 1, \
                taken_by = c.value ->> 'taken_by', status = c.value ->> 'status', \
                attempt = c.value ->> 'attempt', submission_id = c.value ->> 'submission_id', \
                remote_id = c.value ->> 'remote_id', remote_status = c.value ->> 'remote_status', \
                error_code = c.value ->> 'error_code', error_message = c.value ->> 'error_message', \
                credits = coalesce((", booked!($kind), "), c.value ->> 'credits'), cancel = c.value ->> 'cancel', \
                not_before = c.value ->> 'not_before', submitted_at = c.value ->> 'submitted_at', \
                completed_at = c.value ->> 'completed_at', updated_at = c.value ->> 'updated_at', \
                warning = coalesce(c.value ->> 'warning', t.warning)", $result!(sqlite), " \
                from json_each(?1) as c \
                where t.id = c.value ->> 'id' and t.version = c.value ->> 'version' \
                returning json_object('id', id)"
            ),
            postgres: concat!(
                "update ", $table, " as t set version = t.version + 1, \
                taken_by = c.taken_by, status = c.status, \
                attempt = c.attempt, submission_id = c.submission_id, \
                remote_id = c.remote_id, remote_status = c.remote_status, \
                error_code = c.error_code, error_message = c.error_message, \
                credits = coalesce((", booked!($kind), ")::bigint, c.credits), cancel = c.cancel, \
                not_before = c.not_before, submitted_at = c.submitted_at, \
                completed_at = c.completed_at, updated_at = c.updated_at, \
                warning = coalesce(c.warning, t.warning)", $result!(postgres), " \
                from jsonb_to_recordset($1::jsonb) as c (id bigint, version bigint, taken_by text, status text, \
                attempt bigint, submission_id text, remote_id text, remote_status text, error_code text, \
                error_message text, credits bigint, cancel text, not_before timestamptz, \
                submitted_at timestamptz, completed_at timestamptz, updated_at timestamptz, warning text, \
                description text, result_url text) \
                where t.id = c.id and t.version = c.version \
                returning json_build_object('id', t.id)::text"
            ),
        }
    };
}

macro_rules! no_result {
    ($dialect:ident) => {
        ""
    };
}

macro_rules! prioritise {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "update ",
                $table,
                " as t set version = t.version + 1, priority = c.value ->> 'priority', \
                updated_at = c.value ->> 'updated_at' from json_each(?1) as c \
                where t.id = c.value ->> 'id' and t.version = c.value ->> 'version' \
                returning json_object('id', id)"
            ),
            postgres: concat!(
                "update ",
                $table,
                " as t set version = t.version + 1, priority = c.priority, \
                updated_at = c.updated_at from jsonb_to_recordset($1::jsonb) as c \
                (id bigint, version bigint, priority bigint, updated_at timestamptz) \
                where t.id = c.id and t.version = c.version \
                returning json_build_object('id', t.id)::text"
            ),
        }
    };
}

statements! {
    CHANGE: PerKind = per_kind!(change);
    PRIORITISE: PerKind = per_kind!(prioritise);
}

#[derive(serde::Deserialize)]
struct Changed {
    id: i64,
}

#[derive(Serialize)]
struct PriorityColumns {
    id: i64,
    version: i64,
    priority: i64,
    updated_at: domain::Timestamp,
}

/// Applies the changes in order; says which jobs were not as they had been read.
pub(super) async fn change(tx: &mut Tx<'_>, batch: &Batch) -> Result<Vec<JobId>, StoreError> {
    let mut stale = Vec::new();
    for kind in JobKind::ALL {
        let of_kind: Vec<&JobChange> = batch
            .jobs
            .iter()
            .filter(|change| change.job.kind == kind)
            .collect();
        // A job that moves twice in one step is two changes, one version apart: a statement each.
        for round in rounds(of_kind) {
            let rows: Vec<_> = round.iter().map(|change| ChangedRow::new(change)).collect();
            let ids = rows.iter().map(|row| row.id).collect();
            let rows = json(kind.table(), &rows)?;
            stale.extend(compare_and_set(tx, kind, &CHANGE, ids, rows).await?);
        }
        let of_kind: Vec<&PriorityChange> = batch
            .priorities
            .iter()
            .filter(|change| change.job.kind == kind)
            .collect();
        if !of_kind.is_empty() {
            let rows: Vec<_> = of_kind.iter().map(|change| priority(change)).collect();
            let ids = rows.iter().map(|row| row.id).collect();
            let rows = json(kind.table(), &rows)?;
            stale.extend(compare_and_set(tx, kind, &PRIORITISE, ids, rows).await?);
        }
    }
    Ok(stale)
}

fn priority(change: &PriorityChange) -> PriorityColumns {
    PriorityColumns {
        id: change.job.id,
        version: change.version,
        priority: change.priority,
        updated_at: change.at,
    }
}

async fn compare_and_set(
    tx: &mut Tx<'_>,
    kind: JobKind,
    sql: &PerKind,
    ids: Vec<i64>,
    rows: String,
) -> Result<Vec<JobId>, StoreError> {
    let changed: BTreeSet<i64> = tx
        .rows::<Changed>(kind.table(), sql.of(kind), vec![rows.into()])
        .await?
        .into_iter()
        .map(|row| row.id)
        .collect();
    Ok(ids
        .into_iter()
        .filter(|id| !changed.contains(id))
        .map(|id| JobId::new(kind, id))
        .collect())
}

/// Splits changes so that each round has a job once, and a job's rounds keep their order.
fn rounds(changes: Vec<&JobChange>) -> Vec<Vec<&JobChange>> {
    let mut rounds: Vec<Vec<&JobChange>> = Vec::new();
    for change in changes {
        match rounds
            .iter_mut()
            .find(|round| round.iter().all(|other| other.job != change.job))
        {
            Some(round) => round.push(change),
            None => rounds.push(vec![change]),
        }
    }
    rounds
}
