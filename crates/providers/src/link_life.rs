//! When a signed link dies, as far as the link itself says it: the shapes of Azure, S3, Google and
//! CloudFront. It only orders what is fetched first; what a link opens, its host decides.

use domain::Timestamp;
use url::Url;

use crate::mask::SignedUrl;

impl SignedUrl {
    /// The moment from which on the link says that it opens nothing, by the clock of whoever signed it.
    /// None where it says nothing that is known.
    #[must_use]
    pub fn dies_at(&self) -> Option<Timestamp> {
        let url = Url::parse(self.expose()).ok()?;
        let value = |name: &str| {
            let mut pairs = url.query_pairs();
            let found = pairs.find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.into_owned())
        };
        let signed_for = |date: &str, life: &str| {
            let from = basic(&value(date)?)?;
            let seconds: i64 = value(life)?.parse().ok()?;
            let millis = seconds.checked_mul(1_000)?;
            Some(Timestamp::from_millis(
                from.as_millis().checked_add(millis)?,
            ))
        };
        // Azure: a time; a simulated host: milliseconds.
        value("se")
            .and_then(|text| moment(&text))
            .or_else(|| signed_for("X-Amz-Date", "X-Amz-Expires"))
            .or_else(|| signed_for("X-Goog-Date", "X-Goog-Expires"))
            .or_else(|| {
                let seconds: i64 = value("Expires")?.parse().ok()?;
                seconds.checked_mul(1_000).map(Timestamp::from_millis)
            })
    }
}

/// A time as ISO 8601 writes it, a date alone too, or milliseconds since 1970.
fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(millis) = text.parse() {
        return Some(Timestamp::from_millis(millis));
    }
    let whole = if text.len() == "2026-11-22".len() {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    whole.parse().ok()
}

/// `20261122T101530Z`.
fn basic(text: &str) -> Option<Timestamp> {
    let part = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(9, 11)?, part(11, 13)?, part(13, 15)?);
    let iso = format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    iso.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_link_is_read_in_the_shapes_of_the_large_stores() {
        let check = |query: &str, expect: Option<&str>| {
            let url = SignedUrl::new(format!("https://h.example/x{query}"));
            let expect = expect.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(url.dies_at(), expect, "{query}");
        };
        check(
            "?sv=2022&se=2026-11-22T10%3A15%3A30Z&sig=x",
            Some("2026-11-22T10:15:30Z"),
        );
        check("?se=2026-11-22&sig=x", Some("2026-11-22T00:00:00Z"));
        check("?se=1795342530000&sig=x", Some("2026-11-22T10:15:30Z"));
        check(
            "?X-Amz-Date=20261122T101530Z&X-Amz-Expires=60&X-Amz-Signature=x",
            Some("2026-11-22T10:16:30Z"),
        );
        check(
            "?X-Goog-Date=20261122T101530Z&X-Goog-Expires=60",
            Some("2026-11-22T10:16:30Z"),
        );
        check(
            "?Expires=1795342530&Signature=x",
            Some("2026-11-22T10:15:30Z"),
        );
        check("?X-Amz-Date=garbage&X-Amz-Expires=60", None);
        check(
            "?X-Amz-Date=20261122T101530Z&X-Amz-Expires=9999999999999999999",
            None,
        );
        check("?sig=x", None);
        check("", None);
    }
}
