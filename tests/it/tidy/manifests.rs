//! Rules for the manifests and for the top level: the floors of `crates/README.md`, which crate
//! may use which library, a reason for each dependency, lints that are on.

use toml::{Table, Value};

use super::{Tree, complains, tidy};

/// Our crates and their floors. A crate depends on lower floors only.
const FLOORS: [(&str, u8); 8] = [
    ("domain", 0),
    ("catalog", 1),
    ("store", 1),
    ("providers", 1),
    ("sandbox", 1),
    ("engine", 2),
    ("app", 3),
    ("bench", 3),
];

/// Libraries that only these crates may use, tests aside.
const ONLY_IN: [(&str, &[&str]); 9] = [
    ("quick-xml", &["catalog"]),
    ("minijinja", &["catalog"]),
    ("sqlx", &["store"]),
    ("reqwest", &["providers", "sandbox"]),
    ("axum", &["sandbox", "app"]),
    ("tokio-cron-scheduler", &["app"]),
    ("clap", &["app", "bench"]),
    ("anyhow", &["app"]),
    ("testcontainers", &["store"]),
];

/// `domain` is values and arithmetic: nothing that waits, reads, draws lots or knows the time.
const NOT_IN_DOMAIN: [&str; 12] = [
    "tokio",
    "tokio-util",
    "futures",
    "sqlx",
    "reqwest",
    "http",
    "axum",
    "rustls",
    "tempfile",
    "fastrand",
    "governor",
    "tracing",
];

/// All that may lie at the top level, beside files whose names begin with a dot.
const TOP: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates",
    "migrations",
    "tests",
    "docker-compose.yml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
];

/// Lints that the style rests on; the tidy test leaves their work to clippy.
const LINTS: [(&str, &str); 14] = [
    ("rust", "unsafe_code"),
    ("rust", "unreachable_pub"),
    ("rust", "missing_docs"),
    ("rust", "missing_debug_implementations"),
    ("clippy", "all"),
    ("clippy", "too_many_lines"),
    ("clippy", "unwrap_used"),
    ("clippy", "expect_used"),
    ("clippy", "panic"),
    ("clippy", "indexing_slicing"),
    ("clippy", "todo"),
    ("clippy", "dbg_macro"),
    ("clippy", "allow_attributes"),
    ("clippy", "allow_attributes_without_reason"),
];

/// One comment explains a handful of dependencies, and not what was appended to them later.
const MAX_GROUP: usize = 5;

#[test]
fn crates_keep_to_their_floors() {
    let tree = Tree::read();
    let manifests = tree.files().iter().filter_map(|file| {
        let name = file.path.strip_prefix("crates/")?;
        Some((name.strip_suffix("/Cargo.toml")?, &file.text))
    });
    let complaints = manifests.flat_map(|(name, text)| manifest(name, text));
    tidy(&complaints.collect::<Vec<_>>());
}

/// The README's first command is `cargo run -- demo`; with several binaries cargo asks which one, unless
/// exactly one crate says that it is meant.
#[test]
fn cargo_run_means_vitrine() {
    let tree = Tree::read();
    assert!(tree.text("README.md").unwrap().contains("\ncargo run -- "));
    let manifests = tree.files().iter();
    let manifests = manifests.filter(|file| file.path.ends_with("/Cargo.toml"));
    let meant: Vec<(&str, String)> = manifests
        .filter_map(|file| {
            let manifest: Table = file.text.parse().unwrap();
            let name = manifest.get("package")?.get("default-run")?.as_str()?;
            Some((file.path.as_str(), name.to_owned()))
        })
        .collect();
    assert_eq!(meant, [("crates/app/Cargo.toml", "vitrine".to_owned())]);
}

#[test]
fn every_dependency_has_a_reason() {
    tidy(&reasons(Tree::read().text("Cargo.toml").unwrap()));
}

#[test]
fn the_lints_that_the_style_rests_on_are_on() {
    let tree = Tree::read();
    let clippy = tree.text(".clippy.toml").unwrap();
    tidy(&lints(tree.text("Cargo.toml").unwrap(), clippy));
}

#[test]
fn the_top_level_is_the_fixed_one() {
    tidy(&top_level(Tree::read().paths()));
}

/// All complaints of one crate's manifest.
fn manifest(name: &str, text: &str) -> Vec<String> {
    let Some(floor) = floor_of(name) else {
        return vec![format!("crates/{name}: give the new crate a floor")];
    };
    let manifest: Table = text.parse().unwrap();
    let mut complaints = Vec::new();
    if manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        != Some(&Value::from(true))
    {
        complaints.push(format!("crates/{name}: add `[lints] workspace = true`"));
    }
    for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
        let Some(dependencies) = manifest.get(section).and_then(Value::as_table) else {
            continue;
        };
        let tests_only = section == "dev-dependencies";
        for (library, source) in dependencies {
            let own = tests_only && library == name;
            let from_workspace = source.get("workspace") == Some(&Value::from(true));
            if !own && !from_workspace {
                complaints.push(format!(
                    "crates/{name}: take {library} from the workspace, where its reason stands"
                ));
            }
            if !own && floor_of(library).is_some_and(|other| other >= floor) {
                complaints.push(format!("crates/{name}: {library} is not on a lower floor"));
            }
            if !tests_only {
                complaints.extend(fence(name, library));
            }
        }
    }
    complaints
}

fn floor_of(name: &str) -> Option<u8> {
    let (_, floor) = FLOORS.iter().find(|(known, _)| *known == name)?;
    Some(*floor)
}

/// A library that this crate may not use.
fn fence(name: &str, library: &str) -> Option<String> {
    let only_in = ONLY_IN.iter().find(|(fenced, _)| *fenced == library);
    if let Some((_, crates)) = only_in
        && !crates.contains(&name)
    {
        let crates = crates.join(" and ");
        return Some(format!("crates/{name}: only {crates} may use {library}"));
    }
    let pure = name == "domain" && NOT_IN_DOMAIN.contains(&library);
    pure.then(|| format!("crates/domain: no {library}: no IO, no clock, no randomness"))
}

/// Dependencies of the workspace without a comment above them or their group.
fn reasons(manifest: &str) -> Vec<String> {
    let dependencies = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let mut complaints = Vec::new();
    let mut explained = 0;
    for line in dependencies {
        if line.starts_with('#') {
            explained = MAX_GROUP;
        } else if line.trim().is_empty() {
            explained = 0;
        } else if let Some((name, source)) = line.split_once('=') {
            if explained == 0 && !source.contains("path = \"crates/") {
                complaints.push(format!(
                    "Cargo.toml: say above {} why it is there (one comment serves up to {MAX_GROUP})",
                    name.trim()
                ));
            }
            explained = explained.saturating_sub(1);
        }
    }
    complaints
}

/// Lints that are off or missing.
fn lints(manifest: &str, clippy: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().unwrap();
    let lints = &manifest["workspace"]["lints"];
    let mut complaints = Vec::new();
    for (tool, lint) in LINTS {
        let level = lints.get(tool).and_then(|tool| tool.get(lint));
        let level = level.map(|level| level.get("level").unwrap_or(level));
        if !matches!(
            level.and_then(Value::as_str),
            Some("warn" | "deny" | "forbid")
        ) {
            complaints.push(format!("Cargo.toml: turn {tool}::{lint} on"));
        }
    }
    let clippy: Table = clippy.parse().unwrap();
    if clippy.get("too-many-lines-threshold") != Some(&Value::from(70)) {
        complaints.push(".clippy.toml: a function has at most 70 lines".into());
    }
    complaints
}

fn top_level(paths: &[String]) -> Vec<String> {
    let mut strangers: Vec<&str> = paths
        .iter()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.') && !TOP.contains(name))
        .collect();
    strangers.dedup();
    strangers
        .into_iter()
        .map(|name| format!("{name}: the top level is fixed; find it a place below"))
        .collect()
}

#[test]
fn each_rule_for_manifests_complains_of_a_bad_sample() {
    let check = |name: &str, body: &str, of: &str| {
        let text = format!("[lints]\nworkspace = true\n{body}\n");
        complains(&manifest(name, &text), of);
    };
    let uses = |library: &str| format!("[dependencies]\n{library}.workspace = true");
    check("store", &uses("engine"), "lower floor");
    check("store", &uses("providers"), "lower floor");
    check("engine", &uses("sqlx"), "only store may use sqlx");
    check("engine", &uses("axum"), "only sandbox and app");
    check("app", &uses("reqwest"), "only providers and sandbox");
    check("domain", &uses("tokio"), "no IO");
    check(
        "store",
        "[dependencies]\nuuid = \"1\"",
        "from the workspace",
    );
    check(
        "store",
        "[dev-dependencies]\nengine.workspace = true",
        "lower floor",
    );
    check("video", "", "a floor");
    complains(&manifest("domain", ""), "[lints]");

    let good = "[lints]\nworkspace = true\n[dependencies]\ndomain.workspace = true\n\
                [dev-dependencies]\naxum.workspace = true\nproviders = { path = \".\" }";
    assert_eq!(manifest("providers", good), Vec::<String>::new());
}

#[test]
fn a_dependency_without_a_reason_is_found() {
    let check = |body: &str, of: &str| {
        complains(
            &reasons(&format!("[workspace.dependencies]\n{body}\n[x]\ny = 1")),
            of,
        );
    };
    check("bytes = \"1\"", "above bytes");
    check("# Why.\na = \"1\"\n\nb = \"1\"", "above b");
    check(
        "# Why.\na = \"1\"\nb = \"1\"\nc = \"1\"\nd = \"1\"\ne = \"1\"\nf = \"1\"",
        "above f",
    );
    assert!(reasons("[workspace.dependencies]\n# Why.\na = \"1\"\nb = \"1\"").is_empty());
}

#[test]
fn a_lint_that_was_turned_off_is_found() {
    let manifest = Tree::read().text("Cargo.toml").unwrap().to_owned();
    let clippy = "too-many-lines-threshold = 70";
    complains(
        &lints(&manifest, "too-many-lines-threshold = 99"),
        "70 lines",
    );
    for (from, to, lint) in [
        (
            "unwrap_used = \"warn\"",
            "unwrap_used = \"allow\"",
            "clippy::unwrap_used",
        ),
        ("unsafe_code = \"forbid\"", "", "rust::unsafe_code"),
    ] {
        assert!(manifest.contains(from));
        complains(&lints(&manifest.replace(from, to), clippy), lint);
    }
}

#[test]
fn a_stranger_at_the_top_level_is_found() {
    let paths = [
        "Cargo.toml",
        "crates/app/Cargo.toml",
        ".ci/run",
        "docs/a.md",
        "docs/b.md",
    ];
    complains(&top_level(&paths.map(str::to_owned)), "docs");
}
