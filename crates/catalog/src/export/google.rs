//! A supplemental feed for Google Merchant Center, in XML, where parts of an attribute are elements.
//!
//! Sources: Google's product data specification, `structured_description` ("for text that was generated with
//! AI", `digital_source_type` = `trained_algorithmic_media`, at most 5,000 characters of `content`),
//! `image_link`, `additional_image_link` (at most ten).

use std::io::{self, Write};

use quick_xml::escape::escape;

use super::{Item, Written, plain_text};

/// The longest description.
const MAX_TEXT: usize = 5_000;
/// The most further images.
const MAX_MORE_IMAGES: usize = 10;

/// The feed while it is written.
#[derive(Debug)]
pub struct GoogleFeed<W: Write> {
    out: W,
}

impl<W: Write> GoogleFeed<W> {
    /// Writes the head.
    ///
    /// # Errors
    /// What the disk says.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(
            b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
            <rss version=\"2.0\" xmlns:g=\"http://base.google.com/ns/1.0\">\n<channel>\n\
            <title>Supplemental feed</title>\n",
        )?;
        Ok(Self { out })
    }

    /// Writes an item, if there is anything of it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, item: &Item) -> io::Result<Written> {
        let text = item.text.as_ref().map(|text| plain_text(text, MAX_TEXT));
        let text = text.filter(|text| !text.is_empty());
        if text.is_none() && item.images.is_empty() {
            return Ok(Written::Nothing);
        }
        writeln!(self.out, "<item>\n<g:id>{}</g:id>", clean(&item.id))?;
        if let Some(text) = text {
            writeln!(
                self.out,
                "<g:structured_description>\
                 <g:digital_source_type>trained_algorithmic_media</g:digital_source_type>\
                 <g:content>{}</g:content></g:structured_description>",
                clean(&text)
            )?;
        }
        for (place, image) in item.images.iter().take(1 + MAX_MORE_IMAGES).enumerate() {
            let name = if place == 0 {
                "image_link"
            } else {
                "additional_image_link"
            };
            writeln!(self.out, "<g:{name}>{}</g:{name}>", clean(image))?;
        }
        self.out.write_all(b"</item>\n")?;
        Ok(Written::Row)
    }

    /// Writes the end.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(&mut self) -> io::Result<()> {
        self.out.write_all(b"</channel>\n</rss>\n")?;
        self.out.flush()
    }
}

/// Escaped, and without the control characters that XML cannot have.
fn clean(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_control()).collect();
    escape(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::{Catalog, Mapping};

    #[test]
    fn a_feed_says_that_its_texts_are_made_and_reads_back() {
        let mut out = Vec::new();
        let mut feed = GoogleFeed::new(&mut out).unwrap();
        let item = Item {
            id: "A&1".to_owned(),
            text: Some("<p>Bright\u{1} &amp; warm</p>".to_owned()),
            images: vec![
                "https://a.example/1?a=1&b=2".to_owned(),
                "https://a.example/2".to_owned(),
            ],
            ..Item::default()
        };
        assert_eq!(feed.write(&item).unwrap(), Written::Row);
        assert_eq!(feed.write(&Item::default()).unwrap(), Written::Nothing);
        feed.finish().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(
            "<g:structured_description><g:digital_source_type>trained_algorithmic_media</g:digital_source_type>\
             <g:content>Bright &amp; warm</g:content></g:structured_description>"
        ), "{text}");
        let mapping = Mapping(vec![("id".to_owned(), crate::Field::Title)]);
        let catalog = Catalog::from_reader(Cursor::new(text), mapping).unwrap();
        let header = [
            "id",
            "structured_description",
            "image_link",
            "additional_image_link",
        ];
        assert_eq!(catalog.header(), header);
    }
}
