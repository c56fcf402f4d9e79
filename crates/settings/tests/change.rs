//! Changes of settings: all or nothing, by field, and without what is secret where it is only read.

mod common;

use common::{identity, region, settings};
use proptest::prelude::*;
use sockeye_settings::{
    ChangeError, ChannelSet, Error, Field, MAX_STORED, Model, Password, Reason, Refusal, Region, Settings,
    Why,
};

fn change(settings: &Settings, fields: &[Field]) -> Vec<u8> {
    let mut out = [0; MAX_STORED];
    let len = settings.encode_change(fields.iter().copied(), &mut out).unwrap();
    out[..len].to_vec()
}

fn default_settings() -> Settings {
    Settings::default_for(Region::Eu868, &identity(Model::Eu))
}

#[test]
fn a_change_touches_the_fields_that_it_names_and_no_other() {
    let present = default_settings();
    let mut wanted = present.clone();
    wanted.general.reporting_interval_s = 600;
    wanted.general.led = false;
    wanted.lorawan.confirmed = true;
    let form = change(&wanted, &[Field::ReportingIntervalS, Field::Confirmed]);
    let changed = present.changed_by(&form, &identity(Model::Eu)).unwrap();
    wanted.general.led = true;
    assert_eq!(changed, wanted);
}

#[test]
fn a_field_goes_back_to_its_default_by_a_change() {
    let mut present = default_settings();
    present.general.reporting_interval_s = 600;
    let form = change(&default_settings(), &[Field::ReportingIntervalS]);
    assert_eq!(present.changed_by(&form, &identity(Model::Eu)), Ok(default_settings()));
}

#[test]
fn another_channel_plan_brings_its_defaults_and_keeps_the_rest() {
    let mut present = default_settings();
    present.lorawan.tx_power_dbm = 3;
    present.lorawan.application_port = 90;
    present.general.reporting_interval_s = 600;
    let wanted = Settings::default_for(Region::Us915, &identity(Model::Eu));
    let changed = present.changed_by(&change(&wanted, &[Field::Region]), &identity(Model::Eu)).unwrap();
    let mut expected = wanted;
    expected.lorawan.application_port = 90;
    expected.general.reporting_interval_s = 600;
    assert_eq!(changed, expected);
    // The same plan again is no other plan.
    let again = change(&default_settings(), &[Field::Region]);
    assert_eq!(present.changed_by(&again, &identity(Model::Eu)), Ok(present));
}

#[test]
fn what_cannot_be_is_refused_with_field_and_reason() {
    let check = |form: &[u8], error: ChangeError, tag: u8, why: Why| {
        assert_eq!(default_settings().changed_by(form, &identity(Model::Eu)), Err(error));
        let refusal = error.refusal();
        assert_eq!(refusal, Refusal { tag, why });
        assert_eq!(Why::from_code(why as u8), Some(why));
        assert!(!refusal.to_string().is_empty() && !error.to_string().is_empty());
    };
    check(&[], ChangeError::Form, 0, Why::Form);
    check(&[2], ChangeError::Form, 0, Why::Form);
    check(&[1, 0x41], ChangeError::Form, 0, Why::Form);
    check(&[1, 0x41, 2, 1], ChangeError::Form, 0, Why::Form);
    check(&[1, 0xf0, 1, 1], ChangeError::Unknown(0xf0), 0xf0, Why::Unknown);
    check(&[1, 0x41, 1, 2], ChangeError::Value(Field::Led), 0x41, Why::Value);
    check(&[1, 0x01, 1, 99], ChangeError::Value(Field::Region), 0x01, Why::Value);
    check(
        &[1, 0x47, 6, b'1', b'2', b'3', b'4', b'5', b'x'],
        ChangeError::Value(Field::Password),
        0x47,
        Why::Value,
    );
    let rule = Error {
        field: Field::ReportingIntervalS,
        reason: Reason::OutOfRange { value: 59, min: 60, max: 64_800 },
    };
    check(&[1, 0x40, 4, 59, 0, 0, 0], ChangeError::Rule(rule), 0x40, Why::OutOfRange);
    // A good field beside it changes nothing either: there is only a whole.
    check(&[1, 0x41, 1, 0, 0x40, 4, 59, 0, 0, 0], ChangeError::Rule(rule), 0x40, Why::OutOfRange);
}

#[test]
fn a_form_to_be_read_holds_no_secret() {
    let mut settings = default_settings();
    settings.general.password = Password::new(b"987654").unwrap();
    settings.lorawan.channels.enabled = ChannelSet::EMPTY.with(1);
    let mut out = [0; MAX_STORED];
    let len = settings.encode_public(&mut out).unwrap();
    let contains = |needle: &[u8]| out[..len].windows(needle.len()).any(|window| window == needle);
    assert!(!contains(b"factory's secret") && !contains(b"987654"));
    let read = Settings::decode(&out[..len], Region::Us915, &identity(Model::Eu)).unwrap().settings;
    assert_eq!(read.lorawan.channels, settings.lorawan.channels);
    assert_eq!(read.lorawan.region, Region::Eu868);
}

#[test]
fn every_field_has_its_own_tag_both_ways() {
    assert_eq!(Field::all().count(), Field::COUNT);
    for field in Field::all() {
        assert_eq!(Field::from_tag(field.tag()), Some(field));
    }
    assert_eq!(Field::all().filter(|field| field.is_secret()).count(), 3 + 8 + 1 + 1);
}

proptest! {
    #[test]
    fn a_change_of_every_field_makes_one_device_like_another((plan, model, settings) in settings(), from in region()) {
        let identity = identity(model);
        let form = change(&settings, &Field::all().collect::<Vec<_>>());
        let present = Settings::default_for(from, &identity);
        prop_assert_eq!(settings.lorawan.region, plan);
        prop_assert_eq!(present.changed_by(&form, &identity), Ok(settings));
    }

    #[test]
    fn what_may_be_read_comes_back_and_is_short((plan, model, settings) in settings()) {
        let identity = identity(model);
        let mut out = [0; MAX_STORED];
        let len = settings.encode_public(&mut out).unwrap();
        prop_assert!(len <= 256);
        let decoded = Settings::decode(&out[..len], plan, &identity).unwrap();
        prop_assert!(decoded.fallen_back.is_empty());
        let public: Vec<_> = Field::all().filter(|field| !field.is_secret()).collect();
        prop_assert_eq!(change(&decoded.settings, &public), change(&settings, &public));
    }

    #[test]
    fn any_bytes_as_a_change_give_settings_that_hold_the_rules_or_a_reason(
        (plan, model, settings) in settings(),
        form in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = plan;
        if let Ok(changed) = settings.changed_by(&form, &identity(model)) {
            prop_assert_eq!(changed.validate(model), Ok(()));
        }
    }
}
