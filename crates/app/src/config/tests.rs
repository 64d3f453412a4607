//! What a config resolves to, and what it is refused for.

use std::path::Path;
use std::time::Duration;

use engine::CompleteAt;

use super::*;

const THREE: &str = r#"
[accounts.texts]
provider = "jakov"
api_key_env = "KEY"
[accounts.shots]
provider = "productai"
api_key_env = "KEY"
[accounts.films]
provider = "jarai"
api_key_env = "JARAI_KEY"
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "KEY" => Some("secret-key".into()),
        "JARAI_KEY" => Some("jarai_secret".into()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    resolve(
        raw::parse(text).unwrap(),
        Path::new("shop/vitrine.toml"),
        &environment,
    )
}

fn account<'a>(config: &'a Config, name: &str) -> &'a Account {
    let found = config
        .accounts
        .iter()
        .find(|(account, _)| account.name == name);
    &found.unwrap().0
}

#[test]
fn what_is_left_out_is_what_the_providers_document() {
    let config = read(THREE).unwrap();
    let groups = |name| {
        let limits = &account(&config, name).limits;
        let group = |(name, windows): &(String, Vec<domain::Window>)| {
            (
                name.clone(),
                windows
                    .iter()
                    .map(|window| window.limit)
                    .collect::<Vec<_>>(),
            )
        };
        limits.groups.iter().map(group).collect::<Vec<_>>()
    };
    assert_eq!(
        groups("texts"),
        [("submit".into(), vec![100]), ("read".into(), vec![300])]
    );
    assert_eq!(groups("shots"), [("all".into(), vec![15])]);
    assert_eq!(groups("films"), [("all".into(), vec![10, 100])]);
    let films = account(&config, "films");
    assert_eq!(films.limits.productions.map(|window| window.limit), Some(3));
    assert_eq!(films.policy.complete_at, CompleteAt::Published);
    assert_eq!(
        account(&config, "shots").polling.min_interval,
        Duration::from_secs(5)
    );
    assert!(
        config
            .accounts
            .iter()
            .all(|(account, _)| account.policy.takes_unnamed)
    );
    assert!(config.unenforced.is_empty());
}

#[test]
fn relative_places_start_at_the_configs_folder() {
    let config = read(THREE).unwrap();
    assert_eq!(config.database_url, "sqlite://shop/vitrine.db");
    assert_eq!(config.storage, Path::new("shop/files"));
    let absolute =
        "[database]\nurl = \"sqlite:///srv/v.db\"\n[storage]\nurl = \"file:///srv/files\"\n";
    let config = read(absolute).unwrap();
    assert_eq!(config.database_url, "sqlite:///srv/v.db");
    assert_eq!(config.storage, Path::new("/srv/files"));
    let config = read("[database]\nurl = \"postgres://v@db/shop\"\n").unwrap();
    assert_eq!(config.database_url, "postgres://v@db/shop");
}

#[test]
fn the_environment_goes_before_the_file() {
    let environment = |name: &str| match name {
        "VITRINE_DATABASE_URL" => Some("postgres://v@db/other".to_owned()),
        name => environment(name),
    };
    let raw = raw::parse(THREE).unwrap();
    let config = resolve(raw, Path::new("vitrine.toml"), &environment).unwrap();
    assert_eq!(config.database_url, "postgres://v@db/other");
}

#[test]
fn a_speed_divides_windows_and_intervals_and_leaves_the_network_alone() {
    let text = format!("{THREE}speed = 100.0\n");
    let config = read(&text).unwrap();
    let films = account(&config, "films");
    let windows = &films.limits.groups[0].1;
    assert_eq!(windows[0].length, Duration::from_millis(600));
    assert_eq!(films.polling.producing, Duration::from_millis(300));
    assert_eq!(films.timing.submit_timeout, Duration::from_secs(60));
}

#[test]
fn accounts_with_one_key_share_a_lane_and_its_name_is_no_key() {
    let text = r#"
[accounts.a]
provider = "productai"
api_key_env = "KEY"
default = true
[accounts.b]
provider = "productai"
api_key_env = "KEY"
[accounts.c]
provider = "productai"
api_key_env = "JARAI_KEY"
"#;
    let config = read(text).unwrap();
    let lane = |name| account(&config, name).lane.clone();
    assert_eq!(lane("a"), lane("b"));
    assert_ne!(lane("a"), lane("c"));
    assert!(!lane("a").0.contains("secret"));
    let takes = |name| account(&config, name).policy.takes_unnamed;
    assert_eq!([takes("a"), takes("b"), takes("c")], [true, false, false]);
}

#[test]
fn a_key_that_is_not_there_names_its_variable_and_does_not_stop_looking() {
    let text = "[accounts.texts]\nprovider = \"jakov\"\napi_key_env = \"NOBODY\"\n";
    let config = read(text).unwrap();
    assert!(config.accounts.is_empty());
    assert!(
        config.keyless[0].contains("NOBODY is not set"),
        "{:?}",
        config.keyless
    );
}

#[test]
fn what_is_not_done_yet_is_told() {
    let text = format!(
        "{THREE}spend = {{ per_day = 5 }}\nwebhook_trust = \"verify\"\n[server]\nlisten = \"127.0.0.1:7700\"\n[webhooks]\n"
    );
    let config = read(&text).unwrap();
    insta::assert_snapshot!(config.unenforced.join("\n"));
}

#[test]
fn what_a_poll_is_worth_is_more_than_nothing_and_an_hour_at_the_most() {
    let read_with = |span: &str| {
        let line = format!("polling = {{ delay_per_poll = \"{span}\" }}\n");
        read(&format!("{THREE}{line}"))
    };
    let config = read_with("25s").unwrap();
    assert_eq!(
        account(&config, "films").polling.delay_per_poll,
        Some(Duration::from_secs(25))
    );
    assert_eq!(account(&config, "shots").polling.delay_per_poll, None);
    for span in ["0s", "61m"] {
        let refused = read_with(span).unwrap_err().to_string();
        assert!(
            refused.starts_with("accounts.films.polling.delay_per_poll"),
            "{refused}"
        );
    }
}

#[test]
fn caps_belong_to_their_account() {
    let config = read(&format!(
        "{THREE}spend = {{ per_day = 5, per_batch = 3 }}\n"
    ))
    .unwrap();
    for (account, _) in &config.accounts {
        let caps = match account.name.as_str() {
            "films" => domain::Caps {
                per_day: Some(5),
                per_month: None,
                per_batch: Some(3),
            },
            _ => domain::Caps::default(),
        };
        assert_eq!(account.policy.spend, caps, "{}", account.name);
    }
}

#[test]
fn a_setting_that_cannot_be_right_is_named() {
    let cases = [
        ("speed = 0.0", "accounts.films.speed"),
        ("batch_size = 0", "accounts.films.batch_size"),
        ("spend = { per_day = 0 }", "accounts.films.spend.per_day"),
        (
            "spend = { per_batch = -1 }",
            "accounts.films.spend.per_batch",
        ),
        ("complete_at = \"Done\"", "accounts.films.complete_at"),
        ("in_doubt = \"guess\"", "accounts.films.in_doubt"),
        ("base_url = \"not a url\"", "accounts.films.base_url"),
    ];
    for (line, setting) in cases {
        let refused = read(&format!("{THREE}{line}\n")).unwrap_err().to_string();
        assert!(refused.starts_with(setting), "{refused}");
    }
    let two_defaults = THREE.replace(
        "api_key_env = \"KEY\"\n[",
        "api_key_env = \"KEY\"\ndefault = true\n[",
    ) + "[accounts.more]\nprovider = \"jakov\"\napi_key_env = \"KEY\"\ndefault = true\n";
    let refused = read(&two_defaults).unwrap_err().to_string();
    assert!(refused.contains("only one can be"), "{refused}");
    let refused = read("[storage]\nurl = \"s3://bucket\"\n")
        .unwrap_err()
        .to_string();
    assert!(refused.starts_with("storage.url"), "{refused}");
}

#[test]
fn no_config_is_missing_and_not_unreadable() {
    let missing = load(Some(Path::new("/nowhere/vitrine.toml")), &environment).unwrap_err();
    assert!(
        matches!(missing, ConfigError::Missing { .. }),
        "{missing:?}"
    );
}

#[test]
fn a_setting_that_could_not_do_what_it_says_is_refused_by_its_name() {
    let cases = [
        (
            "jakov",
            "limits = { submit_per_minute = 0 }",
            "accounts.a.limits.submit_per_minute",
        ),
        (
            "jarai",
            "limits = { submit_per_minute = 5 }",
            "accounts.a.limits.submit_per_minute",
        ),
        (
            "productai",
            "limits = { productions_per_day = 5 }",
            "accounts.a.limits.productions_per_day",
        ),
        (
            "productai",
            "models = { x = { credits = -5 } }",
            "accounts.a.models.x.credits",
        ),
    ];
    for (provider, line, setting) in cases {
        let text =
            format!("[accounts.a]\nprovider = \"{provider}\"\napi_key_env = \"KEY\"\n{line}\n");
        let error = read(&text).unwrap_err().to_string();
        assert!(error.starts_with(setting), "{line}: {error}");
    }
    let error = read("[database]\nurl = \"mysql://root:pw@host/x\"\n").unwrap_err();
    assert!(error.to_string().starts_with("database.url"), "{error}");
    assert!(!error.to_string().contains("pw"), "{error}");
}
