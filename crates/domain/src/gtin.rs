//! Barcodes: what a cell that should hold a GTIN really holds.
//!
//! Owns the check digit and the number ranges, nothing else. A verdict is a piece of advice, never
//! a refusal: JAKOV's own documented sample, `1234567890123`, fails the check digit (8 would be
//! right), so a strict client could not send the vendor's example. Who may refuse, and when, is
//! decided where a job or a catalog row is checked.
//!
//! Sources: GS1 General Specifications, section 7.9.1 (check digit), section 1.4 and the public
//! list of GS1 prefixes (`gs1.org/standards/id-keys/company-prefix`): 020–029, 040–049 and 200–299
//! are restricted circulation numbers, which a shop or a region hands out for itself (weighed goods,
//! own labels); so are the GTIN-8 prefixes 000–099 and 200–299. A GTIN-12 is a GTIN-13 without its
//! leading zero, hence its ranges 2 and 4.

use std::fmt;

/// The lengths that a GTIN can have, shortest first.
const LENGTHS: [usize; 4] = [8, 12, 13, 14];

/// A number with a right check digit and a right length. Leading zeros are part of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gtin(String);

impl Gtin {
    /// The digits as they were written, leading zeros included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the number lies in a range for restricted circulation: a shop made it up for itself,
    /// and it means nothing to anybody else.
    #[must_use]
    pub fn is_in_store(&self) -> bool {
        let full = format!("{:0>14}", self.0);
        match full.strip_prefix("000000") {
            Some(short) => short.starts_with(['0', '2']),
            // The first of fourteen digits says how the product is packed; the prefix follows.
            None => full
                .get(1..)
                .is_some_and(|prefix| ["02", "04", "2"].iter().any(|p| prefix.starts_with(p))),
        }
    }
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a text is, seen as a barcode. `Display` is a sentence without the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A GTIN that anybody can look up.
    Valid(Gtin),
    /// A right check digit, in a range for restricted circulation.
    InStore(Gtin),
    /// A right length, and a last digit that does not fit the others.
    WrongCheckDigit {
        /// The digit that would be right.
        expected: char,
        /// The digit that stands there.
        found: char,
    },
    /// Digits only, but not 8, 12, 13 or 14 of them.
    WrongLength {
        /// How many digits there are.
        digits: usize,
        /// With its lost leading zeros put back the number passes the check digit. One number in
        /// ten does so by chance, and it may lie in an in-store range: ask [`Gtin::is_in_store`].
        padded: Option<Gtin>,
    },
    /// Something else than digits.
    NotDigits,
    /// A spreadsheet wrote the number as `8,02E+12`: its digits are lost.
    Scientific,
    /// Nothing but blanks.
    Empty,
}

impl Verdict {
    /// The verdict's name for reports and codes, in snake_case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Valid(_) => "valid",
            Self::InStore(_) => "in_store",
            Self::WrongCheckDigit { .. } => "wrong_check_digit",
            Self::WrongLength { .. } => "wrong_length",
            Self::NotDigits => "not_digits",
            Self::Scientific => "scientific",
            Self::Empty => "empty",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Valid(gtin) => write!(f, "it is a valid GTIN-{}", gtin.0.len()),
            Self::InStore(_) => {
                f.write_str("it is an in-store number, which means nothing outside one shop")
            }
            Self::WrongCheckDigit { expected, found } => {
                write!(
                    f,
                    "its check digit is {found}, and {expected} would be right"
                )
            }
            Self::WrongLength { digits, padded } => {
                write!(
                    f,
                    "it has {digits} digits, and a barcode has 8, 12, 13 or 14"
                )?;
                match padded {
                    Some(gtin) => write!(f, "; with its leading zeros back it is {gtin}"),
                    None => Ok(()),
                }
            }
            Self::NotDigits => f.write_str("it is not made of digits only"),
            Self::Scientific => f.write_str(
                "a spreadsheet rounded it and its digits are lost: export the column as text",
            ),
            Self::Empty => f.write_str("there is no barcode"),
        }
    }
}

/// The text without surrounding blanks and without the apostrophe that spreadsheets and Shopify
/// exports put before a number to keep it a text (`'8720602828605`).
#[must_use]
pub fn normalise(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('\'').unwrap_or(text).trim()
}

/// Looks at a text, [normalised](normalise) first, as a barcode.
///
/// The check digit counts before the range: a number that fails it is
/// [`Verdict::WrongCheckDigit`] even in an in-store range.
#[must_use]
pub fn check(text: &str) -> Verdict {
    let text = normalise(text);
    if text.is_empty() {
        return Verdict::Empty;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return if is_scientific(text) {
            Verdict::Scientific
        } else {
            Verdict::NotDigits
        };
    }
    let (Some(expected), Some(found)) = (check_digit(text), text.chars().last()) else {
        return Verdict::NotDigits;
    };
    if !LENGTHS.contains(&text.len()) {
        let padded = LENGTHS.iter().find(|length| text.len() < **length);
        let padded = padded
            .filter(|_| expected == found)
            .map(|length| Gtin(format!("{text:0>length$}")));
        return Verdict::WrongLength {
            digits: text.len(),
            padded,
        };
    }
    if expected != found {
        return Verdict::WrongCheckDigit { expected, found };
    }
    let gtin = Gtin(text.to_owned());
    if gtin.is_in_store() {
        Verdict::InStore(gtin)
    } else {
        Verdict::Valid(gtin)
    }
}

/// The digit that should stand at the end of these digits: counted from the right, the digits
/// before it weigh 3, 1, 3, 1 …, so leading zeros change nothing. None for an empty text.
fn check_digit(digits: &str) -> Option<char> {
    let (_, body) = digits.as_bytes().split_last()?;
    let sum: u32 = body
        .iter()
        .rev()
        .zip([3, 1].into_iter().cycle())
        .map(|(byte, weight)| u32::from(byte.wrapping_sub(b'0')) * weight)
        .sum();
    char::from_digit((10 - sum % 10) % 10, 10)
}

/// `8E12`, `8,02E+12`, `8.72060E+12`.
fn is_scientific(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return false;
    };
    let mantissa_is_a_number = match mantissa.split_once([',', '.']) {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(mantissa),
    };
    mantissa_is_a_number && digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn code(text: &str, expect: &str) {
        assert_eq!(check(text).code(), expect, "{text:?}: {}", check(text));
    }

    #[test]
    fn published_numbers_of_every_length_are_valid() {
        // GS1's own samples, and products found in Open Food Facts.
        for text in [
            "4006381333931",
            "8076809570787",
            "96385074",
            "036000291452",
            "858102007102",
            "10614141000415",
            "0036000291452",
            " '8720602828605 ",
            "9783161484100",
        ] {
            code(text, "valid");
        }
    }

    #[test]
    fn numbers_of_restricted_circulation_are_in_store() {
        for text in [
            "2309519002160", // GTIN-13, 23
            "2000000123752", // GTIN-13, 20
            "0212345678909", // GTIN-13, 02
            "212345678909",  // the same as GTIN-12
            "457739070017",  // GTIN-12, 4
            "20848378",      // GTIN-8, 2
            "04905707",      // GTIN-8, 0
            "0000020848378", // a GTIN-8 written with thirteen digits
        ] {
            code(text, "in_store");
        }
    }

    #[test]
    fn the_vendors_own_sample_fails_the_check_digit() {
        let verdict = check("1234567890123");
        assert_eq!(
            verdict,
            Verdict::WrongCheckDigit {
                expected: '8',
                found: '3'
            }
        );
        assert_eq!(
            verdict.to_string(),
            "its check digit is 3, and 8 would be right"
        );
        assert_eq!(check("1234567890128").code(), "valid");
        // The check digit counts before the range.
        code("2000000114906", "wrong_check_digit");
    }

    #[test]
    fn lost_leading_zeros_are_found_again() {
        let padded = |text| match check(text) {
            Verdict::WrongLength { padded, .. } => padded.map(|gtin| gtin.to_string()),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(padded("37212000368").as_deref(), Some("037212000368"));
        assert_eq!(padded("4905707").as_deref(), Some("04905707"));
        assert_eq!(padded("7268033"), None);
        assert_eq!(padded("4462"), None);
        assert_eq!(padded("123456789012345678"), None);
    }

    #[test]
    fn what_is_no_number_is_named() {
        for text in ["8,02E+12", "8.02e+12", "8E12", "'8,02E+12"] {
            code(text, "scientific");
        }
        for text in [
            "978-3-16-148410-0",
            "SKU-1",
            "8012666011223.0",
            "E12",
            "٣٣٣٣٣٣٣٣",
            "-1",
        ] {
            code(text, "not_digits");
        }
        for text in ["", "  ", "'", "\t' "] {
            code(text, "empty");
        }
    }

    proptest! {
        #[test]
        fn exactly_one_last_digit_fits(body in "[0-9]{12}") {
            let fits = (0..10)
                .map(|digit| check(&format!("{body}{digit}")))
                .filter(|v| matches!(v, Verdict::Valid(_) | Verdict::InStore(_)));
            prop_assert_eq!(fits.count(), 1);
        }

        #[test]
        fn any_text_gets_a_verdict_and_a_sentence(text in ".*") {
            prop_assert!(!check(&text).to_string().is_empty());
        }
    }
}
