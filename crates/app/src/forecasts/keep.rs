//! The record of forecasts: what is said when a body of work begins, and how long it took. It is kept
//! beside the worker, in a task of its own that never touches a step: a look is one short question for
//! each account, and only where work has just begun more is read. That two processes look is harmless.
//!
//! A body of work is what an account has to do when nothing of it was open before, or when the body before
//! is over. Rows that come one by one are waited for until a look finds no further one.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use engine::{Account, Clock, SystemClock};
use store::{ForecastRow, NewForecast, Store, StoreError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Asking, kind_of};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Between two tries to say something about an account whose work cannot all end.
const AGAIN: Duration = Duration::from_secs(60);
/// How long the first look may hold the worker up.
const FIRST_LOOK: Duration = Duration::from_secs(1);
/// How long the last look may take when the worker ends.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// Keeps the record as long as it lives.
#[derive(Debug)]
pub(crate) struct Keeper {
    task: JoinSet<()>,
    end: CancellationToken,
}

impl Keeper {
    /// From now on. The first look is over before the worker begins, so that what it submits first counts; a
    /// database that takes longer is looked at beside the work.
    pub(crate) async fn start(store: Store, accounts: Vec<Account>) -> Self {
        let end = CancellationToken::new();
        let mut record = Record {
            store,
            accounts,
            seen: BTreeMap::new(),
            not_before: BTreeMap::new(),
        };
        let first = tokio::time::timeout(FIRST_LOOK, record.tried(true)).await;
        let mut task = JoinSet::new();
        let told = end.clone();
        task.spawn(async move {
            let mut first = first.is_err();
            loop {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    () = told.cancelled() => {}
                }
                let last = told.is_cancelled();
                record.tried(first).await;
                first = false;
                if last {
                    return;
                }
            }
        });
        Self { task, end }
    }

    /// After a last look, in which the end of the work is written down.
    pub(crate) async fn finish(mut self) {
        self.end.cancel();
        // A database that hangs is left alone.
        let _ = tokio::time::timeout(LAST_LOOK, self.task.join_next()).await;
    }
}

struct Record {
    store: Store,
    accounts: Vec<Account>,
    /// The highest id at the last look, by account.
    seen: BTreeMap<String, i64>,
    /// Accounts about which nothing could be said.
    not_before: BTreeMap<String, Timestamp>,
}

impl Record {
    async fn tried(&mut self, first: bool) {
        if let Err(error) = self.look(first, SystemClock.now()).await {
            // The worker tells of a database in trouble; a forecast is no reason to say it twice.
            tracing::debug!(%error, "the record of forecasts was not looked at");
        }
    }

    async fn look(&mut self, first: bool, now: Timestamp) -> Result<(), StoreError> {
        let names: Vec<String> = self.accounts.iter().map(|one| one.name.clone()).collect();
        let rows = self.store.last_forecasts(&names).await?;
        let open: BTreeMap<&str, &ForecastRow> = rows
            .iter()
            .filter(|row| row.ended_at.is_none())
            .map(|row| (row.account.as_str(), row))
            .collect();
        let mut begun = Vec::new();
        for account in &self.accounts {
            let Some(kind) = kind_of(account) else {
                continue;
            };
            let name = account.name.as_str();
            let unnamed = account.policy.takes_unnamed;
            let running = open.get(name);
            let newest = running.map_or(i64::MAX, |row| row.newest);
            let body = self.store.body(kind, name, unnamed, newest).await?;
            match running {
                Some(row) if !body.open => self.store.end_forecast(row, kind, now).await?,
                None if body.open => {
                    let before = self.seen.insert(name.to_owned(), body.newest);
                    let rested = self.not_before.get(name).is_none_or(|at| *at <= now);
                    if rested && (first || before == Some(body.newest)) {
                        begun.push(name.to_owned());
                    }
                }
                Some(_) | None => {}
            }
        }
        if begun.is_empty() {
            return Ok(());
        }
        self.begin(&begun, now).await
    }

    async fn begin(&mut self, names: &[String], now: Timestamp) -> Result<(), StoreError> {
        let asking = Asking {
            store: &self.store,
            accounts: &self.accounts,
            everywhere: &[],
            planned: &[],
            now,
        };
        let said = asking.read().await?;
        for name in names {
            let lines = said.accounts.iter();
            let mut lines = lines.filter(|line| line.account == *name && line.whole);
            let line = lines.next();
            let Some((line, after)) =
                line.and_then(|line| line.finishes_after_ms.map(|ms| (line, ms)))
            else {
                self.not_before.insert(name.clone(), now + AGAIN);
                continue;
            };
            let made = NewForecast {
                account: name.clone(),
                made_at: now,
                newest: line.newest,
                jobs: i64::try_from(line.jobs).unwrap_or(i64::MAX),
                said_ms: i64::try_from(after).unwrap_or(i64::MAX),
                said_credits: (line.unpriced == 0).then_some(line.credits),
            };
            self.store.begin_forecast(made).await?;
        }
        Ok(())
    }
}
