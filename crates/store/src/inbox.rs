//! What people, programs and providers tell us: commands, webhooks; and why lanes rest.

use domain::{JobId, Timestamp};
use serde::Deserialize;

use crate::db::{Arg, End};
use crate::jobs::list;
use crate::model::{Command, CommandRow, LaneKey, Pause, Webhook};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    OPEN_COMMANDS: Sql = Sql {
        sqlite: "select json_object('id', id, 'job', kind || ':' || job_id, 'command', command, 'value', value, \
              'created_at', created_at) \
            from job_commands where done_at is null order by id limit ?1 + 0",
        postgres: "select row_to_json(r)::text from (select id, kind || ':' || job_id as job, command, value, \
              created_at \
            from job_commands where done_at is null order by id limit $1) r",
    };
    COMMANDS_OF: Sql = Sql {
        sqlite: "select json_object('id', id, 'command', command, 'value', value, 'created_at', created_at, \
              'outcome', outcome, 'done_at', done_at) \
            from job_commands where kind = ?1 and job_id = ?2 + 0 order by id",
        postgres: "select row_to_json(r)::text from (select id, command, value, created_at, outcome, done_at \
            from job_commands where kind = $1 and job_id = $2 order by id) r",
    };
    ADD_COMMAND: Sql = Sql {
        sqlite: "insert into job_commands (kind, job_id, command, value) values (?1, ?2, ?3, ?4) \
            returning json_object('id', id)",
        postgres: "insert into job_commands (kind, job_id, command, value) values ($1, $2, $3, $4) \
            returning json_build_object('id', id)::text",
    };
    ADD_WEBHOOK: Sql = Sql {
        sqlite: "insert into webhook_inbox (account, dedupe_key, received_at, body, verified) \
            values (?1, ?2, ?3, ?4, ?5 + 0) \
            on conflict do nothing",
        postgres: "insert into webhook_inbox (account, dedupe_key, received_at, body, verified) \
            values ($1, $2, $3::timestamptz, $4, $5::bigint = 1) \
            on conflict do nothing",
    };
    OPEN_WEBHOOKS: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'dedupe_key', dedupe_key, \
              'received_at', received_at, 'body', body, \
              'verified', json(case when verified then 'true' else 'false' end)) \
            from webhook_inbox where state in ('open', 'parked') order by id limit ?1 + 0",
        postgres: "select row_to_json(r)::text from (select id, account, dedupe_key, received_at, body, verified \
            from webhook_inbox where state in ('open', 'parked') order by id limit $1) r",
    };
    PAUSES: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'endpoints', endpoints, 'code', code, 'message', message, \
              'since', since, 'until', until, 'strikes', strikes) \
            from lane_pauses where lane in (select value from json_each(?1)) order by lane, endpoints, code",
        postgres: "select row_to_json(r)::text from (select lane, endpoints, code, message, since, until, strikes \
            from lane_pauses where lane in (select jsonb_array_elements_text($1::jsonb)) \
            order by lane, endpoints, code) r",
    };
}

#[derive(Deserialize)]
struct Added {
    id: i64,
}

/// NUL cannot stand in a text of PostgreSQL.
fn text(of: &str) -> Arg {
    of.replace('\0', "\u{fffd}").into()
}

impl Store {
    /// Commands that nobody has executed yet, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_commands(&self, limit: u32) -> Result<Vec<Command>, StoreError> {
        self.read("job_commands", &OPEN_COMMANDS, vec![Arg::Int(limit.into())])
            .await
    }

    /// What was asked of this job so far, and what came of it, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn commands_of(&self, job: JobId) -> Result<Vec<CommandRow>, StoreError> {
        let args = vec![job.kind.as_str().into(), Arg::Int(job.id)];
        self.read("job_commands", &COMMANDS_OF, args).await
    }

    /// Adds a command, as a plain INSERT would, and returns its id. The lane's owner executes it.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a command that is blank or a value that is huge.
    pub async fn add_command(
        &self,
        job: JobId,
        command: &str,
        value: Option<&str>,
    ) -> Result<i64, StoreError> {
        let value = value.map_or(Arg::Text(None), text);
        let args = vec![
            job.kind.as_str().into(),
            job.id.into(),
            text(command),
            value,
        ];
        let id = self
            .write(move |mut tx| {
                Box::pin(async move {
                    let added: Vec<Added> = tx.rows("job_commands", &ADD_COMMAND, args).await?;
                    let added = added.first().ok_or(StoreError::Inconsistent {
                        table: "job_commands",
                        what: "an INSERT returned no id".to_owned(),
                    })?;
                    Ok(End::Commit(added.id))
                })
            })
            .await?;
        self.wake();
        Ok(id)
    }

    /// Stores a webhook that carried no secret of the account, before it is answered: a hint at the most.
    /// `false`: it is there already, and nothing changed.
    ///
    /// # Errors
    /// When it is not durable; the provider must not be told that it is.
    pub async fn add_webhook(
        &self,
        account: &str,
        dedupe_key: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store_webhook([account, dedupe_key, body], false, now)
            .await
    }

    /// As [`Store::add_webhook`], for one that the route has verified: by its signature, or by the path
    /// that nobody can guess.
    ///
    /// # Errors
    /// When it is not durable; the provider must not be told that it is.
    pub async fn add_verified_webhook(
        &self,
        account: &str,
        dedupe_key: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.store_webhook([account, dedupe_key, body], true, now)
            .await
    }

    async fn store_webhook(
        &self,
        [account, dedupe_key, body]: [&str; 3],
        verified: bool,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let verified = Arg::Int(verified.into());
        let args = vec![
            text(account),
            text(dedupe_key),
            now.into(),
            text(body),
            verified,
        ];
        let added = self
            .write(move |mut tx| {
                Box::pin(async move { tx.run(&ADD_WEBHOOK, args).await.map(End::Commit) })
            })
            .await?;
        self.wake();
        Ok(added == 1)
    }

    /// Webhooks that nobody has dealt with, and parked ones, which wait for their job; oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_webhooks(&self, limit: u32) -> Result<Vec<Webhook>, StoreError> {
        self.read(
            "webhook_inbox",
            &OPEN_WEBHOOKS,
            vec![Arg::Int(limit.into())],
        )
        .await
    }

    /// Why these lanes rest, the pauses that are past included: what is over is the reader's to say.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pauses(&self, lanes: &[LaneKey]) -> Result<Vec<Pause>, StoreError> {
        self.read("lane_pauses", &PAUSES, vec![list(lanes)?]).await
    }

    /// Tells this process's own watchers that something is there for them.
    pub(crate) fn wake(&self) {
        self.inner.pulse.send_modify(|count| *count += 1);
    }
}
