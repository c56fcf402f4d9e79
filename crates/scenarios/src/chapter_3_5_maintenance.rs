//! Section 3.5, but for the upgrade.

use crate::{Bench, Socket, scenarios};

scenarios![
    a_template_brings_the_same_settings_to_another_device,
    a_template_is_written_by_a_smartphone_to_devices_of_the_same_band,
    a_reset_brings_every_setting_back
];

const TEMPLATE: &str = r#""general": { "reporting_interval_s": 600, "power_consumption": false,
    "button_lock": { "enabled": true, "minutes": 0 },
    "overcurrent_alarm": { "enabled": true, "current_a": 7 },
    "overcurrent_protection": { "enabled": false, "current_a": 8 } }"#;

/// "Write, then attach it to another device to write configuration": here the file that a socket starts with.
fn a_template_brings_the_same_settings_to_another_device<B: Bench>() {
    for options in ["--sn 6148B13783621055", "--sn 6148B13783621056 --dev-eui 24E124148C371944"] {
        let mut socket = Socket::<B>::joined_with(options, TEMPLATE);
        socket.command("ff2cff");
        let sent = socket.payloads();
        let information = sent.iter().find(|payload| payload.contains("ff16")).expect("no basic information");
        for setting in ["ff240107", "ff300008", "ff250080", "ff2600"] {
            assert!(information.contains(setting), "{options}: no {setting} in {information}");
        }
        let serial_number = options.get(5..21).expect("a serial number").to_lowercase();
        assert!(information.contains(&serial_number), "identity is not in a template: {information}");
    }
}

/// "Backup is allowed only for devices with the same model and LoRaWAN frequency band."
fn a_template_is_written_by_a_smartphone_to_devices_of_the_same_band<B: Bench>() {
    let mut socket = Socket::<B>::joined("--sockets 2");
    let refused = socket.write_template("US915", TEMPLATE);
    assert!(refused.len() == 2 && refused.iter().all(|result| result.contains("US915")), "{refused:?}");
    assert_eq!(socket.write_template("EU868", TEMPLATE), ["done", "done"]);
    assert!(socket.read_by_nfc().contains(r#""reporting_interval_s":600"#));
}

/// "Hold on the power button for more than 10s until LED quickly blinks."
fn a_reset_brings_every_setting_back<B: Bench>() {
    let mut socket = Socket::<B>::joined_with("", TEMPLATE);
    socket.does("load 1000W").wait_min(10).watch().does("hold 11s").wait_s(90).command("ff2cff");
    let sent = socket.payloads();
    let information = sent.iter().rfind(|payload| payload.contains("ff16")).expect("no basic information");
    for setting in ["ff240110", "ff300110", "ff250000", "ff2601"] {
        assert!(information.contains(setting), "no {setting} in {information}");
    }
    assert!(socket.last_sensor_data().consumption_wh <= 30, "the consumption counts from 0: {sent:?}");
}
