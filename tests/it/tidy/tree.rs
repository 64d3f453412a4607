//! The files that the rules look at: what git tracks and what it would track, or, outside of a
//! repository, all that is there but build output.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text file of the tree.
#[derive(Debug)]
pub(super) struct File {
    /// From the root of the tree, with forward slashes.
    pub(super) path: String,
    pub(super) text: String,
}

/// All text files of the tree, in the order of their paths.
#[derive(Debug)]
pub(super) struct Tree {
    files: Vec<File>,
    paths: Vec<String>,
}

impl Tree {
    /// Reads the tree that this test belongs to.
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut paths = tracked(&root).unwrap_or_else(|| walked(&root));
        paths.sort();
        let files = paths
            .iter()
            // A file that is no text (an image for a test), or one that was just deleted.
            .filter_map(|path| {
                let text = fs::read_to_string(root.join(path)).ok()?;
                let path = path.clone();
                Some(File { path, text })
            })
            .collect();
        Self { files, paths }
    }

    /// The paths of all files, texts or not.
    pub(super) fn paths(&self) -> &[String] {
        &self.paths
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// The files of Rust.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(&file.text)
    }
}

/// What git tracks, and new files that it does not ignore.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names = names.split_terminator('\0').map(str::to_owned).collect();
    output.status.success().then_some(names)
}

/// All files of an unpacked archive.
fn walked(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::new()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(root.join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if path == Path::new("target") || path == Path::new(".git") {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
            } else {
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn an_unpacked_archive_has_the_files_that_git_tracks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let walked = walked(&root);
    for path in ["Cargo.toml", "tests/it/tidy/tree.rs", ".ci/run"] {
        assert!(walked.iter().any(|found| found == path), "{path}");
        assert!(Tree::read().text(path).is_some(), "{path}");
    }
    assert!(!walked.iter().any(|path| path.starts_with("target/")));
}
