//! One catalog's way into the job tables, a chunk at a time: filters, counts, rejects, inserts. What was
//! inserted before it was killed is passed over the next time, by its dedupe key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use catalog::{Catalog, CatalogSummary, Field, Product, Record, Rejects, Repeat, Row, Why};
use domain::{Input, JobKind};
use store::{NewJob, Store};

use super::make::{Order, is_of_all};
use super::notices::Notices;
use super::report::{FileReport, JobsReport, Sample};
use crate::exit::{Code, Failure};
use crate::output::shortened;

/// Products of one transaction: large enough that its commit does not count.
const CHUNK: usize = 5_000;
/// Jobs that are shown.
const SAMPLES: usize = 3;
/// Rejected rows that are kept for the report.
const FIRST: usize = 5;
/// How much of a job is shown, in characters.
const SAMPLE_CHARS: usize = 300;

/// What is to be done with products.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) only_missing: bool,
    pub(super) keep_repeated: bool,
    pub(super) dry_run: bool,
    /// At most so many products.
    pub(super) sample: u64,
    /// Where rejected rows go; `None`: nowhere, since nothing is written.
    pub(super) rejects: Option<PathBuf>,
}

/// The work of one catalog.
pub(super) struct Intake<'a> {
    pub(super) catalog: Catalog,
    pub(super) orders: Vec<Order<'a>>,
    pub(super) counts: Vec<JobsReport>,
    pub(super) samples: Vec<Sample>,
    rules: &'a Rules,
    store: Option<&'a Store>,
    summary: CatalogSummary,
    rejects: Option<Rejects>,
    rejects_by_code: BTreeMap<String, u64>,
    first_rejects: Vec<(u64, String)>,
    repeated_left_out: u64,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        catalog: Catalog,
        orders: Vec<Order<'a>>,
        rules: &'a Rules,
        store: Option<&'a Store>,
    ) -> Self {
        let rejects = rules.rejects.as_ref();
        let rejects = rejects.map(|path| Rejects::new(path, catalog.delimiter().is_some()));
        let count = |order: &Order<'_>| JobsReport {
            operation: order.task.operation(),
            account: order
                .account
                .map(|account| account.name.clone())
                .or(order.named.clone()),
            provider: Some(order.task.provider()),
            model: order.model().map(str::to_owned),
            credits_each: order.price(),
            ..JobsReport::default()
        };
        Self {
            counts: orders.iter().map(count).collect(),
            catalog,
            orders,
            samples: Vec::new(),
            rules,
            store,
            summary: CatalogSummary::default(),
            rejects,
            rejects_by_code: BTreeMap::new(),
            first_rejects: Vec::new(),
            repeated_left_out: 0,
        }
    }

    /// Reads all of it.
    pub(super) async fn run(&mut self, file: &str, notices: &mut Notices) -> Result<(), Failure> {
        for order in &self.orders {
            if let Some(template) = order.task.template() {
                let checked = template.check(&self.catalog);
                checked.map_err(|error| Failure::new(Code::Usage, error))?;
            }
        }
        let mut chunk: Vec<Product> = Vec::new();
        let mut taken = 0;
        while taken < self.rules.sample {
            let Some(row) = self.catalog.next() else {
                break;
            };
            let row = row.map_err(|error| Failure::new(Code::Error, error))?;
            self.summary.add(&row);
            match row {
                Row::Part(_) => {}
                Row::Rejected(no) => {
                    self.reject(no.line, &no.column, no.code, &no.reason, &no.records)?;
                }
                Row::Product(product) => {
                    notices.add(file, &product)?;
                    if self.is_left_out(&product)? {
                        continue;
                    }
                    taken += 1;
                    if !self.orders.is_empty() {
                        chunk.push(*product);
                    }
                }
            }
            if chunk.len() >= CHUNK {
                self.take(&std::mem::take(&mut chunk)).await?;
            }
        }
        self.take(&chunk).await?;
        if let Some(rejects) = &mut self.rejects {
            rejects.finish()?;
        }
        Ok(())
    }

    /// Whether the product is a repetition that is not wanted.
    fn is_left_out(&mut self, product: &Product) -> Result<bool, Failure> {
        let (code, reason) = match product.repeats {
            None => return Ok(false),
            Some(Repeat::Barcode(_)) if self.rules.keep_repeated => return Ok(false),
            Some(Repeat::Barcode(line)) => (
                "repeated_barcode",
                format!("the product on line {line} has this barcode (--keep-repeated takes both)"),
            ),
            Some(Repeat::Id(line)) => (
                "repeated_sku",
                format!("the product on line {line} has this id"),
            ),
            Some(Repeat::Title(line)) => (
                "repeated_name",
                format!(
                    "the product on line {line} has this name: give one of them an id or a barcode"
                ),
            ),
        };
        self.repeated_left_out += 1;
        let field = match product.repeats {
            Some(Repeat::Id(_)) => Field::Id,
            Some(Repeat::Title(_)) => Field::Title,
            Some(Repeat::Barcode(_)) | None => Field::Barcode,
        };
        let column = self
            .catalog
            .columns_of(field)
            .into_iter()
            .next()
            .unwrap_or_default();
        self.reject(product.line, &column, code, &reason, &product.records)?;
        Ok(true)
    }

    fn reject(
        &mut self,
        line: u64,
        column: &str,
        code: &str,
        reason: &str,
        records: &[Record],
    ) -> Result<(), Failure> {
        *self.rejects_by_code.entry(code.to_owned()).or_default() += 1;
        if self.first_rejects.len() < FIRST {
            self.first_rejects.push((line, reason.to_owned()));
        }
        if let Some(rejects) = &mut self.rejects {
            let why = Why {
                line,
                column,
                reason,
            };
            rejects.add(self.catalog.header(), records, why)?;
        }
        Ok(())
    }

    /// Makes jobs of these products and inserts what is new.
    async fn take(&mut self, products: &[Product]) -> Result<(), Failure> {
        if products.is_empty() {
            return Ok(());
        }
        let made = self.made(products).await?;
        let mut jobs: Vec<(usize, NewJob)> = Vec::new();
        let mut problems = Vec::new();
        for product in products {
            for (place, order) in self.orders.iter().enumerate() {
                let Some(count) = self.counts.get_mut(place) else {
                    continue;
                };
                if self.rules.only_missing && place_of_text(order, product) {
                    count.has_text += 1;
                    continue;
                }
                let done = (product.client_product_id(), order.task.operation());
                if made.contains(&done) {
                    count.has_job += 1;
                    continue;
                }
                match order.job(product, self.catalog.header()) {
                    Ok(job) => jobs.push((place, job)),
                    Err(problem) if is_of_all(&problem.code) => {
                        return Err(Failure::say(Code::Usage, problem.reason));
                    }
                    Err(problem) => {
                        count.impossible += 1;
                        problems.push((product, problem));
                    }
                }
            }
        }
        for (product, problem) in problems {
            let (code, reason) = (&problem.code, &problem.reason);
            self.reject(product.line, "", code, reason, &product.records)?;
        }
        self.show(&jobs);
        self.insert(jobs).await
    }

    /// Which of these products have which jobs already, where that is asked for.
    async fn made(
        &self,
        products: &[Product],
    ) -> Result<BTreeSet<(String, &'static str)>, Failure> {
        let mut made = BTreeSet::new();
        let Some(store) = self.store.filter(|_| self.rules.only_missing) else {
            return Ok(made);
        };
        let ids: Vec<String> = products.iter().map(Product::client_product_id).collect();
        let kinds: BTreeSet<JobKind> = self.orders.iter().map(|order| order.task.kind()).collect();
        for kind in kinds {
            for (id, operation) in store.products_with_jobs(kind, &ids).await? {
                let of_kind = self.orders.iter().filter(|order| order.task.kind() == kind);
                let mut names = of_kind.map(|order| order.task.operation());
                let name = names.find(|name| operation.is_empty() || *name == operation);
                made.extend(name.map(|name| (id, name)));
            }
        }
        Ok(made)
    }

    fn show(&mut self, jobs: &[(usize, NewJob)]) {
        let room = SAMPLES.saturating_sub(self.samples.len());
        for (place, job) in jobs.iter().take(room) {
            self.samples.push(Sample {
                product: job.client_product_id.clone().unwrap_or_default(),
                operation: self
                    .orders
                    .get(*place)
                    .map_or("", |order| order.task.operation()),
                asks_for: shortened(&asks_for(job), SAMPLE_CHARS),
            });
        }
    }

    /// Inserts what is new; a dry run only counts it.
    async fn insert(&mut self, jobs: Vec<(usize, NewJob)>) -> Result<(), Failure> {
        let mut by_order: Vec<Vec<NewJob>> = self.orders.iter().map(|_| Vec::new()).collect();
        for (place, job) in jobs {
            if let Some(own) = by_order.get_mut(place) {
                own.push(job);
            }
        }
        for (place, (count, own)) in self.counts.iter_mut().zip(by_order).enumerate() {
            let all = u64::try_from(own.len()).unwrap_or_default();
            let new = match (self.store, self.rules.dry_run) {
                (Some(store), false) => store.insert_jobs(&own).await?,
                (Some(store), true) => {
                    let keys = own.into_iter().filter_map(|job| job.dedupe_key);
                    let keys: Vec<String> = keys.collect();
                    let kind = self.orders.get(place).map(|order| order.task.kind());
                    let known = match kind {
                        Some(kind) => store.known_keys(kind, &keys).await?.len(),
                        None => 0,
                    };
                    all - u64::try_from(known).unwrap_or_default().min(all)
                }
                (None, _) => all,
            };
            count.new += new;
            count.known += all - new.min(all);
        }
        Ok(())
    }

    /// What came in.
    pub(super) fn report(&self, file: &Path, batch: &str, notices: &Notices) -> FileReport {
        let columns = Field::ALL.into_iter().filter_map(|field| {
            let names = self.catalog.columns_of(field);
            (!names.is_empty()).then(|| (field.as_str(), names))
        });
        let written = self.rejects.as_ref().filter(|rejects| rejects.rows() > 0);
        FileReport {
            file: file.display().to_string(),
            batch: batch.to_owned(),
            format: self.catalog.format(),
            encoding: self.catalog.encoding(),
            delimiter: self.catalog.delimiter(),
            columns: columns.collect(),
            summary: self.summary.clone(),
            repeated_left_out: self.repeated_left_out,
            rejects_by_code: self.rejects_by_code.clone(),
            rejects: written.map(|rejects| rejects.path().to_path_buf()),
            first_rejects: self.first_rejects.clone(),
            first_notices: notices.first.clone(),
        }
    }
}

/// Whether the order is for a text, and the product has one in the file.
fn place_of_text(order: &Order<'_>, product: &Product) -> bool {
    order.task.kind() == JobKind::Description && product.description.is_some()
}

/// What a job asks its provider for.
fn asks_for(job: &NewJob) -> String {
    let words = |parts: &[&Option<String>]| {
        let parts = parts.iter().filter_map(|part| part.as_deref());
        parts.collect::<Vec<&str>>().join(", ")
    };
    match &job.input {
        Some(Input::Description(row)) => words(&[&row.ean, &row.product_name, &row.product_brand]),
        Some(Input::Image(row)) => words(&[&row.prompt, &row.image_url.as_deref().map(host)]),
        Some(Input::Production(row)) => words(&[&Some(row.topic.clone()), &row.metadata_md]),
        None => String::new(),
    }
}

/// A link can carry a signature, so that its query is not shown.
fn host(url: &str) -> String {
    format!("from {}", url.split(['?', '#']).next().unwrap_or_default())
}
