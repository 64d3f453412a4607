//! Bytes of a catalog file as lines of text.
//!
//! Owns the encoding and the line ends, and knows nothing of cells. It reads in chunks, so that a
//! file of any size takes the same memory, and a line has a greatest length for the same reason.
//!
//! The encoding is told by a byte order mark (also one behind a line feed, as some shop plugins
//! write it), else by the first chunk that is not plain ASCII: ASCII means the same in UTF-8 and in
//! Windows-1252, so that the decision can wait until there is something to decide by.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

/// How many bytes are read, and looked at for the encoding, at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// The longest line, in bytes of UTF-8. Real exports have HTML of some kilobytes in a cell.
pub(crate) const MAX_LINE_BYTES: usize = 1024 * 1024;
/// How many pairs of bytes are looked at for UTF-16 without a mark.
const WIDE_LOOKED_AT: usize = 200;
/// The byte order mark of UTF-8.
const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Without its line end, and cut at [`MAX_LINE_BYTES`].
    pub(crate) text: String,
    /// Whether something was cut off.
    pub(crate) is_cut: bool,
}

/// A file as UTF-8, decoded as it is asked for.
pub(crate) struct Text {
    input: Box<dyn Read + Send>,
    /// None as long as everything was ASCII.
    decoder: Option<Decoder>,
    /// Decoded, and not yet given out.
    text: String,
    /// Where in `text` the rest begins.
    start: usize,
    /// How many line feeds were given out to a reader of bytes.
    lines: u64,
    is_at_end: bool,
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

/// The lines of a file, decoded as they are asked for.
#[derive(Debug)]
pub(crate) struct Lines {
    text: Text,
    line_end: char,
    number: u64,
}

impl Text {
    /// The text of this input. None when its beginning is no text in an encoding that we know: an
    /// Excel workbook, an image.
    pub(crate) fn new(input: Box<dyn Read + Send>) -> io::Result<Option<Self>> {
        let mut text = Self {
            input,
            decoder: None,
            text: String::new(),
            start: 0,
            lines: 0,
            is_at_end: false,
        };
        let mut head = text.read_chunk()?;
        if let Some(encoding) = wide(&head) {
            text.decoder = Some(encoding.new_decoder_with_bom_removal());
        } else {
            let blank = head
                .iter()
                .take_while(|byte| b"\r\n ".contains(byte))
                .count();
            if head
                .get(blank..)
                .is_some_and(|rest| rest.starts_with(UTF_8_MARK))
            {
                // The line feeds before the mark stay, so that line numbers stay right.
                head.drain(blank..blank + UTF_8_MARK.len());
                text.decoder = Some(UTF_8.new_decoder_without_bom_handling());
            }
            if head.contains(&0) {
                return Ok(None);
            }
        }
        text.decode(&head);
        Ok(Some(text))
    }

    /// The encoding, as far as the file was read.
    pub(crate) fn encoding(&self) -> &'static str {
        let encoding = self.decoder.as_ref().map_or(UTF_8, Decoder::encoding);
        encoding.name()
    }

    /// The first letter that is no blank, in the first chunk.
    pub(crate) fn first_letter(&self) -> Option<char> {
        self.text.trim_start().chars().next()
    }

    /// On which line the next byte stands, for those who read bytes.
    pub(crate) fn line(&self) -> u64 {
        self.lines + 1
    }

    /// The next bytes, as many as a chunk has unless the file ends.
    fn read_chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let limit = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        self.input.by_ref().take(limit).read_to_end(&mut chunk)?;
        self.is_at_end = chunk.len() < CHUNK_BYTES;
        Ok(chunk)
    }

    /// Appends the bytes to the text. What is damaged becomes U+FFFD, which the rows report.
    fn decode(&mut self, bytes: &[u8]) {
        if self.decoder.is_none() && !bytes.is_ascii() {
            self.decoder = Some(likeliest(bytes).new_decoder_without_bom_handling());
        }
        let Some(decoder) = &mut self.decoder else {
            self.text.push_str(&String::from_utf8_lossy(bytes));
            return;
        };
        let needed = decoder.max_utf8_buffer_length(bytes.len());
        self.text.reserve(needed.unwrap_or(bytes.len() * 3));
        // The buffer has room for all of it, so one call is enough.
        let _ = decoder.decode_to_string(bytes, &mut self.text, self.is_at_end);
    }
}

impl Read for Text {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Text {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start >= self.text.len() && !self.is_at_end {
            self.text.clear();
            self.start = 0;
            let chunk = self.read_chunk()?;
            self.decode(&chunk);
        }
        Ok(self.text.as_bytes().get(self.start..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        let end = (self.start + amount).min(self.text.len());
        let taken = self
            .text
            .as_bytes()
            .get(self.start..end)
            .unwrap_or_default();
        let feeds = taken.iter().filter(|byte| **byte == b'\n').count();
        self.lines += u64::try_from(feeds).unwrap_or_default();
        self.start = end;
    }
}

impl Lines {
    /// The lines of this text.
    pub(crate) fn new(text: Text) -> Self {
        let has_feeds = text.text.contains('\n');
        let line_end = if text.text.contains('\r') && !has_feeds {
            '\r'
        } else {
            '\n'
        };
        Self {
            text,
            line_end,
            number: 0,
        }
    }

    /// The encoding, as far as the file was read.
    pub(crate) fn encoding(&self) -> &'static str {
        self.text.encoding()
    }

    /// The next line; None at the end of the file.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut line = Line {
            number: self.number + 1,
            text: String::new(),
            is_cut: false,
        };
        let mut is_begun = false;
        loop {
            let text = &mut self.text;
            let rest = text.text.get(text.start..).unwrap_or_default();
            is_begun |= !rest.is_empty();
            if let Some(length) = rest.find(self.line_end) {
                line.append(rest.get(..length).unwrap_or_default());
                text.start += length + self.line_end.len_utf8();
                break;
            }
            line.append(rest);
            text.text.clear();
            text.start = 0;
            if text.is_at_end {
                if !is_begun {
                    return Ok(None);
                }
                break;
            }
            let chunk = text.read_chunk()?;
            text.decode(&chunk);
        }
        if line.text.ends_with('\r') {
            line.text.pop();
        }
        self.number += 1;
        Ok(Some(line))
    }
}

impl Line {
    fn append(&mut self, text: &str) {
        let room = MAX_LINE_BYTES.saturating_sub(self.text.len());
        let end = text.floor_char_boundary(room);
        self.is_cut |= end < text.len();
        self.text.push_str(text.get(..end).unwrap_or_default());
    }
}

/// UTF-16 with its mark, or without one where every other of the first bytes is null: text of a header is
/// mostly ASCII.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    if head.starts_with(b"\xFF\xFE") {
        return Some(UTF_16LE);
    }
    if head.starts_with(b"\xFE\xFF") {
        return Some(UTF_16BE);
    }
    let pairs: Vec<&[u8]> = head.chunks_exact(2).take(WIDE_LOOKED_AT).collect();
    let nulls = |place: usize| {
        let null = |pair: &&&[u8]| pair.get(place) == Some(&0);
        pairs.iter().filter(null).count()
    };
    let (first, second) = (nulls(0), nulls(1));
    let most = |count: usize| pairs.len() > 3 && count * 4 > pairs.len() * 3;
    match (first, second) {
        (0, second) if most(second) => Some(UTF_16LE),
        (first, 0) if most(first) => Some(UTF_16BE),
        _ => None,
    }
}

/// UTF-8 or Windows-1252, by a vote of the bytes beyond ASCII: text in Windows-1252 almost never
/// makes a sequence of UTF-8 by chance, and one damaged letter should not change a whole file.
fn likeliest(bytes: &[u8]) -> &'static Encoding {
    let mut letters = 0_usize;
    let mut strays = 0_usize;
    let mut seen = 0_usize;
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        seen += chunk.valid().len() + chunk.invalid().len();
        // A letter that the end of the chunk cuts in two is no stray.
        let is_whole = seen < bytes.len() || bytes.len() < CHUNK_BYTES;
        strays += usize::from(is_whole && !chunk.invalid().is_empty());
    }
    if strays > letters {
        WINDOWS_1252
    } else {
        UTF_8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> Lines {
        let text = Text::new(Box::new(io::Cursor::new(bytes.to_vec())));
        Lines::new(text.unwrap().unwrap())
    }

    fn texts(bytes: &[u8]) -> (Vec<String>, &'static str) {
        let mut lines = lines(bytes);
        let mut texts = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            texts.push(line.text);
            assert_eq!(line.number, texts.len() as u64);
        }
        (texts, lines.encoding())
    }

    fn utf_16(text: &str, mark: [u8; 2], unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        mark.into_iter()
            .chain(text.encode_utf16().flat_map(unit))
            .collect()
    }

    #[test]
    fn every_encoding_gives_the_same_lines() {
        let text = "name;größe\nÖl „extra“;1 €\n";
        let cp_1252 = WINDOWS_1252.encode(text).0.into_owned();
        for (bytes, encoding) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            ([UTF_8_MARK, text.as_bytes()].concat(), "UTF-8"),
            (utf_16(text, [0xFF, 0xFE], u16::to_le_bytes), "UTF-16LE"),
            (utf_16(text, [0xFE, 0xFF], u16::to_be_bytes), "UTF-16BE"),
            (
                utf_16(text, [0xFF, 0xFE], u16::to_le_bytes)[2..].to_vec(),
                "UTF-16LE",
            ),
            (
                utf_16(text, [0xFE, 0xFF], u16::to_be_bytes)[2..].to_vec(),
                "UTF-16BE",
            ),
            (cp_1252, "windows-1252"),
        ] {
            let expect = vec!["name;größe".to_owned(), "Öl „extra“;1 €".to_owned()];
            assert_eq!(texts(&bytes), (expect, encoding));
        }
    }

    #[test]
    fn a_mark_behind_a_line_feed_is_taken_out() {
        let (lines, _) = texts(b"\n\xEF\xBB\xBFean,name\n1,2");
        assert_eq!(lines, ["", "ean,name", "1,2"]);
    }

    #[test]
    fn every_line_end_ends_a_line() {
        for (text, expect) in [
            ("a\nb\n", vec!["a", "b"]),
            ("a\r\nb\r\n", vec!["a", "b"]),
            ("a\rb\r", vec!["a", "b"]),
            ("a\n\nb", vec!["a", "", "b"]),
            ("", vec![]),
            ("\n", vec![""]),
        ] {
            assert_eq!(texts(text.as_bytes()).0, expect, "{text:?}");
        }
    }

    #[test]
    fn the_encoding_is_told_by_the_first_letter_however_late_it_comes() {
        let ascii = "x,y\n".repeat(CHUNK_BYTES);
        for (letter, encoding) in [
            (&b"caf\xE9"[..], "windows-1252"),
            ("café".as_bytes(), "UTF-8"),
        ] {
            let (lines, told) = texts(&[ascii.as_bytes(), letter].concat());
            assert_eq!((lines.last().unwrap().as_str(), told), ("café", encoding));
        }
    }

    #[test]
    fn one_damaged_letter_does_not_change_the_encoding() {
        let (lines, encoding) = texts(b"\xC3\xA9 \xC3\xA8 \xC3\xA0 \xE9 b");
        assert_eq!(
            (lines, encoding),
            (vec!["é è à \u{FFFD} b".to_owned()], "UTF-8")
        );
    }

    #[test]
    fn letters_survive_the_borders_of_chunks() {
        for shift in 0..4 {
            let text = format!("{}{}", "a".repeat(shift), "é€💡".repeat(CHUNK_BYTES / 4));
            assert_eq!(texts(text.as_bytes()).0, [text], "{shift}");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_whole() {
        let mut lines = lines(format!("{}\nb", "é".repeat(MAX_LINE_BYTES)).as_bytes());
        let first = lines.next_line().unwrap().unwrap();
        assert!(first.is_cut && first.text.len() == MAX_LINE_BYTES);
        let second = lines.next_line().unwrap().unwrap();
        assert_eq!(
            second,
            Line {
                number: 2,
                text: "b".into(),
                is_cut: false
            }
        );
    }

    #[test]
    fn a_workbook_is_no_text() {
        let workbook = io::Cursor::new(b"PK\x03\x04\x14\0\x06\0".to_vec());
        assert!(Text::new(Box::new(workbook)).unwrap().is_none());
    }
}
