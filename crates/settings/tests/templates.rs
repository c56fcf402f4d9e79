//! Templates: they come back as they were, and a refused one says why in a sentence that names the field.

mod common;

use common::identity;
use proptest::prelude::*;
use sockeye_settings::template::{Error, Secrets, from_json, to_json};
use sockeye_settings::{Action, ChannelSet, Field, Key, Model, Region, Settings};

fn present() -> Settings {
    Settings::default_for(Region::Eu868, &identity(Model::Eu))
}

#[test]
fn a_template_reads_as_people_expect() {
    let text = to_json(&present(), Model::Eu, Secrets::Omit);
    assert!(
        text.starts_with("{\n  \"model\": \"EU\",\n  \"region\": \"EU868\",\n  \"lorawan\": {\n"),
        "{text}"
    );
    for line in [
        r#""join_eui": "24E124C0002A0001""#,
        r#""activation": "OTAA""#,
        r#""version": "1.0.3""#,
        r#""channels": "All""#,
        r#""dev_addr": "44444444""#,
        r#""reporting_interval_s": 1200"#,
        r#""power_restore": "previous""#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn keys_password_and_the_address_of_the_device_are_written_on_request_only() {
    let secrets = ["app_key", "nwk_s_key", "app_s_key", "\"key\"", "password", "B1378362"];
    let text = to_json(&present(), Model::Eu, Secrets::Omit);
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");
    let text = to_json(&present(), Model::Eu, Secrets::Include);
    assert!(secrets.iter().all(|secret| text.contains(secret)), "{text}");
    assert!(text.contains("5572404C696E6B4C6F52613230313826"), "{text}");
    assert!(!text.to_lowercase().contains("24e124148c371943"), "the DevEUI is identity");
}

#[test]
fn a_field_that_the_template_does_not_name_stays_as_it_is() {
    let text = r#"{ "model": "eu", "region": "eu868", "general": { "led": false, "button_lock": { "minutes": 5 } },
        "lorawan": { "channels": "0, 2" }, "d2d": { "commands": [{ "command": "1510", "action": "Toggle" }] } }"#;
    let mut expected = present();
    expected.general.led = false;
    expected.general.button_lock.minutes = 5;
    expected.lorawan.channels.enabled = ChannelSet::EMPTY.with(0).with(2);
    expected
        .d2d
        .commands
        .push(sockeye_settings::D2dCommand { code: 0x1510, action: Action::Toggle })
        .unwrap();
    assert_eq!(from_json(text, Model::Eu, &present()), Ok(expected));
}

#[test]
fn a_list_in_a_template_replaces_the_whole_list() {
    let mut present = present();
    present.lorawan.channels.frequency_hz = [867_100_000; 16];
    present.d2d.commands.push(sockeye_settings::D2dCommand { code: 1, action: Action::On }).unwrap();
    let text = r#"{ "model": "EU", "region": "EU868", "d2d": { "commands": [] },
        "lorawan": { "channel_frequencies_hz": [868300000] } }"#;
    let read = from_json(text, Model::Eu, &present).unwrap();
    assert!(read.d2d.commands.is_empty());
    assert_eq!(read.lorawan.channels.frequency_hz[0], 868_300_000);
    assert_eq!(read.lorawan.channels.frequency_hz[1..], [0; 15]);
}

/// Checks the sentence with which a template is refused; `fields` stand after model and region.
fn check(fields: &str, sentence: &str) {
    let text = format!(r#"{{ "model": "EU", "region": "EU868", {fields} }}"#);
    let error = from_json(&text, Model::Eu, &present()).expect_err(fields);
    assert_eq!(error.to_string(), sentence);
}

#[test]
fn a_template_for_another_model_or_region_is_refused() {
    for (text, sentence) in [
        (r#"{ "model": "UK", "region": "EU868" }"#, "model: the template is for UK, the device is EU"),
        (
            r#"{ "model": "EU", "region": "US915" }"#,
            "region: the template is for US915, the device is set to EU868",
        ),
        (r#"{ "region": "EU868" }"#, "model: is missing"),
        (r#"{ "model": "EU" }"#, "region: is missing"),
        (r#"{ "model": 5 }"#, "model: expected text in quotes"),
        ("[]", "the template: expected an object in braces"),
    ] {
        assert_eq!(from_json(text, Model::Eu, &present()).unwrap_err().to_string(), sentence);
    }
}

#[test]
fn what_is_not_json_is_refused_at_its_place() {
    let error = from_json("{\n  \"model\": EU }", Model::Eu, &present()).unwrap_err();
    assert_eq!(error.to_string(), "the template is not JSON: line 2, column 12: expected value");
    let error = from_json("", Model::Eu, &present()).unwrap_err();
    assert!(matches!(error, Error::Syntax { line: 1, column: 0, .. }), "{error}");
}

#[test]
fn an_unknown_field_is_refused_by_name() {
    check(
        r#""generel": {}"#,
        "generel: there is no such field; there are model, region, lorawan, multicast, general, d2d",
    );
    check(
        r#""multicast": { "group_5": {} }"#,
        "multicast.group_5: there is no such field; there are group_1, group_2, group_3, group_4",
    );
    check(
        r#""general": { "button_lock": { "hours": 1 } }"#,
        "general.button_lock.hours: there is no such field; there are enabled, minutes",
    );
    check(
        r#""d2d": { "commands": [{ "command": "1510", "action": "on", "for": 5 }] }"#,
        "d2d.commands[0].for: there is no such field; there are command, action",
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_by_name() {
    for (fields, sentence) in [
        (r#""general": 5"#, "general: expected an object in braces"),
        (r#""general": { "led": "on" }"#, "general.led: expected true or false"),
        (
            r#""general": { "reporting_interval_s": "600" }"#,
            "general.reporting_interval_s: expected a whole number",
        ),
        (
            r#""general": { "reporting_interval_s": 600.5 }"#,
            "general.reporting_interval_s: expected a whole number",
        ),
        (r#""general": { "password": "12345" }"#, "general.password: expected six digits in quotes"),
        (r#""general": { "power_restore": "last" }"#, "general.power_restore: expected off, on or previous"),
        (r#""lorawan": { "activation": "JOIN" }"#, "lorawan.activation: expected OTAA or ABP"),
        (r#""lorawan": { "version": "1.1" }"#, "lorawan.version: expected 1.0.2 or 1.0.3"),
        (r#""lorawan": { "channels": [1] }"#, "lorawan.channels: expected text in quotes"),
        (
            r#""lorawan": { "join_eui": "24e124" }"#,
            "lorawan.join_eui: expected 16 hexadecimal digits in quotes",
        ),
        (
            r#""lorawan": { "app_key": "5572404C696E6B4C6F5261323031382é" }"#,
            "lorawan.app_key: expected 32 hexadecimal digits in quotes",
        ),
        (
            r#""lorawan": { "channel_frequencies_hz": [868100000, -1] }"#,
            "lorawan.channel_frequencies_hz: expected at most 16 frequencies in hertz, 0 for a channel that is not used",
        ),
        (
            r#""multicast": { "group_2": { "dev_addr": "222" } }"#,
            "multicast.group_2.dev_addr: expected 8 hexadecimal digits in quotes",
        ),
        (r#""d2d": { "commands": {} }"#, "d2d.commands: expected a list in brackets"),
        (r#""d2d": { "commands": [1510] }"#, "d2d.commands[0]: expected an object in braces"),
        (r#""d2d": { "commands": [{ "action": "on" }] }"#, "d2d.commands[0].command: is missing"),
        (r#""d2d": { "commands": [{ "command": "1510" }] }"#, "d2d.commands[0].action: is missing"),
        (
            r#""d2d": { "commands": [{ "command": "1510", "action": "blink" }] }"#,
            "d2d.commands[0].action: expected off, on or toggle",
        ),
    ] {
        check(fields, sentence);
    }
    let command = |code: usize| format!(r#"{{ "command": "{code:04x}", "action": "on" }}"#);
    let list = (0..17).map(command).collect::<Vec<_>>().join(",");
    check(&format!(r#""d2d": {{ "commands": [{list}] }}"#), "d2d.commands: expected at most 16 commands");
}

#[test]
fn a_broken_rule_is_refused_by_name() {
    for (fields, sentence) in [
        (
            r#""general": { "reporting_interval_s": 59 }"#,
            "general.reporting_interval_s: 59 is not within 60 to 64800 s",
        ),
        (
            r#""general": { "overcurrent_alarm": { "current_a": 17 } }"#,
            "general.overcurrent_alarm: 17 is not within 1 to 16 A",
        ),
        (r#""lorawan": { "application_port": 300 }"#, "lorawan.application_port: 300 is outside its range"),
        (
            r#""lorawan": { "channels": "0-16" }"#,
            "lorawan.channels: the channel list is wrong at character 3: the plan has the channels 0 to 15",
        ),
        (
            r#""multicast": { "group_1": { "dev_addr": "22222222" } }"#,
            "multicast.group_2.dev_addr: must differ from multicast.group_1.dev_addr",
        ),
        (
            r#""d2d": { "commands": [{ "command": "1510", "action": "on" }, { "command": "1510", "action": "on" }] }"#,
            "d2d.commands: the command 1510 is there twice",
        ),
    ] {
        check(fields, sentence);
    }
}

#[test]
fn every_field_but_the_region_is_in_a_template_with_secrets() {
    let value: serde_json::Value =
        serde_json::from_str(&to_json(&present(), Model::Eu, Secrets::Include)).unwrap();
    for field in Field::all() {
        let found = field.name().split('.').try_fold(&value, |value, name| value.get(name));
        assert!(found.is_some(), "{field}");
    }
}

proptest! {
    #[test]
    fn settings_come_back_as_they_were((region, model, settings) in common::settings()) {
        let present = Settings::default_for(region, &identity(model));
        let text = to_json(&settings, model, Secrets::Include);
        prop_assert_eq!(from_json(&text, model, &present), Ok(settings));
    }

    #[test]
    fn a_template_without_secrets_leaves_those_of_the_device((region, model, settings) in common::settings()) {
        let mut present = Settings::default_for(region, &identity(model));
        present.lorawan.nwk_s_key = Key::new([7; 16]);
        if let Ok(read) = from_json(&to_json(&settings, model, Secrets::Omit), model, &present) {
            prop_assert_eq!(read.lorawan.nwk_s_key, Key::new([7; 16]));
            prop_assert_eq!(read.lorawan.app_key, present.lorawan.app_key);
            prop_assert_eq!(read.lorawan.dev_addr, present.lorawan.dev_addr);
            prop_assert_eq!(read.general.password, present.general.password);
            prop_assert_eq!(read.general.reporting_interval_s, settings.general.reporting_interval_s);
        }
    }
}
