//! `vitrine jobs`: look at jobs, or ask the worker to act on them.

mod ask;
mod list;
mod resolve;
mod show;
mod view;

use crate::cli::{Globals, JobsCommand};
use crate::exit::{Code, Failure};
use ask::Wish;

/// Does what was typed after `jobs`.
pub(crate) async fn jobs(globals: &Globals, command: JobsCommand) -> Result<Code, Failure> {
    match command {
        JobsCommand::List(args) => list::list(globals, args).await,
        JobsCommand::Show { job } => show::show(globals, job).await,
        JobsCommand::Cancel { jobs, abandon } => {
            let wish = Wish::cancel(abandon.unwrap_or_default());
            ask::ask(globals, &jobs, &wish).await
        }
        JobsCommand::Retry { jobs } => ask::ask(globals, &jobs, &Wish::retry()).await,
        JobsCommand::Resolve(args) => resolve::resolve(globals, &args).await,
    }
}
