//! A resolver that knows a name only if every address behind it is of the public internet.
//!
//! The connection then goes to one of the checked addresses, so a name that answers differently the
//! second time (DNS rebinding) gains nothing. One private address among public ones refuses the
//! whole name: nobody knows which of them would be tried.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_global;

/// A name that leads to an address inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host has an address that is not of the public internet")]
pub(super) struct NotGlobal;

/// The system's resolver behind the check.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().all(|address| is_global(address.ip())) {
                let found: Addrs = Box::new(found.into_iter());
                Ok(found)
            } else {
                Err(NotGlobal.into())
            }
        })
    }
}
