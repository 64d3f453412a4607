//! The worker itself: a planner that reads what is due, decides, records and says what to do next,
//! and the hands that do it. The planner does no IO but the store's and holds no clock: the crash
//! simulator drives the same code in virtual time. Floor 2: above `store` and `providers`.

mod account;
mod act;
mod breaker;
mod bring;
mod capture;
mod clock;
mod commands;
mod disk;
mod doubt;
mod draft;
mod fleet;
mod flight;
pub mod forecast;
mod fusion;
mod hands;
mod here;
mod jump;
mod lane;
mod load;
mod money;
mod news;
mod open;
mod open_jobs;
mod outlook;
mod permit;
mod planner;
mod read;
mod recover;
mod refusals;
mod rest;
mod run;
mod smoother;
mod storage;
mod submit;
mod urgency;
mod verify;
mod wishes;

pub use account::{Account, CompleteAt, Limits, Policy, Polling, Timing, WebhookTrust};
pub use act::{Act, CaptureTrouble, FlightId, Plan, Report, Said, Stored, Wanted};
pub use clock::{Clock, SystemClock};
pub use disk::{DiskReserve, DiskWatch};
pub use hands::{Hands, HandsOptions};
pub use here::{Afloat, Here};
pub use jump::{Jump, recall_jump};
pub use outlook::Outlook;
pub use permit::Permit;
pub use planner::Engine;
pub use rest::Rests;
pub use run::{Ended, RunError, RunOptions, run};
pub use storage::{LocalStorage, StorageError};
pub use verify::{Checked, Depth, Object};
