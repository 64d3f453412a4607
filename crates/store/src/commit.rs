//! One step of the engine in one transaction.
//!
//! Facts come first and are always kept. Then the rows of the lanes are read under a lock: conclusions of
//! a lane whose epoch has moved on are left out, and the rest is applied. A job that is not at the version
//! that was read undoes everything: the engine looks again.

use std::collections::{BTreeMap, BTreeSet};

use domain::JobId;

use crate::db::{End, Tx, Whose, json};
use crate::model::{Batch, Committed, Epoch, LaneKey, PauseChange};
use crate::planted::{self, Bug};
use crate::sql::{Sql, statements};
use crate::{Store, StoreError};

mod conclusions;
mod facts;
mod jobs;

#[cfg(test)]
pub(crate) fn all_statements() -> Vec<(&'static str, Sql)> {
    [all(), conclusions::all(), facts::all(), jobs::all()].concat()
}

statements! {
    /// The fence. `begin immediate` has locked the whole of SQLite already.
    FENCE: Sql = Sql {
        sqlite: "select json_object('lane', lane, 'epoch', epoch) from lanes \
            where lane in (select value from json_each(?1)) order by lane",
        postgres: "select row_to_json(r)::text from (select lane, epoch from lanes \
            where lane in (select jsonb_array_elements_text($1::jsonb)) order by lane for share) r",
    };
    /// Which lane a submission belongs to.
    LANES_OF_SUBMISSIONS: Sql = Sql {
        sqlite: "select json_object('id', id, 'lane', lane) from submissions \
            where id in (select value from json_each(?1))",
        postgres: "select json_build_object('id', id, 'lane', lane)::text from submissions \
            where id in (select jsonb_array_elements_text($1::jsonb))",
    };
    /// Which job a command is for.
    JOBS_OF_COMMANDS: Sql = Sql {
        sqlite: "select json_object('id', id, 'job', kind || ':' || job_id) from job_commands \
            where id in (select value from json_each(?1))",
        postgres: "select json_build_object('id', id, 'job', kind || ':' || job_id)::text from job_commands \
            where id in (select value::bigint from jsonb_array_elements_text($1::jsonb))",
    };
}

#[derive(serde::Deserialize)]
struct LaneRow {
    lane: LaneKey,
    epoch: Epoch,
}

#[derive(serde::Deserialize)]
struct SubmissionLane {
    id: String,
    lane: LaneKey,
}

#[derive(serde::Deserialize)]
struct CommandJob {
    id: i64,
    job: JobId,
}

impl Store {
    /// Writes all that one step wants written, in one transaction that completes even if the caller stops
    /// waiting. See [`Committed`] for what can become of it.
    ///
    /// # Errors
    /// Nothing was written, with one exception: after [`StoreError::Unavailable`] it is not known, and the
    /// rows must be read again.
    pub async fn commit(&self, batch: Batch) -> Result<Committed, StoreError> {
        self.write_as(Whose::Worker, move |tx| Box::pin(apply(tx, batch)))
            .await
    }
}

async fn apply(mut tx: Tx<'_>, mut batch: Batch) -> Result<End<Committed>, StoreError> {
    facts::append(&mut tx, &batch).await?;
    let lost = lost_lanes(&mut tx, &batch).await?;
    if !lost.is_empty() {
        leave_out(&mut tx, &mut batch, &lost).await?;
    }
    conclusions::decide(&mut tx, &batch).await?;
    let stale = jobs::change(&mut tx, &batch).await?;
    if !stale.is_empty() {
        return Ok(End::Rollback(Committed::Stale(stale)));
    }
    conclusions::append(&mut tx, &batch).await?;
    Ok(End::Commit(Committed::Durable {
        lost: lost.into_iter().collect(),
    }))
}

/// The lanes whose epoch is not the one that the batch was made under.
async fn lost_lanes(tx: &mut Tx<'_>, batch: &Batch) -> Result<BTreeSet<LaneKey>, StoreError> {
    check_fences(batch)?;
    if batch.fences.is_empty() || planted::has(Bug::NoFence) {
        return Ok(BTreeSet::new());
    }
    let keys: Vec<&LaneKey> = batch.fences.iter().map(|(lane, _)| lane).collect();
    let rows: Vec<LaneRow> = tx
        .rows("lanes", &FENCE, vec![json("lanes", &keys)?.into()])
        .await?;
    let epochs: BTreeMap<LaneKey, Epoch> =
        rows.into_iter().map(|row| (row.lane, row.epoch)).collect();
    Ok(batch
        .fences
        .iter()
        .filter(|(lane, epoch)| epochs.get(lane) != Some(epoch))
        .map(|(lane, _)| lane.clone())
        .collect())
}

/// Every lane that a conclusion names is fenced: without its epoch nobody knows whether it still counts.
fn check_fences(batch: &Batch) -> Result<(), StoreError> {
    let named = (batch.jobs.iter().filter_map(|job| job.lane.as_ref()))
        .chain(batch.submissions.iter().map(|submission| &submission.lane))
        .chain(batch.requests.iter().map(|request| &request.lane))
        .chain(batch.events.iter().filter_map(|event| event.lane.as_ref()))
        .chain(
            batch
                .priorities
                .iter()
                .filter_map(|change| change.lane.as_ref()),
        )
        .chain(batch.account_commands.iter().map(|done| &done.lane))
        .chain(batch.lengths.iter().map(|learned| &learned.lane))
        .chain(batch.refusals.iter().map(|change| &change.lane))
        .chain(batch.pauses.iter().map(lane_of));
    for lane in named {
        if !batch.fences.iter().any(|(fenced, _)| fenced == lane) {
            return Err(StoreError::Inconsistent {
                table: "lanes",
                what: format!(
                    "a conclusion names lane {}, and the batch no epoch of it",
                    lane.0
                ),
            });
        }
    }
    Ok(())
}

fn lane_of(pause: &PauseChange) -> &LaneKey {
    match pause {
        PauseChange::Set(pause) => &pause.lane,
        PauseChange::Lift { lane, .. } => lane,
    }
}

/// Leaves out the conclusions of lost lanes. What names no lane (outcomes, commands, webhooks) goes with
/// what it belongs to; where that is not known it stays undone, and the lane's new owner does it.
async fn leave_out(
    tx: &mut Tx<'_>,
    batch: &mut Batch,
    lost: &BTreeSet<LaneKey>,
) -> Result<(), StoreError> {
    let ids: Vec<&str> = batch
        .outcomes
        .iter()
        .map(|outcome| outcome.submission.0.as_str())
        .collect();
    let of_lost: BTreeSet<String> = tx
        .rows::<SubmissionLane>(
            "submissions",
            &LANES_OF_SUBMISSIONS,
            vec![json("submissions", &ids)?.into()],
        )
        .await?
        .into_iter()
        .filter(|row| lost.contains(&row.lane))
        .map(|row| row.id)
        .collect();
    batch
        .outcomes
        .retain(|outcome| !of_lost.contains(&outcome.submission.0));

    let is_lost = |lane: Option<&LaneKey>| lane.is_some_and(|lane| lost.contains(lane));
    batch.jobs.retain(|job| !is_lost(job.lane.as_ref()));
    batch
        .priorities
        .retain(|change| !is_lost(change.lane.as_ref()));
    batch
        .submissions
        .retain(|submission| !lost.contains(&submission.lane));
    batch
        .requests
        .retain(|request| !lost.contains(&request.lane));
    batch.events.retain(|event| !is_lost(event.lane.as_ref()));
    batch.pauses.retain(|pause| !lost.contains(lane_of(pause)));
    batch
        .lengths
        .retain(|learned| !lost.contains(&learned.lane));
    batch.refusals.retain(|change| !lost.contains(&change.lane));
    batch
        .account_commands
        .retain(|done| !lost.contains(&done.lane));

    let kept: BTreeSet<JobId> = (batch.jobs.iter().map(|change| change.job))
        .chain(batch.priorities.iter().map(|change| change.job))
        .collect();
    let ids: Vec<i64> = batch.commands.iter().map(|done| done.id).collect();
    let done: BTreeSet<i64> = tx
        .rows::<CommandJob>(
            "job_commands",
            &JOBS_OF_COMMANDS,
            vec![json("job_commands", &ids)?.into()],
        )
        .await?
        .into_iter()
        .filter(|row| kept.contains(&row.job))
        .map(|row| row.id)
        .collect();
    batch.commands.retain(|command| done.contains(&command.id));
    batch.webhooks.clear();
    Ok(())
}
