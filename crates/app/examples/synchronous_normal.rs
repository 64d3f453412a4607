//! What `vitrine run --until-idle` would be with a SQLite that does not sync each commit. The tests run
//! it under `strace`, to see that their check of what is synced before what does fail.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use engine::{Clock, DiskReserve, DiskWatch, Hands, LocalStorage, RunOptions, SystemClock};
use store::{Options, Store, Synchronous};
use tokio_util::sync::CancellationToken;

#[path = "../src/config/mod.rs"]
#[expect(dead_code, reason = "the program uses more of it")]
mod config;

#[tokio::main]
async fn main() -> ExitCode {
    match work().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn work() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = config::load(None, &|name| std::env::var(name).ok())?;
    let options = Options {
        create: false,
        sqlite_synchronous: Synchronous::Normal,
        ..Options::default()
    };
    let store = Store::open(&config.database_url, options).await?;
    let storage = LocalStorage::open(&config.storage).await?;
    let clock = Arc::new(SystemClock);
    let (hands, reports) = Hands::new(&config.accounts, storage, clock.clone())?;
    let accounts = config.accounts.iter().map(|(account, _)| account.clone());
    let options = RunOptions {
        until_idle: true,
        in_doubt_wait: config.in_doubt_wait,
        drain_limit: Duration::from_secs(1),
        owner: "a test".to_owned(),
        lease: config.lease,
        disk: DiskWatch::start(DiskReserve {
            places: Vec::new(),
            bytes: 0,
        })
        .await,
        seed: clock.now().as_millis().unsigned_abs(),
        drain: CancellationToken::new(),
        stop: CancellationToken::new(),
    };
    let accounts = accounts.collect();
    engine::run(
        store,
        accounts,
        hands,
        reports,
        clock,
        options,
        &mut |_, _| {},
    )
    .await?;
    Ok(())
}
