//! What the planner knows of an account: a credential at a provider with its limits, intervals and
//! rules. Everything is resolved: the config's defaults are filled in, and a sped-up account (for the
//! sandbox) has its windows and intervals already divided.

use std::time::Duration;

use domain::{Caps, Defaults, Prices, Provider, Window};
use providers::{Client, Phase};
use store::LaneKey;

/// How many requests an account may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Windows by group of endpoints. JAKOV: `submit` and `read`; ProductAI and JARAI: `all`.
    pub groups: Vec<(String, Vec<Window>)>,
    /// JARAI's productions per account there and day; `None`: no such limit.
    pub productions: Option<Window>,
}

/// How often a job's state may be read: never sooner than its provider asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polling {
    /// ProductAI: "at least 3–5 seconds" (API.md, Best Practices), 5 s by default. JAKOV documents
    /// none.
    pub min_interval: Duration,
    /// JARAI while `Queued`: every 10 s (getting started, step 5).
    pub queued: Duration,
    /// JARAI while `Producing`: every 30 s (getting started, step 5).
    pub producing: Duration,
    /// JARAI while `AwaitingApproval`: undocumented; a person's pace.
    pub awaiting_approval: Duration,
    /// JARAI while `Distributing`: undocumented.
    pub distributing: Duration,
    /// Under a backlog a poll is sent where it saves this much delay. `None`: as much as leaves the submits
    /// their guaranteed share.
    pub delay_per_poll: Option<Duration>,
}

/// Where a production counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CompleteAt {
    /// When every platform has it.
    #[default]
    Published,
    /// As soon as the files can be had.
    AwaitingApproval,
}

/// What a webhook without a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookTrust {
    /// A reason to read its job.
    #[default]
    Verify,
    /// A success that came through the path that nobody can guess ends its job; few are held against a read,
    /// and one that was not true ends this until a person says otherwise.
    Token,
}

/// The account's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Rows that name no account are this one's.
    pub takes_unnamed: bool,
    /// Where a production counts as done.
    pub complete_at: CompleteAt,
    /// ProductAI, which signs nothing: what its webhooks are worth.
    pub webhook_trust: WebhookTrust,
    /// How often a job that was accepted, and then failed, may be paid for again.
    pub retry_failed: u32,
    /// Submit a job in doubt again by itself, knowing that it may be charged twice.
    pub resubmit_in_doubt: bool,
    /// JAKOV: products in one POST. Small, since an ambiguous answer puts all of them in doubt.
    pub batch_size: usize,
    /// How many jobs may be with the provider at once; more would only wait longer for their polls.
    pub max_running: usize,
    /// How long a job may run before it is given up; not counted from `AwaitingApproval` on.
    pub deadline: Duration,
    /// How long files may take to come home before the job fails.
    pub capture_deadline: Duration,
    /// How much it may spend.
    pub spend: Caps,
    /// Source images are looked at before their jobs are paid for.
    pub check_sources: bool,
}

/// Minutes of submits at JAKOV's limit that may be under way: five times the 60 s of its document's sample.
const MINUTES_UNDER_WAY: usize = 5;

impl Policy {
    /// How many jobs may be with the provider at once, where nobody says. `submits_per_minute` and
    /// `batch_size` count at JAKOV, whose submits must not wait for jobs that one export tells of.
    #[must_use]
    pub fn usual_max_running(
        provider: Provider,
        submits_per_minute: u32,
        batch_size: usize,
    ) -> usize {
        const PLENTY: usize = 2_000;
        match provider {
            // With 15 requests a minute, twenty jobs fill the time that one takes (RELIABILITY.md 6).
            Provider::Productai => 20,
            Provider::Jakov => {
                let submits = usize::try_from(submits_per_minute).unwrap_or(usize::MAX);
                let served = submits.saturating_mul(batch_size);
                served.saturating_mul(MINUTES_UNDER_WAY).max(PLENTY)
            }
            Provider::Jarai => PLENTY,
        }
    }
}

/// Spans of time that are ours, not a provider's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// The longest a paid POST may take; shorter than a lane's lease.
    pub submit_timeout: Duration,
    /// The longest any other request may take.
    pub read_timeout: Duration,
    /// A remote job that answers 404 is not given up before this age (DESIGN.md 3.2).
    pub missing_grace: Duration,
    /// First pause after an answer that asks for one without saying how long.
    pub pause_first: Duration,
    /// The longest such pause.
    pub pause_longest: Duration,
    /// How long a breaker is open before one request tries (RELIABILITY.md section 3 item 8).
    pub breaker_first: Duration,
    /// The longest that it is open, however often a try failed.
    pub breaker_longest: Duration,
    /// How long submits rest when the credits are gone, before one is tried again; longer each time.
    pub credits_probe: Duration,
    /// First wait of one job before it is tried again.
    pub retry_first: Duration,
    /// How long after an unknown outcome the provider's export is first looked at for evidence.
    pub evidence_first: Duration,
    /// The longest that a provider takes to accept after it was sent a submit and nobody waits for the
    /// answer any more. Undocumented everywhere; what was made later than that is another job.
    pub longest_accept: Duration,
    /// How long after its time-out a submit of unknown outcome is left to evidence before an account with
    /// `in_doubt = "resubmit"` sends it again. As long as a production may wait unpicked at JARAI.
    pub evidence_window: Duration,
    /// How often the database is looked at when nothing says that it changed.
    pub look_again: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            submit_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(30),
            missing_grace: Duration::from_secs(600),
            pause_first: Duration::from_secs(2),
            pause_longest: Duration::from_secs(3_600),
            breaker_first: Duration::from_secs(30),
            breaker_longest: Duration::from_secs(600),
            credits_probe: Duration::from_secs(300),
            retry_first: Duration::from_secs(5),
            evidence_first: Duration::from_secs(30),
            longest_accept: Duration::from_secs(60),
            evidence_window: Duration::from_secs(600),
            look_again: Duration::from_secs(5),
        }
    }
}

impl Timing {
    /// The pause after `strikes` answers in a row that gave no time: doubling from the first.
    #[must_use]
    pub fn pause(&self, strikes: u32) -> Duration {
        self.pause_first
            .saturating_mul(1u32.checked_shl(strikes.min(30)).unwrap_or(u32::MAX))
            .min(self.pause_longest)
    }

    /// The rest of submits after `strikes` answers in a row that they were surely refused, or never left:
    /// doubling from the first pause, as long as a breaker's at most. `share` of a half of it is left out,
    /// so that those who were hit together do not come back together.
    #[must_use]
    pub fn outage(&self, strikes: u32, share: f64) -> Duration {
        let whole = self.pause(strikes).min(self.breaker_longest);
        whole - whole.mul_f64(share.clamp(0.0, 1.0) / 2.0)
    }

    /// How long a breaker is open after `strikes` tries in a row that failed: the first time, and then
    /// anything from that to a bound that doubles (full jitter); `share` chooses.
    #[must_use]
    pub fn breaker(&self, strikes: u32, share: f64) -> Duration {
        let bound = self
            .breaker_first
            .saturating_mul(1u32.checked_shl(strikes.min(30)).unwrap_or(u32::MAX))
            .min(self.breaker_longest.max(self.breaker_first));
        let spread = bound.saturating_sub(self.breaker_first);
        self.breaker_first + spread.mul_f64(share.clamp(0.0, 1.0))
    }

    /// The rest of submits after `strikes` answers in a row that nothing is left to spend: doubling from
    /// the first.
    #[must_use]
    pub fn probe(&self, strikes: u32) -> Duration {
        self.credits_probe
            .saturating_mul(1u32.checked_shl(strikes.min(30)).unwrap_or(u32::MAX))
            .min(self.pause_longest.max(self.credits_probe))
    }

    /// How long one job waits after its `attempt`-th refusal: doubling from the first.
    #[must_use]
    pub fn retry(&self, attempt: u32) -> Duration {
        self.retry_first
            .saturating_mul(1u32.checked_shl(attempt.min(30)).unwrap_or(u32::MAX))
            .min(self.pause_longest)
    }
}

/// A credential at a provider, as the config names it.
#[derive(Debug, Clone)]
pub struct Account {
    /// What job rows say in `account`.
    pub name: String,
    /// Which service.
    pub provider: Provider,
    /// Whose budget it uses: accounts with one key share a lane.
    pub lane: LaneKey,
    /// Encodes calls and reads answers.
    pub client: Client,
    /// What rows may leave out.
    pub defaults: Defaults,
    /// What operations cost.
    pub prices: Prices,
    /// How many requests.
    pub limits: Limits,
    /// How often a job may be read.
    pub polling: Polling,
    /// The rules.
    pub policy: Policy,
    /// Our own spans of time.
    pub timing: Timing,
}

impl Account {
    /// The group of endpoints whose budget a paid POST uses.
    #[must_use]
    pub fn submit_group(&self) -> &'static str {
        match self.provider {
            Provider::Jakov => "submit",
            Provider::Productai | Provider::Jarai => "all",
        }
    }

    /// The group of endpoints whose budget every other request uses.
    #[must_use]
    pub fn read_group(&self) -> &'static str {
        match self.provider {
            Provider::Jakov => "read",
            Provider::Productai | Provider::Jarai => "all",
        }
    }

    /// The least time after a read whose answer was not heard: the provider may have told a state in
    /// which it asks for longer, and counts from there.
    #[must_use]
    pub fn unsure_interval(&self, phase: Phase) -> Duration {
        let longer = match (self.provider, phase) {
            (Provider::Jarai, Phase::Queued | Phase::Unrecognised) => self.polling.producing,
            (Provider::Jakov | Provider::Productai | Provider::Jarai, _) => Duration::ZERO,
        };
        self.interval(phase).max(longer)
    }

    /// The least time after a read of a job for one that is called for: where a state's interval is ours
    /// and not documented, as short as the longest that is.
    #[must_use]
    pub fn soonest(&self, phase: Phase, heard: bool) -> Duration {
        match (self.provider, phase, heard) {
            (Provider::Jarai, Phase::AwaitingApproval | Phase::Distributing, _) => {
                self.interval(phase).min(self.polling.producing)
            }
            (_, _, true) => self.interval(phase),
            (_, _, false) => self.unsure_interval(phase),
        }
    }

    /// The least time between two reads of a job in this phase.
    #[must_use]
    pub fn interval(&self, phase: Phase) -> Duration {
        match (self.provider, phase) {
            (Provider::Jakov | Provider::Productai, _) => self.polling.min_interval,
            (Provider::Jarai, Phase::AwaitingApproval) => self.polling.awaiting_approval,
            (Provider::Jarai, Phase::Distributing) => self.polling.distributing,
            (Provider::Jarai, Phase::Queued) => self.polling.queued,
            (Provider::Jarai, _) => self.polling.producing,
        }
    }
}
