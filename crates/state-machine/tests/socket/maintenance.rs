//! Changes and orders of somebody at the tag or the serial line.

use sockeye_settings::{Action, ButtonLock, Field, Group, Settings, Threshold};
use sockeye_state_machine::{Event, Form, Order};

use crate::bench::{Bench, amperes, boot};

fn form(settings: &Settings, fields: &[Field]) -> Vec<u8> {
    let mut out = [0; 640];
    let len = settings.encode_change(fields.iter().copied(), &mut out).unwrap();
    out[..len].to_vec()
}

/// A joined socket after a change of these fields.
fn changed(fields: &[Field], change: impl FnOnce(&mut Settings)) -> Bench {
    let mut bench = Bench::joined();
    let mut wanted = boot().settings;
    change(&mut wanted);
    bench.event(Event::Change { form: Form(&form(&wanted, fields)) });
    bench
}

const KINDS: [&str; 4] = ["relay", "store", "reboot", "maintained"];

#[test]
fn a_change_is_answered_when_it_is_in_flash() {
    let mut bench = changed(&[Field::ReportingIntervalS], |it| it.general.reporting_interval_s = 600);
    bench.after(60_000).check(&KINDS, &["100000 store Settings", "100020 maintained Done"]);
    assert_eq!(bench.socket.settings().general.reporting_interval_s, 600);
}

#[test]
fn a_change_that_changes_nothing_is_answered_at_once_and_wears_no_flash() {
    let mut bench = changed(&[Field::Led, Field::JoinEui], |_| {});
    bench.after(60_000).check(&KINDS, &["100000 maintained Done"]);
}

#[test]
fn a_change_that_cannot_be_is_refused_whole() {
    let mut bench = changed(&[Field::Led, Field::ReportingIntervalS], |it| {
        (it.general.led, it.general.reporting_interval_s) = (false, 59);
    });
    let refused = "100000 maintained Refused(Refusal { tag: 64, why: OutOfRange })";
    bench.after(60_000).check(&KINDS, &[refused]);
    assert_eq!(*bench.socket.settings(), boot().settings);
}

#[test]
fn a_change_that_the_flash_does_not_take_in_time_is_told_and_tried_again() {
    let mut bench = Bench::joined();
    bench.store_ms = None;
    let mut wanted = boot().settings;
    wanted.general.led = false;
    bench.event(Event::Change { form: Form(&form(&wanted, &[Field::Led])) });
    bench.after(15_000);
    let again = ["100000 store Settings", "110000 store Settings", "110000 maintained NotStored"];
    bench.check(&["store", "maintained"], &again);
    bench.store_ms = Some(20);
    bench.effects.clear();
    bench.after(30_000);
    bench.check(&["maintained"], &[]);
}

#[test]
fn settings_of_the_radio_bring_one_restart_and_the_relay_stays() {
    for (field, change) in [
        (Field::AppKey, (|it| it.lorawan.app_key = sockeye_settings::Key::new([9; 16])) as fn(&mut Settings)),
        (Field::MulticastEnabled(Group::One), |it| it.multicast[0].enabled = true),
        (Field::D2dEnabled, |it| it.d2d.enabled = true),
    ] {
        let mut bench = changed(&[field], change);
        bench.after(60_000);
        let want = ["100000 store Settings", "100020 maintained Done", "105020 reboot settings"];
        bench.check(&["relay", "store Settings", "reboot", "maintained"], &want);
    }
}

#[test]
fn a_restart_for_settings_takes_the_place_of_one_that_keeps_the_session() {
    let mut bench = changed(&[], |_| {});
    bench.effects.clear();
    bench.event(Event::Order(Order::Reboot));
    let mut wanted = boot().settings;
    wanted.d2d.enabled = true;
    bench.event(Event::Change { form: Form(&form(&wanted, &[Field::D2dEnabled])) });
    bench.event(Event::Order(Order::Reboot));
    bench.after(10_000).check(&["reboot"], &["105020 reboot settings"]);
}

#[test]
fn a_change_takes_effect_at_once() {
    // The trip curve.
    let mut bench = changed(&[Field::OvercurrentProtection], |it| {
        it.general.overcurrent_protection = Threshold { enabled: true, current_a: 2 };
    });
    bench.meter = Some(amperes(3.0));
    bench.after(5_000).check(&["trip"], &["101050 trip protection 3000"]);
    // The lock, with its end.
    let mut bench = changed(&[Field::ButtonLock], |it| {
        it.general.button_lock = ButtonLock { enabled: true, minutes: 1 };
    });
    bench.after(61_000);
    assert!(!bench.socket.settings().general.button_lock.enabled);
    // The LED, which is lit while the relay is on.
    changed(&[Field::Led], |it| it.general.led = false).check(&["led"], &["100000 led off"]);
}

#[test]
fn orders_are_done_and_answered() {
    let check = |order, kinds: &[&str], want: &[&str]| {
        let mut bench = Bench::joined();
        bench.event(Event::Order(order)).after(10_000);
        bench.check(kinds, want);
    };
    let done = "100000 maintained Done";
    check(Order::Switch(Action::Off), &["relay", "maintained"], &["100000 relay off nfc", done]);
    check(Order::Switch(Action::On), &["relay", "maintained"], &[done]);
    check(Order::Switch(Action::Toggle), &["relay", "maintained"], &["100000 relay off nfc", done]);
    check(Order::Reboot, &["reboot", "maintained"], &[done, "105020 reboot nfc"]);
    check(Order::FactoryReset, &["factory", "maintained"], &[done, "102000 factory reset"]);
    check(Order::ResetEnergy, &["store", "maintained"], &["100000 store Energy", "100020 maintained Done"]);
    let mut bench = Bench::joined();
    bench.event(Event::Order(Order::Report));
    assert_eq!(bench.effects.len(), 2, "{:?}", bench.effects);
}

#[test]
fn debug_of_a_change_prints_no_key_and_no_password() {
    let secret = [0xAB, 0xCD, 0xEF, 0x12];
    let text = format!("{:?}", Event::Change { form: Form(&secret) });
    assert_eq!(text, "Change { form: Form(4 bytes) }");
}
