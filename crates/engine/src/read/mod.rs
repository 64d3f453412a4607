//! Requests that cost nothing but their place in the budget: polls, links, lists of files, cancels
//! ([`plan`]), what their answers say about jobs ([`hear`]), about jobs in doubt ([`evidence`]) and about the lane ([`feedback`]).

mod evidence;
mod feedback;
mod hear;
mod plan;

pub(crate) use evidence::Evidence;
