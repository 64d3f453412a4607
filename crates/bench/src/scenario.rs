//! What is run: the provider, how long its jobs take, how many, and the way there. All of it follows
//! from a seed, so that each policy meets the same provider.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use domain::{Provider, Timestamp};
use sandbox::{FaultKind, FaultPlan, FaultRule, When};
use serde::Serialize;

use crate::error::BenchError;

/// Where the sandbox's model is, as its callers see it.
pub(crate) const BASE: &str = "http://sandbox.test";

/// When every run begins: ten seconds into a day in UTC, 2023-11-15, so that daily limits have a whole
/// day and nobody's clock is within the slack of midnight.
pub(crate) const START: Timestamp = Timestamp::from_millis(1_700_006_410_000);

/// A run of a provider without daily limits is stopped after this: a loop that never ends is shown as such.
const LONGEST: Duration = Duration::from_secs(60 * 86_400);

const DAY: Duration = Duration::from_secs(86_400);

/// How long ProductAI's jobs take: the laws of the study of polling policies (RELIABILITY.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Lengths {
    /// Lognormal: median 30 s, sigma 0.4.
    Lognormal,
    /// 70 % take 15 s, 30 % take 90 s; sigma 0.25 each.
    Bimodal,
    /// Lognormal, and half-way the median falls from 30 s to 12 s.
    Drift,
}

/// JARAI's tiers with daily limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// 10 requests a minute, 100 a day, 3 productions a day.
    Free,
    /// 60 requests a minute, 2,000 a day, 20 productions a day.
    Standard,
}

impl Tier {
    /// Requests a minute, requests a day, productions an account and day.
    pub(crate) fn limits(self) -> (u32, u32, u32) {
        match self {
            Self::Free => (10, 100, 3),
            Self::Standard => (60, 2_000, 20),
        }
    }
}

/// What the account's `webhook_trust` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// A webhook is a reason to read its job.
    Verify,
    /// A webhook ends its job, but for the few that are checked.
    Token,
}

/// How long a request is on its way, and its answer on the way back: evenly between the two, in
/// milliseconds, drawn for each way anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Wire {
    least: u64,
    most: u64,
}

impl Default for Wire {
    /// The study's round trip of 0.4 s.
    fn default() -> Self {
        Self {
            least: 200,
            most: 200,
        }
    }
}

impl Wire {
    pub(crate) fn draw(self, rng: &mut fastrand::Rng) -> Duration {
        Duration::from_millis(rng.u64(self.least..=self.most))
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most {
            write!(f, "{} ms", self.least)
        } else {
            write!(f, "{}-{} ms", self.least, self.most)
        }
    }
}

impl FromStr for Wire {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (least, most) = text.split_once('-').unwrap_or((text, text));
        let number = |part: &str| part.trim().parse::<u64>().ok();
        match (number(least), number(most)) {
            (Some(least), Some(most)) if least <= most && most <= 20_000 => {
                Ok(Self { least, most })
            }
            _ => Err("write milliseconds, as in 200 or 0-3000, up to 20000".to_owned()),
        }
    }
}

/// What is run.
#[derive(Debug, Clone, Serialize)]
pub struct Scenario {
    /// Against whom.
    pub provider: Provider,
    /// ProductAI: how long jobs take. The others' jobs take what the sandbox says by default.
    pub lengths: Lengths,
    /// Rows in all.
    pub jobs: usize,
    /// Seconds between one row and the next; 0: all wait when the run begins.
    pub every_s: u64,
    /// Lengths of jobs and delays on the way are drawn from it.
    pub seed: u64,
    /// The way to the provider.
    pub wire: Wire,
    /// JAKOV: products in one POST.
    pub batch_size: usize,
    /// Jobs that may be with the provider at once.
    pub max_running: usize,
    /// The account's `polling.delay_per_poll`; none: its default.
    pub delay_per_poll: Option<Duration>,
    /// JARAI: which limits.
    pub tier: Tier,
    /// JARAI: how many days.
    pub days: u32,
    /// ProductAI and JAKOV: they call our webhook, and 2 % of the calls are lost. ProductAI: 3 % of the jobs
    /// fail, whose calls name no job.
    pub webhooks: bool,
    /// ProductAI: what these calls are worth.
    pub trust: Trust,
}

impl Scenario {
    /// The provider's documented limits, a backlog of the study's size, and the account's defaults.
    #[must_use]
    pub fn of(provider: Provider) -> Self {
        let jobs = match provider {
            Provider::Productai => 1_000,
            // Four minutes of submits at the limit.
            Provider::Jakov => 20_000,
            Provider::Jarai => 10,
        };
        let batch_size = 50;
        Self {
            provider,
            lengths: Lengths::Lognormal,
            jobs,
            every_s: 0,
            seed: 1,
            wire: Wire::default(),
            batch_size,
            max_running: Self::usual_max_running(provider, batch_size),
            delay_per_poll: None,
            tier: Tier::Free,
            days: 1,
            webhooks: false,
            trust: Trust::Verify,
        }
    }

    /// The config's default.
    #[must_use]
    pub fn usual_max_running(provider: Provider, batch_size: usize) -> usize {
        engine::Policy::usual_max_running(provider, 100, batch_size)
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`BenchError::Scenario`] says what to change.
    pub fn check(&self) -> Result<(), BenchError> {
        let productai = self.provider == Provider::Productai;
        let wrong = if self.jobs == 0 || self.batch_size == 0 || self.max_running == 0 {
            "write numbers above 0 for --jobs, --batch-size and --max-running"
        } else if !productai && self.lengths != Lengths::Lognormal {
            "--lengths is for --provider productai"
        } else if self.provider == Provider::Jarai && self.webhooks {
            "--webhooks is for --provider productai and jakov"
        } else if self.trust == Trust::Token && !(productai && self.webhooks) {
            "--trust token is for --provider productai with --webhooks"
        } else if self.days == 0 || self.days > 30 {
            "write 1 to 30 for --days"
        } else {
            return Ok(());
        };
        Err(BenchError::Scenario(wrong.to_owned()))
    }

    /// In one line, for people.
    #[must_use]
    pub fn title(&self) -> String {
        let hooks = if self.webhooks {
            "webhooks"
        } else {
            "polls only"
        };
        let what = match self.provider {
            Provider::Productai => {
                let law = match self.lengths {
                    Lengths::Lognormal => "lognormal, median 30 s, sigma 0.4",
                    Lengths::Bimodal => "70 % 15 s, 30 % 90 s",
                    Lengths::Drift => "lognormal, median 30 s, from half-way on 12 s",
                };
                let hooks = match (self.webhooks, self.trust) {
                    (false, _) => "polls only",
                    (true, Trust::Verify) => "webhooks that are verified",
                    (true, Trust::Token) => "webhooks that are believed",
                };
                format!(
                    "15 requests/min, {law}, {hooks}, at most {} running",
                    self.max_running
                )
            }
            Provider::Jakov => format!(
                "100 submits/min, 300 reads/min, median 60 s, batches of {}, {hooks}, at most {} running",
                self.batch_size, self.max_running
            ),
            Provider::Jarai => {
                let (minute, day, productions) = self.tier.limits();
                format!(
                    "{minute} requests/min, {day}/day, {productions} productions/day, {} day(s)",
                    self.days
                )
            }
        };
        let rate = match self.every_s {
            0 => String::new(),
            seconds => format!(", one every {seconds} s"),
        };
        format!(
            "{}: {} jobs{rate}, {what}, wire {}, seed {}",
            self.provider, self.jobs, self.wire, self.seed
        )
    }

    /// When a row may be submitted, by its place in the order of the rows.
    pub(crate) fn comes_at(&self, n: usize) -> Timestamp {
        START + Duration::from_secs(self.every_s.saturating_mul(n as u64))
    }

    /// When it is stopped, whatever is left.
    pub(crate) fn end(&self) -> Timestamp {
        match self.provider {
            Provider::Jarai => START.utc_day() + DAY * self.days,
            Provider::Productai | Provider::Jakov => START + LONGEST,
        }
    }

    /// The most jobs a minute that the documented limits allow with one read for each job (JAKOV: with
    /// none, since one answer can tell of many; with none either where webhooks are believed); none where a
    /// day's limit binds.
    pub(crate) fn most_per_minute(&self) -> Option<f64> {
        match self.provider {
            Provider::Productai if self.trust == Trust::Token => Some(15.0),
            Provider::Productai => Some(7.5),
            Provider::Jakov => Some(100.0 * self.batch_size as f64),
            Provider::Jarai => None,
        }
    }

    /// The most jobs of the whole run, where a day's limit binds.
    pub(crate) fn most_jobs(&self) -> Option<u64> {
        let (_, _, productions) = self.tier.limits();
        let quota = u64::from(productions) * u64::from(self.days);
        (self.provider == Provider::Jarai).then(|| quota.min(self.jobs as u64))
    }

    /// The provider.
    pub(crate) fn options(&self) -> sandbox::Options {
        let mut options = sandbox::Options {
            seed: self.seed,
            base_url: BASE.to_owned(),
            ..sandbox::Options::default()
        };
        // Credits are not what is measured.
        options.jakov.credits = u64::from(u32::MAX);
        options.productai.tokens = u64::from(u32::MAX);
        options.jarai.tier = match self.tier {
            Tier::Free => sandbox::Tier::Free,
            Tier::Standard => sandbox::Tier::Standard,
        };
        let shots = &mut options.productai;
        match self.lengths {
            Lengths::Lognormal => {}
            Lengths::Bimodal => {
                shots.duration_median_ms = 15_000;
                shots.slow_share = 0.3;
                shots.slow_median_ms = 90_000;
                shots.duration_sigma = 0.25;
            }
            Lengths::Drift => shots.drift_from = Some(self.jobs as u64 / 2),
        }
        if self.webhooks {
            let url = Some("http://vitrine.test/hooks".to_owned());
            let provider = match self.provider {
                Provider::Jakov => {
                    options.jakov.webhook_url = url;
                    sandbox::Provider::Jakov
                }
                Provider::Productai | Provider::Jarai => {
                    shots.webhook_url = url;
                    shots.error_share = 0.03;
                    sandbox::Provider::Productai
                }
            };
            let lost = FaultRule {
                provider: Some(provider),
                verb: None,
                when: When::Share(0.02),
                kind: FaultKind::LostWebhook,
            };
            options.faults = FaultPlan { rules: vec![lost] };
        }
        options
    }
}
