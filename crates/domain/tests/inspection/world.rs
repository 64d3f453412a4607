//! A provider with a scarce budget and a worker that spends it, in virtual time: what the study of polling
//! policies simulates (one pacer of 15 requests a minute for submits and polls, polls before submits, a
//! round trip of 0.4 s), with the planning of this crate.

use std::time::Duration;

use domain::{Curve, Lengths, Plan, trial};

/// Seconds between two requests: 15 a minute.
const SLOT: f64 = 4.0;
const ROUND_TRIP: f64 = 0.4;
const FLOOR: Duration = Duration::from_secs(5);
/// What is thought before anything is learned.
const EXPECTED: Duration = Duration::from_secs(24);

/// Random numbers that come again from the same seed (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn gauss(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * (sigma * self.gauss()).exp()
    }
}

/// How long jobs take.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Law {
    /// Median 30 s, σ 0.4.
    Lognormal,
    /// 70 % around 15 s, 30 % around 90 s.
    Bimodal,
    /// Median 30 s for the first half of the jobs, and 12 s for the second.
    Drifting,
}

impl Law {
    fn length(self, job: usize, of: usize, dice: &mut Dice) -> f64 {
        match self {
            Self::Lognormal => dice.lognormal(30.0, 0.4),
            Self::Bimodal if dice.uniform() < 0.7 => dice.lognormal(15.0, 0.25),
            Self::Bimodal => dice.lognormal(90.0, 0.25),
            Self::Drifting if job < of / 2 => dice.lognormal(30.0, 0.4),
            Self::Drifting => dice.lognormal(12.0, 0.4),
        }
    }
}

/// How jobs are asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Policy {
    /// Every 5 s, before submits: the documented loop.
    Documented,
    /// By optimal inspection at this price of a question, with lengths learned from the provider's timestamps.
    Told(f64),
    /// The same, with lengths learned from polls alone.
    Inferred(f64),
}

struct Live {
    length: f64,
    /// When the provider had it, and when we knew that.
    taken: f64,
    answered: f64,
    seen: f64,
    /// The next question leaves then.
    due: f64,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: usize,
    pub(crate) jobs: usize,
    pub(crate) seconds: f64,
    pub(crate) delays: Vec<f64>,
    pub(crate) medians_of_last: Vec<f64>,
}

impl Outcome {
    pub(crate) fn requests_per_job(&self) -> f64 {
        self.requests as f64 / self.jobs as f64
    }

    pub(crate) fn jobs_per_minute(&self) -> f64 {
        self.jobs as f64 / self.seconds * 60.0
    }

    pub(crate) fn mean_delay(&self) -> f64 {
        self.delays.iter().sum::<f64>() / self.delays.len() as f64
    }

    pub(crate) fn delay(&self, quantile: f64) -> f64 {
        quantile_of(&self.delays, quantile)
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        self.requests += other.requests;
        self.jobs += other.jobs;
        self.seconds += other.seconds;
        self.medians_of_last
            .push(quantile_of(last(&other.delays, 300), 0.5));
        self.delays.extend(other.delays);
        self
    }
}

fn last(values: &[f64], many: usize) -> &[f64] {
    &values[values.len().saturating_sub(many)..]
}

pub(crate) fn quantile_of(values: &[f64], quantile: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() as f64 * quantile) as usize).min(sorted.len() - 1)]
}

struct Worker {
    policy: Policy,
    lengths: Lengths,
    plan: Plan,
    curve: Curve,
    learned: usize,
    seed: u64,
}

impl Worker {
    fn new(policy: Policy, seed: u64) -> Self {
        let lengths = Lengths::expecting(EXPECTED);
        let plan = Self::plan(policy, &lengths.curve());
        let curve = lengths.curve();
        let learned = 0;
        Self {
            policy,
            lengths,
            plan,
            curve,
            learned,
            seed,
        }
    }

    fn plan(policy: Policy, curve: &Curve) -> Plan {
        let price = match policy {
            Policy::Documented => 0.0,
            Policy::Told(price) | Policy::Inferred(price) => price,
        };
        Plan::new(curve, Duration::from_secs_f64(price), FLOOR)
    }

    /// A job was accepted: its first question.
    fn first(&self, job: usize) -> Duration {
        if matches!(self.policy, Policy::Inferred(_))
            && let Some(age) = trial(
                self.plan.next(Duration::ZERO),
                self.lengths.seen(),
                (self.seed << 20) | job as u64,
            )
        {
            return age.max(FLOOR);
        }
        self.plan.next(Duration::ZERO)
    }

    fn learn(&mut self, live: &Live, age: f64) {
        match self.policy {
            Policy::Documented => return,
            Policy::Told(_) => self.lengths.took(Duration::from_secs_f64(live.length)),
            Policy::Inferred(_) => self.lengths.ended_between(
                Duration::from_secs_f64(live.seen),
                Duration::from_secs_f64(age),
            ),
        }
        self.learned += 1;
        if self.learned.is_multiple_of(5) {
            self.curve = self.lengths.curve();
            self.plan = Self::plan(self.policy, &self.curve);
        }
    }
}

/// A backlog of jobs that are all there at the start.
pub(crate) fn backlog(law: Law, policy: Policy, jobs: usize, seed: u64) -> Outcome {
    let mut dice = Dice::new(seed + 1);
    let mut worker = Worker::new(policy, seed + 1);
    let mut live: Vec<Live> = Vec::new();
    let mut outcome = Outcome {
        jobs,
        ..Outcome::default()
    };
    let (mut now, mut submitted) = (0.0, 0);
    while outcome.delays.len() < jobs {
        let due = live.iter().enumerate().filter(|(_, one)| one.due <= now);
        let urgency = |one: &Live| {
            let age = Duration::from_secs_f64(now - one.answered);
            let seen = Duration::from_secs_f64(one.seen);
            worker.plan.loss(seen, age, Duration::from_secs_f64(SLOT))
        };
        let most = due.max_by(|a, b| urgency(a.1).total_cmp(&urgency(b.1)));
        if let Some((at, _)) = most {
            outcome.requests += 1;
            let one = &mut live[at];
            let age = now - one.answered;
            if now + ROUND_TRIP / 2.0 >= one.taken + one.length {
                let known = now + ROUND_TRIP;
                outcome.delays.push(known - one.taken - one.length);
                outcome.seconds = known;
                let one = live.swap_remove(at);
                worker.learn(&one, age.max(0.1));
            } else {
                one.seen = age.max(0.1);
                let answer = Duration::from_secs_f64(age + ROUND_TRIP);
                let next = worker.plan.next(Duration::from_secs_f64(one.seen));
                one.due = one.answered + next.max(answer + FLOOR).as_secs_f64();
            }
        } else if submitted < jobs {
            outcome.requests += 1;
            let length = law.length(submitted, jobs, &mut dice);
            let first = worker.first(submitted);
            let answered = now + ROUND_TRIP;
            live.push(Live {
                length,
                taken: now + ROUND_TRIP / 2.0,
                answered,
                seen: 0.0,
                due: answered + first.as_secs_f64(),
            });
            submitted += 1;
        } else {
            let next = live.iter().map(|one| one.due).fold(f64::INFINITY, f64::min);
            now = next.max(now);
            continue;
        }
        now += SLOT;
    }
    outcome
}
