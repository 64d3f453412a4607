//! The README's first command: the whole job, on the real executable, with nothing set up.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// The program, in a folder of its own and without the variables of who runs the tests.
fn vitrine(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
    command.args(words).current_dir(folder);
    for name in ["VITRINE_CONFIG", "VITRINE_DATABASE_URL", "VITRINE_LOG"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn json(output: &Output) -> Value {
    let talk = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {talk}"))
}

fn demo(folder: &Path) -> Value {
    // Fast enough for a test, slow enough that windows stay longer than a busy machine's pauses.
    let output = vitrine(
        folder,
        &["demo", "--json", "--dir", "shop", "--speed", "400"],
    );
    let talk = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{talk}");
    json(&output)
}

fn number(value: &Value, path: &str) -> i64 {
    value
        .pointer(path)
        .and_then(Value::as_i64)
        .unwrap_or_else(|| panic!("no number at {path} of {value:#}"))
}

#[test]
fn the_demo_accounts_for_every_row_job_and_credit() {
    let folder = tempfile::tempdir().unwrap();
    let report = demo(folder.path());
    let rows = number(&report, "/catalog/rows");
    assert!(rows > 0);
    let told = number(&report, "/catalog/products") + number(&report, "/catalog/rejected");
    assert_eq!(rows, told, "{report:#}");
    assert_eq!(report.pointer("/jobs/accounted"), Some(&Value::Bool(true)));
    let inserted = number(&report, "/jobs/inserted");
    let places = [
        "completed",
        "failed",
        "cancelled",
        "rejected",
        "awaiting_approval",
    ];
    let sum: i64 = places
        .iter()
        .map(|place| number(&report, &format!("/jobs/total/{place}")))
        .sum();
    assert_eq!(inserted, sum, "jobs are open or in doubt: {report:#}");
    assert!(
        number(&report, "/jobs/total/completed") >= inserted - 2,
        "{report:#}"
    );
    for credits in report["credits"].as_array().unwrap() {
        assert_eq!(credits["booked"], credits["charged"], "{report:#}");
        assert_eq!(credits["reserved"], 0);
    }
    assert_eq!(report["violations"], serde_json::json!({}));
    the_other_commands_read_it(folder.path(), &report);
    a_repeat_changes_nothing(folder.path(), &report);
}

fn the_other_commands_read_it(folder: &Path, report: &Value) {
    let config = report["config"].as_str().unwrap();
    let of = |words: &[&str]| {
        let output = vitrine(folder, &[words, &["--config", config, "--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        json(&output)
    };
    let image = of(&["jobs", "show", "image:1"]);
    assert_eq!(image["status"], "completed");
    let file = image.pointer("/deliverables/0/location").unwrap();
    let file = url::Url::parse(file.as_str().unwrap()).unwrap();
    let bytes = std::fs::read(file.to_file_path().unwrap()).unwrap();
    let told = number(&image, "/deliverables/0/bytes");
    assert_eq!(i64::try_from(bytes.len()), Ok(told));
    let list = of(&["jobs", "list", "--kind", "production"]);
    assert_eq!(list.as_array().unwrap().len(), 3);
    assert_eq!(of(&["migrate", "status"])["pending"], serde_json::json!([]));
    let status = of(&["status"]);
    let jobs = status["jobs"].as_array().unwrap().iter();
    let all: i64 = jobs.map(|line| number(line, "/jobs")).sum();
    assert_eq!(all, number(report, "/jobs/inserted"));
}

fn a_repeat_changes_nothing(folder: &Path, report: &Value) {
    let again = demo(folder);
    assert_eq!(number(&again, "/jobs/new"), 0);
    for same in [
        "/jobs/inserted",
        "/jobs/total",
        "/credits",
        "/requests",
        "/violations",
    ] {
        assert_eq!(again.pointer(same), report.pointer(same), "{same}");
    }
}

#[test]
fn every_trouble_has_its_exit_code_and_the_next_command() {
    let folder = tempfile::tempdir().unwrap();
    let check = |words: &[&str], code: i32, said: &str| {
        let output = vitrine(folder.path(), words);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {talk}");
        assert!(talk.contains(said), "{words:?} says {talk}");
    };
    check(&["statsu"], 2, "status");
    check(&["run"], 6, "vitrine init");
    check(&["init"], 0, "vitrine migrate");
    check(&["init"], 1, "--force");
    check(&["run", "--until-idle"], 7, "vitrine migrate");
    check(&["migrate", "status"], 7, "vitrine migrate");
    assert!(
        !folder.path().join("vitrine.db").exists(),
        "only migrate makes a database"
    );
    check(&["migrate"], 0, "");
    check(&["migrate", "status"], 0, "");
    check(&["run", "--until-idle"], 6, "JAKOV_API_KEY");
    check(&["jobs", "show", "image:1"], 1, "there is no image:1");
}
