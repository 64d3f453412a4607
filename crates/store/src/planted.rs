//! Bugs for the crash simulator to find: who tests the tests. Compiled only with the feature `planted`,
//! which the simulator alone asks for; without it [`has`] is the constant `false`, and nothing of this is in
//! the binary. It lives here because this is the lowest crate that has one; no bug changes what the tables
//! refuse. One bug at a time, in the thread that plays the history.

/// A mistake that one might make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The POST leaves although its intent is not durable.
    SubmitBeforeIntent,
    /// What was interrupted counts as never sent.
    BlindRetry,
    /// A 5xx after a submit counts as a refusal.
    RetryOfServerErrors,
    /// The limiter forgets what was sent before the restart.
    LimiterInMemory,
    /// A conclusion counts whatever its lane's epoch.
    NoFence,
    /// An adopted job's cost is booked on top of what is booked.
    CostBookedTwice,
    /// A file whose link was dead counts as here.
    RowWithoutFile,
    /// The polling interval begins anew at a restart.
    PollFloorForgotten,
    /// The first answer's items are taken in another order than they were told.
    ItemsInWrongOrder,
    /// What an export does not show was not accepted.
    ShortExportIsWhole,
    /// One unknown submit stops the reads too, for good.
    BreakerStopsPolls,
    /// A dead link is tried again as it is.
    LinkNotReadAgain,
    /// What is in doubt holds no money back.
    ReservationDropped,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::SubmitBeforeIntent,
        Self::BlindRetry,
        Self::RetryOfServerErrors,
        Self::LimiterInMemory,
        Self::NoFence,
        Self::CostBookedTwice,
        Self::RowWithoutFile,
        Self::PollFloorForgotten,
        Self::ItemsInWrongOrder,
        Self::ShortExportIsWhole,
        Self::BreakerStopsPolls,
        Self::LinkNotReadAgain,
        Self::ReservationDropped,
    ];
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a bug in this thread, or takes it out.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this bug is planted.
#[cfg(feature = "planted")]
#[must_use]
pub fn has(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Nothing is planted.
#[cfg(not(feature = "planted"))]
#[inline]
#[must_use]
pub const fn has(_: Bug) -> bool {
    false
}
