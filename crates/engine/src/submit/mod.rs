//! Paid POSTs: which jobs could go ([`ready`]), which go next and with what bytes ([`plan`]), and what its answer means
//! ([`hear`]). Nothing here is ever sent twice: a job whose outcome is unknown is in doubt.

mod hear;
mod look;
mod plan;
mod ready;
mod source;
mod strangers;
mod verdict;

pub(crate) use hear::{can_cancel, fault_of, is_misdirected, untouched};
pub(crate) use look::Seen;
pub(crate) use plan::hex;
pub(crate) use ready::Ready;
pub(crate) use source::Source;
pub(crate) use verdict::ItemVerdict;
