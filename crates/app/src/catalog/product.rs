//! One row of a catalog as a product, and what is odd about it.
//!
//! Owns the decision which barcode is worth asking a provider about, and which URLs can be sources
//! of images. It repairs what has one meaning only (lost leading zeros, blanks, an apostrophe),
//! reports every repair, and drops nothing in silence.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use domain::gtin::{self, Verdict};
use domain::request::image_url_fault;

use super::columns::Columns;
use super::records::Record;

/// How many barcodes, and how many SKUs, are remembered to find repetitions: some 30 MB for both.
/// In a longer catalog repetitions among the first half million rows are told.
const MAX_REMEMBERED: usize = 500_000;
/// How much of a cell a sentence shows, in characters.
const SHOWN: usize = 40;

/// A product of a catalog. It has an [`ean`](Self::ean) or a [`name`](Self::name), or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Product {
    /// Where its row begins, counted from 1.
    pub(crate) line: u64,
    /// The shop's own id of it.
    pub(crate) sku: Option<String>,
    /// The barcode to ask a provider about: valid, made valid with its lost leading zeros, or with
    /// a wrong check digit, which is the provider's to judge. An in-store number means nothing to
    /// a provider and is left out.
    pub(crate) ean: Option<String>,
    /// What stands in the barcode cell.
    pub(crate) barcode: Verdict,
    /// The name, its runs of blanks and line feeds made single blanks.
    pub(crate) name: Option<String>,
    /// The brand; of several the first.
    pub(crate) brand: Option<String>,
    /// The usable URLs of its images, the main one first.
    pub(crate) image_urls: Vec<String>,
    /// What a person should know.
    pub(crate) notices: Vec<Notice>,
}

/// Something odd about a row that is taken all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// Where the row begins.
    pub(crate) line: u64,
    /// The column's name as the file has it; empty for the whole row.
    pub(crate) column: String,
    /// `in_store`, `wrong_check_digit`, `wrong_length`, `barcode_padded`, `not_digits`,
    /// `scientific`, `unusable_image_url`, `repeated_barcode`, `repeated_sku`, `too_many_cells`,
    /// `unclosed_quote`, `line_cut` or `damaged_text`.
    pub(crate) code: &'static str,
    /// What is odd, and what was made of it.
    pub(crate) sentence: String,
}

/// A row of which no product can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Where the row begins.
    pub(crate) line: u64,
    /// The column that would have to be filled.
    pub(crate) column: String,
    /// `no_barcode_and_no_name`.
    pub(crate) code: &'static str,
    /// What is missing, and why the barcode is no help where there is one.
    pub(crate) reason: String,
    /// What stands in the barcode cell.
    pub(crate) barcode: Verdict,
}

/// A row of a catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Row {
    /// A product, perhaps with notices.
    Product(Box<Product>),
    /// No product.
    Rejected(Rejected),
}

/// Makes products of records, and remembers what it has seen.
#[derive(Debug)]
pub(super) struct Reader {
    header: Vec<String>,
    columns: Columns,
    barcodes: Seen,
    skus: Seen,
}

impl Reader {
    pub(super) fn new(header: Vec<String>, columns: Columns) -> Self {
        Self {
            header,
            columns,
            barcodes: Seen::default(),
            skus: Seen::default(),
        }
    }

    /// The product in this record.
    pub(super) fn read(&mut self, record: &Record) -> Row {
        let cell = |column: Option<usize>| -> &str {
            column
                .and_then(|column| record.cells.get(column))
                .map_or("", String::as_str)
        };
        let barcode_text = gtin::normalise(cell(self.columns.barcode));
        let barcode = gtin::check(barcode_text);
        let name = tidy(cell(self.columns.name));
        let mut notices = Notices {
            line: record.line,
            list: Vec::new(),
        };
        self.note_shape(record, &mut notices);
        let ean = usable_ean(barcode_text, &barcode);
        if ean.is_none() && name.is_none() {
            return Row::Rejected(self.rejected(record.line, barcode_text, barcode));
        }
        self.note_barcode(barcode_text, &barcode, ean.as_deref(), &mut notices);
        let sku = tidy(cell(self.columns.sku));
        self.note_repetitions(ean.as_deref(), sku.as_deref(), &mut notices);
        let brand = cell(self.columns.brand).split(',').find_map(tidy);
        let image_urls = self.image_urls(record, &mut notices);
        let notices = notices.list;
        let line = record.line;
        let product = Product {
            line,
            sku,
            ean,
            barcode,
            name,
            brand,
            image_urls,
            notices,
        };
        Row::Product(Box::new(product))
    }

    fn rejected(&self, line: u64, barcode_text: &str, barcode: Verdict) -> Rejected {
        let column = self.columns.barcode.or(self.columns.name);
        let mut reason = "neither a usable barcode nor a name".to_owned();
        if barcode != Verdict::Empty {
            reason = format!(
                "{reason}: of the barcode {}, {barcode}",
                shown(barcode_text)
            );
        }
        let column = self.column_name(column);
        Rejected {
            line,
            column,
            code: "no_barcode_and_no_name",
            reason,
            barcode,
        }
    }

    /// What is odd about the row as a whole.
    fn note_shape(&self, record: &Record, notices: &mut Notices) {
        if record.has_unclosed_quote {
            notices.add(
                "",
                "unclosed_quote",
                "a quote is never closed: it is taken as a letter",
            );
        }
        if record.is_cut {
            notices.add(
                "",
                "line_cut",
                "the line is longer than a mebibyte, and its end is lost",
            );
        }
        let width = self.header.len();
        if record
            .cells
            .iter()
            .skip(width)
            .any(|cell| !cell.trim().is_empty())
        {
            let cells = record.cells.len();
            let sentence = format!(
                "the row has {cells} cells and the header {width}: is a delimiter not in quotes?"
            );
            notices.add("", "too_many_cells", &sentence);
        }
        let columns = &self.columns;
        let used = [columns.barcode, columns.name, columns.brand, columns.sku];
        for column in used
            .into_iter()
            .flatten()
            .chain(columns.images.iter().copied())
        {
            if record
                .cells
                .get(column)
                .is_some_and(|cell| cell.contains('\u{FFFD}'))
            {
                let sentence = "some letters are damaged (\u{FFFD}): export the file as UTF-8";
                notices.add(&self.column_name(Some(column)), "damaged_text", sentence);
            }
        }
    }

    fn note_barcode(
        &self,
        text: &str,
        verdict: &Verdict,
        ean: Option<&str>,
        notices: &mut Notices,
    ) {
        let text = shown(text);
        let (code, sentence) = match (verdict, ean) {
            (Verdict::Valid(_) | Verdict::Empty, _) => return,
            (Verdict::WrongLength { .. }, Some(padded)) => (
                "barcode_padded",
                format!("barcode {text} lost its leading zeros: {padded} is used"),
            ),
            (Verdict::WrongCheckDigit { .. }, Some(_)) => (
                verdict.code(),
                format!("barcode {text} is used, although {verdict}"),
            ),
            (
                Verdict::InStore(_)
                | Verdict::WrongCheckDigit { .. }
                | Verdict::WrongLength { .. }
                | Verdict::NotDigits
                | Verdict::Scientific,
                _,
            ) => (
                verdict.code(),
                format!("the name is used and not barcode {text}: {verdict}"),
            ),
        };
        notices.add(&self.column_name(self.columns.barcode), code, &sentence);
    }

    fn note_repetitions(&mut self, ean: Option<&str>, sku: Option<&str>, notices: &mut Notices) {
        let line = notices.line;
        if let Some(first) = ean.and_then(|ean| self.barcodes.first_line_of(ean, line)) {
            let sentence = format!("the barcode stands on line {first} already");
            notices.add(
                &self.column_name(self.columns.barcode),
                "repeated_barcode",
                &sentence,
            );
        }
        if let Some(first) = sku.and_then(|sku| self.skus.first_line_of(sku, line)) {
            let sentence = format!("the product id stands on line {first} already");
            notices.add(
                &self.column_name(self.columns.sku),
                "repeated_sku",
                &sentence,
            );
        }
    }

    /// The usable URLs of all image columns, each once.
    fn image_urls(&self, record: &Record, notices: &mut Notices) -> Vec<String> {
        let mut urls: Vec<String> = Vec::new();
        for column in &self.columns.images {
            let cell = record.cells.get(*column).map_or("", String::as_str);
            for url in split_urls(cell) {
                if let Some(fault) = image_url_fault(url) {
                    // A link can carry a signature, so that its query is not shown.
                    let plain = url.split(['?', '#']).next().unwrap_or_default();
                    let plain = plain.rsplit('@').next().unwrap_or_default();
                    let sentence = format!("image {} is left out: it {fault}", shown(plain));
                    notices.add(
                        &self.column_name(Some(*column)),
                        "unusable_image_url",
                        &sentence,
                    );
                } else if !urls.iter().any(|known| known == url) {
                    urls.push(url.to_owned());
                }
            }
        }
        urls
    }

    fn column_name(&self, column: Option<usize>) -> String {
        column
            .and_then(|column| self.header.get(column))
            .map_or("", |name| name.trim())
            .to_owned()
    }
}

/// The barcode to ask a provider about, if it can be of any help.
fn usable_ean(text: &str, verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Valid(gtin) => Some(gtin.to_string()),
        Verdict::WrongCheckDigit { .. } => Some(text.to_owned()),
        // A number that padding moves into an in-store range was an in-store number before.
        Verdict::WrongLength {
            padded: Some(gtin), ..
        } if !gtin.is_in_store() => Some(gtin.to_string()),
        Verdict::InStore(_)
        | Verdict::WrongLength { .. }
        | Verdict::NotDigits
        | Verdict::Scientific
        | Verdict::Empty => None,
    }
}

/// A text with single blanks for its runs of blanks, line feeds and control characters; None when
/// nothing else is there.
fn tidy(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut tidy = String::with_capacity(text.len());
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    (!tidy.is_empty()).then_some(tidy)
}

/// The URLs of a cell that may hold several, divided by commas, semicolons, bars or blanks.
///
/// A comma can be part of a URL (`/w_400,h_300/lamp.jpg`), so that only one before the next
/// `http://` or `https://` divides.
fn split_urls(cell: &str) -> impl Iterator<Item = &str> {
    let divides = |c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace();
    let mut rest = cell.trim_matches(divides);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .match_indices("http")
            .filter(|(at, _)| {
                let (before, after) = rest.split_at(*at);
                before.ends_with(divides)
                    && (after.starts_with("http://") || after.starts_with("https://"))
            })
            .map(|(at, _)| at)
            .next()
            .unwrap_or(rest.len());
        let (url, others) = rest.split_at(end);
        rest = others;
        Some(url.trim_end_matches(divides))
    })
}

/// The beginning of a cell in quotes.
fn shown(text: &str) -> String {
    let begin: String = text.chars().take(SHOWN).collect();
    let more = if begin.len() < text.len() { "…" } else { "" };
    format!("{:?}", begin + more)
}

/// The notices of one row.
struct Notices {
    line: u64,
    list: Vec<Notice>,
}

impl Notices {
    fn add(&mut self, column: &str, code: &'static str, sentence: &str) {
        let (column, sentence) = (column.to_owned(), sentence.to_owned());
        self.list.push(Notice {
            line: self.line,
            column,
            code,
            sentence,
        });
    }
}

/// On which line a text stood first, by its fingerprint. Two texts of one fingerprint are one in
/// 10^19 pairs, and cost a wrong notice, not a row.
#[derive(Debug, Default)]
struct Seen(HashMap<u64, u64>);

impl Seen {
    fn first_line_of(&mut self, text: &str, line: u64) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let fingerprint = hasher.finish();
        let first = self.0.get(&fingerprint).copied();
        if first.is_none() && self.0.len() < MAX_REMEMBERED {
            self.0.insert(fingerprint, line);
        }
        first
    }
}
