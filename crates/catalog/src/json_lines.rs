//! One JSON object on each line, as records of cells under a header that grows with the names found.
//!
//! Numbers keep the digits that the file has, lists become one cell with a line for each of their texts,
//! and of an object its name, its address or its value is taken.

use std::collections::HashMap;
use std::fmt;
use std::io;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::records::Record;
use crate::text::Lines;

/// The most names that the objects of a file may have together; the members under further ones are left out.
const MAX_NAMES: usize = 5_000;
/// Of an object within an object, the member that says most.
const TELLING: [&str; 6] = ["name", "title", "src", "url", "href", "value"];

/// The records of such a file.
#[derive(Debug)]
pub(crate) struct JsonLines {
    lines: Lines,
    header: Vec<String>,
    places: HashMap<String, usize>,
    /// Read ahead, to know the first names.
    first: Option<Record>,
}

/// The members of an object in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

impl JsonLines {
    /// The records of these lines.
    pub(crate) fn new(lines: Lines) -> io::Result<Self> {
        let mut own = Self {
            lines,
            header: Vec::new(),
            places: HashMap::new(),
            first: None,
        };
        own.first = own.next_record()?;
        Ok(own)
    }

    /// The names found so far.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// What the lines are encoded in.
    pub(crate) fn encoding(&self) -> &'static str {
        self.lines.encoding()
    }

    /// The next object; None at the end of the file.
    pub(crate) fn next_record(&mut self) -> io::Result<Option<Record>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        while let Some(line) = self.lines.next_line()? {
            let text = line.text.trim();
            if text.is_empty() {
                continue;
            }
            let mut record = Record {
                line: line.number,
                is_cut: line.is_cut,
                ..Record::default()
            };
            match serde_json::from_str::<Members>(text) {
                Ok(members) => record.cells = self.cells(members),
                Err(_) if line.is_cut => {
                    record.fault = Some("the line is longer than a mebibyte".to_owned());
                }
                Err(error) => {
                    record.fault = Some(format!("the line is no JSON object: {error}"));
                    record.cells = vec![text.to_owned()];
                }
            }
            return Ok(Some(record));
        }
        Ok(None)
    }

    fn cells(&mut self, members: Members) -> Vec<String> {
        let mut cells = vec![String::new(); self.header.len()];
        for (name, value) in members.0 {
            let place = match self.places.get(&name) {
                Some(place) => *place,
                None if self.header.len() < MAX_NAMES => {
                    self.places.insert(name.clone(), self.header.len());
                    self.header.push(name);
                    cells.push(String::new());
                    self.header.len() - 1
                }
                None => continue,
            };
            if let Some(cell) = cells.get_mut(place) {
                *cell = text_of(&value);
            }
        }
        cells
    }
}

/// What a value says, as a cell would.
fn text_of(value: &RawValue) -> String {
    let raw = value.get();
    match raw.bytes().next() {
        Some(b'"') => serde_json::from_str(raw).unwrap_or_default(),
        Some(b'n') => String::new(),
        Some(b'[') => {
            let list: Vec<Box<RawValue>> = serde_json::from_str(raw).unwrap_or_default();
            let texts: Vec<String> = list.iter().map(|one| text_of_plain(one)).collect();
            texts.join("\n")
        }
        _ => text_of_plain(value),
    }
}

/// The same, one level deep: lists in lists and objects in objects stay JSON.
fn text_of_plain(value: &RawValue) -> String {
    let raw = value.get();
    match raw.bytes().next() {
        Some(b'"') => serde_json::from_str(raw).unwrap_or_default(),
        Some(b'n') => String::new(),
        Some(b'{') => {
            let Ok(Members(members)) = serde_json::from_str(raw) else {
                return raw.to_owned();
            };
            let member = |name: &str| members.iter().find(|(known, _)| known == name);
            let telling = TELLING.into_iter().find_map(member);
            let telling = telling.filter(|(_, value)| !value.get().starts_with(['{', '[']));
            telling.map_or_else(|| raw.to_owned(), |(_, value)| text_of_plain(value))
        }
        _ => raw.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    fn read(text: &str) -> (Vec<Record>, Vec<String>) {
        let text = Text::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
        let mut lines = JsonLines::new(Lines::new(text.unwrap().unwrap())).unwrap();
        let records = std::iter::from_fn(|| lines.next_record().unwrap()).collect();
        (records, lines.header().to_vec())
    }

    #[test]
    fn numbers_keep_their_digits_and_lists_their_texts() {
        let (records, header) = read(
            "{\"ean\": 4006381333931, \"name\":\"L\\u00e4mp\", \"images\":[\"https://a.example/1\",{\"src\":\"https://a.example/2\"}]}\n\n\
             {\"name\":null,\"brand\":{\"id\":7,\"name\":\"Oakmere\"},\"price\":8.02E+12,\"x\":{\"y\":[1]}}\n",
        );
        assert_eq!(header, ["ean", "name", "images", "brand", "price", "x"]);
        assert_eq!(
            records[0].cells,
            [
                "4006381333931",
                "Lämp",
                "https://a.example/1\nhttps://a.example/2"
            ]
        );
        assert_eq!(
            records[1].cells,
            ["", "", "", "Oakmere", "8.02E+12", "{\"y\":[1]}"]
        );
        assert_eq!(records[1].line, 3);
    }

    #[test]
    fn a_line_that_does_not_read_costs_one_row() {
        let (records, _) = read("{\"ean\":1}\n{\"ean\":\nnonsense\n{\"ean\":2}\n");
        let faults: Vec<bool> = records
            .iter()
            .map(|record| record.fault.is_some())
            .collect();
        assert_eq!(faults, [false, true, true, false]);
        assert_eq!(records[2].cells, ["nonsense"]);
    }
}
