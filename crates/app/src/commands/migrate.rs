//! `vitrine migrate`: makes or updates the tables; `migrate status` only looks.

use serde_json::json;
use store::{Options, SchemaState, Store, StoreError};

use crate::cli::{Globals, MigrateOnly};
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json};

/// Migrates, or looks.
pub(crate) async fn migrate(globals: &Globals, only: Option<MigrateOnly>) -> Result<Code, Failure> {
    match only {
        Some(MigrateOnly::Status) => look(globals).await,
        None => change(globals).await,
    }
}

async fn change(globals: &Globals) -> Result<Code, Failure> {
    let config = opened::load(globals)?;
    let store = Store::open(&config.database_url, Options::default()).await?;
    let place = store.place();
    let ran = store.migrate().await?;
    store.close().await;
    if globals.wants_json() {
        print_json(&json!({ "database": place, "ran": ran, "pending": [] }))?;
    } else if ran.is_empty() {
        print(format!("{place} is current: nothing to do"))?;
    } else {
        print(format!("{place}: ran {}", ran.join(", ")))?;
    }
    Ok(Code::Done)
}

async fn look(globals: &Globals) -> Result<Code, Failure> {
    let config = opened::load(globals)?;
    let store = opened::existing(&config, globals).await?;
    let place = store.place();
    let state = store.schema().await?;
    store.close().await;
    let pending = match state {
        SchemaState::Current => Vec::new(),
        SchemaState::Missing { pending } => pending,
        SchemaState::Newer { unknown } => return Err(StoreError::NewerSchema { unknown }.into()),
    };
    if globals.wants_json() {
        print_json(&json!({ "database": place, "pending": pending }))?;
    } else if pending.is_empty() {
        print(format!("{place} is current"))?;
    } else {
        let next = globals.command("migrate");
        print(format!(
            "{place} lacks {}\n  next: {next}",
            pending.join(", ")
        ))?;
    }
    Ok(if pending.is_empty() {
        Code::Done
    } else {
        Code::Schema
    })
}
