//! The claims that other tests rest on: a database of one's own, and nothing left behind.

use std::env;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _, PgConnection, Row as _};

use super::server::execute;
use super::{TestDatabase, machine, postgres, postgres_durable};

/// Set in the copy of this test program that is to be killed.
const VICTIM: &str = "VITRINE_TEST_VICTIM";

async fn tables(database: &TestDatabase) -> i64 {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let row = connection
        .fetch_one("select count(*) from pg_class where relname in ('mine', 'theirs')")
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn two_databases_do_not_see_each_other() {
    let (first, second) = tokio::join!(postgres(), postgres());
    assert_ne!(first.url, second.url);
    execute(&first.url, "create table mine (id bigint)".into())
        .await
        .unwrap();
    assert_eq!((tables(&first).await, tables(&second).await), (1, 0));
    execute(&second.url, "create table theirs (id bigint)".into())
        .await
        .unwrap();
    assert_eq!((tables(&first).await, tables(&second).await), (1, 1));
}

async fn setting(database: &TestDatabase, name: &'static str) -> String {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let row = sqlx::query("select current_setting($1)")
        .bind(name)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_durable_database_waits_for_the_disk() {
    let durable = postgres_durable().await;
    assert_eq!(setting(&durable, "fsync").await, "on");
    assert_eq!(setting(&durable, "synchronous_commit").await, "on");
}

#[tokio::test]
async fn a_dropped_database_is_gone_from_a_server_that_stays() {
    let shared = postgres().await;
    let database = postgres().await;
    let given = TestDatabase {
        url: database.url.clone(),
        drop_with: Some((shared.url.clone(), name_in(&database.url).to_owned())),
    };
    drop(given);
    let error = PgConnection::connect(&database.url).await.unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    execute(&shared.url, "select 1".into()).await.unwrap();
}

#[tokio::test]
async fn a_killed_test_leaves_no_server_behind() {
    if env::var_os(VICTIM).is_some() {
        let database = postgres().await;
        println!("url={}", database.url);
        // The parent kills this process; the end of its own input is the other way out.
        std::io::stdin().lines().for_each(drop);
        return;
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("testing::tests::a_killed_test_leaves_no_server_behind")
        .env(VICTIM, "yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(victim.stdout.take().unwrap());
    let url = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("url=").map(|(_, url)| url.to_owned()))
        .expect("the victim said no url");
    execute(&url, "select 1".into()).await.unwrap();

    victim.kill().unwrap();
    victim.wait().unwrap();
    if env::var_os("VITRINE_TEST_POSTGRES_URL").is_some() {
        // A given server is somebody else's, and stays.
        execute(&url, "select 1".into()).await.unwrap();
        let given = env::var("VITRINE_TEST_POSTGRES_URL").unwrap();
        let drop_it = format!("drop database {}", name_in(&url));
        execute(&given, drop_it).await.unwrap();
        return;
    }
    let gone = async {
        let folder = socket_folder(&url);
        let there = || folder.as_ref().is_some_and(|folder| folder.exists());
        while there() || execute(&url, "select 1".into()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("the server or its folder outlived the killed test");
}

fn name_in(url: &str) -> &str {
    url.split(['/', '?'])
        .rfind(|part| part.starts_with("vitrine_test"))
        .unwrap()
}

/// The folder of a temporary cluster.
fn socket_folder(url: &str) -> Option<PathBuf> {
    let (_, rest) = url.split_once("host=")?;
    Some(PathBuf::from(rest.split('&').next()?))
}

#[test]
fn programs_that_cannot_make_a_cluster_say_why() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/false", folder.path().join("initdb")).unwrap();
    let error = machine::start(folder.path(), super::Durability::Fast, &[]).unwrap_err();
    assert!(error.starts_with("initdb failed"), "{error}");
}
