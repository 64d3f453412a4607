//! How the program ends: the documented exit codes, and what is said on stderr before.
//!
//! A message says what happened, why (the chain of sources), and the next command to type.

use std::fmt;
use std::io;
use std::process::ExitCode;

use engine::RunError;
use store::StoreError;

use crate::config::ConfigError;

/// The exit codes, which scripts rely on (DESIGN.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// All is done.
    Done = 0,
    /// It did not work.
    Error = 1,
    /// What was typed cannot be meant, and that shows only when a file was read. (Else clap says so.)
    Usage = 2,
    /// It ran to its end, and jobs failed, are in doubt, or wait for credits or for an account.
    Unfinished = 3,
    /// A provider refused a key.
    KeyRefused = 4,
    /// The config is missing or wrong.
    Config = 6,
    /// The database needs a migration, or a newer program.
    Schema = 7,
    /// What is left waits only for a spending cap.
    CapReached = 8,
    /// Somebody pressed Ctrl-C.
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    error: anyhow::Error,
    next: Option<String>,
}

impl Failure {
    /// A failure that ends with this code.
    pub(crate) fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self {
            code,
            error: error.into(),
            next: None,
        }
    }

    /// A failure in a sentence.
    pub(crate) fn say(code: Code, sentence: impl fmt::Display) -> Self {
        Self::new(code, anyhow::anyhow!("{sentence}"))
    }

    /// What to type next.
    pub(crate) fn next(mut self, command: impl Into<String>) -> Self {
        self.next = Some(command.into());
        self
    }

    /// What was being done.
    pub(crate) fn while_doing(mut self, what: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(what);
        self
    }

    /// The code that the process ends with.
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.error)?;
        let mut said = self.error.to_string();
        for source in self.error.chain().skip(1) {
            let why = source.to_string();
            // Some errors repeat their source; people need it once.
            if !said.contains(&why) {
                write!(f, "\n  why: {why}")?;
            }
            said = why;
        }
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::new(Code::Config, error);
        match failure.error.downcast_ref() {
            Some(ConfigError::Missing { .. }) => failure.next("vitrine init"),
            _ => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NeedsMigration => Self::new(Code::Schema, error).next("vitrine migrate"),
            StoreError::NewerSchema { .. } => Self::new(Code::Schema, error),
            StoreError::CannotOpen { .. } => Self::new(Code::Error, error).next(
                "start the database's server, or mend database.url in the config (or VITRINE_DATABASE_URL)",
            ),
            StoreError::ReadOnly { .. } => Self::new(Code::Error, error)
                .next("give this user the right to write the file and its folder"),
            StoreError::Held { .. } => {
                Self::new(Code::Error, error).next("vitrine status (reading works beside it)")
            }
            _ => Self::new(Code::Error, error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Held(error) => Self::from(error),
            RunError::Store(error) => Self::from(error).while_doing("the worker had to stop"),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Who read our output has gone (`| head`): that is its right, and no failure of ours.
            io::ErrorKind::BrokenPipe => Self::new(Code::Done, error),
            _ => Self::new(Code::Error, error),
        }
    }
}

/// Says what has to be said, and gives the exit code.
pub(crate) fn conclude(outcome: Result<Code, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            if failure.code() != Code::Done {
                crate::output::say(&failure);
            }
            failure.code().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_config_says_what_to_type() {
        let error = ConfigError::Missing {
            place: "vitrine.toml".into(),
        };
        let failure = Failure::from(error);
        assert_eq!(failure.code(), Code::Config);
        insta::assert_snapshot!(failure, @r"
        error: there is no config at vitrine.toml; name one with --config, or write one
          next: vitrine init
        ");
    }

    #[test]
    fn a_chain_of_causes_is_told_once_each() {
        let cause = StoreError::ReadOnly {
            place: "sqlite://shop.db".into(),
        };
        let failure = Failure::from(RunError::Store(cause));
        insta::assert_snapshot!(failure, @r"
        error: the worker had to stop
          why: the database sqlite://shop.db is read-only
          next: give this user the right to write the file and its folder
        ");
    }

    #[test]
    fn every_trouble_has_its_documented_code() {
        let cases = [
            (Failure::from(StoreError::NeedsMigration), 7),
            (
                Failure::from(StoreError::NewerSchema {
                    unknown: vec!["0009 x".into()],
                }),
                7,
            ),
            (
                Failure::from(StoreError::Held {
                    by: "1@host".into(),
                }),
                1,
            ),
            (Failure::from(ConfigError::setting("a", "b")), 6),
            (Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.code() as u8, code, "{failure}");
        }
    }
}
