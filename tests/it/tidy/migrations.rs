//! The two databases have the same schema, as far as programs outside can see: the same migrations
//! by number and name, and in each the same tables, columns, named constraints and unique indexes.
//! Types may differ, and SQLite checks what a type of PostgreSQL says. Where more has to differ, the
//! comment right above says `-- Differs because …`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Tree, complains, tidy};

const FOLDERS: [&str; 2] = ["migrations/sqlite/", "migrations/postgres/"];

/// Begins the comment that excuses the line below it.
const DIFFERS: &str = "-- Differs because";

/// Ends the names of checks that stand in SQLite alone, and the type that stands for each.
const TYPE_CHECKS: [(&str, &str); 4] = [
    ("_times_are_utc_with_milliseconds", "timestamptz"),
    ("_is_a_time", "timestamptz"),
    ("_is_0_or_1", "boolean"),
    ("_is_json", "jsonb"),
];

#[test]
fn both_databases_have_the_same_schema() {
    let tree = Tree::read();
    let [sqlite, postgres] = FOLDERS.map(|folder| {
        let files = tree.files().iter().filter_map(|file| {
            let name = file.path.strip_prefix(folder)?;
            name.ends_with(".sql").then_some((name, file.text.as_str()))
        });
        files.collect::<Vec<_>>()
    });
    tidy(&twins(&sqlite, &postgres));
}

/// Complaints of what one folder has and the other has not.
fn twins(sqlite: &[(&str, &str)], postgres: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let [one, other] = [sqlite, postgres]
        .map(|files| files.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>());
    for name in one.symmetric_difference(&other) {
        complaints.push(format!("{name}: stands in one folder of migrations only"));
    }
    for (name, text) in sqlite {
        let digits = name.chars().take_while(char::is_ascii_digit).count();
        if digits != 4 || !name.split_at(digits).1.starts_with('_') {
            complaints.push(format!("{name}: name it as 0001_what_it_does.sql"));
        }
        if let Some((_, twin)) = postgres.iter().find(|(other, _)| other == name) {
            let (one, other) = (schema(text), schema(twin));
            let in_sqlite = one.missing_in(&other);
            let in_sqlite = in_sqlite.filter(|item| !is_type_check(item));
            complaints.extend(in_sqlite.map(|item| lacks(FOLDERS[1], name, item)));
            complaints.extend(
                other
                    .missing_in(&one)
                    .map(|item| lacks(FOLDERS[0], name, item)),
            );
        }
    }
    complaints
}

fn lacks(folder: &str, name: &str, item: &str) -> String {
    format!("{folder}{name}: no {item}, which its twin has")
}

fn is_type_check(item: &str) -> bool {
    TYPE_CHECKS.iter().any(|(end, _)| item.ends_with(end))
}

/// What a migration makes, in words: `table t`, `column t.c`, `constraint t.c`, `unique index i`;
/// each with its table, where it is a part of one, and whether a comment says why it differs.
#[derive(Debug, Default)]
struct Schema {
    items: BTreeMap<String, (Option<String>, bool)>,
}

impl Schema {
    fn add(&mut self, item: String, table: Option<&str>, excused: bool) {
        let table = table.map(|table| format!("table {table}"));
        self.items.insert(item, (table, excused));
    }

    /// What `other` should have too. A table that it lacks is one thing, whatever is in it.
    fn missing_in<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a str> {
        let has = |item: &String| other.items.contains_key(item);
        let missing = self.items.iter().filter(move |(item, (table, excused))| {
            // A table made by an earlier migration is in neither of the two.
            let table_there = |table| has(table) || !self.items.contains_key(table);
            !excused && !has(item) && table.as_ref().is_none_or(table_there)
        });
        missing.map(|(item, _)| item.as_str())
    }
}

/// Reads `create table`, `alter table … add` and `create unique index`.
fn schema(sql: &str) -> Schema {
    let mut schema = Schema::default();
    for (statement, excused) in items(sql, ';') {
        let words: Vec<&str> = words(&statement).collect();
        match words.as_slice() {
            ["create", "table", rest @ ..] => {
                let rest = rest.strip_prefix(&["if", "not", "exists"]).unwrap_or(rest);
                let Some(table) = rest.first() else { continue };
                schema.add(format!("table {table}"), None, excused);
                for (part, differs) in items(body(&statement), ',') {
                    table_part(&mut schema, table, &part, differs);
                }
            }
            ["alter", "table", table, "add", ..] => {
                let (_, part) = statement.split_once("add").unwrap_or_default();
                let part = part.trim_start();
                let part = part.strip_prefix("column ").unwrap_or(part);
                table_part(&mut schema, table, part, excused);
            }
            ["create", "unique", "index", name, ..] => {
                schema.add(format!("unique index {name}"), None, excused);
            }
            _ => {}
        }
    }
    schema
}

/// One column or one constraint; a column may carry named constraints of its own.
fn table_part(schema: &mut Schema, table: &str, part: &str, excused: bool) {
    let words: Vec<&str> = words(part).collect();
    let Some(first) = words.first() else { return };
    if ![
        "constraint",
        "primary",
        "unique",
        "check",
        "foreign",
        "exclude",
        "like",
    ]
    .contains(first)
    {
        schema.add(format!("column {table}.{first}"), Some(table), excused);
    }
    for pair in words.windows(2) {
        if let ["constraint", name] = pair {
            schema.add(format!("constraint {table}.{name}"), Some(table), excused);
        }
    }
}

/// The inside of the first parentheses of a statement.
fn body(statement: &str) -> &str {
    let inside = statement.split_once('(').map_or("", |(_, inside)| inside);
    inside.rsplit_once(')').map_or(inside, |(inside, _)| inside)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.trim().starts_with("--"));
    lines.flat_map(|line| {
        line.split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
    })
}

/// Parts between separators that stand in no parentheses, quotes or comments, and whether the
/// comment in front of each excuses it. Comments are gone from the parts.
fn items(sql: &str, separator: char) -> Vec<(String, bool)> {
    let mut items = Vec::new();
    let (mut item, mut excused) = (String::new(), false);
    let (mut depth, mut quoted) = (0_i32, false);
    for line in sql.lines() {
        let code = if quoted {
            line
        } else {
            line.split("--").next().unwrap_or("")
        };
        // A comment right in front of an item excuses it; one inside is its parts' own.
        if depth == 0 && item.trim().is_empty() {
            excused = !line.trim().is_empty() && (excused || line.trim().starts_with(DIFFERS));
        }
        // Kept for the items within this one.
        if depth > 0 && code.trim().is_empty() {
            item.push_str(line);
        }
        for c in code.chars() {
            match c {
                '\'' => quoted = !quoted,
                '(' if !quoted => depth += 1,
                ')' if !quoted => depth -= 1,
                _ => {}
            }
            if c == separator && depth == 0 && !quoted {
                items.push((std::mem::take(&mut item), std::mem::take(&mut excused)));
            } else {
                item.push(c);
            }
        }
        item.push('\n');
    }
    items.push((item, excused));
    items
}

const SQLITE: &str = "
-- Differs because of much, says the head of the file.

-- A comment; with a semicolon, and (a parenthesis.
create table if not exists jobs (
    id integer primary key,
    status text not null default 'a, b'
        constraint status_known check (status in ('a', 'b')),
    -- Differs because SQLite has no such type;
    -- it goes on here, with a comma.
    at text constraint at_is_early check (at < 'b'),
    constraint id_positive check (id > 0),
    constraint jobs_run_at_is_a_time check (at is strftime('%Y', at))
) strict;
create unique index one_open on jobs (id) where status = 'a';
alter table jobs add column extra text;
";

#[test]
fn the_schema_of_a_migration_is_read() {
    let schema = schema(SQLITE);
    let all: Vec<&str> = schema.items.keys().map(String::as_str).collect();
    assert_eq!(
        all,
        [
            "column jobs.at",
            "column jobs.extra",
            "column jobs.id",
            "column jobs.status",
            "constraint jobs.at_is_early",
            "constraint jobs.id_positive",
            "constraint jobs.jobs_run_at_is_a_time",
            "constraint jobs.status_known",
            "table jobs",
            "unique index one_open",
        ]
    );
    let excused = schema.items.iter().filter(|(_, (_, excused))| *excused);
    let excused: Vec<&str> = excused.map(|(item, _)| item.as_str()).collect();
    assert_eq!(excused, ["column jobs.at", "constraint jobs.at_is_early"]);
}

#[test]
fn a_difference_between_the_databases_is_found() {
    let name = "0001_jobs.sql";
    let postgres = SQLITE
        .replace(" constraint at_is_early check (at < 'b')", "")
        .replace("jobs_run_at_is_a_time", "id_positive");
    let check = |twin: &str| twins(&[(name, SQLITE)], &[(name, twin)]);
    assert_eq!(check(&postgres), Vec::<String>::new());
    for (from, to, of) in [
        ("constraint status_known check", "check", ".status_known"),
        (
            "alter table jobs add column extra text;",
            "",
            "column jobs.extra,",
        ),
        (
            "create unique index one_open",
            "create index one_open",
            "unique index one_open",
        ),
        ("table if not exists jobs (", "view jobs (", "table jobs"),
        (
            ") strict;",
            ", more text);",
            "sqlite/0001_jobs.sql: no column jobs.more",
        ),
        (
            ") strict;",
            ", constraint more_is_json check (true));",
            "more_is_json",
        ),
    ] {
        assert!(postgres.contains(from), "{from}");
        let complaints = check(&postgres.replace(from, to));
        let of_it = complaints.iter().filter(|text| text.contains(of));
        assert_eq!(of_it.count(), 1, "{of}: {complaints:#?}");
    }
    complains(&twins(&[(name, SQLITE)], &[]), "one folder");
    complains(&twins(&[("1.sql", "")], &[("1.sql", "")]), "name it as");
}
