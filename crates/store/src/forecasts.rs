//! What a forecast is made of, and what became of those that were made: the open work by what it asks
//! for, the requests that were sent lately, and the table `forecasts`.
//!
//! Nothing here is a conclusion about a job, so no lane is asked: that one forecast of an account is open
//! at a time is a unique index, and who comes second changes nothing.

use domain::{JobKind, Status, Timestamp};
use serde::{Deserialize, Serialize};

use crate::db::End;
use crate::jobs::{list, number};
use crate::model::LaneKey;
use crate::sql::{PerKind, Sql, statements};
use crate::{Store, StoreError};

/// Ended forecasts of an account that are kept.
const KEPT: i64 = 100;

/// The open jobs of a kind by what they ask for. `$asked`: their columns; `$told`: the same as the
/// record has them, in both dialects.
macro_rules! open_work {
    ($kind:literal, $table:literal, $asked:literal, [$json:literal, $columns:literal]) => {
        Sql {
            sqlite: concat!(
                "select json_object('kind', '", $kind, "', 'account', name, 'status', status, \
                  'awaiting_approval', json(case when awaiting then 'true' else 'false' end), \
                  'error_code', error_code, 'batch', batch, ", $json, ", 'jobs', jobs, 'newest', newest, \
                  'last_run_at', last_run_at) \
                from (select coalesce(taken_by, account) as name, status, \
                    (status = 'running' and remote_status is 'AwaitingApproval') as awaiting, error_code, \
                    batch, ", $asked, " count(*) as jobs, max(id) as newest, max(run_at) as last_run_at \
                  from ", $table, " indexed by ", $table, "_of_status \
                  where status in ('pending', 'submitting', 'in_doubt', 'running', 'capturing') \
                  group by ", $asked, " coalesce(taken_by, account), status, \
                    (status = 'running' and remote_status is 'AwaitingApproval'), error_code, batch)"
            ),
            postgres: concat!(
                "select row_to_json(r)::text from (select '", $kind, "' as kind, \
                  coalesce(taken_by, account) as account, status, \
                  (status = 'running' and remote_status is not distinct from 'AwaitingApproval') \
                    as awaiting_approval, \
                  error_code, batch, ", $columns, ", count(*) as jobs, max(id) as newest, \
                  max(run_at) as last_run_at \
                from ", $table, " \
                where status in ('pending', 'submitting', 'in_doubt', 'running', 'capturing') \
                group by ", $asked, " coalesce(taken_by, account), status, \
                  (status = 'running' and remote_status is not distinct from 'AwaitingApproval'), \
                  error_code, batch) r"
            ),
        }
    };
}

/// Parameters: account, whether rows that name none count, the newest id that counts.
macro_rules! body {
    ($kind:literal, $table:literal) => {
        Sql {
            sqlite: concat!(
                "select json_object( \
                  'open', json(case when exists ( \
                      select 1 from ", $table, " where status = 'pending' \
                        and coalesce(error_code, '') <> 'unknown_account' \
                        and coalesce(account, '') in (?1, case when ?2 = 1 then '' else ?1 end) \
                        and id <= ?3 \
                    ) or exists ( \
                      select 1 from ", $table, " where taken_by = ?1 and id <= ?3 \
                        and status in ('submitting', 'running', 'capturing') \
                        and remote_status is not 'AwaitingApproval' \
                    ) then 'true' else 'false' end), \
                  'newest', coalesce((select max(id) from ", $table, "), 0))"
            ),
            postgres: concat!(
                "select json_build_object( \
                  'open', exists ( \
                      select 1 from ", $table, " where status = 'pending' \
                        and coalesce(error_code, '') <> 'unknown_account' \
                        and coalesce(account, '') in ($1, case when $2::bigint = 1 then '' else $1 end) \
                        and id <= $3::bigint \
                    ) or exists ( \
                      select 1 from ", $table, " where taken_by = $1 and id <= $3::bigint \
                        and status in ('submitting', 'running', 'capturing') \
                        and remote_status is distinct from 'AwaitingApproval' \
                    ), \
                  'newest', coalesce((select max(id) from ", $table, "), 0))::text"
            ),
        }
    };
}

statements! {
    OPEN_WORK: PerKind = PerKind {
        description: open_work!("description", "descriptions", "", [
            "'operation', 'description', 'model', null, 'place', null",
            "'description' as operation, null::text as model, null::text as place"
        ]),
        image: open_work!("image", "image_generations", "operation, model,", [
            "'operation', operation, 'model', model, 'place', null",
            "operation, model, null::text as place"
        ]),
        production: open_work!("production", "productions", "jarai_account_id,", [
            "'operation', 'production', 'model', null, 'place', jarai_account_id",
            "'production' as operation, null::text as model, jarai_account_id as place"
        ]),
    };
    BODY: PerKind = PerKind {
        description: body!("description", "descriptions"),
        image: body!("image", "image_generations"),
        production: body!("production", "productions"),
    };
    /// Parameters: lanes, and since when.
    REQUESTS_SENT: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'account', account, 'endpoints', endpoints, 'quota', quota, \
              'submits', sum(verb = 'submit'), 'requests', count(*), \
              'exported_at', max(case when verb = 'export' and http_status = 200 then answered_at end), \
              'answer_ms', cast(avg((julianday(answered_at) - julianday(sent_at)) * 86400000.0) as integer)) \
            from requests where lane in (select value from json_each(?1)) and answered_at >= ?2 \
            group by lane, account, endpoints, quota",
        postgres: "select row_to_json(r)::text from (select lane, account, endpoints, quota, \
              count(*) filter (where verb = 'submit') as submits, count(*) as requests, \
              max(answered_at) filter (where verb = 'export' and http_status = 200) as exported_at, \
              avg(extract(epoch from answered_at - sent_at) * 1000)::bigint as answer_ms \
            from requests where lane in (select jsonb_array_elements_text($1::jsonb)) \
              and answered_at >= $2::timestamptz \
            group by lane, account, endpoints, quota) r",
    };
    /// Parameters: accounts, and since when.
    ACCEPTED: Sql = Sql {
        sqlite: "select json_object('account', account, 'jobs', count(*)) from submission_jobs \
            where account in (select value from json_each(?1)) and outcome = 'accepted' and decided_at >= ?2 \
            group by account",
        postgres: "select row_to_json(r)::text from (select account, count(*) as jobs from submission_jobs \
            where account in (select jsonb_array_elements_text($1::jsonb)) and outcome = 'accepted' \
              and decided_at >= $2::timestamptz \
            group by account) r",
    };
    BEGIN: Sql = Sql {
        sqlite: "insert into forecasts (account, made_at, newest, jobs, said_ms, said_credits) \
            values (?1, ?2, ?3, ?4, ?5, ?6) on conflict do nothing",
        postgres: "insert into forecasts (account, made_at, newest, jobs, said_ms, said_credits) \
            values ($1, $2::timestamptz, $3::bigint, $4::bigint, $5::bigint, $6::text::bigint) \
            on conflict do nothing",
    };
    FORGET: Sql = Sql {
        sqlite: "delete from forecasts where account = ?1 and id <= ( \
            select id from forecasts where account = ?1 order by id desc limit 1 offset ?2 + 0)",
        postgres: "delete from forecasts where account = $1 and id <= ( \
            select id from forecasts where account = $1 order by id desc limit 1 offset $2::bigint)",
    };
    /// Parameters: the forecast, its account, a kind, when.
    END: Sql = Sql {
        sqlite: "update forecasts set ended_at = ?4, credits = ( \
              select coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) \
                  when j.outcome in ('open', 'unknown') then j.price end), 0) \
                from submissions s join submission_jobs j on j.submission_id = s.id \
                where s.account = ?2 and s.planned_at >= forecasts.made_at and j.kind = ?3 \
                  and j.job_id <= forecasts.newest) \
            where id = ?1 and account = ?2 and ended_at is null",
        postgres: "update forecasts set ended_at = $4::timestamptz, credits = ( \
              select coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) \
                  when j.outcome in ('open', 'unknown') then j.price end), 0) \
                from submissions s join submission_jobs j on j.submission_id = s.id \
                where s.account = $2 and s.planned_at >= forecasts.made_at and j.kind = $3 \
                  and j.job_id <= forecasts.newest) \
            where id = $1::bigint and account = $2 and ended_at is null",
    };
    /// The open one of each account, and the last that ended.
    LAST: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'made_at', made_at, 'newest', newest, 'jobs', jobs, \
              'said_ms', said_ms, 'said_credits', said_credits, 'ended_at', ended_at, 'credits', credits) \
            from forecasts where id in ( \
              select max(id) from forecasts where account in (select value from json_each(?1)) \
              group by account, ended_at is null) order by account, id",
        postgres: "select row_to_json(r)::text from (select id, account, made_at, newest, jobs, \
              said_ms, said_credits, ended_at, credits \
            from forecasts where id in ( \
              select max(id) from forecasts where account in (select jsonb_array_elements_text($1::jsonb)) \
              group by account, ended_at is null) order by account, id) r",
    };
}

/// Open jobs that ask for the same and stand alike.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OpenWork {
    /// Which kind.
    pub kind: JobKind,
    /// The account that took them, or that they name; `None`: not taken, none named.
    pub account: Option<String>,
    /// The state; none that is terminal.
    pub status: Status,
    /// Running, and the provider waits for a person's approval.
    pub awaiting_approval: bool,
    /// Why they wait, where that is known.
    pub error_code: Option<String>,
    /// Their label.
    pub batch: Option<String>,
    /// `description`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// Of images, as the rows have it.
    pub model: Option<String>,
    /// Of productions: the JARAI account that the rows name.
    pub place: Option<String>,
    /// How many.
    pub jobs: i64,
    /// The highest id among them.
    pub newest: i64,
    /// The last `run_at` among them.
    pub last_run_at: Option<Timestamp>,
}

/// Requests of an account that were answered since some moment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RequestsSent {
    /// Over which lane.
    pub lane: LaneKey,
    /// Of which account.
    pub account: String,
    /// Which group of endpoints.
    pub endpoints: String,
    /// The further counter that they took from.
    pub quota: Option<String>,
    /// The paid POSTs among them.
    pub submits: i64,
    /// How many.
    pub requests: i64,
    /// The mean time from request to answer.
    pub answer_ms: i64,
    /// The last list of all that is done.
    pub exported_at: Option<Timestamp>,
}

/// Jobs of an account that were accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    /// Which account.
    pub account: String,
    /// How many.
    pub jobs: i64,
}

/// A body of work: all jobs of an account up to an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Body {
    /// Whether any of them can still go on by itself.
    pub open: bool,
    /// The highest id of the kind, whatever was asked about.
    pub newest: i64,
}

/// A forecast as it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewForecast {
    /// Whose work.
    pub account: String,
    /// When.
    pub made_at: Timestamp,
    /// The highest id of the body of work.
    pub newest: i64,
    /// Its jobs that are to end.
    pub jobs: i64,
    /// After how many milliseconds they are over.
    pub said_ms: i64,
    /// What those cost that are not submitted yet; `None`: a price is not known.
    pub said_credits: Option<i64>,
}

/// A forecast, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForecastRow {
    /// Row id.
    pub id: i64,
    /// Whose work.
    pub account: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The highest id of the body of work.
    pub newest: i64,
    /// Its jobs that were to end.
    pub jobs: i64,
    /// After how many milliseconds they would be over.
    pub said_ms: i64,
    /// What they would cost.
    pub said_credits: Option<i64>,
    /// When they were over.
    pub ended_at: Option<Timestamp>,
    /// What they had cost by then.
    pub credits: Option<i64>,
}

impl Store {
    /// All open jobs by account and by what they ask for.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_work(&self) -> Result<Vec<OpenWork>, StoreError> {
        let mut found: Vec<OpenWork> = Vec::new();
        for kind in JobKind::ALL {
            let rows = self.read(kind.table(), OPEN_WORK.of(kind), vec![]);
            found.extend(rows.await?);
        }
        Ok(found)
    }

    /// Whether anything is left of the jobs of this account up to `newest` that goes on by itself.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn body(
        &self,
        kind: JobKind,
        account: &str,
        takes_unnamed: bool,
        newest: i64,
    ) -> Result<Body, StoreError> {
        let args = vec![account.into(), number(takes_unnamed), newest.into()];
        let rows: Vec<Body> = self.read(kind.table(), BODY.of(kind), args).await?;
        rows.first().copied().ok_or(StoreError::Inconsistent {
            table: kind.table(),
            what: "a question for one row was answered with none".to_owned(),
        })
    }

    /// The requests of these lanes that were answered at `since` or later, counted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn requests_sent(
        &self,
        lanes: &[LaneKey],
        since: Timestamp,
    ) -> Result<Vec<RequestsSent>, StoreError> {
        let args = vec![list(lanes)?, since.into()];
        self.read("requests", &REQUESTS_SENT, args).await
    }

    /// The jobs of these accounts that were accepted at `since` or later, counted.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn accepted_since(
        &self,
        accounts: &[String],
        since: Timestamp,
    ) -> Result<Vec<Accepted>, StoreError> {
        let args = vec![list(accounts)?, since.into()];
        self.read("submission_jobs", &ACCEPTED, args).await
    }

    /// Writes a forecast down, unless one of its account is open. The oldest are forgotten.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn begin_forecast(&self, made: NewForecast) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let credits = made.said_credits.map(|credits| credits.to_string());
                let args = vec![
                    made.account.as_str().into(),
                    made.made_at.into(),
                    made.newest.into(),
                    made.jobs.into(),
                    made.said_ms.into(),
                    credits.into(),
                ];
                tx.run(&BEGIN, args).await?;
                let args = vec![made.account.as_str().into(), KEPT.into()];
                tx.run(&FORGET, args).await?;
                Ok(End::Commit(()))
            })
        })
        .await
    }

    /// The work of this forecast is over: writes down when, and what it had cost. One that is over
    /// already stays as it is.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end_forecast(
        &self,
        forecast: &ForecastRow,
        kind: JobKind,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let args = vec![
            forecast.id.into(),
            forecast.account.as_str().into(),
            kind.as_str().into(),
            at.into(),
        ];
        self.write(move |mut tx| {
            Box::pin(async move {
                tx.run(&END, args).await?;
                Ok(End::Commit(()))
            })
        })
        .await
    }

    /// Of each of these accounts the forecast that is open, and the last one that ended.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_forecasts(
        &self,
        accounts: &[String],
    ) -> Result<Vec<ForecastRow>, StoreError> {
        self.read("forecasts", &LAST, vec![list(accounts)?]).await
    }
}
