//! What JAKOV tells about products: one by one, and all completed ones as an export.

use serde_json::{Map, Value, json};

use super::{Jakov, Product};
use crate::wire::{Call, Reply};

/// The text that is sold: plausible, and always the same for the same product.
pub(super) fn description(product: &Product) -> String {
    let name = product.text("productName");
    let brand = product
        .text("productBrand")
        .map(|it| format!("{it} "))
        .unwrap_or_default();
    let subject = match (name, product.text("ean")) {
        (Some(name), _) => format!("{brand}{name}"),
        (None, Some(ean)) => format!("{brand}product {ean}"),
        (None, None) => "product".to_owned(),
    };
    let openings = [
        "Meet the",
        "Discover the",
        "Made for every day: the",
        "This is the",
    ];
    let pick = product.id.bytes().map(usize::from).sum::<usize>() % openings.len();
    let opening = openings.get(pick).copied().unwrap_or_default();
    let ean = product
        .text("ean")
        .map(|it| format!(" (EAN {it})"))
        .unwrap_or_default();
    format!(
        "{opening} {subject}{ean}. Carefully made, \"honestly\" described and ready to ship, it \
         does what it should for years.\nReference {}.",
        product.id
    )
}

impl Jakov {
    /// The documented body of a read, with `status` as it is to be told.
    pub(super) fn product_body(&self, id: &str, status: &str) -> Value {
        let Some(product) = self.products.get(id) else {
            return Value::Null;
        };
        let shape = &self.options.shape;
        let mut map = Map::new();
        map.insert("id".to_owned(), json!(product.id));
        for name in ["ean", "clientProductId"] {
            if let Some(text) = product.text(name) {
                map.insert(name.to_owned(), json!(text));
            }
        }
        map.insert("status".to_owned(), json!(status));
        map.insert("createdAt".to_owned(), json!(product.created_ms));
        if status == "completed" {
            map.insert(
                "generatedDescription".to_owned(),
                json!(description(product)),
            );
            map.insert("completedAt".to_owned(), json!(product.timeline.end_ms()));
        } else if shape.null_pending {
            map.insert("generatedDescription".to_owned(), Value::Null);
            map.insert("completedAt".to_owned(), Value::Null);
        }
        if shape.extras {
            map.insert("projectId".to_owned(), json!(product.project));
            map.insert("language".to_owned(), json!("en"));
        }
        Value::Object(map)
    }

    /// GET /api/v1/export: completed products of one project, as JSON or CSV.
    pub(super) fn export(&self, call: &Call) -> Reply {
        let Some(project) = call.query.get("projectId").filter(|it| !it.is_empty()) else {
            return self.error(400, "projectId is required");
        };
        let known = &self.options.projects;
        if !known.is_empty() && !known.contains(project) {
            return self.error(404, "no such project");
        }
        let completed: Vec<&Product> = self
            .all()
            .filter(|it| !it.vanished && &it.project == project)
            .filter(|it| it.timeline.at(call.now_ms) == "completed")
            .collect();
        match call.query.get("format").map_or("json", String::as_str) {
            "json" => self.export_json(&completed),
            "csv" => self.export_csv(&completed),
            _ => self.error(400, "format must be json or csv"),
        }
    }

    fn export_json(&self, completed: &[&Product]) -> Reply {
        let shape = &self.options.shape;
        let rows: Vec<Value> = completed
            .iter()
            .map(|product| {
                let mut row = self.product_body(&product.id, "completed");
                if let Some(map) = row.as_object_mut()
                    && let Some(text) = map.remove("generatedDescription")
                {
                    map.insert(shape.export_text.to_owned(), text);
                }
                row
            })
            .collect();
        match shape.export_key {
            Some(name) => Reply::json(200, &json!({ name: rows })),
            None => Reply::json(200, &Value::Array(rows)),
        }
    }

    fn export_csv(&self, completed: &[&Product]) -> Reply {
        let text_column = self.options.shape.export_text;
        let mut csv = format!("id,ean,clientProductId,productName,{text_column}\r\n");
        for product in completed {
            let name = |field| product.text(field).unwrap_or_default().to_owned();
            let cells = [
                product.id.clone(),
                name("ean"),
                name("clientProductId"),
                name("productName"),
                description(product),
            ];
            csv.push_str(&cells.map(|cell| quoted(&cell)).join(","));
            csv.push_str("\r\n");
        }
        Reply::new(200, "text/csv; charset=utf-8", csv.into())
    }
}

/// A cell in the way of RFC 4180: quoted only where it must be.
fn quoted(cell: &str) -> String {
    if cell.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}
