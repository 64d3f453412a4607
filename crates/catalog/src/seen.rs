//! What was seen before, by its fingerprint, in bounded memory.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How many texts are remembered: as many as a table of two million places takes before it doubles, some
/// 30 MB. In a longer catalog repetitions among the first 1.8 million are told.
const MAX_REMEMBERED: usize = 1_800_000;

/// On which line a text stood first. Two texts of one fingerprint are one in 10^19 pairs, and cost a wrong
/// notice, not a row. Bytes instead of numbers, because numbers would be padded to 16.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<[u8; 8], [u8; 4]>);

impl Seen {
    /// The line on which this text stood first, if it is not this one.
    pub(crate) fn first_line_of(&mut self, text: &str, line: u64) -> Option<u64> {
        let fingerprint = fingerprint(text);
        let first = self.0.get(&fingerprint).copied();
        if first.is_none() && self.0.len() < MAX_REMEMBERED {
            let line = u32::try_from(line).unwrap_or(u32::MAX);
            self.0.insert(fingerprint, line.to_ne_bytes());
        }
        first.map(|bytes| u64::from(u32::from_ne_bytes(bytes)))
    }

    /// Whether it was seen.
    pub(crate) fn has(&self, text: &str) -> bool {
        self.0.contains_key(&fingerprint(text))
    }
}

fn fingerprint(text: &str) -> [u8; 8] {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish().to_ne_bytes()
}
