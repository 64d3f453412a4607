//! What Vitrine is about, without IO and without a clock: the three kinds of job, their states and
//! the one transition function, prices, barcodes, the checks on what a row asks for, and the
//! arithmetic of request windows. Everything takes `now` as a value.

mod budget;
pub mod forecast;
pub mod gtin;
mod inspect;
mod kind;
mod lengths;
mod pace;
pub mod price;
mod provider;
pub mod request;
pub mod spend;
mod state;
mod time;
mod transition;

pub use budget::{Budget, Left, Room, Shape, Slot, Window};
pub use inspect::{Demand, Plan, trial};
pub use kind::{JobId, JobKind, UnknownKind};
pub use lengths::{Curve, Lengths};
pub use pace::Pace;
pub use price::{Model, Models, Prices, UPSCALE_CREDITS};
pub use provider::{Provider, UnknownProvider};
pub use request::{
    Checked, Defaults, DescriptionInput, ImageInput, ImageSource, Input, Invalid, ProductionInput,
    Request,
};
pub use spend::{CapKind, Caps};
pub use state::{Cancel, Fault, JobState, Remote, Status, SubmissionId, UnknownStatus, Work};
pub use time::{BadTimestamp, Timestamp};
pub use transition::{Event, Illegal, Resolution, Verdict, next};
