//! One product of a catalog, from one row or several, and what is odd about it.
//!
//! Owns the decision which barcode is worth asking a provider about, and which URLs can be sources
//! of images. It repairs what has one meaning only (lost leading zeros, blanks, an apostrophe),
//! reports every repair, and drops nothing in silence.

use domain::gtin::{self, Verdict};
use domain::request::image_url_fault;

use crate::cells::{shown, split_urls, tidy, without_tags};
use crate::columns::{Columns, Field};
use crate::records::Record;
use crate::seen::Seen;

/// The longest id of a product, in characters; the column `client_product_id` takes 1,000.
const LONGEST_ID: usize = 200;

/// A product of a catalog. It has an [`ean`](Self::ean) or a [`title`](Self::title), or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Where its first row begins, counted from 1.
    pub line: u64,
    /// The shop's own id of it: what the shop finds it by again (Shopify: the handle).
    pub id: Option<String>,
    /// The barcode to ask a provider about: valid, made valid with its lost leading zeros, or with
    /// a wrong check digit, which is the provider's to judge. An in-store number means nothing to
    /// a provider and is left out.
    pub ean: Option<String>,
    /// What stands in the barcode cell.
    pub barcode: Verdict,
    /// The name, its runs of blanks and line feeds made single blanks.
    pub title: Option<String>,
    /// The brand; of several the first.
    pub brand: Option<String>,
    /// The usable URLs of its images, the main one first.
    pub image_urls: Vec<String>,
    /// Where in the shop it stands.
    pub category: Option<String>,
    /// The text that it has already, without tags.
    pub description: Option<String>,
    /// Another product has its id or its barcode already.
    pub repeats: Option<Repeat>,
    /// What a person should know.
    pub notices: Vec<Notice>,
    /// Its rows as they stand in the file.
    pub records: Vec<Record>,
}

impl Product {
    /// What its jobs are called after: the shop's id, else the barcode, else the name.
    #[must_use]
    pub fn client_product_id(&self) -> String {
        let own = self
            .id
            .as_ref()
            .or(self.ean.as_ref())
            .or(self.title.as_ref());
        let own = own.map_or("", String::as_str).replace('\0', "");
        if own.chars().count() <= LONGEST_ID {
            return own;
        }
        // What two long ids have in common at their beginning must not make them one.
        let begin: String = own.chars().take(LONGEST_ID).collect();
        format!("{begin}#{:016x}", fnv(&own))
    }
}

/// What a product has in common with an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The shop's id, which the product on this line has.
    Id(u64),
    /// The barcode, which the product on this line has.
    Barcode(u64),
    /// The name, which the product on this line has, where neither has an id or a barcode.
    Title(u64),
}

/// Something odd about a row that is taken all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Where the row begins.
    pub line: u64,
    /// The column's name as the file has it; empty for the whole row.
    pub column: String,
    /// `in_store`, `wrong_check_digit`, `wrong_length`, `barcode_padded`, `not_digits`,
    /// `scientific`, `unusable_image_url`, `repeated_barcode`, `repeated_sku`, `repeated_name`, `too_many_cells`,
    /// `unclosed_quote`, `line_cut`, `damaged_text` or `parent_not_in_file`.
    pub code: &'static str,
    /// What is odd, and what was made of it.
    pub sentence: String,
}

/// A row that belongs to a product of an earlier row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Where it begins.
    pub line: u64,
}

/// A row of which no product can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Where the row begins.
    pub line: u64,
    /// The column that would have to be filled.
    pub column: String,
    /// `no_barcode_and_no_name` or `unreadable`.
    pub code: &'static str,
    /// What is missing, and why the barcode is no help where there is one.
    pub reason: String,
    /// What stands in the barcode cell.
    pub barcode: Verdict,
    /// The rows as they stand in the file.
    pub records: Vec<Record>,
}

/// What the rows of a catalog are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A product, perhaps with notices.
    Product(Box<Product>),
    /// A further row of a product that was given before.
    Part(Part),
    /// No product.
    Rejected(Box<Rejected>),
}

/// Makes products of records, and remembers what it has seen.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) header: Vec<String>,
    pub(crate) columns: Columns,
    /// Whether a cell beyond the header is a mistake.
    pub(crate) is_table: bool,
    barcodes: Seen,
    ids: Seen,
    /// WooCommerce's numbers, which variations name.
    parents: Seen,
}

impl Reader {
    pub(crate) fn new(header: Vec<String>, columns: Columns, is_table: bool) -> Self {
        Self {
            header,
            columns,
            is_table,
            barcodes: Seen::default(),
            ids: Seen::default(),
            parents: Seen::default(),
        }
    }

    /// The product in these records, of which there is at least one.
    pub(crate) fn read(&mut self, records: Vec<Record>) -> Row {
        let line = records.first().map_or(0, |record| record.line);
        let mut notices = Notices {
            line,
            list: Vec::new(),
        };
        if let Some(fault) = records.iter().find_map(|record| record.fault.clone()) {
            return Row::Rejected(Box::new(Rejected {
                line,
                column: String::new(),
                code: "unreadable",
                reason: fault,
                barcode: Verdict::Empty,
                records,
            }));
        }
        match self.belongs_to_parent(&records) {
            Some(true) => return Row::Part(Part { line }),
            Some(false) => notices.add(
                "",
                "parent_not_in_file",
                "the product of this variation is not in the file before it: it is taken as a product",
            ),
            None => {}
        }
        for record in &records {
            self.note_shape(record, &mut notices);
        }
        let (barcode_text, barcode) = self.barcode(&records);
        let title = self.first(&records, Field::Title).and_then(tidy);
        let ean = usable_ean(&barcode_text, &barcode);
        if ean.is_none() && title.is_none() {
            return self.rejected(line, &barcode_text, barcode, records);
        }
        self.note_barcode(&barcode_text, &barcode, ean.as_deref(), &mut notices);
        let id = self.id(&records);
        let repeats = match (&id, &ean, &title) {
            (None, None, Some(title)) => self.note_same_title(title, &mut notices),
            _ => self.note_repetitions(ean.as_deref(), id.as_deref(), &mut notices),
        };
        let brand = self.first(&records, Field::Brand);
        let brand = brand.and_then(|brand| brand.split(',').find_map(tidy));
        let image_urls = self.image_urls(&records, &mut notices);
        let text = |field| {
            self.first(&records, field)
                .and_then(|text| tidy(&without_tags(text)))
        };
        Row::Product(Box::new(Product {
            line,
            id,
            ean,
            barcode,
            title,
            brand,
            image_urls,
            category: text(Field::Category),
            description: text(Field::Description),
            repeats,
            notices: notices.list,
            records,
        }))
    }

    /// The first cell of a field that is not blank, row by row.
    fn first<'a>(&self, records: &'a [Record], field: Field) -> Option<&'a str> {
        let places = self.columns.places(field);
        let cells = records
            .iter()
            .flat_map(|record| places.iter().filter_map(|place| record.cells.get(*place)));
        cells
            .map(String::as_str)
            .find(|cell| !cell.trim().is_empty())
    }

    /// The first barcode that helps, else the first.
    fn barcode(&self, records: &[Record]) -> (String, Verdict) {
        let places = &self.columns.barcode;
        let mut found: Option<(String, Verdict)> = None;
        for record in records {
            let cells = places.iter().filter_map(|place| record.cells.get(*place));
            for text in cells.map(|cell| gtin::normalise(cell)) {
                let verdict = gtin::check(text);
                if usable_ean(text, &verdict).is_some() {
                    return (text.to_owned(), verdict);
                }
                if verdict != Verdict::Empty && found.is_none() {
                    found = Some((text.to_owned(), verdict));
                }
            }
        }
        found.unwrap_or((String::new(), Verdict::Empty))
    }

    fn id(&self, records: &[Record]) -> Option<String> {
        let own = self
            .first(records, Field::Id)
            .and_then(|id| tidy(gtin::normalise(id)));
        own.or_else(|| {
            let [_, _, number] = self.columns.woo?;
            let number = tidy(records.first()?.cells.get(number)?)?;
            Some(format!("id:{number}"))
        })
    }

    /// WooCommerce: whether the product of this variation was there; None where it is no variation.
    fn belongs_to_parent(&mut self, records: &[Record]) -> Option<bool> {
        let [kind, parent, number] = self.columns.woo?;
        let cells = &records.first()?.cells;
        let cell = |place: usize| cells.get(place).map_or("", |cell| cell.trim());
        let parent = cell(parent);
        if !cell(kind).to_lowercase().starts_with("variation") || parent.is_empty() {
            let sku = self
                .first(records, Field::Id)
                .map(str::trim)
                .map(str::to_owned);
            self.parents
                .first_line_of(&format!("id:{}", cell(number)), 1);
            if let Some(sku) = sku {
                self.parents.first_line_of(&sku, 1);
            }
            return None;
        }
        Some(self.parents.has(parent))
    }

    fn rejected(
        &self,
        line: u64,
        barcode_text: &str,
        barcode: Verdict,
        records: Vec<Record>,
    ) -> Row {
        let columns = &self.columns;
        let column = columns.barcode.first().or(columns.title.first());
        let mut reason = "neither a usable barcode nor a name".to_owned();
        if barcode != Verdict::Empty {
            reason = format!(
                "{reason}: of the barcode {}, {barcode}",
                shown(barcode_text)
            );
        }
        Row::Rejected(Box::new(Rejected {
            line,
            column: self.column_name(column.copied()),
            code: "no_barcode_and_no_name",
            reason,
            barcode,
            records,
        }))
    }

    /// What is odd about a row as a whole.
    fn note_shape(&self, record: &Record, notices: &mut Notices) {
        if record.has_unclosed_quote {
            let sentence = "a quote is never closed: it is taken as a letter";
            notices.add("", "unclosed_quote", sentence);
        }
        if record.is_cut {
            let sentence = "the line is longer than a mebibyte, and its end is lost";
            notices.add("", "line_cut", sentence);
        }
        let width = self.header.len();
        let mut beyond = record.cells.iter().skip(width);
        if self.is_table && beyond.any(|cell| !cell.trim().is_empty()) {
            let cells = record.cells.len();
            let sentence = format!(
                "the row has {cells} cells and the header {width}: is a delimiter not in quotes?"
            );
            notices.add("", "too_many_cells", &sentence);
        }
        let used = Field::ALL.into_iter();
        let used = used.filter(|field| !matches!(field, Field::Description | Field::Category));
        for column in used.flat_map(|field| self.columns.places(field)) {
            let cell = record.cells.get(*column);
            if cell.is_some_and(|cell| cell.contains('\u{FFFD}')) {
                let sentence = "some letters are damaged (\u{FFFD}): export the file as UTF-8";
                notices.add(&self.column_name(Some(*column)), "damaged_text", sentence);
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
        let column = self.column_name(self.columns.barcode.first().copied());
        notices.add(&column, code, &sentence);
    }

    fn note_repetitions(
        &mut self,
        ean: Option<&str>,
        id: Option<&str>,
        notices: &mut Notices,
    ) -> Option<Repeat> {
        let line = notices.line;
        let barcode = ean.and_then(|ean| self.barcodes.first_line_of(ean, line));
        if let Some(first) = barcode {
            let sentence = format!("the barcode stands on line {first} already");
            let column = self.column_name(self.columns.barcode.first().copied());
            notices.add(&column, "repeated_barcode", &sentence);
        }
        let same = id.and_then(|id| self.ids.first_line_of(id, line));
        if let Some(first) = same {
            let sentence = format!("the product id stands on line {first} already");
            let column = self.column_name(self.columns.id.first().copied());
            notices.add(&column, "repeated_sku", &sentence);
        }
        same.map(Repeat::Id).or(barcode.map(Repeat::Barcode))
    }

    /// Of products that have nothing but their name.
    fn note_same_title(&mut self, title: &str, notices: &mut Notices) -> Option<Repeat> {
        let first = self
            .ids
            .first_line_of(&format!("title:{title}"), notices.line)?;
        let sentence =
            format!("the name stands on line {first} already, and there is no id or barcode");
        let column = self.column_name(self.columns.title.first().copied());
        notices.add(&column, "repeated_name", &sentence);
        Some(Repeat::Title(first))
    }

    /// The usable URLs of all image columns and rows, each once.
    fn image_urls(&self, records: &[Record], notices: &mut Notices) -> Vec<String> {
        let mut urls: Vec<String> = Vec::new();
        let cells = self.columns.images.iter().flat_map(|column| {
            let cells = records
                .iter()
                .filter_map(|record| record.cells.get(*column));
            cells.map(move |cell| (*column, cell))
        });
        for (column, cell) in cells {
            for url in split_urls(cell) {
                if let Some(fault) = image_url_fault(url) {
                    // A link can carry a signature, so that its query is not shown.
                    let plain = url.split(['?', '#']).next().unwrap_or_default();
                    let plain = plain.rsplit('@').next().unwrap_or_default();
                    let sentence = format!("image {} is left out: it {fault}", shown(plain));
                    let column = self.column_name(Some(column));
                    notices.add(&column, "unusable_image_url", &sentence);
                } else if !urls.iter().any(|known| known == url) {
                    urls.push(url.to_owned());
                }
            }
        }
        urls
    }

    pub(crate) fn column_name(&self, column: Option<usize>) -> String {
        let name = column.and_then(|column| self.header.get(column));
        name.map_or("", |name| name.trim()).to_owned()
    }
}

/// A hash that stays the same over versions of Rust: FNV-1a, by its published numbers.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
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

/// The notices of one product.
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
