//! docs/CONFORMANCE.md names only tests that exist, and every scenario.
#![allow(missing_docs, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sockeye_host::world::World;

const PAGE: &str = include_str!("../../../docs/CONFORMANCE.md");

/// The names of all functions in the Rust files below a folder.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let found = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            names.extend(found.filter_map(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists_and_every_scenario_is_named() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut known = BTreeSet::new();
    functions(&root.join("crates"), &mut known);
    functions(&root.join("boards"), &mut known);

    let scenarios: BTreeSet<String> =
        sockeye_scenarios::all::<World>().into_iter().map(|(name, _)| name).collect();
    let mut quoted: BTreeSet<&str> = PAGE.split('`').skip(1).step_by(2).collect();
    quoted.remove("chapter_…::name");
    for name in &quoted {
        match name.split_once("::") {
            Some(_) => assert!(scenarios.contains(*name), "there is no scenario {name}"),
            // A sentence with underscores is a test; the page quotes other things too.
            None if name.matches('_').count() > 2 => {
                assert!(known.contains(*name), "there is no test {name}")
            }
            None => {}
        }
    }
    for name in &scenarios {
        assert!(quoted.contains(name.as_str()), "{name} is not on the page");
    }
}
