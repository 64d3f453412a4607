//! How long the open work takes and what it costs, by account and in all: read from the database for
//! `status`, and for the record that the worker keeps ([`keep`]). What cannot end is left out, and named.

mod keep;
mod money;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{JobKind, Provider, Status, Timestamp};
use engine::Account;
use engine::forecast::{Asked, Forecast, Known, Prospect, counted_beside, counted_since, forecast};
use serde::Serialize;
use store::{ForecastRow, LaneKey, OpenWork, Store, StoreError};

pub(crate) use keep::Keeper;
pub(crate) use words::paragraph;

use crate::paces;
use crate::rests::{self, Rest};
use money::Purse;
pub(crate) use money::price;

/// What is said about the open work.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Forecasts {
    /// Accounts whose work can end.
    accounts: Vec<Line>,
    /// What cannot go on by itself, and is no part of the above.
    waits: Vec<Waits>,
    /// When the last of it is over; none while there is nothing to end.
    all_done_at: Option<Timestamp>,
    /// What it costs, in the unit of each provider, as far as prices are known.
    credits: BTreeMap<Provider, i64>,
    /// How good the last one of each account was.
    last: Vec<Compared>,
}

/// The work of an account that can end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    account: String,
    provider: Provider,
    jobs: u64,
    /// `None`: by these limits it never ends.
    finishes_after_ms: Option<u64>,
    finishes_at: Option<Timestamp>,
    /// If the last jobs are short ones.
    soonest_at: Option<Timestamp>,
    /// If they are long ones.
    latest_at: Option<Timestamp>,
    /// Of the jobs that are not submitted yet and have a known price.
    credits: i64,
    /// Jobs whose price is not known.
    unpriced: u64,
    /// Requests that it takes, about.
    requests: u64,
    /// Whether jobs of each kind have ended before; else the documents are all that is known.
    learned: bool,
    /// The highest id of the work.
    #[serde(skip)]
    newest: i64,
    /// Whether nothing of the account waits.
    #[serde(skip)]
    whole: bool,
}

/// Jobs that do not go on by themselves, or not before a moment that is not theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Waits {
    account: String,
    jobs: u64,
    why: String,
    until: Option<Timestamp>,
}

/// What was said, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Compared {
    account: String,
    made_at: Timestamp,
    jobs: i64,
    said_ms: i64,
    said_credits: Option<i64>,
    took_ms: i64,
    took_credits: i64,
    /// How much longer than said, in percent.
    off_percent: i64,
}

impl Compared {
    fn of(row: ForecastRow) -> Option<Self> {
        let took = row.ended_at?.since(row.made_at);
        let said = Duration::from_millis(u64::try_from(row.said_ms).unwrap_or_default());
        Some(Self {
            account: row.account,
            made_at: row.made_at,
            jobs: row.jobs,
            said_ms: row.said_ms,
            said_credits: row.said_credits,
            took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            took_credits: row.credits.unwrap_or_default(),
            off_percent: domain::forecast::off_by_percent(said, took),
        })
    }
}

/// What it is read for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) store: &'a Store,
    pub(crate) accounts: &'a [Account],
    /// Why no account submits, if that is so.
    pub(crate) everywhere: &'a [String],
    /// Work that is not in the database, and is counted as if it were.
    pub(crate) planned: &'a [OpenWork],
    pub(crate) now: Timestamp,
}

/// The work of an account while it is put together.
struct Gathered<'a> {
    prospect: Prospect<'a>,
    credits: i64,
    unpriced: u64,
    newest: i64,
    waits: Vec<Waits>,
    /// Nothing waits but for a decision about single jobs.
    whole: bool,
}

impl<'a> Asking<'a> {
    /// The forecast of all accounts.
    pub(crate) async fn read(&self) -> Result<Forecasts, StoreError> {
        let names: Vec<String> = self.accounts.iter().map(|one| one.name.clone()).collect();
        let mut work = self.store.open_work().await?;
        work.extend_from_slice(self.planned);
        let rests = self.rests(&names).await?;
        let mut by_lane: BTreeMap<&LaneKey, Vec<Gathered<'a>>> = BTreeMap::new();
        for account in self.accounts {
            let own = work.iter().filter(|work| is_of(work, account));
            let own: Vec<&OpenWork> = own.collect();
            if !own.is_empty() {
                let gathered = self.gather(account, &own, &rests).await?;
                by_lane.entry(&account.lane).or_default().push(gathered);
            }
        }
        let mut all = Forecasts::default();
        for (_, gathered) in by_lane {
            self.add(&mut all, gathered).await?;
        }
        all.waits.extend(strangers(&work, self.accounts));
        let rows = self.store.last_forecasts(&names).await?;
        all.last = rows.into_iter().filter_map(Compared::of).collect();
        Ok(all)
    }

    async fn rests(&self, names: &[String]) -> Result<Vec<Rest>, StoreError> {
        let mut lanes: BTreeMap<LaneKey, Vec<String>> = BTreeMap::new();
        for account in self.accounts {
            let mates = lanes.entry(account.lane.clone()).or_default();
            mates.push(account.name.clone());
        }
        let keys: Vec<LaneKey> = lanes.keys().cloned().collect();
        let of_people = self.store.account_pauses(names).await?;
        let of_lanes = self.store.pauses(&keys).await?;
        Ok(rests::resting(of_people, of_lanes, &lanes, self.now))
    }

    async fn gather(
        &self,
        account: &'a Account,
        work: &[&OpenWork],
        rests: &[Rest],
    ) -> Result<Gathered<'a>, StoreError> {
        let mut purse = Purse::read(self.store, account, work, self.now).await?;
        let held = Held::of(account, rests, self.everywhere, self.now);
        let mut all = Gathered {
            prospect: Prospect {
                account,
                pending: Vec::new(),
                running: 0,
                rests: held.rests,
                last_after: Duration::ZERO,
            },
            credits: 0,
            unpriced: 0,
            newest: 0,
            waits: Vec::new(),
            whole: true,
        };
        for one in work {
            let jobs = u64::try_from(one.jobs).unwrap_or_default();
            let waits = |jobs, why: &str, until| Waits {
                account: account.name.clone(),
                jobs,
                why: why.to_owned(),
                until,
            };
            let reason = match one.status {
                Status::InDoubt => Some("in doubt, until evidence or a person decides"),
                _ if one.awaiting_approval => Some("for a person's approval at the provider"),
                Status::Pending => held.submits.as_deref().or(held.all.as_deref()),
                _ => held.all.as_deref(),
            };
            if let Some(why) = reason {
                all.waits.push(waits(jobs, why, None));
                all.whole &= one.status == Status::InDoubt || one.awaiting_approval;
                continue;
            }
            all.newest = all.newest.max(one.newest);
            if one.status != Status::Pending {
                all.prospect.running += jobs;
                continue;
            }
            let price = price(account, one);
            let spent = purse.spend(price, jobs, one.batch.as_deref());
            if spent.jobs < jobs {
                all.whole = false;
                all.waits
                    .push(waits(jobs - spent.jobs, &spent.why, spent.until));
            }
            if spent.jobs > 0 {
                all.take(one, spent.jobs, price, self.now);
            }
        }
        all.waits = merged(all.waits);
        Ok(all)
    }

    /// Adds the accounts of one key.
    async fn add(
        &self,
        all: &mut Forecasts,
        gathered: Vec<Gathered<'a>>,
    ) -> Result<(), StoreError> {
        let Some(first) = gathered.first().map(|one| one.prospect.account) else {
            return Ok(());
        };
        let names: Vec<String> = gathered
            .iter()
            .map(|one| one.prospect.account.name.clone())
            .collect();
        let since = counted_since(first, self.now);
        let running = self.store.running(&names).await?;
        let beside = counted_beside(&running, self.now);
        let known = Known {
            lengths: self.store.learned_lengths(&names).await?,
            sent: self
                .store
                .requests_sent(std::slice::from_ref(&first.lane), since)
                .await?,
            accepted: self.store.accepted_since(&names, since).await?,
            accepted_beside: self.store.accepted_since(&names, beside).await?,
            running,
            paces: paces::thousandths(self.store, first, self.now).await?,
        };
        let prospects: Vec<Prospect<'_>> =
            gathered.iter().map(|one| one.prospect.clone()).collect();
        let said = forecast(&prospects, &known, self.now);
        for (one, said) in gathered.into_iter().zip(said) {
            let line = one.line(said, self.now);
            all.waits.extend(one.waits);
            if line.jobs > 0 {
                all.all_done_at = all.all_done_at.max(line.finishes_at);
                *all.credits.entry(line.provider).or_default() += line.credits;
                all.accounts.push(line);
            }
        }
        Ok(())
    }
}

impl Gathered<'_> {
    fn take(&mut self, work: &OpenWork, jobs: u64, price: Option<i64>, now: Timestamp) {
        let last = work.last_run_at.map(|at| at.since(now)).unwrap_or_default();
        self.prospect.last_after = self.prospect.last_after.max(last);
        match price {
            Some(price) => {
                self.credits += price.saturating_mul(i64::try_from(jobs).unwrap_or(i64::MAX));
            }
            None => self.unpriced += jobs,
        }
        self.prospect.pending.push(Asked {
            operation: work.operation.clone(),
            model: work.model.clone(),
            place: work.place.clone(),
            jobs,
        });
    }

    fn line(&self, said: Option<Forecast>, now: Timestamp) -> Line {
        let prospect = &self.prospect;
        let pending: u64 = prospect.pending.iter().map(|asked| asked.jobs).sum();
        let after = |of: fn(&Forecast) -> Duration| said.as_ref().map(|said| now + of(said));
        let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Line {
            account: prospect.account.name.clone(),
            provider: prospect.account.provider,
            jobs: pending + prospect.running,
            finishes_after_ms: said.map(|said| millis(said.finishes_after)),
            finishes_at: after(|said| said.finishes_after),
            soonest_at: after(|said| said.soonest),
            latest_at: after(|said| said.latest),
            credits: self.credits,
            unpriced: self.unpriced,
            requests: said.map(|said| said.requests).unwrap_or_default(),
            learned: said.is_some_and(|said| said.learned),
            newest: self.newest,
            whole: self.whole,
        }
    }
}

/// What holds an account back.
#[derive(Debug, Default)]
struct Held {
    /// Why nothing of it goes on.
    all: Option<String>,
    /// Why nothing is submitted, until somebody acts.
    submits: Option<String>,
    /// For how long nothing is submitted.
    rests: Duration,
}

impl Held {
    fn of(account: &Account, rests: &[Rest], everywhere: &[String], now: Timestamp) -> Self {
        let mut held = Self {
            submits: everywhere
                .first()
                .map(|_| "while all submits rest".to_owned()),
            ..Self::default()
        };
        let own = rests
            .iter()
            .filter(|rest| rest.accounts.contains(&account.name));
        for rest in own {
            let submits = rest.endpoints == "submits" || rest.endpoints == account.submit_group();
            match (rest.code.as_str(), rest.until) {
                ("paused", _) => {
                    held.submits = Some("for the resume of the paused account".to_owned());
                }
                ("key_refused", _) => held.all = Some("for a key that is not refused".to_owned()),
                ("out_of_credits", _) => held.submits = Some("for credits".to_owned()),
                (_, None) if submits => {
                    held.submits = Some(format!("for somebody who acts: {}", rest.code));
                }
                (_, Some(until)) if submits => held.rests = held.rests.max(until.since(now)),
                _ => {}
            }
        }
        held
    }
}

/// Whether these jobs are this account's.
fn is_of(work: &OpenWork, account: &Account) -> bool {
    work.kind.provider() == account.provider
        && match &work.account {
            Some(name) => *name == account.name,
            None => account.policy.takes_unnamed,
        }
}

/// The kind of job that an account's provider makes.
fn kind_of(account: &Account) -> Option<JobKind> {
    let mut kinds = JobKind::ALL.into_iter();
    kinds.find(|kind| kind.provider() == account.provider)
}

/// Jobs of accounts that nobody here works for.
fn strangers(work: &[OpenWork], accounts: &[Account]) -> Vec<Waits> {
    let theirs = work
        .iter()
        .filter(|work| !accounts.iter().any(|account| is_of(work, account)));
    let waits = theirs.map(|work| Waits {
        account: work.account.clone().unwrap_or_else(|| "-".to_owned()),
        jobs: u64::try_from(work.jobs).unwrap_or_default(),
        why: "for an account that the config has with a key".to_owned(),
        until: None,
    });
    merged(waits.collect())
}

/// One of each account and reason.
fn merged(waits: Vec<Waits>) -> Vec<Waits> {
    let mut sums: BTreeMap<(String, String, Option<Timestamp>), u64> = BTreeMap::new();
    for one in waits {
        *sums.entry((one.account, one.why, one.until)).or_default() += one.jobs;
    }
    let wait = |((account, why, until), jobs)| Waits {
        account,
        jobs,
        why,
        until,
    };
    sums.into_iter().map(wait).collect()
}
