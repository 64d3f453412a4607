//! What webhooks are worth. A webhook, an export and a poll end a job in the same transition
//! ([`hear`]); what differs is who vouches for it:
//!
//! ```text
//!  signed (JAKOV, JARAI) ───────────────────────────────────────────> believed
//!  secret path (ProductAI), "token" ─── 79 of 80, a known host ─────> believed
//!                                   └── the rest: held ──> one read ─┬ agrees ──> done
//!                                                                    └ differs ─> "verify", until a person
//!  secret path, "verify"; not verified ──> a hint: one read now          says otherwise
//! ```
//!
//! How reliably an account's webhooks come is measured ([`channel`]): where they do, a poll is what catches the
//! lost ones, and is spent late ([`ask`]); where they fall silent, polls go on as if there were none. ProductAI's
//! error webhook names no job: who it was is guessed by how long its jobs take ([`suspects`]), and asked.
//!
//! All of it is memory of this process, but for the one thing that must outlast it: that a webhook was
//! forged is a row of `lane_pauses`.

mod ask;
mod channel;
mod compare;
mod hear;
mod suspects;

pub(crate) use ask::SURELY_DONE;
pub(crate) use channel::{Channels, Told};
