//! What a history left behind: the tables, the files and the provider's own book, and nothing of
//! what the process had in mind.

use std::collections::BTreeMap;

use domain::{JobKind, Provider, Status};
use store::{DeliverableRow, Job, JobFilter, Spent, Store, SubmissionRow};

use crate::world::World;

/// What a history left behind.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) seed: u64,
    pub(crate) shapes: bool,
    pub(crate) inserted: u64,
    pub(crate) jobs: Vec<Job>,
    pub(crate) deliverables: Vec<DeliverableRow>,
    pub(crate) remote: Vec<sandbox::RemoteJob>,
    pub(crate) violations: Vec<String>,
    pub(crate) charged: BTreeMap<Provider, u64>,
    pub(crate) spent: Vec<Spent>,
    pub(crate) crashes: BTreeMap<&'static str, u64>,
    pub(crate) unanswered: u64,
    pub(crate) stored: BTreeMap<String, String>,
    pub(crate) history: Vec<String>,
    pub(crate) ticks: u64,
    /// Answers 4xx: what the provider did not want from us.
    pub(crate) refused: Vec<String>,
    /// Lost submits whose job was found in an export.
    pub(crate) proven_by_export: usize,
    /// The timeline of all jobs.
    pub(crate) events: Vec<store::EventRow>,
    /// The most requests that ProductAI saw in any minute.
    pub(crate) busiest_minute: usize,
}

impl Summary {
    /// Productions in doubt.
    pub(crate) fn in_doubt_productions(&self) -> usize {
        let productions = self
            .jobs
            .iter()
            .filter(|job| job.id.kind == JobKind::Production);
        productions
            .filter(|job| job.work.status() == Status::InDoubt)
            .count()
    }

    /// The codes of failed jobs.
    pub(crate) fn failures(&self) -> Vec<String> {
        let faults = self.jobs.iter().filter_map(|job| job.work.state.fault());
        faults.map(|fault| fault.code.clone()).collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.jobs.len()
    }

    fn count(&self, wanted: &[Status]) -> usize {
        self.jobs
            .iter()
            .filter(|job| wanted.contains(&job.work.status()))
            .count()
    }

    pub(crate) fn completed(&self) -> usize {
        self.count(&[Status::Completed])
    }

    pub(crate) fn in_doubt(&self) -> usize {
        self.count(&[Status::InDoubt])
    }

    pub(crate) fn open(&self) -> usize {
        self.count(&[
            Status::Pending,
            Status::Submitting,
            Status::Running,
            Status::Capturing,
        ])
    }
}

impl Summary {
    /// Reads what `world` leaves.
    pub(crate) async fn of(world: World) -> Self {
        let ledger = world.provider.ledger();
        let entries = ledger.requests().iter();
        let refused = entries
            .filter(|entry| (400..500).contains(&entry.status))
            .map(|entry| format!("{} {}: {:?}", entry.status, entry.path, entry.reason))
            .collect();
        let violations = ledger
            .violations()
            .map(|(entry, violation)| format!("{} {}: {violation:?}", entry.at_ms, entry.path))
            .collect();
        let busiest_minute = ledger.busiest(60_000, |entry| {
            entry.provider == sandbox::Provider::Productai
        });
        let charged = [
            (Provider::Jakov, sandbox::Provider::Jakov),
            (Provider::Productai, sandbox::Provider::Productai),
            (Provider::Jarai, sandbox::Provider::Jarai),
        ]
        .map(|(ours, theirs)| (ours, ledger.charged(theirs)))
        .into();
        let jobs = jobs(&world.store).await;
        let events = world.store.events_after(0, u32::MAX).await.unwrap();
        let mut deliverables = Vec::new();
        let mut proven_by_export = 0;
        for job in &jobs {
            deliverables.extend(world.store.deliverables(job.id).await.unwrap());
            let rows = world.store.submissions(job.id).await.unwrap();
            proven_by_export += rows.iter().filter(|row| by_export(row)).count();
        }
        Self {
            seed: world.seed,
            shapes: world.shapes,
            inserted: world.inserted,
            jobs,
            deliverables,
            remote: world.provider.jobs(world.now.as_millis()).collect(),
            violations,
            charged,
            spent: world.store.spent().await.unwrap(),
            crashes: world.crashes,
            unanswered: world.unanswered,
            stored: world.stored,
            history: world.history,
            ticks: world.ticks,
            refused,
            proven_by_export,
            events,
            busiest_minute,
        }
    }
}

async fn jobs(store: &Store) -> Vec<Job> {
    let mut jobs = Vec::new();
    for kind in JobKind::ALL {
        let filter = JobFilter {
            kind: Some(kind),
            limit: 100_000,
            ..JobFilter::default()
        };
        jobs.extend(store.list_jobs(&filter).await.unwrap());
    }
    jobs
}

fn by_export(row: &SubmissionRow) -> bool {
    let reason = row.reason.as_ref();
    reason.is_some_and(|why| why.contains("proven by the export"))
}
