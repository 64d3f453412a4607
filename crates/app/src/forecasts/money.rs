//! Which of the pending jobs an account's spending caps let through, and until when the others wait.

use std::collections::{BTreeMap, BTreeSet};

use domain::{CapKind, Timestamp, UPSCALE_CREDITS};
use engine::Account;
use store::{OpenWork, Store, StoreError};

use crate::caps::spending;

/// What one of these jobs costs; `None`: nobody states it.
pub(crate) fn price(account: &Account, work: &OpenWork) -> Option<i64> {
    let prices = &account.prices;
    match work.operation.as_str() {
        "description" => prices.description,
        "production" => prices.production,
        "upscale" => Some(UPSCALE_CREDITS),
        _ => {
            let default = account.defaults.model.as_deref();
            let model = prices.models.get(work.model.as_deref().or(default)?)?;
            model.credits
        }
    }
}

/// What an account may still spend.
#[derive(Debug, Default)]
pub(super) struct Purse {
    /// Left until the moment at which it is more again.
    windows: Vec<(CapKind, i64, Option<Timestamp>)>,
    /// Left for each batch; none: there is no such cap.
    batches: Option<BTreeMap<String, i64>>,
}

/// What of it may be spent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spend {
    /// Jobs that may be submitted.
    pub(super) jobs: u64,
    /// Why no more.
    pub(super) why: String,
    /// Until when.
    pub(super) until: Option<Timestamp>,
}

impl Purse {
    pub(super) async fn read(
        store: &Store,
        account: &Account,
        work: &[&OpenWork],
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let spend = account.policy.spend;
        if spend.is_empty() {
            return Ok(Self::default());
        }
        let spent = spending(store, account, now).await?;
        let windows = [
            (CapKind::PerMonth, spend.per_month, spent.this_month.taken),
            (CapKind::PerDay, spend.per_day, spent.today.taken),
        ];
        let windows = windows.into_iter().filter_map(|(cap, limit, taken)| {
            limit.map(|limit| (cap, (limit - taken).max(0), cap.frees_at(now)))
        });
        let mut purse = Self {
            windows: windows.collect(),
            batches: None,
        };
        if let Some(limit) = spend.per_batch {
            let names = work.iter().filter_map(|work| work.batch.clone());
            let names: BTreeSet<String> = names.collect();
            let names: Vec<String> = names.into_iter().collect();
            let taken = store.money_of_batches(&account.name, &names).await?;
            let mut left: BTreeMap<String, i64> =
                names.into_iter().map(|name| (name, limit)).collect();
            for batch in taken {
                left.insert(batch.batch, (limit - batch.sums.taken()).max(0));
            }
            purse.batches = Some(left);
        }
        Ok(purse)
    }

    /// Takes what so many jobs of a price cost, as far as it reaches.
    pub(super) fn spend(&mut self, price: Option<i64>, jobs: u64, batch: Option<&str>) -> Spend {
        let of_batch = batch.and_then(|batch| self.batches.as_mut()?.get_mut(batch));
        if self.windows.is_empty() && of_batch.is_none() {
            return Spend {
                jobs,
                ..Spend::default()
            };
        }
        let Some(price) = price else {
            return Spend {
                why: "for a price that a spending cap can count".to_owned(),
                ..Spend::default()
            };
        };
        let fits = |left: i64| match price {
            ..=0 => u64::MAX,
            price => u64::try_from(left / price).unwrap_or_default(),
        };
        let mut spend = Spend {
            jobs,
            ..Spend::default()
        };
        let batches = of_batch
            .as_deref()
            .map(|left| (CapKind::PerBatch, *left, None));
        for (cap, left, until) in self.windows.iter().copied().chain(batches) {
            if fits(left) < spend.jobs {
                spend = Spend {
                    jobs: fits(left),
                    why: format!("for the cap {cap}"),
                    until,
                };
            }
        }
        let cost = price.saturating_mul(i64::try_from(spend.jobs).unwrap_or(i64::MAX));
        if let Some(left) = of_batch {
            *left -= cost;
        }
        for (_, left, _) in &mut self.windows {
            *left -= cost;
        }
        spend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_beyond_a_cap_waits_for_it() {
        let midnight: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let mut purse = Purse {
            windows: vec![(CapKind::PerDay, 10, Some(midnight))],
            batches: Some([("spring".to_owned(), 7)].into()),
        };
        let spend = purse.spend(Some(3), 5, Some("spring"));
        assert_eq!((spend.jobs, spend.until), (2, None));
        assert_eq!(spend.why, "for the cap per_batch");
        let spend = purse.spend(Some(2), 5, None);
        assert_eq!((spend.jobs, spend.until), (2, Some(midnight)));
        assert_eq!(spend.why, "for the cap per_day");
        assert_eq!(purse.spend(None, 5, None).jobs, 0);
        assert_eq!(Purse::default().spend(None, 5, None).jobs, 5);
    }
}
