//! The wall clocks of the machines that worked on this database: whether somebody set one.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use crate::db::End;
use crate::jobs::list;
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    KEEP: Sql = Sql {
        sqlite: "insert into machine_clocks (boot, began_at, jumped_at, jumped_by) \
            select value ->> 'boot', value ->> 'began_at', value ->> 'jumped_at', value ->> 'jumped_by' \
            from json_each(?1) where true order by key \
            on conflict (boot) do update set \
              began_at = excluded.began_at, jumped_at = excluded.jumped_at, jumped_by = excluded.jumped_by",
        postgres: "insert into machine_clocks (boot, began_at, jumped_at, jumped_by) \
            select boot, began_at, jumped_at, jumped_by \
            from jsonb_to_recordset($1::jsonb) as r (boot text, began_at timestamptz, jumped_at timestamptz, \
              jumped_by bigint) \
            on conflict (boot) do update set \
              began_at = excluded.began_at, jumped_at = excluded.jumped_at, jumped_by = excluded.jumped_by",
    };
    CLOCK: Sql = Sql {
        sqlite: "select json_object('boot', boot, 'began_at', began_at, 'jumped_at', jumped_at, \
              'jumped_by', jumped_by) from machine_clocks where boot = ?1",
        postgres: "select row_to_json(r)::text from (select boot, began_at, jumped_at, jumped_by \
            from machine_clocks where boot = $1) r",
    };
}

/// What is known of a machine's wall clock since it booted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineClock {
    /// The kernel's name for this boot.
    pub boot: String,
    /// When it began, by the wall clock of this moment.
    pub began_at: Timestamp,
    /// When the clock was last set: the first moment by the new one.
    pub jumped_at: Option<Timestamp>,
    /// By how many milliseconds it was set then.
    pub jumped_by: Option<i64>,
}

impl Store {
    /// What is known of the clock of a machine since this boot; `None`: nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn machine_clock(&self, boot: &str) -> Result<Option<MachineClock>, StoreError> {
        let mut rows = self
            .read("machine_clocks", &CLOCK, vec![boot.into()])
            .await?;
        Ok(rows.pop())
    }

    /// Remembers it, in place of what was known of this boot.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn keep_machine_clock(&self, clock: &MachineClock) -> Result<(), StoreError> {
        let rows = list(std::slice::from_ref(clock))?;
        self.write(move |mut tx| {
            Box::pin(async move {
                tx.run(&KEEP, vec![rows]).await?;
                Ok(End::Commit(()))
            })
        })
        .await
    }
}
