//! What is odd about products that are taken all the same: the first of it for the report, all of it in a
//! file where somebody asks for one.

use std::fs::File;
use std::path::Path;

use catalog::Product;

use crate::exit::Failure;

/// Notices that are kept for the report.
const KEPT: usize = 5;

/// The list while it is made.
#[derive(Debug)]
pub(super) struct Notices {
    file: Option<csv::Writer<File>>,
    /// Line and sentence of the first of them.
    pub(super) first: Vec<(u64, String)>,
}

impl Notices {
    pub(super) fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let mut file = match path {
            Some(path) => Some(csv::Writer::from_writer(File::create(path)?)),
            None => None,
        };
        if let Some(file) = &mut file {
            let names = ["file", "line", "column", "code", "sentence"];
            file.write_record(names).map_err(std::io::Error::from)?;
        }
        Ok(Self {
            file,
            first: Vec::new(),
        })
    }

    /// Notes what is odd about a product of this file.
    pub(super) fn add(&mut self, of: &str, product: &Product) -> Result<(), Failure> {
        for notice in &product.notices {
            if self.first.len() < KEPT {
                self.first.push((notice.line, notice.sentence.clone()));
            }
            if let Some(file) = &mut self.file {
                let line = notice.line.to_string();
                let cells = [of, &line, &notice.column, notice.code, &notice.sentence];
                file.write_record(cells).map_err(std::io::Error::from)?;
            }
        }
        Ok(())
    }

    /// Writes what is still in memory.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        match &mut self.file {
            Some(file) => Ok(file.flush()?),
            None => Ok(()),
        }
    }
}
