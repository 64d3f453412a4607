//! How long the jobs of our accounts take, by operation and model, and the questions planned by it. What
//! is decided here is when a running job is asked about, beyond the interval that its provider asks
//! for; that interval stands in [`OpenJob::next_read`] and always holds.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{Curve, Demand, Input, Lengths, Plan, Provider, Timestamp, trial};
use providers::{Phase, RemoteJob};
use store::{LaneKey, LearnedLengths};

use crate::account::Account;
use crate::draft::Draft;
use crate::lane::SUBMIT_SHARE_PERCENT;
use crate::open::OpenJob;
use crate::read::day::Day;

/// What is learned is written down this often at the most.
const WRITTEN_EVERY: Duration = Duration::from_secs(5);

/// Ends until the plans are made anew.
const LEARNED_BETWEEN_PLANS: u32 = 5;

/// Prices are told apart by a quarter, so that plans last.
const PRICE_STEP: f64 = 1.25;

/// Where no price is set, a question is worth so many intervals of delay under a backlog (35 s at ProductAI):
/// a tenth under the ceiling of jobs a minute, and about half a length late.
const PRICE: f64 = 7.0;

/// Of the submits' share in what is planned so many percent are guaranteed. The rest is chance: a minute with more polls
/// than the mean has them when they are due, and not later.
const PLANNED_PERCENT: f64 = 90.0;

/// Whatever a poll is worth, so many percent are the submits'.
const LEAST_SHARE: f64 = 20.0;

/// Account, operation and model, as the durable row names them.
pub(crate) type Kind = (String, String, String);

/// What is known of one kind of job.
#[derive(Debug)]
struct Known {
    lengths: Lengths,
    curve: Curve,
    /// Plans by price and interval, both in milliseconds.
    plans: BTreeMap<(u128, u128), Plan>,
    ends_since: u32,
    /// The provider timestamps ends: trials teach nothing.
    told: bool,
    unwritten: bool,
    written_at: Timestamp,
}

impl Known {
    fn new(lengths: Lengths) -> Self {
        Self {
            curve: lengths.curve(),
            lengths,
            plans: BTreeMap::new(),
            ends_since: 0,
            told: false,
            unwritten: false,
            written_at: Timestamp::default(),
        }
    }

    fn learned(&mut self) {
        self.unwritten = true;
        self.ends_since += 1;
        if self.ends_since >= LEARNED_BETWEEN_PLANS || self.lengths.seen() <= 10 {
            self.ends_since = 0;
            self.curve = self.lengths.curve();
            self.plans.clear();
        }
    }

    fn plan(&mut self, price: Duration, floor: Duration) -> &Plan {
        let key = (price.as_millis(), floor.as_millis());
        let curve = &self.curve;
        self.plans
            .entry(key)
            .or_insert_with(|| Plan::new(curve, price, floor))
    }
}

/// What is known of all kinds.
#[derive(Debug, Default)]
pub(crate) struct Learned(BTreeMap<Kind, Known>);

impl Learned {
    /// What an earlier life of the lane learned.
    pub(crate) fn load(&mut self, rows: Vec<LearnedLengths>) {
        for row in rows {
            let kind = (row.account, row.operation, row.model);
            self.0.insert(kind, Known::new(row.lengths));
        }
    }

    /// These accounts are another process's from now on.
    pub(crate) fn forget(&mut self, accounts: &[String]) {
        self.0
            .retain(|(account, ..), _| !accounts.contains(account));
    }

    fn of(&mut self, open: &OpenJob, account: &Account) -> &mut Known {
        self.0
            .entry(kind_of(open))
            .or_insert_with(|| Known::new(Lengths::expecting(expected(account))))
    }

    /// The provider says that this job is made: how long it took, or between which two moments it ended.
    pub(crate) fn made(
        &mut self,
        open: &OpenJob,
        account: &Account,
        remote: &RemoteJob,
        at: Timestamp,
    ) {
        let by = at.since(open.taken_at);
        let said = remote.created_at.zip(remote.completed_at);
        let said = said.filter(|(created, completed)| created <= completed);
        // What took longer than we know of it is said about something else.
        let said = said.map(|(created, completed)| completed.since(created));
        let said = said.filter(|said| *said <= by + account.timing.read_timeout);
        let known = self.of(open, account);
        match said {
            Some(length) => {
                known.told = true;
                known.lengths.took(length);
            }
            // A webhook came right after the end, and it is the webhook that is waited for.
            None if open.told.rung_at.is_some() => {
                let rung = open.told.rung_at.unwrap_or(at);
                known.lengths.took(rung.since(open.taken_at));
            }
            None => {
                let after = open.unfinished_at.map(|at| at.since(open.taken_at));
                known.lengths.ended_between(after.unwrap_or_default(), by);
            }
        }
        known.learned();
    }

    /// This job was given up at its deadline.
    pub(crate) fn outlasted(&mut self, open: &OpenJob, account: &Account, at: Timestamp) {
        let known = self.of(open, account);
        known.lengths.outlasted(at.since(open.taken_at));
        known.learned();
    }

    /// What is known of how long this job takes.
    pub(crate) fn curve(&mut self, open: &OpenJob, account: &Account) -> &Curve {
        &self.of(open, account).curve
    }

    /// How long a job of this account is with the provider, or thought to be so: its length, and the delay
    /// until that is known, which is about half of what a question is worth.
    pub(crate) fn stay(&self, account: &Account) -> Duration {
        let means = self.0.iter().filter(|(kind, _)| kind.0 == account.name);
        let longest = means.map(|(_, known)| known.curve.mean()).max();
        let length = longest.unwrap_or_else(|| expected(account));
        length + worth(account, account.interval(Phase::Working)) / 2
    }

    /// How many percent of the requests the submits of these accounts are guaranteed under a backlog. Where a
    /// price is set that is worth more polls than the usual share leaves room for, they are what is wanted.
    pub(crate) fn share<'a>(&mut self, accounts: impl Iterator<Item = &'a Account>) -> u64 {
        let mut share = SUBMIT_SHARE_PERCENT;
        for account in accounts {
            let floor = account.interval(Phase::Working);
            let price = worth(account, floor);
            let kinds = self.0.iter_mut().filter(|(kind, _)| kind.0 == account.name);
            for (_, known) in kinds {
                let asked = known.plan(price, floor).questions().unwrap_or_default();
                let planned = (PLANNED_PERCENT / (1.0 + asked)).max(LEAST_SHARE);
                share = share.min(planned as u64);
            }
        }
        share
    }

    /// When to ask about this running job, and how many milliseconds are lost with each further slot that
    /// it waits after now. The provider's interval is its caller's to add.
    pub(crate) fn question(
        &mut self,
        open: &OpenJob,
        account: &Account,
        demand: &Demand,
        day: Option<&Day>,
        now: Timestamp,
    ) -> (Timestamp, i64) {
        let floor = account.interval(open.phase);
        let known = self.of(open, account);
        let most = worth(account, floor);
        let mean = known.curve.mean();
        let price = match demand.price(mean, floor, most) {
            price if price == most => most,
            price => stepped(price),
        };
        let age = now.since(open.taken_at);
        let of_the_day = day.map_or(Duration::ZERO, |day| stepped(day.price(mean, age, floor)));
        let price = price.max(of_the_day);
        if price.is_zero() {
            return (open.next_read, 0);
        }
        let seen = open.unfinished_at.map(|at| at.since(open.taken_at));
        // The answer to the submit is no question.
        let explores = seen.is_none_or(|seen| seen < floor) && !known.told;
        let seen = seen.unwrap_or_default();
        let ends = known.lengths.seen();
        let plan = known.plan(price, floor);
        let planned = plan.next(seen);
        let tried = trial(planned, ends, lot_of(open)).filter(|_| explores);
        let asked_at = tried.unwrap_or(planned);
        let slot = demand.window / demand.limit.max(1);
        let loss = plan.loss(seen, age, slot);
        // Milliseconds of a delay that is minutes at the most.
        (open.taken_at + asked_at, (loss * 1_000.0) as i64)
    }

    /// What was learned since it was last written goes into this step's transaction.
    pub(crate) fn write(
        &mut self,
        key: &LaneKey,
        accounts: &[String],
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let unwritten = self.0.iter_mut().filter(|((account, ..), known)| {
            known.unwritten
                && accounts.contains(account)
                && (known.written_at > now || known.written_at + WRITTEN_EVERY <= now)
        });
        for ((account, operation, model), known) in unwritten {
            known.unwritten = false;
            known.written_at = now;
            draft.batch.lengths.push(LearnedLengths {
                lane: key.clone(),
                account: account.clone(),
                operation: operation.clone(),
                model: model.clone(),
                lengths: known.lengths.clone(),
                learned_at: now,
            });
        }
    }
}

fn kind_of(open: &OpenJob) -> Kind {
    let (operation, model) = match &open.job.input {
        Input::Description(_) => ("description", ""),
        Input::Image(image) => (
            image.operation.as_str(),
            image.model.as_deref().unwrap_or_default(),
        ),
        Input::Production(_) => ("production", ""),
    };
    (open.account.clone(), operation.to_owned(), model.to_owned())
}

/// The length that is expected before any job ended, as a multiple of an interval, so that a sped-up
/// account expects sped-up jobs.
pub(crate) fn expected(account: &Account) -> Duration {
    match account.provider {
        // 5 to 60 s by the vendor and its clients.
        Provider::Productai => account.polling.min_interval * 5,
        // The sample shows 60 s.
        Provider::Jakov => account.polling.min_interval * 10,
        // Minutes: undocumented, and asked about every 30 s.
        Provider::Jarai => account.polling.producing * 20,
    }
}

/// What a question is worth under a backlog.
pub(crate) fn worth(account: &Account, floor: Duration) -> Duration {
    let set = account.polling.delay_per_poll;
    set.unwrap_or_else(|| floor.mul_f64(PRICE))
}

/// The same job is the same lot, over restarts too.
fn lot_of(open: &OpenJob) -> u64 {
    let job = u64::try_from(open.job.id.id).unwrap_or_default();
    (job << 8) ^ u64::from(open.job.work.attempt)
}

/// The price on a ladder of quarters.
fn stepped(price: Duration) -> Duration {
    if price.is_zero() {
        return price;
    }
    let step = (price.as_secs_f64().ln() / PRICE_STEP.ln()).round();
    Duration::from_secs_f64(PRICE_STEP.powf(step))
}

/// Whether a job in this phase is still being made, so that asking tells when it is done.
pub(crate) fn is_being_made(phase: Phase) -> bool {
    matches!(phase, Phase::Queued | Phase::Working | Phase::Unrecognised)
}
