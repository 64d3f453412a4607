//! Why a benchmark could not be run.

use store::StoreError;

/// Why a benchmark could not be run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Scenario(String),
    /// The database of the run failed.
    #[error("the benchmark's database failed: {0}")]
    Store(#[from] StoreError),
    /// The machine has no room for a temporary folder, or no runtime.
    #[error("the machine refused: {0}")]
    Machine(#[from] std::io::Error),
    /// The sandbox's address or key cannot be used.
    #[error("the sandbox's account cannot be used: {0}")]
    Endpoint(#[from] providers::BadEndpoint),
}
