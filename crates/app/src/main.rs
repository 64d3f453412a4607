//! The binary `vitrine`: reads what was typed, sets the process up, and says how it ended.

mod caps;
mod cli;
mod commands;
mod config;
mod exit;
mod forecasts;
mod log;
mod opened;
mod output;
mod paces;
mod progress;
mod rests;
mod signals;
mod tally;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    log::install(cli.globals.verbose);
    // sqlx and reqwest share this provider. It is there already only if something else set one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit::conclude(Err(error.into())),
    };
    let outcome = runtime.block_on(commands::dispatch(cli));
    // After a second signal nobody waits for a disk that hangs.
    runtime.shutdown_background();
    exit::conclude(outcome)
}
