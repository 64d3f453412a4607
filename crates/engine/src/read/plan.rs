//! Which request leaves next. Reads and submits compete for the slots of their group: neither
//! starves, and a slot that one does not need is the other's.

use std::sync::Arc;
use std::time::Duration;

use domain::{Event, Fault, JobId, Left, Provider, Room, Status, Timestamp};
use providers::{Call, ExportFormat};
use store::{LaneKey, NewRequest, StoreError};

use crate::account::Account;
use crate::doubt::project_of;
use crate::draft::{Draft, Intent};
use crate::flight::Flight;
use crate::fusion::SURELY_DONE;
use crate::lane::Places;
use crate::open::OpenJob;
use crate::planner::{Engine, Wake, send};
use crate::read::day::Day;
use crate::read::due::{Due, meaning};
use crate::read::learned::is_being_made;
use crate::submit::Source;

/// A request that is not paid for.
pub(crate) struct Ask<'a> {
    /// With whose key.
    pub(crate) account: &'a Account,
    /// Whose budget it takes.
    pub(crate) group: &'a str,
    /// Its word in the ledger of requests.
    pub(crate) verb: &'a str,
    /// Which job it serves.
    pub(crate) job: Option<JobId>,
    pub(crate) call: Call,
}

impl Engine {
    pub(crate) async fn plan_requests(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        let Some((read_group, submit_group)) = self.groups(key) else {
            return Ok(());
        };
        self.plan_credits(key, read_group, now, draft, wake);
        let shared = read_group == submit_group;
        let (mut ready, more) = self.ready(key, submit_group, now, draft, wake).await?;
        self.call_suspects(key, now, wake);
        self.space_submits(key, submit_group, now);
        let mut day = self.day_of(key, read_group, now).filter(|_| shared);
        self.count_projects(key, now);
        self.plan_questions(key, read_group, shared, day.as_ref(), now, draft);
        self.plan_covered(key, now);
        let mut reads = self.due(key, now, wake);
        let mut waits = false;
        while !reads.is_empty() || !ready.is_empty() {
            self.set_aside_over_cap(&mut ready, now, draft);
            let owes = shared
                && self.group_owes_a_submit(key, read_group)
                && !reads.front().is_some_and(|read| self.is_rung(read.2));
            if reads.is_empty() && ready.is_empty() {
                break;
            }
            let submit_first = reads.is_empty() || (!ready.is_empty() && (!shared || owes));
            if submit_first {
                if !self.day_lets(key, read_group, day.as_ref(), Day::lets_submit, now, wake) {
                    ready.clear();
                    continue;
                }
                if !self.submit_has_room(key, submit_group, &mut ready, now, wake) {
                    waits |= !ready.is_empty();
                    ready.clear();
                    continue;
                }
                self.plan_submit(key, &mut ready, now, draft);
                day.iter_mut().for_each(Day::submitted);
                // There may be more rows than were looked at, and there is room for them.
                draft.again |= more && ready.is_empty();
                if self.wire_is_full(key, submit_group, draft) {
                    waits |= !ready.is_empty();
                    ready.clear();
                }
            } else {
                if reads.front().is_some_and(|(due, ..)| *due > Due::Links)
                    && !self.day_lets(key, read_group, day.as_ref(), Day::lets_poll, now, wake)
                {
                    reads.pop_front();
                    continue;
                }
                let is_rung = reads.front().is_some_and(|read| self.is_rung(read.2));
                if !self.read_has_room(key, read_group, is_rung, now, wake) {
                    reads.clear();
                    continue;
                }
                if let Some((due, _, job)) = reads.pop_front() {
                    self.plan_read(key, read_group, due, job, now, draft);
                }
            }
        }
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.backlog |= waits;
            if waits {
                // These rows are still there when there is room.
                lane.idle_until = None;
            }
        }
        Ok(())
    }

    /// When each running job is asked about, by what a question is worth now.
    fn plan_questions(
        &mut self,
        key: &LaneKey,
        group: &str,
        shared: bool,
        day: Option<&Day>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(lane) = self.lanes.get_mut(key) else {
            return;
        };
        self.learned.write(key, &lane.accounts, now, draft);
        let accounts = &self.accounts;
        if shared {
            let names = lane.accounts.iter();
            let share = self
                .learned
                .share(names.filter_map(|name| accounts.get(name).map(|a| &**a)));
            lane.guarantee(group, share);
        }
        let ours = |open: &OpenJob| {
            let account = accounts.get(&open.account)?;
            let asked = open.job.work.status() == Status::Running && is_being_made(open.phase);
            let alone = account.lane == *key && asked && !self.bulk.covers(open, account);
            alone.then_some(account)
        };
        let running = self.open.awake().filter(|open| ours(open).is_some());
        let demand = lane.demand(group, running.count(), shared, now);
        for open in self.open.awake_mut() {
            let Some(account) = ours(open) else {
                let account = accounts.get(&open.account).filter(|a| a.lane == *key);
                open.ask_at = open.next_read
                    + account.map_or(Duration::ZERO, |account| stretch(open, account, day));
                continue;
            };
            let (at, loss) = match &demand {
                Some(demand) if open.job.work.cancel.is_none() && !open.called_for => {
                    let learned = &mut self.learned;
                    Self::silent_until(&self.channels, learned, open, account, demand)
                        .unwrap_or_else(|| learned.question(open, account, demand, day, now))
                }
                _ if open.called_for => (open.next_read, SURELY_DONE),
                _ => (open.next_read, 0),
            };
            // The question after the deadline decides whether it is given up.
            let deadline = open.taken_at + account.policy.deadline;
            open.ask_at = at.min(deadline).max(open.next_read);
            open.loss = loss;
        }
    }

    /// Whether what is left of the day lets this request leave; the next day does.
    fn day_lets(
        &self,
        key: &LaneKey,
        group: &str,
        day: Option<&Day>,
        lets: fn(&Day, Left) -> bool,
        now: Timestamp,
        wake: &mut Wake,
    ) -> bool {
        let left = self.lanes.get(key).and_then(|lane| lane.left(group, now));
        let refused = day.zip(left).filter(|(day, left)| !lets(day, *left));
        if let Some((_, left)) = refused {
            wake.at(now + left.time);
        }
        refused.is_none()
    }

    fn groups(&self, key: &LaneKey) -> Option<(&'static str, &'static str)> {
        let account = self
            .accounts
            .values()
            .find(|account| account.lane == *key)?;
        Some((account.read_group(), account.submit_group()))
    }

    fn group_owes_a_submit(&self, key: &LaneKey, group: &str) -> bool {
        self.lanes
            .get(key)
            .and_then(|lane| lane.group(group))
            .is_some_and(crate::lane::Group::owes_a_submit)
    }

    /// Pending jobs, if a submit could leave at all and something may be pending.
    async fn ready(
        &mut self,
        key: &LaneKey,
        group: &str,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(Vec<crate::submit::Ready>, bool), StoreError> {
        if self.wire_is_full(key, group, draft) || self.asks_balance_first(key, now) {
            return Ok((Vec::new(), false));
        }
        let Some(lane) = self.lanes.get_mut(key) else {
            return Ok((Vec::new(), false));
        };
        if let Some(until) = lane.idle_until.filter(|until| *until > now) {
            wake.at(until);
            return Ok((Vec::new(), false));
        }
        match lane.peek(group, true, now) {
            Room::Now => {
                let (ready, more) = self.candidates(key, now, draft, wake).await?;
                if let Some(lane) = self.lanes.get_mut(key) {
                    lane.backlog = more;
                }
                Ok((ready, more))
            }
            Room::At(later) => {
                wake.at(later);
                Ok((Vec::new(), false))
            }
            Room::AfterAnAnswer | Room::Never => Ok((Vec::new(), false)),
        }
    }

    fn plan_read(
        &mut self,
        key: &LaneKey,
        group: &str,
        due: Due,
        job: JobId,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        if due == Due::Export && self.export_is_out(job) {
            return;
        }
        if matches!(due, Due::Evidence | Due::Export) {
            self.mark_export_asked(job);
        }
        if due == Due::Unclaimed {
            self.plan_unclaimed_read(key, group, job, now, draft);
            return;
        }
        let Some((account, call)) = self.read_call(due, job) else {
            return;
        };
        let verb = match due {
            Due::Links | Due::Source if account.provider != Provider::Jarai => "link",
            Due::Cancel
            | Due::Evidence
            | Due::Unclaimed
            | Due::Links
            | Due::Source
            | Due::Export
            | Due::Poll => call.verb(),
        };
        let project = match &call {
            Call::Export { project_id, .. } => Some(project_id.clone()),
            _ => None,
        };
        let means = |places| match &project {
            Some(project) => Flight::Export {
                lane: key.clone(),
                account: account.name.clone(),
                job,
                project: project.clone(),
                places,
            },
            None => meaning(due, key, &account, job, places),
        };
        let ask = Ask {
            account: &account,
            group,
            verb,
            job: Some(job),
            call,
        };
        let left = self.ask(key, ask, means, now, draft);
        if let Some(project) = project.filter(|_| left) {
            self.export_left(&account, &project, now);
        }
    }

    /// Takes a place in the budget and puts down the intent of a request that is not paid for; `means` says
    /// what its answer is about. Whether there was a place.
    pub(crate) fn ask(
        &mut self,
        key: &LaneKey,
        ask: Ask<'_>,
        means: impl FnOnce(Places) -> Flight,
        now: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let lane = self.lanes.get_mut(key);
        let Some(places) = lane.and_then(|lane| lane.take(ask.group, None, false, now)) else {
            return false;
        };
        let flight = self.ids.next(now);
        let request = NewRequest {
            id: flight.clone(),
            lane: key.clone(),
            account: ask.account.name.clone(),
            endpoints: ask.group.to_owned(),
            verb: ask.verb.to_owned(),
            job: ask.job,
            submission: None,
            quota: None,
            sent_at: now,
        };
        self.flights.insert(flight.clone(), means(places));
        draft.intents.push(Intent::Read {
            lane: key.clone(),
            request: Box::new(request),
            act: Box::new(send(&flight, ask.account, ask.call, now)),
        });
        true
    }

    /// The call of a read, with the job marked as asked about.
    fn read_call(&mut self, due: Due, job: JobId) -> Option<(Arc<Account>, Call)> {
        if due == Due::Source {
            let Some(Source::Wanted { account, remote_id }) =
                self.sources.insert(job, Source::Asked)
            else {
                return None;
            };
            let location = None;
            let account = self.accounts.get(&account).cloned()?;
            return Some((
                account,
                Call::Status {
                    remote_id,
                    location,
                },
            ));
        }
        let open = self.open.get_mut(&job)?;
        let account = self.accounts.get(&open.account).cloned()?;
        if matches!(due, Due::Evidence | Due::Export) {
            let project_id = project_of(open, &account)?.to_owned();
            let format = ExportFormat::Json;
            return Some((account, Call::Export { project_id, format }));
        }
        let remote_id = open.remote_id()?.to_owned();
        open.asking = true;
        let call = match due {
            Due::Cancel => {
                open.cancel_sent = true;
                Call::Cancel { remote_id }
            }
            Due::Links if account.provider == Provider::Jarai => Call::Deliverables { remote_id },
            Due::Evidence | Due::Unclaimed | Due::Links | Due::Source | Due::Export | Due::Poll => {
                Call::Status {
                    remote_id,
                    location: open.location.clone(),
                }
            }
        };
        Some((account, call))
    }

    /// Jobs that run beyond their deadline are given up, with a clear state: never before the provider
    /// was asked once more, since it may have finished while we were away, and never once a person at
    /// the provider had them for approval (DESIGN.md 3.2).
    pub(crate) fn give_up_overdue(&mut self, key: &LaneKey, now: Timestamp, draft: &mut Draft) {
        let overdue: Vec<JobId> = self
            .open
            .awake()
            .filter(|open| open.job.work.status() == Status::Running && !open.asking)
            .filter(|open| !open.was_approvable)
            .filter(|open| {
                let account = self.accounts.get(&open.account);
                account.is_some_and(|account| {
                    let since = open.job.work.submitted_at.unwrap_or(now);
                    let deadline = since + account.policy.deadline;
                    account.lane == *key && open.last_heard.is_some_and(|at| at >= deadline)
                })
            })
            .map(OpenJob::id)
            .collect();
        for job in overdue {
            if let Some(open) = self.open.get_mut(&job) {
                if let Some(account) = self.accounts.get(&open.account) {
                    self.learned.outlasted(open, account, now);
                }
                let said = open.job.work.state.remote().and_then(|r| r.status.clone());
                let message = format!(
                    "the provider has not finished within the account's deadline; its last word was {:?}",
                    said.as_deref().unwrap_or("none")
                );
                let event = Event::RemoteFailed {
                    fault: Fault::new("deadline_passed", message),
                    status: None,
                    resubmit: false,
                };
                draft.apply(open, &event, key, now);
            }
            self.close_if_over(key, job, now, draft);
        }
    }
}

/// How much longer than its interval a job that is made, and waits for people, is left alone, so that the
/// day's requests last.
fn stretch(open: &OpenJob, account: &Account, day: Option<&Day>) -> Duration {
    let rests = open.job.work.status() == Status::Running
        && !open.called_for
        && open.job.work.cancel.is_none();
    let Some(day) = day.filter(|_| rests) else {
        return Duration::ZERO;
    };
    let interval = account.interval(open.phase);
    let age = open.next_read.since(open.taken_at).saturating_sub(interval);
    day.interval(age, interval).saturating_sub(interval)
}
