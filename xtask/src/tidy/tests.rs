use super::*;

fn tree(files: &[(&str, &str)]) -> Tree {
    Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
}

/// Checks one rule on a few files; what is expected is `path:line what` by its beginning.
fn check(rule: Rule, files: &[(&str, &str)], expected: &[&str]) {
    let found: Vec<String> =
        rule(&tree(files)).iter().map(|p| format!("{}:{} {}", p.file, p.line, p.what)).collect();
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, start)| found.starts_with(start));
    assert!(same, "expected {expected:#?}, found {found:#?}");
}

#[test]
fn this_repository_is_tidy() {
    let problems = problems(&Tree::read(&Workspace::find().unwrap().root).unwrap());
    let text: Vec<String> = problems.iter().map(Problem::to_string).collect();
    assert!(problems.is_empty(), "{}", text.join("\n"));
}

#[test]
fn a_problem_names_file_line_and_rule() {
    let mut problem = Problem { file: "a.rs".into(), line: 3, rule: "hosts", what: "b".into() };
    assert_eq!(problem.to_string(), "a.rs:3: hosts: b");
    problem.line = 0;
    assert_eq!(problem.to_string(), "a.rs: hosts: b");
}

#[test]
fn blanks_tabs_and_missing_newlines_are_found_in_text_only() {
    let rule = rules::whitespace;
    check(
        rule,
        &[("a.rs", "a \nb\n"), ("b.md", "\ta\n"), ("c.toml", "a")],
        &["a.rs:1 blank", "b.md:1 a tab", "c.toml:1 a file ends"],
    );
    check(rule, &[("a.md", "a\r\n"), ("b.md", "a\n\n")], &["a.md:1 blank", "b.md:2 a file ends"]);
    check(rule, &[("a.rs", "a\n"), ("b.rs", ""), ("a.png", "a \n"), (".gitignore", "a\n")], &[]);
    check(rule, &[("crates/fuzz/corpus/x/a.txt", "a ")], &[]);
}

#[test]
fn a_rust_file_over_28_kb_is_split() {
    let (full, over) = ("a".repeat(28_000), "a".repeat(28_001));
    check(rules::file_size, &[("a.rs", &full), ("b.rs", &over), ("c.md", &over)], &["b.rs:0 28001 bytes"]);
}

#[test]
fn each_folder_that_someone_may_enter_has_a_readme() {
    let all =
        [("README.md", "a"), ("docs/README.md", "a"), ("xtask/README.md", "a"), ("crates/a/README.md", "a")];
    check(rules::readme, &all, &[]);
    let board = [all.as_slice(), &[("boards/b/src/main.rs", ""), ("crates/c/README.md", "")]].concat();
    check(rules::readme, &board, &["crates/c/README.md:0 missing", "boards/b/README.md:0 missing"]);
    check(rules::readme, &[], &["README.md:0", "docs/README.md:0", "xtask/README.md:0"]);
}

#[test]
fn a_new_folder_needs_a_reason_in_the_architecture_page() {
    let files = [
        ("tools/a.py", ""),
        ("crates/gadget/a.rs", ""),
        ("crates/radio/a.rs", ""),
        (".ci/run", ""),
        ("a.toml", ""),
    ];
    check(rules::layout, &files, &["tools:0 a new folder", "crates/gadget:0 a new folder"]);
    let explained =
        [files.as_slice(), &[("docs/ARCHITECTURE.md", "`tools/` because; `crates/gadget` because")]].concat();
    check(rules::layout, &explained, &[]);
}

#[test]
fn a_registry_host_is_found_everywhere_but_in_lock_files() {
    let text = format!("one\nfrom {}\n", ["crates", ".io"].concat());
    check(rules::hosts, &[("a/b.md", &text), ("Cargo.lock", &text)], &["a/b.md:2 names the registry"]);
}

#[test]
fn a_link_leads_to_a_file_or_folder_of_the_repository() {
    let rule = rules::links;
    let there = [("docs/A.md", ""), ("README.md", ""), ("xtask/src/main.rs", "")];
    let page = |text: &'static str| [there.as_slice(), &[("docs/B.md", text)]].concat();
    check(
        rule,
        &page("[a](A.md), [a](A.md#part), [a](../README.md), [a](../xtask/), [a](../xtask/src)"),
        &[],
    );
    check(rule, &page("[a](https://example.org/a), [a](#part), a](b"), &[]);
    let wrong = ["docs/B.md:2 leads to README.md, which", "docs/B.md:2 leads to ../x, which"];
    check(rule, &page("\n[a](README.md) [b](../x)"), &wrong);
}

const GOOD_LIB: &str = "#![no_std]\n#![forbid(unsafe_code)]\n#![deny(missing_docs)]\n#![cfg_attr(not(test), deny(\n    \
                        clippy::unwrap_used,\n clippy::expect_used, clippy::panic, clippy::indexing_slicing))]\n";

#[test]
fn a_device_crate_carries_its_attributes() {
    let check = |name: &str, text: &str, expected: &[&str]| {
        let path = format!("crates/{name}/src/lib.rs");
        let expected: Vec<_> = expected.iter().map(|what| format!("{path}:{what}")).collect();
        check(rules::attributes, &[(&path, text)], &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check("protocol", GOOD_LIB, &[]);
    check("protocol", &GOOD_LIB.replace("#![no_std]", "// #![no_std]"), &["0 lacks #![no_std]"]);
    check(
        "protocol",
        &GOOD_LIB.replace("forbid(unsafe_code)", "deny(unsafe_code)"),
        &["0 lacks #![forbid(unsafe_code)]"],
    );
    check("protocol", &GOOD_LIB.replace("clippy::panic,", ""), &["0 does not deny clippy::panic"]);
    check("network-server", "#![forbid(unsafe_code)]", &[]);
    check("network-server", "", &["0 lacks #![forbid(unsafe_code)]"]);
}

#[test]
fn a_lint_is_allowed_with_a_reason_only() {
    let path = "crates/protocol/src/a.rs";
    check(
        rules::attributes,
        &[(path, "\n#[allow(clippy::indexing_slicing)]\n")],
        &["crates/protocol/src/a.rs:2 allows"],
    );
    check(
        rules::attributes,
        &[(path, "#[allow(clippy::indexing_slicing, reason = \"constant table\")]\n")],
        &[],
    );
    check(rules::attributes, &[("crates/toolbox/src/a.rs", "#[allow(clippy::panic)]\n")], &[]);
    check(rules::attributes, &[(path, "#[cfg(test)]\nmod tests {\n#[allow(clippy::panic)]\n}\n")], &[]);
}

#[test]
fn unfinished_code_is_found_and_comments_about_it_are_not() {
    let text = "// todo!()\nfn a() { todo!() }\nlet b = \"dbg!\";\nunimplemented!(\"c\")\nlet not_todo = 1; my_todo!();\ndbg!(1)\n";
    check(
        rules::unfinished,
        &[("a.rs", text)],
        &["a.rs:2 `todo!`", "a.rs:4 `unimplemented!`", "a.rs:6 `dbg!`"],
    );
}

#[test]
fn floats_stay_out_of_device_crates_but_not_out_of_their_tests() {
    let text = "let a: f32;\n// f64\n#[cfg(test)]\nmod tests {\nlet a: f64;\n}\n";
    check(
        rules::floats,
        &[("crates/metering/src/a.rs", text), ("boards/host/src/a.rs", text)],
        &["crates/metering/src/a.rs:1 f32"],
    );
    check(
        rules::floats,
        &[("crates/metering/tests/a.rs", text), ("crates/metering/src/a/tests.rs", text)],
        &[],
    );
}

#[test]
fn the_relay_is_written_in_one_function() {
    let rule = rules::relay;
    let one =
        "async fn act() {\n    if on { self.relay.set_high() } else { self.relay\n        .set_low() }\n}\n";
    let path = "crates/firmware/src/control.rs";
    check(rule, &[(path, one)], &[]);
    let two = format!("{one}fn other() {{ led.set_high(); relay.set_low() }}\n");
    let line = |line: usize| format!("{path}:{line} one of 2 functions");
    check(rule, &[(path, &two)], &[&line(2), &line(2), &line(5)]);
    let board = ("boards/stm32wl/src/main.rs", "fn main() { relay.set_low(); }");
    check(rule, &[(path, one), board], &["boards/stm32wl/src/main.rs:1", &line(2), &line(2)]);
    check(rule, &[(path, one), ("boards/host/src/main.rs", board.1)], &[]);
    check(rule, &[(path, "fn act() { out.set_high(); }")], &["crates/firmware/src:0 no place was found"]);
}

#[test]
fn a_listed_requirement_has_a_test_of_its_name() {
    let rule = rules::requirements;
    let page = |rows: &str| ("docs/LORAWAN.md", format!("| id | test | note |\n|---|---|---|\n{rows}"));
    let tests = (
        "crates/lorawan-mac/src/tests.rs",
        "#[test]\nfn mac_fcnt_04_rejects_a_replay() {}\n// fn mac_rx_01_says_nothing() {}",
    );
    let check = |rows: &str, expected: &[&str]| {
        let (path, text) = page(rows);
        check(rule, &[(path, &text), tests], expected);
    };
    check("| MAC-FCNT-04 | `mac_fcnt_04_rejects_a_replay` | |\n", &[]);
    check(
        "| MAC-RX-01 | tests | |\n",
        &["docs/LORAWAN.md:3 MAC-RX-01 has no test whose name starts with mac_rx_01_"],
    );
    check(
        "| MAC-FCNT-04 | `mac_fcnt_04_is_renamed` | |\n",
        &["docs/LORAWAN.md:3 there is no test mac_fcnt_04_is_renamed"],
    );
    check("| MAC-RX-04 | — | with the next issue |\n", &[]);
    check("| MAC-RX-04 | — | |\n", &["docs/LORAWAN.md:3 MAC-RX-04 has neither"]);
}

#[test]
fn a_dependency_that_is_not_used_is_found() {
    let manifest = "[dependencies]\nheapless.workspace = true\nnb = \"1\"\nlink = \"1\" # not named in code: it links\n\n\
                    [dev-dependencies]\nproptest.workspace = true\n\n[build-dependencies]\ntoml = \"1\"\n";
    let path = "crates/a/Cargo.toml";
    let used = "use heapless::Vec; use nb::block;\n#[cfg(test)] mod tests { use proptest::prelude; }";
    let build = ("crates/a/build.rs", "use toml::Table;");
    check(manifests::dependencies, &[(path, manifest), ("crates/a/src/lib.rs", used), build], &[]);
    let problems = [
        "crates/a/Cargo.toml:2 heapless is not used in dependencies",
        "crates/a/Cargo.toml:3 nb is not used in dependencies",
        "crates/a/Cargo.toml:10 toml is not used in build-dependencies",
    ];
    let tests = ("crates/a/tests/a.rs", "use heapless::Vec; use proptest::prelude; // nb toml");
    check(manifests::dependencies, &[(path, manifest), ("crates/a/src/lib.rs", "// nb"), tests], &problems);
}

#[test]
fn a_build_script_may_be_shared() {
    let manifest = "[package]\nbuild = \"../build.rs\"\n[build-dependencies]\ntoml = \"1\"\n";
    let files =
        [("boards/a/Cargo.toml", manifest), ("boards/build.rs", "toml::Table"), ("boards/a/src/main.rs", "")];
    check(manifests::dependencies, &files, &[]);
}

#[test]
fn a_workspace_dependency_that_no_package_uses_is_found() {
    let root =
        "[workspace.dependencies]\nheapless = \"0.9\"\nnb = \"1\"\nours = { path = \"crates/ours\" }\n";
    let package = ("crates/a/Cargo.toml", "[dependencies]\nheapless.workspace = true\n");
    let files = [("Cargo.toml", root), package, ("crates/a/src/lib.rs", "heapless::Vec")];
    check(manifests::dependencies, &files, &["Cargo.toml:3 no package uses nb"]);
}

#[test]
fn the_example_of_a_new_board_stays_small() {
    let lines = |count: usize| "//\n".repeat(count);
    let check_lines = |main: usize, radio: usize, expected: &[&str]| {
        let (main, radio, other) = (lines(main), lines(radio), lines(500));
        let files = [
            ("boards/rak4631/src/main.rs", main.as_str()),
            ("boards/rak4631/src/radio.rs", &radio),
            ("boards/rak4631/README.md", &other),
            ("boards/stm32wl/src/main.rs", &other),
        ];
        check(rules::example_board, &files, expected);
    };
    check_lines(200, 49, &[]);
    check_lines(200, 50, &["boards/rak4631/:0 250 lines"]);
}
