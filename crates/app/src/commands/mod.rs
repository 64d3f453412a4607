//! One file per command. Each takes what was typed and gives the exit code, or a failure to be told.

mod accounts;
mod batch;
mod credits;
mod demo;
mod doctor;
mod export;
mod import;
mod init;
mod jobs;
mod migrate;
mod run;
mod sandbox;
mod status;
mod verify;

use crate::cli::{Cli, Command};
use crate::exit::{Code, Failure};

/// Does what was typed.
pub(crate) async fn dispatch(cli: Cli) -> Result<Code, Failure> {
    let globals = &cli.globals;
    // Boxed: the state of the largest command would else lie on the stack of each.
    match cli.command {
        Command::Demo(args) => Box::pin(demo::demo(globals, args)).await,
        Command::Init(args) => init::init(globals, &args),
        Command::Migrate { only } => Box::pin(migrate::migrate(globals, only)).await,
        Command::Run(args) => Box::pin(run::run(globals, &args)).await,
        Command::Import(args) => Box::pin(import::import(globals, &args)).await,
        Command::Export(args) => Box::pin(export::export(globals, &args)).await,
        Command::Jobs(command) => Box::pin(jobs::jobs(globals, command)).await,
        Command::Status(args) => Box::pin(status::status(globals, &args)).await,
        Command::Credits(args) => Box::pin(credits::credits(globals, &args)).await,
        Command::Accounts { command } => Box::pin(accounts::accounts(globals, command)).await,
        Command::Batch { command } => Box::pin(batch::batch(globals, command)).await,
        Command::Verify(args) => Box::pin(verify::verify(globals, &args)).await,
        Command::Doctor(args) => Box::pin(doctor::doctor(globals, &args)).await,
        Command::Sandbox(args) => Box::pin(sandbox::sandbox(globals, &args)).await,
    }
}
