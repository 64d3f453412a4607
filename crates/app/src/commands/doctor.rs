//! `vitrine doctor`: looks at what a worker's start looks at (keys, database, disks), without working;
//! and takes a person's word that the database's present server is the right one.

use engine::{Clock, SystemClock};
use serde::Serialize;
use store::{AnotherServer, ServerReport, Store, StoreError};

use super::run::reserve;
use crate::cli::{DoctorArgs, Globals};
use crate::config::Config;
use crate::exit::{Code, Failure};
use crate::opened;
use crate::output::{print, print_json, say};

/// All that is shown.
#[derive(Debug, Serialize)]
struct Report {
    database: String,
    /// Why a worker would not start on it.
    unfit: Option<String>,
    server: Option<ServerReport>,
    /// Why submits rest.
    another_server: Option<AnotherServer>,
    disk_low: Option<String>,
    /// Keys that are not there, and why: no worker starts.
    keys: Vec<String>,
}

/// Looks, and accepts.
pub(crate) async fn doctor(globals: &Globals, args: &DoctorArgs) -> Result<Code, Failure> {
    let (config, store) = opened::open(globals).await?;
    if args.accept_database.unwrap_or_default() {
        store.accept_server(SystemClock.now()).await?;
        say("the database's present server is accepted; submits go on within seconds");
    }
    let report = look(&store, &config).await?;
    store.close().await;
    if globals.wants_json() {
        print_json(&report)?;
    } else {
        print(page(&report, globals))?;
    }
    let healthy = report.unfit.is_none()
        && report.another_server.is_none()
        && report.disk_low.is_none()
        && report.keys.is_empty();
    Ok(if healthy { Code::Done } else { Code::Error })
}

async fn look(store: &Store, config: &Config) -> Result<Report, Failure> {
    let (server, unfit) = match store.check_server().await {
        Ok(server) => (Some(server), None),
        Err(StoreError::Unfit { why, .. }) => (None, Some(why)),
        Err(error) => return Err(error.into()),
    };
    Ok(Report {
        database: store.place(),
        unfit,
        server,
        another_server: store.another_server().await?,
        disk_low: reserve(config).low(false),
        keys: config.keyless.clone(),
    })
}

fn page(report: &Report, globals: &Globals) -> String {
    let mut lines = vec![match (&report.server, &report.unfit) {
        (Some(server), _) => format!("ok     {}: {}", report.database, server.version),
        (None, why) => format!(
            "wrong  {}: {}",
            report.database,
            why.as_deref().unwrap_or("")
        ),
    }];
    if let Some(another) = &report.another_server {
        lines.push(format!(
            "wrong  {another}\n  next: compare with the providers' dashboards what was sent since {}, then: {}",
            another.since,
            globals.command("doctor --accept-database")
        ));
    } else if report.server.as_ref().is_some_and(|s| s.identity.is_some()) {
        lines.push("ok     the server is the one that was accepted, or the first".to_owned());
    }
    lines.push(match &report.disk_low {
        Some(why) => format!("wrong  submits rest: {why}"),
        None => "ok     there is room on the disks".to_owned(),
    });
    if report.keys.is_empty() {
        lines.push("ok     every account has its key".to_owned());
    }
    lines.extend(report.keys.iter().map(|why| format!("wrong  {why}")));
    lines.join("\n")
}
