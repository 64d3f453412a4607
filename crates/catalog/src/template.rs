//! A person's sentence with `{title}` and `{brand}` in it, rendered for each product.
//!
//! Checked before anything is inserted: a name that the file does not have is answered with the nearest
//! that it has. Filters of Jinja work (`{title|upper}`), and so do conditions (`{% if brand %}`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Value};

use crate::catalog::Catalog;
use crate::cells::tidy;
use crate::product::Product;

/// The names that every file has, whatever its columns are called.
const ALWAYS: [&str; 10] = [
    "title",
    "name",
    "brand",
    "sku",
    "id",
    "ean",
    "barcode",
    "category",
    "description",
    "image",
];

/// Why a sentence is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It does not read.
    #[error("the template {template:?} does not read: {why}")]
    Syntax {
        /// As it was given.
        template: String,
        /// What is wrong.
        why: String,
    },
    /// It names something that no product of the file has.
    #[error(
        "the template names {{{name}}}, which the file does not have{nearest}; it has: {known}"
    )]
    Unknown {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
        /// What was probably meant, as a part of the sentence.
        nearest: String,
    },
    /// It cannot be rendered for a product.
    #[error("the template cannot be rendered: {0}")]
    Render(String),
}

/// A sentence that reads.
#[derive(Debug, Clone)]
pub struct Template {
    text: String,
    environment: Arc<Environment<'static>>,
    names: BTreeSet<String>,
}

impl Template {
    /// Reads a sentence.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let syntax = |why: &minijinja::Error| TemplateError::Syntax {
            template: text.to_owned(),
            why: why.detail().map_or_else(|| why.to_string(), str::to_owned),
        };
        let delimiters = SyntaxConfig::builder()
            .block_delimiters("{%", "%}")
            .variable_delimiters("{", "}")
            .comment_delimiters("{#", "#}")
            .build()
            .map_err(|error| syntax(&error))?;
        let mut environment = Environment::new();
        environment.set_syntax(delimiters);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment
            .add_template_owned("it", text.to_owned())
            .map_err(|error| syntax(&error))?;
        let template = environment
            .get_template("it")
            .map_err(|error| syntax(&error))?;
        let names = template.undeclared_variables(false);
        // A filter that nobody knows shows only when it is used.
        let any: BTreeMap<&str, Value> = names
            .iter()
            .map(|name| (name.as_str(), Value::from("x")))
            .collect();
        match template.render(Value::from(any)) {
            Err(error) if is_unknown(&error) => return Err(syntax(&error)),
            Ok(_) | Err(_) => {}
        }
        let functions: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let names = names
            .into_iter()
            .filter(|name| !functions.contains(name.as_str()));
        Ok(Self {
            text: text.to_owned(),
            names: names.collect(),
            environment: Arc::new(environment),
        })
    }

    /// As it was given.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the catalog has all that it names.
    ///
    /// # Errors
    /// [`TemplateError::Unknown`], with the nearest name.
    pub fn check(&self, catalog: &Catalog) -> Result<(), TemplateError> {
        let columns: Vec<String> = catalog.header().iter().map(|name| word(name)).collect();
        let mut known: Vec<&str> = ALWAYS.to_vec();
        let own = columns.iter().map(String::as_str);
        known.extend(own.filter(|name| !name.is_empty() && !ALWAYS.contains(name)));
        let Some(unknown) = self
            .names
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        else {
            return Ok(());
        };
        let near = known
            .iter()
            .map(|name| (distance(unknown, name), *name))
            .min();
        let nearest = near.filter(|(distance, name)| *distance <= 1 + name.len() / 4);
        Err(TemplateError::Unknown {
            name: unknown.clone(),
            known: known.join(", "),
            nearest: nearest.map_or_else(String::new, |(_, name)| {
                format!(" (did you mean {{{name}}}?)")
            }),
        })
    }

    /// The sentence for this product of a catalog with this header, without needless blanks.
    ///
    /// # Errors
    /// [`TemplateError::Render`].
    pub fn render(&self, product: &Product, header: &[String]) -> Result<String, TemplateError> {
        let values: BTreeMap<&str, Value> = self
            .names
            .iter()
            .map(|name| (name.as_str(), Value::from(value(name, product, header))))
            .collect();
        let failed = |error: minijinja::Error| TemplateError::Render(error.to_string());
        let template = self.environment.get_template("it").map_err(failed)?;
        let text = template.render(Value::from(values)).map_err(failed)?;
        let lines: Vec<String> = text
            .lines()
            .map(|line| tidy(line).unwrap_or_default())
            .collect();
        Ok(lines.join("\n").trim().to_owned())
    }
}

/// Whether the template calls something that does not exist.
fn is_unknown(error: &minijinja::Error) -> bool {
    use minijinja::ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    matches!(
        error.kind(),
        UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest
    )
}

/// What a name means for a product.
fn value(name: &str, product: &Product, header: &[String]) -> String {
    let own = match name {
        "title" | "name" => product.title.clone(),
        "brand" => product.brand.clone(),
        "sku" | "id" => product.id.clone(),
        "ean" | "barcode" => product.ean.clone(),
        "category" => product.category.clone(),
        "description" => product.description.clone(),
        "image" => product.image_urls.first().cloned(),
        _ => None,
    };
    if own.is_some() || ALWAYS.contains(&name) {
        return own.unwrap_or_default();
    }
    let column = header.iter().position(|column| word(column) == name);
    let cells = product.records.iter();
    let mut cells = cells.filter_map(|record| record.cells.get(column?));
    cells.find_map(|cell| tidy(cell)).unwrap_or_default()
}

/// A column's name as a template writes it: `Google Shopping / MPN` is `google_shopping_mpn`.
fn word(name: &str) -> String {
    let lower = name.trim().to_lowercase();
    let lower = lower.strip_prefix("g:").unwrap_or(&lower);
    let words = lower.split(|c: char| !c.is_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let word = words.join("_");
    match word.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{word}"),
        false => word,
    }
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (place, letter) in one.chars().enumerate() {
        let mut next = vec![place + 1];
        for ((known, above), diagonal) in other.iter().zip(row.iter().skip(1)).zip(&row) {
            let left = next.last().copied().unwrap_or_default();
            let changed = diagonal + usize::from(*known != letter);
            next.push((above + 1).min(left + 1).min(changed));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Mapping, Row};

    const SHOP: &str = "sku,Title,Vendor,Body (HTML),Colour / Finish\n\
        A-1,\"Lamp \"\"Arc\"\" {x}\",Kerzenhell,<p>A <b>lamp</b></p>,brass\nA-2,Chair,,,\n";

    fn rendered(template: &str) -> Vec<String> {
        let catalog = Catalog::from_reader(Cursor::new(SHOP), Mapping::default()).unwrap();
        let template = Template::parse(template).unwrap();
        template.check(&catalog).unwrap();
        let header = catalog.header().to_vec();
        let rows = catalog.map(|row| match row.unwrap() {
            Row::Product(product) => template.render(&product, &header).unwrap(),
            other => panic!("{other:?}"),
        });
        rows.collect()
    }

    #[test]
    fn a_sentence_takes_fields_and_columns() {
        assert_eq!(
            rendered("{title} by {brand}, in {colour_finish}, {description|lower}."),
            [
                "Lamp \"Arc\" {x} by Kerzenhell, in brass, a lamp.",
                "Chair by , in , ."
            ]
        );
        assert_eq!(
            rendered("{title}{% if brand %} by {brand}{% endif %} {# a note #}, {title[:4]}"),
            ["Lamp \"Arc\" {x} by Kerzenhell , Lamp", "Chair , Chai"]
        );
    }

    #[test]
    fn a_name_that_the_file_lacks_is_answered_with_the_nearest() {
        let catalog = Catalog::from_reader(Cursor::new(SHOP), Mapping::default()).unwrap();
        let error = Template::parse("{titel}")
            .unwrap()
            .check(&catalog)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("{titel}") && error.contains("(did you mean {title}?); it has: title"),
            "{error}"
        );
        let error = Template::parse("{weather}")
            .unwrap()
            .check(&catalog)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("vendor, body_html, colour_finish"),
            "{error}"
        );
    }

    #[test]
    fn a_sentence_that_does_not_read_is_shown() {
        for bad in ["{title", "{% if x %}", "{title|nofilter}", "{}"] {
            let error = Template::parse(bad).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("does not read"), "{bad}: {error}");
        }
    }
}
