//! The answer to JAKOV's submit, which no document describes: neither its status nor whether ids
//! come back, nor in which order, nor whether a batch is taken as a whole.
//!
//! So: find the list of elements wherever it stands; tie each element to an item by our own id,
//! then by the barcode if exactly one of each has it, and by position only if no element says what
//! it belongs to and the counts agree. What stays untied is unknown, never guessed: an unknown item
//! waits for a person, a wrong tie would store another product's text.

use std::collections::HashMap;

use serde_json::Value;

use super::{CLIENT_ID, EAN, ID};
use crate::answer::{Answer, envelope, sentence};
use crate::call::DescriptionItem;
use crate::json;
use crate::remote::RemoteJob;
use crate::reply::{ItemOutcome, MatchedBy, Outcome};

/// The names of the list of elements, most telling first.
const LISTS: [&str; 8] = [
    "products",
    "items",
    "results",
    "data",
    "created",
    "accepted",
    "productIds",
    "ids",
];
/// The names of lists that hold only what was refused.
const REFUSED_LISTS: [&str; 4] = ["errors", "failed", "rejected", "invalid"];

/// The names of a number of products in a receipt.
const COUNTS: [&str; 9] = [
    "count",
    "total",
    "accepted",
    "queued",
    "created",
    "received",
    "added",
    "processed",
    "size",
];

/// One element of the answer.
struct Element {
    id: Option<String>,
    client_id: Option<String>,
    ean: Option<String>,
    refused: Option<(String, String)>,
    job: Option<RemoteJob>,
}

pub(super) fn read(items: &[DescriptionItem], answer: &Answer) -> Result<Outcome, String> {
    let body = answer.json().ok_or("the answer is no JSON")?;
    let elements = elements(body, items.len()).ok_or("the answer names no products")?;
    Ok(Outcome::Submitted(tie(items, &elements)))
}

fn elements(body: &Value, items: usize) -> Option<Vec<Element>> {
    let refused: Vec<_> = REFUSED_LISTS
        .iter()
        .filter_map(|name| json::field(body, &[name])?.as_array())
        .flatten()
        .map(|value| Element::of(value, true))
        .collect();
    let main = main_list(body, items);
    if main.is_none() && refused.is_empty() {
        return None;
    }
    let accepted = main.into_iter().flatten();
    let accepted = accepted.map(|value| Element::of(value, false));
    Some(accepted.chain(refused).collect())
}

fn main_list(body: &Value, items: usize) -> Option<Vec<&Value>> {
    let named = json::field(body, &LISTS).and_then(Value::as_array);
    if let Some(list) = named {
        return Some(list.iter().collect());
    }
    // One product may come back bare; its own id is better than any list of words in it.
    if items == 1 && json::text_field(body, &ID).is_some() && !is_receipt(body) {
        return Some(vec![body]);
    }
    let only_refused = body.as_object().is_some_and(|object| {
        let mut lists = object
            .iter()
            .filter(|(_, value)| value.is_array())
            .peekable();
        lists.peek().is_some()
            && lists.all(|(name, _)| REFUSED_LISTS.contains(&json::plain_name(name).as_str()))
    });
    if only_refused {
        return None;
    }
    if let Some(list) = json::list(body, &LISTS) {
        return Some(list.iter().collect());
    }
    let single = (items == 1).then(|| json::object_with(body, &ID));
    let single = single.flatten().filter(|object| !is_receipt(object));
    single.map(|object| vec![object])
}

/// Whether an object counts products instead of being one: its id may be the batch's, which no status is read
/// by, so the product's stays unknown until the export or a webhook tells it.
fn is_receipt(object: &Value) -> bool {
    let counts = COUNTS
        .iter()
        .filter_map(|name| json::field(object, &[name]));
    let of_a_product = ["status", "state"].iter().chain(&CLIENT_ID).chain(&EAN);
    counts.into_iter().any(Value::is_number)
        && of_a_product
            .into_iter()
            .all(|name| json::field(object, &[name]).is_none())
}

impl Element {
    fn of(value: &Value, in_refused_list: bool) -> Self {
        let object = match value {
            Value::Object(_) => wrapped(value),
            _ => value,
        };
        let id = json::text(value).or_else(|| json::text_field(object, &ID));
        let id = id.filter(|_| !in_refused_list || object.is_object());
        let refused = (id.is_none() || in_refused_list)
            .then(|| refusal(object, in_refused_list))
            .flatten();
        Self {
            job: id.is_some().then(|| super::job(object)).flatten(),
            id: id.filter(|_| refused.is_none()),
            client_id: json::text_field(object, &CLIENT_ID),
            ean: json::text_field(object, &EAN),
            refused,
        }
    }

    fn says_whose(&self) -> bool {
        self.client_id.is_some() || self.ean.is_some()
    }

    fn outcome(&self, matched_by: MatchedBy) -> ItemOutcome {
        match (&self.id, &self.refused) {
            (_, Some((code, message))) => ItemOutcome::Refused {
                code: code.clone(),
                message: message.clone(),
            },
            (Some(id), None) => ItemOutcome::Accepted {
                remote_id: id.clone(),
                matched_by,
                job: self.job.clone(),
                location: None,
            },
            (None, None) => unknown("the answer names the product, but no id"),
        }
    }
}

/// The product inside an element such as `{"index":0,"product":{…}}`.
fn wrapped(value: &Value) -> &Value {
    if json::text_field(value, &ID).is_some() {
        return value;
    }
    ["product", "data", "item"]
        .iter()
        .find_map(|name| json::field(value, &[name]).filter(|inner| inner.is_object()))
        .unwrap_or(value)
}

/// The refusal of one element, only where it is unmistakable.
fn refusal(object: &Value, in_refused_list: bool) -> Option<(String, String)> {
    let status = json::text_field(object, &["status", "state"]);
    let bad = status.as_deref().is_some_and(|status| {
        ["failed", "rejected", "error", "invalid"].contains(&json::plain_name(status).as_str())
    });
    let has_error = json::field(object, &["error", "errors", "errorCode"])
        .is_some_and(|error| error != &Value::Bool(false) && error != &Value::Array(Vec::new()));
    let unsuccessful = json::field(object, &["success", "ok"]) == Some(&Value::Bool(false));
    if !(bad || has_error || unsuccessful || in_refused_list) {
        return None;
    }
    let (code, message) = envelope(object);
    let code = code.or(status).unwrap_or_else(|| "rejected".to_owned());
    let message = message.unwrap_or_else(|| "the provider refused this product".to_owned());
    Some((sentence(&code), sentence(&message)))
}

fn unknown(reason: &str) -> ItemOutcome {
    ItemOutcome::Unknown {
        reason: reason.to_owned(),
    }
}

fn tie(items: &[DescriptionItem], elements: &[Element]) -> Vec<ItemOutcome> {
    let outcomes: Vec<_> = if elements.iter().any(Element::says_whose) {
        let index = Index::new(items, elements);
        items.iter().map(|item| index.outcome(item)).collect()
    } else if elements.len() == items.len() {
        let matched_by = match items.len() {
            1 => MatchedBy::Only,
            _ => MatchedBy::Order,
        };
        let outcome = |element: &Element| element.outcome(matched_by);
        elements.iter().map(outcome).collect()
    } else {
        let reason = format!(
            "{} products were sent, {} came back, and none says which it is",
            items.len(),
            elements.len()
        );
        items.iter().map(|_| unknown(&reason)).collect()
    };
    without_twins(outcomes)
}

/// One remote id for two items cannot be told apart, so neither has it.
fn without_twins(outcomes: Vec<ItemOutcome>) -> Vec<ItemOutcome> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for outcome in &outcomes {
        if let ItemOutcome::Accepted { remote_id, .. } = outcome {
            *seen.entry(remote_id.clone()).or_default() += 1;
        }
    }
    let twin = |outcome: ItemOutcome| match &outcome {
        ItemOutcome::Accepted { remote_id, .. } if seen.get(remote_id) != Some(&1) => {
            unknown("the answer gives this product's id to another one too")
        }
        _ => outcome,
    };
    outcomes.into_iter().map(twin).collect()
}

/// Who has which id and which barcode, to tie in linear time.
struct Index<'a> {
    by_client_id: HashMap<&'a str, Vec<&'a Element>>,
    /// Only elements that do not name another item already.
    by_ean: HashMap<&'a str, Vec<&'a Element>>,
    items_with_client_id: HashMap<&'a str, usize>,
    items_with_ean: HashMap<&'a str, usize>,
}

impl<'a> Index<'a> {
    fn new(items: &'a [DescriptionItem], elements: &'a [Element]) -> Self {
        let mut index = Self {
            by_client_id: HashMap::new(),
            by_ean: HashMap::new(),
            items_with_client_id: HashMap::new(),
            items_with_ean: HashMap::new(),
        };
        for element in elements {
            if let Some(id) = &element.client_id {
                index.by_client_id.entry(id).or_default().push(element);
            } else if let Some(ean) = &element.ean {
                index.by_ean.entry(digits(ean)).or_default().push(element);
            }
        }
        for item in items {
            *index
                .items_with_client_id
                .entry(&item.client_product_id)
                .or_default() += 1;
            if let Some(ean) = &item.ean {
                *index.items_with_ean.entry(digits(ean)).or_default() += 1;
            }
        }
        index
    }

    fn outcome(&self, item: &DescriptionItem) -> ItemOutcome {
        let client_id = item.client_product_id.as_str();
        match self.by_client_id.get(client_id).map(Vec::as_slice) {
            Some([only]) if self.items_with_client_id.get(client_id) == Some(&1) => {
                return only.outcome(MatchedBy::ClientProductId);
            }
            Some(_) => return unknown("the answer names this product's clientProductId twice"),
            None => {}
        }
        let ean = item.ean.as_deref().map(digits);
        match ean.and_then(|ean| Some((ean, self.by_ean.get(ean)?.as_slice()))) {
            Some((ean, [only])) if self.items_with_ean.get(ean) == Some(&1) => {
                only.outcome(MatchedBy::Ean)
            }
            Some(_) => unknown("more than one product has this EAN, and the answer no other id"),
            None => unknown("the answer does not name this product"),
        }
    }
}

/// A barcode without the leading zeros that a provider may drop when it reads it as a number.
fn digits(ean: &str) -> &str {
    ean.trim().trim_start_matches('0')
}
