//! What most commands begin with: the config, and a database whose tables are those of this program.

use std::path::{Path, PathBuf};

use store::{Options, SchemaState, Store, StoreError};

use crate::cli::Globals;
use crate::config::{self, Config, ConfigError};
use crate::exit::{Code, Failure};

/// Reads the config that the flags, the environment or the working directory name.
pub(crate) fn load(globals: &Globals) -> Result<Config, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    config::load(globals.config.as_deref(), &environment).map_err(|error| match error {
        ConfigError::Missing { .. } => Failure::from(error).next(globals.command("init")),
        _ => error.into(),
    })
}

/// Config and store; exit code 7 unless the tables are current.
pub(crate) async fn open(globals: &Globals) -> Result<(Config, Store), Failure> {
    let config = load(globals)?;
    let store = existing(&config, globals).await?;
    let state = store.schema().await?;
    match state {
        SchemaState::Current => Ok((config, store)),
        SchemaState::Missing { pending } => {
            let place = store.place();
            let why = format!("{place} needs a migration: {}", pending.join(", "));
            Err(Failure::say(Code::Schema, why).next(globals.command("migrate")))
        }
        SchemaState::Newer { unknown } => Err(StoreError::NewerSchema { unknown }.into()),
    }
}

/// The database, if it is there: commands other than `migrate` make none by mistake.
pub(crate) async fn existing(config: &Config, globals: &Globals) -> Result<Store, Failure> {
    if let Some(file) = sqlite_file(&config.database_url).filter(|file| !file.exists()) {
        let why = format!("there is no database at {}", file.display());
        return Err(Failure::say(Code::Schema, why).next(globals.command("migrate")));
    }
    let options = Options {
        create: false,
        ..Options::default()
    };
    Ok(Store::open(&config.database_url, options).await?)
}

/// The file of a SQLite URL.
pub(crate) fn sqlite_file(url: &str) -> Option<PathBuf> {
    let rest = url.strip_prefix("sqlite:")?;
    let file = rest.strip_prefix("//").unwrap_or(rest);
    Some(Path::new(file).to_path_buf())
}
