//! What the worker's forecast says in the middle of a run, from the same tables as `vitrine status`. Nobody
//! pauses an account here and nothing has a cap, so that all open work can end.

use std::time::Duration;

use domain::{Status, Timestamp};
use engine::Account;
use engine::forecast::{Asked, Forecast, Known, Prospect, counted_beside, counted_since, forecast};
use store::Store;

use crate::error::BenchError;

/// The forecast of the one account.
pub(crate) async fn said(
    store: &Store,
    account: &Account,
    now: Timestamp,
) -> Result<Option<Forecast>, BenchError> {
    let names = [account.name.clone()];
    let since = counted_since(account, now);
    let running = store.running(&names).await?;
    let beside = counted_beside(&running, now);
    let known = Known {
        lengths: store.learned_lengths(&names).await?,
        sent: store
            .requests_sent(std::slice::from_ref(&account.lane), since)
            .await?,
        accepted: store.accepted_since(&names, since).await?,
        accepted_beside: store.accepted_since(&names, beside).await?,
        running,
        ..Known::default()
    };
    let mut prospect = Prospect {
        account,
        pending: Vec::new(),
        running: 0,
        rests: Duration::ZERO,
        last_after: Duration::ZERO,
    };
    for work in store.open_work().await? {
        let jobs = u64::try_from(work.jobs).unwrap_or_default();
        if work.status == Status::Pending {
            let last = work.last_run_at.map(|at| at.since(now));
            prospect.last_after = prospect.last_after.max(last.unwrap_or_default());
            prospect.pending.push(Asked {
                operation: work.operation,
                model: work.model,
                place: work.place,
                jobs,
            });
        } else {
            prospect.running += jobs;
        }
    }
    Ok(forecast(&[prospect], &known, now).pop().flatten())
}
