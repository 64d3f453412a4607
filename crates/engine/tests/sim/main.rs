//! The crash simulator: the production planner over the real store, in virtual time, against the
//! sandbox's model. No socket, no sleep, no thread of ours: one seed tells one history.
//!
//! The process dies before and after every effect it has: before a transaction, between the commit
//! and its answer, with requests handed out, with requests on the wire and with answers not yet
//! read. What it leaves is the database, the files and what the provider saw; the checks look at
//! nothing else.

#[cfg(test)]
mod accounts;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod belief;
#[cfg(test)]
mod bugs;
#[cfg(test)]
mod bulk;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod database;
#[cfg(test)]
mod doubt;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod feedback;
#[cfg(test)]
mod hunt;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod order;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod proof;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod slots;
#[cfg(test)]
mod summary;
#[cfg(test)]
mod takeover;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod windows;
#[cfg(test)]
mod world;
