//! Jobs in doubt: sent, outcome unknown. They are never sent again by themselves (but where the account
//! says so); evidence may tell what became of them.
//!
//! ```text
//!  export ──┐                     one fits one ─────> adopted
//!  webhook ─┼─> [`fit`] ─> weigh ─ several fit ─────> candidates, for people
//!  one read ┘                     nothing fits ─────> held; what was looked at is told
//! ```
//!
//! Evidence decides alone only where exactly one job in doubt and exactly one remote job that no ledger
//! row knows fit each other ([`fit`]: kind, account, inputs, and the time from the intent to the longest
//! accept). What that takes:
//!
//! * A reference of ours (JAKOV's `clientProductId`) names one job: it decides at once.
//! * A prompt (ProductAI) or a moment (JARAI) names nobody. It decides when the time of the submit is over,
//!   so that a second candidate had its chance to show; when no other row of the database asks for the
//!   same prompt; and when no stranger on the key was seen to do the same ([`weigh`]). A foreign client
//!   that works through the same catalog with the same key would else have its images taken for ours.
//! * What could be the result of a submit that is still on the wire waits for that answer.
//! * Absence proves nothing, a balance proves nothing, and an unsigned webhook is only a reason to look.
//!
//! Each look that changes what is known is an event ([`told`]); a look without news is counted and not
//! written. A doubt that a person ended, or that was sent again, is remembered: if it comes out that it
//! had been accepted, that is booked and told ([`late`]).

mod export;
mod fit;
mod inbox;
mod late;
mod read;
mod resubmit;
mod told;
mod unclaimed;
mod weigh;

#[cfg(test)]
mod tests;

pub(crate) use export::{can_be_proven, project_of};
pub(crate) use resubmit::will_resubmit;
pub(crate) use told::Looked;
pub(crate) use unclaimed::Doubts;
