//! The ledger as money: what accounts and batches have taken, and what people want of an account.
//!
//! Booked is what was accepted, at the charge that the provider told, else at the price. Reserved is the
//! price of what has no answer yet, in doubt that of what may have been accepted: also after a person or
//! the config sent it again, since the provider may have charged both. What was refused took nothing.

use domain::{JobKind, Timestamp};
use serde::{Deserialize, Serialize};

use crate::columns::{
    JobRow, description_columns, description_json, image_columns, image_json, jobs,
    production_columns, production_json, work_columns, work_json,
};
use crate::db::{Arg, End};
use crate::jobs::{list, number};
use crate::model::{AccountCommand, AccountPause, BatchMoney, DayMoney, Job};
use crate::sql::{PerKind, Sql, per_kind, statements};
use crate::{Store, StoreError};

macro_rules! sums {
    () => {
        "coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) end), 0) as booked, \
        coalesce(sum(case when j.outcome = 'open' then j.price end), 0) as reserved, \
        coalesce(sum(case when j.outcome = 'unknown' then j.price end), 0) as in_doubt"
    };
}

macro_rules! taken {
    () => {
        "coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) \
          when j.outcome in ('open', 'unknown') then j.price end), 0)"
    };
}

/// Parameters: account, whether rows that name none count, after this id, how many.
macro_rules! held_for_money {
    ($kind:literal, $table:literal, $json:ident, $columns:ident) => {
        Sql {
            sqlite: concat!(
                "select ", $json!(), " from ", $table, " indexed by ", $table, "_of_error \
                where error_code in ('spend_cap', 'price_unknown') and status = 'pending' and id > ?3 \
                  and (coalesce(account, '') = ?1 or (coalesce(account, '') = '' and ?2 = 1)) \
                order by id limit ?4 + 0"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select ", $columns!(), " from ", $table, " \
                where error_code in ('spend_cap', 'price_unknown') and status = 'pending' and id > $3::bigint \
                  and (coalesce(account, '') = $1 or (coalesce(account, '') = '' and $2::bigint = 1)) \
                order by id limit $4::bigint) r"
            ),
        }
    };
}

statements! {
    HELD_FOR_MONEY: PerKind = per_kind!(held_for_money);
    /// Walks the account's submissions since a moment, by their index.
    BY_DAY: Sql = Sql {
        sqlite: concat!("select json_object('day', day, 'booked', booked, 'reserved', reserved, 'in_doubt', in_doubt) \
            from (select substr(s.planned_at, 1, 10) || 'T00:00:00.000Z' as day, ", sums!(), " \
              from submissions s join submission_jobs j on j.submission_id = s.id \
              where s.account = ?1 and s.planned_at >= ?2 group by 1 order by 1)"),
        postgres: concat!("select row_to_json(r)::text \
            from (select date_trunc('day', s.planned_at at time zone 'UTC') at time zone 'UTC' as day, ", sums!(), " \
              from submissions s join submission_jobs j on j.submission_id = s.id \
              where s.account = $1 and s.planned_at >= $2::timestamptz group by 1 order by 1) r"),
    };
    OF_BATCHES: Sql = Sql {
        sqlite: concat!("select json_object('batch', batch, 'booked', booked, 'reserved', reserved, 'in_doubt', in_doubt) \
            from (select j.batch as batch, ", sums!(), " from submission_jobs j \
              where j.account = ?1 and j.batch in (select value from json_each(?2)) group by 1)"),
        postgres: concat!("select row_to_json(r)::text from (select j.batch as batch, ", sums!(), " \
              from submission_jobs j \
              where j.account = $1 and j.batch in (select jsonb_array_elements_text($2::jsonb)) group by 1) r"),
    };
    /// The fullest first.
    FULLEST_BATCHES: Sql = Sql {
        sqlite: concat!("select json_object('batch', batch, 'booked', booked, 'reserved', reserved, 'in_doubt', in_doubt) \
            from (select j.batch as batch, ", sums!(), " from submission_jobs j \
              where j.account = ?1 and j.batch is not null group by 1 \
              having ", taken!(), " >= ?2 order by ", taken!(), " desc, 1 limit ?3 + 0)"),
        postgres: concat!("select row_to_json(r)::text from (select j.batch as batch, ", sums!(), " \
              from submission_jobs j where j.account = $1 and j.batch is not null group by 1 \
              having ", taken!(), " >= $2::bigint order by ", taken!(), " desc, 1 limit $3::bigint) r"),
    };
    OPEN_ACCOUNT_COMMANDS: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'command', command, 'value', value, 'outcome', outcome) \
            from account_commands where done_at is null and account in (select value from json_each(?1)) \
            order by id limit ?2 + 0",
        postgres: "select row_to_json(r)::text from (select id, account, command, value, outcome \
            from account_commands where done_at is null and account in (select jsonb_array_elements_text($1::jsonb)) \
            order by id limit $2::bigint) r",
    };
    ACCOUNT_COMMANDS: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'command', command, 'value', value, 'outcome', outcome) \
            from account_commands where id in (select value from json_each(?1)) order by id",
        postgres: "select row_to_json(r)::text from (select id, account, command, value, outcome \
            from account_commands \
            where id in (select value::bigint from jsonb_array_elements_text($1::jsonb)) order by id) r",
    };
    ADD_ACCOUNT_COMMAND: Sql = Sql {
        sqlite: "insert into account_commands (account, command, value) values (?1, ?2, ?3) \
            returning json_object('id', id)",
        postgres: "insert into account_commands (account, command, value) values ($1, $2, $3) \
            returning json_build_object('id', id)::text",
    };
    ACCOUNT_PAUSES: Sql = Sql {
        sqlite: "select json_object('account', p.account, 'since', p.done_at, 'reason', p.value) \
            from account_commands p \
            where p.command = 'pause' and p.done_at is not null and p.account in (select value from json_each(?1)) \
              and not exists (select 1 from account_commands l \
                where l.account = p.account and l.id > p.id and l.done_at is not null \
                  and (l.command = 'pause' or (l.command = 'resume' and l.value is null))) \
            order by p.account",
        postgres: "select row_to_json(r)::text from (select p.account, p.done_at as since, p.value as reason \
            from account_commands p \
            where p.command = 'pause' and p.done_at is not null \
              and p.account in (select jsonb_array_elements_text($1::jsonb)) \
              and not exists (select 1 from account_commands l \
                where l.account = p.account and l.id > p.id and l.done_at is not null \
                  and (l.command = 'pause' or (l.command = 'resume' and l.value is null))) \
            order by p.account) r",
    };
}

/// What a part of the ledger amounts to, in the provider's unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sums {
    /// Accepted, at the charge that was told, else at the price.
    pub booked: i64,
    /// The price of what has no answer yet.
    pub reserved: i64,
    /// The price of what may have been accepted.
    pub in_doubt: i64,
}

impl Sums {
    /// All that the provider may have charged.
    #[must_use]
    pub fn taken(&self) -> i64 {
        self.booked + self.reserved + self.in_doubt
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), |all, one| Self {
            booked: all.booked + one.booked,
            reserved: all.reserved + one.reserved,
            in_doubt: all.in_doubt + one.in_doubt,
        })
    }
}

#[derive(Deserialize)]
struct Added {
    id: i64,
}

impl Store {
    /// What an account has taken, by the UTC day of the intent, from the day of `since` on. Days without
    /// a submission are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn money_by_day(
        &self,
        account: &str,
        since: Timestamp,
    ) -> Result<Vec<DayMoney>, StoreError> {
        let args = vec![account.into(), since.utc_day().into()];
        self.read("submission_jobs", &BY_DAY, args).await
    }

    /// What these batches have taken of an account, ever. Batches that took nothing are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn money_of_batches(
        &self,
        account: &str,
        batches: &[String],
    ) -> Result<Vec<BatchMoney>, StoreError> {
        let args = vec![account.into(), list(batches)?];
        self.read("submission_jobs", &OF_BATCHES, args).await
    }

    /// The batches that have taken `least` or more of an account, the fullest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn fullest_batches(
        &self,
        account: &str,
        least: i64,
        limit: u32,
    ) -> Result<Vec<BatchMoney>, StoreError> {
        let args = vec![account.into(), least.into(), Arg::Int(limit.into())];
        self.read("submission_jobs", &FULLEST_BATCHES, args).await
    }

    /// Pending jobs of an account that are held back by a spending cap, or because their price is unknown
    /// under one; in the order of their ids, from the one after `after`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn held_for_money(
        &self,
        kind: JobKind,
        account: &str,
        takes_unnamed: bool,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Job>, StoreError> {
        let args = vec![
            account.into(),
            number(takes_unnamed),
            after.into(),
            Arg::Int(limit.into()),
        ];
        let rows: Vec<JobRow> = self
            .read(kind.table(), HELD_FOR_MONEY.of(kind), args)
            .await?;
        jobs(rows)
    }

    /// What people want of these accounts, and nobody has executed yet; oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_account_commands(
        &self,
        accounts: &[String],
        limit: u32,
    ) -> Result<Vec<AccountCommand>, StoreError> {
        let args = vec![list(accounts)?, Arg::Int(limit.into())];
        self.read("account_commands", &OPEN_ACCOUNT_COMMANDS, args)
            .await
    }

    /// These commands, executed or not.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_commands(&self, ids: &[i64]) -> Result<Vec<AccountCommand>, StoreError> {
        self.read("account_commands", &ACCOUNT_COMMANDS, vec![list(ids)?])
            .await
    }

    /// Which of these accounts submit nothing, because a person said so.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn account_pauses(
        &self,
        accounts: &[String],
    ) -> Result<Vec<AccountPause>, StoreError> {
        self.read("account_commands", &ACCOUNT_PAUSES, vec![list(accounts)?])
            .await
    }

    /// Adds a command for an account, as a plain INSERT would, and returns its id.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a command that does not exist.
    pub async fn add_account_command(
        &self,
        account: &str,
        command: &str,
        value: Option<&str>,
    ) -> Result<i64, StoreError> {
        let args = vec![account.into(), command.into(), value.into()];
        let id = self
            .write(move |mut tx| {
                Box::pin(async move {
                    let rows: Vec<Added> = tx
                        .rows("account_commands", &ADD_ACCOUNT_COMMAND, args)
                        .await?;
                    let added = rows.first().ok_or(StoreError::Inconsistent {
                        table: "account_commands",
                        what: "an INSERT returned no id".to_owned(),
                    })?;
                    Ok(End::Commit(added.id))
                })
            })
            .await?;
        self.wake();
        Ok(id)
    }
}
