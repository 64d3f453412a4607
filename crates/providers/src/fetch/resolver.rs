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

/// What a test says of a name.
#[cfg(test)]
pub(crate) type Tells = std::sync::Arc<dyn Fn(&str) -> Vec<std::net::IpAddr> + Send + Sync>;

/// Where names are looked up.
#[derive(Clone, Default)]
pub(crate) enum Names {
    /// The system's resolver.
    #[default]
    System,
    /// A resolver that says what a test wants.
    #[cfg(test)]
    Told(Tells),
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Names")
    }
}

impl Names {
    async fn look_up(&self, name: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, 0)).await?.collect()),
            #[cfg(test)]
            Self::Told(tell) => Ok(tell(name)
                .into_iter()
                .map(|address| SocketAddr::new(address, 0))
                .collect()),
        }
    }
}

/// Names behind the check.
#[derive(Debug, Clone, Default)]
pub(super) struct PublicOnly {
    pub(super) names: Names,
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.names.clone();
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?;
            if found.iter().all(|address| is_global(address.ip())) {
                let found: Addrs = Box::new(found.into_iter());
                Ok(found)
            } else {
                Err(NotGlobal.into())
            }
        })
    }
}
