//! Each statement of the providers' own documents has a test: the last column of the table in
//! `STATEMENTS.md` names it, and the test exists.

use std::collections::BTreeSet;

use super::{File, Tree, complains, tidy};

const STATEMENTS: &str = "crates/providers/fixtures/seeds/STATEMENTS.md";

#[test]
fn every_statement_of_the_providers_documents_has_a_test() {
    let tree = Tree::read();
    if let Some(table) = tree.text(STATEMENTS) {
        tidy(&untested(table, &test_names(tree.rust())));
    }
}

/// The names of all test functions.
fn test_names<'a>(files: impl Iterator<Item = &'a File>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for file in files {
        let mut is_test = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[") || line.starts_with("//") {
                is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
                continue;
            }
            let declared = line.strip_prefix("async ").unwrap_or(line);
            if is_test && let Some(rest) = declared.strip_prefix("fn ") {
                names.extend(rest.split('(').next());
            }
            is_test = false;
        }
    }
    names
}

/// Rows of the tables that name no test, or one that does not exist.
fn untested(text: &str, tests: &BTreeSet<&str>) -> Vec<String> {
    let rows = rows(text);
    if rows.is_empty() {
        return vec![format!("{STATEMENTS}: no table with statements")];
    }
    let mut complaints = Vec::new();
    for (number, last) in rows {
        let mut named = names_in(last).peekable();
        if named.peek().is_none() {
            complaints.push(format!("{STATEMENTS}:{number}: no test is named"));
        }
        complaints.extend(
            named
                .filter(|name| !tests.contains(name))
                .map(|name| format!("{STATEMENTS}:{number}: there is no test {name}")),
        );
    }
    complaints
}

/// The line number and the last cell of each row of each table, headings aside.
fn rows(text: &str) -> Vec<(usize, &str)> {
    let mut rows = Vec::new();
    let mut lines_of_table = 0;
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        let Some(cells) = line.strip_prefix('|') else {
            lines_of_table = 0;
            continue;
        };
        lines_of_table += 1;
        // The first two lines are the heading and its line of dashes.
        if lines_of_table > 2 {
            let cells = cells.strip_suffix('|').unwrap_or(cells);
            rows.push((number, cells.rsplit('|').next().unwrap_or("")));
        }
    }
    rows
}

/// The function names of a cell: `module::tests::name` counts as `name`.
fn names_in(cell: &str) -> impl Iterator<Item = &str> {
    cell.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | ':')))
        .filter_map(|path| path.rsplit("::").next())
        .filter(|name| name.contains('_'))
}

#[test]
fn a_statement_without_its_test_is_found() {
    let source = File {
        path: "crates/x/src/lib.rs".into(),
        text: "#[test]\nfn a_test_that_is_there() {}\n#[tokio::test]\n/// Doc.\nasync fn \
               another_one_too() {}\nfn no_test_at_all() {}"
            .into(),
    };
    let tests = test_names([&source].into_iter());
    assert_eq!(tests.len(), 2);
    let table = |last: &str| format!("Text.\n\n| s | test |\n|---|:--|\n| one | {last} |\n");
    let check = |last: &str, of: &str| complains(&untested(&table(last), &tests), of);
    check("", ":5: no test is named");
    check("`a_test_that_is_gone`", "no test a_test_that_is_gone");
    check("`no_test_at_all`", "no test no_test_at_all");
    complains(&untested("| s | test |\n|---|---|\n", &tests), "no table");

    for good in [
        "`lib::a_test_that_is_there`",
        "a_test_that_is_there, `another_one_too`",
    ] {
        assert_eq!(untested(&table(good), &tests), Vec::<String>::new());
    }
    let two = [table("another_one_too"), table("another_one_too")].join("\n");
    assert_eq!(untested(&two, &tests), Vec::<String>::new());
}
