//! Rows that are one product: a product's variants and images stand on rows of their own in the files of
//! Shopify (the same `Handle`) and Magento (the same `sku`, or none).

use crate::records::Record;

/// The most rows that are taken as one product; what follows is the next product, with a notice of its
/// repeated id. Shopify allows 2,048 variants and 250 images.
const MAX_ROWS: usize = 5_000;

/// Collects the rows of one product, which stand together.
#[derive(Debug, Default)]
pub(crate) struct Group {
    key: String,
    rows: Vec<Record>,
}

impl Group {
    /// Takes the next row, whose text in the column of groups is this; gives the product that it ends.
    pub(crate) fn add(&mut self, key: &str, record: Record) -> Option<Vec<Record>> {
        let key = key.trim();
        let belongs = !self.rows.is_empty()
            && (key.is_empty() || key == self.key)
            && self.rows.len() < MAX_ROWS
            && record.fault.is_none();
        if belongs {
            self.rows.push(record);
            return None;
        }
        let ended = std::mem::replace(&mut self.rows, vec![record]);
        key.clone_into(&mut self.key);
        (!ended.is_empty()).then_some(ended)
    }

    /// The last product.
    pub(crate) fn finish(&mut self) -> Option<Vec<Record>> {
        let last = std::mem::take(&mut self.rows);
        (!last.is_empty()).then_some(last)
    }
}
