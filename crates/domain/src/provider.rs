//! The three services that do the work, and what their documents fix about them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::JobKind;

/// An outside service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// JAKOV.AI: product texts.
    Jakov,
    /// ProductAI.photo: product images.
    Productai,
    /// JARAI: videos.
    Jarai,
}

impl Provider {
    /// All providers, in the order of the kinds that they serve.
    pub const ALL: [Self; 3] = [Self::Jakov, Self::Productai, Self::Jarai];

    /// The word used in the config, SQL and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jakov => "jakov",
            Self::Productai => "productai",
            Self::Jarai => "jarai",
        }
    }

    /// The kind of job that this provider does.
    #[must_use]
    pub fn kind(self) -> JobKind {
        match self {
            Self::Jakov => JobKind::Description,
            Self::Productai => JobKind::Image,
            Self::Jarai => JobKind::Production,
        }
    }

    /// The base URL of the live service, path prefix included. ProductAI documents its own
    /// ("API.md", Base URL); JARAI's is the public getting-started page's; JAKOV states none, and
    /// its pages live at this host.
    #[must_use]
    pub fn default_base_url(self) -> &'static str {
        match self {
            Self::Jakov => "https://www.jakov.ai",
            Self::Productai => "https://api.productai.photo/v1",
            Self::Jarai => "https://apim-jarai-prd.azure-api.net/v1",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no provider: write jakov, productai or jarai")]
pub struct UnknownProvider(pub String);

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|provider| provider.as_str() == text)
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}
