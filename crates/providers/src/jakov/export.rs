//! JAKOV's export: all completed descriptions of a project, as JSON or CSV of an undocumented
//! shape.
//!
//! It is taken whole or not at all: an export that breaks off in the middle must not pass for a
//! short one. Absence from it proves nothing in any case.

use serde_json::{Map, Value};

use super::{CLIENT_ID, EAN, ID, TEXT, job_in};
use crate::answer::Answer;
use crate::json;
use crate::remote::RemoteJob;

/// What an export's product is: the page says that only completed ones are in it.
const COMPLETED: &str = "completed";

pub(super) fn read(answer: &Answer) -> Result<Vec<RemoteJob>, String> {
    match answer.json() {
        Some(body) => read_json(body),
        None => read_csv(answer),
    }
}

fn read_json(body: &Value) -> Result<Vec<RemoteJob>, String> {
    let names = ["products", "items", "descriptions", "results", "data"];
    let list = json::list(body, &names).ok_or("the export holds no list")?;
    list.iter()
        .enumerate()
        .map(|(at, product)| {
            job(product).ok_or_else(|| format!("product {} of the export does not read", at + 1))
        })
        .collect()
}

/// A product that is named by something.
fn job(product: &Value) -> Option<RemoteJob> {
    let status = json::text_field(product, &["status", "state"]);
    let job = job_in(product, status.unwrap_or_else(|| COMPLETED.to_owned()));
    let named = !job.remote_id.is_empty() || job.client_product_id.is_some() || job.ean.is_some();
    named.then_some(job)
}

fn read_csv(answer: &Answer) -> Result<Vec<RemoteJob>, String> {
    let body = json::without_bom(answer.body());
    let declared = answer.header("content-type").unwrap_or_default();
    if body.trim_ascii_start().starts_with(b"<") || declared.contains("html") {
        return Err("the export is an HTML page".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter(body))
        .from_reader(body);
    let header: Vec<String> = match reader.headers() {
        Ok(header) => header.iter().map(canonical).collect(),
        Err(error) => return Err(format!("the export is no CSV: {}", error_kind(&error))),
    };
    let has = |names: &[&str]| names.iter().any(|name| header.iter().any(|is| is == name));
    if !(has(&[ID[0], CLIENT_ID[0], EAN[0]]) && has(&[TEXT[0]])) {
        return Err("the export has no columns for a product and its description".to_owned());
    }
    let mut jobs = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let row = at + 1;
        let record =
            record.map_err(|error| format!("row {row} of the export: {}", error_kind(&error)))?;
        let product: Map<_, _> = header
            .iter()
            .zip(record.iter())
            .map(|(name, value)| (name.clone(), Value::String(value.to_owned())))
            .collect();
        let product = Value::Object(product);
        jobs.push(
            job(&product).ok_or_else(|| format!("row {row} of the export names no product"))?,
        );
    }
    Ok(jobs)
}

/// The most frequent of the usual separators in the header line.
fn delimiter(body: &[u8]) -> u8 {
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    [b',', b';', b'\t']
        .into_iter()
        .rev()
        .max_by_key(|separator| count(*separator))
        .unwrap_or(b',')
}

/// A column's name as the JSON spells it.
fn canonical(column: &str) -> String {
    let plain = json::plain_name(column);
    let name = match plain.as_str() {
        "id" | "productid" | "jobid" | "uuid" => ID[0],
        "clientproductid" | "clientid" | "externalid" | "sku" | "reference" | "yourid" => {
            CLIENT_ID[0]
        }
        "ean" | "gtin" | "ean13" | "barcode" | "eancode" => EAN[0],
        "generateddescription" | "description" | "text" | "content" | "productdescription" => {
            TEXT[0]
        }
        "createdat" | "created" => "createdAt",
        "completedat" | "completed" | "finishedat" => "completedAt",
        _ => return plain,
    };
    name.to_owned()
}

/// What is wrong, without the row's content.
fn error_kind(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { .. } => "it has more or fewer fields than the header",
        csv::ErrorKind::Utf8 { .. } => "it is no UTF-8",
        _ => "it does not read",
    }
}
