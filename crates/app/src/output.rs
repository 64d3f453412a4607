//! What people and programs read: data on stdout (tables, or JSON with `--json`), talk on stderr.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failure;
use crate::progress::Stderr;

/// A table without lines, as wide as it must be; on a terminal it wraps to the terminal's width.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header);
    table
}

/// Prints data.
pub(crate) fn print(data: impl fmt::Display) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    for line in data.to_string().lines() {
        // Columns are padded to their width; blanks at the end help nobody.
        writeln!(out, "{}", line.trim_end())?;
    }
    out.flush()?;
    Ok(())
}

/// Prints data for programs: one JSON value, indented, with a line feed at its end.
pub(crate) fn print_json(data: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, data).map_err(io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Talks to the person in front; bars step aside. Nobody listening is no failure.
pub(crate) fn say(talk: impl fmt::Display) {
    let _ = Stderr.write_all(format!("{talk}\n").as_bytes());
}

/// A length of time as people say it, in the largest unit that gives at least 2 of it.
pub(crate) fn spoken(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..2 => format!("{} ms", span.as_millis()),
        2..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// An optional value in a table.
pub(crate) fn or_dash(value: Option<impl fmt::Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// The first `most` characters, with a sign that there was more.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_read_as_people_say_them() {
        for (seconds, expected) in [
            (0, "0 ms"),
            (1, "1000 ms"),
            (2, "2 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (172_800, "2 days"),
        ] {
            assert_eq!(spoken(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn text_is_shortened_between_characters() {
        assert_eq!(shortened("Prosciutto", 5), "Pros…");
        assert_eq!(shortened("caffè", 5), "caffè");
    }
}
