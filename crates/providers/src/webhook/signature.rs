//! HMAC-SHA256 over the raw body, in the two spellings that the providers use.
//!
//! JARAI keys it with the base64url-*decoded* signing secret, JAKOV with the secret as it stands;
//! both send `sha256=` and hex digits. ProductAI signs nothing. No header carries a time, so a
//! replay is caught by the dedupe key alone, never by a freshness window that would refuse a
//! legitimate late delivery.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use domain::Provider;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// base64url with or without padding: JARAI does not say which it sends.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a delivery is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header is missing.
    #[error("the delivery carries no signature")]
    Missing,
    /// The header is not `sha256=` and 64 hex digits.
    #[error("the signature is not sha256= and 64 hex digits")]
    Malformed,
    /// No secret is configured that could verify it; empty ones do not count.
    #[error("no usable webhook secret is configured")]
    NoSecret,
    /// No configured secret made this signature.
    #[error("the signature does not fit the body")]
    Mismatch,
    /// This provider signs nothing, so there is nothing to verify.
    #[error("this provider does not sign its webhooks")]
    Unsigned,
}

/// The header in which a provider's signature stands; none if it signs nothing.
#[must_use]
pub fn signature_header(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::Jakov => Some("X-Webhook-Signature"),
        Provider::Jarai => Some("X-JARAI-Signature"),
        Provider::Productai => None,
    }
}

/// Checks a delivery's signature over its raw bytes, in constant time, against every secret (two
/// live side by side during a rotation).
///
/// # Errors
/// If no secret made the signature; see [`SignatureError`].
pub fn verify(
    provider: Provider,
    secrets: &[SecretString],
    header_value: Option<&str>,
    raw: &[u8],
) -> Result<(), SignatureError> {
    if signature_header(provider).is_none() {
        return Err(SignatureError::Unsigned);
    }
    let keys: Vec<_> = secrets
        .iter()
        .filter_map(|secret| key(provider, secret))
        .collect();
    if keys.is_empty() {
        return Err(SignatureError::NoSecret);
    }
    let signature = header_value.ok_or(SignatureError::Missing)?;
    let signature = unhex(signature).ok_or(SignatureError::Malformed)?;
    let fits = keys.iter().any(|key| {
        Hmac::<Sha256>::new_from_slice(key)
            .is_ok_and(|mac| mac.chain_update(raw).verify_slice(&signature).is_ok())
    });
    if fits {
        Ok(())
    } else {
        Err(SignatureError::Mismatch)
    }
}

fn key(provider: Provider, secret: &SecretString) -> Option<Vec<u8>> {
    let secret = secret.expose_secret().trim();
    let key = match provider {
        Provider::Jarai => BASE64URL.decode(secret).ok()?,
        Provider::Jakov | Provider::Productai => secret.as_bytes().to_vec(),
    };
    (!key.is_empty()).then_some(key)
}

/// The 32 bytes of `sha256=<hex>`; the prefix and the digits in any case.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let (scheme, digits) = text.trim().split_once('=')?;
    if !scheme.eq_ignore_ascii_case("sha256") || digits.len() != 64 {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect()
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}
