//! Building the planner from the database: at the start, after a crash, and after trouble with the
//! database. It is the same path. What was on the wire when the process died is settled here: a
//! submission without an answer is in doubt, a running job is polled when its interval ends, a
//! capture begins again with a fresh link.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::{JobId, Status, SubmissionId, Timestamp};
use providers::Phase;
use store::planted::{self, Bug};
use store::{
    Committed, Epoch, LaneKey, Outcome as Fate, Request, Store, StoreError, SubmissionRow,
};

use crate::account::Account;
use crate::act::FlightId;
use crate::commands::NAMED;
use crate::doubt::Doubts;
use crate::draft::Draft;
use crate::flight::{Flight, Purpose};
use crate::here::Here;
use crate::lane::{Lane, Places};
use crate::money::Money;
use crate::open::{Capture, OpenJob};
use crate::planner::{Engine, Ids};
use crate::recover::ON_ITS_WAY;

/// A submission read from the ledger, with its jobs in the order of the body.
pub(crate) type Ledger = BTreeMap<SubmissionId, Vec<SubmissionRow>>;

/// A doubt that has had so many first waits for evidence is looked at once when it is loaded.
const OLD_DOUBT: u32 = 20;

/// When a doubt's evidence is looked at first. A run that ends when nothing is left to do (a batch, every
/// night) still looks once at old ones.
fn first_look(open: &OpenJob, wait: Duration, now: Timestamp) -> Timestamp {
    let age = now.since(open.job.work.submitted_at.unwrap_or(now));
    if age > OLD_DOUBT * wait {
        now
    } else {
        now + wait
    }
}

impl Engine {
    /// Builds the planner for these lanes: see [`Engine::add_lanes`].
    ///
    /// # Errors
    /// If the database cannot be read or written.
    pub async fn load(
        store: Store,
        accounts: Vec<Account>,
        lanes: &[(LaneKey, Epoch)],
        here: &Here,
        seed: u64,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let accounts: BTreeMap<String, Arc<Account>> = accounts
            .into_iter()
            .map(|account| (account.name.clone(), Arc::new(account)))
            .collect();
        let mut engine = Self {
            store,
            accounts,
            lanes: BTreeMap::new(),
            open: crate::open_jobs::OpenJobs::default(),
            flights: BTreeMap::new(),
            sources: BTreeMap::new(),
            looks: BTreeMap::new(),
            channels: crate::fusion::Channels::default(),
            learned: crate::read::Learned::default(),
            bulk: crate::read::Bulk::default(),
            doubts: Doubts::default(),
            ids: Ids::seeded(seed),
            commands_at: Timestamp::default(),
            strangers_at: Timestamp::default(),
            new_rows: false,
            money: Money::default(),
            seen: now,
            jumped_at: here.jump.map(|jump| jump.at),
            draining: false,
            rests: crate::rest::Rests::default(),
            others_may_live: here.others_may_live,
            unsent: BTreeSet::new(),
        };
        engine.add_lanes(lanes, here, now).await?;
        Ok(engine)
    }

    /// Takes these lanes up, and makes durable what is concluded about what their earlier owners left.
    /// `here` is what this very process knows of an earlier session of its own.
    ///
    /// # Errors
    /// If the database cannot be read or written. Then build the planner anew.
    pub async fn add_lanes(
        &mut self,
        lanes: &[(LaneKey, Epoch)],
        here: &Here,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut draft = Draft::default();
        for (key, epoch) in lanes {
            self.load_lane(key, *epoch, here, now, &mut draft).await?;
            draft.fence(key, *epoch);
        }
        if !draft.is_empty() {
            match self.store.commit(draft.to_batch()).await? {
                Committed::Durable { lost } => {
                    for lane in lost {
                        self.lose(&lane);
                    }
                }
                Committed::Stale(_) => return Err(StoreError::contended(1)),
            }
        }
        self.load_money(lanes, now).await
    }

    /// The books of these lanes' accounts, after all that was concluded about what is left of them.
    async fn load_money(
        &mut self,
        lanes: &[(LaneKey, Epoch)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ours: Vec<Arc<Account>> = lanes
            .iter()
            .flat_map(|(key, _)| self.accounts_of(key))
            .collect();
        self.money
            .load(&self.store, &ours, self.open.values(), now)
            .await
    }

    async fn load_lane(
        &mut self,
        key: &LaneKey,
        epoch: Epoch,
        here: &Here,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let accounts: Vec<Arc<Account>> = self
            .accounts
            .values()
            .filter(|account| account.lane == *key)
            .cloned()
            .collect();
        let Some(first) = accounts.first() else {
            return Ok(());
        };
        let limits = &first.limits;
        let mut lane = Lane::new(key.clone(), epoch, &limits.groups, limits.productions, now);
        lane.accounts = accounts
            .iter()
            .map(|account| account.name.clone())
            .collect();
        for pause in self.store.pauses(std::slice::from_ref(key)).await? {
            // A new start may have a new key: it is tried. The same goes for credits.
            if pause.code == "key_refused" {
                draft.lift(&pause);
                continue;
            }
            let until = match pause.code.as_str() {
                "out_of_credits" => pause.until.map(|until| until.min(now)),
                _ => pause.until,
            };
            lane.set_pause(store::Pause { until, ..pause });
        }
        let mut ledger = Ledger::new();
        for row in self
            .store
            .open_submissions(std::slice::from_ref(key))
            .await?
        {
            let answered = row.http_status.is_some_and(is_success);
            lane.answers_are_ambiguous |= answered && row.outcome == Fate::Unknown;
            lane.live_refs.extend(row.client_ref.clone());
            ledger.entry(row.id.clone()).or_default().push(row);
        }
        for answer in self
            .store
            .too_many(std::slice::from_ref(key), now.before(lane.pace_memory()))
            .await?
        {
            let (sent, answered) = (answer.sent_at.min(now), answer.answered_at.min(now));
            lane.was_too_many(&answer.endpoints, sent, answered);
        }
        let since = here.back(lane.memory(), now);
        let names = lane.accounts.clone();
        self.lanes.insert(key.clone(), lane);
        self.load_account_pauses(key, &names).await?;
        self.load_refusals(key, &names).await?;
        self.learned.load(self.store.learned_lengths(&names).await?);
        let jobs = self.store.open_jobs(&names).await?;
        self.add_what_other_keys_sent(key, &jobs, &mut ledger)
            .await?;
        let requests = self.requests_of(key, since, here, now).await?;
        let reads = self.last_reads_of(key, &requests, here, now).await?;
        self.load_jobs(jobs, &ledger, &reads, now).await?;
        self.load_requests(key, requests, &ledger, &here.flights, first);
        let answered = ledger.values().flatten();
        let answered: Vec<&SubmissionRow> = answered.filter(|row| row.verdicts.is_some()).collect();
        self.settle_interrupted(key, &answered, &here.unsent, now, draft);
        self.load_doubts(key, &names, now).await?;
        Ok(())
    }

    /// What was asked since then, as it counts now.
    async fn requests_of(
        &self,
        key: &LaneKey,
        since: Timestamp,
        here: &Here,
        now: Timestamp,
    ) -> Result<Vec<Request>, StoreError> {
        let mut requests = self.store.requests_since(key, since).await?;
        for request in &mut requests {
            request.sent_at = request.sent_at.min(now);
            match &mut request.answered_at {
                Some(at) => *at = here.counts_as(*at, now),
                None => request.sent_at = here.counts_as(request.sent_at, now),
            }
        }
        Ok(requests)
    }

    async fn last_reads_of(
        &self,
        key: &LaneKey,
        requests: &[Request],
        here: &Here,
        now: Timestamp,
    ) -> Result<BTreeMap<JobId, LastRead>, StoreError> {
        let read = |(job, at)| {
            let at = here.counts_as(at, now);
            (job, LastRead { at, heard: true })
        };
        let known = self.store.last_reads(key).await?;
        let mut reads: BTreeMap<JobId, LastRead> = known.into_iter().map(read).collect();
        for request in requests {
            note_read(&mut reads, request, now);
        }
        Ok(reads)
    }

    async fn load_jobs(
        &mut self,
        jobs: Vec<store::Job>,
        ledger: &Ledger,
        reads: &BTreeMap<JobId, LastRead>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows: HashMap<JobId, &SubmissionRow> = ledger
            .values()
            .flatten()
            .map(|row| (row.job, row))
            .collect();
        for job in jobs {
            let id = job.id;
            let Some(account) = job
                .taken_by
                .as_ref()
                .and_then(|name| self.accounts.get(name))
                .cloned()
            else {
                continue;
            };
            let Some(submission) = job.work.state.submission().cloned() else {
                continue;
            };
            let status = job.work.status();
            let said = job
                .work
                .state
                .remote()
                .and_then(|remote| remote.status.clone());
            let mut open = OpenJob::new(job, account.name.clone(), submission, now);
            open.phase = said.as_deref().map_or(Phase::Queued, |said| {
                providers::phase_of(account.provider, said)
            });
            // A job that was given up and then adopted rests on a submission that counted as over.
            if open.job.work.state.remote().is_some() {
                open.fate = Fate::Accepted;
            }
            if let Some(row) = rows.get(&id).filter(|row| row.id == open.submission) {
                open.client_ref.clone_from(&row.client_ref);
                open.location.clone_from(&row.location);
                open.fate = row.outcome;
                open.named = said.is_none() && row.reason.as_deref() == Some(NAMED);
                // The row shows what the job has cost in all; here it is what this submission costs.
                open.job.work.credits = row.credits.or(row.price);
            }
            if status == Status::InDoubt {
                open.next_read = first_look(&open, account.timing.evidence_first, now);
                self.open.insert(id, open);
                continue;
            }
            open.next_read = match reads.get(&id) {
                _ if planted::has(Bug::PollFloorForgotten) => now,
                Some(read) if read.heard => read.at + account.interval(open.phase),
                Some(read) => read.at + account.unsure_interval(open.phase),
                // Never read: the interval counts from the answer to the submit, which came by now.
                None => now + account.interval(open.phase),
            };
            open.floor = open.next_read;
            open.unfinished_at = reads.get(&id).filter(|read| read.heard).map(|read| read.at);
            let has_files = matches!(open.phase, Phase::AwaitingApproval | Phase::Distributing);
            if status == Status::Capturing || (status == Status::Running && has_files) {
                open.capture = Some(Capture {
                    needs_links: true,
                    began: now,
                    at_status: said.unwrap_or_default(),
                    ..Capture::default()
                });
                for file in self.store.deliverables(id).await? {
                    open.was_approvable = true;
                    let ordinal = usize::try_from(file.ordinal).unwrap_or(usize::MAX);
                    open.have.insert((file.r#type, ordinal, file.source_hash));
                }
            }
            self.open.insert(id, open);
        }
        Ok(())
    }

    /// Fills the lane's budgets from the ledger. A request that nobody answered counts as answered
    /// at the end of its time-out: until then the provider may have counted it.
    fn load_requests(
        &mut self,
        key: &LaneKey,
        requests: Vec<Request>,
        ledger: &Ledger,
        in_air: &BTreeSet<FlightId>,
        account: &Account,
    ) {
        let mut settled: Vec<(Timestamp, Places)> = Vec::new();
        let forgotten = planted::has(Bug::LimiterInMemory);
        for request in requests.into_iter().filter(|_| !forgotten) {
            let is_submit = request.verb == "submit";
            let Some(lane) = self.lanes.get_mut(key) else {
                return;
            };
            // A production that was refused is none.
            let refused = request
                .http_status
                .is_some_and(|code| (400..500).contains(&code));
            let quota = request.quota.as_deref().filter(|_| !refused);
            let Some(places) = lane.take(&request.endpoints, quota, is_submit, request.sent_at)
            else {
                continue;
            };
            let timeout = if is_submit {
                account.timing.submit_timeout
            } else {
                account.timing.read_timeout
            };
            match request.answered_at {
                Some(at) => settled.push((at, places)),
                None if in_air.contains(&request.id) => {
                    let of_job = request.job.and_then(|job| self.open.get(&job));
                    let name = of_job.map_or(&account.name, |open| &open.account).clone();
                    match flight_of(&request, key, name, ledger, places.clone()) {
                        Some(flight) => {
                            self.mark_asking(&flight);
                            self.flights.insert(request.id, flight);
                        }
                        // Nobody waits for its answer any more.
                        None => settled.push((request.sent_at + timeout, places)),
                    }
                }
                None => settled.push((request.sent_at + timeout, places)),
            }
        }
        settled.sort_by_key(|(at, _)| *at);
        if let Some(lane) = self.lanes.get_mut(key) {
            for (at, places) in settled {
                lane.settle(&places, at);
            }
        }
    }

    fn mark_asking(&mut self, flight: &Flight) {
        let (Flight::Status { job, .. }
        | Flight::Deliverables { job, .. }
        | Flight::Cancel { job, .. }) = flight
        else {
            return;
        };
        if let Some(open) = self.open.get_mut(job) {
            open.asking = true;
        }
    }
}

/// When a job's state was last read, and whether the answer was heard.
#[derive(Debug, Clone, Copy)]
struct LastRead {
    at: Timestamp,
    heard: bool,
}

/// A read that nobody answered reaches the provider soon at the latest, since its process is gone.
fn note_read(reads: &mut BTreeMap<JobId, LastRead>, request: &Request, now: Timestamp) {
    let Some(job) = request
        .job
        .filter(|_| matches!(request.verb.as_str(), "status" | "link"))
    else {
        return;
    };
    let read = match request.answered_at {
        Some(at) => LastRead {
            at,
            heard: request.http_status.is_some_and(is_success),
        },
        None => LastRead {
            at: now + ON_ITS_WAY,
            heard: false,
        },
    };
    let known = reads.get(&job).copied();
    if known.is_none_or(|known| known.at <= read.at) {
        reads.insert(job, read);
    }
}

fn is_success(code: u16) -> bool {
    (200..300).contains(&code)
}

/// What a request that is still in the air is about.
fn flight_of(
    request: &Request,
    key: &LaneKey,
    account: String,
    ledger: &Ledger,
    places: Places,
) -> Option<Flight> {
    let lane = key.clone();
    if request.verb == "submit" {
        let submission = request.submission.clone()?;
        let mut rows = ledger.get(&submission)?.clone();
        rows.sort_by_key(|row| row.ordinal);
        return Some(Flight::Submit {
            lane,
            account: rows.first().map_or(account, |row| row.account.clone()),
            jobs: rows.iter().map(|row| row.job).collect(),
            submission,
            quota: request.quota.clone(),
            sent_at: request.sent_at,
            places,
        });
    }
    let job = request.job?;
    match request.verb.as_str() {
        "status" | "link" => Some(Flight::Status {
            lane,
            account,
            job,
            purpose: if request.verb == "link" {
                Purpose::Link
            } else {
                Purpose::Poll
            },
            places,
        }),
        "deliverables" => Some(Flight::Deliverables {
            lane,
            account,
            job,
            places,
        }),
        "cancel" => Some(Flight::Cancel {
            lane,
            account,
            job,
            places,
        }),
        _ => None,
    }
}
