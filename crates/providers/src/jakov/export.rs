//! JAKOV's export: all completed descriptions of a project, as JSON or CSV of an undocumented
//! shape.
//!
//! It is taken whole or not at all: an export that breaks off in the middle must not pass for a
//! short one. Absence from it proves nothing in any case. Its length is bounded where it is received
//! (`send`), and of its products only one at a time is a tree in memory.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{CLIENT_ID, EAN, ID, TEXT, job_in};
use crate::answer::Answer;
use crate::json;
use crate::remote::RemoteJob;

/// How deep its list may be wrapped.
const DEEPEST: usize = 5;

/// What an export's product is: the page says that only completed ones are in it.
const COMPLETED: &str = "completed";

pub(super) fn read(answer: &Answer) -> Result<Vec<RemoteJob>, String> {
    let body = json::without_bom(answer.body());
    match body.trim_ascii_start().first() {
        Some(b'[' | b'{' | b'n') => read_json(body).or_else(|why| match body.first() {
            // A column may be called `name` as well as a JSON may be `null`.
            Some(b'n') => read_csv(answer, body),
            _ => Err(why),
        }),
        _ => read_csv(answer, body),
    }
}

/// One JSON, or one after the other (JSON lines). Only one product at a time is a tree in memory.
fn read_json(body: &[u8]) -> Result<Vec<RemoteJob>, String> {
    let Ok(whole) = serde_json::from_slice::<&RawValue>(body) else {
        return read_lines(body);
    };
    let names = ["products", "items", "descriptions", "results", "data"];
    let mut elements = Vec::new();
    let skeleton = skeleton(whole, &mut elements, DEEPEST);
    let Some(list) = json::list(&skeleton, &names) else {
        // JSON lines with a single line.
        let only = parsed(whole).and_then(|it| job(&it).filter(|job| job.text.is_some()));
        return only
            .map(|job| vec![job])
            .ok_or_else(|| "the export holds no list".to_owned());
    };
    list.iter()
        .enumerate()
        .map(|(at, place)| {
            let place = place.as_u64().and_then(|place| usize::try_from(place).ok());
            let product = place.and_then(|place| parsed(elements.get(place)?));
            product
                .and_then(|product| job(&product))
                .ok_or_else(|| format!("product {} of the export does not read", at + 1))
        })
        .collect()
}

fn parsed(raw: &RawValue) -> Option<Value> {
    serde_json::from_str(raw.get()).ok()
}

/// What is around the lists of an answer; in place of each list's elements stand their places in
/// `elements`.
fn skeleton<'a>(raw: &'a RawValue, elements: &mut Vec<&'a RawValue>, depth: usize) -> Value {
    let text = raw.get();
    if let Ok(list) = serde_json::from_str::<Vec<&'a RawValue>>(text) {
        let from = elements.len();
        elements.extend(list);
        return (from..elements.len()).map(Value::from).collect();
    }
    let Some(depth) = depth.checked_sub(1) else {
        return Value::Null;
    };
    let fields = serde_json::from_str::<BTreeMap<String, &'a RawValue>>(text);
    let fields = fields.into_iter().flatten();
    fields
        .map(|(name, inner)| (name, skeleton(inner, elements, depth)))
        .collect()
}

/// A product in each line.
fn read_lines(body: &[u8]) -> Result<Vec<RemoteJob>, String> {
    let lines = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    lines
        .enumerate()
        .map(|(at, line)| {
            let product = line.map_err(|_| "the export is no whole JSON".to_owned())?;
            job(&product).ok_or_else(|| format!("line {} of the export names no product", at + 1))
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

fn read_csv(answer: &Answer, body: &[u8]) -> Result<Vec<RemoteJob>, String> {
    let declared = answer.header("content-type").unwrap_or_default();
    if body.trim_ascii_start().starts_with(b"<") || declared.contains("html") {
        return Err("the export is an HTML page".to_owned());
    }
    let (delimiter, body) = delimiter(body);
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
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

/// The most frequent of the usual separators in the header line, or what a first line `sep=;` says, as
/// spreadsheets write it; and the rows with their header.
fn delimiter(body: &[u8]) -> (u8, &[u8]) {
    let end = body.iter().position(|byte| *byte == b'\n');
    let (line, rest) = body.split_at(end.map_or(body.len(), |end| end + 1));
    if let [b's', b'e', b'p', b'=', named, ..] = line {
        return (*named, rest);
    }
    let count = |wanted: u8| line.iter().filter(|byte| **byte == wanted).count();
    let usual = [b',', b';', b'\t', b'|'].into_iter().rev();
    let most = usual.max_by_key(|separator| count(*separator));
    (most.unwrap_or(b','), body)
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
