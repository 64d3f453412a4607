//! Rows that a cap holds back: they stay pending, say which cap, how much of it is taken, how much they
//! need and when it frees, and spend no attempt. Other batches and accounts go on.
//!
//! A held row is looked at again when its window ends, when money is given back, at a start (the config
//! may have changed), and now and then. Rows that fit go back into the queue, where the planner chooses;
//! no more of them than fit, unless the setting that held them is another one now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{CapKind, Caps, Event, Fault, JobId, Timestamp};
use store::{Job, LaneKey, PendingWant, StoreError};

use super::{Money, Refusal};
use crate::account::Account;
use crate::draft::{Draft, Intent, change_of, moved};
use crate::planner::{Engine, Wake};
use crate::submit::Ready;

/// The code of a row that a cap holds back.
pub(crate) const SPEND_CAP: &str = "spend_cap";
/// The code of a row whose price nobody states, under a cap.
pub(crate) const PRICE_UNKNOWN: &str = "price_unknown";

/// Held rows looked at in one step, and rows marked in one step.
const AT_ONCE: u32 = 500;

/// Where nothing says when a cap frees, its rows wait this long at most.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// How often held rows are looked at although nothing happened: they may have moved to another account.
const RECHECK: Duration = Duration::from_secs(600);

/// A look at an account's held rows, under way.
#[derive(Debug, Default)]
pub(crate) struct Recheck {
    /// Rows up to this one were looked at.
    after: i64,
    /// What the rows that were let go need.
    promised: i64,
    by_batch: BTreeMap<String, i64>,
}

impl Money {
    /// The account's held rows are looked at again, from the first on.
    pub(crate) fn recheck(&mut self, account: &str) {
        self.rechecks.insert(account.to_owned(), Recheck::default());
    }

    /// Whether the account's held rows are being looked at: until then nothing of it is planned.
    pub(crate) fn is_rechecking(&self, account: &str) -> bool {
        self.rechecks.contains_key(account)
    }

    /// Whether the account of this job may not spend its price now.
    pub(crate) fn refuses_one(&self, one: &Ready, now: Timestamp) -> bool {
        let batch = one.job.batch.as_deref();
        self.refuses(&one.account.name, one.price, batch, now)
            .is_some()
    }

    /// Whether any account's are.
    pub(crate) fn is_unsure(&self) -> bool {
        !self.rechecks.is_empty() || !self.marking.is_empty()
    }

    /// A window ended, or it was long ago: the held rows are looked at again.
    fn recheck_by_time(&mut self, now: Timestamp, wake: &mut Wake) {
        if self.holding.is_empty() {
            self.today = now.utc_day();
            self.recheck_at = now + RECHECK;
            return;
        }
        if self.today != now.utc_day() || now >= self.recheck_at {
            self.today = now.utc_day();
            self.recheck_at = now + RECHECK;
            for account in self.holding.clone() {
                self.recheck(&account);
            }
        }
        wake.at(self.recheck_at.min(now.next_utc_day()));
    }

    /// Whether a row may go that was held back: it fits, with all that were let go before it; or it was
    /// held by a setting that is another one now, and fits by itself.
    fn lets_go(
        &self,
        account: &Account,
        job: &Job,
        price: Option<i64>,
        before: &mut Recheck,
        now: Timestamp,
    ) -> bool {
        let batch = job.batch.as_deref();
        let Some(book) = self.books.get(&account.name) else {
            return true;
        };
        let mut taken = book.taken(batch, now);
        if book.refuses(price, taken).is_some() {
            return false;
        }
        let price = price.unwrap_or(0);
        let of_batch = batch.and_then(|batch| before.by_batch.get(batch)).copied();
        taken.today = taken.today.saturating_add(before.promised);
        taken.this_month = taken.this_month.saturating_add(before.promised);
        taken.by_batch = taken
            .by_batch
            .map(|taken| taken.saturating_add(of_batch.unwrap_or(0)));
        let fits = book.refuses(Some(price), taken).is_none();
        if fits {
            before.promised += price;
            if let Some(batch) = batch {
                *before.by_batch.entry(batch.to_owned()).or_default() += price;
            }
        }
        fits || !is_held_by(job, &book.caps)
    }
}

/// The setting as a held row's sentence begins with it.
fn setting(cap: CapKind, limit: i64) -> String {
    format!("spend.{cap} = {limit} ")
}

/// Whether the setting that holds this row back still stands.
fn is_held_by(job: &Job, caps: &Caps) -> bool {
    let Some(known) = job.work.state.fault() else {
        return false;
    };
    [
        (CapKind::PerDay, caps.per_day),
        (CapKind::PerMonth, caps.per_month),
        (CapKind::PerBatch, caps.per_batch),
    ]
    .into_iter()
    .filter_map(|(cap, limit)| Some(setting(cap, limit?)))
    .any(|setting| known.message.starts_with(&setting))
}

/// Until when a row waits, and why.
fn reason(
    refusal: Refusal,
    account: &Account,
    job: &Job,
    price: Option<i64>,
    now: Timestamp,
) -> (Timestamp, Fault) {
    match refusal {
        Refusal::PriceUnknown => {
            let setting = match &job.input {
                domain::Input::Description(_) => "credits_per_description".to_owned(),
                domain::Input::Image(image) => {
                    let model = image.model.as_ref().or(account.defaults.model.as_ref());
                    let model = model.map_or("NAME", String::as_str);
                    format!("models.{model} = {{ credits = … }}")
                }
                domain::Input::Production(_) => "credits_per_production".to_owned(),
            };
            let name = &account.name;
            let why = format!(
                "the price is not known, and {name} has a spending cap, which cannot count it; \
                 set {setting} for {name}"
            );
            (now + LONGEST_WAIT, Fault::new(PRICE_UNKNOWN, why))
        }
        Refusal::Over(over) => {
            let frees_at = over.cap.frees_at(now);
            let whose = match (over.cap, &job.batch) {
                (CapKind::PerBatch, Some(batch)) => format!("the batch {batch:?} has taken"),
                _ => format!("{} has taken", account.name),
            };
            let frees = match frees_at {
                _ if price.is_some_and(|price| price > over.limit) => {
                    "that is more than the whole cap: raise it, or cancel the job".to_owned()
                }
                Some(at) => format!("it frees at {at}"),
                None => "it frees when the cap is raised, or when something in doubt turns out to be refused"
                    .to_owned(),
            };
            let why = format!(
                "{}holds this back: {whose} {} with what is reserved and in doubt, this needs {}; {frees}",
                setting(over.cap, over.limit),
                over.taken,
                price.unwrap_or(0),
            );
            let until = frees_at.unwrap_or(now + LONGEST_WAIT);
            (until, Fault::new(SPEND_CAP, why))
        }
    }
}

impl Engine {
    /// Looks at a page of rows that were held back. Those that may go are pending as before.
    pub(crate) async fn recheck_held(
        &mut self,
        now: Timestamp,
        draft: &mut Draft,
        wake: &mut Wake,
    ) -> Result<(), StoreError> {
        self.money.recheck_by_time(now, wake);
        let names: Vec<String> = self.money.rechecks.keys().cloned().collect();
        for name in names {
            let Some(mut recheck) = self.money.rechecks.remove(&name) else {
                continue;
            };
            let Some(account) = self.accounts.get(&name).cloned() else {
                continue;
            };
            if !self.lanes.contains_key(&account.lane) {
                continue;
            }
            let policy = &account.policy;
            let kind = account.provider.kind();
            let rows = self
                .store
                .held_for_money(kind, &name, policy.takes_unnamed, recheck.after, AT_ONCE)
                .await?;
            let full = rows.len() >= AT_ONCE as usize;
            if rows.is_empty() && recheck.after == 0 {
                self.money.holding.remove(&name);
            } else {
                self.money.holding.insert(name.clone());
            }
            self.know_batches(&account, &rows, now).await?;
            if let Some(last) = rows.last() {
                recheck.after = last.id.id;
            }
            for job in rows {
                self.look_at_held(&account, job, &mut recheck, now, draft);
            }
            if full {
                self.money.rechecks.insert(name, recheck);
                draft.again = true;
            } else if let Some(lane) = self.lanes.get_mut(&account.lane) {
                lane.idle_until = None;
            }
        }
        Ok(())
    }

    async fn know_batches(
        &mut self,
        account: &Account,
        rows: &[Job],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let batches: BTreeSet<&str> = rows.iter().filter_map(|job| job.batch.as_deref()).collect();
        self.money.know(&self.store, account, batches, now).await
    }

    /// Reads what the caps need to know about these rows.
    pub(crate) async fn know_batches_of(
        &mut self,
        rows: &[(Arc<Account>, Job)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut by_account: BTreeMap<&str, (Arc<Account>, BTreeSet<&str>)> = BTreeMap::new();
        for (account, job) in rows {
            let (_, batches) = by_account
                .entry(&account.name)
                .or_insert_with(|| (Arc::clone(account), BTreeSet::new()));
            batches.extend(job.batch.as_deref());
        }
        for (account, batches) in by_account.into_values() {
            self.money.know(&self.store, &account, batches, now).await?;
        }
        Ok(())
    }

    fn look_at_held(
        &mut self,
        account: &Arc<Account>,
        mut job: Job,
        recheck: &mut Recheck,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        if draft.touched.contains(&job.id) {
            return;
        }
        let price = price_of(account, &job);
        // A row that can never be right goes too: it fails where all rows are checked.
        if price.is_some_and(|price| !self.money.lets_go(account, &job, price, recheck, now)) {
            let outdated = self
                .money
                .books
                .get(&account.name)
                .is_some_and(|book| !is_held_by(&job, &book.caps));
            if outdated {
                let price = price.flatten();
                self.hold_if_refused(account, job, price, now, draft);
            }
            return;
        }
        draft.touched.insert(job.id);
        let lane = &account.lane;
        let mut change = change_of(&job, Some(lane), now);
        change.not_before = None;
        if let Some(event) = moved(&mut job, &Event::HeldBack(None), Some(lane), now) {
            change.work = job.work;
            draft.intents.push(Intent::row(change, Some(event)));
        }
    }

    /// Holds the row back if its account may not spend this. Whether it did.
    fn hold_if_refused(
        &mut self,
        account: &Arc<Account>,
        job: Job,
        price: Option<i64>,
        now: Timestamp,
        draft: &mut Draft,
    ) -> bool {
        let batch = job.batch.as_deref();
        let Some(refusal) = self.money.refuses(&account.name, price, batch, now) else {
            return false;
        };
        let (until, why) = reason(refusal, account, &job, price, now);
        if self.money.holding.insert(account.name.clone()) {
            tracing::warn!(account = account.name, "jobs wait: {}", why.message);
        }
        self.hold_row(&account.lane, job, until, why, now, draft);
        true
    }

    /// Sets aside the jobs that their caps do not allow now.
    pub(crate) fn set_aside_over_cap(
        &mut self,
        ready: &mut Vec<Ready>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        for one in std::mem::take(ready) {
            if self.money.refuses_one(&one, now) {
                // Others take its place in the queue.
                draft.again = true;
                self.money.marking.insert(one.account.name.clone());
                self.hold_if_refused(&one.account, one.job, one.price, now, draft);
            } else {
                ready.push(one);
            }
        }
    }

    /// Where a cap held rows back, the rest of what waits says so too, a page in each step.
    pub(crate) async fn mark_the_rest(
        &mut self,
        key: &LaneKey,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        for account in self.accounts_of(key) {
            if !self.money.marking.remove(&account.name) {
                continue;
            }
            let want = PendingWant {
                kind: account.provider.kind(),
                account: account.name.clone(),
                takes_unnamed: account.policy.takes_unnamed,
                now,
                per_batch: AT_ONCE,
                limit: AT_ONCE,
                // They stay where they are; a cap is theirs too.
                without: Vec::new(),
            };
            let rows = self.store.pending(&want).await?;
            let full = rows.len() >= AT_ONCE as usize;
            self.know_batches(&account, &rows, now).await?;
            let leaving: BTreeSet<JobId> = draft.leaving();
            let mut held = 0;
            for job in rows {
                let skip = draft.touched.contains(&job.id) || leaving.contains(&job.id);
                let Some(price) = price_of(&account, &job).filter(|_| !skip) else {
                    continue;
                };
                held += u32::from(self.hold_if_refused(&account, job, price, now, draft));
            }
            if full && held > 0 {
                self.money.marking.insert(account.name.clone());
                draft.again = true;
            }
        }
        Ok(())
    }
}

/// What the row asks for costs; the outer `None`: it asks for what cannot be.
#[expect(
    clippy::option_option,
    reason = "no price and no request are two things, and both are told by the domain as options"
)]
fn price_of(account: &Account, job: &Job) -> Option<Option<i64>> {
    domain::request::check(&job.input, &account.defaults, &account.prices.models)
        .ok()
        .map(|checked| account.prices.of(&checked.request))
}
