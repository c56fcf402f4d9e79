//! The form in flash: it comes back as it was, outlives newer fields, and a broken value costs that field only.

mod common;

use common::identity;
use proptest::collection::vec;
use proptest::prelude::*;
use sockeye_settings::{
    ChannelSet, Field, Group, Identity, MAX_STORED, Model, PowerRestore, Region, Settings, StoredError,
    Threshold,
};

fn encode(settings: &Settings) -> Vec<u8> {
    let mut out = [0; MAX_STORED];
    let len = settings.encode(&mut out).unwrap();
    out[..len].to_vec()
}

#[test]
fn settings_near_their_defaults_are_stored_in_few_bytes() {
    let mut settings = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    let len = encode(&settings).len();
    assert_eq!(len, 1 + 3 + 18 + 6 + 4 + 4, "version, region, AppKey, DevAddr, alarm, protection");
    settings.general.reporting_interval_s = 600;
    assert_eq!(encode(&settings).len(), len + 6);
}

#[test]
fn settings_without_a_single_default_take_480_bytes() {
    use sockeye_settings::{Action, Activation, ButtonLock, D2dCommand, Key, Password, Version};
    let mut settings = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    let lorawan = &mut settings.lorawan;
    (lorawan.join_eui, lorawan.application_port, lorawan.activation) = ([1; 8], 1, Activation::Abp);
    (lorawan.nwk_s_key, lorawan.app_s_key) = (Key::new([1; 16]), Key::new([2; 16]));
    (lorawan.version, lorawan.rx2_data_rate) = (Version::V1_0_2, 3);
    lorawan.rx2_frequency_hz = 868_100_000;
    lorawan.channels.enabled = ChannelSet::EMPTY.with(15);
    lorawan.channels.frequency_hz = [863_000_000; 16];
    (lorawan.single_channel, lorawan.confirmed, lorawan.rejoin, lorawan.rejoin_packets) =
        (true, true, false, 1);
    (lorawan.adr, lorawan.data_rate, lorawan.tx_power_dbm) = (false, 5, 2);
    for (group, address) in settings.multicast.iter_mut().zip(1..) {
        (group.enabled, group.dev_addr) = (true, address);
        (group.nwk_s_key, group.app_s_key) = (Key::new([3; 16]), Key::new([4; 16]));
    }
    let general = &mut settings.general;
    (general.reporting_interval_s, general.led, general.power_consumption) = (60, false, false);
    general.power_restore = PowerRestore::Off;
    general.button_lock = ButtonLock { enabled: true, minutes: 1 };
    general.password = Password::new(b"000000").unwrap();
    settings.d2d.enabled = true;
    settings.d2d.key = Key::new([5; 16]);
    settings.d2d.commands = (0..16).map(|code| D2dCommand { code, action: Action::Off }).collect();
    assert_eq!(settings.validate(Model::Eu), Ok(()));
    assert_eq!(encode(&settings).len(), 480);
}

#[test]
fn a_field_whose_default_the_identity_decides_is_stored_whatever_its_value() {
    let identity = identity(Model::Eu);
    for address in [0, 1, identity.default_dev_addr()] {
        for current_a in [1, 16] {
            let mut settings = Settings::default_for(Region::Eu868, &identity);
            settings.lorawan.app_key = sockeye_settings::Key::DEFAULT;
            settings.lorawan.dev_addr = address;
            settings.general.overcurrent_alarm = Threshold { enabled: true, current_a };
            settings.general.overcurrent_protection = Threshold { enabled: true, current_a };
            // Read with another identity: what was set stays set.
            let other = Identity { sn: [0x77; 8], ..identity };
            let decoded = Settings::decode(&encode(&settings), Region::Eu868, &other).unwrap();
            assert_eq!(decoded.settings, settings);
        }
    }
}

#[test]
fn the_stored_form_of_version_1_is_read_for_ever() {
    // Written once by hand: never change it, add others.
    let stored = [
        1, // version
        0x01, 1, 0, // EU868
        0x03, 1, 86, // application port
        0x40, 4, 0x58, 0x02, 0, 0, // interval 600 s
        0x43, 1, 1, // on when power is restored
        0x45, 2, 0, 7, // alarm off, 7 A
        0x25, 4, 0x78, 0x56, 0x34, 0x12, // address of group 2
        0x52, 3, 0x10, 0x15, 1, // command 1510, on
        0x0c, 12, 0x05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // channels 0 and 2
    ];
    let decoded = Settings::decode(&stored, Region::Us915, &identity(Model::Eu)).unwrap();
    assert!(decoded.fallen_back.is_empty() && decoded.unknown == 0 && !decoded.truncated);
    let mut expected = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    expected.lorawan.application_port = 86;
    expected.lorawan.channels.enabled = ChannelSet::EMPTY.with(0).with(2);
    expected.general.reporting_interval_s = 600;
    expected.general.power_restore = PowerRestore::On;
    expected.general.overcurrent_alarm = Threshold { enabled: false, current_a: 7 };
    expected.multicast[1].dev_addr = 0x1234_5678;
    let command = sockeye_settings::D2dCommand { code: 0x1510, action: sockeye_settings::Action::On };
    expected.d2d.commands.push(command).unwrap();
    assert_eq!(decoded.settings, expected);
}

#[test]
fn what_cannot_be_read_at_all_is_told() {
    let decode =
        |bytes: &[u8]| Settings::decode(bytes, Region::Eu868, &identity(Model::Eu)).map(|it| it.settings);
    let defaults = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    assert_eq!(decode(&[]), Err(StoredError::Empty));
    assert_eq!(decode(&[2]), Err(StoredError::Version(2)));
    assert_eq!(decode(&[0xff; 8]), Err(StoredError::Version(0xff)), "erased flash");
    assert_eq!(decode(&[1]), Ok(defaults));
}

/// Stores the fields and checks which of them fall back to their defaults.
fn check(fields: &[(u8, &[u8])], fallen_back: &[Field]) -> Settings {
    let mut stored = vec![1];
    for (tag, value) in fields {
        stored.extend([*tag, u8::try_from(value.len()).unwrap()]);
        stored.extend(*value);
    }
    let decoded = Settings::decode(&stored, Region::Eu868, &identity(Model::Au)).unwrap();
    assert_eq!(decoded.fallen_back, fallen_back, "{fields:02x?}");
    assert_eq!(decoded.settings.validate(Model::Au), Ok(()));
    decoded.settings
}

#[test]
fn a_value_that_cannot_be_falls_back_to_its_default_and_is_told() {
    for (tag, value, field) in [
        (0x01, &[12][..], Field::Region),
        (0x01, &[], Field::Region),
        (0x02, &[1, 2, 3], Field::JoinEui),
        (0x03, &[0], Field::ApplicationPort),
        (0x03, &[1, 2], Field::ApplicationPort),
        (0x04, &[2], Field::Activation),
        (0x05, &[0; 15], Field::AppKey),
        (0x09, &[4], Field::Version),
        (0x0a, &[15], Field::Rx2DataRate),
        (0x0b, &[0, 0, 0, 0], Field::Rx2FrequencyHz),
        (0x0c, &[0; 13], Field::Channels),
        (0x0c, &[0xff; 12], Field::Channels),
        (0x0d, &[1, 2, 3], Field::ChannelFrequencies),
        (0x0d, &[0; 68], Field::ChannelFrequencies),
        (0x0d, &[1, 0, 0, 0], Field::ChannelFrequencies),
        (0x0e, &[1], Field::SingleChannel),
        (0x12, &[2], Field::Adr),
        (0x14, &[0x80], Field::TxPowerDbm),
        (0x20, &[7], Field::MulticastEnabled(Group::One)),
        (0x2d, &[0x11, 0x11, 0x11, 0x11], Field::MulticastDevAddr(Group::Four)),
        (0x40, &[59, 0, 0, 0], Field::ReportingIntervalS),
        (0x43, &[3], Field::PowerRestore),
        (0x44, &[1, 0, 0x80], Field::ButtonLock),
        (0x44, &[2, 0, 0], Field::ButtonLock),
        (0x45, &[1, 11], Field::OvercurrentAlarm),
        (0x46, &[2, 5], Field::OvercurrentProtection),
        (0x47, b"12345x", Field::Password),
        (0x52, &[1, 2, 3], Field::D2dCommands),
        (0x52, &[1, 2, 0, 1, 2, 1], Field::D2dCommands),
        (0x52, &[0; 51], Field::D2dCommands),
    ] {
        // A good field beside it stays.
        let settings = check(&[(tag, value), (0x41, &[0])], &[field]);
        let mut expected = Settings::default_for(Region::Eu868, &identity(Model::Au));
        expected.general.led = false;
        assert_eq!(settings, expected);
    }
}

#[test]
fn a_rule_between_two_fields_costs_no_others() {
    // No frequency at all: the list All leaves nothing to send on.
    check(&[(0x0d, &[]), (0x41, &[0])], &[Field::ChannelFrequencies]);
    // Group 1 has the default address of group 2.
    let settings = check(&[(0x21, &[0x22; 4]), (0x41, &[0])], &[Field::MulticastDevAddr(Group::One)]);
    assert!(!settings.general.led);
    // Only 500 kHz channels, ADR off, and the default data rate DR2.
    let wide: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0, 0, 0];
    let settings = check(&[(0x01, &[2]), (0x0c, &wide), (0x12, &[0])], &[Field::Adr]);
    assert_eq!(settings.lorawan.channels.enabled.len(), 8);
}

#[test]
fn a_form_that_was_cut_short_is_read_as_far_as_it_goes() {
    let mut settings = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    settings.general.led = false;
    let stored = encode(&settings);
    let cut = &stored[..stored.len() - 1];
    let decoded = Settings::decode(cut, Region::Eu868, &identity(Model::Eu)).unwrap();
    assert!(decoded.truncated);
    assert!(!Settings::decode(&stored, Region::Eu868, &identity(Model::Eu)).unwrap().truncated);
}

#[test]
fn fields_of_newer_firmware_are_passed_over_and_kept() {
    let settings = Settings::default_for(Region::Eu868, &identity(Model::Eu));
    let mut newer = encode(&settings);
    newer.extend([0x60, 3, 1, 2, 3]);
    newer.extend([0xfe, 0]);
    let decoded = Settings::decode(&newer, Region::Eu868, &identity(Model::Eu)).unwrap();
    assert_eq!((decoded.unknown, &decoded.settings), (2, &settings));

    let mut changed = settings;
    changed.general.led = false;
    let mut out = [0; MAX_STORED];
    let len = changed.encode_keeping(&newer, &mut out).unwrap();
    assert!(out[..len].ends_with(&[0x60, 3, 1, 2, 3, 0xfe, 0]));
    let decoded = Settings::decode(&out[..len], Region::Eu868, &identity(Model::Eu)).unwrap();
    assert_eq!((decoded.unknown, decoded.settings), (2, changed));
}

#[test]
fn the_identity_comes_back_as_it_was() {
    for model in Model::ALL {
        let identity = identity(model);
        assert_eq!(Identity::decode(&identity.encode()), Ok(identity));
    }
    let stored = identity(Model::Uk).encode();
    assert_eq!(stored[..4], [1, 1, 1, 0x40], "version, model, hardware version");
    for len in 1..Identity::STORED_LEN {
        assert_eq!(Identity::decode(&stored[..len]), Err(StoredError::Truncated), "{len}");
    }
    assert_eq!(Identity::decode(&[]), Err(StoredError::Empty));
    assert_eq!(Identity::decode(&[0xff; 36]), Err(StoredError::Version(0xff)));
    assert_eq!(Identity::decode(&[[1, 6].as_slice(), &[0; 34]].concat()), Err(StoredError::Model(6)));
}

/// A stored form with true tags and lengths, whatever the values.
fn form() -> impl Strategy<Value = Vec<u8>> {
    let field = (0u8..0x60, vec(any::<u8>(), 0..20), any::<bool>()).prop_map(|(tag, mut value, small)| {
        if small {
            value.truncate(1);
            value.iter_mut().for_each(|byte| *byte %= 4);
        }
        [vec![tag, u8::try_from(value.len()).unwrap()], value].concat()
    });
    vec(field, 0..30).prop_map(|fields| [vec![1], fields.concat()].concat())
}

proptest! {
    #[test]
    fn settings_come_back_as_they_were((region, model, settings) in common::settings()) {
        let stored = encode(&settings);
        // The region given for a form without one must not matter.
        let other = if region == Region::Eu868 { Region::Cn470 } else { Region::Eu868 };
        let decoded = Settings::decode(&stored, other, &identity(model)).unwrap();
        prop_assert_eq!(decoded.settings, settings);
        prop_assert!(decoded.fallen_back.is_empty() && decoded.unknown == 0 && !decoded.truncated);
    }

    #[test]
    fn a_buffer_too_short_is_told((_, _, settings) in common::settings(), room in 0usize..MAX_STORED) {
        let full = encode(&settings);
        let mut out = vec![0; room];
        let expected = if full.len() <= room { Ok(full.len()) } else { Err(StoredError::NoRoom) };
        prop_assert_eq!(settings.encode(&mut out), expected);
    }

    #[test]
    fn any_bytes_give_settings_that_hold_all_rules(
        stored in prop_oneof![form(), vec(any::<u8>(), 0..600)],
        region in common::region(),
        model in common::model(),
    ) {
        if let Ok(decoded) = Settings::decode(&stored, region, &identity(model)) {
            prop_assert_eq!(decoded.settings.validate(model), Ok(()));
        }
    }

    #[test]
    fn a_flipped_bit_gives_settings_that_hold_all_rules(
        (region, model, settings) in common::settings(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
    ) {
        let mut stored = encode(&settings);
        let at = at.index(stored.len());
        stored[at] ^= 1 << bit;
        if let Ok(decoded) = Settings::decode(&stored, region, &identity(model)) {
            prop_assert_eq!(decoded.settings.validate(model), Ok(()));
        }
    }
}
