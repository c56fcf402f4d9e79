//! Bills of materials: the packages that something is made of, as CycloneDX 1.5 has it.

use std::path::Path;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::process;
use crate::workspace::cargo_in;

/// What a bill is about.
#[derive(Debug)]
pub struct About<'a> {
    /// CycloneDX's word for its kind: `firmware`, `application`.
    pub kind: &'a str,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A package of this repository, built with these features alone, separated by commas.
#[derive(Debug)]
pub struct Part<'a> {
    pub package: &'a str,
    pub features: String,
}

/// Lists the packages that something is made of. Without time and serial number: they would differ.
///
/// # Errors
/// cargo does not answer.
pub fn of(root: &Path, target: &str, about: &About<'_>, parts: &[Part<'_>]) -> Result<Value, Failure> {
    let mut packages = Vec::new();
    for Part { package, features } in parts {
        let mut cargo = cargo_in(root);
        cargo.args(["tree", "--locked", "--edges", "normal", "--prefix", "none"]);
        cargo.args(["--format", "{p}|{l}", "--no-dedupe", "--target", target]);
        cargo.args(["--package", package, "--no-default-features", "--features", features]);
        packages.extend(process::output(&mut cargo)?.lines().filter_map(component));
    }
    packages.sort();
    packages.dedup();
    let components: Vec<Value> = packages
        .iter()
        .map(|(name, version, license)| {
            json!({
                "type": "library",
                "name": name,
                "version": version,
                "purl": format!("pkg:cargo/{name}@{version}"),
                "licenses": [{ "expression": license }],
            })
        })
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": about.kind, "name": about.name, "version": about.version } },
        "components": components,
    }))
}

/// Reads a line such as `name v1.2.3 (proc-macro)|MIT`.
fn component(line: &str) -> Option<(String, String, String)> {
    let (package, license) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // What cargo's older form writes with a stroke is an alternative.
    Some((name.to_owned(), version.to_owned(), license.trim().replace('/', " OR ").replace("  ", " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_cargos_tree_becomes_a_component() {
        let check = |line: &str, expected: Option<[&str; 3]>| {
            let found = component(line);
            assert_eq!(found, expected.map(|[a, b, c]| (a.to_owned(), b.to_owned(), c.to_owned())), "{line}");
        };
        check("aes v0.8.4|MIT OR Apache-2.0", Some(["aes", "0.8.4", "MIT OR Apache-2.0"]));
        check("paste v1.0.15 (proc-macro)|MIT/Apache-2.0", Some(["paste", "1.0.15", "MIT OR Apache-2.0"]));
        check(
            "sockeye-radio v0.1.0 (/some/where)|MIT OR Apache-2.0",
            Some(["sockeye-radio", "0.1.0", "MIT OR Apache-2.0"]),
        );
        check("", None);
    }
}
