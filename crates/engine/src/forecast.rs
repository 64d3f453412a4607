//! How long the open work of a key takes, by what its accounts allow, what was learned of their jobs, and
//! what the ledger says was sent lately. The arithmetic is [`domain::forecast`]; here is what it is fed
//! with. Nothing here is part of a step: it reads nothing, writes nothing, and can be asked at any time.

mod running;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::forecast::{Load, Luck, Narrows, Used, finishes_after};
use domain::{Curve, Demand, Pace, Plan, Provider, Shape, Timestamp, Window};
use providers::Phase;
use store::{Accepted, LearnedLengths, RequestsSent, Running};

use crate::account::Account;
use crate::read::worth;
use running::Alive;
pub use running::counted_beside;

/// From so many jobs on that are over, what they were asked about says more than a plan.
const TELLING: f64 = 20.0;

/// Until an answer was heard it is thought to take this part of the shortest window: 0.4 s of a minute.
const ANSWER_OF_WINDOW: u32 = 150;

/// A job that nobody of its kind has ended yet is thought to take between a half and twice what the
/// documents suggest.
const UNSURE: u32 = 2;

/// Jobs that ask for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `description`, `generate`, `upscale` or `production`.
    pub operation: String,
    /// Of images, as the rows have it.
    pub model: Option<String>,
    /// Of productions: the JARAI account that the rows name.
    pub place: Option<String>,
    /// How many.
    pub jobs: u64,
}

/// The work of an account that can end.
#[derive(Debug, Clone)]
pub struct Prospect<'a> {
    /// Whose.
    pub account: &'a Account,
    /// What waits to be submitted.
    pub pending: Vec<Asked>,
    /// Jobs that the provider has, or whose files come home.
    pub running: u64,
    /// Nothing is submitted for so long.
    pub rests: Duration,
    /// The last job may not be submitted sooner than this after now.
    pub last_after: Duration,
}

/// Of the further questions about a job that a plan by the documents has, so many are asked: what is
/// guessed is spread wider than what is learned soon after.
const GUESSED_AGAIN: f64 = 0.6;

/// What is known of a key and its accounts.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// How long their jobs took.
    pub lengths: Vec<LearnedLengths>,
    /// What was sent since [`counted_since`].
    pub sent: Vec<RequestsSent>,
    /// What was accepted since then.
    pub accepted: Vec<Accepted>,
    /// Jobs that are being made.
    pub running: Vec<Running>,
    /// What was accepted since [`counted_beside`].
    pub accepted_beside: Vec<Accepted>,
    /// Thousandths of the rolling windows that are used, by group; a group that is not named: all.
    pub paces: BTreeMap<String, u32>,
}

/// How long it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// As is likely.
    pub finishes_after: Duration,
    /// If the last jobs are short ones; where nothing was learned yet, if all are.
    pub soonest: Duration,
    /// If they are long ones.
    pub latest: Duration,
    /// Requests that it takes.
    pub requests: u64,
    /// Whether jobs of each kind have ended before; else the documents are all that is known.
    pub learned: bool,
}

/// From when on requests have to be counted for a forecast: since the longest calendar window began, else
/// for the last day.
#[must_use]
pub fn counted_since(account: &Account, now: Timestamp) -> Timestamp {
    let groups = account
        .limits
        .groups
        .iter()
        .flat_map(|(_, windows)| windows);
    let quota = account.limits.productions.iter();
    let days = groups.chain(quota);
    let days = days.filter(|window| window.shape == Shape::Calendar);
    match days.map(|window| window.length).max() {
        Some(length) => period_start(length, now),
        None => now.before(Duration::from_secs(86_400)),
    }
}

fn period_start(length: Duration, now: Timestamp) -> Timestamp {
    let millis = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    Timestamp::from_millis(now.as_millis() - now.as_millis().rem_euclid(millis))
}

/// The forecast of each account of a key, in their order; `None`: no end can be said.
#[must_use]
pub fn forecast(
    prospects: &[Prospect<'_>],
    known: &Known,
    now: Timestamp,
) -> Vec<Option<Forecast>> {
    let of = |nth: usize| {
        let one = prospects.get(nth)?;
        let end = |case: Case| {
            let shares: Vec<Share<'_>> = prospects
                .iter()
                .map(|other| Share::of(other, one, known, case))
                .collect();
            let own = shares.get(nth)?;
            let whole = Load {
                lasted: Alive::of(one.account, known).lasted(now),
                ..together(own, &shares)?
            };
            let narrows = narrows(one.account, known);
            let luck = case.luck();
            let all = finishes_after(&whole, &narrows, luck, now)?;
            let quotas = quotas(one, known);
            let ends = quotas.into_iter().map(|(jobs, quota)| {
                let narrows = Narrows {
                    quota: Some(quota),
                    ..narrows.clone()
                };
                let load = Load {
                    pending: jobs,
                    ..whole.clone()
                };
                finishes_after(&load, &narrows, luck, now)
            });
            ends.chain([Some(all)])
                .collect::<Option<Vec<Duration>>>()?
                .into_iter()
                .max()
        };
        let own = Share::of(one, one, known, Case::Usual);
        let likely = end(Case::Usual)?;
        Some(Forecast {
            finishes_after: likely,
            soonest: end(Case::Good)?.min(likely),
            latest: end(Case::Bad)?.max(likely),
            requests: own.requests(),
            learned: own.learned,
        })
    };
    (0..prospects.len()).map(of).collect()
}

/// Which of the possible ends is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Good,
    Usual,
    Bad,
}

impl Case {
    fn luck(self) -> Luck {
        match self {
            Self::Good => Luck::Good,
            Self::Usual => Luck::Usual,
            Self::Bad => Luck::Bad,
        }
    }

    /// What is thought of a kind of which nobody has seen an end.
    fn unlearned(self, expected: Duration) -> Duration {
        match self {
            Self::Good => expected / UNSURE,
            Self::Usual => expected,
            Self::Bad => expected * UNSURE,
        }
    }
}

/// What an account takes of the key until the work of one of them is over: accounts take turns, so of a
/// longer queue only as much as the other has.
struct Share<'a> {
    account: &'a Account,
    pending: f64,
    running: f64,
    reads_each: f64,
    submits_each: f64,
    curve: Curve,
    rests: Duration,
    last_after: Duration,
    learned: bool,
}

impl<'a> Share<'a> {
    fn of(other: &Prospect<'a>, one: &Prospect<'_>, known: &Known, case: Case) -> Self {
        let account = other.account;
        let alive = Alive::of(account, known);
        let (curve, learned) = lengths(other, &alive, case);
        let pending = jobs_of(other).min(jobs_of(one)) as f64;
        let running = other.running.min(one.running.max(jobs_of(one))) as f64;
        let batch = account.policy.batch_size.max(1) as f64;
        let batch = match account.provider {
            Provider::Jakov => batch.min(pending.max(1.0)),
            Provider::Productai | Provider::Jarai => 1.0,
        };
        Self {
            account,
            pending,
            running,
            reads_each: reads_each(account, &curve, learned, (pending, running), known),
            submits_each: 1.0 / batch,
            curve,
            rests: other.rests,
            last_after: other.last_after,
            learned,
        }
    }

    fn requests(&self) -> u64 {
        let submits = (self.pending * self.submits_each).ceil();
        let reads = (self.pending + self.running / 2.0) * self.reads_each;
        // As many as fit into any table.
        (submits + reads.ceil()) as u64
    }
}

fn jobs_of(prospect: &Prospect<'_>) -> u64 {
    prospect.pending.iter().map(|asked| asked.jobs).sum()
}

/// The load of the key until the work of `own` is over.
fn together(own: &Share<'_>, shares: &[Share<'_>]) -> Option<Load> {
    let floor = own.account.interval(Phase::Working);
    let pending: f64 = shares.iter().map(|share| share.pending).sum();
    let running: f64 = shares.iter().map(|share| share.running).sum();
    let mean = |each: fn(&Share<'_>) -> f64| {
        let jobs = |share: &Share<'_>| share.pending + share.running;
        let all: f64 = shares.iter().map(jobs).sum();
        let sum: f64 = shares.iter().map(|share| jobs(share) * each(share)).sum();
        if all > 0.0 { sum / all } else { each(own) }
    };
    let parts: Vec<(f64, Curve)> = shares
        .iter()
        .map(|share| (share.pending + share.running, share.curve.clone()))
        .collect();
    let lengths = Curve::mixed(&parts)?;
    let shared = own.account.submit_group() == own.account.read_group();
    Some(Load {
        pending: pending as u64,
        running: running as u64,
        rests: own.rests,
        last_after: own.last_after,
        submits_each: mean(|share| share.submits_each),
        reads_each: mean(|share| share.reads_each),
        // Half a length late under a backlog, by the price of a question.
        late: if shared { lengths.mean() / 2 } else { floor },
        lengths,
        lasted: Vec::new(),
        last_late: floor,
        most_running: shares
            .iter()
            .map(|share| share.account.policy.max_running as u64)
            .sum(),
    })
}

/// How long the jobs of a prospect take, and whether that was learned for all of them.
fn lengths(prospect: &Prospect<'_>, alive: &Alive<'_>, case: Case) -> (Curve, bool) {
    let kinds = alive.kinds();
    let asked = if prospect.pending.is_empty() {
        &kinds
    } else {
        &prospect.pending
    };
    let mut learned = !asked.is_empty();
    let mut parts = Vec::new();
    for asked in asked {
        let model = asked.model.as_deref().unwrap_or_default();
        let (curve, known) = alive.curve(&asked.operation, model, case);
        learned &= known;
        parts.push((asked.jobs as f64, curve));
    }
    let guess = || alive.curve("", "", case).0;
    (Curve::mixed(&parts).unwrap_or_else(guess), learned)
}

/// How many requests beside its submit a job takes: as planned, or fewer where the ledger shows that the
/// ends are told in another way.
fn reads_each(
    account: &Account,
    curve: &Curve,
    learned: bool,
    (pending, running): (f64, f64),
    known: &Known,
) -> f64 {
    let floor = account.interval(Phase::Working);
    let planned = match planned(account, curve, pending, running) {
        Some(questions) if learned => questions,
        Some(questions) => 1.0 + (questions - 1.0) * GUESSED_AGAIN,
        None => curve.mean().as_secs_f64() / floor.as_secs_f64().max(1e-3) + 0.5,
    };
    let planned = planned.min(queued(account, curve, pending + running)) + always(account);
    let of_account = known
        .sent
        .iter()
        .filter(|sent| sent.account == account.name);
    let reads: i64 = of_account.map(|sent| sent.requests - sent.submits).sum();
    let accepted = known.accepted.iter();
    let accepted = accepted.filter(|row| row.account == account.name);
    let accepted: i64 = accepted.map(|row| row.jobs).sum();
    // Those that run have not been asked about to the end.
    let asked_about = accepted as f64 - running;
    if asked_about < TELLING {
        return planned;
    }
    planned.min(reads as f64 / asked_about)
}

/// The questions of a plan; none where there is room for one at each interval.
fn planned(account: &Account, curve: &Curve, pending: f64, running: f64) -> Option<f64> {
    let window = shortest(account, account.read_group())?;
    let shared = account.submit_group() == account.read_group();
    let floor = account.interval(Phase::Working);
    let most = account.policy.max_running as f64;
    let submitted = if shared {
        pending.min(f64::from(window.limit))
    } else {
        0.0
    };
    let demand = Demand {
        running: (pending + running).min(most) as usize,
        submitted: submitted as usize,
        backlog: shared && pending > f64::from(window.limit),
        limit: window.limit,
        window: window.length,
    };
    let price = demand.price(curve.mean(), floor, worth(account, floor));
    Plan::new(curve, price, floor).questions()
}

/// The questions of a job that waits for its turn to be asked about, where submits take nothing from the
/// budget of reads: the longer the queue, the surer it is done by then.
fn queued(account: &Account, curve: &Curve, jobs: f64) -> f64 {
    let Some(window) = shortest(account, account.read_group()) else {
        return f64::INFINITY;
    };
    if account.submit_group() == account.read_group() {
        return f64::INFINITY;
    }
    let together = jobs.min(account.policy.max_running as f64);
    // Half of those that are there are asked about before it.
    let turn = window.length.as_secs_f64() * together / 2.0 / f64::from(window.limit.max(1));
    let alone = 2.0 - curve.done_by(Duration::from_secs_f64(turn));
    if account.provider != Provider::Jakov {
        return alone;
    }
    // One export tells of all that are ready, and one job is asked alone beside it.
    let submits = shortest(account, account.submit_group());
    let a_second = submits.map_or(f64::INFINITY, |window| {
        let posts = f64::from(window.limit) / window.length.as_secs_f64().max(1e-3);
        posts * account.policy.batch_size as f64
    });
    (2.0 / account.polling.min_interval.as_secs_f64().max(1e-3) / a_second).min(alone)
}

/// The shortest rolling window of a group.
fn shortest<'a>(account: &'a Account, group: &str) -> Option<&'a Window> {
    let groups = account.limits.groups.iter();
    let windows = groups.filter(|(name, _)| name == group);
    let windows = windows.flat_map(|(_, windows)| windows);
    let rolling = windows.filter(|window| window.shape == Shape::Rolling);
    rolling.min_by_key(|window| window.length)
}

/// Requests of each job that are no polls of a job that is being made.
fn always(account: &Account) -> f64 {
    match account.provider {
        Provider::Jakov | Provider::Productai => 0.0,
        // Its deliverables, and a look or two until every platform has it.
        Provider::Jarai => 3.0,
    }
}

/// What holds the key of this account back, without the quotas of its places.
fn narrows(account: &Account, known: &Known) -> Narrows {
    let group = |name: &str| -> Vec<Used> {
        let pace = known.paces.get(name).copied().unwrap_or(1_000);
        let sent = known.sent.iter();
        let sent = sent.filter(|sent| sent.lane == account.lane && sent.endpoints == name);
        let used: i64 = sent.map(|sent| sent.requests).sum();
        let groups = account.limits.groups.iter();
        let windows = groups.filter(|(group, _)| group == name);
        windows
            .flat_map(|(_, windows)| windows)
            .map(|window| followed(*window, pace, used))
            .collect()
    };
    let (submit, read) = (account.submit_group(), account.read_group());
    let submits = group(submit);
    Narrows {
        reads: (submit != read).then(|| group(read)),
        quota: None,
        answer: answer(account, &submits, known),
        submits,
    }
}

fn followed(window: Window, pace: u32, used: i64) -> Used {
    let limit = match window.shape {
        Shape::Rolling => Pace::of(pace, window.limit),
        Shape::Calendar => window.limit,
    };
    Used {
        window: Window { limit, ..window },
        used: u32::try_from(used).unwrap_or(u32::MAX),
    }
}

/// How long an answer takes: as it was lately, else a little.
fn answer(account: &Account, submits: &[Used], known: &Known) -> Duration {
    let sent = known.sent.iter().filter(|sent| sent.lane == account.lane);
    let (requests, millis) = sent.fold((0, 0), |(requests, millis), sent| {
        let of_it = sent.answer_ms.max(0).saturating_mul(sent.requests);
        (requests + sent.requests, millis + of_it)
    });
    if requests > 0 {
        return Duration::from_millis(u64::try_from(millis / requests).unwrap_or_default());
    }
    let windows = submits.iter().map(|used| used.window);
    let rolling = windows.filter(|window| window.shape == Shape::Rolling);
    let shortest = rolling.map(|window| window.length).min();
    shortest.unwrap_or_default() / ANSWER_OF_WINDOW
}

/// The jobs of each place that has a quota of its own, and what is left of that.
fn quotas(prospect: &Prospect<'_>, known: &Known) -> Vec<(u64, Used)> {
    let account = prospect.account;
    let Some(window) = account.limits.productions else {
        return Vec::new();
    };
    let default = account.defaults.jarai_account_id.as_deref();
    let place = |asked: &Asked| -> String {
        let named = asked.place.as_deref().or(default);
        named.unwrap_or_default().to_owned()
    };
    let places: BTreeSet<String> = prospect.pending.iter().map(place).collect();
    let of = |name: String| {
        let here = prospect.pending.iter().filter(|asked| place(asked) == name);
        let jobs = here.map(|asked| asked.jobs).sum();
        let quota = format!("productions:{name}");
        let sent = known.sent.iter();
        let sent = sent.filter(|sent| sent.quota.as_deref() == Some(&quota));
        let used: i64 = sent.map(|sent| sent.requests).sum();
        (jobs, followed(window, 1_000, used))
    };
    places.into_iter().map(of).collect()
}
