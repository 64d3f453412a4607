//! What a file is, by its first bytes.

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
    /// An HTML page where an image or a video should be: refused, it is somebody's error page.
    pub error_page: bool,
}

/// Tells what `head` (the first bytes of a file) is, and whether `provider_type` (`Image`,
/// `Video`, `ClosedCaptions`, …) may be that.
#[must_use]
pub fn sniff(head: &[u8], provider_type: &str) -> Sniffed {
    let _ = (head, provider_type);
    Sniffed { content_type: String::new(), extension: String::new(), expected: false, error_page: false }
}
