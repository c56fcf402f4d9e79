//! The program as a user calls it, over a serial line with a simulated socket at its other end.
#![cfg(unix)]

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serialport::{SerialPort, TTYPort};
use sockeye_nfc::line::{Deframer, framed};
use sockeye_settings::{Model, Region};
use sockeye_toolbox::{Link, Simulated};

/// Puts a device at one end of a line, and returns what the program said for each call of it.
fn run(device: &mut Simulated, calls: &[&[&str]]) -> Vec<Output> {
    let (mut ours, theirs) = TTYPort::pair().expect("the system gives out pseudo terminals");
    ours.set_timeout(Duration::from_millis(10)).unwrap();
    let name = theirs.name().unwrap();
    let over = AtomicBool::new(false);
    // The socket stays here: it is not made for several threads.
    thread::scope(|scope| {
        let outputs = scope.spawn(|| {
            let outputs = calls.iter().map(|args| {
                let mut program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox"));
                program.env_remove("SOCKEYE_PASSWORD").args(["--port", &name]).args(*args);
                program.output().unwrap()
            });
            let outputs = outputs.collect();
            over.store(true, Ordering::Relaxed);
            outputs
        });
        serve(&mut ours, device, &over);
        outputs.join().unwrap()
    })
}

fn serve(line: &mut TTYPort, device: &mut Simulated, over: &AtomicBool) {
    let (mut deframer, mut buffer, mut bytes) = (Deframer::default(), [0; 2048], [0; 256]);
    while !over.load(Ordering::Relaxed) {
        let Ok(len) = line.read(&mut bytes) else { continue };
        for byte in &bytes[..len] {
            let Some(len) = deframer.push(*byte, &mut buffer) else { continue };
            if let Ok(answer) = device.exchange(&buffer[..len]) {
                let frame: Vec<u8> = framed(&answer).collect();
                // A board prints its log on the same line.
                line.write_all(b"INFO radio: tx done\r\n").unwrap();
                line.write_all(&frame).unwrap();
            }
        }
    }
}

fn eu() -> Simulated {
    Simulated::new(Model::Eu, Region::Eu868, 5).unwrap()
}

/// Calls the program once and looks at its exit status and a part of what it said.
fn check(device: &mut Simulated, args: &[&str], status: i32, part: &str) -> String {
    let output = run(device, &[args]).remove(0);
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
    assert!(said.contains(part), "{args:?}: {said}");
    said
}

#[test]
fn read_prints_status_and_settings_and_no_key() {
    let mut device = eu();
    device.stimulate("load 100W").unwrap();
    device.run_ms(5_000);
    let said = check(&mut device, &["read"], 0, "99.999 W at 230.000 V, 0.435 A, power factor 99.9 %");
    for part in ["EU (16 A), EU868", "6148", "hardware V1.4, software V0.1", "general.led = on"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.to_lowercase().contains("5572404c"), "{said}");
    let said = check(&mut device, &["--json", "read"], 0, r#""event":"settings""#);
    for line in said.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn set_writes_several_settings_or_none() {
    let mut device = eu();
    check(&mut device, &["set", "led=off", "overcurrent_alarm=12A"], 0, "general.led: on -> off");
    check(&mut device, &["set", "led=off"], 0, "nothing to write");

    for (args, part) in [
        (
            ["set", "led=on", "reporting_interval_s=59"],
            "general.reporting_interval_s: 59 is not within 60 to 64800 s",
        ),
        (["set", "led=on", "overcurrent_alarm=17A"], "general.overcurrent_alarm: 17 is not within 1 to 16 A"),
        (["set", "led=on", "lde=on"], "lde: there is no such field; there are general.led\n"),
        (
            ["set", "led=on", "general.overcurent=on"],
            "there is no such field; there are region, lorawan.join_eui, ",
        ),
        (
            ["set", "led=on", "overcurrent=on"],
            "there are general.overcurrent_alarm, general.overcurrent_protection\n",
        ),
        (["set", "led=on", "enabled=on"], "enabled: there are several"),
        (["set", "led=on", "tx_power_dbm=loud"], "`loud` is not a whole number from 0 to 16 dBm"),
    ] {
        check(&mut device, &args, 2, part);
        let said = check(&mut device, &["read"], 0, "general.led = off");
        assert!(said.contains("general.overcurrent_alarm = on, 12 A"), "{args:?}: {said}");
    }
}

#[test]
fn a_wrong_password_is_told_and_changes_nothing() {
    let mut device = eu();
    check(&mut device, &["--password", "654321", "set", "led=off"], 1, "wrong password; nothing was changed");
    for _ in 0..4 {
        check(&mut device, &["--password", "654321", "relay", "off"], 1, "wrong password");
    }
    let said = check(&mut device, &["--json", "relay", "off"], 1, r#""kind":"wait""#);
    assert!(said.contains(r#""wait_s":2"#) || said.contains(r#""wait_s":30"#), "{said}");
    let said = check(&mut device, &["read"], 0, "general.led = on");
    assert!(said.contains("Socket             on"), "{said}");
}

#[test]
fn the_password_is_changed() {
    let mut device = eu();
    check(&mut device, &["password", "12345"], 2, "the password is six digits");
    check(&mut device, &["password", "654321"], 0, "the password is changed");
    check(&mut device, &["relay", "off"], 1, "wrong password");
    check(&mut device, &["relay", "off", "--password", "654321"], 0, "switched off");
    check(&mut device, &["read"], 0, "Socket             off");
}

#[test]
fn a_reset_wants_to_be_meant() {
    let mut device = eu();
    check(&mut device, &["set", "led=off"], 0, "on -> off");
    check(&mut device, &["reset"], 2, "add --yes if you mean it");
    check(&mut device, &["read"], 0, "general.led = off");
    check(&mut device, &["reset", "--yes"], 0, "as it left the factory");
    device.run_ms(10_000);
    check(&mut device, &["read"], 0, "general.led = on");
}

#[test]
fn a_template_is_saved_compared_and_applied() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.json");
    let file = file.to_str().unwrap();
    let mut first = eu();
    check(&mut first, &["set", "reporting_interval_s=600"], 0, "1200 -> 600");
    let key = "app_key=00112233445566778899aabbccddeeff";
    check(&mut first, &["template", "save", file, key], 0, "saved as");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("00112233445566778899AABBCCDDEEFF") && !text.contains("nwk_s_key"), "{text}");
    assert!(!text.contains("password") && !text.contains("483C3719"), "{text}");

    let new = |model, region| Simulated::new(model, region, 6).unwrap();
    let mut second = new(Model::Eu, Region::Eu868);
    let said = check(
        &mut second,
        &["template", "diff", file],
        0,
        "general.reporting_interval_s: 1200 in the socket, 600 in the template",
    );
    assert!(said.contains("lorawan.app_key: in the template; the socket does not tell its own"), "{said}");
    let said =
        check(&mut second, &["template", "apply", file], 0, "general.reporting_interval_s: 1200 -> 600");
    assert!(said.contains("lorawan.app_key: written"), "{said}");
    check(&mut second, &["template", "diff", file], 0, "no difference");

    for (mut other, part) in [
        (new(Model::Uk, Region::Eu868), "model: the template is for EU, the device is UK"),
        (new(Model::Eu, Region::Us915), "region: the template is for EU868, the device is set to US915"),
    ] {
        check(&mut other, &["template", "apply", file], 2, part);
        check(&mut other, &["read"], 0, "general.reporting_interval_s = 1200");
    }
    check(&mut second, &["template", "apply", "/nowhere.json"], 2, "cannot read /nowhere.json");
    std::fs::write(file, "{ \"model\": \"EU\"").unwrap();
    check(&mut second, &["template", "apply", file], 2, "the template is not JSON: line 1");
}

#[test]
fn an_upgrade_over_the_line_shows_its_progress_and_refuses_what_is_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new.update");
    let path = file.to_str().unwrap();
    let mut device = eu();
    check(&mut device, &["sim-update", path, "--version", "0.3"], 0, "saved as");
    let said = check(&mut device, &["upgrade", path], 0, "restarts into version 0.3");
    assert!(said.contains("50176 of 100000 bytes") && said.contains("100000 of 100000 bytes"), "{said}");
    // It waits for the end of an uplink, 20 s at most.
    device.run_ms(30_000);
    check(&mut device, &["read"], 0, "trying");
    device.run_ms(90_000);
    let said = check(&mut device, &["read"], 0, "confirmed");
    assert!(said.contains("software V0.3"), "{said}");

    std::fs::write(&file, "no update").unwrap();
    check(&mut device, &["upgrade", path], 2, "the file is no update");
    check(&mut device, &["upgrade", "/nowhere.bin"], 2, "cannot read /nowhere.bin");
}

#[test]
fn nobody_at_the_other_end_is_told() {
    let (_ours, theirs) = TTYPort::pair().unwrap();
    let port = theirs.name().unwrap();
    let program =
        |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox")).args(args).output().unwrap();
    let output = program(&["--port", &port, "read"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no socket answers"), "{output:?}");
    let output = program(&["--port", "/dev/nope", "read"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot open /dev/nope"), "{output:?}");
    let output = program(&["read"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("say where the socket is"), "{output:?}");
}
