//! The benchmark of the request budget: the worker's own planner and store against the sandbox's model
//! of a provider, in virtual time, beside the loops that people write. Floor 3: it measures, and
//! nothing that runs in production depends on it.

mod account;
mod drive;
mod error;
mod files;
mod foretell;
mod latency;
mod measure;
mod naive;
mod report;
mod run;
mod scenario;
#[cfg(test)]
mod tests;

pub use drive::vitrine;
pub use error::BenchError;
pub use files::{Files, FilesReport, files};
pub use latency::{Latency, LatencyReport, Spread, latency};
pub use measure::{Forecast, Measured, Window};
pub use naive::{Loop, naive};
pub use report::Report;
pub use run::{Foretold, Run};
pub use scenario::{Lengths, Scenario, Tier, Trust, Wire};
