//! Which addresses a download may reach.
use std::net::IpAddr;

/// Whether an address is one of the public internet.
#[must_use]
pub fn is_global(address: IpAddr) -> bool {
    !address.is_loopback()
}
