//! The file of rejected rows: the rows as they stood, with line, column and reason, so that it can be
//! mended and imported alone. Of a table it is a table; of a feed or of JSON lines it is JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::records::Record;

/// Our columns begin like this; they are left out when such a file is read and written again.
const OURS: &str = "vitrine_";
const NAMES: [&str; 3] = ["vitrine_line", "vitrine_column", "vitrine_reason"];

/// The file, which is made with the first row.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    writer: Option<Writer>,
    is_table: bool,
    rows: u64,
}

#[derive(Debug)]
enum Writer {
    Table(Box<csv::Writer<File>>),
    Json(BufWriter<File>),
}

/// Why a row is in the file.
#[derive(Debug, Clone, Copy)]
pub struct Why<'a> {
    /// On which line of the catalog it stands.
    pub line: u64,
    /// In which column something is wrong.
    pub column: &'a str,
    /// What.
    pub reason: &'a str,
}

impl Rejects {
    /// A file at this path, for rows of a table or else of something without columns.
    #[must_use]
    pub fn new(path: &Path, is_table: bool) -> Self {
        Self {
            path: path.to_path_buf(),
            writer: None,
            is_table,
            rows: 0,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of one product.
    ///
    /// # Errors
    /// What the disk says.
    pub fn add(&mut self, header: &[String], records: &[Record], why: Why<'_>) -> io::Result<()> {
        if self.writer.is_none() {
            self.writer = Some(Writer::create(&self.path, self.is_table, header)?);
        }
        for record in records {
            self.rows += 1;
            match &mut self.writer {
                Some(Writer::Table(table)) => {
                    table.write_record(row(header, record, why))?;
                }
                Some(Writer::Json(lines)) => {
                    serde_json::to_writer(&mut *lines, &object(header, record, why))?;
                    lines.write_all(b"\n")?;
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Writes what is still in memory.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.writer {
            Some(Writer::Table(table)) => table.flush(),
            Some(Writer::Json(lines)) => lines.flush(),
            None => Ok(()),
        }
    }
}

impl Writer {
    fn create(path: &Path, is_table: bool, header: &[String]) -> io::Result<Self> {
        let file = File::create(path)?;
        if !is_table {
            return Ok(Self::Json(BufWriter::new(file)));
        }
        let mut table = csv::WriterBuilder::new().flexible(true).from_writer(file);
        let kept = header.iter().filter(|name| !is_ours(name));
        let names = kept.map(|name| name.trim()).chain(NAMES);
        table.write_record(names)?;
        Ok(Self::Table(Box::new(table)))
    }
}

fn is_ours(name: &str) -> bool {
    name.trim().starts_with(OURS)
}

/// The cells under the header, each row as wide as it, then the reasons.
fn row<'a>(header: &'a [String], record: &'a Record, why: Why<'a>) -> Vec<String> {
    let cell = |(place, _): (usize, &String)| record.cells.get(place).cloned().unwrap_or_default();
    let kept = header.iter().enumerate().filter(|(_, name)| !is_ours(name));
    let mut cells: Vec<String> = kept.map(cell).collect();
    let reasons = [
        why.line.to_string(),
        why.column.to_owned(),
        why.reason.to_owned(),
    ];
    cells.extend(reasons);
    cells
}

fn object(header: &[String], record: &Record, why: Why<'_>) -> Value {
    let mut object = Map::new();
    if record.fault.is_some() {
        let text = record.cells.first().cloned().unwrap_or_default();
        object.insert(format!("{OURS}text"), text.into());
    } else {
        let members = header.iter().zip(&record.cells);
        let members = members.filter(|(name, cell)| !is_ours(name) && !cell.is_empty());
        object.extend(members.map(|(name, cell)| (name.clone(), Value::from(cell.as_str()))));
    }
    let [line, column, reason] = NAMES;
    object.insert(line.to_owned(), why.line.into());
    object.insert(column.to_owned(), why.column.into());
    object.insert(reason.to_owned(), why.reason.into());
    Value::Object(object)
}
