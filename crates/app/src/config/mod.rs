//! `vitrine.toml`: found, read, checked. Everything downstream sees the resolved [`Config`] only.
//!
//! Flags go before the environment, the environment before the file, the file before the defaults.
//! Keys are never in flags or in the file: the file names a variable or another file.

mod pace;
mod raw;
mod resolve;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Provider;
use engine::{Account, HandsOptions};
use secrecy::SecretString;

pub(crate) use resolve::resolve;

/// The file's name in the working directory.
pub(crate) const FILE_NAME: &str = "vitrine.toml";

/// What is wrong with the config, with the place and what to write instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// No file where one was named, or none at all.
    #[error("there is no config at {place}; name one with --config, or write one")]
    Missing {
        /// Where it was looked for.
        place: String,
    },
    /// It cannot be read.
    #[error("cannot read the config {place}: {why}")]
    Unreadable {
        /// Which file.
        place: String,
        /// Why not.
        why: String,
    },
    /// It is no TOML, or has a key that does not exist.
    #[error("the config {place} does not read, {why}")]
    Syntax {
        /// Which file.
        place: String,
        /// Where and what.
        why: String,
    },
    /// A setting cannot be right.
    #[error("{setting}: {why}")]
    Setting {
        /// Its dotted name.
        setting: String,
        /// What is wrong, and what would be right.
        why: String,
    },
}

impl ConfigError {
    pub(crate) fn setting(setting: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Setting {
            setting: setting.into(),
            why: why.into(),
        }
    }
}

/// All that the program needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it came from, for messages.
    pub(crate) source: PathBuf,
    /// The database.
    pub(crate) database_url: String,
    /// The folder of deliverables.
    pub(crate) storage: PathBuf,
    /// What must stay free on the disks that we write to, in bytes.
    pub(crate) reserve: u64,
    /// The accounts, as the engine and the hands want them.
    pub(crate) accounts: Vec<(Account, HandsOptions)>,
    /// All accounts that it names, with or without a key.
    pub(crate) names: BTreeMap<String, Provider>,
    /// Accounts whose key could not be read, and why: commands that send nothing work without.
    pub(crate) keyless: Vec<String>,
    /// Settings that are read and checked, and that this version does not act on yet.
    pub(crate) unenforced: Vec<String>,
    /// How long `run --until-idle` waits for evidence about jobs in doubt.
    pub(crate) in_doubt_wait: Duration,
    /// How long a drain waits for answers on the wire.
    pub(crate) drain_limit: Duration,
    /// PostgreSQL: how long an owner of lanes may show no life.
    pub(crate) lease: Duration,
}

/// What a reader of environment variables sees: the process's, or a test's.
pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Finds the config: a flag, `VITRINE_CONFIG`, or the working directory.
pub(crate) fn find(flag: Option<&Path>, environment: Environment<'_>) -> PathBuf {
    flag.map(Path::to_path_buf)
        .or_else(|| environment("VITRINE_CONFIG").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(FILE_NAME))
}

/// Reads and checks the config.
pub(crate) fn load(
    flag: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Config, ConfigError> {
    let path = find(flag, environment);
    let place = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(ConfigError::Missing { place });
        }
        Err(error) => {
            let why = error.to_string();
            return Err(ConfigError::Unreadable { place, why });
        }
    };
    let raw = raw::parse(&text).map_err(|why| ConfigError::Syntax { place, why })?;
    resolve(raw, &path, environment)
}

/// Reads a secret from a variable or a file, as the config names it.
pub(crate) fn secret(
    setting: &str,
    variable: Option<&str>,
    file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Option<SecretString>, ConfigError> {
    match (variable, file) {
        (Some(_), Some(_)) => Err(ConfigError::setting(
            setting,
            "name a variable or a file, not both",
        )),
        (Some(variable), None) => match environment(variable).filter(|v| !v.trim().is_empty()) {
            Some(value) => Ok(Some(value.into())),
            None => Err(ConfigError::setting(
                setting,
                format!("the environment variable {variable} is not set; export {variable}=…"),
            )),
        },
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(value) if value.trim().is_empty() => Err(ConfigError::setting(
                setting,
                format!("the file {} is empty", file.display()),
            )),
            Ok(value) => Ok(Some(value.trim().to_owned().into())),
            Err(error) => Err(ConfigError::setting(
                setting,
                format!("cannot read {}: {error}", file.display()),
            )),
        },
        (None, None) => Ok(None),
    }
}
