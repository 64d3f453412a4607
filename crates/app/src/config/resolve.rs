//! From the file to what the engine takes: defaults filled in, every setting checked, keys read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::{Caps, Defaults, JobKind, Model, Models, Prices, Provider};
use engine::{Account, CompleteAt, HandsOptions, Policy, WebhookTrust};
use providers::Client;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use store::LaneKey;

use super::pace::{limits, or_scaled, polling, timing};
use super::raw::{Raw, RawAccount, RawLimits, RawSpend, Span};
use super::{Config, ConfigError, Environment, secret};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Room for the files that are on their way at any moment, and for months of notes.
const RESERVE: u64 = 200_000_000;

/// Fills in the defaults and checks.
pub(crate) fn resolve(
    raw: Raw,
    source: &Path,
    environment: Environment<'_>,
) -> Result<Config, ConfigError> {
    let folder = source.parent().unwrap_or(Path::new("."));
    let database_url = environment("VITRINE_DATABASE_URL").unwrap_or_else(|| {
        let url = raw.database.url.as_deref().unwrap_or("sqlite://vitrine.db");
        beside(folder, url)
    });
    check_database(&database_url)?;
    let unenforced = unenforced(&raw);
    let in_doubt_wait = in_doubt_wait(&raw);
    let lease = lease(&raw)?;
    let reserve = raw.storage.reserve.map_or(RESERVE, |size| size.0);
    let storage = raw.storage.url.unwrap_or_else(|| "files".to_owned());
    let mut keyless = Vec::new();
    let mut accounts = Vec::new();
    for (name, account) in &raw.accounts {
        let others = raw
            .accounts
            .values()
            .filter(|other| other.provider == account.provider);
        let only_one = others.count() == 1;
        match one(name, account, only_one, folder, environment) {
            Ok(resolved) => accounts.push(resolved),
            Err(ConfigError::Setting { setting, why }) if setting.ends_with("api_key") => {
                keyless.push(format!("{setting}: {why}"));
            }
            Err(error) => return Err(error),
        }
    }
    one_default_each(&raw.accounts)?;
    Ok(Config {
        source: source.to_path_buf(),
        database_url,
        storage: folder.join(storage_folder(&storage)?),
        reserve,
        accounts,
        names: (raw.accounts.iter())
            .filter_map(|(name, account)| {
                let provider = account.provider.as_deref()?.parse().ok()?;
                Some((name.clone(), provider))
            })
            .collect(),
        keyless,
        unenforced,
        in_doubt_wait,
        drain_limit: raw
            .drain_limit
            .map_or(Duration::from_secs(30), |span| span.0),
        lease,
    })
}

/// How long an owner of lanes may show no life before another process takes over. A heartbeat comes six
/// times as often, and must get through a slow moment of the database.
fn lease(raw: &Raw) -> Result<Duration, ConfigError> {
    const LEAST: Duration = Duration::from_secs(3);
    let lease = raw
        .database
        .lease
        .map_or(Duration::from_secs(30), |span| span.0);
    if lease < LEAST {
        return Err(ConfigError::Setting {
            setting: "database.lease".to_owned(),
            why: format!("a lease of {lease:?} is too short: write \"3s\" or more"),
        });
    }
    Ok(lease)
}

/// How long the end of `run --until-idle` waits for evidence about jobs in doubt: what the file says,
/// or the longest of the accounts', whose spans are divided by their speed.
fn in_doubt_wait(raw: &Raw) -> Duration {
    /// Evidence comes over the network, however fast a sandbox is.
    const LEAST: Duration = Duration::from_secs(2);
    let of = |account: &RawAccount| {
        let span = account.in_doubt_wait.map_or(2 * MINUTE, |span| span.0);
        let speed = account.speed.filter(|speed| *speed > 1.0).unwrap_or(1.0);
        span.div_f64(speed).max(LEAST.min(span))
    };
    match raw.in_doubt_wait {
        Some(span) => span.0,
        None => raw.accounts.values().map(of).max().unwrap_or(2 * MINUTE),
    }
}

/// A relative SQLite file of the config stands beside the config, wherever the program is started
/// (cron starts it in the home folder).
fn beside(folder: &Path, url: &str) -> String {
    let file = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"));
    match file.map(Path::new) {
        Some(file) if file.is_relative() && !folder.as_os_str().is_empty() => {
            format!("sqlite://{}", folder.join(file).display())
        }
        _ => url.to_owned(),
    }
}

/// The file, or VITRINE_DATABASE_URL, names a kind of database that is not served. The URL itself may
/// hold a password and is not repeated.
fn check_database(url: &str) -> Result<(), ConfigError> {
    let known = ["sqlite:", "postgres:", "postgresql:"];
    if known.iter().any(|scheme| url.starts_with(scheme)) {
        return Ok(());
    }
    Err(ConfigError::setting(
        "database.url (or VITRINE_DATABASE_URL)",
        "write sqlite://path or postgres://user@host/database",
    ))
}

/// A limit of nothing would let its jobs wait for ever, and one that the provider's requests are not
/// counted by would be a false safety: both are refused.
fn check_limits(
    provider: Provider,
    raw: &RawLimits,
    of: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    use Provider::{Jakov, Jarai, Productai};
    let settings: [(&str, Option<u32>, &[Provider]); 5] = [
        ("submit_per_minute", raw.submit_per_minute, &[Jakov]),
        ("read_per_minute", raw.read_per_minute, &[Jakov]),
        (
            "requests_per_minute",
            raw.requests_per_minute,
            &[Jakov, Productai, Jarai],
        ),
        (
            "requests_per_day",
            raw.requests_per_day,
            &[Jakov, Productai, Jarai],
        ),
        ("productions_per_day", raw.productions_per_day, &[Jarai]),
    ];
    for (name, limit, has_it) in settings {
        let why = match limit {
            Some(_) if !has_it.contains(&provider) => format!("{provider} has no such limit"),
            Some(0) => "write 1 or more; to stop an account, remove its section".to_owned(),
            _ => continue,
        };
        return Err(ConfigError::setting(of(&format!("limits.{name}")), why));
    }
    Ok(())
}

/// What the file asks for and this version does not do: told at each start, since silence would
/// pass for consent.
fn unenforced(raw: &Raw) -> Vec<String> {
    let mut told = Vec::new();
    if raw.server.is_some() {
        told.push("[server] is not served yet: there is no dashboard, API or metrics".to_owned());
    }
    if raw.webhooks.is_some() {
        told.push("[webhooks] are not received yet: jobs are polled".to_owned());
    }
    for (name, account) in &raw.accounts {
        let has_secret =
            account.webhook_secret_env.is_some() || account.webhook_secret_file.is_some();
        if account.webhook_trust.is_some() || has_secret {
            told.push(format!(
                "accounts.{name}: webhooks are not received yet, so webhook_trust and webhook_secret do nothing"
            ));
        }
    }
    told
}

fn storage_folder(url: &str) -> Result<PathBuf, ConfigError> {
    match url.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => Ok(PathBuf::from(path)),
        Some((scheme, _)) => Err(ConfigError::setting(
            "storage.url",
            format!("{scheme}:// is not supported yet; name a folder, or file:///absolute/path"),
        )),
        None => Ok(PathBuf::from(url)),
    }
}

fn one_default_each(
    accounts: &std::collections::BTreeMap<String, RawAccount>,
) -> Result<(), ConfigError> {
    for kind in JobKind::ALL {
        let provider = kind.provider().as_str();
        let defaults: Vec<&String> = accounts
            .iter()
            .filter(|(_, account)| account.default && account.provider.as_deref() == Some(provider))
            .map(|(name, _)| name)
            .collect();
        if let [first, second, ..] = defaults.as_slice() {
            return Err(ConfigError::setting(
                format!("accounts.{second}.default"),
                format!("{first} is the default of {provider} already; only one can be"),
            ));
        }
    }
    Ok(())
}

fn one(
    name: &str,
    raw: &RawAccount,
    only_one: bool,
    folder: &Path,
    environment: Environment<'_>,
) -> Result<(Account, HandsOptions), ConfigError> {
    let of = |key: &str| format!("accounts.{name}.{key}");
    if name.trim().is_empty() || name.len() > 64 {
        return Err(ConfigError::setting(
            of(""),
            "an account's name has 1 to 64 characters",
        ));
    }
    let provider: Provider = match raw.provider.as_deref() {
        Some(word) => word.parse().map_err(|error: domain::UnknownProvider| {
            ConfigError::setting(of("provider"), error.to_string())
        })?,
        None => {
            return Err(ConfigError::setting(
                of("provider"),
                "missing: write jakov, productai or jarai",
            ));
        }
    };
    check_limits(provider, &raw.limits, &of)?;
    check_delay_per_poll(raw.polling.delay_per_poll, &of)?;
    for (model, set) in &raw.models {
        if set.credits.is_some_and(|credits| credits < 0) {
            let setting = of(&format!("models.{model}.credits"));
            return Err(ConfigError::setting(setting, "write 0 or more"));
        }
    }
    let file = raw.api_key_file.as_ref().map(|file| folder.join(file));
    let key = secret(
        &of("api_key"),
        raw.api_key_env.as_deref(),
        file.as_deref(),
        environment,
    )?
    .ok_or_else(|| {
        ConfigError::setting(of("api_key"), "missing: name api_key_env or api_key_file")
    })?;
    let base_url = raw
        .base_url
        .as_deref()
        .unwrap_or(provider.default_base_url());
    let lane = lane(provider, base_url, raw.budget.as_deref(), &key);
    let client = Client::new(provider, base_url, key)
        .map_err(|error| ConfigError::setting(of("base_url"), error.to_string()))?;
    let speed = raw.speed.unwrap_or(1.0);
    if !(speed.is_finite() && (0.01..=10_000.0).contains(&speed)) {
        return Err(ConfigError::setting(
            of("speed"),
            "write a number from 0.01 to 10000",
        ));
    }
    let account = Account {
        name: name.to_owned(),
        provider,
        lane,
        client,
        defaults: defaults(raw),
        prices: prices(raw),
        limits: limits(provider, &raw.limits, speed),
        polling: polling(raw, speed),
        policy: policy(raw, &of, only_one, provider, speed)?,
        timing: timing(raw, speed),
    };
    Ok((account, hands(raw)))
}

/// Free polls under a backlog would leave no job its submit, and one worth hours would never be sent.
fn check_delay_per_poll(set: Option<Span>, of: &dyn Fn(&str) -> String) -> Result<(), ConfigError> {
    match set {
        Some(Span(span)) if span.is_zero() || span > HOUR => Err(ConfigError::setting(
            of("polling.delay_per_poll"),
            "write more than \"0s\", and \"1h\" at the most",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Accounts with the same provider, place and key, or the same budget name, share a lane. The key
/// shows only as a fingerprint.
fn lane(provider: Provider, base_url: &str, budget: Option<&str>, key: &SecretString) -> LaneKey {
    if let Some(budget) = budget {
        return LaneKey(format!("{provider}:{budget}"));
    }
    let mut hash = Sha256::new();
    hash.update(base_url.trim_end_matches('/').as_bytes());
    hash.update([0]);
    hash.update(key.expose_secret().trim().as_bytes());
    let short: String = hash
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    LaneKey(format!("{provider}:{short}"))
}

fn defaults(raw: &RawAccount) -> Defaults {
    Defaults {
        project_id: raw.project_id.clone(),
        jarai_account_id: raw.jarai_account_id.clone(),
        language_id: raw.language_id.clone(),
        country_id: raw.country_id.clone(),
        avatar_id: raw.avatar_id.clone(),
        project_type_slug: raw.project_type_slug.clone(),
        model: raw.model.clone(),
    }
}

fn prices(raw: &RawAccount) -> Prices {
    let models = raw
        .models
        .iter()
        .fold(Models::documented(), |models, (name, model)| {
            let model = Model {
                name: name.clone(),
                credits: model.credits,
                max_images: model.max_images.unwrap_or(1),
            };
            models.with(name.clone(), model)
        });
    Prices {
        models,
        description: raw.credits_per_description,
        production: raw.credits_per_production,
    }
}

fn policy(
    raw: &RawAccount,
    of: &dyn Fn(&str) -> String,
    only_one: bool,
    provider: Provider,
    speed: f64,
) -> Result<Policy, ConfigError> {
    let complete_at = match raw.complete_at.as_deref() {
        None | Some("Published") => CompleteAt::Published,
        Some("AwaitingApproval") => CompleteAt::AwaitingApproval,
        Some(other) => {
            return Err(ConfigError::setting(
                of("complete_at"),
                format!("{other:?} is neither Published nor AwaitingApproval"),
            ));
        }
    };
    let webhook_trust = match raw.webhook_trust.as_deref() {
        None | Some("verify") => WebhookTrust::Verify,
        Some("token") => WebhookTrust::Token,
        Some(other) => {
            return Err(ConfigError::setting(
                of("webhook_trust"),
                format!("{other:?} is neither verify nor token"),
            ));
        }
    };
    let resubmit_in_doubt = match raw.in_doubt.as_deref() {
        None | Some("hold") => false,
        Some("resubmit") => true,
        Some(other) => {
            return Err(ConfigError::setting(
                of("in_doubt"),
                format!("{other:?} is neither hold nor resubmit"),
            ));
        }
    };
    let batch_size = raw.batch_size.unwrap_or(10);
    if !(1..=1_000).contains(&batch_size) {
        return Err(ConfigError::setting(
            of("batch_size"),
            "write a number from 1 to 1000",
        ));
    }
    let submits = raw.limits.submit_per_minute.unwrap_or(100);
    let most = Policy::usual_max_running(provider, submits, batch_size as usize);
    Ok(Policy {
        takes_unnamed: raw.default || only_one,
        complete_at,
        webhook_trust,
        retry_failed: raw.retry_failed.unwrap_or(0),
        resubmit_in_doubt,
        batch_size: batch_size as usize,
        max_running: raw.max_running.map_or(most, |most| most.max(1) as usize),
        deadline: or_scaled(raw.deadline, 24 * HOUR, speed),
        capture_deadline: or_scaled(raw.capture_deadline, 24 * HOUR, speed),
        spend: spend(&raw.spend, of)?,
        check_sources: raw.check_sources.unwrap_or(true),
    })
}

/// A cap of nothing would let its jobs wait for ever.
fn spend(raw: &RawSpend, of: &dyn Fn(&str) -> String) -> Result<Caps, ConfigError> {
    for (name, cap) in [
        ("per_day", raw.per_day),
        ("per_month", raw.per_month),
        ("per_batch", raw.per_batch),
    ] {
        if cap.is_some_and(|cap| cap < 1) {
            return Err(ConfigError::setting(
                of(&format!("spend.{name}")),
                "write 1 or more credits; to stop an account, remove its section",
            ));
        }
    }
    Ok(Caps {
        per_day: raw.per_day,
        per_month: raw.per_month,
        per_batch: raw.per_batch,
    })
}

fn hands(raw: &RawAccount) -> HandsOptions {
    let mut options = HandsOptions::default();
    let set = &raw.timing;
    if let Some(Span(span)) = set.connect_timeout {
        options.http.connect_timeout = span;
        options.fetch.connect_timeout = span;
    }
    if let Some(Span(span)) = set.fetch_idle_timeout {
        options.fetch.idle_timeout = span;
    }
    if let Some(Span(span)) = set.fetch_timeout {
        options.fetch.total_timeout = span;
    }
    options.fetch.trusted_hosts.clone_from(&raw.trusted_hosts);
    options
}
