//! The account of jobs, the same everywhere: inserted = completed + failed + cancelled + rejected +
//! in doubt + open (DESIGN.md 3.2).

use std::collections::BTreeMap;

use domain::{JobKind, Status};
use serde::Serialize;
use store::Count;

/// The codes with which a row is refused before anything is sent (the table of `domain::request`).
const REJECTIONS: [&str; 23] = [
    "missing_product",
    "missing_project_id",
    "missing_model",
    "missing_prompt",
    "missing_image_url",
    "missing_topic",
    "missing_jarai_account_id",
    "missing_language_id",
    "missing_country_id",
    "missing_avatar_id",
    "ean_digits_lost",
    "unknown_operation",
    "unknown_model",
    "invalid_image_url",
    "two_image_sources",
    "invalid_source_job",
    "too_many_images",
    "upscale_takes_no_prompt",
    "upscale_takes_no_model",
    "upscale_takes_one_image",
    "invalid_uuid",
    "text_too_long",
    "control_character",
];

/// How many jobs stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// The sum of all below.
    pub(crate) jobs: i64,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    pub(crate) cancelled: i64,
    /// Failed before anything was sent: the row asks for what cannot be.
    pub(crate) rejected: i64,
    pub(crate) in_doubt: i64,
    pub(crate) pending: i64,
    pub(crate) submitting: i64,
    pub(crate) running: i64,
    pub(crate) capturing: i64,
    /// Running, and a person at the provider has to approve.
    pub(crate) awaiting_approval: i64,
}

impl Tally {
    /// Counts more jobs.
    pub(crate) fn add(&mut self, count: &Count) {
        self.jobs += count.jobs;
        let rejected = || {
            let code = count.error_code.as_deref();
            code.is_some_and(|code| REJECTIONS.contains(&code))
        };
        let place = match count.status {
            Status::Completed => &mut self.completed,
            Status::Failed if rejected() => &mut self.rejected,
            Status::Failed => &mut self.failed,
            Status::Cancelled => &mut self.cancelled,
            Status::InDoubt => &mut self.in_doubt,
            Status::Pending => &mut self.pending,
            Status::Submitting => &mut self.submitting,
            Status::Running if count.awaiting_approval => &mut self.awaiting_approval,
            Status::Running => &mut self.running,
            Status::Capturing => &mut self.capturing,
        };
        *place += count.jobs;
    }

    /// All of these together.
    pub(crate) fn of<'a>(counts: impl IntoIterator<Item = &'a Count>) -> Self {
        let mut tally = Self::default();
        for count in counts {
            tally.add(count);
        }
        tally
    }

    /// The same, by kind; a kind without jobs is there too.
    pub(crate) fn by_kind(counts: &[Count]) -> BTreeMap<JobKind, Self> {
        let of = |kind| Self::of(counts.iter().filter(|count| count.kind == kind));
        JobKind::ALL.map(|kind| (kind, of(kind))).into()
    }

    /// Not terminal, and not in doubt.
    pub(crate) fn open(&self) -> i64 {
        self.waits_for_nobody() + self.awaiting_approval
    }

    /// Open, and no person at the provider is asked.
    pub(crate) fn waits_for_nobody(&self) -> i64 {
        self.pending + self.submitting + self.running + self.capturing
    }

    /// As far as the worker can bring them: over, or with a person.
    pub(crate) fn ended(&self) -> i64 {
        self.jobs - self.waits_for_nobody()
    }

    /// Ended without a result that anybody asked for.
    pub(crate) fn without_result(&self) -> i64 {
        self.failed + self.rejected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(status: Status, code: Option<&str>, awaiting_approval: bool) -> Count {
        Count {
            kind: JobKind::Production,
            account: None,
            status,
            awaiting_approval,
            error_code: code.map(str::to_owned),
            jobs: 1,
            credits: 0,
            oldest: None,
        }
    }

    #[test]
    fn every_state_has_its_place_and_the_sum_is_all() {
        let mut counts: Vec<Count> = Status::ALL.map(|status| count(status, None, false)).into();
        counts.push(count(Status::Running, None, true));
        counts.push(count(Status::Failed, Some("missing_prompt"), false));
        counts.push(count(Status::Failed, Some("remote_missing"), false));
        let tally = Tally::of(&counts);
        let expected = Tally {
            jobs: 11,
            completed: 1,
            failed: 2,
            cancelled: 1,
            rejected: 1,
            in_doubt: 1,
            pending: 1,
            submitting: 1,
            running: 1,
            capturing: 1,
            awaiting_approval: 1,
        };
        assert_eq!(tally, expected);
        let sum = tally.completed + tally.without_result() + tally.cancelled + tally.in_doubt;
        assert_eq!(tally.jobs, sum + tally.open());
    }

    #[test]
    fn the_codes_are_those_that_the_checks_give() {
        let documented = include_str!("../../domain/src/request.rs");
        for code in REJECTIONS {
            assert!(documented.contains(&format!("`{code}`")), "{code}");
        }
    }
}
