//! The three kinds of job and the name by which people call a job: `description:17`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Provider;

/// What a job makes. Each kind has a table of its own and one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobKind {
    /// A product text by JAKOV.AI; table `descriptions`.
    Description,
    /// A generated or upscaled image by ProductAI.photo; table `image_generations`.
    Image,
    /// A video production by JARAI; table `productions`.
    Production,
}

impl JobKind {
    /// All kinds, in the order in which people are shown them.
    pub const ALL: [Self; 3] = [Self::Description, Self::Image, Self::Production];

    /// The word used in SQL, CLI, HTTP and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Image => "image",
            Self::Production => "production",
        }
    }

    /// The table that holds the jobs of this kind.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::Description => "descriptions",
            Self::Image => "image_generations",
            Self::Production => "productions",
        }
    }

    /// The provider that does this kind of work.
    #[must_use]
    pub fn provider(self) -> Provider {
        match self {
            Self::Description => Provider::Jakov,
            Self::Image => Provider::Productai,
            Self::Production => Provider::Jarai,
        }
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no job: write description:ID, image:ID or production:ID")]
pub struct UnknownKind(pub String);

impl FromStr for JobKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text || kind.table() == text)
            .ok_or_else(|| UnknownKind(text.to_owned()))
    }
}

/// A job's name: its kind and the `id` of its row. Never used again for another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId {
    /// Which table.
    pub kind: JobKind,
    /// Which row.
    pub id: i64,
}

impl JobId {
    /// The job of this kind and row id.
    #[must_use]
    pub fn new(kind: JobKind, id: i64) -> Self {
        Self { kind, id }
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

impl FromStr for JobId {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || UnknownKind(text.to_owned());
        let (kind, id) = text.split_once(':').ok_or_else(wrong)?;
        let kind = kind.parse().map_err(|_| wrong())?;
        let id = id.parse().map_err(|_| wrong())?;
        Ok(Self { kind, id })
    }
}

impl Serialize for JobId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_name_reads_back() {
        for text in [
            "description:17",
            "image:1",
            "production:9223372036854775807",
        ] {
            assert_eq!(text.parse::<JobId>().unwrap().to_string(), text);
        }
        for text in ["", "image", "image:", "video:1", "image:x"] {
            assert!(text.parse::<JobId>().is_err(), "{text}");
        }
    }
}
