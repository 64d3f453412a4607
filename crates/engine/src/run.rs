//! The outer loop, the only part that sleeps: it steps the planner, starts what it decided, and waits
//! for a report, a write by somebody else, the moment that the planner named, or the end.
//!
//! When the database fails, the planner is thrown away and built anew from it (`load`), once it
//! answers again; what the hands brought meanwhile is told to the new one. Nothing is sent in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{JobKind, Status, SubmissionId, Timestamp};
use store::{LaneHold, LaneKey, Store, StoreError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::act::{FlightId, Plan, Report};
use crate::clock::Clock;
use crate::disk::DiskWatch;
use crate::fleet::Fleet;
use crate::hands::Hands;
use crate::here::{Afloat, Here};
use crate::jump::{ClockWatch, Jump, recall_jump};
use crate::money::{PRICE_UNKNOWN, SPEND_CAP};
use crate::outlook::Outlook;
use crate::planner::Engine;
use crate::rest::Rests;

mod lanes;
mod trouble;

use trouble::Trouble;

/// Codes of pending rows that nothing changes by itself today: an account or a price that the config does
/// not have, a cap that is reached.
const WAITS_FOR_A_PERSON: [&str; 3] = ["unknown_account", PRICE_UNKNOWN, SPEND_CAP];

/// How to run.
#[derive(Debug)]
pub struct RunOptions {
    /// End when nothing is left that can go on by itself.
    pub until_idle: bool,
    /// How long the end waits for evidence about jobs in doubt.
    pub in_doubt_wait: Duration,
    /// How long a drain waits for answers on the wire.
    pub drain_limit: Duration,
    /// Names this process in the lanes.
    pub owner: String,
    /// PostgreSQL: after so long without a sign of life an owner's lanes are another process's. Longer than
    /// any pause that a healthy process may make.
    pub lease: Duration,
    /// Whether there is room on the disks.
    pub disk: DiskWatch,
    /// For ids.
    pub seed: u64,
    /// Cancelled once: finish what is on the wire and end.
    pub drain: CancellationToken,
    /// Cancelled: end at once.
    pub stop: CancellationToken,
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Nothing is left that can go on by itself.
    Idle(Outlook),
    /// It was asked to; everything on the wire was answered.
    Drained,
    /// It was asked to, and did not wait for all answers.
    Stopped,
}

/// It cannot run on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The database refuses in a way that waiting does not mend.
    #[error("the database failed")]
    Store(#[source] StoreError),
    /// Another process works on this database.
    #[error("{0}")]
    Held(StoreError),
}

/// What the loop holds.
struct Runner<'a> {
    store: Store,
    accounts: Vec<Account>,
    hands: Hands,
    reports: mpsc::UnboundedReceiver<Report>,
    clock: Arc<dyn Clock>,
    options: RunOptions,
    watch: &'a mut (dyn FnMut(&Plan, &Outlook) + Send),
    /// Brought by the hands and not yet durable.
    unheard: Vec<Report>,
    /// Started and not yet reported.
    in_air: BTreeSet<FlightId>,
    /// Paid POSTs that the last planner had on the wire, or whose answers are being written.
    afloat: Afloat,
    /// Submissions that the database failed to take, or to say that it took: none of them was sent.
    unsent: BTreeSet<SubmissionId>,
    /// Which lanes it could own.
    fleet: Fleet,
    /// A lane that is given away once it is quiet, or at this moment.
    leaving: Option<(LaneKey, Timestamp)>,
    /// Whether others have all the lanes, which is said once.
    stands_by: bool,
    /// What holds all submits back.
    rests: Rests,
    /// With the database.
    trouble: Trouble,
    clock_watch: ClockWatch,
    /// The last jump of the wall clock.
    jump: Option<Jump>,
}

/// Runs the worker until it ends.
///
/// # Errors
/// If another process holds the work, or the database refuses for good.
pub async fn run(
    store: Store,
    accounts: Vec<Account>,
    hands: Hands,
    reports: mpsc::UnboundedReceiver<Report>,
    clock: Arc<dyn Clock>,
    options: RunOptions,
    watch: &mut (dyn FnMut(&Plan, &Outlook) + Send),
) -> Result<Ended, RunError> {
    let mut runner = Runner {
        fleet: Fleet::new(lanes_of(&accounts)),
        store,
        accounts,
        hands,
        reports,
        clock,
        options,
        watch,
        unheard: Vec::new(),
        in_air: BTreeSet::new(),
        afloat: Afloat::default(),
        unsent: BTreeSet::new(),
        leaving: None,
        stands_by: false,
        rests: Rests::default(),
        trouble: Trouble::none(),
        clock_watch: ClockWatch::default(),
        jump: None,
    };
    let mut drain_until = None;
    loop {
        match runner.session().await {
            Ok(ended) => return Ok(ended),
            Err(error @ StoreError::Held { .. }) => return Err(RunError::Held(error)),
            Err(error) if error.is_transient() => {
                let wait = runner.trouble.met(&error, runner.clock.now());
                if let Some(ended) = runner.wait_for_database(wait, &mut drain_until).await {
                    return Ok(ended);
                }
            }
            Err(error) => return Err(RunError::Store(error)),
        }
    }
}

impl Runner<'_> {
    /// Waits, and collects what the hands bring meanwhile. Says if it is time to end: at once if that
    /// was asked, or, while draining, when nothing is left to be written or the drain has lasted its
    /// time.
    async fn wait_for_database(
        &mut self,
        wait: Duration,
        drain_until: &mut Option<Timestamp>,
    ) -> Option<Ended> {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = self.options.stop.cancelled() => return Some(Ended::Stopped),
        }
        self.collect();
        if !self.options.drain.is_cancelled() {
            return None;
        }
        let now = self.clock.now();
        let until = *drain_until.get_or_insert(now + self.options.drain_limit);
        if self.in_air.is_empty() && self.unheard.is_empty() {
            Some(Ended::Drained)
        } else {
            (now >= until).then_some(Ended::Stopped)
        }
    }

    fn collect(&mut self) {
        while let Ok(report) = self.reports.try_recv() {
            self.in_air.remove(&report.flight);
            self.unheard.push(report);
        }
    }

    /// From joining the fleet to the end, or to the next trouble with the database.
    async fn session(&mut self) -> Result<Ended, StoreError> {
        self.watch_the_clock();
        let now = self.clock.now();
        self.recognise(now).await?;
        self.recall_jump(now).await?;
        let mut hold = self.store.take_lanes(&[], &self.options.owner, now).await?;
        let seed = self.options.seed ^ now.as_millis().unsigned_abs();
        let here = Here {
            others_may_live: self.store.owners_may_outlive_their_lanes(),
            jump: self.jump,
            ..Here::default()
        };
        let accounts = self.accounts.clone();
        let mut engine = Engine::load(self.store.clone(), accounts, &[], &here, seed, now).await?;
        engine.go_on_with(std::mem::take(&mut self.afloat));
        self.leaving = None;
        let ended = self.steps(&mut engine, &mut hold).await;
        self.afloat.add(engine.afloat());
        self.unsent.extend(engine.unsent());
        if ended.is_err() && self.store.owners_may_outlive_their_lanes() {
            // The locks go with the hold.
            self.hands.permit().revoke();
        }
        ended
    }

    async fn steps(
        &mut self,
        engine: &mut Engine,
        hold: &mut LaneHold,
    ) -> Result<Ended, StoreError> {
        let mut writes = self.store.watch();
        let mut look_at = Timestamp::default();
        let mut drain_until = None;
        loop {
            self.collect();
            let draining = self.options.drain.is_cancelled();
            engine.set_draining(draining);
            if let Some(jump) = self.watch_the_clock() {
                engine.clock_jumped(jump);
                look_at = Timestamp::default();
                // Durable before the next request leaves: whoever comes after a crash must know it too.
                self.recall_jump(self.clock.now()).await?;
            }
            let now = self.clock.now();
            if now >= look_at
                || self
                    .leaving
                    .as_ref()
                    .is_some_and(|(lane, _)| engine.is_quiet(lane))
            {
                look_at = self.tend_lanes(engine, hold).await?;
                self.recognise_again(now).await?;
            }
            engine.set_rests(self.rests_now());
            self.afloat = engine.reported(&self.unheard);
            let plan = engine.step(now, &self.unheard).await?;
            self.unheard.clear();
            self.afloat = Afloat::default();
            self.trouble.passes(now);
            for act in &plan.acts {
                self.in_air.insert(act.flight().clone());
                self.hands.start(act.clone());
            }
            let outlook = engine.outlook();
            (self.watch)(&plan, &outlook);
            if draining {
                let until = *drain_until.get_or_insert(now + self.options.drain_limit);
                if self.in_air.is_empty() && self.reports.is_empty() {
                    return Ok(Ended::Drained);
                }
                if now >= until {
                    return Ok(Ended::Stopped);
                }
            } else if self.options.until_idle && self.is_quiet_until(plan.wake_at, now) {
                match self.idle(&outlook, now).await? {
                    Idle::Yes => return Ok(Ended::Idle(outlook)),
                    Idle::No => {}
                }
            }
            let wake_at = [plan.wake_at, drain_until, self.trouble.look_at()];
            let wake_at = wake_at.into_iter().flatten().chain([look_at]).min();
            tokio::select! {
                biased;
                () = self.options.stop.cancelled() => return Ok(Ended::Stopped),
                report = self.reports.recv() => {
                    if let Some(report) = report {
                        self.in_air.remove(&report.flight);
                        self.unheard.push(report);
                    }
                }
                () = writes.changed() => engine.notice_writes(),
                () = self.options.disk.changed() => {}
                () = self.options.drain.cancelled(), if !draining => {}
                () = sleep_until(wake_at, self.clock.as_ref()) => {}
            }
        }
    }

    /// Whether the wall clock jumped, which is said and remembered.
    fn watch_the_clock(&mut self) -> Option<Jump> {
        let jump = self.clock_watch.look(self.clock.as_ref())?;
        let seconds = jump.by as f64 / 1_000.0;
        tracing::warn!(
            "the wall clock jumped by {seconds:.1} s; request windows of minutes and hours count as just used"
        );
        self.jump = Some(jump);
        self.jump
    }

    /// When this machine's wall clock was last set, also if that was before this process.
    async fn recall_jump(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if let Some(since_boot) = self.clock.since_boot() {
            let told = recall_jump(&self.store, since_boot, now).await?;
            self.jump = told.or(self.jump);
        }
        Ok(())
    }

    /// Looks which server the database is on, and says so once if it is not the accepted one.
    async fn recognise(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let another = self.store.recognise_server(now).await?;
        let said = another.map(|another| {
            format!("{another}; to go on all the same: vitrine doctor --accept-database")
        });
        if said != self.rests.another_server {
            match &said {
                Some(why) => tracing::error!("submits rest: {why}"),
                None => tracing::warn!("the database's server is accepted; submits go on"),
            }
            self.rests.another_server = said;
        }
        Ok(())
    }

    /// While nobody has accepted the server, whether somebody has by now.
    async fn recognise_again(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.rests.another_server.is_some() {
            self.recognise(now).await?;
        }
        Ok(())
    }

    /// What holds submits back. A disk that is low is said once.
    fn rests_now(&mut self) -> Rests {
        let low = self.options.disk.low();
        match (&self.rests.disk_low, &low) {
            (None, Some(why)) => tracing::warn!("submits and captures rest: {why}"),
            (Some(_), None) => {
                tracing::warn!("there is room on the disk again; submits and captures go on");
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.rests.disk_low = low;
        self.rests.clone()
    }

    /// Nothing is under way. A step that wants the next one at once (a job's second command) is.
    fn is_quiet_until(&self, wake_at: Option<Timestamp>, now: Timestamp) -> bool {
        let is_over = wake_at.is_none_or(|at| at > now);
        is_over && self.in_air.is_empty() && self.reports.is_empty()
    }

    /// Whether anything can go on by itself.
    async fn idle(&self, outlook: &Outlook, now: Timestamp) -> Result<Idle, StoreError> {
        if outlook.working > 0 || outlook.rechecking {
            return Ok(Idle::No);
        }
        let young = outlook
            .youngest_doubt
            .is_some_and(|since| since + self.options.in_doubt_wait > now);
        if young {
            return Ok(Idle::No);
        }
        let in_paused = self.in_paused_batches(outlook).await?;
        for count in self.store.counts(None).await? {
            let of_it = (count.kind, count.account.clone(), count.error_code.clone());
            let waiting = in_paused.get(&of_it).copied().unwrap_or(0);
            if count.status != Status::Pending || count.jobs <= waiting {
                continue;
            }
            let code = count.error_code.as_deref();
            let stuck = !outlook.rests.is_empty()
                || code.is_some_and(|code| WAITS_FOR_A_PERSON.contains(&code))
                || self.is_blocked(count.kind, count.account.as_deref(), outlook);
            if !stuck {
                return Ok(Idle::No);
            }
        }
        Ok(Idle::Yes)
    }

    /// Pending rows of batches that are paused, by kind, account and error code.
    async fn in_paused_batches(
        &self,
        outlook: &Outlook,
    ) -> Result<BTreeMap<(JobKind, Option<String>, Option<String>), i64>, StoreError> {
        let mut waiting = BTreeMap::new();
        for (account, batch) in &outlook.paused_batches {
            for count in self.store.counts(Some(batch)).await? {
                let taker = self.taker_of(count.kind, count.account.as_deref());
                if count.status == Status::Pending && taker == Some(account.as_str()) {
                    let of_it = (count.kind, count.account, count.error_code);
                    *waiting.entry(of_it).or_default() += count.jobs;
                }
            }
        }
        Ok(waiting)
    }

    /// The account that takes rows which name this one, or none.
    fn taker_of<'a>(&'a self, kind: JobKind, account: Option<&'a str>) -> Option<&'a str> {
        account.or_else(|| {
            let provider = kind.provider();
            let default = self
                .accounts
                .iter()
                .find(|account| account.provider == provider && account.policy.takes_unnamed);
            default.map(|account| account.name.as_str())
        })
    }

    /// Whether the account of these rows waits for a person: for a key, for credits, or for a word.
    fn is_blocked(&self, kind: JobKind, account: Option<&str>, outlook: &Outlook) -> bool {
        self.taker_of(kind, account).is_none_or(|name| {
            outlook.key_refused.contains_key(name)
                || outlook.out_of_credits.contains_key(name)
                || outlook.paused.contains_key(name)
        })
    }
}

/// The lanes of these accounts, each once.
fn lanes_of(accounts: &[Account]) -> Vec<LaneKey> {
    let lanes: BTreeSet<_> = accounts.iter().map(|account| &account.lane).collect();
    lanes.into_iter().cloned().collect()
}

enum Idle {
    Yes,
    No,
}

async fn sleep_until(wake_at: Option<Timestamp>, clock: &dyn Clock) {
    match wake_at {
        Some(at) => tokio::time::sleep(at.since(clock.now())).await,
        None => std::future::pending().await,
    }
}
