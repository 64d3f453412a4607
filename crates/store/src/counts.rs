//! How many jobs stand where: the account of a batch, without a look at the rows.

use domain::JobKind;

use crate::model::Count;
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

/// The inner groups are in the order of the covering index, so that a million rows are not sorted.
macro_rules! counts {
    ($kind:literal, $table:literal, $json:ident, $columns:ident, [$sqlite:literal, $postgres:literal]) => {
        Sql {
            sqlite: concat!(
                "select json_object('kind', '", $kind, "', 'account', name, 'status', status, \
                  'awaiting_approval', json(case when awaiting then 'true' else 'false' end), \
                  'error_code', error_code, 'jobs', jobs, 'credits', credits, 'oldest', oldest) \
                from (select coalesce(taken_by, account) as name, status, \
                    (status = 'running' and remote_status is 'AwaitingApproval') as awaiting, error_code, \
                    sum(jobs) as jobs, sum(credits) as credits, min(oldest) as oldest \
                  from (select batch, status, taken_by, account, error_code, remote_status, count(*) as jobs, \
                      coalesce(sum(credits), 0) as credits, min(created_at) as oldest \
                    from ", $table, " indexed by ", $table, "_counts ", $sqlite, " group by 1, 2, 3, 4, 5, 6) \
                  group by 1, 2, 3, 4 order by 1, 2, 3, 4)"
            ),
            postgres: concat!(
                "select json_build_object('kind', '", $kind, "', 'account', name, 'status', status, \
                  'awaiting_approval', awaiting, \
                  'error_code', error_code, 'jobs', jobs, 'credits', credits, 'oldest', oldest)::text \
                from (select coalesce(taken_by, account) as name, status, \
                    (status = 'running' and remote_status is not distinct from 'AwaitingApproval') as awaiting, \
                    error_code, \
                    sum(jobs)::bigint as jobs, sum(credits)::bigint as credits, min(oldest) as oldest \
                  from (select batch, status, taken_by, account, error_code, remote_status, count(*) as jobs, \
                      coalesce(sum(credits), 0) as credits, min(created_at) as oldest \
                    from ", $table, " ", $postgres, " group by 1, 2, 3, 4, 5, 6) q \
                  group by 1, 2, 3, 4 \
                  order by 1 nulls first, 2, 3, 4 nulls first) r"
            ),
        }
    };
}

statements! {
    COUNTS: PerKind = per_kind!(counts, ["", ""]);
    COUNTS_OF_BATCH: PerKind = per_kind!(counts, ["where batch = ?1", "where batch = $1"]);
}

impl Store {
    /// The jobs of a batch, or all, counted by kind, account, state and error code.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn counts(&self, batch: Option<&str>) -> Result<Vec<Count>, StoreError> {
        let mut found: Vec<Count> = Vec::new();
        for kind in JobKind::ALL {
            let rows: Vec<Count> = match batch {
                None => self.read(kind.table(), COUNTS.of(kind), vec![]).await?,
                Some(batch) => {
                    self.read(kind.table(), COUNTS_OF_BATCH.of(kind), vec![batch.into()])
                        .await?
                }
            };
            found.extend(rows);
        }
        Ok(found)
    }
}
