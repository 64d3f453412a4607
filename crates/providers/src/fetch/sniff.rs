//! What a file is, by its first bytes: neither the host's `Content-Type` nor the name in the link
//! is believed.
//!
//! Nothing is decoded; a type decides about the extension of our name, and whether the file is what
//! was paid for or goes to quarantine.

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniffed {
    /// The media type by the bytes.
    pub content_type: String,
    /// The extension for our name of the file, without a dot.
    pub extension: String,
    /// Whether a file of this provider type may look like this. What may not is quarantined, for
    /// it was paid for.
    pub expected: bool,
    /// An HTML page, or a storage service's `<Error>`, where an image, a video or another file should
    /// be: somebody's error page, refused.
    pub error_page: bool,
}

/// Types that `infer` names and that no deliverable should be: active content.
const SVG: (&str, &str) = ("image/svg+xml", "svg");
/// What an HTML page is called.
const HTML: (&str, &str) = ("text/html", "html");

/// Tells what `head` (the first bytes of a file) is, and whether `provider_type` (`Image`,
/// `Video`, `ClosedCaptions`, …) may be that. A provider type that nobody told us about expects
/// anything but an HTML page.
#[must_use]
pub fn sniff(head: &[u8], provider_type: &str) -> Sniffed {
    let (content_type, extension) = kind(head);
    let provider_type = crate::json::plain_name(provider_type);
    let may_be_text = matches!(extension, "vtt" | "srt" | "txt" | "json" | "xml");
    let expected = match provider_type.as_str() {
        "image" => matches!(extension, "png" | "jpg" | "webp" | "gif" | "avif"),
        "video" => matches!(extension, "mp4" | "mov" | "webm" | "m4v" | "mkv"),
        "closedcaptions" => may_be_text,
        // A described video, a sound track, or the description's text.
        "audiodescription" => {
            may_be_text
                || matches!(extension, "mp3" | "m4a" | "wav" | "aac" | "ogg" | "flac")
                || matches!(extension, "mp4" | "mov" | "webm" | "m4v" | "mkv")
        }
        "transcript" => may_be_text || matches!(extension, "pdf" | "docx"),
        "compliancecertificate" => {
            matches!(extension, "pdf" | "json" | "txt" | "xml" | "png" | "jpg")
        }
        _ => !matches!(extension, "html" | "svg"),
    };
    Sniffed {
        content_type: content_type.to_owned(),
        extension: extension.to_owned(),
        expected,
        error_page: extension == "html" || is_storage_error(head),
    }
}

/// What Azure and S3 say instead of a file: XML with an `Error` that has a `Code`.
fn is_storage_error(head: &[u8]) -> bool {
    let text = text_of(head).unwrap_or_default().trim_start();
    let root = match text.strip_prefix("<?xml") {
        Some(rest) => rest
            .split_once("?>")
            .map_or("", |(_, rest)| rest.trim_start()),
        None => text,
    };
    root.starts_with("<Error>") && root.contains("<Code>")
}

/// Media type and extension.
fn kind(head: &[u8]) -> (&'static str, &'static str) {
    // Text first: `infer` takes some texts for scripts, and knows no captions.
    if let Some(text) = text_of(head) {
        return text_kind(text);
    }
    match infer::get(head) {
        Some(found) => (found.mime_type(), found.extension()),
        None => ("application/octet-stream", "bin"),
    }
}

/// The head as text, if it is any: UTF-8 (cut anywhere) without control characters.
fn text_of(head: &[u8]) -> Option<&str> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character may be cut off.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let control = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t');
    (!text.trim().is_empty() && !text.contains(control) && !text.starts_with("%PDF-"))
        .then_some(text)
}

fn text_kind(text: &str) -> (&'static str, &'static str) {
    let start = text.trim_start();
    let lower = start.to_ascii_lowercase();
    let has = |tag: &str| lower.contains(tag);
    if start.starts_with("WEBVTT") {
        ("text/vtt", "vtt")
    } else if lower.starts_with('<') {
        if ["<!doctype html", "<html", "<head", "<body"]
            .iter()
            .any(|tag| has(tag))
        {
            HTML
        } else if has("<svg") {
            SVG
        } else {
            ("application/xml", "xml")
        }
    } else if is_subrip(start) {
        ("application/x-subrip", "srt")
    } else if start.starts_with(['{', '[']) {
        ("application/json", "json")
    } else {
        ("text/plain; charset=utf-8", "txt")
    }
}

/// A counter on a line of its own, and a line with an arrow between two times.
fn is_subrip(text: &str) -> bool {
    let mut lines = text.lines();
    let counter = lines.next().is_some_and(|line| {
        !line.trim().is_empty() && line.trim().bytes().all(|digit| digit.is_ascii_digit())
    });
    counter && lines.next().is_some_and(|line| line.contains("-->"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &[u8], provider_type: &str, expect: (&str, &str, bool, bool)) {
        let sniffed = sniff(head, provider_type);
        let is = (
            sniffed.content_type.as_str(),
            sniffed.extension.as_str(),
            sniffed.expected,
            sniffed.error_page,
        );
        assert_eq!(
            is,
            expect,
            "{provider_type} {:?}",
            String::from_utf8_lossy(head)
        );
    }

    #[test]
    fn a_file_is_what_its_first_bytes_say() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0";
        let webp = b"RIFF\x24\0\0\0WEBPVP8 ";
        let mp4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";
        let html = b"\n<!DOCTYPE html><html><body>Sorry</body></html>";
        let subrip = b"1\r\n00:00:01,000 --> 00:00:02,000\r\nHello\r\n";
        check(png, "Image", ("image/png", "png", true, false));
        check(jpeg, "Image", ("image/jpeg", "jpg", true, false));
        check(webp, "Image", ("image/webp", "webp", true, false));
        check(mp4, "Video", ("video/mp4", "mp4", true, false));
        check(mp4, "Image", ("video/mp4", "mp4", false, false));
        check(png, "Video", ("image/png", "png", false, false));
        check(html, "Image", ("text/html", "html", false, true));
        check(html, "Video", ("text/html", "html", false, true));
        check(
            b"\xef\xbb\xbfWEBVTT\n\n",
            "ClosedCaptions",
            ("text/vtt", "vtt", true, false),
        );
        check(
            subrip,
            "ClosedCaptions",
            ("application/x-subrip", "srt", true, false),
        );
        check(
            b"Hello there",
            "Transcript",
            ("text/plain; charset=utf-8", "txt", true, false),
        );
        check(
            b"{\"ok\":1}",
            "Transcript",
            ("application/json", "json", true, false),
        );
        check(
            b"%PDF-1.7\n",
            "ComplianceCertificate",
            ("application/pdf", "pdf", true, false),
        );
        check(
            b"<svg onload='x()'>",
            "Image",
            ("image/svg+xml", "svg", false, false),
        );
        check(
            b"\0\x01\x02",
            "Video",
            ("application/octet-stream", "bin", false, false),
        );
        check(
            b"<?xml version=\"1.0\"?>\n<Error><Code>AuthenticationFailed</Code>",
            "Transcript",
            ("application/xml", "xml", true, true),
        );
        check(
            b"<cast><Error>none</Error></cast>",
            "Transcript",
            ("application/xml", "xml", true, false),
        );
        check(png, "Attribution", ("image/png", "png", true, false));
    }

    #[test]
    fn a_text_cut_inside_a_letter_is_still_text() {
        let text = "grüße".as_bytes();
        assert_eq!(sniff(&text[..3], "Transcript").extension, "txt");
    }
}
