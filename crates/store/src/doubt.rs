//! Reading what may settle a doubt: webhooks by state, submissions that were given up while nobody knew
//! their outcome, who knows a remote id, and whether an input names one job only. Nothing is decided
//! here; what is concluded goes through [`Store::commit`] as all else.

use domain::{JobId, JobKind, Timestamp};

use crate::db::Arg;
use crate::jobs::list;
use crate::ledger::{submission_columns, submission_json};
use crate::model::{LaneKey, SubmissionRow, Webhook};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

statements! {
    WEBHOOKS_IN_STATE: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'dedupe_key', dedupe_key, \
              'received_at', received_at, 'body', body, 'note', note, \
              'verified', json(case when verified then 'true' else 'false' end)) \
            from webhook_inbox where state in ('open', 'parked') and state = ?1 \
              and account in (select value from json_each(?2)) order by id limit ?3 + 0",
        postgres: "select row_to_json(r)::text from (select id, account, dedupe_key, received_at, body, note, verified \
            from webhook_inbox where state in ('open', 'parked') and state = $1 \
              and account in (select jsonb_array_elements_text($2::jsonb)) order by id limit $3) r",
    };
    IGNORED_WEBHOOKS: Sql = Sql {
        sqlite: "select json_object('id', id, 'account', account, 'dedupe_key', dedupe_key, \
              'received_at', received_at, 'body', body, 'note', note, \
              'verified', json(case when verified then 'true' else 'false' end)) \
            from webhook_inbox where state = 'ignored' and decided_at >= ?1 \
              and account in (select value from json_each(?2)) order by decided_at desc, id limit ?3 + 0",
        postgres: "select row_to_json(r)::text from (select id, account, dedupe_key, received_at, body, note, verified \
            from webhook_inbox where state = 'ignored' and decided_at >= $1::timestamptz \
              and account in (select jsonb_array_elements_text($2::jsonb)) order by decided_at desc, id limit $3) r",
    };
    /// Walks the index on account and outcome: the unknown ones are few, however large the ledger.
    PAST_DOUBTS: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.account in (select value from json_each(?1)) and j.outcome = 'unknown' \
            and (j.ended_at is not null or j.released_at is not null) and s.planned_at >= ?2 \
            order by s.planned_at desc, s.id, j.ordinal limit ?3 + 0"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.account in (select jsonb_array_elements_text($1::jsonb)) and j.outcome = 'unknown' \
            and (j.ended_at is not null or j.released_at is not null) and s.planned_at >= $2::timestamptz \
            order by s.planned_at desc, s.id, j.ordinal limit $3) r"),
    };
    SUBMISSIONS_OF_REMOTE: Sql = Sql {
        sqlite: concat!("select ", submission_json!(),
            " where j.remote_id = ?2 and j.kind = ?1 order by s.planned_at, s.id, j.ordinal"),
        postgres: concat!("select row_to_json(r)::text from (select ", submission_columns!(),
            " where j.remote_id = $2 and j.kind = $1 order by s.planned_at, s.id, j.ordinal) r"),
    };
    /// Those of other keys: few at any time, and asked for when all else fits already.
    DOUBTS_OF_OTHERS: Sql = Sql {
        sqlite: "select json_quote(j.kind || ':' || j.job_id) \
            from submission_jobs j join submissions s on s.id = j.submission_id \
            where j.kind = ?1 and j.lane <> ?2 and j.outcome in ('open', 'unknown') \
              and s.planned_at >= ?3 and s.planned_at <= ?4 order by s.planned_at desc limit 100",
        postgres: "select to_json(j.kind || ':' || j.job_id)::text \
            from submission_jobs j join submissions s on s.id = j.submission_id \
            where j.kind = $1 and j.lane <> $2 and j.outcome in ('open', 'unknown') \
              and s.planned_at >= $3::timestamptz and s.planned_at <= $4::timestamptz \
            order by s.planned_at desc limit 100",
    };
    /// Two tell that there is more than one. There is no index on prompts: whoever asks does so when all
    /// else fits already.
    JOBS_WITH_PROMPT: Sql = Sql {
        sqlite: "select json_quote('image:' || id) from image_generations \
            where operation = 'generate' and trim(prompt, ' ' || char(9, 10, 13)) = ?1 limit 2",
        postgres: "select to_json('image:' || id)::text from image_generations \
            where operation = 'generate' and btrim(prompt, ' ' || chr(9) || chr(10) || chr(13)) = $1 limit 2",
    };
}

impl Store {
    /// Webhooks of these accounts in this state (`open` or `parked`), oldest first, with the note that a
    /// parked one carries.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn webhooks_in(
        &self,
        state: &str,
        accounts: &[String],
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let args = vec![state.into(), list(accounts)?, Arg::Int(limit.into())];
        self.read("webhook_inbox", &WEBHOOKS_IN_STATE, args).await
    }

    /// Webhooks of these accounts that were ignored at `since` or later, youngest first: what other clients
    /// of the same key did.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ignored_webhooks(
        &self,
        accounts: &[String],
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Webhook>, StoreError> {
        let args = vec![since.into(), list(accounts)?, Arg::Int(limit.into())];
        self.read("webhook_inbox", &IGNORED_WEBHOOKS, args).await
    }

    /// Submissions that these accounts made at `since` or later, and that were given up or sent again
    /// while nobody knew whether the provider had accepted them; youngest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn past_doubts(
        &self,
        accounts: &[String],
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        let args = vec![list(accounts)?, since.into(), Arg::Int(limit.into())];
        self.read("submission_jobs", &PAST_DOUBTS, args).await
    }

    /// The submissions of jobs of this kind that know this remote id, whatever their lane.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn submissions_of_remote(
        &self,
        kind: JobKind,
        remote_id: &str,
    ) -> Result<Vec<SubmissionRow>, StoreError> {
        let args = vec![kind.as_str().into(), remote_id.into()];
        self.read("submission_jobs", &SUBMISSIONS_OF_REMOTE, args)
            .await
    }

    /// Jobs of this kind that other lanes than this one submitted between these moments, and of whose outcome
    /// nobody knows; youngest first, a hundred at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn doubts_of_others(
        &self,
        kind: JobKind,
        lane: &LaneKey,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Vec<JobId>, StoreError> {
        let lane = lane.0.as_str().into();
        let args = vec![kind.as_str().into(), lane, from.into(), to.into()];
        self.read("submission_jobs", &DOUBTS_OF_OTHERS, args).await
    }

    /// Image jobs that ask for this prompt, in whatever state: none, one, or two where there are more.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs_with_prompt(&self, prompt: &str) -> Result<Vec<JobId>, StoreError> {
        let args = vec![prompt.trim().into()];
        self.read("image_generations", &JOBS_WITH_PROMPT, args)
            .await
    }
}
