//! What a person sees while the worker works: bars on a terminal, else a plain line now and then.
//!
//! The numbers are counted in the database, not guessed from what passes by, so they are the same as
//! those of `vitrine status`.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use domain::JobKind;
use engine::{Clock, SystemClock};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use store::Store;
use tokio::task::JoinSet;
use tracing_subscriber::fmt::MakeWriter;

use crate::output::say;
use crate::tally::Tally;

/// How often bars move.
const BARS: Duration = Duration::from_millis(500);
/// How often a line is printed where there are no bars.
const LINES: Duration = Duration::from_secs(5);
/// Counting may take this share of the time at most: a table of millions takes a while.
const COUNTING_SHARE: u32 = 20;

/// The bars of this process, where a line in between has to move them aside.
fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Shows progress as long as it lives.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Ends with this.
    _counter: JoinSet<()>,
    bars: BTreeMap<JobKind, ProgressBar>,
}

impl Progress {
    /// Counts the jobs of this batch, or all, from now on.
    pub(crate) fn start(store: Store, batch: Option<String>) -> Self {
        let mut counter = JoinSet::new();
        let on_terminal = io::stderr().is_terminal();
        let shown = if on_terminal {
            make_bars()
        } else {
            BTreeMap::new()
        };
        let bars = shown.clone();
        counter.spawn(async move {
            let mut last = BTreeMap::new();
            loop {
                let began = SystemClock.now();
                match store.counts(batch.as_deref()).await {
                    Ok(counts) => {
                        let tallies = Tally::by_kind(&counts);
                        if on_terminal {
                            move_bars(&bars, &tallies);
                        } else if tallies != last {
                            say(line(&tallies));
                        }
                        last = tallies;
                    }
                    Err(error) => tracing::debug!(%error, "the jobs cannot be counted now"),
                }
                let took = SystemClock.now().since(began);
                let pause = if on_terminal { BARS } else { LINES };
                tokio::time::sleep(pause.max(took * COUNTING_SHARE)).await;
            }
        });
        Self {
            _counter: counter,
            bars: shown,
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        for bar in self.bars.values() {
            bar.finish_and_clear();
        }
    }
}

fn make_bars() -> BTreeMap<JobKind, ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:>13} {bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let make = |kind: JobKind| {
        let bar = bars().add(ProgressBar::new(0).with_style(style.clone()));
        bar.set_prefix(plural(kind));
        (kind, bar)
    };
    JobKind::ALL.map(make).into()
}

fn move_bars(bars: &BTreeMap<JobKind, ProgressBar>, tallies: &BTreeMap<JobKind, Tally>) {
    for (kind, bar) in bars {
        let Some(tally) = tallies.get(kind) else {
            continue;
        };
        bar.set_length(u64::try_from(tally.jobs).unwrap_or(0));
        bar.set_position(u64::try_from(tally.ended()).unwrap_or(0));
        bar.set_message(remarks(tally).join(", "));
    }
}

/// What is not plainly done, in words.
fn remarks(tally: &Tally) -> Vec<String> {
    [
        (tally.submitting, "submitting"),
        (tally.running, "running"),
        (tally.capturing, "capturing"),
        (tally.awaiting_approval, "awaiting approval"),
        (tally.in_doubt, "in doubt"),
        (tally.failed, "failed"),
        (tally.rejected, "rejected"),
        (tally.cancelled, "cancelled"),
    ]
    .into_iter()
    .filter(|(jobs, _)| *jobs > 0)
    .map(|(jobs, what)| format!("{jobs} {what}"))
    .collect()
}

/// All kinds in a line.
fn line(tallies: &BTreeMap<JobKind, Tally>) -> String {
    let part = |(kind, tally): (&JobKind, &Tally)| {
        let mut text = format!("{} {}/{}", plural(*kind), tally.ended(), tally.jobs);
        let remarks = remarks(tally);
        if !remarks.is_empty() {
            text += &format!(" ({})", remarks.join(", "));
        }
        text
    };
    let parts: Vec<String> = tallies
        .iter()
        .filter(|(_, tally)| tally.jobs > 0)
        .map(part)
        .collect();
    if parts.is_empty() {
        "no jobs".to_owned()
    } else {
        parts.join(" · ")
    }
}

/// The kind as a heading.
pub(crate) fn plural(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Description => "descriptions",
        JobKind::Image => "images",
        JobKind::Production => "productions",
    }
}

/// stderr for log lines: bars step aside for each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        bars().suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}

impl MakeWriter<'_> for Stderr {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_is_not_plainly_done() {
        let tally = Tally {
            jobs: 24,
            completed: 20,
            failed: 1,
            running: 3,
            ..Tally::default()
        };
        let tallies = BTreeMap::from([
            (JobKind::Description, tally),
            (JobKind::Production, Tally::default()),
        ]);
        insta::assert_snapshot!(line(&tallies), @"descriptions 21/24 (3 running, 1 failed)");
        insta::assert_snapshot!(line(&BTreeMap::new()), @"no jobs");
    }
}
