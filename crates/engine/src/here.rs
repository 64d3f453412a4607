//! What a process knows beyond the database: of its own earlier sessions, when it starts over after trouble.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::{SubmissionId, Timestamp};

use crate::act::{FlightId, Report};
use crate::flight::Flight;
use crate::jump::Jump;
use crate::planner::Engine;

/// What a process knows from its own earlier session, when it starts over after trouble with the
/// database. A fresh process knows nothing.
#[derive(Debug, Clone, Default)]
pub struct Here {
    /// Flights that are on the wire, or whose reports were not yet made durable.
    pub flights: BTreeSet<FlightId>,
    /// Submissions that it handed to the database and, since that failed, to nobody else: whether they are
    /// durable or not, they were never sent.
    pub unsent: BTreeSet<SubmissionId>,
    /// Whether another process that held a lane may still live, and hear the answer to what it sent. In
    /// SQLite the lock proves that it is dead.
    pub others_may_live: bool,
    /// The last jump of the wall clock that this process saw.
    pub jump: Option<Jump>,
}

/// Paid POSTs on the wire, kept over a trouble with the database: their answers are facts, whoever owns the
/// lanes by then.
#[derive(Debug, Default)]
pub struct Afloat(BTreeMap<FlightId, Flight>);

impl Afloat {
    /// Both.
    pub fn add(&mut self, more: Self) {
        self.0.extend(more.0);
    }
}

impl Here {
    /// How far back the requests of so long are to be looked for: a clock that jumped forward made them older.
    pub(crate) fn back(&self, memory: Duration, now: Timestamp) -> Timestamp {
        let since = now.before(memory);
        match self.jump {
            Some(jump) if jump.by > 0 && jump.at >= since => {
                since.before(Duration::from_millis(jump.by.unsigned_abs()))
            }
            _ => since,
        }
    }

    /// When something durable counts as having happened: not after now, whatever clock said so, and not
    /// before the last jump, since when nobody knows how long ago it was.
    pub(crate) fn counts_as(&self, at: Timestamp, now: Timestamp) -> Timestamp {
        let at = self.jump.map_or(at, |jump| at.max(jump.at));
        at.min(now)
    }
}

impl Engine {
    /// The paid POSTs whose answers were not heard yet: for the planner that follows this one.
    pub fn afloat(&mut self) -> Afloat {
        let submits = std::mem::take(&mut self.flights).into_iter();
        Afloat(
            submits
                .filter(|(_, flight)| matches!(flight, Flight::Submit { .. }))
                .collect(),
        )
    }

    /// The submissions that the failed transaction was to make durable. None of them was handed out: for the
    /// planner that follows this one.
    pub fn unsent(&mut self) -> BTreeSet<SubmissionId> {
        std::mem::take(&mut self.unsent)
    }

    /// Those among them that these reports are about: until they are durable, they may have to be told again.
    #[must_use]
    pub fn reported(&self, reports: &[Report]) -> Afloat {
        let of = |report: &Report| {
            let flight = self.flights.get(&report.flight)?;
            let is_submit = matches!(flight, Flight::Submit { .. });
            is_submit.then(|| (report.flight.clone(), flight.clone()))
        };
        Afloat(reports.iter().filter_map(of).collect())
    }

    /// What the planner before this one had on the wire, before any lane is taken up.
    pub fn go_on_with(&mut self, afloat: Afloat) {
        self.flights.extend(afloat.0);
    }
}
