//! `--sim`: the program with the firmware itself, through a tag, on virtual time.

use std::path::Path;
use std::process::Command;

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
fn a_file_that_is_no_socket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("socket");
    std::fs::write(&file, "not one").unwrap();
    check(&file, &["read"], 2, "this is no simulated socket that was kept");
    std::fs::write(&file, b"SKYSIM\0\x01\0\0\0too short").unwrap();
    check(&file, &["read"], 2, "of another version of the simulated socket");
}
