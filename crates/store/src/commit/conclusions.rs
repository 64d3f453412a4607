//! Conclusions other than the jobs' own columns: intents, slots, outcomes, the timeline, commands, pauses,
//! webhooks. Whoever calls has checked the fence.

use domain::{JobKind, Provider, Status, Timestamp};
use serde::Serialize;

use crate::StoreError;
use crate::db::{Tx, json};
use crate::model::{
    Batch, NewEvent, NewRequest, NewSubmission, Outcome, Pause, PauseChange, SubmissionJobChange,
};
use crate::sql::{Sql, statements};

statements! {
    SET_OUTCOMES: Sql = Sql {
        sqlite: "update submission_jobs set \
              outcome = c.value ->> 'outcome', \
              remote_id = coalesce(c.value ->> 'remote_id', submission_jobs.remote_id), \
              location = coalesce(c.value ->> 'location', submission_jobs.location), \
              reason = coalesce(c.value ->> 'reason', submission_jobs.reason), \
              credits = coalesce(c.value ->> 'credits', submission_jobs.credits), \
              decided_at = c.value ->> 'decided_at', \
              ended_at = coalesce(submission_jobs.ended_at, c.value ->> 'ended_at'), \
              released_at = coalesce(submission_jobs.released_at, c.value ->> 'released_at') \
            from json_each(?1) as c \
            where submission_jobs.submission_id = c.value ->> 'submission' \
              and submission_jobs.kind = c.value ->> 'kind' and submission_jobs.job_id = c.value ->> 'job_id'",
        postgres: "update submission_jobs set \
              outcome = c.outcome, \
              remote_id = coalesce(c.remote_id, submission_jobs.remote_id), \
              location = coalesce(c.location, submission_jobs.location), \
              reason = coalesce(c.reason, submission_jobs.reason), \
              credits = coalesce(c.credits, submission_jobs.credits), \
              decided_at = c.decided_at, \
              ended_at = coalesce(submission_jobs.ended_at, c.ended_at), \
              released_at = coalesce(submission_jobs.released_at, c.released_at) \
            from jsonb_to_recordset($1::jsonb) as c (submission text, kind text, job_id bigint, outcome text, \
              remote_id text, location text, reason text, credits bigint, decided_at timestamptz, \
              ended_at timestamptz, released_at timestamptz) \
            where submission_jobs.submission_id = c.submission \
              and submission_jobs.kind = c.kind and submission_jobs.job_id = c.job_id",
    };
    ADD_SUBMISSIONS: Sql = Sql {
        sqlite: "insert into submissions (id, lane, account, provider, operation, request_hash, planned_at) \
            select value ->> 'id', value ->> 'lane', value ->> 'account', value ->> 'provider', \
              value ->> 'operation', value ->> 'request_hash', value ->> 'planned_at' \
            from json_each(?1) order by key",
        postgres: "insert into submissions (id, lane, account, provider, operation, request_hash, planned_at) \
            select id, lane, account, provider, operation, request_hash, planned_at \
            from jsonb_to_recordset($1::jsonb) as r (id text, lane text, account text, provider text, \
              operation text, request_hash text, planned_at timestamptz)",
    };
    /// The batch is the row's, as it stands now.
    ADD_SUBMISSION_JOBS: Sql = Sql {
        sqlite: "insert into submission_jobs (submission_id, kind, job_id, ordinal, lane, account, client_ref, price, \
              batch) \
            select value ->> 'submission', value ->> 'kind', value ->> 'job_id', value ->> 'ordinal', \
              value ->> 'lane', value ->> 'account', value ->> 'client_ref', value ->> 'price', \
              case value ->> 'kind' \
                when 'description' then (select batch from descriptions where id = value ->> 'job_id') \
                when 'image' then (select batch from image_generations where id = value ->> 'job_id') \
                else (select batch from productions where id = value ->> 'job_id') end \
            from json_each(?1) order by key",
        postgres: "insert into submission_jobs (submission_id, kind, job_id, ordinal, lane, account, client_ref, price, \
              batch) \
            select submission, kind, job_id, ordinal, lane, account, client_ref, price, \
              case kind \
                when 'description' then (select batch from descriptions where id = r.job_id) \
                when 'image' then (select batch from image_generations where id = r.job_id) \
                else (select batch from productions where id = r.job_id) end \
            from jsonb_to_recordset($1::jsonb) as r (submission text, kind text, job_id bigint, ordinal bigint, \
              lane text, account text, client_ref text, price bigint)",
    };
    ADD_REQUESTS: Sql = Sql {
        sqlite: "insert into requests (id, lane, account, endpoints, verb, kind, job_id, submission_id, quota, sent_at) \
            select value ->> 'id', value ->> 'lane', value ->> 'account', value ->> 'endpoints', \
              value ->> 'verb', value ->> 'kind', value ->> 'job_id', value ->> 'submission', \
              value ->> 'quota', value ->> 'sent_at' \
            from json_each(?1) order by key",
        postgres: "insert into requests (id, lane, account, endpoints, verb, kind, job_id, submission_id, quota, sent_at) \
            select id, lane, account, endpoints, verb, kind, job_id, submission, quota, sent_at \
            from jsonb_to_recordset($1::jsonb) as r (id text, lane text, account text, endpoints text, verb text, \
              kind text, job_id bigint, submission text, quota text, sent_at timestamptz)",
    };
    /// PostgreSQL: those three in one round trip, since the request that is intended waits for each. The keys between
    /// them are looked at when all are in.
    ADD_INTENTS: Sql = Sql {
        sqlite: "select 1",
        postgres: "with s as (insert into submissions \
              (id, lane, account, provider, operation, request_hash, planned_at) \
            select id, lane, account, provider, operation, request_hash, planned_at \
            from jsonb_to_recordset($1::jsonb) as r (id text, lane text, account text, provider text, \
              operation text, request_hash text, planned_at timestamptz)), \
            j as (insert into submission_jobs \
              (submission_id, kind, job_id, ordinal, lane, account, client_ref, price, batch) \
            select submission, kind, job_id, ordinal, lane, account, client_ref, price, \
              case kind \
                when 'description' then (select batch from descriptions where id = r.job_id) \
                when 'image' then (select batch from image_generations where id = r.job_id) \
                else (select batch from productions where id = r.job_id) end \
            from jsonb_to_recordset($2::jsonb) as r (submission text, kind text, job_id bigint, ordinal bigint, \
              lane text, account text, client_ref text, price bigint)) \
            insert into requests \
              (id, lane, account, endpoints, verb, kind, job_id, submission_id, quota, sent_at) \
            select id, lane, account, endpoints, verb, kind, job_id, submission, quota, sent_at \
            from jsonb_to_recordset($3::jsonb) as r (id text, lane text, account text, endpoints text, verb text, \
              kind text, job_id bigint, submission text, quota text, sent_at timestamptz)",
    };
    FINISH_COMMANDS: Sql = Sql {
        sqlite: "update job_commands set outcome = c.value ->> 'outcome', done_at = c.value ->> 'at' \
            from json_each(?1) as c \
            where job_commands.id = c.value ->> 'id' and job_commands.done_at is null",
        postgres: "update job_commands set outcome = c.outcome, done_at = c.at \
            from jsonb_to_recordset($1::jsonb) as c (id bigint, outcome text, at timestamptz) \
            where job_commands.id = c.id and job_commands.done_at is null",
    };
    FINISH_ACCOUNT_COMMANDS: Sql = Sql {
        sqlite: "update account_commands set outcome = c.value ->> 'outcome', done_at = c.value ->> 'at' \
            from json_each(?1) as c \
            where account_commands.id = c.value ->> 'id' and account_commands.done_at is null",
        postgres: "update account_commands set outcome = c.outcome, done_at = c.at \
            from jsonb_to_recordset($1::jsonb) as c (id bigint, outcome text, at timestamptz) \
            where account_commands.id = c.id and account_commands.done_at is null",
    };
    SET_PAUSES: Sql = Sql {
        sqlite: "insert into lane_pauses (lane, endpoints, code, message, since, until, strikes) \
            select value ->> 'lane', value ->> 'endpoints', value ->> 'code', value ->> 'message', \
              value ->> 'since', value ->> 'until', value ->> 'strikes' \
            from json_each(?1) where true order by key \
            on conflict (lane, endpoints, code) do update set \
              message = excluded.message, since = excluded.since, until = excluded.until, \
              strikes = excluded.strikes",
        postgres: "insert into lane_pauses (lane, endpoints, code, message, since, until, strikes) \
            select lane, endpoints, code, message, since, until, strikes \
            from jsonb_to_recordset($1::jsonb) as r (lane text, endpoints text, code text, message text, \
              since timestamptz, until timestamptz, strikes bigint) \
            on conflict (lane, endpoints, code) do update set \
              message = excluded.message, since = excluded.since, until = excluded.until, \
              strikes = excluded.strikes",
    };
    LIFT_PAUSE: Sql = Sql {
        sqlite: "delete from lane_pauses where lane = ?1 and endpoints = ?2 and code = ?3",
        postgres: "delete from lane_pauses where lane = $1 and endpoints = $2 and code = $3",
    };
    FINISH_WEBHOOKS: Sql = Sql {
        sqlite: "update webhook_inbox set state = w.value ->> 'state', note = w.value ->> 'note', \
              decided_at = w.value ->> 'at' \
            from json_each(?1) as w where webhook_inbox.id = w.value ->> 'id'",
        postgres: "update webhook_inbox set state = w.state, note = w.note, decided_at = w.at \
            from jsonb_to_recordset($1::jsonb) as w (id bigint, state text, note text, at timestamptz) \
            where webhook_inbox.id = w.id",
    };
    /// PostgreSQL: the lock is held to the end of the transaction, so that who takes a seq later commits later; it
    /// is there before the first seq is taken, since no row comes out of the join before. SQLite has one writer.
    ADD_EVENTS: Sql = Sql {
        sqlite: "insert into job_events (kind, job_id, at, event, from_status, to_status, submission_id, detail) \
            select value ->> 'kind', value ->> 'job_id', value ->> 'at', value ->> 'event', \
              value ->> 'from_status', value ->> 'to_status', value ->> 'submission', value -> 'detail' \
            from json_each(?1) order by key",
        postgres: "with locked as materialized ( \
              select pg_advisory_xact_lock(hashtextextended('vitrine job_events', 0))::text as held) \
            insert into job_events (kind, job_id, at, event, from_status, to_status, submission_id, detail) \
            select kind, job_id, at, event, from_status, to_status, submission, coalesce(detail, 'null') \
            from locked cross join jsonb_to_recordset($1::jsonb) as r (kind text, job_id bigint, at timestamptz, event text, \
              from_status text, to_status text, submission text, detail jsonb)",
    };
}

#[derive(Serialize)]
struct OutcomeColumns<'a> {
    submission: &'a str,
    kind: JobKind,
    job_id: i64,
    outcome: Outcome,
    remote_id: Option<&'a str>,
    location: Option<&'a str>,
    reason: Option<&'a str>,
    credits: Option<i64>,
    decided_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
}

impl<'a> OutcomeColumns<'a> {
    fn new(change: &'a SubmissionJobChange) -> Self {
        Self {
            submission: &change.submission.0,
            kind: change.job.kind,
            job_id: change.job.id,
            outcome: change.outcome,
            remote_id: change.remote_id.as_deref(),
            location: change.location.as_deref(),
            reason: change.reason.as_deref(),
            credits: change.credits,
            decided_at: (change.outcome != Outcome::Open).then_some(change.at),
            ended_at: change.ended.then_some(change.at),
            released_at: change.released.then_some(change.at),
        }
    }
}

#[derive(Serialize)]
struct SubmissionColumns<'a> {
    id: &'a str,
    lane: &'a str,
    account: &'a str,
    provider: Provider,
    operation: &'a str,
    request_hash: &'a str,
    planned_at: Timestamp,
}

impl<'a> SubmissionColumns<'a> {
    fn new(new: &'a NewSubmission) -> Self {
        Self {
            id: &new.id.0,
            lane: &new.lane.0,
            account: &new.account,
            provider: new.provider,
            operation: &new.operation,
            request_hash: &new.request_hash,
            planned_at: new.planned_at,
        }
    }
}

#[derive(Serialize)]
struct SubmissionJobColumns<'a> {
    submission: &'a str,
    kind: JobKind,
    job_id: i64,
    ordinal: usize,
    lane: &'a str,
    account: &'a str,
    client_ref: Option<&'a str>,
    price: Option<i64>,
}

fn jobs_of(new: &NewSubmission) -> impl Iterator<Item = SubmissionJobColumns<'_>> {
    new.jobs
        .iter()
        .enumerate()
        .map(|(ordinal, job)| SubmissionJobColumns {
            submission: &new.id.0,
            kind: job.job.kind,
            job_id: job.job.id,
            ordinal,
            lane: &new.lane.0,
            account: &new.account,
            client_ref: job.client_ref.as_deref(),
            price: job.price,
        })
}

#[derive(Serialize)]
struct RequestColumns<'a> {
    id: &'a str,
    lane: &'a str,
    account: &'a str,
    endpoints: &'a str,
    verb: &'a str,
    kind: Option<JobKind>,
    job_id: Option<i64>,
    submission: Option<&'a str>,
    quota: Option<&'a str>,
    sent_at: Timestamp,
}

impl<'a> RequestColumns<'a> {
    fn new(new: &'a NewRequest) -> Self {
        Self {
            id: &new.id,
            lane: &new.lane.0,
            account: &new.account,
            endpoints: &new.endpoints,
            verb: &new.verb,
            kind: new.job.map(|job| job.kind),
            job_id: new.job.map(|job| job.id),
            submission: new.submission.as_ref().map(|id| id.0.as_str()),
            quota: new.quota.as_deref(),
            sent_at: new.sent_at,
        }
    }
}

#[derive(Serialize)]
struct EventColumns<'a> {
    kind: JobKind,
    job_id: i64,
    at: Timestamp,
    event: &'a str,
    from_status: Status,
    to_status: Status,
    submission: Option<&'a str>,
    detail: &'a serde_json::Value,
}

impl<'a> EventColumns<'a> {
    fn new(new: &'a NewEvent) -> Self {
        Self {
            kind: new.job.kind,
            job_id: new.job.id,
            at: new.at,
            event: &new.event,
            from_status: new.from,
            to_status: new.to,
            submission: new.submission.as_ref().map(|id| id.0.as_str()),
            detail: &new.detail,
        }
    }
}

/// Runs a set-based write, if there is anything to write.
async fn write<T: Serialize>(
    tx: &mut Tx<'_>,
    table: &'static str,
    sql: &Sql,
    rows: &[T],
) -> Result<(), StoreError> {
    if !rows.is_empty() {
        tx.run(sql, vec![json(table, rows)?.into()]).await?;
    }
    Ok(())
}

/// What became of earlier submissions; before new ones, because a job that is released may be in one.
pub(super) async fn decide(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    let rows: Vec<_> = batch.outcomes.iter().map(OutcomeColumns::new).collect();
    write(tx, "submission_jobs", &SET_OUTCOMES, &rows).await
}

/// All the rest. The timeline comes last: its lock is the only one that all transactions share.
pub(super) async fn append(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    intents(tx, batch).await?;
    write(tx, "job_commands", &FINISH_COMMANDS, &batch.commands).await?;
    write(
        tx,
        "account_commands",
        &FINISH_ACCOUNT_COMMANDS,
        &batch.account_commands,
    )
    .await?;
    pauses(tx, batch).await?;
    write(tx, "lengths", &crate::lengths::KEEP, &batch.lengths).await?;
    crate::refusals::write(tx, batch).await?;
    write(tx, "webhook_inbox", &FINISH_WEBHOOKS, &batch.webhooks).await?;
    let rows: Vec<_> = batch.events.iter().map(EventColumns::new).collect();
    write(tx, "job_events", &ADD_EVENTS, &rows).await
}

/// Submissions with their jobs, and the places of requests.
async fn intents(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    let submissions = batch.submissions.iter().map(SubmissionColumns::new);
    let submissions: Vec<_> = submissions.collect();
    let jobs: Vec<_> = batch.submissions.iter().flat_map(jobs_of).collect();
    let requests: Vec<_> = batch.requests.iter().map(RequestColumns::new).collect();
    if tx.is_postgres() && !submissions.is_empty() {
        let args = vec![
            json("submissions", &submissions)?.into(),
            json("submission_jobs", &jobs)?.into(),
            json("requests", &requests)?.into(),
        ];
        tx.run(&ADD_INTENTS, args).await?;
        return Ok(());
    }
    write(tx, "submissions", &ADD_SUBMISSIONS, &submissions).await?;
    write(tx, "submission_jobs", &ADD_SUBMISSION_JOBS, &jobs).await?;
    write(tx, "requests", &ADD_REQUESTS, &requests).await
}

/// In the order of the batch, because a pause may be lifted and set again in one step.
async fn pauses(tx: &mut Tx<'_>, batch: &Batch) -> Result<(), StoreError> {
    for change in &batch.pauses {
        match change {
            PauseChange::Set(pause) => {
                write::<Pause>(tx, "lane_pauses", &SET_PAUSES, std::slice::from_ref(pause)).await?;
            }
            PauseChange::Lift {
                lane,
                endpoints,
                code,
            } => {
                let args = vec![
                    lane.0.as_str().into(),
                    endpoints.as_str().into(),
                    code.as_str().into(),
                ];
                tx.run(&LIFT_PAUSE, args).await?;
            }
        }
    }
    Ok(())
}
