//! POST /api/v1/products: the strict reading of a batch, and its answer in the chosen shape.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

use super::Jakov;
use crate::ledger::Violation;
use crate::options::{JakovIds, JakovWrap, NoCredit};
use crate::wire::{Call, Reply};
use crate::world::{World, optional_text, required_text, unknown_fields};

const ITEM_FIELDS: [&str; 4] = ["ean", "productName", "productBrand", "clientProductId"];

/// A batch that may be accepted.
struct Batch {
    project: String,
    items: Vec<Value>,
    violations: Vec<Violation>,
}

impl Jakov {
    pub(super) fn submit(&mut self, call: &Call, world: &mut World) -> Reply {
        if !call.says_json() {
            return self.error(415, "the content type must be application/json");
        }
        let mut batch = match self.read_batch(call) {
            Ok(batch) => batch,
            Err(Refusal { status, text }) => return self.error(status, &text),
        };
        let price = self.options.credits_per_product * batch.items.len() as u64;
        let paid = self.spent + price <= self.options.credits;
        if let (false, NoCredit::Refuse(status)) = (paid, self.options.shape.no_credit) {
            return self.error(status, "not enough credits");
        }
        let accepted: Vec<(String, Value)> = batch
            .items
            .iter()
            .map(|item| {
                (
                    self.accept(call, world, item, &batch.project, paid),
                    item.clone(),
                )
            })
            .collect();
        let mut reply = Reply::json(
            self.options.shape.submit_code,
            &self.submit_body(call, world, &accepted),
        );
        reply.jobs = accepted.into_iter().map(|(id, _)| id).collect();
        reply.violations.append(&mut batch.violations);
        reply
            .violations
            .extend(world.unknown_headers(call, "authorization"));
        reply
    }

    fn read_batch(&self, call: &Call) -> Result<Batch, Refusal> {
        let body: Value = serde_json::from_slice(&call.body)
            .map_err(|error| Refusal::of(format!("the body is not JSON: {error}")))?;
        let Value::Object(object) = body else {
            return Err(Refusal::of("the body must be an object"));
        };
        let project = required_text(&object, "projectId")
            .map_err(Refusal::of)?
            .to_owned();
        let projects = &self.options.projects;
        if !projects.is_empty() && !projects.contains(&project) {
            return Err(Refusal::of("projectId is unknown"));
        }
        let mut violations = unknown_fields(&object, &["projectId", "products"]);
        let products = object.get("products").and_then(Value::as_array);
        let Some(products) = products.filter(|products| !products.is_empty()) else {
            return Err(Refusal::of("products must be a non-empty array"));
        };
        if self
            .options
            .max_batch
            .is_some_and(|most| products.len() > most)
        {
            return Err(Refusal {
                status: 413,
                text: "too many products".to_owned(),
            });
        }
        let mut items = Vec::new();
        for (at, product) in products.iter().enumerate() {
            let refused = self.options.refused_name.as_deref();
            match check_item(product) {
                Ok(_) if refused.is_some() && product["productName"].as_str() == refused => {
                    return Err(Refusal::of(format!(
                        "products[{at}]: productName is refused"
                    )));
                }
                Ok(found) => {
                    violations.extend(found);
                    items.push(product.clone());
                }
                Err(_) if self.options.shape.skip_invalid && products.len() > 1 => {}
                Err(text) => return Err(Refusal::of(format!("products[{at}]: {text}"))),
            }
        }
        if items.is_empty() {
            return Err(Refusal::of("no product is valid"));
        }
        Ok(Batch {
            project,
            items,
            violations,
        })
    }

    fn submit_body(&self, call: &Call, world: &World, accepted: &[(String, Value)]) -> Value {
        let shape = &self.options.shape;
        let mut items: Vec<Value> = accepted
            .iter()
            .map(|(id, item)| self.submit_item(id, item))
            .collect();
        if shape.reorder && each_can_be_told(&items) {
            world.dice.rng("jakov-order", call.no).shuffle(&mut items);
        }
        if shape.ids == JakovIds::None {
            return json!({ "success": true, "accepted": accepted.len() });
        }
        let mut body = match shape.wrap {
            JakovWrap::Array => return Value::Array(items),
            JakovWrap::Keyed(name) => json!({ name: items }),
            JakovWrap::Nested(name) => json!({ "success": true, "data": { name: items } }),
        };
        if let (true, Some(map)) = (shape.extras, body.as_object_mut()) {
            map.insert("requestId".to_owned(), json!(format!("req_{}", call.no)));
            map.insert("count".to_owned(), json!(accepted.len()));
        }
        body
    }

    fn submit_item(&self, id: &str, item: &Value) -> Value {
        let shape = &self.options.shape;
        let id = match id.parse::<u64>() {
            Ok(number) if shape.numeric_ids => json!(number),
            _ => json!(id),
        };
        let JakovIds::Under(name) = shape.ids else {
            return id;
        };
        let mut map = Map::from_iter([(name.to_owned(), id)]);
        let echoes = [
            ("clientProductId", shape.echo_client_id),
            ("ean", shape.echo_ean),
        ];
        for (field, _) in echoes.into_iter().filter(|(_, on)| *on) {
            if let Some(value) = item.get(field) {
                map.insert(field.to_owned(), value.clone());
            }
        }
        if shape.extras {
            map.insert("status".to_owned(), json!("pending"));
        }
        Value::Object(map)
    }
}

/// Why a whole request is refused.
struct Refusal {
    status: u16,
    text: String,
}

impl Refusal {
    fn of(text: impl Into<String>) -> Self {
        Self {
            status: 400,
            text: text.into(),
        }
    }
}

/// Checks one product; answers what no document knows about it.
fn check_item(product: &Value) -> Result<Vec<Violation>, String> {
    let Value::Object(object) = product else {
        return Err("a product must be an object".to_owned());
    };
    let mut texts = Vec::new();
    for name in ITEM_FIELDS {
        texts.push(optional_text(object, name)?);
    }
    if !matches!(texts.as_slice(), [Some(_), ..] | [_, Some(_), ..]) {
        return Err("either ean or productName is required".to_owned());
    }
    Ok(unknown_fields(object, &ITEM_FIELDS))
}

/// True if every item carries an echo that no other item carries.
fn each_can_be_told(items: &[Value]) -> bool {
    let echoes: BTreeSet<String> = items
        .iter()
        .filter_map(|item| item.get("clientProductId").or_else(|| item.get("ean")))
        .map(Value::to_string)
        .collect();
    echoes.len() == items.len()
}
