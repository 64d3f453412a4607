//! What was looked at, written down: an event at the first look and whenever what is known changes. A look
//! without news is only counted, so that a job that stays in doubt for months fills no table.

use domain::{Event, Fault, JobId, JobState, Status, Timestamp};
use serde_json::{Value, json};
use store::{LaneKey, StoreError};

use super::fit::Unclaimed;
use crate::draft::Draft;
use crate::open::OpenJob;
use crate::planner::Engine;

/// The timeline's word for a look that decided nothing.
pub(super) const LOOKED: &str = "evidence_looked";

/// Candidates that an event names; of more it tells the number.
const MOST_NAMED: usize = 10;

/// What was looked at for one job in doubt, in this life of the process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Looked {
    /// Looks at the export, those of earlier processes included as far as they were told.
    looks: u64,
    products: Option<usize>,
    pub(super) last_at: Option<Timestamp>,
    /// What the timeline says: the finding, and how many candidates in powers of two.
    told: Option<(String, u32)>,
}

impl Looked {
    /// The export was read, and held so many products.
    pub(super) fn at_export(&mut self, products: usize, at: Timestamp) {
        self.looks += 1;
        self.products = Some(products);
        self.last_at = Some(at);
    }

    /// Whether the timeline says this already, as near as it needs to.
    fn has_told(&self, found: &str, count: u64) -> bool {
        let known = self.told.as_ref();
        known.is_some_and(|(word, known)| word == found && *known == magnitude(count))
    }

    /// What an earlier process told.
    fn recall(&mut self, detail: &Value, at: Timestamp) {
        let number = |name: &str| detail.get(name).and_then(Value::as_u64);
        self.looks = number("looks").unwrap_or_default();
        self.last_at = Some(at);
        let found = detail.get("found").and_then(Value::as_str);
        let candidates = number("count").unwrap_or_default();
        self.told = found.map(|found| (found.to_owned(), magnitude(candidates)));
    }
}

/// How many, in powers of two: an event for each doubling is enough.
fn magnitude(count: u64) -> u32 {
    u64::BITS - count.leading_zeros()
}

/// A remote job, for people.
pub(super) fn candidate(found: &Unclaimed) -> Value {
    let remote = &found.remote;
    json!({
        "remote_id": remote.remote_id,
        "status": Some(&remote.status).filter(|status| !status.is_empty()),
        "made_at": remote.created_at.or(found.born_at),
        "heard_at": found.heard_at,
        "source": found.source.as_str(),
    })
}

impl Engine {
    /// Nothing fits: said once, and again when something did in between.
    pub(super) fn tell_nothing(
        &mut self,
        key: &LaneKey,
        job: JobId,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get(&job) else {
            return;
        };
        let looked_at = match open.looked.products {
            Some(_) => "export",
            None => "webhooks",
        };
        let why = match looked_at {
            "export" => {
                "no product in the export carries its clientProductId; what is being made, \
                         failed or was not found is never in it"
            }
            _ => "no webhook named a job that nobody knows in the time of this submit",
        };
        self.tell(key, job, ("nothing", looked_at, why), &[], now, draft);
    }

    /// Something fits, and decides nothing.
    pub(super) fn tell_candidates<'a>(
        &mut self,
        key: &LaneKey,
        job: JobId,
        (why, count): (&str, usize),
        candidates: impl FnOnce() -> Vec<&'a Unclaimed>,
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let is_told = |open: &OpenJob| open.looked.has_told("candidates", count as u64);
        if self.open.get(&job).is_none_or(is_told) {
            return;
        }
        let candidates = candidates();
        let looked_at = candidates
            .first()
            .map_or("webhook", |found| found.source.as_str());
        self.tell(
            key,
            job,
            ("candidates", looked_at, why),
            &candidates,
            now,
            draft,
        );
    }

    fn tell(
        &mut self,
        key: &LaneKey,
        job: JobId,
        (found, looked_at, why): (&str, &str, &str),
        candidates: &[&Unclaimed],
        now: Timestamp,
        draft: &mut Draft,
    ) {
        let Some(open) = self.open.get_mut(&job) else {
            return;
        };
        let JobState::InDoubt { why: known, .. } = &open.job.work.state else {
            return;
        };
        let count = candidates.len() as u64;
        if open.looked.has_told(found, count) {
            return;
        }
        // The row's own sentence is why it is in doubt, or what people can choose from.
        let fault = if candidates.is_empty() {
            known.clone()
        } else {
            Fault::new("candidates", sentence(candidates, why))
        };
        let named: Vec<Value> = candidates
            .iter()
            .take(MOST_NAMED)
            .map(|f| candidate(f))
            .collect();
        let detail = json!({
            "looked_at": looked_at,
            "found": found,
            "why": why,
            "looks": open.looked.looks.max(1),
            "products": open.looked.products,
            "count": count,
            "candidates": if named.is_empty() { Value::Null } else { Value::Array(named) },
        });
        let event = Event::OutcomeUnknown {
            submission: open.submission.clone(),
            why: fault,
        };
        if draft.apply_as(open, &event, (LOOKED, detail), key, now) {
            open.looked.told = Some((found.to_owned(), magnitude(count)));
        }
    }

    /// What earlier processes told about the jobs in doubt of a lane.
    pub(super) async fn load_looks(&mut self, key: &LaneKey) -> Result<(), StoreError> {
        let in_doubt: Vec<JobId> = self
            .open
            .values()
            .filter(|open| open.job.work.status() == Status::InDoubt)
            .filter(|open| {
                self.accounts
                    .get(&open.account)
                    .is_some_and(|a| a.lane == *key)
            })
            .map(|open| open.job.id)
            .collect();
        for event in self.store.last_events(&in_doubt, LOOKED).await? {
            let Some(open) = self.open.get_mut(&event.job) else {
                continue;
            };
            if event.submission.as_ref() == Some(&open.submission) {
                open.looked.recall(&event.detail, event.at);
            }
        }
        Ok(())
    }
}

/// The candidates in one sentence, for the row.
fn sentence(candidates: &[&Unclaimed], why: &str) -> String {
    let ids: Vec<&str> = candidates
        .iter()
        .take(MOST_NAMED)
        .map(|found| found.remote.remote_id.as_str())
        .map(|id| {
            if id.is_empty() {
                "one without an id"
            } else {
                id
            }
        })
        .collect();
    let more = candidates.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("it may be {}{more} at the provider: {why}", ids.join(", "))
}
