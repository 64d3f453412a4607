//! What an import says at its end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use catalog::CatalogSummary;
use domain::{Provider, Timestamp};
use serde::Serialize;

use crate::forecasts::{Forecasts, paragraph};

/// Rejected rows that are shown; all are in the file.
const SHOWN: usize = 5;

/// Codes of rows of which no product can be made.
const REJECTIONS: [&str; 2] = ["no_barcode_and_no_name", "unreadable"];

/// All of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) dry_run: bool,
    pub(super) files: Vec<FileReport>,
    /// Jobs by what they make.
    pub(super) jobs: Vec<JobsReport>,
    /// The first jobs as they are, or would be, inserted.
    pub(super) samples: Vec<Sample>,
    /// How long all open work takes with these jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) forecast: Option<Forecasts>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) no_forecast: Option<String>,
}

/// One catalog.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    pub(super) file: String,
    pub(super) batch: String,
    pub(super) format: catalog::Format,
    pub(super) encoding: &'static str,
    pub(super) delimiter: Option<char>,
    /// The columns that were taken, by field.
    pub(super) columns: BTreeMap<&'static str, Vec<String>>,
    #[serde(flatten)]
    pub(super) summary: CatalogSummary,
    /// Products left out because of their id or barcode.
    pub(super) repeated_left_out: u64,
    /// Why products or parts of them are in the file of rejects, by code.
    pub(super) rejects_by_code: BTreeMap<String, u64>,
    pub(super) rejects: Option<PathBuf>,
    /// The first of them: line and reason.
    pub(super) first_rejects: Vec<(u64, String)>,
    /// The first oddities of products that are taken all the same; `codes` counts them.
    pub(super) first_notices: Vec<(u64, String)>,
}

/// The jobs of one sort.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct JobsReport {
    pub(super) operation: &'static str,
    pub(super) account: Option<String>,
    pub(super) provider: Option<Provider>,
    pub(super) model: Option<String>,
    /// What one costs, if anybody states it.
    pub(super) credits_each: Option<i64>,
    /// Jobs that were, or would be, inserted.
    pub(super) new: u64,
    /// Jobs that were there already.
    pub(super) known: u64,
    /// Left out by `--only-missing`: the file has a text.
    pub(super) has_text: u64,
    /// Left out by `--only-missing`: made before, or under way.
    pub(super) has_job: u64,
    /// Products of which it cannot be made.
    pub(super) impossible: u64,
}

/// A job as it is inserted.
#[derive(Debug, Serialize)]
pub(super) struct Sample {
    pub(super) product: String,
    pub(super) operation: &'static str,
    pub(super) asks_for: String,
}

impl Report {
    /// As people read it.
    pub(super) fn words(&self, now: Timestamp) -> String {
        let mut lines: Vec<String> = self.files.iter().flat_map(FileReport::lines).collect();
        lines.extend(self.jobs.iter().map(|jobs| jobs.line(self.dry_run)));
        if self.jobs.len() > 1 {
            lines.extend(self.cost());
        }
        let samples = self.samples.iter();
        lines.extend(samples.map(|sample| {
            let Sample {
                product,
                operation,
                asks_for,
            } = sample;
            format!("  {operation} of {product}: {asks_for}")
        }));
        if let Some(forecast) = &self.forecast {
            let said = paragraph(forecast, now);
            lines.extend(said.map(|said| format!("with all that is open:\n{said}")));
        }
        let missing = self.no_forecast.as_ref();
        lines.extend(missing.map(|why| format!("there is no forecast: {why}")));
        lines.join("\n")
    }

    /// What the new jobs cost, by provider.
    fn cost(&self) -> Option<String> {
        let mut sums: BTreeMap<Provider, u64> = BTreeMap::new();
        for jobs in &self.jobs {
            if let (Some(provider), Some(each)) = (jobs.provider, jobs.credits_each) {
                *sums.entry(provider).or_default() += jobs.new * each.unsigned_abs();
            }
        }
        let words: Vec<String> = sums
            .iter()
            .map(|(at, sum)| format!("{sum} credits at {at}"))
            .collect();
        (!words.is_empty()).then(|| format!("in all: {}", words.join(", ")))
    }
}

impl FileReport {
    fn lines(&self) -> Vec<String> {
        let divided = self
            .delimiter
            .map(|by| format!(", cells divided by {by:?}"));
        let mut lines = vec![format!(
            "{}: {}, {}{}",
            self.file,
            self.format,
            self.encoding,
            divided.unwrap_or_default()
        )];
        let columns = self
            .columns
            .iter()
            .map(|(field, names)| format!("{field} = {}", names.join(" + ")));
        lines.push(format!(
            "  columns: {}",
            columns.collect::<Vec<_>>().join("; ")
        ));
        lines.push(format!("  {}", self.summary));
        let odd = self
            .summary
            .codes
            .iter()
            .filter(|(code, _)| !REJECTIONS.contains(*code));
        let odd: Vec<String> = odd.map(|(code, count)| format!("{count} {code}")).collect();
        if !odd.is_empty() {
            lines.push(format!("  odd, and taken all the same: {}", odd.join(", ")));
            let first = self.first_notices.iter().take(SHOWN);
            lines.extend(first.map(|(line, sentence)| format!("    line {line}: {sentence}")));
        }
        if !self.rejects_by_code.is_empty() && self.rejects.is_none() {
            let codes = self.rejects_by_code.iter();
            let codes: Vec<String> = codes
                .map(|(code, count)| format!("{count} {code}"))
                .collect();
            lines.push(format!("  rejected: {}", codes.join(", ")));
        }
        if let Some(path) = &self.rejects {
            let codes = self.rejects_by_code.iter();
            let codes: Vec<String> = codes
                .map(|(code, count)| format!("{count} {code}"))
                .collect();
            lines.push(format!(
                "  rejected rows are in {}: {}",
                path.display(),
                codes.join(", ")
            ));
        }
        let first = self.first_rejects.iter().take(SHOWN);
        lines.extend(first.map(|(line, reason)| format!("    line {line}: {reason}")));
        lines
    }
}

impl JobsReport {
    fn line(&self, dry_run: bool) -> String {
        let verb = if dry_run {
            "would be inserted"
        } else {
            "inserted"
        };
        let mut words = vec![format!("{}: {} {verb}", self.operation, self.new)];
        let counts = [
            (self.known, "there already"),
            (self.has_text, "with a text in the file"),
            (self.has_job, "made before or under way"),
            (self.impossible, "that cannot be"),
        ];
        let counts = counts.into_iter().filter(|(count, _)| *count > 0);
        words.extend(counts.map(|(count, what)| format!("{count} {what}")));
        if self.new > 0 {
            words.push(match self.credits_each {
                Some(each) => format!("{} credits ({each} each)", self.new * each.unsigned_abs()),
                None => "at a price that is not known".to_owned(),
            });
        }
        if let Some(account) = &self.account {
            words.push(format!("account {account}"));
        }
        words.join(", ")
    }
}
