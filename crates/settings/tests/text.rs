//! Settings as people type them: `KEY=VALUE`; and the description of a field agrees with the rules.

mod common;

use common::identity;
use proptest::prelude::*;
use serde_json::Value;
use sockeye_settings::describe::{self, Kind};
use sockeye_settings::template::{Template, differences, set_text, text_of};
use sockeye_settings::{Field, Group, Model, Region, Settings};

fn present() -> Settings {
    Settings::default_for(Region::Eu868, &identity(Model::Eu))
}

/// Sets a field and looks at what it is then.
fn check(assignment: &str, field: Field, expected: &str) {
    let (key, value) = assignment.split_once('=').unwrap();
    let mut settings = present();
    assert_eq!(
        set_text(&mut settings, Model::Eu, key, value).map_err(|error| error.to_string()),
        Ok(field),
        "{assignment}"
    );
    assert_eq!(text_of(&settings, field), expected, "{assignment}");
}

#[test]
fn a_value_is_taken_as_people_type_it() {
    check("general.led=off", Field::Led, "off");
    check("led=No", Field::Led, "off");
    check("reporting_interval_s=600", Field::ReportingIntervalS, "600");
    check("overcurrent_alarm=12A", Field::OvercurrentAlarm, "on, 12 A");
    check("overcurrent_alarm=12", Field::OvercurrentAlarm, "on, 12 A");
    check("overcurrent_alarm=12 a", Field::OvercurrentAlarm, "on, 12 A");
    check("reporting_interval_s=600 s", Field::ReportingIntervalS, "600");
    check("tx_power_dbm=2dBm", Field::TxPowerDbm, "2");
    check("rx2_frequency_hz=869525000Hz", Field::Rx2FrequencyHz, "869525000");
    check("overcurrent_alarm=off", Field::OvercurrentAlarm, "off, 16 A");
    check("overcurrent_alarm.current_a=3", Field::OvercurrentAlarm, "on, 3 A");
    check("general.overcurrent_protection.enabled=off", Field::OvercurrentProtection, "off, 16 A");
    check("button_lock=30min", Field::ButtonLock, "on, 30 min");
    check("button_lock=on", Field::ButtonLock, "on");
    check("button_lock={\"enabled\":true,\"minutes\":5}", Field::ButtonLock, "on, 5 min");
    check("power_restore=on", Field::PowerRestore, "on");
    check("activation=abp", Field::Activation, "ABP");
    check("lorawan.dev_addr=26012345", Field::DevAddr, "26012345");
    check("group_2.dev_addr=00000001", Field::MulticastDevAddr(Group::Two), "00000001");
    check("channels=0-2", Field::Channels, "0-2");
    check("channel_frequencies_hz=868100000, 868300000", Field::ChannelFrequencies, "868100000,868300000");
    check("commands=1510=on,1511=Toggle", Field::D2dCommands, "1510=on,1511=toggle");
    check("commands=", Field::D2dCommands, "");
    check("tx_power_dbm=2", Field::TxPowerDbm, "2");
    check("app_key=00112233445566778899aabbccddeeff", Field::AppKey, "…");
    check("password=654321", Field::Password, "…");
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    for (key, value, sentence) in [
        ("led", "bright", "general.led: `bright` is not on or off"),
        ("led", "", "general.led: `` is not on or off"),
        (
            "reporting_interval_s",
            "10min",
            "general.reporting_interval_s: `10min` is not a whole number from 60 to 64800 s",
        ),
        ("tx_power_dbm", "1e3", "lorawan.tx_power_dbm: `1e3` is not a whole number from 0 to 16 dBm"),
        ("tx_power_dbm", "300", "lorawan.tx_power_dbm: `300` is not a whole number from 0 to 16 dBm"),
        ("application_port", "300", "lorawan.application_port: `300` is not a whole number from 1 to 223"),
        (
            "rx2_frequency_hz",
            "869.525",
            "lorawan.rx2_frequency_hz: `869.525` is not a frequency of 863000000 to 870000000 Hz",
        ),
        (
            "overcurrent_alarm",
            "12 V",
            "general.overcurrent_alarm: `12 V` is not off, on, or a whole number of amperes: 1A to 16A",
        ),
        (
            "overcurrent_alarm.current_a",
            "12.5A",
            "general.overcurrent_alarm.current_a: `12.5A` is not a whole number from 1 to 16 A",
        ),
        (
            "overcurrent_protection.enabled",
            "1",
            "general.overcurrent_protection.enabled: `1` is not on or off",
        ),
        (
            "button_lock",
            "2h",
            "general.button_lock: `2h` is not off, on, or a whole number of minutes: 1min to 32767min",
        ),
        (
            "button_lock.minutes",
            "-",
            "general.button_lock.minutes: `-` is not a whole number from 0 to 32767 min",
        ),
        ("power_restore", "last", "general.power_restore: `last` is not off, on or previous"),
        ("activation", "OTA", "lorawan.activation: `OTA` is not OTAA or ABP"),
        ("version", "1.1", "lorawan.version: `1.1` is not 1.0.2 or 1.0.3"),
        (
            "region",
            "EU",
            "region: `EU` is not EU868, US915, AU915, AS923-1, AS923-2, AS923-3, AS923-4, KR920, IN865, RU864, EU433 or CN470",
        ),
        ("join_eui", "24E1", "lorawan.join_eui: `24E1` is not 16 hexadecimal digits"),
        (
            "group_2.dev_addr",
            "26.01.23.45",
            "multicast.group_2.dev_addr: `26.01.23.45` is not 8 hexadecimal digits",
        ),
        (
            "channels",
            "0-16",
            "lorawan.channels: the channel list is wrong at character 3: the plan has the channels 0 to 15",
        ),
        (
            "channel_frequencies_hz",
            "868.1,868.3",
            "lorawan.channel_frequencies_hz: `868.1,868.3` is not a list of up to 16 frequencies of 863000000 to 870000000 Hz, 0 for none",
        ),
        (
            "commands",
            "1510",
            "d2d.commands: `1510` is not a list of up to 16 commands such as 1510=on,1511=off,1512=toggle",
        ),
        (
            "commands",
            "1510=maybe",
            "d2d.commands: `1510=maybe` is not a list of up to 16 commands such as 1510=on,1511=off,1512=toggle",
        ),
        // What is secret is not told again.
        ("password", "12345", "general.password: what was typed is not six digits"),
        ("app_key", "55724", "lorawan.app_key: what was typed is not 32 hexadecimal digits"),
        // Who writes JSON is answered in its words.
        ("commands", "[1510]", "d2d.commands[0]: expected an object in braces"),
        (
            "dev_addr",
            "1",
            "dev_addr: there are several; write one of lorawan.dev_addr, multicast.group_1.dev_addr, \
             multicast.group_2.dev_addr, multicast.group_3.dev_addr, multicast.group_4.dev_addr",
        ),
    ] {
        let mut settings = present();
        let error = set_text(&mut settings, Model::Eu, key, value).expect_err(key);
        assert_eq!(error.to_string(), sentence);
        assert_eq!(settings, present(), "{sentence}");
    }
    let mut us = Settings::default_for(Region::Us915, &identity(Model::Us));
    let error = set_text(&mut us, Model::Us, "channel_frequencies_hz", "low").unwrap_err();
    assert_eq!(
        error.to_string(),
        "lorawan.channel_frequencies_hz: US915 fixes the frequencies of its channels"
    );
    let error = set_text(&mut us, Model::Us, "overcurrent_alarm", "soon").unwrap_err().to_string();
    assert!(error.ends_with("1A to 15A"), "{error}");
    for key in ["", ".", "general", "ed", "led.enabled", "general.led.current_a"] {
        let error = set_text(&mut present(), Model::Eu, key, "1").expect_err(key).to_string();
        assert!(error.starts_with(&format!("{key}: there is no such field; there are region, ")), "{error}");
    }
}

#[test]
fn another_region_brings_its_defaults_and_leaves_the_rest() {
    let mut settings = present();
    settings.general.led = false;
    set_text(&mut settings, Model::Eu, "region", "us915").unwrap();
    assert_eq!(settings.validate(Model::Eu), Ok(()));
    assert_eq!(settings.lorawan.rx2_frequency_hz, 923_300_000);
    assert!(!settings.general.led);
    let names: Vec<_> = differences(&present(), &settings)
        .iter()
        .map(|it| format!("{}: {} -> {}", it.field, it.from, it.to))
        .collect();
    assert!(names.contains(&"region: EU868 -> US915".to_owned()), "{names:?}");
    assert!(names.contains(&"lorawan.tx_power_dbm: 16 -> 30".to_owned()), "{names:?}");
    assert!(names.contains(&"general.led: on -> off".to_owned()), "{names:?}");
    assert_eq!(names.len(), 7, "{names:?}");
}

#[test]
fn debug_of_a_template_shows_no_value() {
    let text = r#"{ "model": "EU", "region": "EU868", "lorawan": { "app_key": "00112233445566778899AABBCCDDEEFF" } }"#;
    let printed = format!("{:?}", Template::parse(text).unwrap());
    assert_eq!(printed, "Template(EU, EU868, [AppKey])");
}

#[test]
fn the_ranges_that_are_described_are_those_of_the_rules() {
    for region in Region::ALL {
        for model in Model::ALL {
            let present = Settings::default_for(region, &identity(model));
            for field in Field::all() {
                let accepts = |value: i64| {
                    let mut settings = present.clone();
                    set_text(&mut settings, model, field.name(), &value.to_string()).is_ok()
                        && settings.validate(model).is_ok()
                };
                let (min, max) = match field.describe(region, model).kind {
                    Kind::Number { min, max, .. } => (min, max),
                    Kind::Threshold { min_a, max_a } => (min_a.into(), max_a.into()),
                    Kind::Frequency { min_hz, max_hz, .. } => (min_hz.into(), max_hz.into()),
                    _ => continue,
                };
                let seen = [min - 1, min, max, max + 1].map(accepts);
                assert_eq!(seen, [false, true, true, false], "{field} in {region}: {min} to {max}");
            }
        }
    }
}

#[test]
fn every_field_is_described_with_its_default_unless_it_is_secret() {
    let list: Value = serde_json::from_str(&describe::to_json(Region::Cn470, Model::Cn10)).unwrap();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), Field::COUNT);
    for (row, field) in list.iter().zip(Field::all()) {
        assert_eq!(row["key"], field.name());
        assert!(
            !row["label"].as_str().unwrap().is_empty() && row["help"].as_str().unwrap().ends_with('.'),
            "{row}"
        );
        assert_eq!(row["secret"], field.is_secret());
        assert_eq!(row.get("default").is_none(), field.is_secret() || field == Field::DevAddr, "{row}");
    }
    let channels = list.iter().find(|row| row["key"] == "lorawan.channels").unwrap();
    assert_eq!((channels["min"].as_i64(), channels["max"].as_i64()), (Some(1), Some(96)));
}

proptest! {
    #[test]
    fn what_is_shown_can_be_typed_again((region, model, settings) in common::settings()) {
        let mut typed = Settings::default_for(region, &identity(model));
        for field in Field::all().filter(|field| !field.is_secret()) {
            let text = text_of(&settings, field).replace(", ", ",");
            match field {
                Field::OvercurrentAlarm | Field::OvercurrentProtection => {
                    let (enabled, current) = text.split_once(',').unwrap();
                    set_text(&mut typed, model, field.name(), current).unwrap();
                    set_text(&mut typed, model, field.name(), enabled).unwrap();
                }
                Field::ButtonLock => set_text(&mut typed, model, field.name(), text.trim_start_matches("on,")).map(|_| ()).unwrap(),
                Field::ChannelFrequencies if text.starts_with("fixed") => {}
                _ => { set_text(&mut typed, model, field.name(), &text).map(|_| ()).unwrap(); }
            }
            if field != Field::ButtonLock {
                prop_assert_eq!(text_of(&typed, field), text_of(&settings, field));
            }
        }
    }

    #[test]
    fn nothing_typed_panics(key in "(general\\.|lorawan\\.)?[a-z_]{0,12}(\\.enabled)?", value in ".{0,40}") {
        let _ = set_text(&mut present(), Model::Eu, &key, &value);
        for field in Field::all() {
            let _ = set_text(&mut present(), Model::Eu, field.name(), &value);
        }
    }
}
