//! Requests that cost nothing but their place in the budget: polls, links, lists of files, cancels
//! ([`plan`], if there is [`room`]), one export instead of many of them ([`bulk`]), what their answers say about jobs ([`hear`]) and about
//! the lane ([`feedback`]), what they teach about the next ([`learned`]), and how a day's requests are shared out
//! ([`day`]). Evidence about jobs in doubt is asked for here, and weighed in `doubt`.

mod bulk;
mod day;
mod due;
mod feedback;
mod hear;
mod learned;
mod plan;
mod room;

pub(crate) use bulk::{Bulk, MOST_ALONE};
pub(crate) use feedback::answered_of;
pub(crate) use learned::{Learned, expected, is_being_made, worth};
pub(crate) use plan::Ask;
