//! What goes wrong around the worker: keys, network, config, schema, disk, signals. One clear message
//! each, the documented exit code, and nothing lost.

use std::path::Path;

use store::testing::sql;

use super::shop::{BOTH, Ended, Engine, Shop, finished, options, talk, vitrine};

const JOBS: [&str; 3] = [
    "insert into descriptions (ean) values ('4006381333931')",
    "insert into image_generations (model, image_url, prompt) \
     values ('nanobanana', 'https://images.example/lamp.jpg', 'on a table')",
    "insert into productions (topic) values ('Why people love lamps')",
];

async fn with_jobs(engine: Engine) -> Shop {
    let shop = Shop::open(engine, options()).await;
    for statement in JOBS {
        shop.sql(statement).await;
    }
    shop
}

/// How many of the three jobs stand there.
fn in_state(status: &str) -> String {
    format!(
        "select (select count(*) from descriptions where status = '{status}') \
         + (select count(*) from image_generations where status = '{status}') \
         + (select count(*) from productions where status = '{status}') as n"
    )
}

/// It ended with this code and said this, in one message.
fn said(ended: impl Into<Ended>, code: i32, words: &[&str]) -> String {
    let Ended { code: ended, talk } = ended.into();
    assert_eq!(ended, Some(code), "{talk}");
    for word in words {
        assert!(talk.contains(word), "{word:?} is missing: {talk}");
    }
    let errors = talk.lines().filter(|line| line.starts_with("error"));
    assert!(errors.count() <= 1, "{talk}");
    assert!(!talk.contains("panicked"), "{talk}");
    talk
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_key_loses_nothing_and_the_right_one_goes_on() {
    for engine in BOTH {
        let shop = with_jobs(engine).await;
        let mut command = shop.command(&["run", "--until-idle"]);
        for name in ["JAKOV_API_KEY", "PRODUCTAI_API_KEY"] {
            command.env(name, "wrong-key-of-32-letters-and-digits");
        }
        command.env("JARAI_API_KEY", "jarai_wrong");
        let talk = said(finished(command), 4, &["texts", "shots", "films", "key"]);
        assert!(!talk.contains("wrong-key"), "{talk}");
        assert_eq!(shop.text(&in_state("pending")).await, "3");
        assert!(shop.remote_jobs().is_empty());
        // One question each is enough to know.
        assert!(shop.requests().len() <= 6, "{:#?}", shop.requests());
        said(shop.work(), 0, &[]);
        assert_eq!(shop.text(&in_state("completed")).await, "3");
        assert_eq!(shop.remote_jobs().len(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_provider_leaves_jobs_waiting_and_stops_when_asked() {
    let shop = with_jobs(Engine::Sqlite).await;
    let right = shop.sandbox.base_url();
    // A port that was free a moment ago, and where nobody listens.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let wrong = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    shop.edit_config(&right, &wrong);
    let worker = shop.worker();
    let tried = "select count(*) as n from (select distinct kind from job_events)";
    shop.until(tried, "3").await;
    said(worker.end("TERM"), 0, &[]);
    shop.until(&in_state("pending"), "3").await;
    assert!(shop.requests().is_empty());
    shop.edit_config(&wrong, &right);
    assert_eq!(shop.work().status.code(), Some(0));
    assert_eq!(shop.text(&in_state("completed")).await, "3");
    assert_eq!(shop.remote_jobs().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_config_that_is_missing_or_wrong_is_named() {
    let shop = with_jobs(Engine::Sqlite).await;
    let place = shop.path().join("elsewhere/vitrine.toml");
    let missing = shop.output(&["run", "--config", place.to_str().unwrap()]);
    said(missing, 6, &[place.to_str().unwrap(), "next: ", "init"]);
    let mut keyless = shop.command(&["run", "--until-idle"]);
    keyless.env_remove("PRODUCTAI_API_KEY");
    said(finished(keyless), 6, &["shots", "PRODUCTAI_API_KEY"]);
    shop.edit_config("budget = \"sandbox\"", "budgte = \"sandbox\"");
    said(shop.work(), 6, &["budgte", "vitrine.toml"]);
    shop.edit_config("budgte = \"sandbox\"", "budget = [");
    said(shop.work(), 6, &["vitrine.toml"]);
    shop.edit_config("budget = [", "polling = { min_interval = \"5 weeks\" }");
    said(shop.work(), 6, &["min_interval", "5 weeks"]);
    assert_eq!(shop.text(&in_state("pending")).await, "3");
    assert!(shop.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_is_missing_or_newer_ends_with_7() {
    for engine in BOTH {
        let shop = Shop::bare(engine, options()).await;
        for words in [&["run", "--until-idle"][..], &["status"], &["jobs", "list"]] {
            said(shop.output(words), 7, &["vitrine migrate"]);
        }
        said(shop.output(&["migrate"]), 0, &[]);
        newer(&shop).await;
        for words in [&["run", "--until-idle"][..], &["status"], &["migrate"]] {
            said(shop.output(words), 7, &["newer"]);
        }
    }
}

/// As if a later program had migrated it.
async fn newer(shop: &Shop) {
    let copied = "insert into _sqlx_migrations \
        (version, description, success, checksum, execution_time) \
        select 9999, 'from the future', success, checksum, 1 from _sqlx_migrations where version = 1";
    sql(&shop.database, copied).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_on_a_file_refuses_and_says_who_works() {
    let shop = with_jobs(Engine::Sqlite).await;
    let mut first = shop.worker();
    shop.until(&in_state("completed"), "3").await;
    said(shop.output(&["run"]), 1, &[&first.pid().to_string()]);
    assert!(!first.has_ended());
    // Reading works beside it.
    said(shop.output(&["status"]), 0, &[]);
    said(first.end("TERM"), 0, &[]);
    said(shop.work(), 0, &[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_on_a_server_stands_by_and_takes_over_from_a_killed_one() {
    let shop = with_jobs(Engine::Postgres).await;
    let first = shop.worker();
    shop.until(&in_state("completed"), "3").await;
    let owner = first.pid().to_string();
    let second = shop.worker();
    second.until_it_says(&owner).await;
    first.kill();
    for statement in JOBS {
        shop.sql(statement).await;
    }
    shop.until(&in_state("completed"), "6").await;
    let talk = said(second.end("TERM"), 0, &["stands by", "taking over"]);
    assert!(!talk.contains("does not answer"), "{talk}");
    assert_eq!(shop.remote_jobs().len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_written_is_named_before_anything_is_paid() {
    let shop = with_jobs(Engine::Sqlite).await;
    // Below a file no folder can be, whoever we are.
    std::fs::write(shop.path().join("occupied"), "").unwrap();
    shop.edit_config("url = \"files\"", "url = \"occupied/files\"");
    said(shop.work(), 1, &["occupied/files", "storage"]);
    assert!(shop.submits().is_empty());
    assert_eq!(shop.text(&in_state("pending")).await, "3");
    shop.edit_config("url = \"occupied/files\"", "url = \"files\"");
    said(shop.work(), 0, &[]);
}

#[test]
fn a_database_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = |url: &str| {
        let mut command = vitrine(folder.path(), &["migrate"]);
        command.env("VITRINE_DATABASE_URL", url);
        finished(command)
    };
    assert_eq!(
        vitrine(folder.path(), &["init"]).status().unwrap().code(),
        Some(0)
    );
    said(
        run("mysql://user:secret@host/db"),
        6,
        &["database.url", "sqlite://"],
    );
    assert!(!talk(&run("mysql://user:secret@host/db")).contains("secret"));
    let nobody = run("postgres://user:secret@127.0.0.1:1/db");
    let talk = said(nobody, 1, &["127.0.0.1"]);
    assert!(!talk.contains("secret"), "{talk}");
    std::fs::write(
        folder.path().join("text.db"),
        "this is no database, but a text\n".repeat(99),
    )
    .unwrap();
    let file = format!("sqlite://{}", folder.path().join("text.db").display());
    said(run(&file), 1, &["text.db"]);
}

#[test]
fn what_cannot_be_read_as_a_command_is_usage() {
    let here = Path::new(".");
    for words in [
        &["rnu"][..],
        &["run", "--until-ide"],
        &["jobs", "show"],
        &["jobs", "show", "17"],
        &["jobs", "list", "--limit", "many"],
        &[],
    ] {
        let output = finished(vitrine(here, words));
        assert_eq!(
            output.status.code(),
            Some(2),
            "{words:?}: {}",
            talk(&output)
        );
        assert!(
            talk(&output).contains("Usage") || talk(&output).contains("help"),
            "{}",
            talk(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_ends_with_130_and_a_second_run_goes_on() {
    let shop = with_jobs(Engine::Sqlite).await;
    let worker = shop.worker();
    let under_way = "select count(*) as n from productions where status = 'running'";
    shop.until(under_way, "1").await;
    said(worker.end("INT"), 130, &[]);
    said(shop.work(), 0, &[]);
    assert_eq!(shop.text(&in_state("completed")).await, "3");
    assert_eq!(shop.remote_jobs().len(), 3);
    shop.assert_a_good_caller();
}
