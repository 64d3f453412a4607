//! Money: what each account with a cap has taken, so that a cap refuses before anything is spent.
//!
//! The ledger in the database is the truth: the books are read from it when the planner is built, and
//! follow it step by step. A price is taken when its intent is planned, and given back only when the
//! intent was not written, or the provider surely refused. So what is open or in doubt counts as if it
//! were charged, and a cap holds over crashes, retries and adoptions. Days and months are UTC's, by the
//! time of the intent. The planner owns the lane of an account alone, and with it the account's books.
//!
//! ```text
//!  planned: + price ──> accepted: the charge, where it is told ──> over
//!                  └──> refused: - price     └──> in doubt: + price stays
//! ```
//!
//! Rows that a cap holds back are in [`hold`]; balances and pauses for want of credits are in [`credits`].

mod charge;
mod credits;
mod hold;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::spend::{HasBatch, OverCap, Taken, WARN_PERCENT, percent};
use domain::{CapKind, Caps, JobId, SubmissionId, Timestamp};
use store::{Outcome, Store, StoreError, SubmissionJobChange};

use crate::account::Account;
use crate::open::OpenJob;

pub(crate) use credits::{Balance, OUT_OF_CREDITS, documents_a_balance};
use hold::Recheck;
pub(crate) use hold::{PRICE_UNKNOWN, SPEND_CAP};

/// Batches whose sums are remembered; the others are read again when they come back.
const MOST_BATCHES: usize = 10_000;

/// The money of all accounts of our lanes.
#[derive(Debug, Default)]
pub(crate) struct Money {
    /// Accounts that have a cap.
    books: BTreeMap<String, Book>,
    /// What is taken and not over, so that its end can change the sums.
    entries: BTreeMap<(SubmissionId, JobId), Entry>,
    /// Accounts whose held rows are looked at again, page by page.
    rechecks: BTreeMap<String, Recheck>,
    /// Accounts that may have rows held back.
    holding: BTreeSet<String>,
    /// Accounts that held a row in this step: the rest of what waits is marked page by page.
    marking: BTreeSet<String>,
    /// The day in which the books were last looked at.
    today: Timestamp,
    /// Held rows are looked at again then, whatever happens.
    recheck_at: Timestamp,
    /// What people want of accounts is looked for then.
    pub(crate) commands_at: Timestamp,
}

/// What is taken for one job of one submission.
#[derive(Debug, Clone)]
struct Entry {
    account: String,
    day: Timestamp,
    batch: Option<String>,
    amount: i64,
}

/// What one account has taken.
#[derive(Debug, Default)]
struct Book {
    caps: Caps,
    /// From which day on the ledger was read.
    since: Timestamp,
    days: BTreeMap<Timestamp, i64>,
    batches: BTreeMap<String, i64>,
    /// Of what people were told: the cap, its window or batch.
    warned: BTreeSet<(CapKind, String)>,
}

/// Why a row may not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody states its price, and a cap cannot count it.
    PriceUnknown,
    /// It would pass this cap.
    Over(OverCap),
}

impl Book {
    /// How far back the ledger must be read: a window more than the caps need, for a clock that is set
    /// back.
    fn horizon(caps: Caps, now: Timestamp) -> Timestamp {
        let back = |start: Timestamp| start.before(std::time::Duration::from_millis(1));
        match caps {
            Caps {
                per_month: Some(_), ..
            } => back(now.utc_month()).utc_month(),
            _ => back(now.utc_day()).utc_day(),
        }
    }

    /// What lies in the future (the clock was set back) counts too.
    fn taken(&self, batch: Option<&str>, now: Timestamp) -> Taken {
        let from = |start: Timestamp| self.days.range(start..).map(|(_, taken)| taken).sum();
        Taken {
            today: from(now.utc_day()),
            this_month: from(now.utc_month()),
            // What is not known yet is full.
            by_batch: batch.map(|batch| self.batches.get(batch).copied().unwrap_or(i64::MAX)),
        }
    }

    fn add(&mut self, day: Timestamp, batch: Option<&str>, amount: i64) {
        *self.days.entry(day).or_default() += amount;
        if let Some(known) = batch.and_then(|batch| self.batches.get_mut(batch)) {
            *known += amount;
        }
    }

    fn refuses(&self, price: Option<i64>, taken: Taken) -> Option<Refusal> {
        let has_batch = match taken.by_batch {
            Some(_) => HasBatch::Yes,
            None => HasBatch::No,
        };
        match price {
            None if self.caps.count(has_batch) => Some(Refusal::PriceUnknown),
            None => None,
            Some(price) => self.caps.over(taken, price).map(Refusal::Over),
        }
    }

    /// Caps that have just become full by [`WARN_PERCENT`], once for each window and batch.
    fn newly_full(&mut self, batch: Option<&str>, now: Timestamp) -> Vec<OverCap> {
        let taken = self.taken(batch, now);
        let window = |cap: CapKind| match cap {
            CapKind::PerDay => now.utc_day().to_string(),
            CapKind::PerMonth => now.utc_month().to_string(),
            CapKind::PerBatch => batch.unwrap_or_default().to_owned(),
        };
        [
            (CapKind::PerDay, self.caps.per_day, Some(taken.today)),
            (
                CapKind::PerMonth,
                self.caps.per_month,
                Some(taken.this_month),
            ),
            (CapKind::PerBatch, self.caps.per_batch, taken.by_batch),
        ]
        .into_iter()
        .filter_map(|(cap, limit, taken)| {
            let (limit, taken) = (limit?, taken?);
            let full = percent(taken, limit) >= WARN_PERCENT;
            (full && self.warned.insert((cap, window(cap)))).then_some(OverCap {
                cap,
                limit,
                taken,
            })
        })
        .collect()
    }
}

impl Money {
    /// The clock jumped: what was to be looked at later is looked at now.
    pub(crate) fn clock_jumped(&mut self) {
        self.recheck_at = Timestamp::default();
    }

    /// Reads the books of these accounts from the ledger, and takes up what of it is not over.
    pub(crate) async fn load<'a>(
        &mut self,
        store: &Store,
        accounts: &[Arc<Account>],
        open: impl Iterator<Item = &'a OpenJob>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for account in accounts {
            // Caps and prices may be others than when these rows were held back.
            self.recheck(&account.name);
            if !account.policy.spend.is_empty() {
                let book = read_book(store, account, now).await?;
                self.books.insert(account.name.clone(), book);
                self.warn(&account.name, None, now);
            }
        }
        let ours = |job: &&OpenJob| accounts.iter().any(|account| account.name == job.account);
        for job in open.filter(ours) {
            let planned = job.job.work.submitted_at.unwrap_or(now);
            self.enter(job, planned);
        }
        Ok(())
    }

    /// Remembers what an open job has taken; the sums have it already.
    fn enter(&mut self, open: &OpenJob, planned: Timestamp) {
        if !self.books.contains_key(&open.account) {
            return;
        }
        let entry = Entry {
            account: open.account.clone(),
            day: planned.utc_day(),
            batch: open.job.batch.clone(),
            amount: open.job.work.credits.unwrap_or(0),
        };
        self.entries
            .insert((open.submission.clone(), open.id()), entry);
    }

    /// Why this account may not spend this price now.
    pub(crate) fn refuses(
        &self,
        account: &str,
        price: Option<i64>,
        batch: Option<&str>,
        now: Timestamp,
    ) -> Option<Refusal> {
        let book = self.books.get(account)?;
        book.refuses(price, book.taken(batch, now))
    }

    /// The price of a job is taken: its intent is planned.
    pub(crate) fn reserve(&mut self, open: &OpenJob, now: Timestamp) {
        self.enter(open, now);
        let amount = open.job.work.credits.unwrap_or(0);
        let batch = open.job.batch.as_deref();
        if let Some(book) = self.books.get_mut(&open.account) {
            book.add(now.utc_day(), batch, amount);
            self.warn(&open.account, batch, now);
        }
    }

    /// An intent was not written: nothing is taken.
    pub(crate) fn give_back(&mut self, open: &OpenJob) {
        let key = (open.submission.clone(), open.id());
        if let Some(entry) = self.entries.remove(&key)
            && let Some(book) = self.books.get_mut(&entry.account)
        {
            book.add(entry.day, entry.batch.as_deref(), -entry.amount);
        }
    }

    /// What became of submissions, once it is durable.
    pub(crate) fn settle<'a>(&mut self, changes: impl Iterator<Item = &'a SubmissionJobChange>) {
        for change in changes {
            let key = (change.submission.clone(), change.job);
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let amount = match change.outcome {
                Outcome::Refused => 0,
                Outcome::Accepted => change.credits.unwrap_or(entry.amount),
                Outcome::Open | Outcome::Unknown => entry.amount,
            };
            let more = amount - entry.amount;
            entry.amount = amount;
            let entry = entry.clone();
            if change.ended || change.released {
                self.entries.remove(&key);
            }
            let Some(book) = self.books.get_mut(&entry.account).filter(|_| more != 0) else {
                continue;
            };
            book.add(entry.day, entry.batch.as_deref(), more);
            if more < 0 && self.holding.contains(&entry.account) {
                self.recheck(&entry.account);
            }
        }
    }

    /// Reads what is not known of batches, and books whose clock was set back beyond what they know.
    pub(crate) async fn know(
        &mut self,
        store: &Store,
        account: &Account,
        batches: BTreeSet<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(book) = self.books.get_mut(&account.name) else {
            return Ok(());
        };
        if Book::horizon(book.caps, now) < book.since && now.utc_month() < book.since {
            let fresh = read_book(store, account, now).await?;
            (book.days, book.since) = (fresh.days, fresh.since);
        }
        if book.caps.per_batch.is_none() {
            return Ok(());
        }
        if book.batches.len() + batches.len() > MOST_BATCHES {
            book.batches.clear();
        }
        let unknown: Vec<String> = batches
            .into_iter()
            .filter(|batch| !book.batches.contains_key(*batch))
            .map(str::to_owned)
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let read = store.money_of_batches(&account.name, &unknown).await?;
        for batch in unknown {
            book.batches.insert(batch, 0);
        }
        for known in read {
            book.batches.insert(known.batch, known.sums.taken());
        }
        Ok(())
    }

    /// Says which caps are nearly full or full, once for each window.
    fn warn(&mut self, account: &str, batch: Option<&str>, now: Timestamp) {
        let Some(book) = self.books.get_mut(account) else {
            return;
        };
        for full in book.newly_full(batch, now) {
            tracing::warn!(
                account,
                cap = full.cap.as_str(),
                taken = full.taken,
                limit = full.limit,
                batch = batch.filter(|_| full.cap == CapKind::PerBatch),
                "{} % of a spending cap is taken",
                percent(full.taken, full.limit)
            );
        }
    }

    /// These accounts are another process's now.
    pub(crate) fn forget(&mut self, accounts: &[String]) {
        self.entries
            .retain(|_, entry| !accounts.contains(&entry.account));
        for account in accounts {
            self.books.remove(account);
            self.rechecks.remove(account);
            self.holding.remove(account);
            self.marking.remove(account);
        }
    }
}

async fn read_book(store: &Store, account: &Account, now: Timestamp) -> Result<Book, StoreError> {
    let caps = account.policy.spend;
    let since = Book::horizon(caps, now);
    let days = store.money_by_day(&account.name, since).await?;
    Ok(Book {
        caps,
        since,
        days: days
            .into_iter()
            .map(|day| (day.day, day.sums.taken()))
            .collect(),
        ..Book::default()
    })
}
