//! The provider's own book: every request, every rule that a caller broke, every charge. It is what
//! a checker compares the worker's books with, so nothing in it comes from the worker.

use crate::faults::FaultKind;
use crate::wire::{Delivery, Provider, Verb};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

/// A rule of a document that a caller broke.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "rule", content = "detail", rename_all = "snake_case")]
pub enum Violation {
    /// More requests than the documented limit; the text names the window.
    RateLimit(String),
    /// A status poll sooner than the documented interval.
    EarlyPoll {
        /// Milliseconds since the poll before.
        after_ms: i64,
        /// Milliseconds that the document asks for.
        floor_ms: i64,
    },
    /// A status poll after a terminal status had been reported.
    PollAfterTerminal,
    /// A JSON field that no document knows.
    UnknownField(String),
    /// A request header that no document knows.
    UnknownHeader(String),
    /// An API key was sent to a host of files.
    KeySentToFileHost,
}

/// One request as the provider saw it.
#[derive(Debug, Clone, Serialize)]
pub struct RequestEntry {
    /// Counts from 1 over all providers.
    pub no: u64,
    /// Provider time, Unix milliseconds.
    pub at_ms: i64,
    /// Whose wire.
    pub provider: Provider,
    /// What it was about.
    pub verb: Verb,
    /// The HTTP method.
    pub method: String,
    /// The path with its prefix; without the query, which may hold a signature.
    pub path: String,
    /// The status of the answer, also of one that was lost; 0 after a reset.
    pub status: u16,
    /// What became of the answer.
    pub delivery: Delivery,
    /// The remote jobs that it made or read.
    pub jobs: Vec<String>,
    /// Why it was refused, for every 4xx and 5xx.
    pub reason: Option<String>,
    /// The rules that it broke.
    pub violations: Vec<Violation>,
    /// A read of a finished job, which renews a link: legitimate, but counted.
    pub read_after_terminal: bool,
    /// What the fault plan did to it.
    pub fault: Option<FaultKind>,
}

/// One charge.
#[derive(Debug, Clone, Serialize)]
pub struct Charge {
    /// Provider time, Unix milliseconds.
    pub at_ms: i64,
    /// Who charged.
    pub provider: Provider,
    /// The remote job.
    pub job: String,
    /// JAKOV: credits. ProductAI: tokens. JARAI: 1 production.
    pub credits: u64,
    /// The request that caused it.
    pub request_no: u64,
}

/// Counts over the whole ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// All requests.
    pub requests: u64,
    /// Requests by provider and verb.
    pub by_verb: BTreeMap<String, u64>,
    /// Broken rules by name.
    pub violations: BTreeMap<String, u64>,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Credits by provider.
    pub charged: BTreeMap<Provider, u64>,
    /// Paid jobs by provider.
    pub charges: BTreeMap<Provider, u64>,
    /// Reads of finished jobs.
    pub reads_after_terminal: u64,
    /// Requests that a fault befell.
    pub faults: u64,
    /// Webhooks handed out for sending.
    pub webhooks: u64,
}

/// The book.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    requests: Vec<RequestEntry>,
    charges: Vec<Charge>,
    webhooks: u64,
}

impl Ledger {
    /// Every request, in order of arrival.
    pub fn requests(&self) -> &[RequestEntry] {
        &self.requests
    }

    /// Every charge, in order.
    pub fn charges(&self) -> &[Charge] {
        &self.charges
    }

    /// All requests that broke a rule.
    pub fn violations(&self) -> impl Iterator<Item = (&RequestEntry, &Violation)> {
        self.requests
            .iter()
            .flat_map(|entry| entry.violations.iter().map(move |it| (entry, it)))
    }

    /// Credits charged by one provider.
    pub fn charged(&self, provider: Provider) -> u64 {
        self.charges
            .iter()
            .filter(|it| it.provider == provider)
            .map(|it| it.credits)
            .sum()
    }

    /// The most requests that count by `counts` and arrived within any `length_ms`.
    pub fn busiest(&self, length_ms: i64, counts: impl Fn(&RequestEntry) -> bool) -> usize {
        let mut window = VecDeque::new();
        let mut most = 0;
        for entry in self.requests.iter().filter(|entry| counts(entry)) {
            window.push_back(entry.at_ms);
            while window
                .front()
                .is_some_and(|&at| at + length_ms <= entry.at_ms)
            {
                window.pop_front();
            }
            most = most.max(window.len());
        }
        most
    }

    /// Counts over the whole book.
    pub fn summary(&self) -> Summary {
        let mut sum = Summary {
            webhooks: self.webhooks,
            ..Summary::default()
        };
        for entry in &self.requests {
            sum.requests += 1;
            *sum.by_verb
                .entry(format!("{:?} {:?}", entry.provider, entry.verb))
                .or_default() += 1;
            *sum.by_status.entry(entry.status).or_default() += 1;
            sum.reads_after_terminal += u64::from(entry.read_after_terminal);
            sum.faults += u64::from(entry.fault.is_some());
            for violation in &entry.violations {
                *sum.violations
                    .entry(name_of(violation).to_owned())
                    .or_default() += 1;
            }
        }
        for charge in &self.charges {
            *sum.charged.entry(charge.provider).or_default() += charge.credits;
            *sum.charges.entry(charge.provider).or_default() += 1;
        }
        sum
    }

    pub(crate) fn next_no(&self) -> u64 {
        self.requests.len() as u64 + 1
    }

    pub(crate) fn write(&mut self, entry: RequestEntry) {
        self.requests.push(entry);
    }

    pub(crate) fn charge(&mut self, charge: Charge) {
        self.charges.push(charge);
    }

    pub(crate) fn webhook_sent(&mut self) {
        self.webhooks += 1;
    }
}

fn name_of(violation: &Violation) -> &'static str {
    match violation {
        Violation::RateLimit(_) => "rate_limit",
        Violation::EarlyPoll { .. } => "early_poll",
        Violation::PollAfterTerminal => "poll_after_terminal",
        Violation::UnknownField(_) => "unknown_field",
        Violation::UnknownHeader(_) => "unknown_header",
        Violation::KeySentToFileHost => "key_sent_to_file_host",
    }
}
