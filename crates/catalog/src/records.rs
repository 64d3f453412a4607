//! Lines as records of cells: delimiters, quotes, cells over several lines.
//!
//! Differs from the `csv` crate, which reads the well-formed files of other programs here, in one
//! point that costs people rows: there a quote that is never closed swallows the rest of the file
//! into one cell, in silence and in memory. Here a record has a greatest size, and a quote that
//! breaks the shape of the table is taken as a letter of its line (`unclosed_quote`). Well-formed
//! files give the same cells in both; a test compares them.

use std::collections::VecDeque;
use std::io;

use crate::text::{Line, Lines, MAX_LINE_BYTES};

/// The delimiters that are recognised, the likeliest to be meant first when all else is equal.
pub(crate) const DELIMITERS: [char; 4] = ['\t', ';', ',', '|'];
/// The most lines that one record spans.
const MAX_RECORD_LINES: usize = 2_000;
/// The most cells that one record has.
const MAX_CELLS: usize = 20_000;

/// One row of the file as it stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The line on which it begins, counted from 1.
    pub line: u64,
    /// The cells as they stand there, without their quotes, in the order of the header.
    pub cells: Vec<String>,
    /// A quote was opened and never closed, and was taken as a letter.
    pub has_unclosed_quote: bool,
    /// The line was too long, and its end is lost.
    pub is_cut: bool,
    /// Why it does not read at all; the first cell holds its text then.
    pub fault: Option<String>,
}

impl Record {
    /// Whether no cell holds anything, as in the rows that spreadsheets leave behind a table.
    pub(crate) fn is_blank(&self) -> bool {
        self.cells.iter().all(|cell| cell.trim().is_empty())
    }
}

/// The records of a file.
#[derive(Debug)]
pub(crate) struct Records {
    lines: Lines,
    /// Lines that were read ahead, to find the delimiter or the end of a quote.
    ahead: VecDeque<Line>,
    delimiter: char,
    /// How many cells the header has, once it is known.
    width: Option<usize>,
}

impl Records {
    /// The records of these lines.
    pub(crate) fn new(lines: Lines, delimiter: char) -> Self {
        Self {
            lines,
            ahead: VecDeque::new(),
            delimiter,
            width: None,
        }
    }

    /// From here on, records of so many cells are the rule.
    pub(crate) fn expect_width(&mut self, width: usize) {
        self.width = Some(width);
    }

    /// From here on, cells are divided by this.
    pub(crate) fn divide_by(&mut self, delimiter: char) {
        self.delimiter = delimiter;
    }

    /// What the lines are encoded in.
    pub(crate) fn encoding(&self) -> &'static str {
        self.lines.encoding()
    }

    /// The first lines, which stay to be read.
    pub(crate) fn peek(&mut self, count: usize) -> io::Result<&VecDeque<Line>> {
        while self.ahead.len() < count {
            match self.lines.next_line()? {
                Some(line) => self.ahead.push_back(line),
                None => break,
            }
        }
        Ok(&self.ahead)
    }

    /// Leaves the next line out.
    pub(crate) fn skip_line(&mut self) -> io::Result<()> {
        self.next_line().map(|_| ())
    }

    /// The next record that holds anything; None at the end of the file.
    pub(crate) fn next_record(&mut self) -> io::Result<Option<Record>> {
        while let Some(first) = self.next_line()? {
            let record = self.record_from(&first)?;
            if !record.is_blank() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn next_line(&mut self) -> io::Result<Option<Line>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next_line(),
        }
    }

    fn record_from(&mut self, first: &Line) -> io::Result<Record> {
        let mut splitter = Splitter::new(self.delimiter);
        splitter.feed(&first.text);
        let mut more: Vec<Line> = Vec::new();
        let mut bytes = first.text.len();
        let mut is_cut = first.is_cut;
        while splitter.is_open() && bytes <= MAX_LINE_BYTES && more.len() < MAX_RECORD_LINES {
            let Some(line) = self.next_line()? else { break };
            splitter.feed("\n");
            splitter.feed(&line.text);
            bytes += line.text.len() + 1;
            is_cut |= line.is_cut;
            more.push(line);
        }
        let is_open = splitter.is_open();
        let cells = splitter.finish();
        if !is_open && (more.is_empty() || self.is_one(&cells, first, &more)) {
            return Ok(Record {
                line: first.number,
                cells,
                is_cut,
                ..Record::default()
            });
        }
        // Not a cell over several lines, then: give the lines back, and take the quote as a letter.
        for line in more.into_iter().rev() {
            self.ahead.push_front(line);
        }
        let cells = first
            .text
            .split(self.delimiter)
            .take(MAX_CELLS)
            .map(str::to_owned)
            .collect();
        let is_cut = first.is_cut;
        Ok(Record {
            line: first.number,
            cells,
            has_unclosed_quote: true,
            is_cut,
            fault: None,
        })
    }

    /// Whether a record over several lines is one. It is not when its lines, taken one by one with
    /// their quotes as letters, fit the header better: two stray quotes make a cell of all that
    /// stands between them.
    fn is_one(&self, cells: &[String], first: &Line, more: &[Line]) -> bool {
        let Some(width) = self.width.filter(|width| *width > 1) else {
            return true;
        };
        let fits = |line: &Line| line.text.split(self.delimiter).count() == width;
        !fits(first) || (cells.len() == width && !more.iter().all(fits))
    }
}

/// Divides text into cells, piece by piece.
#[derive(Debug)]
pub(crate) struct Splitter {
    delimiter: char,
    cells: Vec<String>,
    cell: String,
    state: State,
    /// Blanks behind a quote, until it is known whether they are part of the cell.
    blanks: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a cell, where a quote opens one.
    Start,
    /// In a cell without quotes, where a quote is a letter (`5" pipe`).
    Plain,
    /// Within quotes.
    Quoted,
    /// Behind a quote within quotes: doubled it is a letter, before a delimiter it closes.
    AfterQuote,
}

impl Splitter {
    pub(crate) fn new(delimiter: char) -> Self {
        Self {
            delimiter,
            cells: Vec::new(),
            cell: String::new(),
            state: State::Start,
            blanks: 0,
        }
    }

    /// Takes the next piece of the record. A line feed belongs to the record only while it
    /// [is open](Self::is_open).
    pub(crate) fn feed(&mut self, text: &str) {
        for c in text.chars() {
            self.take(c);
        }
    }

    fn take(&mut self, c: char) {
        match self.state {
            State::Start | State::Plain | State::AfterQuote if c == self.delimiter => {
                if self.cells.len() < MAX_CELLS {
                    self.cells.push(std::mem::take(&mut self.cell));
                }
                self.cell.clear();
                self.state = State::Start;
            }
            State::Start if c == '"' => {
                // Blanks before a quote are no part of the cell.
                self.cell.clear();
                self.state = State::Quoted;
            }
            State::Start if c == ' ' => self.cell.push(c),
            State::Start | State::Plain => {
                self.cell.push(c);
                self.state = State::Plain;
            }
            State::Quoted if c == '"' => {
                self.blanks = 0;
                self.state = State::AfterQuote;
            }
            State::Quoted => self.cell.push(c),
            State::AfterQuote if c == '"' && self.blanks == 0 => {
                self.cell.push(c);
                self.state = State::Quoted;
            }
            State::AfterQuote if c == ' ' => self.blanks += 1,
            // A quote that should have been doubled: `"10" tablet"`.
            State::AfterQuote => {
                self.cell.push('"');
                self.cell.extend(std::iter::repeat_n(' ', self.blanks));
                self.blanks = 0;
                // A second stray quote may be the one that closes.
                if c == '"' {
                    return;
                }
                self.cell.push(c);
                self.state = State::Quoted;
            }
        }
    }

    /// Whether a quote is open, so that a line feed is part of a cell.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Quoted
    }

    /// The cells.
    pub(crate) fn finish(mut self) -> Vec<String> {
        self.cells.push(self.cell);
        self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Text;

    fn records(text: &str, delimiter: char, width: usize) -> Vec<Record> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut records = Records::new(Lines::new(Text::new(input).unwrap().unwrap()), delimiter);
        records.expect_width(width);
        std::iter::from_fn(|| records.next_record().unwrap()).collect()
    }

    fn cells(text: &str) -> Vec<Vec<String>> {
        records(text, ',', 2)
            .into_iter()
            .map(|record| record.cells)
            .collect()
    }

    #[test]
    fn well_formed_tables_read_as_the_csv_crate_reads_them() {
        for text in [
            "a,b\n1,2\n",
            "a,b\r\n\"1,5\",2\r\n",
            "\"a\",\"b\"\n\"line one\nline two\",\"say \"\"hi\"\"\"\n",
            "a,b\n,\"\"\n5\" pipe,x\n",
            "a,b\n\n\n1,2",
            "a,b\n\"\n\n\",\"\"\"\"\n",
            "a,b\n1\n1,2,3\n",
        ] {
            let mut reader = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_reader(text.as_bytes());
            let expect: Vec<Vec<String>> = reader
                .records()
                .map(|record| record.unwrap().iter().map(str::to_owned).collect())
                .filter(|cells: &Vec<String>| cells.iter().any(|cell| !cell.trim().is_empty()))
                .collect();
            assert_eq!(cells(text), expect, "{text:?}");
        }
    }

    #[test]
    fn a_record_knows_the_line_on_which_it_begins() {
        let text = "a,b\r\n\r\n\"x\r\ny\",2\r\n,\r\n3,4";
        let lines: Vec<u64> = records(text, ',', 2)
            .iter()
            .map(|record| record.line)
            .collect();
        assert_eq!(lines, [1, 3, 6]);
    }

    #[test]
    fn an_unclosed_quote_costs_no_row() {
        let text = "a\tb\n\"Lamp\t1\nTable\t2\nChair\t3\n";
        let found = records(text, '\t', 2);
        assert_eq!(found.len(), 4);
        assert_eq!(found[1].cells, ["\"Lamp", "1"]);
        assert!(found[1].has_unclosed_quote && !found[2].has_unclosed_quote);
    }

    #[test]
    fn two_stray_quotes_do_not_swallow_what_stands_between() {
        let text = "a\tb\n\"Lamp\t1\nTable\t2\nChair\"\t3\n";
        let found = records(text, '\t', 2);
        let first: Vec<&str> = found
            .iter()
            .map(|record| record.cells[0].as_str())
            .collect();
        assert_eq!(first, ["a", "\"Lamp", "Table", "Chair\""]);
    }

    #[test]
    fn a_quote_without_end_is_not_read_into_memory() {
        let rows = "x,y\n".repeat(MAX_LINE_BYTES);
        let found = records(&format!("a,b\n\"open,1\n{rows}"), ',', 2);
        assert_eq!(found.len(), MAX_LINE_BYTES + 2);
    }

    #[test]
    fn quotes_that_should_be_doubled_and_blanks_around_quotes_survive() {
        assert_eq!(cells("\"10\" tablet\",2\n"), [["10\" tablet", "2"]]);
        assert_eq!(cells("a, \"b, c\" \n"), [["a", "b, c"]]);
        assert_eq!(cells("\"a \"b\" c\",2\n"), [["a \"b\" c", "2"]]);
    }
}
