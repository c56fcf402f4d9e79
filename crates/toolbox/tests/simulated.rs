//! `--sim`: the program with the firmware itself, through a tag, on virtual time.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Calls the program with a simulated socket that is kept in a file, and looks at its exit status and a part of what it said.
fn check(file: &Path, args: &[&str], status: i32, part: &str) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox"));
    program.env_remove("SOCKEYE_PASSWORD").arg(format!("--sim={}", file.display())).args(args);
    let output = program.output().unwrap();
    let said = String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(said.contains(part), "{args:?}: {said}");
    said
}

#[test]
fn a_socket_keeps_what_was_written_from_call_to_call() {
    let folder = tempfile::tempdir().unwrap();
    let socket = &folder.path().join("socket");
    check(socket, &["read"], 0, "general.led = on");
    check(socket, &["set", "led=off", "overcurrent_alarm=12A"], 0, "general.led: on -> off");
    check(socket, &["relay", "off"], 0, "switched off");
    let said = check(socket, &["read"], 0, "general.overcurrent_alarm = on, 12 A");
    assert!(said.contains("general.led = off") && said.contains("Socket             off"), "{said}");
    check(socket, &["password", "654321"], 0, "the password is changed");
    check(socket, &["set", "led=on"], 1, "wrong password; nothing was changed");
    check(socket, &["reset", "--yes", "--password", "654321"], 0, "as it left the factory");
    check(socket, &["read"], 0, "general.led = on");
    check(socket, &["set", "region=US915"], 0, "region: EU868 -> US915");
    check(socket, &["read"], 0, "EU (16 A), US915");
}

#[test]
fn wrong_usage_is_one_sentence_that_says_what_to_do_and_tells_no_password() {
    for (args, sentence) in [
        (
            &["--sim", "my.socket", "read"][..],
            "unrecognized subcommand 'my.socket'; the file of a simulated socket is written --sim=my.socket",
        ),
        (&["fly"], "unrecognized subcommand 'fly'; `sockeye-toolbox --help` says what there is"),
        (
            &["--sim", "set", "led"],
            "invalid value 'led' for '<KEY=VALUE>...': expected KEY=VALUE, as led=off; `sockeye-toolbox --help` says what there is",
        ),
        (&["--sim", "--password", "12345x", "relay", "on"], "the password is six digits"),
        (&["--sim", "password", "12345x"], "the password is six digits"),
        (&["--sim", "set", "password=12345x"], "general.password: what was typed is not six digits"),
    ] {
        let program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox")).args(args).output().unwrap();
        assert_eq!(String::from_utf8(program.stderr).unwrap(), format!("error: {sentence}\n"), "{args:?}");
        assert_eq!(program.status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn wrong_passwords_are_counted_across_power_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let socket = &folder.path().join("socket");
    for _ in 0..4 {
        check(socket, &["--password", "000000", "relay", "off"], 1, "wrong password; nothing was changed\n");
    }
    check(socket, &["--password", "000000", "relay", "off"], 1, "the next try is in 30 s");
    check(socket, &["relay", "off"], 1, "too many wrong passwords: try again in");
    check(socket, &["read"], 0, "Socket             on");
}

#[test]
fn a_template_goes_from_one_socket_to_another_of_its_band_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let template = path("template.json");
    let template = template.to_str().unwrap();
    let key = "d2d.key=00112233445566778899aabbccddeeff";
    check(&path("one"), &["set", "reporting_interval_s=600", "group_2.enabled=on"], 0, "600");
    check(&path("one"), &["template", "save", template, key], 0, "saved");
    check(&path("two"), &["template", "apply", template], 0, "d2d.key: written");
    check(&path("two"), &["template", "diff", template], 0, "no difference");
    check(
        &path("three"),
        &["--sim-region", "AS923-1", "template", "apply", template],
        2,
        "the template is for EU868",
    );
    check(&path("four"), &["--sim-model", "UK", "template", "apply", template], 2, "the template is for EU");
}

#[test]
fn an_upgrade_stopped_by_ctrl_c_goes_on_and_runs_the_new_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (socket, update) = (&path("socket"), path("new.update"));
    let update = update.to_str().unwrap();
    check(socket, &["sim-update", update, "--version", "0.20"], 0, "saved as");
    check(socket, &["read"], 0, "software V0.1");

    let mut program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox"));
    program.env_remove("SOCKEYE_PASSWORD").arg(format!("--sim={}", socket.display()));
    let mut program = program
        .args(["--json", "upgrade", update])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    let received = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["received"].as_u64().unwrap_or_default()
    };
    assert!(lines.by_ref().any(|line| received(&line.unwrap()) > 10_000));
    let interrupted = Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let last = lines.last().unwrap().unwrap();
    assert!(last.contains(r#""kind":"interrupted""#) && last.contains("goes on from there"), "{last}");
    assert_eq!(program.wait().unwrap().code(), Some(1));

    let said = check(socket, &["read"], 0, "receiving, ");
    assert!(said.contains("of 100000 bytes") && said.contains("software V0.1"), "{said}");
    let said = check(socket, &["upgrade", update], 0, "restarts into version 0.20");
    let mut progress = said.lines().filter_map(|line| line.strip_suffix(" of 100000 bytes"));
    let from: u32 = progress.next().unwrap().parse().unwrap();
    assert!(from > 5_000, "it began anew: {said}");
    assert_eq!(progress.next_back(), Some("100000"));
    let said = check(socket, &["read"], 0, "software V0.20");
    assert!(!said.contains("gone back"), "{said}");

    // One that does not run is not kept.
    check(socket, &["sim-update", update, "--version", "0.30", "--does", "hangs"], 0, "saved as");
    check(socket, &["upgrade", update], 0, "restarts into version 0.30");
    let said = check(socket, &["read"], 0, "software V0.20");
    assert!(said.contains("Upgrade            gone back"), "{said}");
}

#[test]
fn an_update_that_is_older_for_another_board_or_changed_is_refused_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (socket, file) = (&path("socket"), path("some.update"));
    let update = file.to_str().unwrap();
    check(socket, &["sim-update", update, "--version", "0.0"], 0, "saved as");
    check(socket, &["upgrade", update], 1, "older than the one that runs");
    check(socket, &["sim-update", update, "--version", "0.1"], 0, "saved as");
    check(socket, &["upgrade", update], 1, "runs this version already");
    check(socket, &["sim-update", update], 0, "saved as");
    let good = std::fs::read(&file).unwrap();
    // The name of the board, the signature, and the last byte of the image (docs/UPGRADE.md).
    for (at, why) in
        [(8, "another board"), (100, "not signed with the key"), (good.len() - 1, "arrived damaged")]
    {
        let mut changed = good.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        check(socket, &["upgrade", update], 1, why);
    }
    std::fs::write(&file, &good[..good.len() - 1]).unwrap();
    check(socket, &["upgrade", update], 2, "the file is not whole");
    check(socket, &["sim-update", update, "--version", "1"], 2, "expected a version such as 0.2");
    check(socket, &["read"], 0, "software V0.1");
}

#[test]
fn a_file_that_is_no_socket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("socket");
    std::fs::write(&file, "not one").unwrap();
    check(&file, &["read"], 2, "this is no simulated socket that was kept");
    std::fs::write(&file, b"SKYSIM\0\x02\0\0\0too short").unwrap();
    check(&file, &["read"], 2, "this is no simulated socket that was kept");
    std::fs::write(&file, b"SKYSIM\0\x02\0\0\0\x01\0").unwrap();
    check(&file, &["read"], 2, "of another version of the simulated socket");
    let said = check(&folder.path().join("no/folder"), &["relay", "off"], 2, "cannot write");
    assert!(!said.contains("switched off"), "{said}");
}
