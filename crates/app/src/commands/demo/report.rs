//! The account at the end of a demo: every row and every job, what it cost by our book and by the
//! provider's, and where to look next.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use domain::{JobKind, Provider};
use sandbox::Summary;
use serde::Serialize;
use store::{Count, Spent};

use super::feed::Fed;
use super::place::DemoPlace;
use crate::commands::run::sentence;
use crate::progress::plural;
use crate::tally::Tally;

/// The account.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    catalog: Rows,
    jobs: Jobs,
    credits: Vec<Credits>,
    /// Requests that the providers counted, over all runs in this folder.
    requests: u64,
    /// Rules of the providers that were broken, by name.
    violations: BTreeMap<String, u64>,
    seconds: f64,
    dir: PathBuf,
    config: PathBuf,
    database: PathBuf,
    files: PathBuf,
    notices: PathBuf,
}

/// rows = products + rejected.
#[derive(Debug, Serialize)]
struct Rows {
    file: String,
    rows: u64,
    products: u64,
    rejected: u64,
    notices: u64,
}

/// inserted = completed + failed + cancelled + rejected + in doubt + open.
#[derive(Debug, Serialize)]
struct Jobs {
    /// Counted when the rows went in, not when the states were counted.
    inserted: u64,
    /// Of them, by this run.
    new: u64,
    /// Whether rows and jobs add up.
    accounted: Accounted,
    total: Tally,
    by_kind: BTreeMap<JobKind, Tally>,
}

/// Whether nothing is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "bool")]
enum Accounted {
    Yes,
    No,
}

impl From<Accounted> for bool {
    fn from(accounted: Accounted) -> Self {
        accounted == Accounted::Yes
    }
}

/// Our book and the provider's, over all runs in this folder.
#[derive(Debug, Serialize)]
struct Credits {
    provider: Provider,
    booked: i64,
    /// For jobs whose outcome is open or unknown.
    reserved: i64,
    charged: u64,
}

impl Report {
    /// Adds everything up.
    pub(super) fn new(
        fed: &Fed,
        counts: &[Count],
        spent: &[Spent],
        book: &Summary,
        place: &DemoPlace,
        seconds: f64,
    ) -> Self {
        let total = Tally::of(counts);
        let summary = &fed.summary;
        let catalog = Rows {
            file: fed.file.clone(),
            rows: summary.rows,
            products: summary.products,
            rejected: summary.rejected,
            notices: fed.notices.total,
        };
        let rows_add_up = catalog.rows == catalog.products + catalog.rejected;
        let accounted = if rows_add_up && u64::try_from(total.jobs) == Ok(fed.inserted) {
            Accounted::Yes
        } else {
            Accounted::No
        };
        Self {
            catalog,
            jobs: Jobs {
                inserted: fed.inserted,
                new: fed.new_jobs,
                accounted,
                total,
                by_kind: Tally::by_kind(counts),
            },
            credits: Provider::ALL.map(|it| credits(it, spent, book)).into(),
            requests: book.requests,
            violations: book.violations.clone(),
            seconds,
            dir: place.dir().to_path_buf(),
            config: place.config(),
            database: place.database(),
            files: place.files(),
            notices: place.notices(),
        }
    }

    /// Whether every job came as far as it can without a person, and nothing is unknown or missing.
    pub(super) fn is_whole(&self) -> bool {
        let total = &self.jobs.total;
        self.jobs.accounted == Accounted::Yes
            && total.waits_for_nobody() == 0
            && total.in_doubt == 0
    }
}

fn credits(provider: Provider, spent: &[Spent], book: &Summary) -> Credits {
    let ours = || spent.iter().filter(|one| one.provider == provider);
    let charged = match provider {
        Provider::Jakov => sandbox::Provider::Jakov,
        Provider::Productai => sandbox::Provider::Productai,
        Provider::Jarai => sandbox::Provider::Jarai,
    };
    Credits {
        provider,
        booked: ours().map(|one| one.credits).sum(),
        reserved: ours().map(|one| one.reserved).sum(),
        charged: book.charged.get(&charged).copied().unwrap_or_default(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rows {
            file,
            rows,
            products,
            rejected,
            notices,
        } = &self.catalog;
        writeln!(
            f,
            "{file}: {rows} rows = {products} products + {rejected} rejected; {notices} notices"
        )?;
        for (kind, tally) in &self.jobs.by_kind {
            writeln!(f, "{}: {}", plural(*kind), sentence(tally))?;
        }
        writeln!(f, "all jobs: {}", sentence(&self.jobs.total))?;
        if self.jobs.accounted == Accounted::No {
            writeln!(f, "NOT ACCOUNTED FOR: {} jobs went in", self.jobs.inserted)?;
        }
        if self.jobs.total.awaiting_approval > 0 {
            let waiting = self.jobs.total.awaiting_approval;
            writeln!(f, "{waiting} productions await approval at the provider")?;
        }
        for one in &self.credits {
            let Credits {
                provider,
                booked,
                reserved,
                charged,
            } = one;
            writeln!(
                f,
                "credits at {provider}: {booked} booked, {reserved} reserved, {charged} charged by the sandbox"
            )?;
        }
        let broken: u64 = self.violations.values().sum();
        writeln!(
            f,
            "{} requests, {broken} of the providers' rules broken, {:.1} s",
            self.requests, self.seconds
        )?;
        self.directions(f)
    }
}

impl Report {
    fn directions(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = self.config.display();
        writeln!(f, "\nfiles     {}", self.files.display())?;
        writeln!(f, "notices   {}", self.notices.display())?;
        writeln!(f, "database  {}", self.database.display())?;
        let program = crate::cli::program();
        writeln!(f, "\nlook at it:")?;
        for command in ["status", "jobs list --status failed", "jobs show image:1"] {
            writeln!(f, "  {program} --config {config} {command}")?;
        }
        Ok(())
    }
}
