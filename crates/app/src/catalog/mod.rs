//! Reader of people's catalog files: a table from a shop, as it is, row by row as products.
//!
//! ```text
//! bytes ──text──> lines ──records──> cells ──columns──> meanings ──product──> Product | Rejected
//! ```
//!
//! Owns everything up to the product: encodings, delimiters, quotes, names of columns, odd barcodes
//! and URLs. It writes nothing to a database and asks no provider; the importer does. Memory stays
//! flat over a file of any length, but for the fingerprints that find repetitions, which are bounded.
//!
//! A further format joins where its shape ends: another table brings names of columns
//! (`columns`), XML brings its own records, and what groups rows into one product (the variants of
//! a Shopify export) stands between `records` and `product`.

mod columns;
mod product;
mod records;
mod summary;
mod text;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub(crate) use product::{Product, Row};
pub(crate) use summary::CatalogSummary;

use columns::Columns;
use product::Reader;
use records::{DELIMITERS, Records};
use text::Lines;

/// How many lines are looked at to find the delimiter.
const LOOKED_AT: usize = 30;
/// How many of a header's names an error shows.
const NAMES_SHOWN: usize = 30;
/// How much of each of them, in characters.
const NAME_CHARS_SHOWN: usize = 40;

/// The catalog of made-up products that `vitrine demo` uses when it is given none.
const DEMO: &[u8] = include_bytes!("../demo_catalog.csv");

/// Why a file cannot be read as a catalog.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// No such file, or no right to read it.
    #[error("catalog {path} cannot be opened")]
    Open {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The disk failed on the way.
    #[error("the catalog cannot be read beyond line {line}")]
    Read {
        /// The last row that was read begins here.
        line: u64,
        /// Why not.
        source: io::Error,
    },
    /// A workbook, an archive, an image, or UTF-16 without its mark.
    #[error("the catalog is no text: save it as CSV in UTF-8 (an .xlsx workbook is none)")]
    NotText,
    /// A format without rows and columns.
    #[error("the catalog is {0} and no table: export it as CSV")]
    NotTable(&'static str),
    /// Nothing but blank lines.
    #[error("the catalog is empty: it needs a header and one row for each product")]
    Empty,
    /// A header, or a first row without one, that names neither a barcode nor a name.
    #[error(
        "the header on line {line} has no column for a barcode or a name. It has: {seen}. \
         One of these is needed, in any case and spacing: {accepted}"
    )]
    NoProductColumn {
        /// Where the header stands.
        line: u64,
        /// Its names, the first of them.
        seen: String,
        /// The names that are understood.
        accepted: String,
    },
}

/// An open catalog; iterate over it for its rows.
#[derive(Debug)]
pub(crate) struct Catalog {
    records: Records,
    reader: Reader,
    delimiter: char,
    /// The line of the row read last, for errors.
    line: u64,
    has_failed: bool,
}

impl Catalog {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// See [`CatalogError`]; all of them tell what to do.
    pub(crate) fn open(path: &Path) -> Result<Self, CatalogError> {
        let file = File::open(path).map_err(|source| CatalogError::Open {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_reader(file)
    }

    /// The built-in catalog of made-up products.
    ///
    /// # Errors
    /// None in practice: a test reads it.
    pub(crate) fn demo() -> Result<Self, CatalogError> {
        Self::from_reader(DEMO)
    }

    /// Reads a catalog from anywhere. The input needs no buffer of its own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn from_reader(input: impl Read + Send + 'static) -> Result<Self, CatalogError> {
        let failed = |source| CatalogError::Read { line: 0, source };
        let lines = Lines::new(Box::new(input))
            .map_err(failed)?
            .ok_or(CatalogError::NotText)?;
        let mut records = Records::new(lines, ',');
        let delimiter = find_delimiter(&mut records).map_err(failed)?;
        records.divide_by(delimiter);
        if let Some(format) = format_without_rows(&mut records).map_err(failed)? {
            return Err(CatalogError::NotTable(format));
        }
        let header = records
            .next_record()
            .map_err(failed)?
            .ok_or(CatalogError::Empty)?;
        let columns = Columns::of(&header.cells);
        if !columns.name_products() {
            let seen = names_seen(&header.cells);
            let accepted = columns::accepted();
            return Err(CatalogError::NoProductColumn {
                line: header.line,
                seen,
                accepted,
            });
        }
        records.expect_width(header.cells.len());
        let line = header.line;
        let reader = Reader::new(header.cells, columns);
        Ok(Self {
            records,
            reader,
            delimiter,
            line,
            has_failed: false,
        })
    }

    /// What divides the cells.
    pub(crate) fn delimiter(&self) -> char {
        self.delimiter
    }

    /// The encoding, as far as the file was read: UTF-8 until a letter tells otherwise.
    pub(crate) fn encoding(&self) -> &'static str {
        self.records.encoding()
    }
}

impl Iterator for Catalog {
    type Item = Result<Row, CatalogError>;

    /// The next row; after an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        match self.records.next_record() {
            Ok(None) => None,
            Ok(Some(record)) => {
                self.line = record.line;
                Some(Ok(self.reader.read(&record)))
            }
            Err(source) => {
                self.has_failed = true;
                Some(Err(CatalogError::Read {
                    line: self.line,
                    source,
                }))
            }
        }
    }
}

/// The first names of a header, each shortened.
fn names_seen(header: &[String]) -> String {
    let name = |cell: &String| {
        cell.trim()
            .chars()
            .take(NAME_CHARS_SHOWN)
            .collect::<String>()
    };
    let names: Vec<String> = header.iter().map(name).take(NAMES_SHOWN).collect();
    let more = if header.len() > NAMES_SHOWN {
        ", …"
    } else {
        ""
    };
    names.join(", ") + more
}

/// The name of the format, when the file begins as XML or JSON do.
fn format_without_rows(records: &mut Records) -> io::Result<Option<&'static str>> {
    let lines = records.peek(LOOKED_AT)?;
    let first = lines
        .iter()
        .map(|line| line.text.trim_start())
        .find(|text| !text.is_empty());
    Ok(first.and_then(|text| match text.chars().next() {
        Some('<') => Some("XML"),
        Some('{' | '[') => Some("JSON"),
        Some(_) | None => None,
    }))
}

/// The delimiter, told by Excel's `sep=;` on the first line or by the first rows.
fn find_delimiter(records: &mut Records) -> io::Result<char> {
    let lines = records.peek(LOOKED_AT)?;
    let told = lines.front().and_then(|line| {
        let told = line.text.trim_end_matches(' ').strip_prefix("sep=")?;
        DELIMITERS
            .into_iter()
            .find(|delimiter| told.chars().eq([*delimiter]))
    });
    match told {
        Some(delimiter) => {
            records.skip_line()?;
            Ok(delimiter)
        }
        None => Ok(columns::delimiter(lines)),
    }
}

#[cfg(test)]
mod tests;
