//! JAKOV.AI: product texts from a barcode or a name.
//!
//! What its document leaves open is read tolerantly: the answer to a submit ([`accepted`]), the
//! export ([`export`]), and errors, which have no documented body at all.

mod accepted;
mod export;

use domain::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::answer::{Answer, envelope, sentence};
use crate::call::{Call, DescriptionItem, Submit};
use crate::json;
use crate::mask::masked_value;
use crate::remote::{Phase, RemoteJob};
use crate::reply::Outcome;
use crate::url_parts::{Draft, with_query};

/// The names under which an id may stand.
pub(crate) const ID: [&str; 5] = ["id", "productId", "jobId", "_id", "uuid"];
/// The names under which our own id may stand.
pub(crate) const CLIENT_ID: [&str; 3] = ["clientProductId", "clientId", "externalId"];
/// The names under which the barcode may stand.
pub(crate) const EAN: [&str; 3] = ["ean", "gtin", "barcode"];
/// The names under which the text may stand: the first in reads, the second in webhooks.
pub(crate) const TEXT: [&str; 4] = ["generatedDescription", "description", "text", "content"];

/// The body of a submit.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Products<'a> {
    project_id: &'a str,
    products: Vec<Product<'a>>,
}

/// One product of a submit; what is not known is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Product<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ean: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_brand: Option<&'a str>,
    client_product_id: &'a str,
}

impl<'a> From<&'a DescriptionItem> for Product<'a> {
    fn from(item: &'a DescriptionItem) -> Self {
        Self {
            ean: item.ean.as_deref(),
            product_name: item.product_name.as_deref(),
            product_brand: item.product_brand.as_deref(),
            client_product_id: &item.client_product_id,
        }
    }
}

pub(crate) fn encode(call: &Call) -> Result<Draft, String> {
    match call {
        Call::Submit(Submit::Descriptions { project_id, items }) => Draft::post(
            "api/v1/products",
            &Products {
                project_id,
                products: items.iter().map(Product::from).collect(),
            },
        ),
        Call::Status { remote_id, .. } => Ok(Draft::get(with_query(
            "api/v1/products",
            &[("id", remote_id)],
        ))),
        Call::Credits => Ok(Draft::get("api/v1/credits")),
        Call::Export { project_id, format } => {
            let query = [
                ("projectId", project_id.as_str()),
                ("format", format.as_str()),
            ];
            let mut draft = Draft::get(with_query("api/v1/export", &query));
            draft.accept = "application/json, text/csv";
            Ok(draft)
        }
        other => Err(format!("jakov has no call {:?}", other.verb())),
    }
}

pub(crate) fn read(call: &Call, answer: &Answer, at: Timestamp) -> Outcome {
    if !answer.is_success() {
        return answer.refusal(call, at);
    }
    let read = match call {
        Call::Submit(Submit::Descriptions { items, .. }) => accepted::read(items, answer),
        Call::Status { remote_id, .. } => status(remote_id, answer),
        Call::Export { .. } => export::read(answer).map(Outcome::Export),
        Call::Credits => credits(answer),
        other => Err(format!("jakov has no call {:?}", other.verb())),
    };
    match read {
        Ok(outcome) if matches!(call, Call::Submit(_)) && !outcome.has_accepted() => {
            answer.out_of_credits().unwrap_or(outcome)
        }
        Ok(outcome) => outcome,
        Err(why) => answer
            .out_of_credits()
            .unwrap_or_else(|| answer.unclear(call, at, &why)),
    }
}

fn status(remote_id: &str, answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    if body.is_null() || body.as_array().is_some_and(Vec::is_empty) {
        return Ok(Outcome::Missing);
    }
    let product = json::object_with(body, &["status"]).ok_or("the answer names no status")?;
    let mut job = job(product).ok_or("the answer names no status")?;
    if job.remote_id.is_empty() {
        remote_id.clone_into(&mut job.remote_id);
    }
    Ok(Outcome::Status(Box::new(job)))
}

fn credits(answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let names = ["balance", "credits"];
    let balance = json::object_with(body, &names)
        .and_then(|object| json::field(object, &names))
        .and_then(json::number);
    Ok(Outcome::Credits {
        balance,
        plan: None,
        raw: masked_value(body),
    })
}

/// A product as reads, the export and webhooks show it. The id is empty where none is named; a
/// product without a status is none.
pub(crate) fn job(product: &Value) -> Option<RemoteJob> {
    let status = json::text_field(product, &["status", "state"])?;
    Some(job_in(product, status))
}

/// A product whose status is known from elsewhere (the export holds completed ones only).
pub(crate) fn job_in(product: &Value, status: String) -> RemoteJob {
    let phase = phase(&status);
    let id = json::text_field(product, &ID).unwrap_or_default();
    let mut job = RemoteJob::new(id, status, phase);
    job.text = json::text_field(product, &TEXT);
    job.ean = json::text_field(product, &EAN);
    job.client_product_id = json::text_field(product, &CLIENT_ID);
    job.created_at = json::time_field(product, &["createdAt"]);
    job.completed_at = json::time_field(product, &["completedAt"]);
    if let Phase::Failed { .. } = phase {
        let (code, message) = envelope(product);
        job.error_code = code.map(|code| sentence(&code));
        job.error_message = message.map(|message| sentence(&message));
        if job.status.eq_ignore_ascii_case("not_found") {
            job.error_code = Some("not_found".to_owned());
        }
    }
    job
}

/// What a status means. The list of the user's document is empty; these are the public page's.
pub(crate) fn phase(status: &str) -> Phase {
    match json::plain_name(status).as_str() {
        "pending" => Phase::Queued,
        "lookingup" | "found" | "generating" => Phase::Working,
        "completed" => Phase::Done,
        "notfound" | "failed" => Phase::Failed {
            safe_to_resubmit: false,
        },
        _ => Phase::Unrecognised,
    }
}
