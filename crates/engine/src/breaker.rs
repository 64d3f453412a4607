//! A breaker for each verb of a lane's reads: status, deliverables, export, cancel, credits.
//!
//! ```text
//!  closed ──5 failures in a row, or half of 20──> open ──its time is over──> half-open: one request tries
//!     ^                                             ^                              │         │
//!     │                                             └──longer, with jitter── it fails       it succeeds
//!     └──────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Open is a row of `lane_pauses` whose `endpoints` are the verb, so it survives a restart; half-open is the
//! same row when its time is over. The one request that tries is planned like any other and counts in the
//! budget. A breaker never speaks for another verb, and never for submits: those rest on their own
//! ([`feedback`](crate::read)), from the first failure on, since each further try may be one more job in
//! doubt. Failures of one job alone never open a breaker: a page that does not work for one id is held down
//! by that job's own growing wait.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use domain::{JobId, Timestamp};
use providers::{Outcome, Refusal, Reply};
use store::{LaneKey, Pause};

use crate::draft::Draft;
use crate::flight::Flight;
use crate::hands::LANE_UNCERTAIN;
use crate::planner::{Engine, Wake};

/// Failures in a row that open a breaker (RELIABILITY.md section 3 item 8).
const IN_A_ROW: usize = 5;
/// Answers that are remembered; half of them failures open it too.
const REMEMBERED: usize = 20;
/// A breaker opens only if the failures are of so many jobs (or projects) at least.
const SUBJECTS: usize = 2;

/// The code of its pause.
pub(crate) const UNAVAILABLE: &str = "unavailable";

/// One answer to a read.
#[derive(Debug, Clone)]
struct Heard {
    about: About,
    failed: bool,
}

/// What a read is about: a job, a remote job that nobody claims, a project; none where it is the account.
type About = Option<String>;

/// The last answers of a lane, by verb. What they led to is durable; they are not.
#[derive(Debug, Default)]
pub(crate) struct Breakers(BTreeMap<&'static str, VecDeque<Heard>>);

impl Breakers {
    fn note(&mut self, verb: &'static str, heard: Heard) {
        let last = self.0.entry(verb).or_default();
        if last.len() >= REMEMBERED {
            last.pop_front();
        }
        last.push_back(heard);
    }

    /// Whether what is remembered is more than one job's own matter.
    fn is_broken(&self, verb: &str) -> bool {
        let Some(last) = self.0.get(verb) else {
            return false;
        };
        let several = |heard: &[&Heard]| {
            let subjects: BTreeSet<_> = heard.iter().map(|heard| &heard.about).collect();
            // What is about the account is about everybody.
            subjects.len() >= SUBJECTS || subjects.contains(&None)
        };
        let failures: Vec<&Heard> = last.iter().filter(|heard| heard.failed).collect();
        let row = last.iter().rev().take_while(|heard| heard.failed);
        let row: Vec<&Heard> = row.collect();
        (row.len() >= IN_A_ROW && several(&row))
            || (failures.len() * 2 >= REMEMBERED && several(&failures))
    }

    /// Whether others succeeded since this one last failed: then it is its own matter.
    fn is_its_own(&self, verb: &str, about: &About) -> bool {
        let Some(last) = self.0.get(verb).filter(|_| about.is_some()) else {
            return false;
        };
        let is_it = |heard: &&Heard| heard.failed && heard.about == *about;
        let since = last.iter().rev().take_while(|heard| !is_it(heard));
        last.iter().any(|heard| is_it(&heard)) && since.into_iter().any(|heard| !heard.failed)
    }
}

/// The verb of a read on the wire, as its endpoint at the provider, and what it is about.
fn read_of(flight: &Flight) -> Option<(&'static str, About)> {
    match flight {
        Flight::Status { job, .. } | Flight::Source { job, .. } => {
            Some(("status", Some(job.to_string())))
        }
        Flight::Unclaimed { remote_id, .. } => Some(("status", Some(remote_id.clone()))),
        Flight::Deliverables { job, .. } => Some(("deliverables", Some(job.to_string()))),
        Flight::Cancel { job, .. } => Some(("cancel", Some(job.to_string()))),
        Flight::Export { project, .. } => Some(("export", Some(project.clone()))),
        Flight::Credits { .. } => Some(("credits", None)),
        Flight::Submit { .. } | Flight::Fetch { .. } | Flight::Look { .. } => None,
    }
}

/// Whether the endpoint failed; `None` where the answer says nothing about that.
pub(crate) fn failed(reply: &Reply) -> Option<bool> {
    match &reply.outcome {
        // Held back by ourselves.
        Outcome::Refused(Refusal::NotSent { reason }) if reason.contains(LANE_UNCERTAIN) => None,
        Outcome::Refused(Refusal::Unavailable { .. } | Refusal::NotSent { .. })
        | Outcome::Unknown { .. } => Some(true),
        Outcome::Refused(
            Refusal::RateLimited { .. }
            | Refusal::Unauthorized { .. }
            | Refusal::OutOfCredits { .. },
        ) => None,
        _ => Some(false),
    }
}

impl Engine {
    /// What the answer to a read says about its verb.
    pub(crate) fn hear_breaker(
        &mut self,
        flight: &Flight,
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let (Some((verb, about)), Some(failed)) = (read_of(flight), failed(reply)) else {
            return;
        };
        let key = flight.lane();
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        let is_its_own = lane.breakers.is_its_own(verb, &about);
        lane.breakers.note(verb, Heard { about, failed });
        let known = lane.pause(verb, UNAVAILABLE).cloned();
        if !failed {
            if let Some(over) = known.filter(|known| known.until.is_some_and(|until| until <= at)) {
                lane.lift_pause(verb, UNAVAILABLE);
                lane.breakers.0.remove(verb);
                draft.lift(&over);
                tracing::info!(lane = %key.0, verb, "its requests go on");
            }
            return;
        }
        let told = match &reply.outcome {
            Outcome::Refused(Refusal::Unavailable { pause, .. }) if !is_its_own => pause
                .map(|pause| pause.ends(at))
                .filter(|until| *until > at),
            _ => None,
        };
        // What was on the wire when it opened is no news, unless the provider says until when.
        let is_open = known
            .as_ref()
            .is_some_and(|known| known.until.is_some_and(|until| until > at));
        let tries = known.is_some() && !is_open;
        if told.is_some() || tries || (!is_open && lane.breakers.is_broken(verb)) {
            self.open_breaker(flight, verb, (known, told), reply, at, draft);
        }
    }

    fn open_breaker(
        &mut self,
        flight: &Flight,
        verb: &str,
        (known, told): (Option<Pause>, Option<Timestamp>),
        reply: &Reply,
        at: Timestamp,
        draft: &mut Draft,
    ) {
        let key = flight.lane();
        let open_until = known.as_ref().and_then(|known| known.until);
        let is_open = open_until.is_some_and(|until| until > at);
        let strikes = match &known {
            Some(known) if is_open => known.strikes,
            Some(known) => known.strikes + 1,
            None => 0,
        };
        let Some(account) = self.accounts_of(key).into_iter().next() else {
            return;
        };
        let rest = account.timing.breaker(strikes, self.ids.share());
        let message = match &reply.outcome {
            Outcome::Refused(refusal) => crate::submit::fault_of(refusal).message,
            Outcome::Unknown { reason } => reason.clone(),
            _ => String::new(),
        };
        let pause = Pause {
            lane: key.clone(),
            endpoints: verb.to_owned(),
            code: UNAVAILABLE.to_owned(),
            message,
            since: known.and_then(|known| known.since).or(Some(at)),
            until: Some(told.unwrap_or(at + rest)).max(open_until),
            strikes,
        };
        tracing::warn!(
            account = account.name,
            endpoints = verb,
            code = UNAVAILABLE,
            until = pause.until.map(|until| until.to_string()),
            "requests rest: {}",
            pause.message
        );
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.set_pause(pause.clone());
            // How many may run is no longer told by how long they take.
            lane.idle_until = None;
        }
        draft.pause(pause);
    }

    /// Whether a read of this verb may leave now: its breaker is closed, or none of its requests is trying.
    pub(crate) fn breaker_lets(
        &self,
        key: &LaneKey,
        verb: &str,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        let pause = self
            .lanes
            .get(key)
            .and_then(|lane| lane.pause(verb, UNAVAILABLE));
        match pause {
            None => true,
            Some(pause) => match pause.until.filter(|until| *until > now) {
                Some(until) => {
                    wake.at(until);
                    false
                }
                None => !self.is_trying(key, verb),
            },
        }
    }

    fn is_trying(&self, key: &LaneKey, verb: &str) -> bool {
        self.flights.values().any(|flight| {
            flight.lane() == key && read_of(flight).is_some_and(|(known, _)| known == verb)
        })
    }

    /// Takes out of the reads that are due what the breakers hold back. Where one tries, it is the job that
    /// was heard best: one whose reads never work must not speak for the others.
    pub(crate) fn let_through<T: Ord>(
        &self,
        key: &LaneKey,
        due: &mut Vec<T>,
        read: impl Fn(&T) -> (&'static str, JobId),
        now: Timestamp,
        wake: &mut Wake,
    ) {
        let Some(lane) = self.lanes.get(key) else {
            return;
        };
        let broken = lane.pauses().filter(|pause| pause.code == UNAVAILABLE);
        let broken: BTreeSet<String> = broken.map(|pause| pause.endpoints.clone()).collect();
        for verb in &broken {
            let mut chosen = None;
            if due.iter().any(|one| read(one).0 == *verb) && self.breaker_lets(key, verb, now, wake)
            {
                let unheard = |job| self.open.get(&job).map_or(0, |open| open.unheard);
                let at = (0..due.len())
                    .filter(|at| due.get(*at).is_some_and(|one| read(one).0 == *verb))
                    .min_by_key(|at| due.get(*at).map(|one| (unheard(read(one).1), one)));
                chosen = at.map(|at| due.swap_remove(at));
            }
            due.retain(|one| read(one).0 != *verb);
            due.extend(chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard((id, failed): (i64, bool)) -> Heard {
        let about = Some(format!("image:{id}"));
        Heard { about, failed }
    }

    /// Plays answers: the job, and whether it failed. Whether the breaker opens at the end.
    fn opens(answers: impl IntoIterator<Item = (i64, bool)>) -> bool {
        let mut breakers = Breakers::default();
        for answer in answers {
            breakers.note("status", heard(answer));
        }
        breakers.is_broken("status")
    }

    #[test]
    fn five_failures_in_a_row_or_half_of_twenty_open_it_and_one_job_alone_never_does() {
        assert!(opens((0..5).map(|n| (n, true))));
        assert!(!opens((0..4).map(|n| (n, true))));
        assert!(!opens((0..9).map(|n| (n, n != 4))));
        assert!(opens((0..20).map(|n| (n, n % 2 == 0))));
        assert!(!opens((0..20).map(|n| (n, n % 3 == 0))));
        // One job whose page never works, alone and beside good ones.
        assert!(!opens((0..40).map(|_| (7, true))));
        assert!(!opens((0..40).map(|n| if n % 2 == 0 {
            (7, true)
        } else {
            (n, false)
        })));
    }

    #[test]
    fn what_is_about_the_account_needs_no_second() {
        let mut breakers = Breakers::default();
        for _ in 0..5 {
            assert!(!breakers.is_broken("credits"));
            let failed = true;
            let about = None;
            breakers.note("credits", Heard { about, failed });
        }
        assert!(breakers.is_broken("credits"));
        assert!(!breakers.is_broken("status"));
    }

    #[test]
    fn what_fails_while_others_succeed_is_its_own_matter() {
        let mut breakers = Breakers::default();
        let about = |id: i64| Some(format!("image:{id}"));
        for answer in [(1, true), (2, true)] {
            breakers.note("status", heard(answer));
        }
        assert!(!breakers.is_its_own("status", &about(1)));
        breakers.note("status", heard((3, false)));
        assert!(breakers.is_its_own("status", &about(1)));
        assert!(!breakers.is_its_own("status", &about(4)));
        assert!(!breakers.is_its_own("export", &about(1)));
        assert!(!breakers.is_its_own("status", &None));
    }
}
