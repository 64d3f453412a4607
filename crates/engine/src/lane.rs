//! A lane: the accounts that share one key, and how much of its budget is left.
//!
//! Two layers keep the limits. [`Budget`] is the guarantee: it is the sum of the durable ledger, and
//! no request leaves without room in it. `governor` in front only smooths how fast requests leave
//! within a window.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::Duration;

use domain::{
    Budget, Demand, JobId, Left, Pace, Room, Shape, Slot, SubmissionId, Timestamp, Window,
};
use store::{AccountPause, Epoch, LaneKey, Pause};

use crate::breaker::Breakers;
use crate::jump::Jump;
use crate::money::Balance;
use crate::refusals::Refusals;
use crate::smoother::Smoother;

mod standing;
mod turns;

use turns::Turns;

/// Of the slots that reads and submits compete for, so many percent are the submits' under a backlog, so that
/// polls never starve them (RELIABILITY.md section 6).
pub(crate) const SUBMIT_SHARE_PERCENT: u64 = 45;

/// So many of the submits' places are lent to polls before the guarantee holds: it is about minutes. Where it held at
/// every place, and polls take about the half that is theirs, each second poll that is due would wait for a place.
const SUBMITS_LENT: u64 = 4;

/// Where a webhook calls for one read of each job, and at once: what a submit of a backlog, and what each read, puts
/// the next submit off, in places at the limit. Together they leave 4 % of the places free, so that a read nearly
/// always finds one. Where only submits counted, the reads that come in a bunch would meet submits that do
/// not give way; where both counted alike, the submits held back by one bunch would be the next.
const CALLING: f64 = 1.4;
const CALLED: f64 = 0.7;

/// So many places that were not used may be made up for: else each wait for room would be lost for good.
const SAVED: f64 = 2.0;

/// What a submit is thought to take before one was answered.
const FIRST_LATENCY: Duration = Duration::from_secs(1);

pub(crate) fn shortest(windows: &[Window]) -> Option<Window> {
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
    submits: u64,
    reads: u64,
    /// So many percent are guaranteed to the submits; none where no reads take from this budget.
    share: u64,
    /// From when on the next submit of a backlog may leave, where webhooks call for the reads.
    called: Option<Timestamp>,
    /// When the last request left.
    taken: Option<Timestamp>,
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
            submits: 0,
            reads: 0,
            share: 0,
            called: None,
            taken: None,
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
        (self.submits + SUBMITS_LENT) * 100 < self.share * (self.submits + self.reads + 1)
    }

    /// When the next submit of a backlog may leave: the places that are left are spread, so that polls which
    /// fall due find one.
    fn next_of_a_backlog(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.called.is_some() {
            return self.called;
        }
        let spacing = self.budget.even_spacing(now).filter(|_| self.share > 0)?;
        self.taken.map(|taken| taken + spacing)
    }

    fn count(&mut self, is_submit: bool, at: Timestamp) {
        self.taken = Some(at);
        if let (Some(called), Some(spacing)) = (&mut self.called, self.spacing) {
            let cost = if is_submit { CALLING } else { CALLED };
            *called = (*called).max(at.before(spacing.mul_f64(SAVED))) + spacing.mul_f64(cost);
        }
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
    /// Batches whose jobs are refused, and which of them are paused for it.
    pub(crate) refusals: Refusals,
    /// Trust is earned: at the start, and after an unknown answer, one item goes at a time and waits
    /// for its answer, until one succeeds (DESIGN.md, Never twice).
    pub(crate) careful: bool,
    /// An answer to a batch did not tell its items apart: batches of one from here on.
    pub(crate) answers_are_ambiguous: bool,
    /// Parts of batches that were refused as a whole, to be sent apart until the guilty one stands
    /// alone.
    pub(crate) parts: VecDeque<Vec<JobId>>,
    /// Whose turn it is among the batches.
    pub(crate) turns: Turns,
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
    /// Somebody wrote since the last look.
    pub(crate) has_news: bool,
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
            refusals: Refusals::default(),
            careful: true,
            answers_are_ambiguous: false,
            parts: VecDeque::new(),
            turns: Turns::default(),
            live_refs: BTreeSet::new(),
            latency: FIRST_LATENCY,
            orphans: BTreeMap::new(),
            answers_at: Timestamp::default(),
            backlog: false,
            leaving: false,
            balance: Balance::default(),
            idle_until: None,
            has_news: false,
        }
    }

    /// The clock jumped: windows count as just used, and what is waited for is waited for as long as before.
    pub(crate) fn clock_jumped(&mut self, jump: Jump) {
        for group in self.groups.values_mut() {
            group.budget.clock_jumped(jump.at);
            group.taken = None;
            group.called = None;
            if let Some(pace) = &mut group.pace {
                pace.moved(|at| jump.moved(at));
            }
            if let Some(smoother) = &mut group.smoother {
                smoother.clock_jumped(jump.at);
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

    /// Whether webhooks call for a read of each job of this group, at moments of its own.
    pub(crate) fn is_called(&mut self, group: &str, called: bool, now: Timestamp) {
        if let Some(group) = self.groups.get_mut(group) {
            group.called = called.then(|| group.called.unwrap_or(now));
        }
    }

    /// From here on so many percent of this group's requests are guaranteed to its submits.
    pub(crate) fn guarantee(&mut self, group: &str, percent: u64) {
        if let Some(group) = self.groups.get_mut(group) {
            group.share = percent;
        }
    }

    /// When a request of this group may leave, pauses and smoothing included. `Room::Now` takes the
    /// smoother's place, so ask only for a request that is there.
    pub(crate) fn room(&mut self, group: &str, is_submit: bool, now: Timestamp) -> Room {
        let backlog = self.backlog && is_submit;
        match self.peek(group, is_submit, now) {
            Room::Now => {
                let group_of = self.groups.get_mut(group).filter(|_| backlog);
                let next = group_of.and_then(|group| group.next_of_a_backlog(now));
                if let Some(next) = next.filter(|next| *next > now) {
                    return Room::At(next);
                }
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
                let room = group.budget.room(now);
                if let (Room::At(later), Some(smoother)) = (room, &mut group.smoother) {
                    smoother.evenly_from(later);
                }
                room
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

    /// What is left of this group's scarcest day.
    pub(crate) fn left(&self, group: &str, now: Timestamp) -> Option<Left> {
        self.groups.get(group)?.budget.left(now)
    }

    /// How many productions the further counter still allows in its window, over all that were used in it.
    pub(crate) fn quota_left(&self, now: Timestamp) -> u32 {
        let whole = self.quota_window.map_or(0, |window| window.limit);
        let left = |quota: &Budget| quota.left(now).map(|left| left.requests);
        let left: Vec<u32> = self.quotas.values().filter_map(left).collect();
        if left.is_empty() {
            whole
        } else {
            left.iter().sum()
        }
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
}
