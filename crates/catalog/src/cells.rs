//! What is done with the text of a cell, whatever the cell means.

/// How much of a cell a sentence shows, in characters.
const SHOWN: usize = 40;

/// A text with single blanks for its runs of blanks, line feeds and control characters; None when
/// nothing else is there.
pub(crate) fn tidy(text: &str) -> Option<String> {
    let mut words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let mut tidy = String::with_capacity(text.len());
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        if !tidy.is_empty() {
            tidy.push(' ');
        }
        tidy.push_str(word);
    }
    (!tidy.is_empty()).then_some(tidy)
}

/// What a reader sees of HTML: without its tags, with the letters that its commonest entities mean.
pub(crate) fn without_tags(html: &str) -> String {
    if !html.contains(['<', '&']) {
        return html.to_owned();
    }
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, behind)) = rest.split_once('<') {
        text.push_str(before);
        let is_tag = behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        match behind.split_once('>').filter(|_| is_tag) {
            Some((_, after)) => {
                text.push(' ');
                rest = after;
            }
            None => {
                text.push('<');
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    let entities = [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
    ];
    for (entity, letter) in entities {
        text = text.replace(entity, letter);
    }
    text.replace("&amp;", "&")
}

/// The URLs of a cell that may hold several, divided by commas, semicolons, bars or blanks.
///
/// A comma can be part of a URL (`/w_400,h_300/lamp.jpg`), so that only one before the next
/// `http://` or `https://` divides.
pub(crate) fn split_urls(cell: &str) -> impl Iterator<Item = &str> {
    let divides = |c: char| matches!(c, ',' | ';' | '|') || c.is_whitespace();
    let mut rest = cell.trim_matches(divides);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest
            .match_indices("http")
            .filter(|(at, _)| {
                let (before, after) = rest.split_at(*at);
                before.ends_with(divides)
                    && (after.starts_with("http://") || after.starts_with("https://"))
            })
            .map(|(at, _)| at)
            .next()
            .unwrap_or(rest.len());
        let (url, others) = rest.split_at(end);
        rest = others;
        Some(url.trim_end_matches(divides))
    })
}

/// The beginning of a cell in quotes.
pub(crate) fn shown(text: &str) -> String {
    let begin: String = text.chars().take(SHOWN).collect();
    let more = if begin.len() < text.len() { "…" } else { "" };
    format!("{:?}", begin + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_reads_as_its_text() {
        for (html, text) in [
            ("<p>Black <b>lamp</b></p>", "Black lamp"),
            ("5 < 6 &amp;lt; &lt;7&gt;", "5 < 6 &lt; <7>"),
            ("a<br/>b&nbsp;c", "a b c"),
            ("an open <p", "an open <p"),
        ] {
            assert_eq!(tidy(&without_tags(html)).as_deref(), Some(text), "{html}");
        }
    }
}
