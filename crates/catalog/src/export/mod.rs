//! Results as the files that people open and shops import.
//!
//! A shop's file has the column by which the shop finds the product, and of the others only what was made:
//! a blank cell in a column that is there wipes what the shop has. So texts and images are files of their
//! own ([`Part`]), and a row stands in a file only if it has something for its column.

mod google;
mod safe;
mod shops;

pub use google::GoogleFeed;
pub use safe::{apostrophe, defused, html, is_formula, plain_text};
pub use shops::{Layout, Part, Shop, ShopTable};

/// What there is of one product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// What the shop finds it by.
    pub id: String,
    /// Its name, where that is known.
    pub title: Option<String>,
    /// The text that was made.
    pub text: Option<String>,
    /// Where the images are that were made, the best first.
    pub images: Vec<String>,
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is in the file.
    Row,
    /// There is nothing for this file.
    Nothing,
    /// Shopify takes no row without a title.
    NoTitle,
}
