//! A lane: the accounts that share one key, and how much of its budget is left.
//!
//! Two layers keep the limits. [`Budget`] is the guarantee: it is the sum of the durable ledger, and
//! no request leaves without room in it. `governor` in front only smooths how fast requests leave
//! within a window.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use domain::{Budget, Demand, JobId, Pace, Room, Shape, Slot, SubmissionId, Timestamp, Window};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use store::{AccountPause, Epoch, LaneKey, Pause};

use crate::breaker::{Breakers, UNAVAILABLE};
use crate::jump::Jump;
use crate::money::Balance;

/// Of the slots that reads and submits compete for, so many percent are the submits': a backlog of
/// polls must not starve them (RELIABILITY.md section 6). Polls limit themselves by their price; the share
/// leaves them 1.6 a job, because lengths with two humps need 1.5 (with 45 % they are known some 20 s later).
const SUBMIT_SHARE_PERCENT: u64 = 38;

/// What a submit is thought to take before one was answered.
const FIRST_LATENCY: Duration = Duration::from_secs(1);

/// Submits on the wire at once, whatever the pace.
const MOST_SUBMITS: usize = 64;

fn shortest(windows: &[Window]) -> Option<Window> {
    let rolling = windows
        .iter()
        .filter(|window| window.shape == Shape::Rolling);
    rolling.min_by_key(|window| window.length).copied()
}

fn spacing(windows: &[Window]) -> Option<Duration> {
    let shortest = shortest(windows)?;
    Some(shortest.length / shortest.limit.max(1))
}

/// The windows as a slower pace leaves them.
fn slowed(windows: &[Window], thousandths: u32) -> Vec<Window> {
    let slow = |window: &Window| Window {
        limit: match window.shape {
            Shape::Rolling => Pace::of(thousandths, window.limit),
            Shape::Calendar => window.limit,
        },
        ..*window
    };
    windows.iter().map(slow).collect()
}

/// Spreads requests over a window. Its clock is a value that follows `now`.
struct Smoother {
    limiter: RateLimiter<NotKeyed, InMemoryState, FakeRelativeClock, NoOpMiddleware<Nanos>>,
    clock: FakeRelativeClock,
    told: Timestamp,
}

impl Smoother {
    /// Half of the shortest window may leave at once, the rest follows at the window's pace.
    fn new(windows: &[Window], now: Timestamp) -> Option<Self> {
        let window = shortest(windows)?;
        let burst = NonZeroU32::new((window.limit / 2).max(1))?;
        let quota = Quota::with_period(window.length / window.limit.max(1))?.allow_burst(burst);
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Some(Self {
            limiter,
            clock,
            told: now,
        })
    }

    /// Nothing may leave at once: the burst was another pace's.
    fn drained(self) -> Self {
        while self.limiter.check().is_ok() {}
        self
    }

    /// Takes a place, or says when to ask again.
    fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        self.clock.advance(now.since(self.told));
        self.told = self.told.max(now);
        match self.limiter.check() {
            Ok(()) => Ok(()),
            Err(not_until) => {
                use governor::clock::Clock as _;
                let wait = not_until.wait_time_from(self.clock.now());
                Err(now + wait.max(std::time::Duration::from_millis(1)))
            }
        }
    }
}

/// The endpoints of a provider that share one budget.
pub(crate) struct Group {
    budget: Budget,
    smoother: Option<Smoother>,
    windows: Vec<Window>,
    /// What answers 429 leave of the rolling windows.
    pace: Option<Pace>,
    /// The pace that budget and smoother follow, in thousandths.
    followed: u32,
    /// The time between two requests at the limit of the shortest window.
    spacing: Option<Duration>,
    /// When the last request left.
    last: Option<Timestamp>,
    submits: u64,
    reads: u64,
    /// When the submits of the shortest window left.
    submitted: VecDeque<Timestamp>,
    window: Option<Window>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("budget", &self.budget)
            .field("submits", &self.submits)
            .field("reads", &self.reads)
            .finish_non_exhaustive()
    }
}

impl Group {
    fn new(windows: &[Window], now: Timestamp) -> Self {
        Self {
            budget: Budget::new(windows),
            smoother: Smoother::new(windows, now),
            windows: windows.to_vec(),
            pace: Pace::new(windows),
            followed: 1_000,
            spacing: spacing(windows),
            last: None,
            submits: 0,
            reads: 0,
            submitted: VecDeque::new(),
            window: shortest(windows),
        }
    }

    /// Makes budget and smoother follow the pace of this moment.
    fn keep_pace(&mut self, now: Timestamp) {
        let thousandths = self.pace.map_or(1_000, |pace| pace.at(now));
        if thousandths == self.followed {
            return;
        }
        let before = slowed(&self.windows, self.followed);
        let windows = slowed(&self.windows, thousandths);
        self.followed = thousandths;
        self.budget.set_pace(thousandths);
        // A hundredth of a small limit is nothing.
        if windows != before {
            self.smoother = Smoother::new(&windows, now).map(Smoother::drained);
            self.spacing = spacing(&windows);
        }
    }

    /// Whether the next slot is owed to a submit although a read is due as well.
    pub(crate) fn owes_a_submit(&self) -> bool {
        self.submits * 100 < SUBMIT_SHARE_PERCENT * (self.submits + self.reads + 1)
    }

    /// When the next request would leave if all left evenly, at this many times the pace of the shortest window.
    pub(crate) fn evenly(&self, share: f64) -> Option<Timestamp> {
        Some(self.last? + self.spacing?.mul_f64(share))
    }

    fn count(&mut self, is_submit: bool, at: Timestamp) {
        self.last = Some(at);
        if is_submit {
            self.submits += 1;
            self.submitted.push_back(at);
            let length = self.window.map_or(Duration::ZERO, |window| window.length);
            while self
                .submitted
                .front()
                .is_some_and(|sent| *sent + length <= at)
            {
                self.submitted.pop_front();
            }
        } else {
            self.reads += 1;
        }
        // Only the recent mix matters: half of the past is forgotten now and then.
        if self.submits + self.reads > 200 {
            self.submits /= 2;
            self.reads /= 2;
        }
    }
}

/// Where a request on the wire holds its places.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    group: String,
    slot: Slot,
    sent_at: Timestamp,
    quota: Option<(String, Slot)>,
}

/// The work of one key, owned by this process.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: LaneKey,
    pub(crate) epoch: Epoch,
    /// Names of the accounts, in the order of the config.
    pub(crate) accounts: Vec<String>,
    groups: BTreeMap<String, Group>,
    quota_window: Option<Window>,
    quotas: BTreeMap<String, Budget>,
    pauses: BTreeMap<(String, String), Pause>,
    /// How the last reads went.
    pub(crate) breakers: Breakers,
    /// Accounts that a person has paused: none of their jobs is submitted.
    pub(crate) paused: BTreeMap<String, AccountPause>,
    /// Trust is earned: at the start, and after an unknown answer, one item goes at a time and waits
    /// for its answer, until one succeeds (DESIGN.md, Never twice).
    pub(crate) careful: bool,
    /// An answer to a batch did not tell its items apart: batches of one from here on.
    pub(crate) answers_are_ambiguous: bool,
    /// Parts of batches that were refused as a whole, to be sent apart until the guilty one stands
    /// alone.
    pub(crate) parts: VecDeque<Vec<JobId>>,
    /// Turns that each batch has had, for fairness between batches.
    turns: HashMap<String, u64>,
    last_turn: u64,
    /// Client references that the provider may still echo.
    pub(crate) live_refs: BTreeSet<String>,
    /// How long submits take to be answered, smoothed; the slower, the more are on the wire.
    latency: Duration,
    /// Submissions of an earlier owner that may still be answered, each until its time-out.
    pub(crate) orphans: BTreeMap<SubmissionId, Timestamp>,
    /// When answers that an earlier owner brought are looked for.
    pub(crate) answers_at: Timestamp,
    /// More is pending than there was room for at the last look.
    pub(crate) backlog: bool,
    /// It is to change hands: nothing new is sent.
    pub(crate) leaving: bool,
    /// The provider's own count of credits.
    pub(crate) balance: Balance,
    /// Nothing pending was found; look again at this moment or when the database changes.
    pub(crate) idle_until: Option<Timestamp>,
}

impl Lane {
    pub(crate) fn new(
        key: LaneKey,
        epoch: Epoch,
        groups: &[(String, Vec<Window>)],
        quota_window: Option<Window>,
        now: Timestamp,
    ) -> Self {
        let groups = groups
            .iter()
            .map(|(name, windows)| (name.clone(), Group::new(windows, now)))
            .collect();
        Self {
            key,
            epoch,
            accounts: Vec::new(),
            groups,
            quota_window,
            quotas: BTreeMap::new(),
            pauses: BTreeMap::new(),
            breakers: Breakers::default(),
            paused: BTreeMap::new(),
            careful: true,
            answers_are_ambiguous: false,
            parts: VecDeque::new(),
            turns: HashMap::new(),
            last_turn: 0,
            live_refs: BTreeSet::new(),
            latency: FIRST_LATENCY,
            orphans: BTreeMap::new(),
            answers_at: Timestamp::default(),
            backlog: false,
            leaving: false,
            balance: Balance::default(),
            idle_until: None,
        }
    }

    /// The clock jumped: windows count as just used, and what is waited for is waited for as long as before.
    pub(crate) fn clock_jumped(&mut self, jump: Jump) {
        for group in self.groups.values_mut() {
            group.budget.clock_jumped(jump.at);
            if let Some(pace) = &mut group.pace {
                pace.moved(|at| jump.moved(at));
            }
            if let Some(smoother) = &mut group.smoother {
                smoother.told = jump.at;
            }
        }
        let untils = self
            .pauses
            .values_mut()
            .filter_map(|pause| pause.until.as_mut());
        for until in untils.chain(self.orphans.values_mut()) {
            *until = jump.moved(*until);
        }
    }

    /// How far back the ledger must be read to count right.
    pub(crate) fn memory(&self) -> std::time::Duration {
        let groups = self.groups.values().map(|group| group.budget.memory());
        let quota = self.quota_window.map(|window| window.length);
        groups.chain(quota).max().unwrap_or_default()
    }

    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.groups.get(name)
    }

    /// When a request of this group may leave, pauses and smoothing included. `Room::Now` takes the
    /// smoother's place, so ask only for a request that is there.
    pub(crate) fn room(&mut self, group: &str, is_submit: bool, now: Timestamp) -> Room {
        match self.peek(group, is_submit, now) {
            Room::Now => {
                let smoother = self.groups.get_mut(group).and_then(|g| g.smoother.as_mut());
                match smoother.map(|smoother| smoother.take(now)) {
                    Some(Err(later)) => Room::At(later),
                    Some(Ok(())) | None => Room::Now,
                }
            }
            later => later,
        }
    }

    /// As [`Lane::room`], but takes nothing.
    pub(crate) fn peek(&mut self, group: &str, is_submit: bool, now: Timestamp) -> Room {
        if let Some(until) = self.rests(group, is_submit, now) {
            return until.map_or(Room::Never, Room::At);
        }
        match self.groups.get_mut(group) {
            Some(group) => {
                group.keep_pace(now);
                group.budget.room(now)
            }
            None => Room::Never,
        }
    }

    /// Whether a pause holds this group back: until when, or until further notice.
    fn rests(&self, group: &str, is_submit: bool, now: Timestamp) -> Option<Option<Timestamp>> {
        self.pauses
            .values()
            .filter(|pause| pause.endpoints == group || (is_submit && pause.endpoints == "submits"))
            .filter(|pause| pause.until.is_none_or(|until| until > now))
            .map(|pause| pause.until)
            .reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b)))
    }

    /// When this further counter has room.
    pub(crate) fn quota_room(&mut self, quota: &str, now: Timestamp) -> Room {
        let paused = self
            .pauses
            .values()
            .find(|pause| pause.endpoints == quota && pause.until.is_none_or(|at| at > now));
        if let Some(pause) = paused {
            return pause.until.map_or(Room::Never, Room::At);
        }
        match self.quota_budget(quota) {
            Some(budget) => budget.room(now),
            None => Room::Now,
        }
    }

    fn quota_budget(&mut self, quota: &str) -> Option<&mut Budget> {
        let window = self.quota_window?;
        let fresh = || Budget::new(&[window]);
        Some(self.quotas.entry(quota.to_owned()).or_insert_with(fresh))
    }

    /// Takes the places of a request that leaves at `at`.
    pub(crate) fn take(
        &mut self,
        group: &str,
        quota: Option<&str>,
        is_submit: bool,
        at: Timestamp,
    ) -> Option<Places> {
        let quota = quota.and_then(|name| {
            let slot = self.quota_budget(name)?.take(at);
            Some((name.to_owned(), slot))
        });
        let budget = self.groups.get_mut(group)?;
        budget.count(is_submit, at);
        Some(Places {
            group: group.to_owned(),
            slot: budget.budget.take(at),
            sent_at: at,
            quota,
        })
    }

    /// How many requests this group is wanted for; none if it has no rolling window. `shared`: its submits
    /// take from the same budget.
    pub(crate) fn demand(
        &self,
        group: &str,
        running: usize,
        shared: bool,
        now: Timestamp,
    ) -> Option<Demand> {
        let group = self.groups.get(group)?;
        let window = group.window?;
        let since = now.before(window.length);
        let submitted = group.submitted.iter().filter(|at| **at > since).count();
        Some(Demand {
            running,
            submitted,
            backlog: shared && self.backlog,
            limit: window.limit,
            window: window.length,
        })
    }

    /// The provider surely did not count this towards the further counter (a production that was
    /// refused is none).
    pub(crate) fn give_quota_back(&mut self, places: &Places) {
        if let Some((name, slot)) = &places.quota
            && let Some(budget) = self.quotas.get_mut(name)
        {
            budget.give_back(*slot);
        }
    }

    /// The request that holds these places was answered 429.
    pub(crate) fn too_many(&mut self, places: &Places, at: Timestamp) {
        self.was_too_many(&places.group, places.sent_at, at);
    }

    /// A request of this group, sent and answered then, was answered 429.
    pub(crate) fn was_too_many(&mut self, group: &str, sent: Timestamp, answered: Timestamp) {
        let group = self.groups.get_mut(group);
        if let Some(pace) = group.and_then(|group| group.pace.as_mut()) {
            pace.too_many(sent, answered);
        }
    }

    /// How far back answers 429 must be known for the pace of all groups.
    pub(crate) fn pace_memory(&self) -> Duration {
        let paces = self.groups.values().filter_map(|group| group.pace);
        paces.map(|pace| pace.memory()).max().unwrap_or_default()
    }

    /// The request that holds these places was answered, or timed out.
    pub(crate) fn settle(&mut self, places: &Places, at: Timestamp) {
        if let Some(group) = self.groups.get_mut(&places.group) {
            group.budget.settle(places.slot, at);
        }
        if let Some((name, slot)) = &places.quota
            && let Some(budget) = self.quotas.get_mut(name)
        {
            budget.settle(*slot, at);
        }
    }

    /// How many submits may be on the wire at once: one while trust is not earned, then as many as the
    /// budget's pace and the provider's answers need. What is on the wire at a crash is in doubt after
    /// it, so it is no more than that.
    pub(crate) fn most_submits(&self, group: &str, now: Timestamp) -> usize {
        if self.careful || self.is_half_open(now) {
            return 1;
        }
        let Some(spacing) = self.groups.get(group).and_then(|group| group.spacing) else {
            return MOST_SUBMITS;
        };
        let needed = 1.5 * self.latency.as_secs_f64() / spacing.as_secs_f64().max(0.001);
        let needed = (1..MOST_SUBMITS).find(|n| *n as f64 >= needed);
        needed.unwrap_or(MOST_SUBMITS).max(2)
    }

    /// Whether submits rested for what we guess from failures, and nobody knows yet whether that is over.
    fn is_half_open(&self, now: Timestamp) -> bool {
        let guesses = [UNAVAILABLE, "outcome_unknown", "misdirected"];
        self.pauses.values().any(|pause| {
            pause.endpoints == "submits"
                && guesses.contains(&pause.code.as_str())
                && pause.until.is_some_and(|until| until <= now)
        })
    }

    /// A submit was answered after this time.
    pub(crate) fn note_latency(&mut self, took: Duration) {
        self.latency = (self.latency * 3 + took) / 4;
    }

    pub(crate) fn set_pause(&mut self, pause: Pause) {
        let key = (pause.endpoints.clone(), pause.code.clone());
        self.pauses.insert(key, pause);
    }

    /// Submits rest for want of credits: the next one goes alone, after a look at the balance.
    pub(crate) fn rests_for_credits(&mut self) {
        self.careful = true;
        self.balance.begin();
    }

    pub(crate) fn lift_pause(&mut self, endpoints: &str, code: &str) -> Option<Pause> {
        self.pauses.remove(&(endpoints.to_owned(), code.to_owned()))
    }

    pub(crate) fn pause(&self, endpoints: &str, code: &str) -> Option<&Pause> {
        self.pauses.get(&(endpoints.to_owned(), code.to_owned()))
    }

    pub(crate) fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.pauses.values()
    }

    /// How many turns this batch has had. One that is new, or comes back, starts where the batch that
    /// had the last turn stands: it neither waits for the old ones nor makes them wait.
    pub(crate) fn turns_of(&self, batch: Option<&str>) -> u64 {
        let had = self.turns.get(batch.unwrap_or_default()).copied();
        had.unwrap_or(self.last_turn)
    }

    pub(crate) fn had_a_turn(&mut self, batch: Option<&str>) {
        /// Batches come and go for months; those that nobody uses any more are forgotten.
        const MOST_BATCHES: usize = 10_000;
        let turns = self.turns_of(batch) + 1;
        self.last_turn = turns - 1;
        if self.turns.len() >= MOST_BATCHES {
            self.turns.clear();
        }
        self.turns
            .insert(batch.unwrap_or_default().to_owned(), turns);
    }
}
