//! What is going to happen, and when: the one queue of a history. Things that are due at the same
//! moment happen in the order in which they were added.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use domain::Timestamp;
use engine::{Act, FlightId, Said};

use super::Outside;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Coming {
    /// The hands of this life send an act.
    Send(Act, u64),
    /// Its bytes reach the provider.
    Arrive(Act, u64),
    /// An answer reaches the process of this life. `no`: the provider's number of the request.
    Deliver(FlightId, Said, u64, Option<u64>),
    /// Neither.
    Outside(Outside),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Timetable {
    due: BinaryHeap<Reverse<(Timestamp, u64)>>,
    coming: BTreeMap<u64, Coming>,
    added: u64,
}

impl Timetable {
    pub(super) fn add(&mut self, at: Timestamp, what: Coming) {
        self.added += 1;
        self.due.push(Reverse((at, self.added)));
        self.coming.insert(self.added, what);
    }

    /// The moment of the next thing.
    pub(super) fn next(&mut self) -> Option<Timestamp> {
        while let Some(Reverse((at, id))) = self.due.peek() {
            if self.coming.contains_key(id) {
                return Some(*at);
            }
            // What was dropped leaves its number in the queue.
            self.due.pop();
        }
        None
    }

    /// Whether anything from outside is still to come.
    pub(super) fn expects_outside(&self) -> bool {
        let mut coming = self.coming.values();
        coming.any(|what| matches!(what, Coming::Outside(_)))
    }

    /// Takes the next thing that is due by `now`.
    pub(super) fn take(&mut self, now: Timestamp) -> Option<Coming> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, id)) = self.due.pop()?;
        self.coming.remove(&id)
    }

    /// The provider's numbers of the answers that are on their way to this process.
    pub(super) fn answers_to(&self, life: u64) -> Vec<u64> {
        let of = |what: &Coming| match what {
            Coming::Deliver(_, _, whose, no) if *whose == life => *no,
            _ => None,
        };
        self.coming.values().filter_map(of).collect()
    }

    /// Drops what `gone` says, looking at each in the order in which it was added.
    pub(super) fn drop_where(&mut self, mut gone: impl FnMut(&Coming) -> bool) {
        self.coming.retain(|_, what| !gone(what));
    }
}
