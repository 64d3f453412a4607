//! A job's row and a [`Job`]: the one place where columns become states and states become columns.
//!
//! Reading is strict: a row that breaks an invariant (running without a remote id) is
//! [`StoreError::Inconsistent`] with its name, never a default.

use domain::{
    Cancel, Fault, Input, JobId, JobKind, JobState, Remote, Status, SubmissionId, Timestamp, Work,
};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::model::{Job, JobChange};

/// The columns that all three tables have, as members of a SQLite `json_object`.
macro_rules! work_json {
    () => {
        "'id', id, 'account', account, 'taken_by', taken_by, 'client_product_id', client_product_id, \
        'batch', batch, 'priority', priority, 'run_at', run_at, 'not_before', not_before, \
        'created_at', created_at, 'updated_at', updated_at, 'version', version, 'status', status, \
        'attempt', attempt, 'max_attempts', max_attempts, 'submission_id', submission_id, \
        'remote_id', remote_id, 'remote_status', remote_status, 'error_code', error_code, \
        'error_message', error_message, 'credits', credits, 'warning', warning, 'cancel', cancel, \
        'submitted_at', submitted_at, 'completed_at', completed_at"
    };
}

/// The same, as a select list of PostgreSQL.
macro_rules! work_columns {
    () => {
        "id, account, taken_by, client_product_id, \
        batch, priority, run_at, not_before, \
        created_at, updated_at, version, status, \
        attempt, max_attempts, submission_id, \
        remote_id, remote_status, error_code, \
        error_message, credits, warning, cancel, \
        submitted_at, completed_at"
    };
}

macro_rules! description_json {
    () => {
        concat!("json_object(", work_json!(), ", 'description', description, 'input', json_object('kind', 'description', \
        'project_id', project_id, 'ean', ean, 'product_name', product_name, 'product_brand', product_brand))")
    };
}

macro_rules! description_columns {
    () => {
        concat!(work_columns!(), ", description, json_build_object('kind', 'description', \
        'project_id', project_id, 'ean', ean, 'product_name', product_name, 'product_brand', product_brand) as input")
    };
}

macro_rules! image_json {
    () => {
        concat!(
            "json_object(",
            work_json!(),
            ", 'result_url', result_url, 'input', json_object('kind', 'image', \
        'operation', operation, 'model', model, 'prompt', prompt, 'image_url', image_url, \
        'second_image_url', second_image_url, 'source_job', source_job))"
        )
    };
}

macro_rules! image_columns {
    () => {
        concat!(
            work_columns!(),
            ", result_url, json_build_object('kind', 'image', \
        'operation', operation, 'model', model, 'prompt', prompt, 'image_url', image_url, \
        'second_image_url', second_image_url, 'source_job', source_job) as input"
        )
    };
}

macro_rules! production_json {
    () => {
        concat!("json_object(", work_json!(), ", 'input', json_object('kind', 'production', \
        'jarai_account_id', jarai_account_id, 'topic', topic, 'language_id', language_id, 'country_id', country_id, \
        'avatar_id', avatar_id, 'project_type_slug', project_type_slug, 'metadata_md', metadata_md))")
    };
}

macro_rules! production_columns {
    () => {
        concat!(work_columns!(), ", json_build_object('kind', 'production', \
        'jarai_account_id', jarai_account_id, 'topic', topic, 'language_id', language_id, 'country_id', country_id, \
        'avatar_id', avatar_id, 'project_type_slug', project_type_slug, 'metadata_md', metadata_md) as input")
    };
}

pub(crate) use {
    description_columns, description_json, image_columns, image_json, production_columns,
    production_json, work_columns, work_json,
};

/// A job's row as the statements above return it.
#[derive(Debug, Deserialize)]
pub(crate) struct JobRow {
    id: i64,
    account: Option<String>,
    taken_by: Option<String>,
    client_product_id: Option<String>,
    batch: Option<String>,
    priority: i64,
    run_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    version: i64,
    status: Status,
    attempt: u32,
    max_attempts: u32,
    submission_id: Option<SubmissionId>,
    remote_id: Option<String>,
    remote_status: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
    credits: Option<i64>,
    warning: Option<String>,
    cancel: Option<Cancel>,
    submitted_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    result_url: Option<String>,
    input: Input,
}

impl JobRow {
    /// The job that the row is.
    pub(crate) fn into_job(self) -> Result<Job, StoreError> {
        let kind = self.input.kind();
        let state = self.state(kind)?;
        Ok(Job {
            id: JobId::new(kind, self.id),
            account: self.account,
            taken_by: self.taken_by,
            client_product_id: self.client_product_id,
            batch: self.batch,
            priority: self.priority,
            run_at: self.run_at,
            not_before: self.not_before,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
            input: self.input,
            work: Work {
                state,
                attempt: self.attempt,
                max_attempts: self.max_attempts,
                cancel: self.cancel,
                credits: self.credits,
                submitted_at: self.submitted_at,
                completed_at: self.completed_at,
            },
            warning: self.warning,
            description: self.description,
            result_url: self.result_url,
        })
    }

    fn state(&self, kind: JobKind) -> Result<JobState, StoreError> {
        let lacks = |column: &str| StoreError::Inconsistent {
            table: kind.table(),
            what: format!("{kind}:{} is {} without {column}", self.id, self.status),
        };
        let fault = match (&self.error_code, &self.error_message) {
            (Some(code), Some(message)) => Some(Fault::new(code, message)),
            _ => None,
        };
        let remote = match (&self.submission_id, &self.remote_id) {
            (Some(submission), Some(id)) => Some(Remote {
                submission: submission.clone(),
                id: id.clone(),
                status: self.remote_status.clone(),
            }),
            _ => None,
        };
        let submission = || {
            self.submission_id
                .clone()
                .ok_or_else(|| lacks("submission_id"))
        };
        let at_provider = || remote.clone().ok_or_else(|| lacks("remote_id"));
        Ok(match self.status {
            Status::Pending => JobState::Pending { waits: fault },
            Status::Submitting => JobState::Submitting {
                submission: submission()?,
            },
            Status::InDoubt => JobState::InDoubt {
                submission: submission()?,
                why: fault.ok_or_else(|| lacks("error_code"))?,
            },
            Status::Running => JobState::Running {
                remote: at_provider()?,
            },
            Status::Capturing => JobState::Capturing {
                remote: at_provider()?,
                trouble: fault,
            },
            Status::Completed => JobState::Completed {
                remote: at_provider()?,
            },
            Status::Failed => JobState::Failed {
                fault: fault.ok_or_else(|| lacks("error_code"))?,
                remote,
            },
            Status::Cancelled => JobState::Cancelled { remote },
        })
    }
}

/// Rows into jobs.
pub(crate) fn jobs(rows: Vec<JobRow>) -> Result<Vec<Job>, StoreError> {
    rows.into_iter().map(JobRow::into_job).collect()
}

/// What a [`JobChange`] writes: the worker's columns of a row.
#[derive(Debug, Serialize)]
pub(crate) struct ChangedRow<'a> {
    pub(crate) id: i64,
    version: i64,
    taken_by: Option<&'a str>,
    status: Status,
    attempt: u32,
    submission_id: Option<&'a SubmissionId>,
    remote_id: Option<&'a str>,
    remote_status: Option<&'a str>,
    error_code: Option<&'a str>,
    error_message: Option<&'a str>,
    credits: Option<i64>,
    cancel: Option<Cancel>,
    not_before: Option<Timestamp>,
    submitted_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    updated_at: Timestamp,
    warning: Option<&'a str>,
    description: Option<&'a str>,
    result_url: Option<&'a str>,
}

impl<'a> ChangedRow<'a> {
    /// The columns of this change.
    pub(crate) fn new(change: &'a JobChange) -> Self {
        let state = &change.work.state;
        let remote = state.remote();
        let fault = state.fault();
        Self {
            id: change.job.id,
            version: change.version,
            taken_by: change.taken_by.as_deref(),
            status: state.status(),
            attempt: change.work.attempt,
            submission_id: state.submission(),
            remote_id: remote.map(|remote| remote.id.as_str()),
            remote_status: remote.and_then(|remote| remote.status.as_deref()),
            error_code: fault.map(|fault| fault.code.as_str()),
            error_message: fault.map(|fault| fault.message.as_str()),
            credits: change.work.credits,
            cancel: change.work.cancel,
            not_before: change.not_before,
            submitted_at: change.work.submitted_at,
            completed_at: change.work.completed_at,
            updated_at: change.at,
            warning: change.warning.as_deref(),
            description: change.description.as_deref(),
            result_url: change.result_url.as_deref(),
        }
    }
}
