//! What was made of each product, page by page in the order of their ids: memory stays flat, however many
//! there are.

use std::collections::{BTreeMap, VecDeque};

use domain::{Input, JobId, JobKind, Timestamp};
use store::{DeliverableRow, Job, ResultFilter, Store, StoreError};

/// Products that are read at once.
const PAGE: u32 = 500;

/// A job with its files.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) job: Job,
    /// Of the submission that counts, without what is in quarantine.
    pub(super) files: Vec<DeliverableRow>,
}

/// All wanted jobs of a product; of rows that name none, one job.
#[derive(Debug, Clone, Default)]
pub(super) struct ProductResult {
    pub(super) id: Option<String>,
    pub(super) jobs: Vec<Made>,
}

impl Made {
    /// `description`, `generate`, `upscale` or `production`.
    pub(super) fn operation(&self) -> &str {
        match &self.job.input {
            Input::Description(_) => "description",
            Input::Image(image) => &image.operation,
            Input::Production(_) => "production",
        }
    }

    /// Its newest file of this type.
    pub(super) fn file(&self, r#type: &str) -> Option<&DeliverableRow> {
        self.files
            .iter()
            .filter(|file| file.r#type == r#type)
            .max_by_key(|file| file.id)
    }

    fn completed_at(&self) -> Option<Timestamp> {
        self.job.work.completed_at
    }
}

impl ProductResult {
    /// The newest job that does this.
    pub(super) fn newest(&self, operation: &str) -> Option<&Made> {
        let own = self
            .jobs
            .iter()
            .filter(|made| made.operation() == operation);
        own.max_by_key(|made| (made.completed_at(), made.job.id.id))
    }

    /// The text.
    pub(super) fn text(&self) -> Option<&str> {
        self.newest("description")?.job.description.as_deref()
    }

    /// The product's name, as the newest row that has one gives it.
    pub(super) fn title(&self) -> Option<&str> {
        let named = self.jobs.iter().filter_map(|made| match &made.job.input {
            Input::Description(row) => Some((made.job.id.id, row.product_name.as_deref()?)),
            Input::Image(_) | Input::Production(_) => None,
        });
        named.max().map(|(_, name)| name)
    }

    /// When the last of it ended.
    pub(super) fn completed_at(&self) -> Option<Timestamp> {
        self.jobs.iter().filter_map(Made::completed_at).max()
    }
}

/// Reads product by product.
#[derive(Debug)]
pub(super) struct Products<'a> {
    store: &'a Store,
    filter: &'a ResultFilter,
    after: String,
    ready: VecDeque<ProductResult>,
    /// The kinds whose jobs without a product are still to be read, and after which id.
    unnamed: VecDeque<(JobKind, i64)>,
    is_named_over: bool,
}

impl<'a> Products<'a> {
    pub(super) fn new(store: &'a Store, filter: &'a ResultFilter) -> Self {
        Self {
            store,
            filter,
            after: String::new(),
            ready: VecDeque::new(),
            unnamed: JobKind::ALL.into_iter().map(|kind| (kind, 0)).collect(),
            is_named_over: false,
        }
    }

    /// The next product; None when there is no more.
    pub(super) async fn next(&mut self) -> Result<Option<ProductResult>, StoreError> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Ok(Some(ready));
            }
            if !self.is_named_over {
                self.read_named().await?;
            } else if !self.unnamed.is_empty() {
                self.read_unnamed().await?;
            } else {
                return Ok(None);
            }
        }
    }

    async fn read_named(&mut self) -> Result<(), StoreError> {
        let ids = self
            .store
            .next_products(&self.after, self.filter, PAGE)
            .await?;
        let Some(last) = ids.last() else {
            self.is_named_over = true;
            return Ok(());
        };
        last.clone_into(&mut self.after);
        let jobs = self.store.jobs_of_products(&ids, self.filter).await?;
        let mut products: BTreeMap<String, ProductResult> = BTreeMap::new();
        for made in with_files(self.store, jobs).await? {
            let id = made.job.client_product_id.clone().unwrap_or_default();
            let product = products.entry(id.clone()).or_default();
            product.id = Some(id);
            product.jobs.push(made);
        }
        self.ready.extend(products.into_values());
        Ok(())
    }

    async fn read_unnamed(&mut self) -> Result<(), StoreError> {
        let Some((kind, after)) = self.unnamed.pop_front() else {
            return Ok(());
        };
        let jobs = self
            .store
            .jobs_of_no_product(kind, after, self.filter, PAGE)
            .await?;
        if let Some(last) = jobs.last() {
            self.unnamed.push_front((kind, last.id.id));
        }
        let alone = |made| ProductResult {
            id: None,
            jobs: vec![made],
        };
        self.ready
            .extend(with_files(self.store, jobs).await?.into_iter().map(alone));
        Ok(())
    }
}

async fn with_files(store: &Store, jobs: Vec<Job>) -> Result<Vec<Made>, StoreError> {
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let mut files: BTreeMap<JobId, Vec<DeliverableRow>> = BTreeMap::new();
    for file in store.deliverables_of(&ids).await? {
        files.entry(file.job).or_default().push(file);
    }
    let made = jobs.into_iter().map(|job| {
        let mut own = files.remove(&job.id).unwrap_or_default();
        let counts = job.work.state.remote().map(|remote| &remote.submission);
        own.retain(|file| !file.quarantined && Some(&file.submission) == counts);
        Made { job, files: own }
    });
    Ok(made.collect())
}
