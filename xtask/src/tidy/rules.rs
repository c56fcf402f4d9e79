//! The rules on source, text and folders.

use std::collections::BTreeSet;

use super::source::{self, code, has_word, is_test_file, is_word, lines_without_tests};
use super::{Problem, Tree, join};

/// The longest Rust file, in bytes.
const MAX_FILE: usize = 28_000;
/// The board that docs/PORTING.md takes as its example, and the lines of Rust that it has to stay below: what a new board
/// needs more of belongs to what all share.
const EXAMPLE_BOARD: (&str, usize) = ("boards/rak4631/", 250);
/// What the design names; more needs a word in docs/ARCHITECTURE.md.
const TOP_FOLDERS: [&str; 4] = ["crates", "boards", "xtask", "docs"];
/// The same of the crates beside [`DEVICE`].
const HOST: [&str; 5] = ["virtual-hardware", "network-server", "emulator", "toolbox", "fuzz"];
/// The crates that run on the chip.
const DEVICE: [&str; 12] = [
    "protocol",
    "settings",
    "metering",
    "scheduler",
    "d2d-agent",
    "state-machine",
    "lorawan-mac",
    "nfc",
    "storage",
    "radio",
    "firmware",
    "upgrade",
];
/// What a device crate denies outside its tests: each can panic on data from outside.
const PANICKING: [&str; 4] =
    ["clippy::unwrap_used", "clippy::expect_used", "clippy::panic", "clippy::indexing_slicing"];

fn problem(rule: &'static str, file: &str, line: usize, what: impl Into<String>) -> Problem {
    Problem { file: file.to_owned(), line, rule, what: what.into() }
}

fn is_rust(path: &str) -> bool {
    path.ends_with(".rs")
}

fn in_device_crate(path: &str) -> bool {
    DEVICE.iter().any(|name| {
        path.strip_prefix("crates/")
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with("/src/"))
    })
}

/// A text file ends with one newline and has no tabs, carriage returns or blanks at the end of a line.
pub fn whitespace(tree: &Tree) -> Vec<Problem> {
    const RULE: &str = "whitespace";
    let text = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let known = ["rs", "md", "toml", "json", "yml", "yaml", "sh", "txt", "x", "html", "css", "js"];
        let by_end =
            name.rsplit_once('.').is_some_and(|(before, end)| !before.is_empty() && known.contains(&end));
        (by_end || name == ".gitignore" || path == ".ci/run") && !path.starts_with("crates/fuzz/corpus/")
    };
    let mut problems = Vec::new();
    for (path, text) in tree.files(text) {
        for (line, number) in text.split('\n').zip(1..) {
            if line.ends_with([' ', '\t', '\r']) {
                problems.push(problem(RULE, path, number, "blank at the end of the line"));
            } else if line.contains('\t') {
                problems.push(problem(RULE, path, number, "a tab; write blanks"));
            }
        }
        if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
            problems.push(problem(RULE, path, text.lines().count(), "a file ends with one newline"));
        }
    }
    problems
}

/// A file is one subject.
pub fn file_size(tree: &Tree) -> Vec<Problem> {
    let long = tree.files(is_rust).filter(|(_, text)| text.len() > MAX_FILE);
    long.map(|(path, text)| {
        let what =
            format!("{} bytes, more than {MAX_FILE}: it is more than one subject, split it", text.len());
        problem("file-size", path, 0, what)
    })
    .collect()
}

/// A folder that someone may enter says what it is.
pub fn readme(tree: &Tree) -> Vec<Problem> {
    let inside = ["crates", "boards"].into_iter();
    let inside = inside
        .flat_map(|parent| tree.folders(parent).into_iter().map(move |name| format!("{parent}/{name}/")));
    let folders = ["", "docs/", "xtask/"].into_iter().map(str::to_owned).chain(inside);
    let missing = folders
        .map(|folder| format!("{folder}README.md"))
        .filter(|file| tree.file(file).is_none_or(str::is_empty));
    missing
        .map(|file| problem("readme", &file, 0, "missing: what this is, how to try it, what it does not do"))
        .collect()
}

/// The shape of the repository is the design's; what is added has a reason in docs/ARCHITECTURE.md.
pub fn layout(tree: &Tree) -> Vec<Problem> {
    let reasons = tree.file("docs/ARCHITECTURE.md").unwrap_or_default();
    let top =
        tree.folders("").into_iter().filter(|name| !name.starts_with('.') && !TOP_FOLDERS.contains(name));
    let crates =
        tree.folders("crates").into_iter().filter(|name| !DEVICE.contains(name) && !HOST.contains(name));
    let added = top.map(str::to_owned).chain(crates.map(|name| format!("crates/{name}")));
    let unexplained = added.filter(|folder| !reasons.contains(&format!("`{folder}")));
    unexplained
        .map(|folder| {
            problem(
                "layout",
                &folder,
                0,
                "a new folder needs a reason in docs/ARCHITECTURE.md, with its name",
            )
        })
        .collect()
}

/// A link in a page leads to a file of the repository.
pub fn links(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files(|path| path.ends_with(".md")) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (line, number) in text.lines().zip(1..) {
            let targets =
                line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
            for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
                let file = join(folder, target.split('#').next().unwrap_or(target).trim_end_matches('/'));
                let folder = format!("{file}/");
                if tree.file(&file).is_none() && !tree.files.keys().any(|path| path.starts_with(&folder)) {
                    problems.push(problem(
                        "links",
                        path,
                        number,
                        format!("leads to {target}, which is not there"),
                    ));
                }
            }
        }
    }
    problems
}

/// No package registry's host is named.
pub fn hosts(tree: &Tree) -> Vec<Problem> {
    // In two parts, so that this file passes.
    let hosts = [
        ("crates", ".io"),
        ("pypi", ".org"),
        ("pythonhosted", ".org"),
        ("npmjs", ".com"),
        ("npmjs", ".org"),
        ("deb.debian", ".org"),
        ("static.rust-lang", ".org"),
        ("proxy.golang", ".org"),
    ]
    .map(|(name, end)| format!("{name}{end}"));
    let mut problems = Vec::new();
    // Cargo writes the lock files.
    for (path, text) in tree.files(|path| !path.ends_with("Cargo.lock")) {
        for (line, number) in text.lines().zip(1..) {
            if let Some(host) = hosts.iter().find(|host| line.contains(host.as_str())) {
                problems.push(problem(
                    "hosts",
                    path,
                    number,
                    format!("names the registry {host}; name the package instead"),
                ));
            }
        }
    }
    problems
}

/// Crates carry the attributes that hold rules 2, 3 and 10 of the design.
pub fn attributes(tree: &Tree) -> Vec<Problem> {
    const RULE: &str = "attributes";
    let mut problems = Vec::new();
    for name in tree.folders("crates") {
        let path = format!("crates/{name}/src/lib.rs");
        let Some(text) = tree.file(&path) else { continue };
        let code: String = code(text).split_whitespace().collect();
        let mut wanted = vec!["#![forbid(unsafe_code)]"];
        if DEVICE.contains(&name) {
            wanted.extend(["#![no_std]", "#![deny(missing_docs)]"]);
        }
        for attribute in wanted.into_iter().filter(|attribute| !code.contains(attribute)) {
            problems.push(problem(RULE, &path, 0, format!("lacks {attribute}")));
        }
        let denied = code.split("#![").filter(|attribute| attribute.contains("deny("));
        let denied: String = denied.collect();
        for lint in PANICKING.iter().filter(|lint| DEVICE.contains(&name) && !has_word(&denied, lint)) {
            problems.push(problem(RULE, &path, 0, format!("does not deny {lint} outside tests")));
        }
    }
    for (path, text) in tree.files(|path| in_device_crate(path) && is_rust(path) && !is_test_file(path)) {
        let code = code(text);
        for (number, line) in lines_without_tests(&code) {
            let allows = line.contains("allow(") && PANICKING.iter().any(|lint| line.contains(lint));
            if allows && !text.lines().nth(number - 1).unwrap_or_default().contains("reason = \"") {
                problems.push(problem(
                    RULE,
                    path,
                    number,
                    "allows what may panic without a `reason = \"…\"`",
                ));
            }
        }
    }
    problems
}

/// Nothing is left for later in the code.
pub fn unfinished(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files(is_rust) {
        for (line, number) in code(text).lines().zip(1..) {
            for name in ["todo", "unimplemented", "dbg"] {
                if line.contains(&format!("{name}!")) && has_word(line, name) {
                    problems.push(problem(
                        "unfinished",
                        path,
                        number,
                        format!("`{name}!` does not go into the repository"),
                    ));
                }
            }
        }
    }
    problems
}

/// A device crate counts in integers.
pub fn floats(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in tree.files(|path| in_device_crate(path) && is_rust(path) && !is_test_file(path)) {
        for (number, line) in lines_without_tests(&code(text)) {
            if let Some(float) = ["f32", "f64"].into_iter().find(|float| has_word(line, float)) {
                let what = format!("{float}: a device crate counts in integers, with the unit in the name");
                problems.push(problem("floats", path, number, what));
            }
        }
    }
    problems
}

/// Rule 1 of the design: the relay is written in one function of crates/firmware, and nowhere else on a device.
pub fn relay(tree: &Tree) -> Vec<Problem> {
    const RULE: &str = "relay";
    let device = |path: &str| {
        let board = path.starts_with("boards/") && !path.starts_with("boards/host/");
        is_rust(path) && !is_test_file(path) && (board || path.starts_with("crates/firmware/src/"))
    };
    let mut places = BTreeSet::new();
    let mut writes = Vec::new();
    for (path, text) in tree.files(device) {
        let code = code(text);
        let code: String = lines_without_tests(&code).flat_map(|(_, line)| [line, "\n"]).collect();
        for call in [".set_high(", ".set_low(", ".set_state(", ".toggle("] {
            for (at, _) in code.match_indices(call) {
                let before = code[..at].trim_end();
                let receiver = before.rsplit(|c| !is_word(c)).next().unwrap_or_default();
                if receiver == "relay" || receiver.ends_with("_relay") {
                    places.insert((path.to_owned(), function_of(before).to_owned()));
                    writes.push((path.to_owned(), before.lines().count()));
                }
            }
        }
    }
    let started = tree.file("crates/firmware/src/control.rs").is_some();
    match places.len() {
        1 => Vec::new(),
        0 if started => {
            vec![problem(
                RULE,
                "crates/firmware/src",
                0,
                "no place was found that writes the relay; mend this rule in xtask/src/tidy",
            )]
        }
        0 => Vec::new(),
        count => {
            let what =
                format!("one of {count} functions that write the relay; there is to be one (design rule 1)");
            writes.iter().map(|(path, line)| problem(RULE, path, *line, what.clone())).collect()
        }
    }
}

/// The name of the function in which a text ends.
fn function_of(code: &str) -> &str {
    let start = code
        .rmatch_indices("fn ")
        .find(|(at, _)| code[..*at].chars().next_back().is_none_or(|c| !is_word(c)));
    let rest = start.map_or("", |(at, _)| code[at + 3..].trim_start());
    rest.split(|c| !is_word(c)).next().unwrap_or_default()
}

/// Each requirement that docs/LORAWAN.md lists as built has a test of its name, and each test it names exists.
pub fn requirements(tree: &Tree) -> Vec<Problem> {
    const RULE: &str = "requirements";
    const PAGE: &str = "docs/LORAWAN.md";
    let Some(page) = tree.file(PAGE) else { return Vec::new() };
    let tests: BTreeSet<String> = tree.files(is_rust).flat_map(|(_, text)| test_names(text)).collect();
    let mut problems = Vec::new();
    for (line, number) in page.lines().zip(1..) {
        let mut cells = line.strip_prefix('|').unwrap_or_default().split('|').map(str::trim);
        let (id, named) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        if id.starts_with("MAC-") && matches!(named, "" | "-" | "–" | "—") {
            if cells.next().unwrap_or_default().is_empty() {
                problems.push(problem(
                    RULE,
                    PAGE,
                    number,
                    format!("{id} has neither a test nor a note why not"),
                ));
            }
        } else if id.starts_with("MAC-") {
            let prefix = format!("{}_", id.to_lowercase().replace('-', "_"));
            if !tests.iter().any(|test| test.starts_with(&prefix)) {
                problems.push(problem(
                    RULE,
                    PAGE,
                    number,
                    format!("{id} has no test whose name starts with {prefix}"),
                ));
            }
        }
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_requirement_test(name)) {
            if !tests.contains(name) {
                problems.push(problem(RULE, PAGE, number, format!("there is no test {name}")));
            }
        }
    }
    problems
}

/// Tells whether a name is `mac_AREA_NN_…`.
fn is_requirement_test(name: &str) -> bool {
    let mut parts = name.split('_').skip(2);
    let number =
        parts.next().is_some_and(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()));
    name.starts_with("mac_") && number && parts.next().is_some() && name.chars().all(is_word)
}

fn test_names(text: &str) -> Vec<String> {
    let code = source::code(text);
    let names = code.split("fn ").skip(1).filter_map(|rest| rest.split(|c| !is_word(c)).next());
    names.filter(|name| is_requirement_test(name)).map(str::to_owned).collect()
}

/// The example of a new board is small.
pub fn example_board(tree: &Tree) -> Vec<Problem> {
    let (folder, limit) = EXAMPLE_BOARD;
    let files = tree.files.iter().filter(|(path, _)| path.starts_with(folder) && is_rust(path));
    let lines: usize = files.map(|(_, text)| text.lines().count()).sum();
    let what = format!("{lines} lines of Rust; docs/PORTING.md says fewer than {limit}");
    (lines >= limit).then(|| problem("example board", folder, 0, what)).into_iter().collect()
}
