//! The two databases have the same schema, as far as programs outside can see: the same migrations
//! by number and name, and in each the same tables, columns, named constraints and unique indexes.
//! Types may differ. Where more has to, the comment right above says `-- Differs because …`.

use std::collections::BTreeSet;

use super::{Tree, complains, tidy};

const FOLDERS: [&str; 2] = ["migrations/sqlite/", "migrations/postgres/"];

/// Begins the comment that excuses the line below it.
const DIFFERS: &str = "-- Differs because";

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
            let missing = |here: &Schema, there: &Schema, folder: &str| {
                let missing = here.all.difference(&there.all);
                let unexcused = missing.filter(|item| !here.excused.contains(*item));
                unexcused
                    .map(|item| format!("{folder}{name}: no {item}, which its twin has"))
                    .collect::<Vec<_>>()
            };
            complaints.extend(missing(&one, &other, FOLDERS[1]));
            complaints.extend(missing(&other, &one, FOLDERS[0]));
        }
    }
    complaints
}

/// What a migration makes, in words: `table t`, `column t.c`, `constraint t.c`, `unique index i`.
#[derive(Debug, Default)]
struct Schema {
    all: BTreeSet<String>,
    excused: BTreeSet<String>,
}

impl Schema {
    fn add(&mut self, item: String, excused: bool) {
        if excused {
            self.excused.insert(item.clone());
        }
        self.all.insert(item);
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
                schema.add(format!("table {table}"), excused);
                for (part, differs) in items(body(&statement), ',') {
                    table_part(&mut schema, table, &part, excused || differs);
                }
            }
            ["alter", "table", table, "add", ..] => {
                let (_, part) = statement.split_once("add").unwrap_or_default();
                let part = part.trim_start();
                let part = part.strip_prefix("column ").unwrap_or(part);
                table_part(&mut schema, table, part, excused);
            }
            ["create", "unique", "index", name, ..] => {
                schema.add(format!("unique index {name}"), excused);
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
        schema.add(format!("column {table}.{first}"), excused);
    }
    for pair in words.windows(2) {
        if let ["constraint", name] = pair {
            schema.add(format!("constraint {table}.{name}"), excused);
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
        // Only a comment in front of an item excuses it as a whole; one inside is its parts' own.
        if depth == 0 && item.trim().is_empty() && line.trim().starts_with(DIFFERS) {
            excused = true;
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
-- A comment; with a semicolon, and (a parenthesis.
create table if not exists jobs (
    id integer primary key,
    status text not null default 'a, b'
        constraint status_known check (status in ('a', 'b')),
    -- Differs because SQLite has no type for it.
    at text constraint at_is_a_time check (at is strftime('%Y', at)),
    constraint id_positive check (id > 0)
) strict;
create unique index one_open on jobs (id) where status = 'a';
alter table jobs add column extra text;
";

#[test]
fn the_schema_of_a_migration_is_read() {
    let schema = schema(SQLITE);
    let all: Vec<&str> = schema.all.iter().map(String::as_str).collect();
    assert_eq!(
        all,
        [
            "column jobs.at",
            "column jobs.extra",
            "column jobs.id",
            "column jobs.status",
            "constraint jobs.at_is_a_time",
            "constraint jobs.id_positive",
            "constraint jobs.status_known",
            "table jobs",
            "unique index one_open",
        ]
    );
    let excused: Vec<&str> = schema.excused.iter().map(String::as_str).collect();
    assert_eq!(excused, ["column jobs.at", "constraint jobs.at_is_a_time"]);
}

#[test]
fn a_difference_between_the_databases_is_found() {
    let name = "0001_jobs.sql";
    let twin = SQLITE.replace(
        " constraint at_is_a_time check (at is strftime('%Y', at))",
        "",
    );
    assert_eq!(
        twins(&[(name, SQLITE)], &[(name, &twin)]),
        Vec::<String>::new()
    );
    for (from, to, of) in [
        ("status_known", "status_is_known", ".status_known"),
        ("extra text", "extras text", "column jobs.extra,"),
        ("one_open", "only_one", "unique index one_open"),
        (
            "    constraint id_positive check (id > 0)",
            "    check (id > 0)",
            "id_positive",
        ),
    ] {
        assert!(twin.contains(from), "{from}");
        let other = twin.replace(from, to);
        let complaints = twins(&[(name, SQLITE)], &[(name, &other)]);
        assert!(
            complaints.iter().any(|text| text.contains(of)),
            "{of}: {complaints:#?}"
        );
    }
    complains(&twins(&[(name, SQLITE)], &[]), "one folder");
    complains(&twins(&[("1.sql", "")], &[("1.sql", "")]), "name it as");
}
