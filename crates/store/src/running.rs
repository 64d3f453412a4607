//! Jobs that run at their providers, each with the moment until which it was not done: what a forecast knows of
//! lengths beside the ends in `lengths`. It reads, and concludes nothing.

use domain::{JobKind, Timestamp};
use serde::Deserialize;

use crate::jobs::list;
use crate::sql::{PerKind, Sql, statements};
use crate::{Store, StoreError};

/// Parameters: accounts. A read of another attempt is none of this one's.
macro_rules! running {
    ($kind:literal, $table:literal, [$json:literal, $columns:literal]) => {
        Sql {
            sqlite: concat!(
                "select json_object('account', taken_by, ",
                $json,
                ", 'submitted_at', submitted_at, \
                  'asked_at', (select max(answered_at) from requests \
                    where requests.kind = '",
                $kind,
                "' and requests.job_id = j.id and verb = 'status' \
                      and sent_at >= j.submitted_at and http_status = 200)) \
                from ",
                $table,
                " j indexed by ",
                $table,
                "_of_status \
                where status = 'running' and submitted_at is not null \
                  and remote_status is not 'AwaitingApproval' \
                  and taken_by in (select value from json_each(?1))"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select taken_by as account, ",
                $columns,
                ", submitted_at, \
                  (select max(answered_at) from requests \
                    where requests.kind = '",
                $kind,
                "' and requests.job_id = j.id and verb = 'status' \
                      and sent_at >= j.submitted_at and http_status = 200) as asked_at \
                from ",
                $table,
                " j \
                where status = 'running' and submitted_at is not null \
                  and remote_status is distinct from 'AwaitingApproval' \
                  and taken_by in (select jsonb_array_elements_text($1::jsonb))) r"
            ),
        }
    };
}

statements! {
    RUNNING: PerKind = PerKind {
        description: running!("description", "descriptions", [
            "'operation', 'description', 'model', null",
            "'description' as operation, null::text as model"
        ]),
        image: running!("image", "image_generations", [
            "'operation', operation, 'model', model",
            "operation, model"
        ]),
        production: running!("production", "productions", [
            "'operation', 'production', 'model', null",
            "'production' as operation, null::text as model"
        ]),
    };
}

/// A job that its provider is making.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Running {
    /// Whose.
    pub account: String,
    /// `description`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// Of images, as the row has it.
    pub model: Option<String>,
    /// When its submit was planned: its age counts from there.
    pub submitted_at: Timestamp,
    /// When it was last asked about alone, and was not done.
    pub asked_at: Option<Timestamp>,
}

impl Store {
    /// The jobs of these accounts that are being made.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn running(&self, accounts: &[String]) -> Result<Vec<Running>, StoreError> {
        let mut found = Vec::new();
        for kind in JobKind::ALL {
            let args = vec![list(accounts)?];
            let rows: Vec<Running> = self.read(kind.table(), RUNNING.of(kind), args).await?;
            found.extend(rows);
        }
        Ok(found)
    }
}
