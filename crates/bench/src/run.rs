//! What a run leaves, whoever made it: the provider with its own book, and when each job's end was known.

use domain::Timestamp;
use engine::forecast::Forecast;
use sandbox::Sandbox;

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// Who it was, for people.
    pub policy: String,
    /// The provider after the run.
    pub sandbox: Sandbox,
    /// Jobs whose end is known, by the provider's id, with the moment in which it was known here.
    pub known: Vec<(String, Timestamp)>,
    /// Of them, those whose whole result is here.
    pub completed: u64,
    /// Of them, those that failed at the provider.
    pub failed: u64,
    /// Sent, and nobody knows what became of them.
    pub in_doubt: u64,
    /// When the run was over.
    pub ended: Timestamp,
    /// What was said on the way about the end of it.
    pub forecasts: Vec<Foretold>,
}

/// A forecast of the worker's, made within a run.
#[derive(Debug, Clone, Copy)]
pub struct Foretold {
    /// When.
    pub at: Timestamp,
    /// Jobs that were over by then.
    pub over: i64,
    /// What it said.
    pub forecast: Forecast,
}
