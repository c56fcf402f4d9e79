//! The rules on Cargo.toml files.

use super::source::{code, has_word, is_test_file};
use super::{Problem, Tree, join};

const RULE: &str = "dependencies";
/// Said in a comment behind a dependency that is there for its features or for the linker.
const UNNAMED: &str = "not named in code";

/// Every dependency of a package is used in it, and every dependency of the workspace in a package.
pub fn dependencies(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut inherited = Vec::new();
    for (path, text) in tree.files(|path| path.ends_with("/Cargo.toml")) {
        let Ok(manifest) = text.parse::<toml::Table>() else { continue };
        let folder = path.strip_suffix("Cargo.toml").unwrap_or_default();
        let sources = Sources::read(tree, folder, &manifest);
        for (kind, table) in tables(&manifest) {
            for (name, value) in table {
                let from_workspace = value.get("workspace").is_some();
                inherited.extend(from_workspace.then(|| name.clone()));
                let line = line_of(text, name);
                let excused =
                    text.lines().nth(line.saturating_sub(1)).is_some_and(|line| line.contains(UNNAMED));
                if !excused && !sources.use_name(kind, name) {
                    let what = format!(
                        "{name} is not used in {kind}; remove it, or say `# {UNNAMED}: why` behind it"
                    );
                    problems.push(Problem { file: path.to_owned(), line, rule: RULE, what });
                }
            }
        }
    }
    problems.extend(unused_in_workspace(tree, &inherited));
    problems
}

fn unused_in_workspace(tree: &Tree, inherited: &[String]) -> Vec<Problem> {
    const ROOT: &str = "Cargo.toml";
    let text = tree.file(ROOT).unwrap_or_default();
    let Ok(manifest) = text.parse::<toml::Table>() else { return Vec::new() };
    let table = manifest
        .get("workspace")
        .and_then(|workspace| workspace.get("dependencies"))
        .and_then(|table| table.as_table());
    // Our own packages may be listed before the first one needs them.
    let others = table.into_iter().flatten().filter(|(_, value)| value.get("path").is_none());
    let unused = others.filter(|(name, _)| !inherited.contains(name));
    unused
        .map(|(name, _)| Problem {
            file: ROOT.to_owned(),
            line: line_of(text, name),
            rule: RULE,
            what: format!("no package uses {name}; remove it"),
        })
        .collect()
}

/// Gives the tables of dependencies, those of targets too, with their kind.
fn tables(manifest: &toml::Table) -> Vec<(&'static str, &toml::Table)> {
    let targets = manifest.get("target").and_then(|targets| targets.as_table()).into_iter().flatten();
    let places = std::iter::once(manifest).chain(targets.filter_map(|(_, target)| target.as_table()));
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    places
        .flat_map(|place| kinds.map(|kind| (kind, place.get(kind).and_then(|table| table.as_table()))))
        .filter_map(|(kind, table)| Some((kind, table?)))
        .collect()
}

/// Finds the line on which a dependency stands; 0 if it cannot be found.
fn line_of(text: &str, name: &str) -> usize {
    let is_it = |line: &str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '=', '.']));
    text.lines().position(is_it).map_or(0, |index| index + 1)
}

/// The code of one package.
struct Sources {
    package: String,
    tests: String,
    build: String,
}

impl Sources {
    fn read(tree: &Tree, folder: &str, manifest: &toml::Table) -> Self {
        let build =
            manifest.get("package").and_then(|package| package.get("build")).and_then(|build| build.as_str());
        let build = join(folder, build.unwrap_or("build.rs"));
        let mut sources = Self { package: String::new(), tests: String::new(), build: String::new() };
        for (path, text) in
            tree.files(|path| path == build || (path.starts_with(folder) && path.ends_with(".rs")))
        {
            let place = if path == build {
                &mut sources.build
            } else if is_test_file(path.strip_prefix(folder).unwrap_or(path)) {
                &mut sources.tests
            } else {
                &mut sources.package
            };
            place.push_str(&code(text));
        }
        sources
    }

    fn use_name(&self, kind: &str, name: &str) -> bool {
        let name = name.replace('-', "_");
        let places: &[&String] = match kind {
            "dependencies" => &[&self.package],
            "build-dependencies" => &[&self.build],
            // Unit tests stand in the package's own files.
            _ => &[&self.package, &self.tests],
        };
        places.iter().any(|code| has_word(code, &name))
    }
}
