//! The tasks on a board whose parts can be made to hang.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, current, identity};
use sockeye_metering::{Correction, LineFrequency};
use sockeye_settings::{Identity, Key, Model, PowerRestore, Region, Settings};
use sockeye_state_machine::{Cause, ResetCause, TripCause};
use sockeye_storage::RecordId;
use sockeye_virtual_hardware::flash::Flash;

#[test]
fn the_relay_stands_by_its_setting_before_the_radio_is_touched() {
    for (restore, was_on, stands) in [
        (PowerRestore::Off, true, false),
        (PowerRestore::On, false, true),
        (PowerRestore::Previous, true, true),
        (PowerRestore::Previous, false, false),
    ] {
        let mut settings = Settings::default_for(Region::Eu868, &identity());
        settings.general.power_restore = restore;
        let mut bytes = [0; 1024];
        let length = settings.encode(&mut bytes).unwrap();
        let bench = Bench::new()
            .stored(&[(RecordId::Settings, &bytes[..length]), (RecordId::RelayState, &[u8::from(was_on)])]);
        bench.radio_hangs.set(true);
        bench.start(ResetCause::PowerOn);
        bench.run_ms(200);
        assert_eq!(bench.relay.get(), Some(stands), "{restore:?}, was {was_on}");
        assert_eq!(bench.when(&format!("relay {stands} {}", Cause::PowerUp.name())), Some(0));
    }
}

#[test]
fn the_meter_is_set_up_for_the_mains_of_the_model() {
    for (model, line) in
        [(Model::Us, LineFrequency::Hz60), (Model::Eu, LineFrequency::Hz50), (Model::Au, LineFrequency::Hz50)]
    {
        let own = Identity { model, ..identity() }.encode();
        let bench = Bench::new().stored(&[(RecordId::Identity, &own)]);
        bench.start(ResetCause::PowerOn);
        bench.run_ms(200);
        assert_eq!(bench.line_frequency.get(), Some(line), "{model:?}");
    }
}

#[test]
fn the_meter_is_corrected_by_the_stored_calibration_and_by_none_that_is_of_no_use() {
    let correction = Correction::new(-20_000, 1_200, -18_000).unwrap();
    let stored = correction.encode();
    let mut spoilt = stored;
    spoilt[4] = 0x7F;
    for (record, corrected, told) in [
        (None, Correction::default(), false),
        (Some(&stored[..]), correction, false),
        (Some(&spoilt[..]), Correction::default(), true),
        (Some(&stored[..12]), Correction::default(), true),
    ] {
        let mut bench = Bench::new();
        if let Some(record) = record {
            bench = bench.stored(&[(RecordId::Calibration, record)]);
        }
        bench.start(ResetCause::PowerOn);
        bench.run_ms(200);
        assert_eq!(bench.correction.get(), Some(corrected), "{record:?}");
        let error = "Error { what: \"the stored calibration is of no use\" }";
        assert_eq!(bench.when(error).is_some(), told, "{record:?}");
    }
}

#[test]
fn a_socket_that_was_never_switched_supplies_power() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert_eq!(bench.relay.get(), Some(true));
}

#[test]
fn the_hard_limit_trips_with_radio_and_flash_stuck() {
    for offset_ms in 0..100 {
        let bench = Bench::new();
        bench.start(ResetCause::PowerOn);
        bench.run_ms(5_000 + offset_ms);
        bench.radio_hangs.set(true);
        bench.flash_hangs.set(true);
        // Something that wants the flash, so that it does hang: two switchings, each to be stored.
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        assert_eq!(bench.relay.get(), Some(true));
        let over_ms = bench.sim.now_us() / 1000;
        // 13.5 A on a 10 A model: above 130 %.
        bench.reading.set(current(13_500));
        bench.run_ms(1_000);
        let tripped_ms = bench.when(&format!("trip {}", TripCause::HardLimit.name())).expect("no trip");
        assert_eq!(bench.relay.get(), Some(false));
        // Behaviour: 200 ms over the limit; on top of it the period and the time of one reading.
        assert!((200..=200 + 150).contains(&(tripped_ms - over_ms)), "after {} ms", tripped_ms - over_ms);
    }
}

#[test]
fn the_button_works_with_radio_flash_and_meter_stuck() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    for hangs in [&bench.radio_hangs, &bench.flash_hangs, &bench.meter_hangs] {
        hangs.set(true);
    }
    for on in [false, true, false] {
        bench.button.hold(100_000);
        bench.run_ms(1_000);
        assert_eq!(bench.relay.get(), Some(on));
    }
}

#[test]
fn the_watchdog_is_fed_while_all_tasks_live_and_starves_when_the_flash_hangs() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    let fed = bench.feeds.get();
    assert!((55..=61).contains(&fed), "fed {fed} times in a minute");
    bench.flash_hangs.set(true);
    bench.button.hold(100_000);
    bench.run_ms(5_000);
    let fed = bench.feeds.get();
    bench.run_ms(60_000);
    assert_eq!(bench.feeds.get(), fed);
}

#[test]
fn a_flash_that_refuses_everything_does_not_reset_the_chip_again_and_again() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.flash.power_off();
    bench.run_ms(59_000);
    assert!(bench.when("Error { what: \"flash: a record could not be stored\" }").is_some());
    // A reset would mend nothing, and end the protection for its time.
    assert!(bench.feeds.get() >= 55, "fed {} times in a minute", bench.feeds.get());
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(false));
    assert!(bench.when("JoinRequest").is_none(), "on air with a DevNonce that is not in flash");
    bench.flash.power_on();
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some(), "the device is silent after its flash came back");
}

#[test]
fn rule_4_a_flash_that_cannot_be_read_at_the_start_keeps_the_radio_off_and_the_socket_working() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest { dev_nonce: 0").is_some());
    bench.sim.kill(task);
    bench.seen.borrow_mut().clear();
    bench.flash.power_off();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.flash.power_on();
    let (calls, fed) = (bench.radio_calls.get(), bench.feeds.get());
    bench.run_ms(300_000);
    // What it joined with before is not known, so nothing may be sent, and nothing heard can be told from a replay.
    assert_eq!(bench.radio_calls.get(), calls);
    assert!(bench.when("Error { what: \"radio: off, as the flash could not be read\" }").is_some());
    assert_eq!(bench.relay.get(), Some(false), "on without knowing that it was");
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert_eq!(bench.relay.get(), Some(true));
    assert!(bench.feeds.get() - fed >= 295);
    // The next start, with a flash that can be read, goes on where the counters stood.
    bench.sim.kill(task);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some());
    assert!(bench.when("JoinRequest { dev_nonce: 0").is_none());
}

#[test]
fn a_radio_that_hangs_is_told_and_tried_again_without_a_reset() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    // Joining by now, so the next call of the radio hangs.
    bench.run_ms(60_000);
    assert!(bench.when("JoinRequest").is_some());
    bench.radio_hangs.set(true);
    bench.run_ms(300_000);
    assert!(bench.when("Error { what: \"radio: an operation did not end in time\" }").is_some());
    assert!(bench.feeds.get() >= 350, "fed {} times in six minutes", bench.feeds.get());
    bench.radio_hangs.set(false);
    bench.seen.borrow_mut().clear();
    bench.run_ms(600_000);
    assert!(bench.when("JoinRequest").is_some(), "the device is silent after its radio came back");
}

#[test]
fn a_change_of_the_relay_is_stored_and_survives_a_power_cut() {
    let bench = Bench::new();
    let task = bench.start(ResetCause::PowerOn);
    bench.run_ms(1_000);
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    assert!(bench.when("stored relay_state").is_some());
    bench.sim.kill(task);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert_eq!(bench.relay.get(), Some(false));
}

#[test]
fn a_long_press_forgets_the_settings_and_keeps_identity_counters_and_the_relay_as_it_stands() {
    let mut settings = Settings::default_for(Region::Eu868, &identity());
    settings.general.set_reporting_interval_s(600).unwrap();
    let mut bytes = [0; 1024];
    let length = settings.encode(&mut bytes).unwrap();
    let own = identity().encode();
    let calibration = Correction::new(1, 2, 3).unwrap().encode();
    let bench = Bench::new().stored(&[
        (RecordId::Settings, &bytes[..length]),
        (RecordId::Identity, &own),
        (RecordId::Calibration, &calibration),
        (RecordId::Energy, &7_000_000_u64.to_le_bytes()),
    ]);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(40_000);
    let counters = bench.load(RecordId::MacCounters).expect("a join-request has stored its DevNonce");
    // Off, so that a socket that was switched off, by somebody or by a trip, would be seen to come back on.
    bench.button.hold(100_000);
    bench.run_ms(1_000);
    bench.button.hold(11_000_000);
    bench.run_ms(20_000);
    assert_eq!(bench.resets.get(), 1);
    assert_eq!(bench.load(RecordId::Settings), None);
    assert_eq!(bench.load(RecordId::Energy), None);
    assert_eq!(bench.load(RecordId::Identity), Some(own.to_vec()));
    assert_eq!(bench.load(RecordId::Calibration), Some(calibration.to_vec()));
    assert_eq!(bench.load(RecordId::RelayState), Some(vec![0]));
    assert_eq!(bench.load(RecordId::MacCounters), Some(counters));
}

#[test]
fn a_socket_whose_stored_state_is_lost_stays_off() {
    let mut bench = Bench::new();
    // Every page begun and none free, which no log ever is.
    let mut page = vec![0xFF; 4096];
    (page[0], page[4095]) = (0, 0);
    bench.flash = Flash::with_contents(page.repeat(16));
    bench.start(ResetCause::PowerOn);
    bench.run_ms(200);
    assert!(bench.when("Error { what: \"flash: a record could not be read\" }").is_some());
    assert_eq!(bench.relay.get(), Some(false));
}

#[test]
fn a_flash_that_loses_its_records_while_the_socket_runs_loses_no_identity_calibration_or_wrong_passwords() {
    let own = Identity { model: Model::Us, app_key: Key::new([9; 16]), ..identity() }.encode();
    // A challenge, and five wrong passwords.
    let session = [1, 2, 3, 4, 5, 6, 7, 8, 5];
    let calibration = Correction::new(1, 2, 3).unwrap().encode();
    let bench = Bench::new().stored(&[
        (RecordId::Identity, &own),
        (RecordId::Calibration, &calibration),
        (RecordId::Maintenance, &session),
    ]);
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    for _ in 0..2 {
        bench.make_nonsense();
        // Anything that is stored finds it out: here the relay's state.
        bench.button.hold(100_000);
        bench.run_ms(5_000);
        assert_eq!(bench.load(RecordId::Identity).as_deref(), Some(&own[..]));
        assert_eq!(bench.load(RecordId::Calibration).as_deref(), Some(&calibration[..]));
        assert_eq!(bench.load(RecordId::Maintenance).as_deref(), Some(&session[..]));
    }
}

#[test]
fn a_flash_that_loses_its_records_gets_none_that_it_never_had() {
    let bench = Bench::new();
    bench.start(ResetCause::PowerOn);
    bench.run_ms(60_000);
    bench.make_nonsense();
    bench.button.hold(100_000);
    bench.run_ms(5_000);
    assert!(bench.load(RecordId::RelayState).is_some());
    for id in [RecordId::Identity, RecordId::Calibration, RecordId::Maintenance] {
        assert_eq!(bench.load(id), None, "{id:?}");
    }
}
