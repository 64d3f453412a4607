//! Which reads are due, the most urgent first, and what their answers will be about.

use std::collections::VecDeque;

use domain::{Cancel, JobId, Provider, Status, Timestamp};
use store::LaneKey;

use crate::account::Account;
use crate::doubt::{can_be_proven, project_of};
use crate::flight::{Flight, Purpose};
use crate::lane::Places;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake};
use crate::submit::{Source, can_cancel};
use crate::urgency::{MOST_AWAITED, files_of_list};

/// A read that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// A production is to be cancelled: the sooner, the less is made.
    Cancel,
    /// A job in doubt may be proven by the provider's export.
    Evidence,
    /// A remote job that nobody claims may be one in doubt.
    Unclaimed,
    /// A finished job's link dies with time.
    Links,
    /// A pending job waits for the link of its source.
    Source,
    /// Which jobs of a project are done?
    Export,
    /// Is it done?
    Poll,
}

impl Engine {
    /// Reads that are due, the most urgent first. Notes when the next will be.
    pub(super) fn due(
        &self,
        key: &LaneKey,
        now: Timestamp,
        wake: &mut Wake,
    ) -> VecDeque<(Due, Timestamp, JobId)> {
        let mut due = Vec::new();
        for (id, source) in &self.sources {
            if let Source::Wanted { account, .. } = source
                && self
                    .accounts
                    .get(account)
                    .is_some_and(|account| account.lane == *key)
            {
                due.push((Due::Source, now, *id));
            }
        }
        let mut files = self.files_awaited(key, now);
        for open in self.open.awake() {
            if open.asking
                || self
                    .accounts
                    .get(&open.account)
                    .is_none_or(|a| a.lane != *key)
            {
                continue;
            }
            let Some((what, at)) = self.next_read(open) else {
                continue;
            };
            if what == Due::Links && at <= now {
                if files >= MOST_AWAITED {
                    // They would die while they wait; a download that ends brings this up again.
                    continue;
                }
                files += files_of_list(open.id());
            }
            if what == Due::Evidence && due.iter().any(|(what, ..)| *what == Due::Evidence) {
                // One export answers for all of them; other projects come next.
                continue;
            }
            if at <= now {
                due.push((what, at, open.id()));
            } else {
                wake.at(at);
            }
        }
        if let Some((job, at)) = self.unclaimed_read(key) {
            if at <= now {
                due.push((Due::Unclaimed, at, job));
            } else {
                wake.at(at);
            }
        }
        for (one, beside) in self.due_exports(key, now, wake) {
            due.push((Due::Export, now, one));
            let asked = |job: &JobId| !due.iter().any(|it| it.0 == Due::Poll && it.2 == *job);
            due.extend(beside.filter(asked).map(|job| (Due::Poll, now, job)));
        }
        self.let_through(key, &mut due, |it| endpoint(it.0, it.2), now, wake);
        // Of the polls, those first whose wait costs most.
        due.sort_by_cached_key(|(what, at, job)| {
            let loss = self.open.get(job).map_or(0, |open| open.loss);
            (*what, -loss, *at, *job)
        });
        due.into()
    }

    /// What is to be asked about this job next, and when.
    fn next_read(&self, open: &OpenJob) -> Option<(Due, Timestamp)> {
        let account = self.accounts.get(&open.account)?;
        if can_be_proven(open, account) {
            return project_of(open, account).map(|_| (Due::Evidence, open.next_read));
        }
        next_read(open, self.captures_rest())
    }
}

/// Whose breaker a read minds.
fn endpoint(due: Due, job: JobId) -> (&'static str, JobId) {
    let verb = match due {
        Due::Cancel => "cancel",
        Due::Evidence | Due::Export => "export",
        Due::Links if job.kind.provider() == Provider::Jarai => "deliverables",
        Due::Unclaimed | Due::Links | Due::Source | Due::Poll => "status",
    };
    (verb, job)
}

pub(super) fn meaning(
    due: Due,
    key: &LaneKey,
    account: &Account,
    job: JobId,
    places: Places,
) -> Flight {
    let lane = key.clone();
    let name = account.name.clone();
    match due {
        Due::Cancel => Flight::Cancel {
            lane,
            account: name,
            job,
            places,
        },
        Due::Source => Flight::Source {
            lane,
            account: name,
            job,
            places,
        },
        Due::Links if account.provider == Provider::Jarai => Flight::Deliverables {
            lane,
            account: name,
            job,
            places,
        },
        Due::Evidence | Due::Unclaimed | Due::Links | Due::Export | Due::Poll => Flight::Status {
            lane,
            account: name,
            job,
            purpose: if due == Due::Poll {
                Purpose::Poll
            } else {
                Purpose::Link
            },
            places,
        },
    }
}

/// What is to be asked about this job next, and when.
/// While captures rest their links are not read: they would die before they are used.
fn next_read(open: &OpenJob, captures_rest: bool) -> Option<(Due, Timestamp)> {
    let status = open.job.work.status();
    let links = open
        .capture
        .as_ref()
        .filter(|capture| capture.needs_links && !captures_rest)
        .map(|capture| {
            let at = capture.not_before.unwrap_or_default();
            // ProductAI tells a link by the read of the state, which it wants no sooner than this.
            match open.job.id.kind.provider() {
                Provider::Productai => (Due::Links, at.max(open.floor)),
                Provider::Jakov | Provider::Jarai => (Due::Links, at),
            }
        });
    if status != Status::Running {
        return links.filter(|_| status == Status::Capturing);
    }
    let cancels = open.job.work.cancel == Some(Cancel::Asked)
        && can_cancel(open.job.id.kind.provider())
        && !open.cancel_sent;
    if cancels {
        return Some((Due::Cancel, Timestamp::default()));
    }
    // A production whose files can be had is still watched.
    let poll = (Due::Poll, open.ask_at);
    Some(links.filter(|links| links.1 <= poll.1).unwrap_or(poll))
}
