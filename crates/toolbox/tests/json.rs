//! `--json`: each line has the fields that docs/TOOLBOX.md lists, whatever the command.
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// The names between backticks.
fn names(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The table of the page: the fields of each event, and those that it may have.
fn documented() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let page = include_str!("../../../docs/TOOLBOX.md");
    let rows = page.lines().skip_while(|line| !line.starts_with("| `event` |")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|')).map(|row| {
        let mut cells = row.split('|').skip(1);
        let event = names(cells.next().unwrap()).remove(0);
        let (always, by_kind) = match cells.next().unwrap() {
            cell if cell.contains("by kind") => cell.split_once("by kind").unwrap(),
            cell => (cell, ""),
        };
        let always = names(always).into_iter().chain(["event".to_owned()]).collect();
        (event, (always, names(by_kind).into_iter().collect()))
    });
    rows.collect()
}

fn program(socket: &Path, args: &[&str]) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox"));
    program.env_remove("SOCKEYE_PASSWORD").arg(format!("--sim={}", socket.display())).arg("--json");
    program.args(args);
    program
}

struct Calls {
    documented: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
    seen: BTreeSet<String>,
}

impl Calls {
    /// Calls the program, holds each of its lines against the table, and returns the last one.
    fn check(&mut self, socket: &Path, args: &[&str], status: i32) -> Value {
        let output = program(socket, args).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        said.lines().map(|line| self.line(line)).last().unwrap_or_default()
    }

    /// Calls the program, and presses Ctrl-C when it tells of progress.
    fn interrupt(&mut self, socket: &Path, args: &[&str]) {
        let mut program = program(socket, args).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let progress = lines.by_ref().map(|line| self.line(&line.unwrap())).find(|it| it["received"] != 0);
        assert_eq!(progress.unwrap()["event"], "progress");
        let interrupted = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        let last = lines.map(|line| self.line(&line.unwrap())).last().unwrap();
        assert_eq!(last["kind"], "interrupted");
        assert_eq!(program.wait().unwrap().code(), Some(1));
    }

    /// Holds a line against the table.
    fn line(&mut self, line: &str) -> Value {
        let object: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let event = object["event"].as_str().unwrap_or_else(|| panic!("no event: {line}"));
        let (always, by_kind) =
            self.documented.get(event).unwrap_or_else(|| panic!("{event} is not in the table: {line}"));
        let fields: BTreeSet<String> = object.as_object().unwrap().keys().cloned().collect();
        assert!(fields.is_superset(always), "{line}");
        assert!(fields.difference(always).all(|field| by_kind.contains(field)), "{line}");
        self.seen.insert(event.to_owned());
        object
    }
}

#[test]
fn every_line_of_every_command_is_as_the_page_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (socket, template, update) = (&path("socket"), path("template.json"), path("new.update"));
    let (template, update) = (template.to_str().unwrap(), update.to_str().unwrap());
    let mut calls = Calls { documented: documented(), seen: BTreeSet::new() };
    assert!(calls.documented.len() >= 13, "{:?}", calls.documented);

    for args in [
        &["read"][..],
        &["fields"],
        &["fields", "--region", "US915", "--model", "US"],
        &["set", "led=off", "overcurrent_alarm=12A"],
        &["set", "led=off"],
        &["template", "save", template, "d2d.key=00112233445566778899aabbccddeeff"],
        &["template", "diff", template],
        &["set", "led=on"],
        &["template", "diff", template],
        &["template", "apply", template],
        &["relay", "toggle"],
        &["report"],
        &["reset-energy"],
        &["password", "123456"],
        &["sim-update", update],
        &["upgrade", update],
        &["reboot"],
        &["reset", "--yes"],
    ] {
        calls.check(socket, args, 0);
    }
    let (other, american) = (&path("other"), &path("american"));
    calls.interrupt(other, &["upgrade", update]);
    calls.check(other, &["abort-upgrade"], 0);
    for (socket, args, status, kind, field) in [
        (socket, &["set", "led=bright"][..], 2, "setting", Some("general.led")),
        (socket, &["set", "reporting_interval_s=59"], 2, "setting", Some("general.reporting_interval_s")),
        (socket, &["set", "channels=99"], 2, "setting", Some("lorawan.channels")),
        (socket, &["set", "lde=on"], 2, "setting", None),
        (socket, &["set"], 2, "usage", None),
        (socket, &["fly"], 2, "usage", None),
        (socket, &["reset"], 2, "usage", None),
        (socket, &["password", "1"], 2, "password_form", None),
        (socket, &["--password", "12x456", "relay", "on"], 2, "password_form", None),
        (socket, &["upgrade", template], 2, "update_file", None),
        (socket, &["abort-upgrade"], 1, "upgrade", None),
        (socket, &["template", "apply", "/nowhere.json"], 2, "usage", None),
        (american, &["--sim-region", "US915", "template", "apply", template], 2, "other_region", None),
        (socket, &["--password", "000000", "relay", "on"], 1, "wrong_password", None),
    ] {
        let error = calls.check(socket, args, status);
        assert_eq!(error["event"], "error", "{args:?}: {error}");
        assert_eq!((error["kind"].as_str(), error["field"].as_str()), (Some(kind), field), "{error}");
    }
    let all: BTreeSet<String> = calls.documented.keys().cloned().collect();
    assert_eq!(calls.seen, all, "rows of the table that no command prints");
}
