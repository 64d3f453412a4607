//! For the crash simulator: makes one write transaction fail as if the database had gone away, before
//! it began or after it was durable (a COMMIT whose answer was lost).

use crate::db::Inner;
use crate::{Store, StoreError};

/// When a write transaction seems to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FuseMode {
    /// Nothing is written.
    BeforeBegin,
    /// All is durable, and the answer is lost.
    AfterCommit,
}

/// Fails one write transaction, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fuse {
    /// Which one from now: 1 is the next.
    pub nth: u32,
    /// Before or after it took place.
    pub mode: FuseMode,
}

/// Whether the transaction under way loses its answer.
pub(crate) struct Lost(bool);

impl Lost {
    pub(crate) fn after_commit(&self) -> Result<(), StoreError> {
        if self.0 {
            return Err(StoreError::unavailable("the fuse blew after the commit"));
        }
        Ok(())
    }
}

impl Inner {
    pub(crate) fn burn(&self) -> Result<Lost, StoreError> {
        let mut fuse = self
            .fuse
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match fuse.as_mut() {
            None => Ok(Lost(false)),
            Some(burning) if burning.nth > 1 => {
                burning.nth -= 1;
                Ok(Lost(false))
            }
            Some(blown) => {
                let mode = blown.mode;
                *fuse = None;
                match mode {
                    FuseMode::BeforeBegin => {
                        Err(StoreError::unavailable("the fuse blew before the begin"))
                    }
                    FuseMode::AfterCommit => Ok(Lost(true)),
                }
            }
        }
    }
}

impl Store {
    /// Sets the fuse, or takes it out.
    pub fn set_fuse(&self, fuse: Option<Fuse>) {
        *self
            .inner
            .fuse
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = fuse;
    }

    /// The fuse as it stands; `None` once it has blown.
    #[must_use]
    pub fn fuse(&self) -> Option<Fuse> {
        *self
            .inner
            .fuse
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
