//! What people and programs read: the worker beside the loops, and how many times as much.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};
use domain::Provider;
use serde::Serialize;

use crate::drive::vitrine;
use crate::error::BenchError;
use crate::measure::{Measured, measure, over};
use crate::naive::{Loop, naive};
use crate::scenario::Scenario;

/// The loop that somebody writes who cannot wait: so many at once.
const WORKERS: usize = 10;

/// The same scenario, run by the worker and by the loops.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What was run.
    pub scenario: Scenario,
    /// Vitrine first, then the documented loop, then ten of them.
    pub runs: Vec<Measured>,
}

impl Report {
    /// Runs all of them.
    ///
    /// # Errors
    /// If the scenario makes no sense, or the temporary database fails.
    pub async fn of(scenario: Scenario) -> Result<Self, BenchError> {
        let ours = vitrine(&scenario).await?;
        let loops = [Loop::Serial, Loop::Workers(WORKERS)];
        let runs = std::iter::once(ours)
            .chain(loops.map(|policy| naive(&scenario, policy)))
            .map(|run| measure(&scenario, &run))
            .collect();
        Ok(Self { scenario, runs })
    }
}

/// One line of the table.
struct Line {
    name: String,
    /// One value for each run.
    values: Vec<f64>,
    digits: usize,
    /// Whether ours over theirs says something.
    compares: bool,
}

impl Line {
    fn whole(name: &str, values: Vec<f64>) -> Self {
        Self {
            name: name.to_owned(),
            values,
            digits: 0,
            compares: false,
        }
    }

    fn cells(&self) -> Vec<String> {
        let digits = self.digits;
        let ours = self.values.first().copied().unwrap_or_default();
        let mut cells = vec![self.name.clone()];
        for (at, value) in self.values.iter().enumerate() {
            cells.push(format!("{value:.digits$}"));
            if at > 0 {
                let ratio = over(ours, *value);
                let says = self.compares && ratio > 0.0;
                cells.push(if says {
                    format!("x {ratio:.2}")
                } else {
                    String::new()
                });
            }
        }
        cells
    }
}

impl Report {
    fn each(&self, value: impl Fn(&Measured) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }

    fn compared(&self, name: &str, digits: usize, value: impl Fn(&Measured) -> f64) -> Line {
        Line {
            name: name.to_owned(),
            values: self.each(value),
            digits,
            compares: true,
        }
    }

    fn lines(&self) -> Vec<Line> {
        let limit = match (self.scenario.most_per_minute(), self.scenario.most_jobs()) {
            (_, Some(most)) => format!("% of the limit ({most} productions)"),
            (most, None) => {
                let middle = match self.scenario.provider {
                    Provider::Jakov => ", without these ways",
                    Provider::Productai | Provider::Jarai => "",
                };
                let most = most.unwrap_or_default();
                format!("% of the limit ({most} jobs/min{middle})")
            }
        };
        let mut lines = vec![
            self.compared("requests per job", 2, |it| it.requests_per_job),
            self.compared("jobs per minute", 2, |it| it.jobs_per_minute),
            self.compared("  without way up and down", 2, |it| it.sustained_per_minute),
            self.compared(&limit, 1, |it| it.percent_of_limit),
            self.compared("delay p50, s", 1, |it| it.delay_p50),
            self.compared("delay p95, s", 1, |it| it.delay_p95),
            self.compared("delay mean, s", 1, |it| it.delay_mean),
            self.compared("delay p50 of the last 30 %, s", 1, |it| it.delay_p50_last),
        ];
        if self.scenario.provider == Provider::Jakov {
            let name = " % of it while rows waited";
            lines.insert(4, self.compared(name, 1, |it| it.percent_while_waiting));
        }
        let plain = |name: &str, values| Line {
            digits: 1,
            ..Line::whole(name, values)
        };
        lines.extend([
            plain(
                "between polls of a job, p50, s",
                self.each(|it| it.poll_gap_p50),
            ),
            plain(
                "between polls of a job, p95, s",
                self.each(|it| it.poll_gap_p95),
            ),
        ]);
        let ours = self.runs.first().map(|run| run.windows.as_slice());
        for (at, window) in ours.unwrap_or_default().iter().enumerate() {
            let most = self.each(|it| it.windows.get(at).map_or(0.0, |it| it.most as f64));
            let name = format!("most {} (limit {})", window.name, window.limit);
            lines.push(Line::whole(&name, most));
        }
        lines.extend([
            Line::whole("answers 429", self.each(|it| it.answered_429 as f64)),
            Line::whole("polls too early", self.each(|it| it.early_polls as f64)),
            Line::whole("dead links", self.each(|it| it.dead_links as f64)),
            Line::whole("completed", self.each(|it| it.completed as f64)),
            Line::whole("failed", self.each(|it| it.failed as f64)),
            Line::whole("in doubt", self.each(|it| it.in_doubt as f64)),
            Line::whole("not over", self.each(|it| it.unfinished as f64)),
            plain("minutes", self.each(|it| it.minutes)),
        ]);
        lines
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        let mut header = vec![String::new()];
        for (at, run) in self.runs.iter().enumerate() {
            header.push(run.policy.clone());
            if at > 0 {
                header.push("ours/theirs".to_owned());
            }
        }
        table.set_header(header);
        for line in self.lines() {
            table.add_row(line.cells());
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{}", self.scenario.title())?;
        for line in table.to_string().lines() {
            writeln!(f, "{}", line.trim_end())?;
        }
        for said in self.runs.iter().flat_map(|run| &run.forecasts) {
            writeln!(
                f,
                "forecast after {} jobs: {:.1} minutes, took {:.1} ({:+} %)",
                said.over, said.said_minutes, said.took_minutes, said.off_percent
            )?;
        }
        Ok(())
    }
}
