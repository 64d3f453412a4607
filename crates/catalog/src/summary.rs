//! The account of a whole catalog: how many rows of which sort.

use std::collections::BTreeMap;
use std::fmt;

use domain::gtin::Verdict;

use crate::product::Row;

/// Counts over the rows of a catalog. Every row is a product or rejected, and has one verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct CatalogSummary {
    /// All rows but the header and blank ones.
    pub rows: u64,
    /// Products, each of one row or several.
    pub products: u64,
    /// Further rows of products: their variants and images.
    pub parts: u64,
    /// Rows, or groups of rows, that are none.
    pub rejected: u64,
    /// Products whose id or barcode another one has already.
    pub repeated: u64,
    /// Products and rejected rows by the verdict on their barcode.
    pub barcodes: BTreeMap<&'static str, u64>,
    /// Of the numbers of a wrong length: those that leading zeros make a GTIN, in-store or not.
    pub padded: u64,
    /// Products with a barcode to ask a provider about.
    pub with_ean: u64,
    /// Products with a name.
    pub with_name: u64,
    /// Products with a brand.
    pub with_brand: u64,
    /// Products with at least one usable image.
    pub with_image: u64,
    /// Notices and rejections by their code.
    pub codes: BTreeMap<&'static str, u64>,
}

impl CatalogSummary {
    /// Counts one more row.
    pub fn add(&mut self, row: &Row) {
        let further = |records: usize| u64::try_from(records.saturating_sub(1)).unwrap_or_default();
        self.rows += 1;
        let barcode = match row {
            Row::Part(_) => {
                self.parts += 1;
                return;
            }
            Row::Product(product) => {
                self.products += 1;
                self.rows += further(product.records.len());
                self.parts += further(product.records.len());
                self.repeated += u64::from(product.repeats.is_some());
                self.with_ean += u64::from(product.ean.is_some());
                self.with_name += u64::from(product.title.is_some());
                self.with_brand += u64::from(product.brand.is_some());
                self.with_image += u64::from(!product.image_urls.is_empty());
                for notice in &product.notices {
                    *self.codes.entry(notice.code).or_default() += 1;
                }
                &product.barcode
            }
            Row::Rejected(rejected) => {
                self.rejected += 1;
                self.rows += further(rejected.records.len());
                self.parts += further(rejected.records.len());
                *self.codes.entry(rejected.code).or_default() += 1;
                &rejected.barcode
            }
        };
        *self.barcodes.entry(barcode.code()).or_default() += 1;
        self.padded += u64::from(matches!(
            barcode,
            Verdict::WrongLength {
                padded: Some(_),
                ..
            }
        ));
    }

    /// How many rows have this verdict, by [`Verdict::code`].
    #[cfg(test)]
    pub fn with_barcode(&self, verdict: &str) -> u64 {
        self.barcodes.get(verdict).copied().unwrap_or_default()
    }
}

impl fmt::Display for CatalogSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows: {} products", self.rows, self.products)?;
        if self.parts > 0 {
            write!(f, " with {} further rows", self.parts)?;
        }
        write!(f, ", {} rejected", self.rejected)?;
        let verdicts = self
            .barcodes
            .iter()
            .map(|(code, count)| format!("{count} {code}"));
        let verdicts: Vec<String> = verdicts.map(|part| part.replace('_', " ")).collect();
        write!(f, "; barcodes: {}", verdicts.join(", "))?;
        if self.padded > 0 {
            write!(f, " ({} right with leading zeros)", self.padded)?;
        }
        let (name, brand, image) = (self.with_name, self.with_brand, self.with_image);
        write!(
            f,
            "; {name} with a name, {brand} with a brand, {image} with an image"
        )
    }
}
