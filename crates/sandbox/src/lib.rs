//! The three providers, simulated on the wire: JAKOV.AI under `/jakov`, ProductAI.photo under
//! `/productai/v1`, JARAI under `/jarai/v1`, and the host of their files under `/files`.
//!
//! It is written from the providers' documents alone and shares no code with the clients, so that
//! one misreading cannot pass both sides. It is strict: what a document forbids is refused or
//! noted, and what no document says varies by seed. `Sandbox` is pure, with time as a value;
//! `serve` puts it behind a socket and a clock.

mod dice;
mod faults;
mod files;
mod jakov;
mod jarai;
mod jobs;
mod journal;
mod ledger;
mod media;
mod options;
mod productai;
mod sandbox;
mod server;
#[cfg(test)]
mod tests;
mod timeline;
mod window;
mod wire;
mod world;

pub use faults::{EVERY_KIND, FaultKind, FaultPlan, FaultRule, When};
pub use jarai::Mail;
pub use jobs::{RemoteFile, RemoteJob};
pub use ledger::{Charge, Ledger, RequestEntry, Summary, Violation};
pub use options::{
    Approval, ErrorBody, ImageFormat, JakovIds, JakovOptions, JakovShape, JakovWrap, JaraiAccount,
    JaraiOptions, JaraiShape, ListEnvelope, LocationForm, ModelPrice, NoCredit, Options,
    ProductaiDialect, ProductaiOptions, ProductaiShape, RetryAfter, Tier,
};
pub use sandbox::Sandbox;
pub use server::{SandboxServer, serve};
pub use wire::{Delivery, Exchange, Provider, Verb};
pub use world::Webhook;
