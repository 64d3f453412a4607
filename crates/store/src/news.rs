//! Whether there is anything to read beside jobs: one look at three tables where each would cost a look of its
//! own. Most of what wakes the worker is a new job, and its request waits for every round trip made before it.

use serde::Deserialize;

use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    NEWS: Sql = Sql {
        sqlite: "select json_object( \
            'webhooks', (select count(*) from (select 1 from webhook_inbox where state = 'open' \
              and state in ('open', 'parked') limit 1)), \
            'commands', (select count(*) from (select 1 from job_commands where done_at is null limit 1)), \
            'account_commands', \
              (select count(*) from (select 1 from account_commands where done_at is null limit 1)))",
        postgres: "select json_build_object( \
            'webhooks', (select count(*) from (select 1 from webhook_inbox where state = 'open' \
              and state in ('open', 'parked') limit 1) r), \
            'commands', (select count(*) from (select 1 from job_commands where done_at is null limit 1) r), \
            'account_commands', \
              (select count(*) from (select 1 from account_commands where done_at is null limit 1) r))::text",
    };
}

/// What waits to be read, whoever it is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// Webhooks that nobody has looked at.
    pub webhooks: bool,
    /// Commands on jobs that nobody has executed.
    pub commands: bool,
    /// Commands on accounts that nobody has executed.
    pub account_commands: bool,
}

#[derive(Deserialize)]
struct Row {
    webhooks: i64,
    commands: i64,
    account_commands: i64,
}

impl Store {
    /// Looks whether any webhook or command is open.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn news(&self) -> Result<News, StoreError> {
        let rows: Vec<Row> = self.read("webhook_inbox", &NEWS, vec![]).await?;
        let is_any = |count: fn(&Row) -> i64| rows.first().is_some_and(|row| count(row) > 0);
        Ok(News {
            webhooks: is_any(|row| row.webhooks),
            commands: is_any(|row| row.commands),
            account_commands: is_any(|row| row.account_commands),
        })
    }
}
