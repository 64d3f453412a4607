//! The catalog's way into the job tables, a chunk at a time, and the list of what is odd about it.

use std::fs::File;
use std::path::Path;

use catalog::{Catalog, CatalogError, CatalogSummary, Mapping, Row};
use domain::{Input, JobKind};
use store::{JobFilter, NewJob, Store};

use super::BATCH;
use super::place::DemoPlace;
use super::plan::{Planner, Source};
use crate::cli::DemoArgs;
use crate::exit::{Code, Failure};
use crate::tally::Tally;

/// Jobs of one transaction.
const CHUNK: usize = 1_000;
/// Notices that are kept for the terminal; all are in the file.
const KEPT: usize = 20;

/// What came in.
#[derive(Debug)]
pub(super) struct Fed {
    /// The catalog's file name.
    pub(super) file: String,
    /// How it is written: encoding and delimiter.
    pub(super) form: String,
    /// Its rows, counted.
    pub(super) summary: CatalogSummary,
    /// What is odd about them.
    pub(super) notices: Notices,
    /// Jobs that were not there before.
    pub(super) new_jobs: u64,
    /// Jobs of this batch that must be there now.
    pub(super) inserted: u64,
}

/// Reads the catalog and inserts its jobs.
pub(super) async fn feed(
    store: &Store,
    args: &DemoArgs,
    place: &DemoPlace,
) -> Result<Fed, Failure> {
    let before = Tally::of(&store.counts(Some(BATCH)).await?).jobs;
    let (file, mut catalog) = open(args.file.as_deref())?;
    let mut planner = Planner::new(&file);
    let mut summary = CatalogSummary::default();
    let mut notices = Notices::create(&place.notices())?;
    let mut chunk = Vec::new();
    let mut new_jobs = 0;
    let rows = usize::try_from(args.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    for row in catalog.by_ref().take(rows) {
        let row = row.map_err(unreadable)?;
        summary.add(&row);
        notices.add(&row)?;
        if let Row::Product(product) = row {
            chunk.extend(planner.jobs(&product));
        }
        if chunk.len() >= CHUNK {
            new_jobs += store.insert_jobs(&chunk).await?;
            chunk.clear();
        }
    }
    new_jobs += store.insert_jobs(&chunk).await?;
    new_jobs += insert_upscales(store, &planner).await?;
    notices.finish()?;
    let (encoding, delimiter) = (catalog.encoding(), catalog.delimiter());
    Ok(Fed {
        file,
        form: match delimiter {
            Some(delimiter) => format!("{encoding}, cells divided by {delimiter:?}"),
            None => encoding.to_owned(),
        },
        summary,
        notices,
        new_jobs,
        inserted: u64::try_from(before).unwrap_or(0) + new_jobs,
    })
}

fn open(file: Option<&Path>) -> Result<(String, Catalog), Failure> {
    match file {
        None => Ok((
            "demo_catalog.csv".to_owned(),
            Catalog::demo().map_err(unreadable)?,
        )),
        Some(path) => {
            let name = path.file_name().unwrap_or(path.as_os_str());
            let catalog = Catalog::open(path, Mapping::default()).map_err(unreadable)?;
            Ok((name.to_string_lossy().into_owned(), catalog))
        }
    }
}

fn unreadable(error: CatalogError) -> Failure {
    Failure::new(Code::Error, error)
}

/// Every other one enlarges the image that its product's own job makes, whose id is known only now.
async fn insert_upscales(store: &Store, planner: &Planner) -> Result<u64, Failure> {
    let mut jobs: Vec<NewJob> = Vec::new();
    for (number, source) in planner.sources().iter().enumerate() {
        let source_job = if number.is_multiple_of(2) {
            image_job(store, source).await?
        } else {
            None
        };
        jobs.push(planner.upscale(source, source_job));
    }
    Ok(store.insert_jobs(&jobs).await?)
}

async fn image_job(store: &Store, source: &Source) -> Result<Option<i64>, Failure> {
    let filter = JobFilter {
        kind: Some(JobKind::Image),
        batch: Some(BATCH.to_owned()),
        client_product_id: Some(source.client_product_id.clone()),
        limit: 100,
        ..JobFilter::default()
    };
    let jobs = store.list_jobs(&filter).await?;
    let made = jobs.iter().find(|job| {
        matches!(&job.input, Input::Image(image) if image.image_url.as_ref() == Some(&source.image_url)
            && image.operation == "generate")
    });
    Ok(made.map(|job| job.id.id))
}

/// What a person should know of a row.
#[derive(Debug)]
pub(super) struct Remark {
    pub(super) line: u64,
    pub(super) sentence: String,
}

/// The list of all notices, written as they come.
#[derive(Debug)]
pub(super) struct Notices {
    file: csv::Writer<File>,
    /// The first few.
    pub(super) first: Vec<Remark>,
    /// How many in all.
    pub(super) total: u64,
}

impl Notices {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut file = csv::Writer::from_path(path).map_err(unwritten)?;
        file.write_record(["line", "column", "code", "sentence"])
            .map_err(unwritten)?;
        Ok(Self {
            file,
            first: Vec::new(),
            total: 0,
        })
    }

    fn add(&mut self, row: &Row) -> Result<(), Failure> {
        match row {
            Row::Product(product) => {
                for notice in &product.notices {
                    self.write(notice.line, &notice.column, notice.code, &notice.sentence)?;
                }
                Ok(())
            }
            Row::Part(_) => Ok(()),
            Row::Rejected(rejected) => self.write(
                rejected.line,
                &rejected.column,
                rejected.code,
                &format!("rejected: {}", rejected.reason),
            ),
        }
    }

    fn write(
        &mut self,
        line: u64,
        column: &str,
        code: &str,
        sentence: &str,
    ) -> Result<(), Failure> {
        self.total += 1;
        if self.first.len() < KEPT {
            let sentence = sentence.to_owned();
            self.first.push(Remark { line, sentence });
        }
        self.file
            .write_record([line.to_string().as_str(), column, code, sentence])
            .map_err(unwritten)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        Ok(self.file.flush()?)
    }
}

fn unwritten(error: csv::Error) -> Failure {
    Failure::new(Code::Error, error).while_doing("cannot write the list of notices")
}
