//! Defaults, ranges and the rules between fields.

mod common;

use common::identity;
use proptest::prelude::*;
use sockeye_settings::{
    Activation, ButtonLock, ChannelSet, D2dCommand, Error, Field, Group, Key, Model, Password, PowerRestore,
    Reason, Region, Settings, Threshold, Version,
};

fn defaults(region: Region, model: Model) -> Settings {
    Settings::default_for(region, &identity(model))
}

#[test]
fn the_defaults_are_those_of_the_guide() {
    let settings = defaults(Region::Eu868, Model::Eu);
    let lorawan = &settings.lorawan;
    assert_eq!(lorawan.join_eui, [0x24, 0xe1, 0x24, 0xc0, 0x00, 0x2a, 0x00, 0x01]);
    assert_eq!(lorawan.application_port, 85);
    assert_eq!(lorawan.activation, Activation::Otaa);
    assert_eq!(lorawan.app_key, Key::new(*b"factory's secret"));
    assert_eq!(lorawan.dev_addr, 0xb137_8362, "digits 5 to 12 of 6148b13783621055");
    assert_eq!(lorawan.version, Version::V1_0_3);
    assert_eq!((lorawan.rx2_frequency_hz, lorawan.rx2_data_rate), (869_525_000, 0));
    assert!(lorawan.adr && lorawan.rejoin && !lorawan.confirmed && !lorawan.single_channel);
    assert_eq!(lorawan.rejoin_packets, 32);
    assert_eq!(lorawan.channels.frequency_hz[..4], [868_100_000, 868_300_000, 868_500_000, 0]);

    // 5572404C696E6B4C6F52613230313823
    let key = |last| {
        Key::new([
            0x55, 0x72, 0x40, 0x4c, 0x69, 0x6e, 0x6b, 0x4c, 0x6f, 0x52, 0x61, 0x32, 0x30, 0x31, 0x38, last,
        ])
    };
    assert_eq!((lorawan.nwk_s_key, lorawan.app_s_key, settings.d2d.key), (key(0x23), key(0x23), key(0x23)));
    for (index, group) in settings.multicast.iter().enumerate() {
        let last = 0x23 + u8::try_from(index).unwrap();
        assert!(!group.enabled);
        assert_eq!((group.nwk_s_key, group.app_s_key), (key(last), key(last)));
    }
    let addresses = settings.multicast.map(|group| group.dev_addr);
    assert_eq!(addresses, [0x1111_1111, 0x2222_2222, 0x3333_3333, 0x4444_4444]);

    let general = &settings.general;
    assert_eq!(general.reporting_interval_s, 20 * 60);
    assert!(general.led && general.power_consumption);
    assert_eq!(general.power_restore, PowerRestore::Previous);
    assert_eq!(general.button_lock, ButtonLock { enabled: false, minutes: 0 });
    assert_eq!(general.password.as_bytes(), b"123456");
    assert!(!settings.d2d.enabled && settings.d2d.commands.is_empty());
}

#[test]
fn alarm_and_protection_are_on_at_the_rated_current() {
    for (model, current_a) in [
        (Model::Eu, 16),
        (Model::Uk, 13),
        (Model::Us, 15),
        (Model::Au, 10),
        (Model::Cn10, 10),
        (Model::Cn16, 16),
    ] {
        let general = defaults(Region::Eu868, model).general;
        let rated = Threshold { enabled: true, current_a };
        assert_eq!((general.overcurrent_alarm, general.overcurrent_protection), (rated, rated));
    }
}

#[test]
fn the_defaults_of_every_region_and_model_hold_all_rules() {
    for region in Region::ALL {
        for model in Model::ALL {
            assert_eq!(defaults(region, model).validate(model), Ok(()), "{region} {model}");
        }
    }
}

/// Changes the defaults of EU868 and says which field is refused, and in which words.
fn check(change: impl FnOnce(&mut Settings), field: Field, sentence: &str) {
    check_in(Region::Eu868, change, field, sentence);
}

fn check_in(region: Region, change: impl FnOnce(&mut Settings), field: Field, sentence: &str) {
    let mut settings = defaults(region, Model::Au);
    change(&mut settings);
    let error = settings.validate(Model::Au).expect_err(sentence);
    assert_eq!((error.field, error.to_string().as_str()), (field, sentence));
}

#[test]
fn a_number_outside_its_range_is_refused_with_field_and_range() {
    check(
        |it| it.lorawan.application_port = 0,
        Field::ApplicationPort,
        "lorawan.application_port: 0 is not within 1 to 223",
    );
    check(
        |it| it.lorawan.application_port = 224,
        Field::ApplicationPort,
        "lorawan.application_port: 224 is not within 1 to 223",
    );
    check(
        |it| it.lorawan.rejoin_packets = 0,
        Field::RejoinPackets,
        "lorawan.rejoin_packets: 0 is not within 1 to 255",
    );
    check(
        |it| it.lorawan.rx2_data_rate = 7,
        Field::Rx2DataRate,
        "lorawan.rx2_data_rate: 7 is not within 0 to 6",
    );
    check(|it| it.lorawan.data_rate = 6, Field::DataRate, "lorawan.data_rate: 6 is not within 0 to 5");
    check(
        |it| it.lorawan.tx_power_dbm = 17,
        Field::TxPowerDbm,
        "lorawan.tx_power_dbm: 17 is not within 0 to 16 dBm",
    );
    check(
        |it| it.lorawan.tx_power_dbm = -1,
        Field::TxPowerDbm,
        "lorawan.tx_power_dbm: -1 is not within 0 to 16 dBm",
    );
    for (interval_s, sentence) in [
        (59, "general.reporting_interval_s: 59 is not within 60 to 64800 s"),
        (64_801, "general.reporting_interval_s: 64801 is not within 60 to 64800 s"),
        (u32::MAX, "general.reporting_interval_s: 4294967295 is not within 60 to 64800 s"),
    ] {
        check(|it| it.general.reporting_interval_s = interval_s, Field::ReportingIntervalS, sentence);
    }
    for enabled in [false, true] {
        check(
            |it| it.general.overcurrent_alarm = Threshold { enabled, current_a: 11 },
            Field::OvercurrentAlarm,
            "general.overcurrent_alarm: 11 is not within 1 to 10 A",
        );
        check(
            |it| it.general.overcurrent_protection = Threshold { enabled, current_a: 0 },
            Field::OvercurrentProtection,
            "general.overcurrent_protection: 0 is not within 1 to 10 A",
        );
    }
    check(
        |it| it.general.button_lock.minutes = 0x8000,
        Field::ButtonLock,
        "general.button_lock: 32768 is not within 0 to 32767 min",
    );
}

#[test]
fn a_frequency_outside_the_plan_is_refused() {
    check(
        |it| it.lorawan.rx2_frequency_hz = 915_000_000,
        Field::Rx2FrequencyHz,
        "lorawan.rx2_frequency_hz: 915000000 Hz is not a frequency of EU868, which has 863000000 to 870000000 Hz",
    );
    check(
        |it| it.lorawan.channels.frequency_hz[5] = 868_650_000,
        Field::ChannelFrequencies,
        "lorawan.channel_frequencies_hz: 868650000 Hz is not a frequency of EU868",
    );
    check_in(
        Region::Kr920,
        |it| it.lorawan.channels.frequency_hz[3] = 922_200_000,
        Field::ChannelFrequencies,
        "lorawan.channel_frequencies_hz: 922200000 Hz is not a frequency of KR920",
    );
    check_in(
        Region::Us915,
        |it| it.lorawan.rx2_frequency_hz = 923_400_000,
        Field::Rx2FrequencyHz,
        "lorawan.rx2_frequency_hz: 923400000 Hz is not a frequency of US915, which has 923300000 to 927500000 Hz in steps of 600000",
    );
    check_in(
        Region::Us915,
        |it| it.lorawan.channels.frequency_hz[0] = 902_300_000,
        Field::ChannelFrequencies,
        "lorawan.channel_frequencies_hz: US915 fixes the frequencies of its channels",
    );
}

#[test]
fn a_channel_that_the_plan_does_not_have_is_refused() {
    check(
        |it| it.lorawan.channels.enabled = ChannelSet::EMPTY.with(16),
        Field::Channels,
        "lorawan.channels: 16 is not within 0 to 15",
    );
    check_in(
        Region::Au915,
        |it| it.lorawan.channels.enabled = ChannelSet::first(96),
        Field::Channels,
        "lorawan.channels: 72 is not within 0 to 71",
    );
}

#[test]
fn a_list_that_leaves_nothing_to_send_on_is_refused_except_null() {
    check(
        |it| it.lorawan.channels.enabled = ChannelSet::EMPTY.with(3).with(4),
        Field::Channels,
        "lorawan.channels: no channel of this list has a frequency; to stop sending, write Null",
    );
    let mut settings = defaults(Region::Eu868, Model::Eu);
    settings.lorawan.channels.enabled = ChannelSet::EMPTY;
    settings.lorawan.adr = false;
    assert_eq!(settings.validate(Model::Eu), Ok(()));
    assert!(settings.lorawan.channels.usable(Region::Eu868).is_empty());
}

#[test]
fn without_adr_some_channel_must_carry_the_data_rate() {
    let wide_only = |it: &mut Settings, adr| {
        it.lorawan.channels.enabled = (64..72).fold(ChannelSet::EMPTY, ChannelSet::with);
        it.lorawan.adr = adr;
    };
    check_in(
        Region::Us915,
        |it| wide_only(it, false),
        Field::DataRate,
        "lorawan.data_rate: no enabled channel carries data rate 0; enable one or turn ADR on",
    );
    let mut settings = defaults(Region::Us915, Model::Us);
    wide_only(&mut settings, true);
    assert_eq!(settings.validate(Model::Us), Ok(()));
    settings.lorawan.adr = false;
    settings.lorawan.data_rate = 4;
    assert_eq!(settings.validate(Model::Us), Ok(()));
}

#[test]
fn single_channel_mode_needs_exactly_one_channel() {
    let sentence = "lorawan.single_channel: single-channel mode needs exactly one channel, 3 can be used";
    check(|it| it.lorawan.single_channel = true, Field::SingleChannel, sentence);
    let none = "lorawan.single_channel: single-channel mode needs exactly one channel, 0 can be used";
    check(
        |it| {
            it.lorawan.single_channel = true;
            it.lorawan.channels.enabled = ChannelSet::EMPTY;
        },
        Field::SingleChannel,
        none,
    );
    let mut settings = defaults(Region::Eu868, Model::Eu);
    settings.lorawan.single_channel = true;
    // Channel 7 is in the list but has no frequency.
    settings.lorawan.channels.enabled = ChannelSet::EMPTY.with(1).with(7);
    assert_eq!(settings.validate(Model::Eu), Ok(()));
}

#[test]
fn multicast_addresses_differ_from_each_other_and_from_the_device() {
    check(
        |it| it.multicast[3].dev_addr = 0x2222_2222,
        Field::MulticastDevAddr(Group::Four),
        "multicast.group_4.dev_addr: must differ from multicast.group_2.dev_addr",
    );
    let as_device = |activation, enabled| {
        let mut settings = defaults(Region::Eu868, Model::Au);
        settings.lorawan.activation = activation;
        settings.multicast[0].enabled = enabled;
        settings.multicast[0].dev_addr = settings.lorawan.dev_addr;
        settings.validate(Model::Au)
    };
    let refused = Error {
        field: Field::MulticastDevAddr(Group::One),
        reason: Reason::SameAs { other: Field::DevAddr },
    };
    assert_eq!(as_device(Activation::Abp, true), Err(refused));
    assert_eq!(as_device(Activation::Abp, false), Ok(()));
    assert_eq!(as_device(Activation::Otaa, true), Ok(()));
}

#[test]
fn a_device_to_device_command_stands_once() {
    use sockeye_settings::Action::{Off, On, Toggle};
    let mut settings = defaults(Region::Eu868, Model::Eu);
    for (code, action) in [(0x1510, On), (0x1511, Off), (0, Toggle)] {
        settings.d2d.commands.push(D2dCommand { code, action }).unwrap();
    }
    assert_eq!(settings.validate(Model::Eu), Ok(()));
    assert_eq!(settings.d2d.action(0x1511), Some(Off));
    assert_eq!(settings.d2d.action(0x1512), None);
    check(
        |it| {
            for action in [On, Off] {
                it.d2d.commands.push(D2dCommand { code: 0x1510, action }).unwrap();
            }
        },
        Field::D2dCommands,
        "d2d.commands: the command 1510 is there twice",
    );
}

#[test]
fn a_setter_refuses_what_is_out_of_range_and_keeps_the_old_value() {
    let mut general = defaults(Region::Eu868, Model::Au).general;
    let before = general.clone();
    let field = |result: Result<(), Error>| result.map_err(|error| error.field);
    assert_eq!(field(general.set_reporting_interval_s(59)), Err(Field::ReportingIntervalS));
    assert_eq!(field(general.set_reporting_interval_s(64_801)), Err(Field::ReportingIntervalS));
    let threshold = |current_a| Threshold { enabled: false, current_a };
    assert_eq!(field(general.set_overcurrent_alarm(threshold(11), Model::Au)), Err(Field::OvercurrentAlarm));
    assert_eq!(
        field(general.set_overcurrent_protection(threshold(0), Model::Au)),
        Err(Field::OvercurrentProtection)
    );
    let lock = |minutes| ButtonLock { enabled: true, minutes };
    assert_eq!(field(general.set_button_lock(lock(0x8000))), Err(Field::ButtonLock));
    assert_eq!(general, before);

    for interval_s in [60, 64_800] {
        assert_eq!(general.set_reporting_interval_s(interval_s), Ok(()));
        assert_eq!(general.reporting_interval_s, interval_s);
    }
    for current_a in [1, 10] {
        assert_eq!(general.set_overcurrent_alarm(threshold(current_a), Model::Au), Ok(()));
        assert_eq!(general.set_overcurrent_protection(threshold(current_a), Model::Au), Ok(()));
        assert_eq!(
            (general.overcurrent_alarm, general.overcurrent_protection.current_a),
            (threshold(current_a), current_a)
        );
    }
    assert_eq!(general.set_button_lock(lock(0x7fff)), Ok(()));
    assert_eq!(general.button_lock, lock(0x7fff));
}

#[test]
fn a_password_is_six_digits() {
    for (text, good) in [
        ("123456", true),
        ("000000", true),
        ("12345", false),
        ("1234567", false),
        ("12345a", false),
        ("12345\u{666}", false),
        ("", false),
    ] {
        assert_eq!(Password::new(text.as_bytes()).is_some(), good, "{text}");
    }
}

#[test]
fn no_key_and_no_password_is_printed() {
    let mut settings = defaults(Region::Eu868, Model::Eu);
    settings.general.password = Password::new(b"918273").unwrap();
    let printed = format!("{settings:?} {:?} {:#?}", identity(Model::Eu), settings.d2d.key);
    for secret in ["918273", "57, 49, 56", "factory", "102, 97, 99", "85, 114, 64", "Ur@Link"] {
        assert!(!printed.contains(secret), "{secret}");
    }
    assert!(printed.contains("app_key: …") && printed.contains("password: …"));
}

#[test]
fn names_find_their_model_and_region() {
    for region in Region::ALL {
        assert_eq!(Region::from_name(region.name()), Some(region));
        assert_eq!(Region::from_name(&region.name().to_lowercase()), Some(region));
    }
    for model in Model::ALL {
        assert_eq!(Model::from_name(model.name()), Some(model));
    }
    assert_eq!(Region::from_name("EU869"), None);
    assert_eq!(Model::from_name("CN"), None);
}

#[test]
fn an_outage_is_reported_from_hardware_1_2_on() {
    for (version, reports) in [
        ([1, 0x00], false),
        ([1, 0x10], false),
        ([1, 0x1f], false),
        ([1, 0x20], true),
        ([1, 0x40], true),
        ([0, 0x90], false),
        ([2, 0x00], true),
    ] {
        let identity = sockeye_settings::Identity { hardware_version: version, ..identity(Model::Eu) };
        assert_eq!(identity.reports_outage(), reports, "{version:02x?}");
    }
}

#[test]
fn each_field_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Field::all().map(Field::name).collect();
    assert_eq!(names.len(), Field::COUNT);
    assert!(!names.contains(""));
}

proptest! {
    #[test]
    fn settings_inside_all_ranges_hold_all_rules((_, model, settings) in common::settings()) {
        prop_assert_eq!(settings.validate(model), Ok(()));
    }
}
