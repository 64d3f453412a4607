//! What was seen before, by its fingerprint, in bounded memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many texts are remembered: as many as a table of two million places takes before it doubles, some
/// 23 MB. In a longer catalog repetitions among the first 1.8 million are told.
const MAX_REMEMBERED: usize = 1_800_000;
/// The last line that is remembered as it is; what stands further down is said to stand there.
const LAST_LINE: u64 = 0x00ff_ffff;

/// On which line a text stood first. Two texts have one fingerprint in 10^17 pairs: one catalog of a million
/// rows in a hundred thousand has a product that is wrongly taken for a repetition, and told so. Bytes
/// instead of numbers, because numbers would be padded to 16.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<[u8; 7], [u8; 3]>);

impl Seen {
    /// The line on which this text stood first, if it is not this one.
    pub(crate) fn first_line_of(&mut self, text: &str, line: u64) -> Option<u64> {
        let fingerprint = fingerprint(text);
        if let Some([high, middle, low]) = self.0.get(&fingerprint) {
            return Some(u32::from_be_bytes([0, *high, *middle, *low]).into());
        }
        if self.0.len() < MAX_REMEMBERED {
            let [.., high, middle, low] = line.min(LAST_LINE).to_be_bytes();
            self.0.insert(fingerprint, [high, middle, low]);
        }
        None
    }

    /// Whether it was seen.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.contains_key(&fingerprint(text))
    }
}

fn fingerprint(text: &str) -> [u8; 7] {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let [_, rest @ ..] = hasher.finish().to_be_bytes();
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_with_its_first_line() {
        let mut seen = Seen::default();
        for (text, line, first) in [
            ("a", 2, None),
            ("b", 70_000, None),
            ("a", 3, Some(2)),
            ("b", 5, Some(70_000)),
            ("c", u64::MAX, None),
            ("c", 1, Some(LAST_LINE)),
        ] {
            assert_eq!(seen.first_line_of(text, line), first, "{text}");
        }
        assert!(seen.has("c") && !seen.has("d"));
    }
}
