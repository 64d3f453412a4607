//! An open catalog: what it is recognised as, and its rows one after the other.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::columns::{self, Columns, Field, Mapping};
use crate::feed::{Feed, FeedError};
use crate::format::Format;
use crate::group::Group;
use crate::json_lines::JsonLines;
use crate::product::{Reader, Row};
use crate::records::{DELIMITERS, Record, Records};
use crate::source::Source;
use crate::text::{Lines, Text};

/// How many lines are looked at to find the delimiter.
const LOOKED_AT: usize = 30;
/// How many of a header's names an error shows.
const NAMES_SHOWN: usize = 30;
/// How much of each of them, in characters.
const NAME_CHARS_SHOWN: usize = 40;

/// The catalog of made-up products that `vitrine demo` uses when it is given none.
const DEMO: &[u8] = include_bytes!("demo_catalog.csv");

/// Why a file cannot be read as a catalog.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
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
    /// A feed that is no XML from some place on.
    #[error("the feed is broken on line {line}: {why}")]
    Malformed {
        /// Where.
        line: u64,
        /// What is wrong there.
        why: String,
    },
    /// A workbook, an archive, an image.
    #[error("the catalog is no text: save it as CSV in UTF-8 (an .xlsx workbook is none)")]
    NotText,
    /// A format that cannot be read row by row.
    #[error("the catalog is one JSON array: write one object on each line (`jq -c '.[]'` does)")]
    JsonArray,
    /// Nothing but blank lines.
    #[error("the catalog is empty: it needs a header and one row for each product")]
    Empty,
    /// A header, or a first row without one, that names neither a barcode nor a name.
    #[error(
        "the header on line {line} has no column for a barcode or a name. It has: {seen}. \
         Say which it is with --map COLUMN=barcode or --map COLUMN=title. These are known, in any case \
         and spacing: {accepted}"
    )]
    NoProductColumn {
        /// Where the header stands.
        line: u64,
        /// Its names, the first of them.
        seen: String,
        /// The names that are understood.
        accepted: String,
    },
    /// A column that was said to mean something is not there.
    #[error("there is no column {column:?}. There are: {seen}")]
    NoColumn {
        /// As it was said.
        column: String,
        /// The header's names, the first of them.
        seen: String,
    },
}

/// An open catalog; iterate over it for its rows.
#[derive(Debug)]
pub struct Catalog {
    source: Source,
    reader: Reader,
    format: Format,
    mapping: Mapping,
    delimiter: Option<char>,
    group: Group,
    /// The line of the row read last, for errors.
    line: u64,
    is_over: bool,
}

impl Catalog {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// See [`CatalogError`]; all of them tell what to do.
    pub fn open(path: &Path, mapping: Mapping) -> Result<Self, CatalogError> {
        let file = File::open(path).map_err(|source| CatalogError::Open {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_reader(file, mapping)
    }

    /// The built-in catalog of made-up products.
    ///
    /// # Errors
    /// None in practice: a test reads it.
    pub fn demo() -> Result<Self, CatalogError> {
        Self::from_reader(DEMO, Mapping::default())
    }

    /// Reads a catalog from anywhere. The input needs no buffer of its own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_reader(
        input: impl Read + Send + 'static,
        mapping: Mapping,
    ) -> Result<Self, CatalogError> {
        let text = Text::new(Box::new(input)).map_err(unread)?;
        let text = text.ok_or(CatalogError::NotText)?;
        match text.first_letter() {
            Some('<') => {
                let feed = Feed::new(text).map_err(|error| broken(error, 0))?;
                Self::of(
                    Source::Feed(Box::new(feed)),
                    Format::Google,
                    mapping,
                    None,
                    1,
                )
            }
            Some('{') => {
                let lines = JsonLines::new(Lines::new(text)).map_err(unread)?;
                Self::of(Source::Json(lines), Format::JsonLines, mapping, None, 1)
            }
            Some('[') => Err(CatalogError::JsonArray),
            Some(_) | None => Self::table(text, mapping),
        }
    }

    fn table(text: Text, mapping: Mapping) -> Result<Self, CatalogError> {
        let mut records = Records::new(Lines::new(text), ',');
        let delimiter = find_delimiter(&mut records).map_err(unread)?;
        records.divide_by(delimiter);
        let header = records.next_record().map_err(unread)?;
        let header = header.ok_or(CatalogError::Empty)?;
        records.expect_width(header.cells.len());
        let names: Vec<String> = header
            .cells
            .iter()
            .map(|name| columns::plain(name))
            .collect();
        let format = Format::of(&names, &header.cells);
        let source = Source::Table(records, header.cells);
        Self::of(source, format, mapping, Some(delimiter), header.line)
    }

    fn of(
        source: Source,
        format: Format,
        mapping: Mapping,
        delimiter: Option<char>,
        line: u64,
    ) -> Result<Self, CatalogError> {
        let header = source.header().to_vec();
        if header.is_empty() {
            return Err(CatalogError::Empty);
        }
        let mut columns = Columns::of(&header, format);
        for (column, field) in &mapping.0 {
            columns
                .say(&header, column, *field)
                .ok_or_else(|| CatalogError::NoColumn {
                    column: column.clone(),
                    seen: names_seen(&header),
                })?;
        }
        if !columns.name_products() {
            return Err(CatalogError::NoProductColumn {
                line,
                seen: names_seen(&header),
                accepted: columns::accepted(),
            });
        }
        let is_table = source.is_table();
        Ok(Self {
            source,
            reader: Reader::new(header, columns, is_table),
            format,
            mapping,
            delimiter,
            group: Group::default(),
            line,
            is_over: false,
        })
    }

    /// Which program's file it is.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// What divides the cells, of a table.
    #[must_use]
    pub fn delimiter(&self) -> Option<char> {
        self.delimiter
    }

    /// The encoding, as far as the file was read: UTF-8 until a letter tells otherwise.
    #[must_use]
    pub fn encoding(&self) -> &'static str {
        self.source.encoding()
    }

    /// The names of the cells of a [`Record`], as the file has them, as far as they are known.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.reader.header
    }

    /// Which columns were taken for a field.
    #[must_use]
    pub fn columns_of(&self, field: Field) -> Vec<String> {
        let places = self.reader.columns.places(field).iter();
        places
            .map(|place| self.reader.column_name(Some(*place)))
            .collect()
    }

    /// The next record, and under a header that has grown the columns anew.
    fn next_record(&mut self) -> Result<Option<Record>, CatalogError> {
        let record = self
            .source
            .next_record()
            .map_err(|error| broken(error, self.line))?;
        if self.source.header().len() > self.reader.header.len() {
            let header = self.source.header().to_vec();
            let mut columns = Columns::of(&header, self.format);
            for (column, field) in &self.mapping.0 {
                // It was there when the file was opened, and names are only added.
                let _ = columns.say(&header, column, *field);
            }
            self.reader.header = header;
            self.reader.columns = columns;
        }
        if let Some(record) = &record {
            self.line = record.line;
        }
        Ok(record)
    }

    /// The rows of the next product.
    fn next_group(&mut self) -> Result<Option<Vec<Record>>, CatalogError> {
        let Some(column) = self.reader.columns.group else {
            return Ok(self.next_record()?.map(|record| vec![record]));
        };
        while let Some(record) = self.next_record()? {
            let key = record.cells.get(column).cloned().unwrap_or_default();
            if let Some(ended) = self.group.add(&key, record) {
                return Ok(Some(ended));
            }
        }
        Ok(self.group.finish())
    }
}

impl Iterator for Catalog {
    type Item = Result<Row, CatalogError>;

    /// The next product or row; after an error there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        match self.next_group() {
            Ok(None) => None,
            Ok(Some(records)) => Some(Ok(self.reader.read(records))),
            Err(error) => {
                self.is_over = true;
                Some(Err(error))
            }
        }
    }
}

fn unread(source: io::Error) -> CatalogError {
    CatalogError::Read { line: 0, source }
}

fn broken(error: FeedError, line: u64) -> CatalogError {
    match error {
        FeedError::Io(source) => CatalogError::Read { line, source },
        FeedError::Malformed(line, why) => CatalogError::Malformed { line, why },
    }
}

/// The first names of a header, each shortened.
fn names_seen(header: &[String]) -> String {
    let name = |cell: &String| {
        let letters = cell.trim().chars();
        letters.take(NAME_CHARS_SHOWN).collect::<String>()
    };
    let names: Vec<String> = header.iter().map(name).take(NAMES_SHOWN).collect();
    let more = if header.len() > NAMES_SHOWN {
        ", …"
    } else {
        ""
    };
    names.join(", ") + more
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
