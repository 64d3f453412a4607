//! Rules for Rust files and for every text: size, documentation, and words that do not belong.

use super::{File, Tree, complains, tidy};

/// A file is read as a whole; beyond this it is two. Tests do not count.
const MAX_LINES: usize = 500;

/// Macros and attributes for what is not finished or not looked at.
const UNFINISHED: [&str; 4] = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];

/// What stops a program, and the lint whose `expect`, with its reason, has to stand in the file.
/// Clippy knows better where; it cannot see that an `expect` is missing under `--cap-lints`.
const STOPS: [(&str, &str); 4] = [
    (".unwrap()", "clippy::unwrap_used"),
    (".expect(", "clippy::expect_used"),
    ("panic!(", "clippy::panic"),
    ("unreachable!(", "clippy::unreachable"),
];

#[test]
fn rust_files_keep_the_rules() {
    tidy(&Tree::read().rust().flat_map(rust_file).collect::<Vec<_>>());
}

#[test]
fn texts_name_no_place_of_one_machine() {
    tidy(
        &Tree::read()
            .files()
            .iter()
            .flat_map(places)
            .collect::<Vec<_>>(),
    );
}

/// All complaints of one Rust file.
fn rust_file(file: &File) -> Vec<String> {
    let code = code_only(&file.text);
    let shipped = without_tests(&code);
    let path = &file.path;
    let mut complaints = Vec::new();

    if !file.text.starts_with("//!") {
        complaints.push(format!(
            "{path}: begin with `//!`: what this module owns, what it does not, why"
        ));
    }
    for word in UNFINISHED {
        if code.contains(word) {
            complaints.push(format!("{path}: `{word}` is unfinished work"));
        }
    }
    if code.contains("[allow(") || (code.contains("cfg_attr") && code.contains(", allow(")) {
        complaints.push(format!(
            "{path}: write `#[expect(…, reason = \"…\")]` for `allow`: it ends with its cause"
        ));
    }
    if code.contains("clippy::too_many_lines") {
        complaints.push(format!("{path}: a function that is too long is two"));
    }
    for word in [concat!("TO", "DO"), concat!("FIX", "ME")] {
        if file.text.contains(word) {
            complaints.push(format!("{path}: finish the {word}, or write an issue"));
        }
    }
    if is_test(path) {
        return complaints;
    }
    let lines = shipped.lines().count();
    if lines > MAX_LINES {
        complaints.push(format!(
            "{path}: {lines} lines without tests, at most {MAX_LINES}: split it"
        ));
    }
    for (stop, lint) in STOPS {
        if shipped.contains(stop) && !code.contains(lint) {
            complaints.push(format!(
                "{path}: `{stop}` outside of tests: return an error"
            ));
        }
    }
    complaints
}

/// Test modules in files of their own.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// Paths of a developer's machine and addresses of registries: the tree has to build anywhere.
fn places(file: &File) -> Vec<String> {
    // Put together here, so that this file does not complain of itself.
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("registry.", "npmjs.org"),
        concat!("py", "pi.org"),
        concat!("files.", "pythonhosted.org"),
        concat!("proxy.", "golang.org"),
        concat!("deb.", "debian.org"),
    ];
    let lines = file.text.lines().zip(1..);
    lines
        .flat_map(|(line, number)| {
            let found = places.iter().filter(move |place| line.contains(**place));
            found.map(move |place| (place, number))
        })
        .map(|(place, number)| format!("{}:{number}: names `{place}`", file.path))
        .collect()
}

/// The text with comments and the insides of strings blanked, line for line.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let length = match skipped(rest, before) {
            0 => {
                code.push(next);
                before = next;
                rest = rest.split_at(next.len_utf8()).1;
                continue;
            }
            length => length,
        };
        let (blank, after) = rest.split_at(length);
        code.extend(blank.chars().map(|c| if c == '\n' { c } else { ' ' }));
        before = ' ';
        rest = after;
    }
    code
}

/// How many bytes at the beginning of `rest` are a comment or a literal; 0 for code.
fn skipped(rest: &str, before: char) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return rest.find("*/").map_or(rest.len(), |end| end + 2);
    }
    let in_word = before.is_alphanumeric() || before == '_';
    if rest.starts_with('r') && !in_word {
        let hashes = rest.chars().skip(1).take_while(|c| *c == '#').count();
        let (open, close) = (1 + hashes, format!("\"{}", "#".repeat(hashes)));
        if rest.split_at(open).1.starts_with('"') {
            let body = rest.split_at(open + 1).1;
            let end = body.find(&close).unwrap_or(body.len() - close.len());
            return open + 1 + end + close.len();
        }
    }
    match rest.chars().next() {
        Some('"') => quoted(rest, '"'),
        // A lifetime has no closing quote right after its first letter.
        Some('\'') if rest.starts_with("'\\") || rest.chars().nth(2) == Some('\'') => {
            quoted(rest, '\'')
        }
        _ => 0,
    }
}

/// The bytes of a literal with its quotes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// Code without what `#[cfg(test)]` stands before: a block, or a module in another file.
fn without_tests(code: &str) -> String {
    let mut shipped = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        shipped.push_str(before);
        let end = after.find(['{', ';']).unwrap_or(after.len());
        let (_, item) = after.split_at(end);
        rest = item.split_at(block(item)).1;
    }
    shipped + rest
}

/// The bytes of a block up to its closing brace; 1 where there is none.
fn block(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + c.len_utf8();
        }
    }
    item.len()
}

fn sample(path: &str, text: &str) -> File {
    File {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn each_rule_for_rust_files_complains_of_a_bad_sample() {
    let check = |path: &str, body: &str, of: &str| {
        let text = format!("//! Doc.\n{body}\n");
        complains(&rust_file(&sample(path, &text)), of);
    };
    let long = "fn f() {}\n".repeat(MAX_LINES);
    let lib = "crates/x/src/lib.rs";
    check(lib, long.trim_end(), "501 lines");
    check(lib, "fn f() { todo!() }", "unfinished");
    check("tests/it/x.rs", "#[ignore = \"slow\"]", "unfinished");
    check(lib, "fn f() { dbg!(1); }", "unfinished");
    check(lib, "#[allow(dead_code)]", "for `allow`");
    check(lib, "#![allow(dead_code)]", "for `allow`");
    check(lib, "#[cfg_attr(unix, allow(dead_code))]", "for `allow`");
    check(lib, "#[expect(clippy::too_many_lines)]", "too long");
    check(lib, concat!("// TO", "DO: later"), "finish");
    check(lib, "fn f() { g().unwrap() }", "outside of tests");
    check(lib, "fn f() { g().expect(\"it\") }", "outside of tests");
    check(lib, "fn f() { panic!(\"no\") }", "outside of tests");
    let twice = "#[cfg(test)]\nmod tests { }\nfn f() { g().unwrap() }";
    check(lib, twice, "outside of tests");
    complains(&rust_file(&sample(lib, "fn f() {}\n")), "begin with `//!`");
}

#[test]
fn rules_for_rust_files_leave_good_samples_alone() {
    let check = |path: &str, body: &str| {
        let text = format!("//! Doc.\n{body}\n");
        assert_eq!(rust_file(&sample(path, &text)), Vec::<String>::new());
    };
    let lib = "crates/x/src/lib.rs";
    let tests = "fn f() { g().unwrap(); }\n".repeat(MAX_LINES);
    check(lib, &format!("#[cfg(test)]\nmod tests {{\n{tests}}}"));
    check(lib, "#[cfg(test)]\nmod tests;\nfn f() -> char { '{' }");
    check(lib, "// Never todo!() or .unwrap() here.");
    check(
        lib,
        r##"const A: &str = r#"panic!("x")"#; const B: &str = "\"dbg!(";"##,
    );
    check(lib, "fn f<'a>(x: &'a str) -> &'a str { x }");
    check(
        lib,
        "#[expect(clippy::panic, reason = \"so\")]\nfn f() { panic!() }",
    );
    check("crates/x/src/lib/tests.rs", &tests);
}

#[test]
fn a_place_of_one_machine_is_found() {
    let bad = format!("one\nat {}main\n", concat!("/wo", "rk/"));
    complains(&places(&sample("README.md", &bad)), "README.md:2");
    let bad = format!("https://{}", concat!("py", "pi.org"));
    complains(&places(&sample(".ci/run", &bad)), ".ci/run:1");
    assert!(places(&sample("README.md", "in the work/ folder")).is_empty());
}
