//! One step: hear what the hands did, read what people want, decide what to send, make it durable,
//! hand it out. No sleep, no clock, no HTTP.
//!
//! ```text
//!  reports ─┐
//!  commands ┼─> conclusions ─┐
//!  rows ────┴─> intents ─────┴─> one transaction ─> acts for the hands, and when to come back
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{JobId, Status, SubmissionId, Timestamp};
use store::planted::{self, Bug};
use store::{Committed, LaneKey, Store, StoreError};

use crate::account::Account;
use crate::act::{Act, FlightId, Plan, Report, Said};
use crate::doubt::Doubts;
use crate::draft::{Draft, Intent, SubmitIntent};
use crate::flight::Flight;
use crate::lane::Lane;
use crate::money::Money;
use crate::open::OpenJob;
use crate::open_jobs::OpenJobs;
use crate::read::answered_of;
use crate::rest::Rests;
use crate::submit::{Seen, Source};

/// How often one step tries to write around rows that other programs changed meanwhile.
const STALE_TRIES: usize = 16;

/// Makes ids that sort by time. Seeded, so that the same seed tells the same history.
#[derive(Debug)]
pub(crate) struct Ids(fastrand::Rng);

impl Ids {
    /// A share of a whole, for jitter.
    pub(crate) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    pub(crate) fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    pub(crate) fn next(&mut self, now: Timestamp) -> String {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let random: [u8; 10] = std::array::from_fn(|_| self.0.u8(..));
        uuid::Builder::from_unix_timestamp_millis(millis, &random)
            .into_uuid()
            .simple()
            .to_string()
    }
}

/// The planner over its store. It owns the lanes that it was loaded with.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Store,
    pub(crate) accounts: BTreeMap<String, Arc<Account>>,
    pub(crate) lanes: BTreeMap<LaneKey, Lane>,
    pub(crate) open: OpenJobs,
    pub(crate) flights: BTreeMap<FlightId, Flight>,
    pub(crate) sources: BTreeMap<JobId, Source>,
    /// What looks at source images showed, by their URLs.
    pub(crate) looks: BTreeMap<String, Seen>,
    /// How long jobs take.
    pub(crate) learned: crate::read::Learned,
    /// What webhooks are worth.
    pub(crate) channels: crate::fusion::Channels,
    /// Exports that tell of many jobs at once.
    pub(crate) bulk: crate::read::Bulk,
    /// What may settle a doubt.
    pub(crate) doubts: Doubts,
    pub(crate) ids: Ids,
    /// Commands are looked for at this moment, or when the database changes.
    pub(crate) commands_at: Timestamp,
    /// Rows of accounts that the config does not have are looked for at this moment.
    pub(crate) strangers_at: Timestamp,
    /// Somebody wrote: those rows are looked for soon, after what can be sent.
    pub(crate) new_rows: bool,
    /// What accounts with a cap have taken.
    pub(crate) money: Money,
    /// The moment of the last step.
    pub(crate) seen: Timestamp,
    /// When the wall clock last jumped in this life of the process.
    pub(crate) jumped_at: Option<Timestamp>,
    /// Nothing new is sent; answers are still heard.
    pub(crate) draining: bool,
    /// What holds submits back in all lanes.
    pub(crate) rests: Rests,
    /// Whether an earlier owner of a lane may still live, and bring answers.
    pub(crate) others_may_live: bool,
    /// What the transaction under way, or the one that failed, is to make durable and was not handed out.
    pub(crate) unsent: BTreeSet<SubmissionId>,
}

/// When to come back: the earliest of what was noted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wake(Option<Timestamp>);

impl Wake {
    pub(crate) fn at(&mut self, moment: Timestamp) {
        self.0 = Some(self.0.map_or(moment, |known| known.min(moment)));
    }
}

impl Engine {
    /// Another program, or a person, wrote to the database: look again.
    pub fn notice_writes(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.idle_until = None;
            lane.has_news = true;
            lane.answers_at = Timestamp::default();
        }
        self.commands_at = Timestamp::default();
        self.doubts.inbox_at = Timestamp::default();
        self.new_rows = true;
        self.money.commands_at = Timestamp::default();
    }

    /// While draining nothing new is sent; what is on the wire is still heard and written down.
    pub fn set_draining(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Hears `reports`, decides, and makes durable what it decided.
    ///
    /// # Errors
    /// If the database cannot be read or written. Then nothing of this step counts: load the engine
    /// anew and bring the same reports again.
    pub async fn step(&mut self, now: Timestamp, reports: &[Report]) -> Result<Plan, StoreError> {
        self.seen = now;
        let mut draft = Draft::default();
        let mut wake = Wake::default();
        for lane in self.lanes.values() {
            draft.fence(&lane.key, lane.epoch);
        }
        for report in reports {
            self.hear(report, &mut draft);
        }
        if !self.draining {
            self.read_inbox(now, &mut draft, &mut wake).await?;
        }
        self.weigh_evidence(now, &mut draft, &mut wake).await?;
        if self.draining {
            return self.write(draft, wake).await;
        }
        self.follow_rests(now, &mut draft);
        self.read_commands(now, &mut draft, &mut wake).await?;
        self.read_account_commands(now, &mut draft, &mut wake)
            .await?;
        self.mark_strangers(now, &mut draft, &mut wake).await?;
        self.recheck_held(now, &mut draft, &mut wake).await?;
        let keys: Vec<LaneKey> = self.lanes.keys().cloned().collect();
        for key in &keys {
            self.adopt_orphans(key, now, &mut draft, &mut wake).await?;
            if self.lanes.get(key).is_some_and(|lane| lane.leaving) {
                continue;
            }
            self.resubmit_ripe(key, now, &mut draft, &mut wake);
            self.give_up_overdue(key, now, &mut draft);
            self.plan_fetches(key, now, &mut draft, &mut wake);
            self.plan_requests(key, now, &mut draft, &mut wake).await?;
            self.mark_the_rest(key, now, &mut draft).await?;
        }
        if draft.again {
            wake.at(now);
        }
        self.write(draft, wake).await
    }

    fn hear(&mut self, report: &Report, draft: &mut Draft) {
        // A report about a flight that is not known was heard before (its transaction was
        // committed, and the answer to the commit was lost).
        let Some(flight) = self.flights.remove(&report.flight) else {
            return;
        };
        let at = self.heard_at(report);
        if let Some(places) = flight.places() {
            // What a submit's places are worth depends on its answer.
            if let Some(lane) = self.lanes.get_mut(flight.lane())
                && !matches!(flight, Flight::Submit { .. })
            {
                lane.settle(places, at);
            }
            draft.batch.answered.push(answered_of(report, at));
        }
        self.hear_limits(&flight, report, at, draft);
        match (flight, &report.said) {
            (flight @ Flight::Submit { .. }, Said::Reply(reply)) => {
                self.hear_submit(flight, reply, at, draft);
            }
            (Flight::Credits { lane, account, .. }, Said::Reply(reply)) => {
                self.hear_credits(&lane, &account, reply, at, draft);
            }
            (Flight::Fetch { lane, wanted }, Said::Fetched(result)) => {
                self.hear_fetch(&lane, wanted, result, at, draft);
            }
            (
                Flight::Unclaimed {
                    lane,
                    account,
                    remote_id,
                    ..
                },
                Said::Reply(reply),
            ) => {
                self.hear_unclaimed(&lane, &account, &remote_id, reply, at, draft);
            }
            (flight, Said::Reply(reply)) => self.hear_read(&flight, reply, at, draft),
            (Flight::Look { url, .. }, Said::Looked(look)) => self.hear_look(url, look, at),
            (_, Said::Fetched(_) | Said::Looked(_)) => {}
        }
    }

    async fn write(&mut self, mut draft: Draft, mut wake: Wake) -> Result<Plan, StoreError> {
        if draft.is_empty() {
            return Ok(self.handed_out(draft, wake));
        }
        for _ in 0..STALE_TRIES {
            self.unsent = draft.submissions().collect();
            let committed = self.store.commit(draft.to_batch()).await;
            if committed.is_err() && planted::has(Bug::SubmitBeforeIntent) {
                return Ok(self.handed_out(draft, wake));
            }
            let committed = committed?;
            self.unsent.clear();
            match committed {
                Committed::Durable { lost } => {
                    for lane in lost {
                        self.lose(&lane);
                    }
                    return Ok(self.handed_out(draft, wake));
                }
                Committed::Stale(jobs) => {
                    self.step_around(&jobs, &mut draft).await?;
                    wake.at(Timestamp::default());
                }
            }
        }
        Err(StoreError::Unavailable {
            why: format!("rows changed under {STALE_TRIES} tries to write them"),
        })
    }

    /// Other programs changed these rows since they were read: what rests on them is planned again
    /// in the next step, the rest goes on.
    async fn step_around(&mut self, stale: &[JobId], draft: &mut Draft) -> Result<(), StoreError> {
        let (dropped, kept): (Vec<Intent>, Vec<Intent>) = std::mem::take(&mut draft.intents)
            .into_iter()
            .partition(|intent| intent.concerns(stale));
        draft.intents = kept;
        for intent in dropped {
            match intent {
                Intent::Submit(submit) => {
                    let Some(lane) = self.lanes.get_mut(&submit.lane) else {
                        continue;
                    };
                    // The place stays taken for a window, as if it had been used: simple, and never
                    // wrong.
                    lane.settle(&submit.places, submit.request.sent_at);
                    lane.idle_until = None;
                    let references = submit
                        .jobs
                        .iter()
                        .filter_map(|open| open.client_ref.as_ref());
                    for reference in references {
                        lane.live_refs.remove(reference);
                    }
                    for open in &submit.jobs {
                        self.money.give_back(open);
                    }
                }
                // The command is still there: it is obeyed on what the row says now.
                Intent::Change { .. } | Intent::Priority { .. } => self.notice_writes(),
                Intent::Read { .. } => {}
            }
        }
        for job in self.store.jobs(stale).await? {
            if draft.has_conclusion_on(job.id) {
                draft.correct_version(job.id, job.version);
                if let Some(open) = self.open.get_mut(&job.id) {
                    open.job.version = job.version + 1;
                }
            }
        }
        Ok(())
    }

    /// All is durable: memory follows, and the acts go out.
    fn handed_out(&mut self, draft: Draft, wake: Wake) -> Plan {
        self.money.settle(draft.outcomes());
        let mut plan = Plan {
            acts: draft.acts,
            wake_at: wake.0,
            moved: draft.moved,
        };
        if plan.moved.contains_key(Status::Pending.as_str()) {
            // Rows came back after this step had looked for what is pending.
            for lane in self.lanes.values_mut() {
                lane.idle_until = None;
            }
            plan.wake_at = Some(self.seen);
        }
        for intent in draft.intents {
            match intent {
                Intent::Submit(submit) => {
                    let SubmitIntent {
                        lane,
                        submission,
                        request,
                        jobs,
                        act,
                        places,
                        ..
                    } = *submit;
                    if !self.lanes.contains_key(&lane) {
                        continue;
                    }
                    let flight = Flight::Submit {
                        lane,
                        account: submission.account.clone(),
                        submission: submission.id.clone(),
                        jobs: jobs.iter().map(OpenJob::id).collect(),
                        quota: request.quota.clone(),
                        sent_at: request.sent_at,
                        places,
                    };
                    self.flights.insert(request.id.clone(), flight);
                    *plan.moved.entry(Status::Submitting.as_str()).or_default() +=
                        jobs.len() as u64;
                    for open in jobs {
                        self.open.insert(open.id(), open);
                    }
                    plan.acts.push(act);
                }
                Intent::Read { lane, act, .. } => {
                    if self.lanes.contains_key(&lane) {
                        plan.acts.push(*act);
                    }
                }
                Intent::Priority { .. } => {}
                Intent::Change { change, .. } => {
                    *plan.moved.entry(change.work.status().as_str()).or_default() += 1;
                }
            }
        }
        plan
    }

    /// The lane is to change hands: nothing more is sent for it.
    pub fn retire(&mut self, lane: &LaneKey) {
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.leaving = true;
        }
    }

    /// Whether nothing of this lane is on the wire or coming home.
    #[must_use]
    pub fn is_quiet(&self, lane: &LaneKey) -> bool {
        !self.flights.values().any(|flight| flight.lane() == lane)
    }

    /// The lane is another process's from now on. What is on the wire is still read by the hands, and its
    /// facts are kept.
    pub fn lose(&mut self, lane: &LaneKey) {
        tracing::info!(lane = %lane.0, "this lane belongs to another process now");
        if let Some(lost) = self.lanes.remove(lane) {
            self.money.forget(&lost.accounts);
            self.learned.forget(&lost.accounts);
            self.channels.forget(&lost.accounts);
            self.bulk.forget(&lost.accounts);
        }
        // The answer to a paid POST is a fact, whoever reads it: it is still appended.
        self.flights
            .retain(|_, flight| flight.lane() != lane || matches!(flight, Flight::Submit { .. }));
        self.doubts.lose(lane);
        let accounts = &self.accounts;
        self.open
            .retain(|_, open| accounts.get(&open.account).is_some_and(|a| a.lane != *lane));
    }

    /// Accounts of a lane, resolved.
    pub(crate) fn accounts_of(&self, key: &LaneKey) -> Vec<Arc<Account>> {
        self.lanes.get(key).map_or_else(Vec::new, |lane| {
            lane.accounts
                .iter()
                .filter_map(|name| self.accounts.get(name).cloned())
                .collect()
        })
    }
}

/// A send whose slot is durable, decided `now`.
pub(crate) fn send(
    flight: &FlightId,
    account: &Account,
    call: providers::Call,
    now: Timestamp,
) -> Act {
    Act::Send {
        flight: flight.clone(),
        account: account.name.clone(),
        call,
        not_after: now + account.timing.submit_timeout,
    }
}
