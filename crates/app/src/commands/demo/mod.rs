//! `vitrine demo`: the whole job on SQLite against the sandbox in this process: nothing to set up, and
//! nothing to pay. It leaves a folder that the other commands work with.

mod feed;
mod place;
mod plan;
mod report;

use engine::{Clock, Ended, SystemClock};
use sandbox::{Options, SandboxServer, Tier};
use store::Store;
use tokio::net::TcpListener;

use super::run::{Until, work};
use super::sandbox::Keys;
use crate::cli::{DemoArgs, Globals};
use crate::config::{self, Config};
use crate::exit::{Code, Failure};
use crate::output::{print, print_json, say};
use crate::signals::Signals;
use feed::Fed;
use place::DemoPlace;
use report::Report;

/// The label of all jobs of a demo.
const BATCH: &str = "demo";
/// A few products that the simulated JAKOV does not know, as the real one would not.
const NOT_FOUND_SHARE: f64 = 0.01;

/// Does the whole job.
pub(crate) async fn demo(globals: &Globals, args: DemoArgs) -> Result<Code, Failure> {
    let began = SystemClock.now();
    let place = DemoPlace::prepare(args.dir.as_deref())?;
    say(format!("the demo lives in {}", place.dir().display()));
    let signals = Signals::listen()?;
    let server = serve(&args, &place).await?;
    let config = configure(&place, &server, args.speed)?;
    let store = Store::open(&config.database_url, store::Options::default()).await?;
    store.migrate().await?;
    let fed = feed::feed(&store, &args, &place).await?;
    tell(&fed, &place);
    let worked = work(&config, &store, Until::Idle, Some(BATCH), &signals).await?;
    let counts = store.counts(Some(BATCH)).await?;
    let spent = store.spent().await?;
    store.close().await;
    let book = server.with(|sandbox, _| sandbox.ledger().summary());
    server.stop().await;
    let seconds = SystemClock.now().since(began).as_secs_f64();
    let report = Report::new(&fed, &counts, &spent, &book, &place, seconds);
    if globals.wants_json() {
        print_json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(match worked.ended {
        Ended::Drained | Ended::Stopped => Code::Interrupted,
        Ended::Idle(outlook) if !outlook.key_refused.is_empty() => Code::KeyRefused,
        Ended::Idle(_) if report.is_whole() => Code::Done,
        Ended::Idle(_) => Code::Unfinished,
    })
}

/// The sandbox remembers: a demo that was stopped finds its remote jobs again.
async fn serve(args: &DemoArgs, place: &DemoPlace) -> Result<SandboxServer, Failure> {
    let mut options = Options {
        speed: args.speed,
        ..Options::default()
    };
    options.jarai.tier = Tier::Standard;
    options.jakov.not_found_share = NOT_FOUND_SHARE;
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .map_err(|error| Failure::from(error).while_doing("cannot listen on 127.0.0.1"))?;
    let journal = place.journal();
    SandboxServer::start_with_journal(options, listener, Some(&journal)).map_err(|error| {
        Failure::from(error)
            .while_doing("the sandbox cannot start")
            .next("use the --speed of the first run in this folder, or another --dir")
    })
}

/// Writes the config for this sandbox, and reads it as every other command does.
fn configure(place: &DemoPlace, server: &SandboxServer, speed: f64) -> Result<Config, Failure> {
    let keys = Keys::of(&Options::default());
    place.write_config(&server.base_url(), &keys, speed)?;
    // A demo must not touch the database that the environment names.
    let environment = |_: &str| None;
    Ok(config::load(Some(&place.config()), &environment)?)
}

/// What was read, and what is odd about it.
fn tell(fed: &Fed, place: &DemoPlace) {
    /// More would scroll the rest away.
    const SHOWN: usize = 20;
    for notice in fed.notices.first.iter().take(SHOWN) {
        say(format!("line {}: {}", notice.line, notice.sentence));
    }
    let total = fed.notices.total;
    if total > 0 {
        let all = place.notices();
        say(format!("{total} notices in all, each in {}", all.display()));
    }
    say(format!("{} ({}): {}", fed.file, fed.form, fed.summary));
    say(format!("{} new jobs", fed.new_jobs));
}
