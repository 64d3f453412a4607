//! The two formats for people and programs: CSV and JSON lines, a row a product or a row a file.

use std::io::{self, Write};

use catalog::export::{apostrophe, defused};
use domain::Input;
use serde::Serialize;
use serde_json::{Map, Value};
use store::DeliverableRow;

use super::gather::{Made, ProductResult};
use super::links::Links;
use crate::cli::ExportRows;

/// Numbers that a spreadsheet must not take for numbers.
const IDS: [&str; 2] = ["client_product_id", "ean"];

const PRODUCT_COLUMNS: [&str; 12] = [
    "client_product_id",
    "ean",
    "title",
    "brand",
    "description",
    "image",
    "image_link",
    "upscaled",
    "video",
    "captions",
    "credits",
    "completed_at",
];

const FILE_COLUMNS: [&str; 18] = [
    "job",
    "client_product_id",
    "batch",
    "account",
    "operation",
    "status",
    "type",
    "ordinal",
    "location",
    "link",
    "content_type",
    "bytes",
    "sha256",
    "text",
    "credits",
    "error_code",
    "error_message",
    "completed_at",
];

/// A row, by the names of its columns.
type Row = Map<String, Value>;

/// The file while it is written.
pub(super) enum Table<W: Write> {
    Csv(Box<csv::Writer<W>>, &'static [&'static str], Spreadsheet),
    Json(W),
}

/// Whether numbers get an apostrophe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spreadsheet {
    Plain,
    Apostrophes,
}

impl<W: Write> Table<W> {
    pub(super) fn csv(out: W, rows: ExportRows, spreadsheet: Spreadsheet) -> io::Result<Self> {
        let columns: &'static [&'static str] = match rows {
            ExportRows::Products => &PRODUCT_COLUMNS,
            ExportRows::Deliverables => &FILE_COLUMNS,
        };
        // Quotes around all that is no number tell spreadsheets which cells are texts.
        let mut table = csv::WriterBuilder::new()
            .quote_style(csv::QuoteStyle::Always)
            .from_writer(out);
        table.write_record(columns)?;
        Ok(Self::Csv(Box::new(table), columns, spreadsheet))
    }

    pub(super) fn write(&mut self, row: &Row) -> io::Result<()> {
        match self {
            Self::Json(out) => {
                serde_json::to_writer(&mut *out, row)?;
                out.write_all(b"\n")
            }
            Self::Csv(table, columns, spreadsheet) => {
                let cells = columns
                    .iter()
                    .map(|name| cell(name, row.get(*name), *spreadsheet));
                Ok(table.write_record(cells)?)
            }
        }
    }

    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Json(out) => out.flush(),
            Self::Csv(table, ..) => table.flush(),
        }
    }
}

fn cell(name: &str, value: Option<&Value>, spreadsheet: Spreadsheet) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text))
            if IDS.contains(&name) && spreadsheet == Spreadsheet::Apostrophes =>
        {
            defused(&apostrophe(text))
        }
        Some(Value::String(text)) => defused(text),
        Some(other) => other.to_string(),
    }
}

/// The rows of a product.
pub(super) fn rows(product: &ProductResult, of: ExportRows, links: &Links) -> io::Result<Vec<Row>> {
    match of {
        ExportRows::Products => Ok(vec![product_row(product, links)?]),
        ExportRows::Deliverables => product.jobs.iter().try_fold(Vec::new(), |mut all, made| {
            all.extend(file_rows(made, links)?);
            Ok(all)
        }),
    }
}

fn product_row(product: &ProductResult, links: &Links) -> io::Result<Row> {
    let described = product.newest("description");
    let (ean, brand) = match described.map(|made| &made.job.input) {
        Some(Input::Description(row)) => (row.ean.clone(), row.product_brand.clone()),
        _ => (None, None),
    };
    let place = |operation: &str, r#type: &str| -> io::Result<Option<String>> {
        let file = product.newest(operation).and_then(|made| made.file(r#type));
        file.map(|file| links.of(file)).transpose()
    };
    let image = product.newest("generate").or(product.newest("upscale"));
    let link = image.and_then(|made| public(made, links));
    let credits: i64 = product
        .jobs
        .iter()
        .filter_map(|made| made.job.work.credits)
        .sum();
    let values = [
        value(&product.id),
        value(&ean),
        value(&product.title()),
        value(&brand),
        value(&product.text()),
        value(&place("generate", "Image")?),
        value(&link),
        value(&place("upscale", "Image")?),
        value(&place("production", "Video")?),
        value(&place("production", "ClosedCaptions")?),
        value(&credits),
        value(&product.completed_at()),
    ];
    Ok(row(&PRODUCT_COLUMNS, values))
}

/// A row for each file of a job; for a text, and for a job without a file, one row.
fn file_rows(made: &Made, links: &Links) -> io::Result<Vec<Row>> {
    if made.files.is_empty() {
        return Ok(vec![file_row(made, None, links)?]);
    }
    made.files
        .iter()
        .map(|file| file_row(made, Some(file), links))
        .collect()
}

fn file_row(made: &Made, file: Option<&DeliverableRow>, links: &Links) -> io::Result<Row> {
    let job = &made.job;
    let fault = job.work.state.fault();
    let link = file.and_then(|file| links.public(file, job.result_url.as_deref()));
    let location = file.map(|file| links.of(file)).transpose()?;
    let r#type = match file {
        Some(file) => Some(file.r#type.as_str()),
        None => job.description.as_ref().map(|_| "Text"),
    };
    let values = [
        value(&job.id.to_string()),
        value(&job.client_product_id),
        value(&job.batch),
        value(&job.taken_by.as_ref().or(job.account.as_ref())),
        value(&made.operation()),
        value(&job.work.status()),
        value(&r#type),
        value(&file.map(|file| file.ordinal)),
        value(&location),
        value(&link),
        value(&file.map(|file| file.content_type.as_str())),
        value(&file.map(|file| file.bytes)),
        value(&file.map(|file| file.sha256.as_str())),
        value(&job.description),
        value(&job.work.credits),
        value(&fault.map(|fault| fault.code.as_str())),
        value(&fault.map(|fault| fault.message.as_str())),
        value(&job.work.completed_at),
    ];
    Ok(row(&FILE_COLUMNS, values))
}

/// Where a shop on the internet finds the image of a job.
pub(super) fn public(made: &Made, links: &Links) -> Option<String> {
    links.public(made.file("Image")?, made.job.result_url.as_deref())
}

fn row<const N: usize>(names: &[&str; N], values: [Value; N]) -> Row {
    let names = names.iter().map(|name| (*name).to_owned());
    names.zip(values).collect()
}

/// A value that can always be written as JSON.
fn value(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
