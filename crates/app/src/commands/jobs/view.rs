//! A job as people and programs see it: the columns of its table, by their names (DESIGN.md 3.1).

use domain::{DescriptionInput, ImageInput, Input, JobId, ProductionInput, Status, Timestamp};
use serde::Serialize;
use store::Job;

/// The columns of a row. Inputs stand beside the others, with `kind`.
#[derive(Debug, Serialize)]
pub(super) struct JobView<'a> {
    job: JobId,
    id: i64,
    pub(super) status: Status,
    pub(super) account: Option<&'a str>,
    taken_by: Option<&'a str>,
    pub(super) client_product_id: Option<&'a str>,
    pub(super) batch: Option<&'a str>,
    priority: i64,
    run_at: Option<Timestamp>,
    not_before: Option<Timestamp>,
    attempt: u32,
    max_attempts: u32,
    pub(super) remote_id: Option<&'a str>,
    pub(super) remote_status: Option<&'a str>,
    pub(super) error_code: Option<&'a str>,
    pub(super) error_message: Option<&'a str>,
    pub(super) warning: Option<&'a str>,
    pub(super) credits: Option<i64>,
    created_at: Timestamp,
    submitted_at: Option<Timestamp>,
    completed_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
    #[serde(flatten)]
    input: &'a Input,
    pub(super) description: Option<&'a str>,
    pub(super) result_url: Option<&'a str>,
}

impl<'a> JobView<'a> {
    pub(super) fn of(job: &'a Job) -> Self {
        let work = &job.work;
        let (remote, fault) = (work.state.remote(), work.state.fault());
        Self {
            job: job.id,
            id: job.id.id,
            status: work.status(),
            account: job.account.as_deref(),
            taken_by: job.taken_by.as_deref(),
            client_product_id: job.client_product_id.as_deref(),
            batch: job.batch.as_deref(),
            priority: job.priority,
            run_at: job.run_at,
            not_before: job.not_before,
            attempt: work.attempt,
            max_attempts: work.max_attempts,
            remote_id: remote.map(|remote| remote.id.as_str()),
            remote_status: remote.and_then(|remote| remote.status.as_deref()),
            error_code: fault.map(|fault| fault.code.as_str()),
            error_message: fault.map(|fault| fault.message.as_str()),
            warning: job.warning.as_deref(),
            credits: work.credits,
            created_at: job.created_at,
            submitted_at: work.submitted_at,
            completed_at: work.completed_at,
            updated_at: job.updated_at,
            input: &job.input,
            description: job.description.as_deref(),
            result_url: job.result_url.as_deref(),
        }
    }

    /// Who works on it.
    pub(super) fn worker(&self) -> Option<&'a str> {
        self.taken_by.or(self.account)
    }

    /// The filled columns with what the row asks for, by their names.
    pub(super) fn inputs(&self) -> Vec<(&'static str, String)> {
        let source_job = |id: Option<i64>| id.map(|id| format!("image:{id}"));
        let columns: Vec<(&'static str, Option<String>)> = match self.input {
            Input::Description(DescriptionInput {
                project_id,
                ean,
                product_name,
                product_brand,
            }) => vec![
                ("project_id", project_id.clone()),
                ("ean", ean.clone()),
                ("product_name", product_name.clone()),
                ("product_brand", product_brand.clone()),
            ],
            Input::Image(ImageInput {
                operation,
                model,
                prompt,
                image_url,
                second_image_url,
                source_job: source,
            }) => vec![
                ("operation", Some(operation.clone())),
                ("model", model.clone()),
                ("prompt", prompt.clone()),
                ("image_url", image_url.clone()),
                ("second_image_url", second_image_url.clone()),
                ("source_job", source_job(*source)),
            ],
            Input::Production(ProductionInput {
                jarai_account_id,
                topic,
                language_id,
                country_id,
                avatar_id,
                project_type_slug,
                metadata_md,
            }) => vec![
                ("jarai_account_id", jarai_account_id.clone()),
                ("topic", Some(topic.clone())),
                ("language_id", language_id.clone()),
                ("country_id", country_id.clone()),
                ("avatar_id", avatar_id.clone()),
                ("project_type_slug", project_type_slug.clone()),
                ("metadata_md", metadata_md.clone()),
            ],
        };
        let filled = columns
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        filled.collect()
    }

    /// What it is about, in a few words.
    pub(super) fn about(&self) -> String {
        let text = match self.input {
            Input::Description(row) => row.product_name.as_deref().or(row.ean.as_deref()),
            Input::Image(row) => row.prompt.as_deref().or(Some(row.operation.as_str())),
            Input::Production(row) => Some(row.topic.as_str()),
        };
        text.unwrap_or_default().to_owned()
    }

    /// Its name.
    pub(super) fn name(&self) -> JobId {
        self.job
    }
}
