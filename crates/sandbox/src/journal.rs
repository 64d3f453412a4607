//! The journal of a served sandbox: one JSON line for everything that changes its state, written
//! before it is done. The model is deterministic, so the lines are its whole memory, and a process
//! that was killed finds its remote jobs again.
//!
//! It owns the file and its lines; what a line does to the model is in `server::kept`. Nothing is
//! synced to disk: a killed process loses none of what it wrote, and a lost machine is out of scope.

use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use crate::options::Options;
use crate::wire::Provider;

/// The only edition of the format so far.
const EDITION: u32 = 1;

/// The first line: what the history was drawn from.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    journal: u32,
    seed: u64,
    /// As text, which comes back bit by bit.
    speed: String,
    /// Where the first start served, for a reader; a later start may serve elsewhere.
    base_url: String,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Provider time, Unix milliseconds; it never runs backwards from line to line.
    pub(crate) at_ms: i64,
    pub(crate) event: Event,
}

/// What changes a sandbox.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// A request on a provider's wire, whatever its answer.
    Request(Recorded),
    /// The webhooks that were due have been taken for sending.
    Webhooks,
    WebhookAnswered {
        delivery_no: u64,
        status: Option<u16>,
    },
    AnswerLost {
        request_no: u64,
    },
    Approve {
        production: String,
    },
    Reject {
        production: String,
    },
    TopUp {
        provider: Provider,
        credits: u64,
    },
}

/// A request as it arrived.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// In order of arrival; bytes that are no UTF-8 are replaced, and no rule reads such a value.
    pub(crate) headers: Vec<(String, String)>,
    /// In base64.
    pub(crate) body: String,
}

/// An open journal; no other process has it.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// Set when a half-written line could not be taken away again.
    broken: bool,
}

impl Journal {
    /// Opens or begins the journal at `path`, and answers the lines that it holds already. A last
    /// line without its end was never acted on, and is dropped.
    ///
    /// # Errors
    /// When the file cannot be read or written, is in use, holds something else, or was written
    /// with another seed or speed.
    pub(crate) fn open(path: &Path, options: &Options) -> io::Result<(Self, Vec<Line>)> {
        let mut file = open_private(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let text = format!("the journal {} is in use", path.display());
                return Err(io::Error::new(io::ErrorKind::WouldBlock, text));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes
            .iter()
            .rposition(|&it| it == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64)?;
            bytes.truncate(whole);
        }
        let mut journal = Self {
            file,
            length: whole as u64,
            broken: false,
        };
        let wrong = |number: usize, text: String| {
            let text = format!("line {number} of the journal {}: {text}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let mut texts = (1..).zip(bytes.split(|&it| it == b'\n').filter(|it| !it.is_empty()));
        let Some((number, first)) = texts.next() else {
            journal.write(&Head::of(options))?;
            return Ok((journal, Vec::new()));
        };
        let head: Head =
            serde_json::from_slice(first).map_err(|error| wrong(number, error.to_string()))?;
        head.check(options).map_err(|text| wrong(number, text))?;
        let lines = texts.map(|(number, text)| {
            serde_json::from_slice(text).map_err(|error| wrong(number, error.to_string()))
        });
        let lines = lines.collect::<io::Result<_>>()?;
        Ok((journal, lines))
    }

    /// Writes one line at the end.
    ///
    /// # Errors
    /// When it could not be written; then nothing of it stays.
    pub(crate) fn append(&mut self, line: &Line) -> io::Result<()> {
        self.write(line)
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the journal ends in half a line"));
        }
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        if let Err(error) = self.file.write_all(&bytes) {
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }
}

impl Head {
    fn of(options: &Options) -> Self {
        Self {
            journal: EDITION,
            seed: options.seed,
            speed: options.speed.to_string(),
            base_url: options.base_url.clone(),
        }
    }

    fn check(&self, options: &Options) -> Result<(), String> {
        let now = Self::of(options);
        let differs = |what: &str, then: &str, now: &str| {
            Err(format!(
                "it was written with {what} {then}, and this start has {now}"
            ))
        };
        if self.journal != now.journal {
            return differs(
                "edition",
                &self.journal.to_string(),
                &now.journal.to_string(),
            );
        }
        if self.seed != now.seed {
            return differs("seed", &self.seed.to_string(), &now.seed.to_string());
        }
        if self.speed != now.speed {
            return differs("speed", &self.speed, &now.speed);
        }
        Ok(())
    }
}

/// The lines hold what callers sent, keys among it: nobody else may read them.
fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        let text = format!("the journal {} cannot be opened: {error}", path.display());
        io::Error::new(error.kind(), text)
    })
}
