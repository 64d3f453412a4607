//! How full the spending caps are, as the ledger has it: `status` and `credits` show the same.

use domain::spend::{WARN_PERCENT, percent};
use domain::{CapKind, Timestamp};
use engine::Account;
use serde::Serialize;
use store::{Store, StoreError, Sums};

use crate::output::{or_dash, table};

/// The fullest batches of an account that are shown.
const BATCHES: u32 = 10;

/// What an account has taken in a window.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Window {
    #[serde(flatten)]
    pub(crate) sums: Sums,
    /// All that the provider may have charged.
    pub(crate) taken: i64,
}

impl From<Sums> for Window {
    fn from(sums: Sums) -> Self {
        Self {
            sums,
            taken: sums.taken(),
        }
    }
}

/// One cap.
#[derive(Debug, Serialize)]
pub(crate) struct CapLine {
    pub(crate) account: String,
    pub(crate) cap: CapKind,
    /// Of a cap on batches: which.
    pub(crate) batch: Option<String>,
    pub(crate) limit: i64,
    /// Booked, reserved and in doubt.
    pub(crate) taken: i64,
    pub(crate) percent: i64,
    /// `ok`, `warning` from 80 % on, `reached`.
    pub(crate) state: &'static str,
    /// When it frees; a batch does not.
    pub(crate) frees_at: Option<Timestamp>,
}

/// The money of an account.
#[derive(Debug)]
pub(crate) struct Spending {
    pub(crate) today: Window,
    pub(crate) this_month: Window,
    pub(crate) caps: Vec<CapLine>,
}

fn line(account: &str, cap: CapKind, limit: i64, taken: i64, now: Timestamp) -> CapLine {
    let percent = percent(taken, limit);
    CapLine {
        account: account.to_owned(),
        cap,
        batch: None,
        limit,
        taken,
        percent,
        state: match percent {
            100.. => "reached",
            WARN_PERCENT.. => "warning",
            _ => "ok",
        },
        frees_at: cap.frees_at(now),
    }
}

/// Reads what an account has taken, and how full its caps are.
pub(crate) async fn spending(
    store: &Store,
    account: &Account,
    now: Timestamp,
) -> Result<Spending, StoreError> {
    let name = &account.name;
    let days = store.money_by_day(name, now.utc_month()).await?;
    let since = |start: Timestamp| -> Window {
        let days = days.iter().filter(|day| day.day >= start);
        days.map(|day| day.sums).sum::<Sums>().into()
    };
    let (today, this_month) = (since(now.utc_day()), since(now.utc_month()));
    let spend = account.policy.spend;
    let mut caps = Vec::new();
    for (cap, limit, taken) in [
        (CapKind::PerDay, spend.per_day, today.taken),
        (CapKind::PerMonth, spend.per_month, this_month.taken),
    ] {
        caps.extend(limit.map(|limit| line(name, cap, limit, taken, now)));
    }
    if let Some(limit) = spend.per_batch {
        // One credit at least: what has taken nothing is no news.
        for full in store.fullest_batches(name, 1, BATCHES).await? {
            let taken = full.sums.taken();
            caps.push(CapLine {
                batch: Some(full.batch),
                ..line(name, CapKind::PerBatch, limit, taken, now)
            });
        }
    }
    Ok(Spending {
        today,
        this_month,
        caps,
    })
}

/// The caps as people read them.
pub(crate) fn caps_table<'a>(caps: impl IntoIterator<Item = &'a CapLine>) -> String {
    let mut table = table([
        "ACCOUNT", "CAP", "BATCH", "TAKEN", "OF", "PERCENT", "STATE", "FREES",
    ]);
    for cap in caps {
        table.add_row([
            cap.account.clone(),
            cap.cap.to_string(),
            or_dash(cap.batch.as_deref()),
            cap.taken.to_string(),
            cap.limit.to_string(),
            format!("{} %", cap.percent),
            cap.state.to_owned(),
            or_dash(cap.frees_at),
        ]);
    }
    table.to_string()
}
