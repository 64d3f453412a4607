//! Reading the ledger: submissions, requests, the timeline, deliverables, money.

use domain::{JobId, JobKind, Timestamp};
use serde::Deserialize;

use crate::db::Arg;
use crate::jobs::list;
use crate::model::{DeliverableRow, EventRow, LaneKey, Request, Spent, SubmissionRow, TooMany};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

macro_rules! event_json {
    () => {
        "json_object('seq', seq, 'job', kind || ':' || job_id, 'at', at, 'event', event, \
        'from_status', from_status, 'to_status', to_status, 'submission', submission_id, 'detail', json(detail))"
    };
}

macro_rules! event_columns {
    () => {
        "seq, kind || ':' || job_id as job, at, event, from_status, to_status, \
        submission_id as submission, detail"
    };
}

macro_rules! submission_json {
    () => {
        "json_object('id', s.id, 'job', j.kind || ':' || j.job_id, 'ordinal', j.ordinal, 'account', s.account, \
        'operation', s.operation, 'planned_at', s.planned_at, 'answered_at', s.answered_at, \
        'http_status', s.http_status, 'answer', s.answer, 'client_ref', j.client_ref, 'price', j.price, \
        'outcome', j.outcome, 'remote_id', j.remote_id, 'location', j.location, 'reason', j.reason, \
        'credits', j.credits, 'verdicts', json(s.verdicts)) \
        from submission_jobs j join submissions s on s.id = j.submission_id"
    };
}

macro_rules! submission_columns {
    () => {
        "s.id, j.kind || ':' || j.job_id as job, j.ordinal, s.account, \
        s.operation, s.planned_at, s.answered_at, s.http_status, s.answer, j.client_ref, j.price, \
        j.outcome, j.remote_id, j.location, j.reason, j.credits, s.verdicts \
        from submission_jobs j join submissions s on s.id = j.submission_id"
    };
}

pub(crate) use {submission_columns, submission_json};

macro_rules! deliverable_json {
    () => {
        "json_object('id', id, 'job', kind || ':' || job_id, 'submission', submission_id, 'type', type, \
        'ordinal', ordinal, 'location', location, 'content_type', content_type, 'bytes', bytes, \
        'sha256', sha256, 'captured_at', captured_at, 'source_hash', source_hash, \
        'quarantined', json(case when quarantined then 'true' else 'false' end), \
        'width', width, 'height', height, 'duration_ms', duration_ms) from deliverables"
    };
}

macro_rules! deliverable_columns {
    () => {
        "id, kind || ':' || job_id as job, submission_id as submission, type, ordinal, location, \
        content_type, bytes, sha256, captured_at, source_hash, quarantined, width, height, \
        duration_ms from deliverables"
    };
}

pub(crate) use {deliverable_columns, deliverable_json};

macro_rules! last_read_sqlite {
    ($kind:literal, $table:literal) => {
        concat!(
            "select '",
            $kind,
            ":' || j.id as job, max(coalesce(r.answered_at, r.sent_at)) as at \
            from ",
            $table,
            " j cross join requests r on r.kind = '",
            $kind,
            "' and r.job_id = j.id \
            where j.status in ('submitting', 'in_doubt', 'running', 'capturing') \
              and r.verb = 'status' and r.lane = ?1 group by j.id"
        )
    };
}

macro_rules! last_read_postgres {
    ($kind:literal, $table:literal) => {
        concat!(
            "select '",
            $kind,
            ":' || j.id as job, max(coalesce(r.answered_at, r.sent_at)) as at \
            from ",
            $table,
            " j join requests r on r.kind = '",
            $kind,
            "' and r.job_id = j.id \
            where j.status in ('submitting', 'in_doubt', 'running', 'capturing') \
              and r.verb = 'status' and r.lane = $1 group by j.id"
        )
    };
}

/// Parameter: count from this moment on. What was sent again while nobody knew its outcome may be charged
/// all the same, so it stays unknown.
macro_rules! spent {
    ($from:literal) => {
        concat!(
            "select j.account as account, s.provider as provider, \
              count(distinct s.id) as submissions, \
              count(case when j.outcome = 'accepted' then 1 end) as accepted, \
              count(case when j.outcome in ('open', 'unknown') then 1 end) as unknown, \
              coalesce(sum(case when j.outcome = 'accepted' then coalesce(j.credits, j.price) end), 0) as credits, \
              coalesce(sum(case when j.outcome in ('open', 'unknown') then j.price end), 0) as reserved \
            from submission_jobs j join submissions s on s.id = j.submission_id \
            where s.planned_at >= ", $from, " \
            group by j.account, s.provider order by j.account, s.provider"
        )
    };
}

statements! {
    EVENTS_OF_JOB: Sql = Sql {
        sqlite: concat!("select ", event_json!(), " from job_events where kind = ?1 and job_id = ?2 order by seq"),
        postgres: concat!("select row_to_json(r)::text from (select ", event_columns!(),
            " from job_events where kind = $1 and job_id = $2 order by seq) r"),
    };
    /// Parameters: a kind, the name of an event, jobs of that kind.
    LAST_EVENTS: Sql = Sql {
        sqlite: concat!("select ", event_json!(), " from job_events where seq in ( \
              select max(seq) from job_events where kind = ?1 and event = ?2 \
                and job_id in (select value from json_each(?3)) group by job_id) order by seq"),
        postgres: concat!("select row_to_json(r)::text from (select ", event_columns!(),
            " from job_events where seq in ( \
              select max(seq) from job_events where kind = $1 and event = $2 \
                and job_id in (select jsonb_array_elements($3::jsonb)::bigint) group by job_id) order by seq) r"),
    };
    EVENTS_AFTER: Sql = Sql {
        sqlite: concat!("select ", event_json!(), " from job_events where seq > ?1 order by seq limit ?2 + 0"),
        postgres: concat!("select row_to_json(r)::text from (select ", event_columns!(),
            " from job_events where seq > $1 order by seq limit $2) r"),
    };
    SUBMISSIONS_OF_JOB: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.kind = ?1 and j.job_id = ?2 order by s.planned_at, s.id"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.kind = $1 and j.job_id = $2 order by s.planned_at, s.id) r"),
    };
    LIVE_SUBMISSIONS: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.lane in (select value from json_each(?1)) \
            and j.outcome in ('open', 'unknown', 'accepted') and j.ended_at is null and j.released_at is null \
            order by s.planned_at, s.id, j.ordinal"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.lane in (select jsonb_array_elements_text($1::jsonb)) \
            and j.outcome in ('open', 'unknown', 'accepted') and j.ended_at is null and j.released_at is null \
            order by s.planned_at, s.id, j.ordinal) r"),
    };
    /// Answered, and not yet concluded.
    ANSWERED: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.lane in (select value from json_each(?1)) and s.verdicts is not null \
            and j.outcome in ('open', 'unknown') and j.ended_at is null and j.released_at is null \
            order by s.planned_at, s.id, j.ordinal"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.lane in (select jsonb_array_elements_text($1::jsonb)) and s.verdicts is not null \
            and j.outcome in ('open', 'unknown') and j.ended_at is null and j.released_at is null \
            order by s.planned_at, s.id, j.ordinal) r"),
    };
    SUBMISSIONS_OF_REMOTES: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.remote_id in (select value from json_each(?2)) and j.kind = ?1 \
            order by s.planned_at, s.id, j.ordinal"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.remote_id in (select jsonb_array_elements_text($2::jsonb)) and j.kind = $1 \
            order by s.planned_at, s.id, j.ordinal) r"),
    };
    DELIVERABLES_OF: Sql = Sql {
        sqlite: concat!("select ", deliverable_json!(),
            " where kind = ?1 and job_id in (select value from json_each(?2)) order by job_id, id"),
        postgres: concat!("select row_to_json(r)::text from (select ", deliverable_columns!(),
            " where kind = $1 and job_id in (select value::bigint from jsonb_array_elements_text($2::jsonb)) \
            order by job_id, id) r"),
    };
    /// Two branches, so that each walks its own index.
    REQUESTS_SINCE: Sql = Sql {
        sqlite: "select json_object('id', id, 'endpoints', endpoints, 'verb', verb, \
              'job', case when kind is not null then kind || ':' || job_id end, 'submission', submission_id, \
              'quota', quota, 'sent_at', sent_at, 'answered_at', answered_at, 'http_status', http_status) \
            from (select * from requests where lane = ?1 and answered_at >= ?2 \
              union all select * from requests where lane = ?1 and answered_at is null) order by sent_at, id",
        postgres: "select row_to_json(r)::text from (select id, endpoints, verb, kind || ':' || job_id as job, \
              submission_id as submission, quota, sent_at, answered_at, http_status \
            from (select * from requests where lane = $1 and answered_at >= $2::timestamptz \
              union all select * from requests where lane = $1 and answered_at is null) q order by sent_at, id) r",
    };
    TOO_MANY: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'endpoints', endpoints, 'sent_at', sent_at, \
              'answered_at', answered_at) \
            from requests where problem = 'rate_limited' and answered_at >= ?2 \
              and lane in (select value from json_each(?1)) order by answered_at, id",
        postgres: "select row_to_json(r)::text from (select lane, endpoints, sent_at, answered_at \
            from requests where problem = 'rate_limited' and answered_at >= $2::timestamptz \
              and lane in (select jsonb_array_elements_text($1::jsonb)) order by answered_at, id) r",
    };
    LAST_READS: Sql = Sql {
        sqlite: concat!("select json_array(job, at) from (",
            last_read_sqlite!("description", "descriptions"), " union all ",
            last_read_sqlite!("image", "image_generations"), " union all ",
            last_read_sqlite!("production", "productions"), ")"),
        postgres: concat!("select json_build_array(job, at)::text from (",
            last_read_postgres!("description", "descriptions"), " union all ",
            last_read_postgres!("image", "image_generations"), " union all ",
            last_read_postgres!("production", "productions"), ") r"),
    };
    SPENT: Sql = Sql {
        sqlite: concat!("select json_object('account', account, 'provider', provider, 'submissions', submissions, \
            'accepted', accepted, 'unknown', unknown, 'credits', credits, 'reserved', reserved) from (",
            spent!("?1"), ")"),
        postgres: concat!("select row_to_json(r)::text from (", spent!("$1::timestamptz"), ") r"),
    };
}

/// A job of the database, and when its state was last read at the provider.
#[derive(Deserialize)]
struct LastRead(JobId, Timestamp);

fn of_job(job: JobId) -> Vec<Arg> {
    vec![job.kind.as_str().into(), job.id.into()]
}

fn lanes_of(lanes: &[LaneKey]) -> Result<Arg, StoreError> {
    list(lanes)
}

impl Store {
    /// The timeline of a job, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events(&self, job: JobId) -> Result<Vec<EventRow>, StoreError> {
        self.read("job_events", &EVENTS_OF_JOB, of_job(job)).await
    }

    /// The latest event of this name of each of these jobs that has one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_events(
        &self,
        jobs: &[JobId],
        event: &str,
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut all = Vec::new();
        for kind in JobKind::ALL {
            let ids: Vec<i64> = (jobs.iter().filter(|job| job.kind == kind))
                .map(|job| job.id)
                .collect();
            if ids.is_empty() {
                continue;
            }
            let args = vec![kind.as_str().into(), event.into(), list(&ids)?];
            all.extend(self.read("job_events", &LAST_EVENTS, args).await?);
        }
        Ok(all)
    }

    /// The timeline of all jobs after `seq`. Commits come in the order of their numbers: who remembers the
    /// last one misses nothing.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn events_after(&self, seq: i64, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let args = vec![seq.into(), Arg::Int(limit.into())];
        self.read("job_events", &EVENTS_AFTER, args).await
    }

    /// The submissions of a job, oldest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn submissions(&self, job: JobId) -> Result<Vec<SubmissionRow>, StoreError> {
        self.read("submission_jobs", &SUBMISSIONS_OF_JOB, of_job(job))
            .await
    }

    /// The submissions of these lanes that are open, unknown, or accepted and not over: what may still be
    /// answered, where a status is read, and which client references are in use. Released ones are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_submissions(
        &self,
        lanes: &[LaneKey],
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        self.read("submission_jobs", &LIVE_SUBMISSIONS, vec![lanes_of(lanes)?])
            .await
    }

    /// Those among them whose answer is here, and whose outcome is open or unknown: a process that had lost
    /// the lane may have brought it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn answered_submissions(
        &self,
        lanes: &[LaneKey],
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        self.read("submission_jobs", &ANSWERED, vec![lanes_of(lanes)?])
            .await
    }

    /// The submissions of jobs of this kind that know one of these remote ids, whatever their lane: an id
    /// without a row here is one that no ledger row knows.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn submissions_of_remotes(
        &self,
        kind: JobKind,
        remote_ids: &[String],
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        let args = vec![kind.as_str().into(), list(remote_ids)?];
        self.read("submission_jobs", &SUBMISSIONS_OF_REMOTES, args)
            .await
    }

    /// The files of a job, in the order of their capture.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn deliverables(&self, job: JobId) -> Result<Vec<DeliverableRow>, StoreError> {
        self.deliverables_of(&[job]).await
    }

    /// The files of these jobs, by kind, job and capture.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn deliverables_of(&self, jobs: &[JobId]) -> Result<Vec<DeliverableRow>, StoreError> {
        let mut found = Vec::new();
        for kind in JobKind::ALL {
            let ids: Vec<i64> = jobs
                .iter()
                .filter(|job| job.kind == kind)
                .map(|job| job.id)
                .collect();
            if !ids.is_empty() {
                let args = vec![kind.as_str().into(), list(&ids)?];
                let rows: Vec<DeliverableRow> =
                    self.read("deliverables", &DELIVERABLES_OF, args).await?;
                found.extend(rows);
            }
        }
        Ok(found)
    }

    /// The requests of a lane that were answered at `since` or later, and those that nobody knows to be
    /// answered, however old.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn requests_since(
        &self,
        lane: &LaneKey,
        since: Timestamp,
    ) -> Result<Vec<Request>, StoreError> {
        let args = vec![lane.0.as_str().into(), since.into()];
        self.read("requests", &REQUESTS_SINCE, args).await
    }

    /// The requests of these lanes that were answered 429 at `since` or later, in the order of their answers.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn too_many(
        &self,
        lanes: &[LaneKey],
        since: Timestamp,
    ) -> Result<Vec<TooMany>, StoreError> {
        self.read("requests", &TOO_MANY, vec![list(lanes)?, since.into()])
            .await
    }

    /// When each job under way was last asked for its state over this lane: the answer's time, or when it
    /// was asked where there is no answer yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn last_reads(&self, lane: &LaneKey) -> Result<Vec<(JobId, Timestamp)>, StoreError> {
        let rows: Vec<LastRead> = self
            .read("requests", &LAST_READS, vec![lane.0.as_str().into()])
            .await?;
        Ok(rows.into_iter().map(|row| (row.0, row.1)).collect())
    }

    /// What the ledger says was charged, by account.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn spent(&self) -> Result<Vec<Spent>, StoreError> {
        self.spent_since(Timestamp::from_millis(0)).await
    }

    /// The same, of submissions planned at `since` or later.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn spent_since(&self, since: Timestamp) -> Result<Vec<Spent>, StoreError> {
        self.read("submission_jobs", &SPENT, vec![since.into()])
            .await
    }
}
