//! Refusals of a batch in a row, and whether it is paused for them: written with the conclusions of the lane
//! that heard them, read when a lane is taken up, and by people.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::db::Tx;
use crate::jobs::list;
use crate::model::{Batch, LaneKey};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    KEEP: Sql = Sql {
        sqlite: "insert into batch_refusals (account, batch, refusals, code, message, refused_at, paused_at) \
            select value ->> 'account', value ->> 'batch', value ->> 'refusals', value ->> 'code', \
              value ->> 'message', value ->> 'refused_at', value ->> 'paused_at' \
            from json_each(?1) where true order by key \
            on conflict (account, batch) do update set \
              refusals = excluded.refusals, code = excluded.code, message = excluded.message, \
              refused_at = excluded.refused_at, paused_at = excluded.paused_at",
        postgres: "insert into batch_refusals (account, batch, refusals, code, message, refused_at, paused_at) \
            select account, batch, refusals, code, message, refused_at, paused_at \
            from jsonb_to_recordset($1::jsonb) as r (account text, batch text, refusals bigint, code text, \
              message text, refused_at timestamptz, paused_at timestamptz) \
            on conflict (account, batch) do update set \
              refusals = excluded.refusals, code = excluded.code, message = excluded.message, \
              refused_at = excluded.refused_at, paused_at = excluded.paused_at",
    };
    FORGET: Sql = Sql {
        sqlite: "delete from batch_refusals where account = ?1 and batch = ?2",
        postgres: "delete from batch_refusals where account = $1 and batch = $2",
    };
    REFUSALS: Sql = Sql {
        sqlite: "select json_object('account', account, 'batch', batch, 'refusals', refusals, 'code', code, \
              'message', message, 'refused_at', refused_at, 'paused_at', paused_at) \
            from batch_refusals where account in (select value from json_each(?1)) order by account, batch",
        postgres: "select row_to_json(r)::text from (select account, batch, refusals, code, message, refused_at, \
              paused_at from batch_refusals where account in (select jsonb_array_elements_text($1::jsonb)) \
            order by account, batch) r",
    };
}

/// How many jobs of a batch were refused for good in a row, and since when it is paused for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchRefusals {
    /// Whose account sent them.
    pub account: String,
    /// Which batch.
    pub batch: String,
    /// How many in a row, at least one.
    pub refusals: u32,
    /// What the last one was refused for: the code of it …
    pub code: String,
    /// … and the provider's words.
    pub message: String,
    /// When that was.
    pub refused_at: Timestamp,
    /// Since when none of its rows is submitted; `None`: they are.
    pub paused_at: Option<Timestamp>,
}

/// What a step concludes about the refusals of a batch.
#[derive(Debug, Clone)]
pub struct RefusalsChange {
    /// Whose conclusion this is.
    pub lane: LaneKey,
    /// Which account and batch …
    pub account: String,
    /// … it is about.
    pub batch: String,
    /// What is known now; `None`: nothing is left of it.
    pub now: Option<BatchRefusals>,
}

impl Store {
    /// The batches of these accounts of which a job was refused and none accepted since, paused or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn batch_refusals(
        &self,
        accounts: &[String],
    ) -> Result<Vec<BatchRefusals>, StoreError> {
        self.read("batch_refusals", &REFUSALS, vec![list(accounts)?])
            .await
    }
}

/// Writes what the batch concludes, in its order.
pub(crate) async fn write(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    for change in &batch.refusals {
        match &change.now {
            Some(known) => {
                let rows = list(std::slice::from_ref(known))?;
                tx.run(&KEEP, vec![rows]).await?;
            }
            None => {
                let args = vec![change.account.as_str().into(), change.batch.as_str().into()];
                tx.run(&FORGET, args).await?;
            }
        }
    }
    Ok(())
}
