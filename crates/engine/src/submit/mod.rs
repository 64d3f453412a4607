//! Paid POSTs: which job goes next and with what bytes ([`plan`]), and what its answer means
//! ([`hear`]). Nothing here is ever sent twice: a job whose outcome is unknown is in doubt.

mod hear;
mod plan;
mod strangers;

pub(crate) use hear::{can_cancel, fault_of, untouched};
pub(crate) use plan::{Ready, hex};
