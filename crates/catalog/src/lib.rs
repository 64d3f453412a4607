//! People's catalogs: the file that a shop exported, read row by row as products, and the file that the
//! shop imports, written again.
//!
//! ```text
//! bytes ──text──> lines ──records──> cells ──columns──> meanings ──group──> product ──> Product | Rejected
//!                   └──feed (XML), json_lines──┘
//! ```
//!
//! Pure but for the file itself: no database, no network, no clock. Memory stays flat over a file of any
//! length, but for the fingerprints that find repetitions, which are bounded. What is made of a product
//! is decided elsewhere.

pub mod export;

mod aliases;
mod catalog;
mod cells;
mod columns;
mod feed;
mod format;
mod group;
mod json_lines;
mod product;
mod records;
mod rejects;
mod seen;
mod source;
mod summary;
mod template;
mod text;

#[cfg(test)]
mod tests;

pub use catalog::{Catalog, CatalogError};
pub use columns::{Field, Mapping, UnknownField};
pub use format::Format;
pub use product::{Notice, Part, Product, Rejected, Repeat, Row};
pub use records::Record;
pub use rejects::{Rejects, Why};
pub use summary::CatalogSummary;
pub use template::{Template, TemplateError};
