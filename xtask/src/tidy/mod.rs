//! Tidy: the rules of docs/STYLE.md and of the design that a program can check.
//!
//! A rule looks at the files as text. It may be fooled by somebody who wants to fool it; it is there for the others.

mod manifests;
mod rules;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// Is one place where a rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// From the root, with `/`.
    file: String,
    /// From 1; 0 when the file as a whole is meant.
    line: usize,
    rule: &'static str,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, rule, what } = self;
        match line {
            0 => write!(f, "{file}: {rule}: {what}"),
            _ => write!(f, "{file}:{line}: {rule}: {what}"),
        }
    }
}

/// Holds the repository's files by their path from the root, with `/`; files that are no text have no text.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

type Rule = fn(&Tree) -> Vec<Problem>;

const RULES: [Rule; 13] = [
    rules::whitespace,
    rules::file_size,
    rules::readme,
    rules::layout,
    rules::links,
    rules::hosts,
    rules::attributes,
    rules::unfinished,
    rules::floats,
    rules::relay,
    rules::example_board,
    rules::requirements,
    manifests::dependencies,
];

/// Checks the repository and prints what is wrong.
///
/// # Errors
/// When a rule is broken.
pub fn check(workspace: &Workspace) -> Result<(), Failure> {
    let problems = problems(&Tree::read(&workspace.root)?);
    for problem in &problems {
        eprintln!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        count => Err(Failure::Failed(format!("tidy found {count} to mend; docs/STYLE.md gives the reasons"))),
    }
}

fn problems(tree: &Tree) -> Vec<Problem> {
    let mut problems: Vec<Problem> = RULES.iter().flat_map(|rule| rule(tree)).collect();
    problems.sort();
    problems
}

impl Tree {
    /// Reads all files but those that builds and git make.
    ///
    /// # Errors
    /// When a folder or file cannot be read.
    pub fn read(root: &Path) -> Result<Self, Failure> {
        let mut tree = Self::default();
        tree.walk(root, "")?;
        Ok(tree)
    }

    fn walk(&mut self, root: &Path, folder: &str) -> Result<(), Failure> {
        let path = root.join(folder);
        for entry in fs::read_dir(&path).map_err(|error| Failure::file(&path, error))? {
            let entry = entry.map_err(|error| Failure::file(&path, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type().map_err(|error| Failure::file(&entry.path(), error))?;
            if kind.is_file() {
                let bytes = fs::read(entry.path()).map_err(|error| Failure::file(&entry.path(), error))?;
                self.files.insert(below, String::from_utf8(bytes).unwrap_or_default());
            } else if kind.is_dir() && !is_made(&below) {
                self.walk(root, &below)?;
            }
        }
        Ok(())
    }

    /// Gives the files whose path passes a test.
    fn files(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        let all = self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        all.filter(move |(path, _)| wanted(path))
    }

    /// Gives a file's text.
    fn file(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Lists the names right below a folder (`""` is the root) that are folders themselves.
    fn folders(&self, parent: &str) -> Vec<&str> {
        let prefix = if parent.is_empty() { String::new() } else { format!("{parent}/") };
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        let mut names: Vec<&str> =
            below.filter_map(|path| path.split_once('/').map(|(name, _)| name)).collect();
        names.dedup();
        names
    }
}

/// Tells whether a folder is made by git, builds or fuzzing.
fn is_made(path: &str) -> bool {
    matches!(
        path,
        ".git" | "target" | "crates/fuzz/target" | "crates/fuzz/artifacts" | "crates/fuzz/coverage"
    )
}

/// Joins a folder (with or without its last `/`) and a path that may climb, as `../build.rs`.
fn join(folder: &str, path: &str) -> String {
    let (mut folder, mut path) = (folder.trim_end_matches('/'), path);
    while let Some(rest) = path.strip_prefix("../") {
        folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        path = rest;
    }
    if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }
}
