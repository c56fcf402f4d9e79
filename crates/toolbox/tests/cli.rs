//! The program as a user calls it, over a serial line with a device at its other end.
#![cfg(unix)]

use std::io::{Read, Write};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serialport::{SerialPort, TTYPort};
use sockeye_nfc::line::{Deframer, framed};
use sockeye_settings::{Model, Password, Region};
use sockeye_toolbox::Link;
use sockeye_toolbox::stand_in::Device;
use sockeye_upgrade::{BoardName, Header, Image, sign};

/// Puts a device at one end of a line, and returns what the program said for each call of it.
fn run(device: &mut Device, calls: &[&[&str]]) -> Vec<Output> {
    let (mut ours, theirs) = TTYPort::pair().expect("the system gives out pseudo terminals");
    ours.set_timeout(Duration::from_millis(10)).unwrap();
    let name = theirs.name().unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(&mut ours, device, &over));
        let outputs = calls.iter().map(|args| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_sockeye-toolbox"));
            program.env_remove("SOCKEYE_PASSWORD").args(["--port", &name]).args(*args);
            program.output().unwrap()
        });
        let outputs = outputs.collect();
        over.store(true, Ordering::Relaxed);
        outputs
    })
}

fn serve(line: &mut TTYPort, device: &mut Device, over: &AtomicBool) {
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

fn eu() -> Device {
    Device::new(Model::Eu, Region::Eu868, 5)
}

/// Calls the program once and looks at its exit status and a part of what it said.
fn check(device: &mut Device, args: &[&str], status: i32, part: &str) -> String {
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
    let said = check(&mut device, &["read"], 0, "100.000 W at 230.100 V, 0.435 A, power factor 99.9 %");
    for part in ["EU (16 A), EU868", "61483C3719439105", "hardware V1.4, software V0.1", "general.led = on"] {
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
    assert!(!device.settings.general.led);
    assert_eq!(device.settings.general.overcurrent_alarm.current_a, 12);
    check(&mut device, &["set", "led=off"], 0, "nothing to write");

    let before = device.settings.clone();
    for (args, part) in [
        (
            ["set", "led=on", "reporting_interval_s=59"],
            "general.reporting_interval_s: 59 is not within 60 to 64800",
        ),
        (["set", "led=on", "overcurrent_alarm=17A"], "general.overcurrent_alarm: 17 is not within 1 to 16"),
        (["set", "led=on", "lde=on"], "lde: there is no such field"),
        (["set", "led=on", "enabled=on"], "enabled: there are several"),
        (["set", "led=on", "tx_power_dbm=loud"], "lorawan.tx_power_dbm: expected a whole number"),
    ] {
        check(&mut device, &args, 2, part);
        assert_eq!(device.settings, before, "{args:?}");
    }
}

#[test]
fn a_wrong_password_is_told_and_changes_nothing() {
    let mut device = eu();
    check(&mut device, &["--password", "654321", "set", "led=off"], 1, "wrong password; nothing was changed");
    assert!(device.settings.general.led);
    for _ in 0..4 {
        check(&mut device, &["--password", "654321", "relay", "off"], 1, "wrong password");
    }
    let said = check(&mut device, &["--json", "relay", "off"], 1, r#""kind":"wait""#);
    assert!(said.contains(r#""wait_s":30"#), "{said}");
    assert!(device.relay_on);
}

#[test]
fn the_password_is_changed() {
    let mut device = eu();
    check(&mut device, &["password", "12345"], 2, "the password is six digits");
    check(&mut device, &["password", "654321"], 0, "the password is changed");
    assert_eq!(Some(device.settings.general.password), Password::new(b"654321"));
    check(&mut device, &["relay", "off"], 1, "wrong password");
    check(&mut device, &["relay", "off", "--password", "654321"], 0, "switched off");
    assert!(!device.relay_on);
}

#[test]
fn a_reset_wants_to_be_meant() {
    let mut device = eu();
    device.settings.general.led = false;
    check(&mut device, &["reset"], 2, "add --yes if you mean it");
    assert!(!device.settings.general.led);
    check(&mut device, &["reset", "--yes"], 0, "as it left the factory");
    assert!(device.settings.general.led);
}

#[test]
fn a_template_is_saved_compared_and_applied() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("template.json");
    let file = file.to_str().unwrap();
    let mut first = eu();
    first.settings.general.reporting_interval_s = 600;
    let key = "app_key=00112233445566778899aabbccddeeff";
    check(&mut first, &["template", "save", file, key], 0, "saved as");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains("00112233445566778899AABBCCDDEEFF") && !text.contains("nwk_s_key"), "{text}");
    assert!(!text.contains("password") && !text.contains("483C3719"), "{text}");

    let mut second = Device::new(Model::Eu, Region::Eu868, 6);
    let said = check(
        &mut second,
        &["template", "diff", file],
        0,
        "general.reporting_interval_s: 1200 in the socket, 600 in the template",
    );
    assert!(said.contains("lorawan.app_key: in the template; the socket does not tell its own"), "{said}");
    check(&mut second, &["template", "apply", file], 0, "general.reporting_interval_s: 1200 -> 600");
    assert_eq!(second.settings.lorawan.app_key.as_bytes()[..2], [0x00, 0x11]);
    check(&mut second, &["template", "diff", file], 0, "no difference");

    for (mut other, part) in [
        (Device::new(Model::Uk, Region::Eu868, 7), "model: the template is for EU, the device is UK"),
        (
            Device::new(Model::Eu, Region::Us915, 8),
            "region: the template is for EU868, the device is set to US915",
        ),
    ] {
        check(&mut other, &["template", "apply", file], 2, part);
        assert!(other.obeyed.is_empty());
    }
    check(&mut second, &["template", "apply", "/nowhere.json"], 2, "cannot read /nowhere.json");
    std::fs::write(file, "{ \"model\": \"EU\"").unwrap();
    check(&mut second, &["template", "apply", file], 2, "the template is not JSON: line 1");
}

#[test]
fn an_upgrade_shows_its_progress_and_refuses_what_is_no_update() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("update.bin");
    let path = file.to_str().unwrap();
    let bytes = vec![0x5a; 4000];
    let image = Image {
        board: BoardName::new("test").unwrap(),
        hardware_min: [1, 0],
        hardware_max: [2, 0],
        version: [0, 2],
        len: 4000,
        sha512: [0; 64],
    };
    let header = Header::new(&image, sign(&[7; 32], &image.signed_part())).to_bytes();
    std::fs::write(&file, [&header[..], &bytes].concat()).unwrap();
    let mut device = eu();
    let said = check(&mut device, &["upgrade", path], 0, "restarts into version 0.2");
    assert!(said.contains("2048 of 4000 bytes"), "{said}");
    assert_eq!(device.image, bytes);

    std::fs::write(&file, &bytes).unwrap();
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
