//! The binary `bench`: reads what was typed, runs it, and prints a table or JSON.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use bench::{BenchError, Files, Latency, Lengths, Report, Scenario, Tier, Trust, Wire};
use clap::{Args, Parser, Subcommand};
use domain::Provider;
use serde::Serialize;
use tokio::runtime::Builder;

const EXAMPLES: &str = "\
Examples:
  bench budget                                     ProductAI, 1,000 jobs, lognormal lengths
  bench budget --lengths bimodal --seed 2
  bench budget --every 60 --jobs 200               an account that idles in between
  bench budget --webhooks --wire 0-3000
  bench budget --webhooks --trust token
  bench budget --provider jakov --batch-size 10
  bench budget --provider jakov --jobs 10000 --webhooks
  bench budget --provider jarai --tier standard --jobs 40
  bench latency                                    from another program's INSERT to the wire
  bench files                                      2,000 files of 1 MB from loopback, beside curl
";

/// Measures Vitrine in virtual time, against the simulated providers at their documented limits.
#[derive(Debug, Parser)]
#[command(name = "bench", before_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What is made of the request budget, beside the documented loop.
    Budget(Budget),
    /// How soon a row that another program inserts is on the wire, in real time.
    Latency(LatencyArgs),
    /// How fast files come home from loopback, in real time, beside what curl makes of it in parallel.
    Files(FilesArgs),
}

#[derive(Debug, Args)]
struct FilesArgs {
    /// How many.
    #[arg(long, default_value_t = 2_000)]
    files: usize,
    /// The bytes of each.
    #[arg(long, default_value_t = 1_000_000)]
    bytes: usize,
    /// Where they are stored; else a temporary folder.
    #[arg(long, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct LatencyArgs {
    /// An empty PostgreSQL database; without one, a SQLite file in a temporary folder.
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Rows, one after another.
    #[arg(long, default_value_t = 500)]
    rows: usize,
    /// The pauses between rows are drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Budget {
    /// productai, jakov or jarai.
    #[arg(long, default_value = "productai")]
    provider: Provider,
    /// ProductAI: how long jobs take.
    #[arg(long, value_enum, default_value_t = Lengths::Lognormal)]
    lengths: Lengths,
    /// Rows; else 1000, JAKOV 20000, JARAI 10.
    #[arg(long)]
    jobs: Option<usize>,
    /// Seconds between one row and the next: with enough of them the account idles in between.
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    every: u64,
    /// The same seed gives the same figures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Milliseconds on the way, each way: a number, or from-to.
    #[arg(long, default_value = "200", value_name = "MS")]
    wire: Wire,
    /// JAKOV: products in one POST.
    #[arg(long, default_value_t = 50)]
    batch_size: usize,
    /// Jobs with the provider at once; else the account's default: 20, JARAI 2000, JAKOV five minutes of submits.
    #[arg(long)]
    max_running: Option<usize>,
    /// The delay that is worth a poll under a backlog, in seconds; else the account's default.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    delay_per_poll: Option<u64>,
    /// JARAI: which limits.
    #[arg(long, value_enum, default_value_t = Tier::Free)]
    tier: Tier,
    /// JARAI: how many days.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// ProductAI, JAKOV: they call our webhook (2 % of the calls lost; ProductAI: 3 % of the jobs end in a call
    /// without an id).
    #[arg(long)]
    webhooks: bool,
    /// ProductAI: what these calls are worth, as the account's webhook_trust says.
    #[arg(long, value_enum, default_value_t = Trust::Verify)]
    trust: Trust,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Budget {
    fn scenario(&self) -> Scenario {
        let usual = Scenario::of(self.provider);
        Scenario {
            lengths: self.lengths,
            jobs: self.jobs.unwrap_or(usual.jobs),
            every_s: self.every,
            seed: self.seed,
            wire: self.wire,
            batch_size: self.batch_size,
            max_running: self
                .max_running
                .unwrap_or_else(|| Scenario::usual_max_running(self.provider, self.batch_size)),
            delay_per_poll: self.delay_per_poll.map(Duration::from_secs),
            tier: self.tier,
            days: self.days,
            webhooks: self.webhooks,
            trust: self.trust,
            ..usual
        }
    }
}

async fn budget(typed: &Budget) -> Result<(), BenchError> {
    let report = Report::of(typed.scenario()).await?;
    print(&report, typed.json)
}

async fn latency(typed: &LatencyArgs) -> Result<(), BenchError> {
    let asked = Latency {
        database: typed.database.clone(),
        rows: typed.rows,
        seed: typed.seed,
    };
    print(&bench::latency(&asked).await?, typed.json)
}

async fn files(typed: &FilesArgs) -> Result<(), BenchError> {
    let asked = Files {
        files: typed.files,
        bytes: typed.bytes,
        dir: typed.dir.clone(),
    };
    print(&bench::files(&asked).await?, typed.json)
}

fn print(report: &(impl Serialize + Display), json: bool) -> Result<(), BenchError> {
    let mut out = io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{report}")?;
    }
    out.flush()?;
    Ok(())
}

/// One thread for virtual time, where the order of things is the order of its clock; several for real time.
fn run(command: &Command) -> Result<(), BenchError> {
    let mut runtime = match command {
        Command::Budget(_) => Builder::new_current_thread(),
        Command::Latency(_) | Command::Files(_) => Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    match command {
        Command::Budget(typed) => runtime.block_on(budget(typed)),
        Command::Latency(typed) => runtime.block_on(latency(typed)),
        Command::Files(typed) => runtime.block_on(files(typed)),
    }
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it had enough.
        Err(BenchError::Machine(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
