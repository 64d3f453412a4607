//! Every statement is prepared on both databases, and every module that declares statements is listed.

use sqlx::{Executor, SqlSafeStr};

use super::support::{Fresh, Stranger};
use crate::sql::Sql;

fn every_statement() -> Vec<(&'static str, Sql)> {
    [
        crate::commit::all_statements(),
        crate::counts::all(),
        crate::doubt::all(),
        crate::files::all(),
        crate::forecasts::all(),
        crate::inbox::all(),
        crate::insert::all(),
        crate::jobs::all(),
        crate::lanes::all(),
        crate::ledger::all(),
        crate::lengths::all(),
        crate::refusals::all(),
        crate::running::all(),
        crate::clocks::all(),
        crate::migrations::all(),
        crate::money::all(),
        crate::news::all(),
        crate::products::all(),
        crate::server::all(),
        crate::watch::all(),
    ]
    .concat()
}

/// Modules whose statements `every_statement` lists (`commit` and its three parts).
const MODULES_WITH_STATEMENTS: usize = 23;

#[tokio::test]
async fn every_statement_prepares_on_both_databases() {
    let (sqlite, postgres) = (Fresh::sqlite().await, Fresh::postgres().await);
    let mut broken = Vec::new();
    for fresh in [&sqlite, &postgres] {
        let mut db = fresh.stranger().await;
        for (name, sql) in every_statement() {
            let said = match &mut db {
                Stranger::Sqlite(db) => db
                    .prepare(sql.sqlite.into_sql_str())
                    .await
                    .map(drop)
                    .map_err(|error| (error, sql.sqlite)),
                Stranger::Postgres(db) => db
                    .prepare(sql.postgres.into_sql_str())
                    .await
                    .map(drop)
                    .map_err(|error| (error, sql.postgres)),
            };
            if let Err((error, text)) = said {
                broken.push(format!("{name}: {error}\n{text}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert!(every_statement().len() > 60);
}

#[test]
fn every_module_with_statements_is_listed() {
    fn count(folder: &std::path::Path) -> usize {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                if path.is_dir() {
                    return count(&path);
                }
                let text = std::fs::read_to_string(&path).unwrap();
                text.lines()
                    .filter(|line| line.trim_end() == "statements! {")
                    .count()
            })
            .sum()
    }
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(count(&sources), MODULES_WITH_STATEMENTS);
}

/// SQLite looks at the value behind a bare `limit ?` while it prepares, and prepares the statement anew for
/// the next execution: half of what a read costs.
#[test]
fn no_limit_is_a_bare_parameter() {
    let bare = |sql: &Sql| {
        let mut limits = sql.sqlite.split("limit ?").skip(1);
        limits.any(|rest| {
            !rest
                .trim_start_matches(|c: char| c.is_ascii_digit())
                .starts_with(" + 0")
        })
    };
    let names: Vec<&str> = every_statement()
        .iter()
        .filter(|(_, sql)| bare(sql))
        .map(|(name, _)| *name)
        .collect();
    assert!(names.is_empty(), "write `limit ?N + 0` in {names:?}");
}
