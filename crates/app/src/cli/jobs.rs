//! `vitrine jobs`, as people type it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Subcommand};
use domain::{JobId, JobKind, Status};

pub(super) const JOBS_EXAMPLES: &str = "\
Examples:
  vitrine jobs list --kind image --status failed --limit 20
  vitrine jobs show image:17
  vitrine jobs retry image:17 image:18
";

const RESOLVE_EXAMPLES: &str = "\
Examples:
  vitrine jobs resolve                            what is in doubt, with price and evidence
  vitrine jobs resolve image:17 --adopt 22292     the provider has it, under this id
  vitrine jobs resolve --batch spring --resubmit --dry-run
  vitrine jobs resolve --account shots --give-up --yes
";

/// Of `jobs`.
#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs, by kind and id.
    List(ListArgs),
    /// Everything about one job: inputs, timeline, submissions, deliverables.
    Show {
        /// description:ID, image:ID or production:ID.
        job: JobId,
    },
    /// Ask the worker to cancel jobs.
    Cancel {
        /// description:ID, image:ID or production:ID.
        #[arg(required = true)]
        jobs: Vec<JobId>,
        /// End a running job here although its provider goes on and charges.
        #[arg(long, action = ArgAction::SetTrue)]
        abandon: Option<bool>,
    },
    /// Ask the worker to try failed or cancelled jobs again. What they cost is paid again.
    Retry {
        /// description:ID, image:ID or production:ID.
        #[arg(required = true)]
        jobs: Vec<JobId>,
    },
    /// Show jobs in doubt with price and evidence, or decide about them.
    #[command(before_help = RESOLVE_EXAMPLES)]
    Resolve(ResolveArgs),
}

/// Of `jobs resolve`.
#[derive(Debug, Args)]
pub(crate) struct ResolveArgs {
    /// description:ID, image:ID or production:ID; without any, the jobs in doubt that the filter leaves.
    #[arg(conflicts_with_all = ["all", "DoubtFilter"])]
    pub(crate) jobs: Vec<JobId>,
    /// All jobs in doubt.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) all: Option<bool>,
    #[command(flatten)]
    pub(crate) filter: DoubtFilter,
    #[command(flatten)]
    pub(crate) how: Decision,
    /// Say what would be done, with count and price, and change nothing.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) dry_run: Option<bool>,
    /// Do not ask before deciding about more than one job.
    #[arg(long, short, action = ArgAction::SetTrue)]
    pub(crate) yes: Option<bool>,
}

/// Which jobs in doubt, as `jobs list` filters.
#[derive(Debug, Args)]
#[group(id = "DoubtFilter", multiple = true)]
pub(crate) struct DoubtFilter {
    /// Only this kind.
    #[arg(long, value_parser = kinds())]
    pub(crate) kind: Option<JobKind>,
    /// Only jobs that name this account, or were taken by it.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only this batch.
    #[arg(long)]
    pub(crate) batch: Option<String>,
    /// Only this error code.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only this product (client_product_id).
    #[arg(long)]
    pub(crate) product: Option<String>,
}

impl DoubtFilter {
    /// Whether it leaves anything out.
    pub(crate) fn is_given(&self) -> bool {
        let named = [&self.account, &self.batch, &self.code, &self.product];
        self.kind.is_some() || named.iter().any(|name| name.is_some())
    }
}

/// What is known of a job in doubt.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct Decision {
    /// The provider has it, under this id.
    #[arg(long, value_name = "REMOTE_ID")]
    pub(crate) adopt: Option<String>,
    /// Send it again, knowing that it may be charged twice.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) resubmit: Option<bool>,
    /// Let it fail.
    #[arg(long, action = ArgAction::SetTrue)]
    pub(crate) give_up: Option<bool>,
}

/// Of `jobs list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this kind.
    #[arg(long, value_parser = kinds())]
    pub(crate) kind: Option<JobKind>,
    /// Only this state.
    #[arg(long, value_parser = statuses())]
    pub(crate) status: Option<Status>,
    /// Only jobs that name this account, or were taken by it.
    #[arg(long)]
    pub(crate) account: Option<String>,
    /// Only this batch.
    #[arg(long)]
    pub(crate) batch: Option<String>,
    /// Only this error code.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only this product (client_product_id).
    #[arg(long)]
    pub(crate) product: Option<String>,
    /// Only ids after this one; the way to the next page of one kind.
    #[arg(long, value_name = "ID", requires = "kind")]
    pub(crate) after: Option<i64>,
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) limit: u32,
}

fn kinds() -> impl TypedValueParser<Value = JobKind> {
    PossibleValuesParser::new(JobKind::ALL.map(JobKind::as_str))
        .try_map(|word| word.parse::<JobKind>())
}

pub(super) fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.map(Status::as_str))
        .try_map(|word| word.parse::<Status>())
}
