//! `vitrine init`: writes a config to fill in, and nothing else.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use url::Url;

use crate::cli::{Globals, InitArgs};
use crate::config;
use crate::exit::{Code, Failure};
use crate::output::say;

/// The config for the real providers.
const REAL: &str = include_str!("init.toml");

/// Writes the config.
pub(crate) fn init(globals: &Globals, args: &InitArgs) -> Result<Code, Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let path = config::find(globals.config.as_deref(), &environment);
    let text = match &args.sandbox {
        None => REAL.to_owned(),
        Some(url) => sandbox_config(url, args.speed)?,
    };
    write(&path, &text, args.force.unwrap_or_default()).map_err(|error| match error {
        NotWritten::IsThere(why) => why.next(globals.command(&replacing(args))),
        NotWritten::Cannot(why) => why,
    })?;
    let first = match &args.sandbox {
        None => "name your accounts in it, export",
        Some(_) => "export",
    };
    say(format!(
        "wrote {}\n  next: {first} the keys that it names, then: {}",
        path.display(),
        globals.command("migrate")
    ));
    Ok(Code::Done)
}

/// The same command once more, which replaces the file.
fn replacing(args: &InitArgs) -> String {
    match &args.sandbox {
        None => "init --force".to_owned(),
        Some(url) => format!("init --force --sandbox {url} --speed {}", args.speed),
    }
}

/// Why there is no new config.
#[derive(Debug)]
enum NotWritten {
    /// There is one already.
    IsThere(Failure),
    /// The file system says no.
    Cannot(Failure),
}

fn write(path: &Path, text: &str, replace: impl Into<Replace>) -> Result<(), NotWritten> {
    let mut options = OpenOptions::new();
    options.write(true);
    match replace.into() {
        Replace::Yes => options.create(true).truncate(true),
        Replace::No => options.create_new(true),
    };
    let place = path.display().to_string();
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => NotWritten::IsThere(Failure::say(
            Code::Error,
            format!("{place} is there already; nothing was written"),
        )),
        _ => {
            let failure = Failure::from(error).while_doing(format!("cannot write {place}"));
            NotWritten::Cannot(failure)
        }
    })
}

/// Whether a file that is there may go.
#[derive(Debug, Clone, Copy)]
enum Replace {
    Yes,
    No,
}

impl From<bool> for Replace {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// The config for a running `vitrine sandbox`.
fn sandbox_config(url: &Url, speed: f64) -> Result<String, Failure> {
    let Some(host) = url.host_str() else {
        return Err(Failure::say(
            Code::Error,
            format!("{url} names no host: write http://127.0.0.1:7799"),
        ));
    };
    let place = Place {
        base_url: url.as_str(),
        host,
        speed,
        complete_at: "Published",
    };
    let keys = ["JAKOV_API_KEY", "PRODUCTAI_API_KEY", "JARAI_API_KEY"]
        .map(|variable| format!("api_key_env = \"{variable}\""));
    let head = "# For `vitrine sandbox`: nothing is paid. It prints the keys that these variables take.\n\n\
        [database]\nurl = \"sqlite://vitrine.db\"\n\n[storage]\nurl = \"files\"\n\n";
    Ok(head.to_owned() + &accounts_toml(&place, &keys))
}

/// Where a sandbox is.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// `http://host:port`.
    pub(super) base_url: &'a str,
    /// Files come from the same host, which is private and plain http: it has to be trusted.
    pub(super) host: &'a str,
    /// How many times faster than real time.
    pub(super) speed: f64,
    /// Where a production counts as done.
    pub(super) complete_at: &'static str,
}

/// Three accounts at a sandbox with its default limits; `keys` are the lines that name the keys of
/// JAKOV, ProductAI and JARAI. The budgets have names of their own, so that a sandbox at another port
/// is still the same provider.
pub(super) fn accounts_toml(place: &Place<'_>, keys: &[String; 3]) -> String {
    let base = place.base_url.trim_end_matches('/');
    let (host, speed, complete_at) = (place.host, place.speed, place.complete_at);
    let [jakov, productai, jarai] = keys;
    let account = sandbox::JaraiAccount::demo();
    let first = |ids: &[String]| ids.first().cloned().unwrap_or_default();
    let (language, country) = (first(&account.languages), first(&account.countries));
    let (avatar, account) = (first(&account.avatars), account.account_id);
    format!(
        r#"# Spans and windows are divided by `speed`, as the sandbox's are. Time-outs are not: it answers at
# once, and after a crash what was on the wire holds its place in the budget until its time-out.
[accounts.texts]
provider = "jakov"
base_url = "{base}/jakov"
{jakov}
budget = "sandbox"
project_id = "demo"
credits_per_description = 1
timing = {{ submit_timeout = "10s", read_timeout = "10s" }}
speed = {speed:?}

[accounts.shots]
provider = "productai"
base_url = "{base}/productai/v1"
{productai}
budget = "sandbox"
model = "nanobanana"
# The simulated service takes any image.
check_sources = false
trusted_hosts = ["{host}"]
timing = {{ submit_timeout = "10s", read_timeout = "10s" }}
speed = {speed:?}

[accounts.films]
provider = "jarai"
base_url = "{base}/jarai/v1"
{jarai}
budget = "sandbox"
jarai_account_id = "{account}"
language_id = "{language}"
country_id = "{country}"
avatar_id = "{avatar}"
credits_per_production = 1
# The Standard tier.
limits = {{ requests_per_minute = 60, requests_per_day = 2000, productions_per_day = 20 }}
complete_at = "{complete_at}"
trusted_hosts = ["{host}"]
timing = {{ submit_timeout = "10s", read_timeout = "10s" }}
speed = {speed:?}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigError;

    fn environment(name: &str) -> Option<String> {
        match name {
            "JAKOV_API_KEY" | "PRODUCTAI_API_KEY" => Some("key".into()),
            "JARAI_API_KEY" => Some("jarai_key".into()),
            _ => None,
        }
    }

    fn resolve(text: &str) -> Result<config::Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vitrine.toml");
        write(&path, text, false).unwrap();
        config::load(Some(&path), &environment)
    }

    #[test]
    fn what_init_writes_is_a_config_with_three_accounts() {
        let config = resolve(REAL).unwrap();
        assert_eq!(config.accounts.len(), 3);
        assert!(config.unenforced.is_empty(), "{:?}", config.unenforced);
    }

    #[test]
    fn the_sandboxs_config_trusts_its_host() {
        let url = "http://127.0.0.1:7799".parse().unwrap();
        let config = resolve(&sandbox_config(&url, 50.0).unwrap()).unwrap();
        assert_eq!(config.accounts.len(), 3);
        let trusted = config
            .accounts
            .iter()
            .filter(|(_, hands)| hands.fetch.trusted_hosts == ["127.0.0.1"]);
        assert_eq!(trusted.count(), 2);
    }

    #[test]
    fn the_command_that_replaces_asks_for_the_same() {
        let mut args = InitArgs {
            force: None,
            sandbox: None,
            speed: 1.0,
        };
        assert_eq!(replacing(&args), "init --force");
        args.sandbox = Some("http://127.0.0.1:7799".parse().unwrap());
        args.speed = 50.0;
        let words = "init --force --sandbox http://127.0.0.1:7799/ --speed 50";
        assert_eq!(replacing(&args), words);
    }

    #[test]
    fn a_config_that_is_there_is_not_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vitrine.toml");
        write(&path, "mine", false).unwrap();
        let refused = write(&path, "yours", false).unwrap_err();
        assert!(matches!(refused, NotWritten::IsThere(_)), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        write(&path, "yours", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "yours");
    }
}
