//! The account of a whole catalog: how many rows of which sort.

use std::collections::BTreeMap;
use std::fmt;

use domain::gtin::Verdict;

use super::product::Row;

/// Counts over the rows of a catalog. Every row is a product or rejected, and has one verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct CatalogSummary {
    /// All rows but the header and blank ones.
    pub(crate) rows: u64,
    /// Rows that are products.
    pub(crate) products: u64,
    /// Rows that are not.
    pub(crate) rejected: u64,
    /// Rows by the verdict on their barcode.
    pub(crate) barcodes: BTreeMap<&'static str, u64>,
    /// Of the numbers of a wrong length: those that leading zeros make a GTIN, in-store or not.
    pub(crate) padded: u64,
    /// Products with a barcode to ask a provider about.
    pub(crate) with_ean: u64,
    /// Products with a name.
    pub(crate) with_name: u64,
    /// Products with a brand.
    pub(crate) with_brand: u64,
    /// Products with at least one usable image.
    pub(crate) with_image: u64,
    /// Notices and rejections by their code.
    pub(crate) codes: BTreeMap<&'static str, u64>,
}

impl CatalogSummary {
    /// Counts one more row.
    pub(crate) fn add(&mut self, row: &Row) {
        self.rows += 1;
        let barcode = match row {
            Row::Product(product) => {
                self.products += 1;
                self.with_ean += u64::from(product.ean.is_some());
                self.with_name += u64::from(product.name.is_some());
                self.with_brand += u64::from(product.brand.is_some());
                self.with_image += u64::from(!product.image_urls.is_empty());
                for notice in &product.notices {
                    *self.codes.entry(notice.code).or_default() += 1;
                }
                &product.barcode
            }
            Row::Rejected(rejected) => {
                self.rejected += 1;
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
    pub(crate) fn with_barcode(&self, verdict: &str) -> u64 {
        self.barcodes.get(verdict).copied().unwrap_or_default()
    }
}

impl fmt::Display for CatalogSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rows: {} products, {} rejected",
            self.rows, self.products, self.rejected
        )?;
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
