//! Where records come from: a table, JSON lines, or a feed in XML.

use crate::feed::{Feed, FeedError};
use crate::json_lines::JsonLines;
use crate::records::{Record, Records};

/// One of the three.
#[derive(Debug)]
pub(crate) enum Source {
    /// A table with its header.
    Table(Records, Vec<String>),
    /// JSON lines.
    Json(JsonLines),
    /// XML.
    Feed(Box<Feed>),
}

impl Source {
    /// The next record; None at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<Record>, FeedError> {
        match self {
            Self::Table(records, _) => records.next_record().map_err(FeedError::Io),
            Self::Json(lines) => lines.next_record().map_err(FeedError::Io),
            Self::Feed(feed) => feed.next_record(),
        }
    }

    /// The names of the cells, as far as they are known.
    pub(crate) fn header(&self) -> &[String] {
        match self {
            Self::Table(_, header) => header,
            Self::Json(lines) => lines.header(),
            Self::Feed(feed) => feed.header(),
        }
    }

    /// The encoding, as far as the file was read.
    pub(crate) fn encoding(&self) -> &'static str {
        match self {
            Self::Table(records, _) => records.encoding(),
            Self::Json(lines) => lines.encoding(),
            Self::Feed(feed) => feed.encoding(),
        }
    }

    /// Whether every record has the cells of one header, so that a further cell is a mistake.
    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Self::Table(..))
    }
}
