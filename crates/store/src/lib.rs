//! The only SQL of the workspace: jobs, ledger, lanes and inbox in SQLite or PostgreSQL.
//!
//! One [`Store`] over both. Every method is one verb and one transaction, `now` is a parameter, and
//! transactions never leave this crate. The records are in [`model`]; the tables, with what they refuse,
//! are in `migrations/`. No network beyond the database, no decisions: what a row means is `domain`'s.

pub mod model;

mod clocks;
mod columns;
mod commit;
mod counts;
mod db;
mod doubt;
mod error;
mod files;
mod forecasts;
#[cfg(feature = "testing")]
mod fuse;
mod inbox;
mod insert;
mod jobs;
mod lanes;
mod ledger;
mod lengths;
mod migrations;
mod money;
mod news;
mod open;
#[doc(hidden)]
pub mod planted;
mod products;
mod refusals;
mod running;
mod server;
mod sessions;
mod sql;
mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
mod watch;

#[cfg(test)]
mod tests;

pub use clocks::MachineClock;
pub use db::Store;
pub use error::StoreError;
pub use forecasts::{Accepted, Body, ForecastRow, NewForecast, OpenWork, RequestsSent};
#[cfg(feature = "testing")]
pub use fuse::{Fuse, FuseMode};
pub use lanes::{LaneHold, LaneOwner, Look, Member};
pub use migrations::SchemaState;
pub use model::*;
pub use money::Sums;
pub use news::News;
pub use open::{Options, Synchronous};
pub use products::ResultFilter;
pub use refusals::{BatchRefusals, RefusalsChange};
pub use running::Running;
pub use server::{AnotherServer, ServerIdentity, ServerReport};
pub use watch::Watch;
