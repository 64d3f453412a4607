//! A Google Merchant feed in XML (RSS items or Atom entries, with and without `g:`), as records of cells
//! under a header that grows with the names found. Pulled element by element: a feed may stand on one line.

use std::collections::HashMap;
use std::io;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::records::Record;
use crate::text::{MAX_LINE_BYTES, Text};

/// The most names that the items of a feed may have together.
const MAX_NAMES: usize = 5_000;

/// Why a feed does not read beyond a line.
#[derive(Debug)]
pub(crate) enum FeedError {
    /// The disk failed.
    Io(io::Error),
    /// It is no well-formed XML from this line on.
    Malformed(u64, String),
}

/// The records of a feed.
pub(crate) struct Feed {
    reader: Reader<Text>,
    buffer: Vec<u8>,
    header: Vec<String>,
    places: HashMap<String, usize>,
    first: Option<Record>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

/// An item while it is read.
#[derive(Debug, Default)]
struct Item {
    record: Record,
    /// How deep below the item we are; texts count at 1, in a member of the item itself.
    depth: usize,
    name: String,
    text: String,
}

impl Feed {
    /// The records of this text.
    pub(crate) fn new(text: Text) -> Result<Self, FeedError> {
        let mut reader = Reader::from_reader(text);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_end_names = true;
        let mut own = Self {
            reader,
            buffer: Vec::new(),
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

    /// What the text is encoded in.
    pub(crate) fn encoding(&self) -> &'static str {
        self.reader.get_ref().encoding()
    }

    /// The next item; None at the end of the feed.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, FeedError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let mut item: Option<Item> = None;
        loop {
            self.buffer.clear();
            let line = self.reader.get_ref().line();
            let event = self.reader.read_event_into(&mut self.buffer);
            let malformed =
                |error: &dyn std::fmt::Display| FeedError::Malformed(line, error.to_string());
            match (event, &mut item) {
                (Err(quick_xml::Error::Io(error)), _) => {
                    return Err(FeedError::Io(io::Error::new(
                        error.kind(),
                        error.to_string(),
                    )));
                }
                (Err(error), _) => return Err(malformed(&error)),
                (Ok(Event::Eof), None) => return Ok(None),
                (Ok(Event::Eof), Some(_)) => {
                    return Err(malformed(&"the file ends within an item"));
                }
                (Ok(Event::Start(start)), None) => {
                    if matches!(local(start.name().as_ref()), "item" | "entry") {
                        let mut begun = Item::default();
                        begun.record.line = line;
                        item = Some(begun);
                    }
                }
                (Ok(Event::Start(start)), Some(item)) => item.open(&start),
                (Ok(Event::Text(text)), Some(item)) => item.add(&text),
                (Ok(Event::CData(text)), Some(item)) => item.add(&text),
                (Ok(Event::GeneralRef(entity)), Some(item)) => item.add(&letter(&entity)),
                (Ok(Event::End(_)), Some(open)) if open.depth == 0 => {
                    return Ok(item.take().map(|item| item.record));
                }
                (Ok(Event::End(_)), Some(open)) => {
                    if let Some((name, text)) = open.close() {
                        let place = place_of(&mut self.header, &mut self.places, name);
                        put(&mut open.record.cells, place, &text);
                    }
                }
                _ => {}
            }
        }
    }
}

impl Item {
    fn open(&mut self, start: &BytesStart<'_>) {
        self.depth += 1;
        if self.depth > 1 {
            return;
        }
        self.name = local(start.name().as_ref()).to_owned();
        self.text.clear();
        // Atom's `<link href="…"/>`.
        let href = start.attributes().flatten();
        let mut href = href.filter(|attribute| attribute.key.as_ref() == "href");
        if let Some(href) = href.next() {
            self.text = href
                .normalized_value(XmlVersion::Implicit1_0)
                .unwrap_or_default()
                .into_owned();
        }
    }

    fn add(&mut self, text: &str) {
        if self.depth == 1 && self.text.len() + text.len() <= MAX_LINE_BYTES {
            self.text.push_str(text);
        }
    }

    /// The member that ends here, if it is one of the item itself.
    fn close(&mut self) -> Option<(String, String)> {
        self.depth -= 1;
        (self.depth == 0).then(|| {
            (
                std::mem::take(&mut self.name),
                std::mem::take(&mut self.text),
            )
        })
    }
}

fn place_of(
    header: &mut Vec<String>,
    places: &mut HashMap<String, usize>,
    name: String,
) -> Option<usize> {
    if let Some(place) = places.get(&name) {
        return Some(*place);
    }
    if header.len() >= MAX_NAMES {
        return None;
    }
    places.insert(name.clone(), header.len());
    header.push(name);
    Some(header.len() - 1)
}

/// Puts a text into its cell; what is there several times (`additional_image_link`) stands on lines.
fn put(cells: &mut Vec<String>, place: Option<usize>, text: &str) {
    let Some(place) = place else { return };
    if cells.len() <= place {
        cells.resize(place + 1, String::new());
    }
    if let Some(cell) = cells.get_mut(place) {
        if !cell.is_empty() {
            cell.push('\n');
        }
        cell.push_str(text.trim());
    }
}

/// A name without its prefix.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

/// What an entity means; those of HTML have no place in XML, and some shops write them all the same.
fn letter(name: &str) -> String {
    let number = name
        .strip_prefix('#')
        .and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => number.parse().ok(),
        });
    if let Some(letter) = number.and_then(char::from_u32) {
        return letter.to_string();
    }
    match (quick_xml::escape::resolve_xml_entity(name), name) {
        (Some(letter), _) => letter.to_owned(),
        (None, "nbsp") => " ".to_owned(),
        (None, _) => format!("&{name};"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(text: &str) -> Result<(Vec<Record>, Vec<String>), FeedError> {
        let text = Text::new(Box::new(io::Cursor::new(text.as_bytes().to_vec())));
        let mut feed = Feed::new(text.unwrap().unwrap())?;
        let mut records = Vec::new();
        while let Some(record) = feed.next_record()? {
            records.push(record);
        }
        let header = feed.header().to_vec();
        Ok((records, header))
    }

    #[test]
    fn rss_and_atom_with_and_without_a_prefix_are_the_same_items() {
        let members = |g: &str| {
            format!(
                "<{g}id>A-1</{g}id><title><![CDATA[Lamp & <b>shade</b>]]></title>\
                 <{g}additional_image_link>https://a.example/1</{g}additional_image_link>\
                 <{g}shipping><{g}price>5</{g}price></{g}shipping>\n\
                 <{g}additional_image_link>https://a.example/2?a=1&amp;b=2</{g}additional_image_link>\
                 <{g}gtin/>"
            )
        };
        for (open, close, item, g) in [
            (
                "<rss xmlns:g='x'><channel><title>Shop</title>",
                "</channel></rss>",
                "item",
                "g:",
            ),
            ("<rss><channel>", "</channel></rss>", "item", ""),
            ("<feed xmlns='a'><id>shop</id>", "</feed>", "entry", "g:"),
        ] {
            let text = format!(
                "<?xml version='1.0'?>\n{open}\n<{item}>{}</{item}>{close}",
                members(g)
            );
            let (records, header) = feed(&text).unwrap();
            assert_eq!(
                header,
                ["id", "title", "additional_image_link", "shipping", "gtin"]
            );
            assert_eq!(records.len(), 1);
            assert_eq!(
                records[0].cells[..3],
                [
                    "A-1",
                    "Lamp & <b>shade</b>",
                    "https://a.example/1\nhttps://a.example/2?a=1&b=2"
                ]
            );
            assert_eq!(records[0].line, 3);
        }
    }

    #[test]
    fn what_is_no_xml_any_more_is_told_with_its_line() {
        let text = "<rss><item><id>1</id></item>\n<item><id>2</title></item></rss>";
        assert!(matches!(feed(text), Err(FeedError::Malformed(2, _))));
        assert!(matches!(
            feed("<rss><item><id>1"),
            Err(FeedError::Malformed(1, _))
        ));
        assert_eq!(
            feed("<rss><item><title>&eacute;&#233;&nbsp;&lt;</title></item></rss>")
                .unwrap()
                .0[0]
                .cells,
            ["&eacute;é <"]
        );
    }
}
