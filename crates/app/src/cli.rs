//! What people type. Parsing only: the commands are in `commands`.

mod catalogs;
mod jobs;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use catalogs::{EXPORT_EXAMPLES, IMPORT_EXAMPLES};
pub(crate) use catalogs::{ExportArgs, ExportFormat, ExportRows, ImportArgs};
use jobs::JOBS_EXAMPLES;
pub(crate) use jobs::{Decision, DoubtFilter, JobsCommand, ListArgs, ResolveArgs};

const EXAMPLES: &str = "\
Examples:
  vitrine demo                      the whole job against a simulator, nothing to set up
  vitrine init                      write vitrine.toml
  vitrine migrate                   make or update the tables
  vitrine import products.csv --describe
  vitrine run --until-idle          work until nothing is left to do
  vitrine jobs list --status failed
";

const ACCOUNTS_EXAMPLES: &str = "\
Examples:
  vitrine accounts                                which accounts there are, and what rests
  vitrine accounts pause shots --reason \"the prompt is wrong\"
  vitrine accounts resume shots
";

const BATCH_EXAMPLES: &str = "\
Examples:
  vitrine batch                                   batches whose jobs are refused, and which are paused
  vitrine batch resume spring
  vitrine batch manifest spring --json            its files, with hashes, types and sizes
";

const VERIFY_EXAMPLES: &str = "\
Examples:
  vitrine verify                                  every file is read and hashed
  vitrine verify --quick                          only whether it is there and as long as it was
  vitrine verify --orphans                        files that no row names, too
  vitrine verify --remove-orphans
";

const DEMO_EXAMPLES: &str = "\
Examples:
  vitrine demo                      a catalog of made-up products
  vitrine demo products.csv         your own, made by the simulator: nothing is paid
  vitrine demo products.csv --dir /tmp/shop --limit 100
";

/// Durable worker for product texts, images and videos.
#[derive(Debug, Parser)]
#[command(name = "vitrine", version, before_help = EXAMPLES, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 error, 2 usage, 3 finished and some jobs failed or are in \
    doubt, 4 a key was refused, 6 config invalid, 7 the schema needs a migration, 8 a spend cap was \
    reached, 130 interrupted."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that stand before or after the command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Globals {
    /// The config; else VITRINE_CONFIG, else vitrine.toml in the working directory.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// Print data as JSON on stdout.
    #[arg(long, global = true, action = ArgAction::SetTrue)]
    json: Option<bool>,
    /// Say more on stderr; twice and three times for even more. VITRINE_LOG sets a filter.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Globals {
    /// Whether programs read the output.
    pub(crate) fn wants_json(&self) -> bool {
        self.json.unwrap_or_default()
    }

    /// A command to type that uses the same config.
    pub(crate) fn command(&self, rest: &str) -> String {
        match &self.config {
            Some(config) => format!("{} --config {} {rest}", program(), config.display()),
            None => format!("{} {rest}", program()),
        }
    }
}

/// The program as it was called, so that a command that is shown can be typed: `vitrine` where it is
/// installed, a path where it was called by one (`cargo run` does).
pub(crate) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let by_path = called.contains('/') && called.ends_with("vitrine");
    if by_path {
        called
    } else {
        "vitrine".to_owned()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Do the whole job against the simulated providers: nothing to set up, nothing to pay.
    #[command(before_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Write a config to fill in.
    Init(InitArgs),
    /// Make or update the tables of the database.
    Migrate {
        /// Only look.
        #[command(subcommand)]
        only: Option<MigrateOnly>,
    },
    /// Work: submit, poll, capture, until stopped.
    Run(RunArgs),
    /// Bring in a shop's catalog: what should be made of its products becomes jobs.
    #[command(before_help = IMPORT_EXAMPLES)]
    Import(Box<ImportArgs>),
    /// Write results for people, programs and shops.
    #[command(before_help = EXPORT_EXAMPLES)]
    Export(Box<ExportArgs>),
    /// Look at jobs, or act on them.
    #[command(subcommand, before_help = JOBS_EXAMPLES)]
    Jobs(JobsCommand),
    /// How many jobs stand where, what waits for whom, and what it cost.
    Status(StatusArgs),
    /// What accounts have spent, how full their caps are, and whether they rest.
    Credits(CreditsArgs),
    /// Which accounts there are and what rests; pause one, or let it go on.
    #[command(before_help = ACCOUNTS_EXAMPLES)]
    Accounts {
        /// Without one: list.
        #[command(subcommand)]
        command: Option<AccountsCommand>,
    },
    /// Which batches have jobs that were refused in a row; let one that is paused for it go on.
    #[command(before_help = BATCH_EXAMPLES)]
    Batch {
        /// Without one: list.
        #[command(subcommand)]
        command: Option<BatchCommand>,
    },
    /// Hold the storage against its rows: every row has its file, and every file is what was captured.
    #[command(before_help = VERIFY_EXAMPLES)]
    Verify(VerifyArgs),
    /// Look at what the start of a worker looks at: the keys, the database's server, the disks.
    Doctor(DoctorArgs),
    /// Serve the three simulated providers.
    Sandbox(SandboxArgs),
}

/// Of `migrate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum MigrateOnly {
    /// Say what is missing, and change nothing: exit code 7 if something is.
    Status,
}

/// Of `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Replace a config that is there.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) force: Option<bool>,
    /// For a running `vitrine sandbox` instead of the real providers: its base URL.
    #[arg(long, value_name = "URL")]
    pub(crate) sandbox: Option<url::Url>,
    /// How many times faster than real time that sandbox runs.
    #[arg(long, value_name = "N", requires = "sandbox", default_value_t = 1.0, value_parser = speed)]
    pub(crate) speed: f64,
}

/// Of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// End when nothing is left that can go on by itself. Exit code 3 if jobs failed in this run, or
    /// are in doubt, or wait for credits or for an account that the config does not have; 8 if what is
    /// left waits only for a spending cap.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) until_idle: Option<bool>,
}

/// Of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only the jobs of this batch.
    #[arg(long)]
    pub(crate) batch: Option<String>,
}

/// Of `credits`.
#[derive(Debug, Args)]
pub(crate) struct CreditsArgs {
    /// Only this account.
    pub(crate) account: Option<String>,
    /// There are credits again: submits that rest for want of them go on.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) resume: Option<bool>,
    /// Ask the running worker for the provider's own balance, where one is documented (JAKOV): one
    /// request.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "resume")]
    pub(crate) balance: Option<bool>,
}

/// Of `accounts`.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountsCommand {
    /// List the config's accounts, with what rests of them and why.
    List,
    /// Submit nothing for these accounts until somebody resumes them. What is at the providers is followed,
    /// and comes home.
    Pause {
        /// As the config names them.
        #[arg(required = true, value_name = "ACCOUNT")]
        accounts: Vec<String>,
        /// Why, for those who look.
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: Option<String>,
    },
    /// Let these accounts go on, after a pause or when what failed is mended: a refused key, an outage,
    /// credits. What a provider asked to wait for is still waited for.
    Resume {
        /// As the config names them.
        #[arg(required = true, value_name = "ACCOUNT")]
        accounts: Vec<String>,
        /// Only believe webhooks again, after one was found to be forged and the path was changed.
        #[arg(long, action = ArgAction::SetTrue)]
        webhooks: Option<bool>,
    },
}

/// Of `batch`.
#[derive(Debug, Subcommand)]
pub(crate) enum BatchCommand {
    /// List the batches whose last jobs were refused. The twentieth refusal in a row pauses a batch.
    List,
    /// Let batches that are paused go on, when what was wrong with their rows is mended. What was refused
    /// stays failed: see `jobs retry`.
    Resume {
        /// As the rows name them.
        #[arg(required = true, value_name = "BATCH")]
        batches: Vec<String>,
        /// Only the jobs of this account.
        #[arg(long)]
        account: Option<String>,
    },
    /// List the files of a batch: where each is, its hash, length and type, and what its header says of its
    /// size or length.
    Manifest {
        /// As the rows name it.
        batch: String,
    },
}

/// Of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Only the files of this batch.
    #[arg(long)]
    pub(crate) batch: Option<String>,
    /// Do not read the files: only whether they are there and as long as they were.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) quick: Option<bool>,
    /// List the files of the storage that no row names and that are older than an hour.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "batch")]
    pub(crate) orphans: Option<bool>,
    /// Remove them.
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "batch")]
    pub(crate) remove_orphans: Option<bool>,
}

/// Of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The database's present server (a promoted replica, a restored backup) has all that was sent to
    /// the providers: submits may go on.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) accept_database: Option<bool>,
}

/// Of `sandbox`.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:7799")]
    pub(crate) listen: SocketAddr,
    /// Durations, ids and faults are drawn from it.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many times faster than real time.
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Share of requests that go wrong, for each kind of fault: 0 to 0.5.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub(crate) faults: f64,
    /// Keep all that ever happens in this file, and go on where it ends: it survives a kill.
    #[arg(long, value_name = "FILE")]
    pub(crate) journal: Option<PathBuf>,
    /// Answer in one of the shapes that the documents allow, chosen by the seed, with a few jobs that
    /// fail; else in the shape of the documents' samples.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) vary: Option<bool>,
}

/// Of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// A catalog: CSV, TSV, or what a shop exports. Without it, some made-up products.
    pub(crate) file: Option<PathBuf>,
    /// Where database, files and config go; again with the same folder continues there. Without it, a
    /// new folder for temporary files.
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// How many times faster than real time the simulated providers are.
    #[arg(long, value_name = "N", default_value_t = 200.0, value_parser = speed)]
    pub(crate) speed: f64,
    /// Read at most so many rows of the catalog.
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<u64>,
}

/// The named CHECK of the table.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("say why, or leave --reason out".to_owned()),
        1..=1_000 => Ok(text.to_owned()),
        _ => Err("write at most 1,000 characters".to_owned()),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    number_within(text, 0.01, 10_000.0)
}

fn share(text: &str) -> Result<f64, String> {
    number_within(text, 0.0, 0.5)
}

fn number_within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("write a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn usage_error(words: &[&str]) -> clap::Error {
        Cli::try_parse_from(std::iter::once("vitrine").chain(words.iter().copied())).unwrap_err()
    }

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for words in [
            ["vitrine", "--json", "--config", "a.toml", "-v", "status"],
            ["vitrine", "status", "-v", "--config", "a.toml", "--json"],
        ] {
            let cli = Cli::try_parse_from(words).unwrap();
            assert!(cli.globals.wants_json());
            assert_eq!(cli.globals.verbose, 1);
            assert_eq!(cli.globals.command("run"), "vitrine --config a.toml run");
        }
    }

    #[test]
    fn a_mistyped_word_is_answered_with_the_nearest_and_exit_code_2() {
        for (words, nearest) in [
            (&["statsu"][..], "status"),
            (&["jobs", "lst"], "list"),
            (&["run", "--until-idel"], "--until-idle"),
            (&["jobs", "list", "--status", "faild"], "failed"),
            (&["jobs", "list", "--kind", "imag"], "image"),
        ] {
            let error = usage_error(words);
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(nearest), "{error}");
        }
    }

    #[test]
    fn a_job_is_named_by_kind_and_id() {
        assert_eq!(usage_error(&["jobs", "show", "17"]).exit_code(), 2);
        let said = usage_error(&["jobs", "show", "17"]).to_string();
        assert!(said.contains("write description:ID"), "{said}");
    }

    #[test]
    fn a_doubt_is_resolved_in_exactly_one_way() {
        for words in [
            &["jobs", "resolve", "image:1", "--resubmit", "--give-up"][..],
            &["jobs", "resolve", "image:1", "--all", "--resubmit"],
            &["jobs", "resolve", "image:1", "--batch", "b", "--resubmit"],
        ] {
            assert_eq!(usage_error(words).exit_code(), 2);
        }
    }

    #[test]
    fn the_help_begins_with_examples() {
        let help = Cli::command().term_width(100).render_help().to_string();
        insta::assert_snapshot!(help);
    }
}
