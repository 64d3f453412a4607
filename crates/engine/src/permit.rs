//! Until when requests may leave: the last certainty about the lanes, and a little more. A process that was
//! frozen between its decision and the sending looks here after it wakes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::Timestamp;

/// Until when requests may leave. Without a limit at first: SQLite's lock cannot be lost.
#[derive(Debug, Clone)]
pub struct Permit(Arc<AtomicI64>);

impl Default for Permit {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(i64::MAX)))
    }
}

impl Permit {
    /// The lanes are surely ours until then.
    pub fn extend(&self, until: Timestamp) {
        self.0.store(until.as_millis(), Ordering::SeqCst);
    }

    /// Nothing is certain any more.
    pub fn revoke(&self) {
        self.0.store(i64::MIN, Ordering::SeqCst);
    }

    /// Whether a request may leave now.
    #[must_use]
    pub fn stands(&self, now: Timestamp) -> bool {
        now.as_millis() < self.0.load(Ordering::SeqCst)
    }
}
