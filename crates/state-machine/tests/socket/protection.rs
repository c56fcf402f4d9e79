//! Metering, alarm, protection and hard limit, at the model AU with 10 A.

use sockeye_metering::Reading;
use sockeye_settings::Threshold;
use sockeye_state_machine::{Boot, Effect, Event, Ignored, UplinkKind};

use crate::bench::{Bench, amperes, boot, hex, task};

const WATCHED: [&str; 4] = ["relay", "trip", "alarm", "uplink Alarm"];

fn with_thresholds(alarm: bool, protection: bool) -> Bench {
    Bench::joined_with(|boot| {
        boot.settings.general.overcurrent_alarm = Threshold { enabled: alarm, current_a: 10 };
        boot.settings.general.overcurrent_protection = Threshold { enabled: protection, current_a: 10 };
    })
}

/// The report with these mA at 230 V, as an alarm or trip sends it.
fn alarm_line(at_ms: u64, on: bool, current_ma: u32) -> String {
    let current = u16::try_from(current_ma).unwrap_or(u16::MAX).to_le_bytes();
    let power_w = (230 * current_ma / 1000).to_le_bytes();
    format!(
        "{at_ms} uplink Alarm 0870{:02x}05816407c9{}0374fc080683000000000480{}",
        u8::from(on),
        hex(&current),
        hex(&power_w)
    )
}

#[test]
fn the_protection_trips_after_1_s_with_the_current_that_caused_it() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(11.304)); // 2600 W
    bench.at(110_000);
    // Readings at 100.05 s, 100.15 s, …
    let want = [
        "100150 alarm 11304".to_string(),
        alarm_line(100_150, true, 11_304),
        "101050 relay off protection".into(),
        "101050 trip protection 11304".into(),
        alarm_line(101_050, false, 11_304),
    ];
    assert_eq!(bench.lines(&WATCHED), want);
}

#[test]
fn an_alarm_packet_has_the_factor_that_belongs_to_its_power() {
    let mut bench = Bench::joined();
    // The slow window still shows the load from before: 4 A at a factor of 0.5.
    bench.meter = Some(Reading { power_mw: 460_000, fast_current_ma: 20_000, ..amperes(4.0) });
    bench.at(100_200);
    bench.check(
        &["uplink Alarm"],
        &["100150 uplink Alarm 08700105813207c9204e0374fc080683000000000480cc010000"],
    );
}

#[test]
fn after_a_trip_the_change_is_reported_like_any_other() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(11.0));
    bench.at(110_000);
    bench.check(
        &["uplink Report"],
        &["102850 uplink Report 08700005810007c900000374fc08068300000000048000000000"],
    );
}

#[test]
fn the_hard_limit_trips_after_200_ms_whatever_the_settings_say() {
    let mut bench = with_thresholds(false, false);
    bench.meter = Some(amperes(13.001));
    bench.at(110_000);
    let want = [
        "100250 relay off hard_limit".to_string(),
        "100250 trip hard_limit 13001".into(),
        alarm_line(100_250, false, 13_001),
    ];
    assert_eq!(bench.lines(&WATCHED), want);
}

#[test]
fn at_130_percent_exactly_the_hard_limit_does_not_trip() {
    let mut bench = with_thresholds(false, false);
    bench.meter = Some(amperes(13.0));
    bench.at(200_000).check(&WATCHED, &[]);
}

#[test]
fn the_hard_limit_acts_with_flash_stuck_and_no_network() {
    let mut bench = Bench::new(sockeye_state_machine::Boot { relay_was_on: true, ..crate::bench::boot() });
    bench.store_ms = None;
    bench.downlink("ff27ffff2600ff22003c0010");
    bench.meter = Some(amperes(20.0));
    bench.at(1_000);
    assert_eq!(bench.lines(&["trip"]), ["250 trip hard_limit 20000"]);
}

#[test]
fn disabled_alarm_and_protection_stay_quiet() {
    let mut bench = with_thresholds(false, false);
    bench.meter = Some(amperes(12.0));
    bench.at(200_000).check(&WATCHED, &[]);
    let mut bench = with_thresholds(true, false);
    bench.meter = Some(amperes(12.0));
    bench.at(200_000);
    assert_eq!(bench.lines(&WATCHED), ["100150 alarm 12000".to_string(), alarm_line(100_150, true, 12_000)]);
}

#[test]
fn thresholds_set_by_downlink_hold_at_once() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(6.0));
    bench.at(101_000).downlink("ff240105ff300105").at(110_000);
    assert_eq!(bench.lines(&["alarm", "trip"]), ["101150 alarm 6000", "102050 trip protection 6000"]);
}

#[test]
fn an_alarm_and_a_trip_in_one_reading_make_one_packet() {
    let mut bench = Bench::joined();
    bench.event(Event::Reading(amperes(20.0)));
    bench.meter = None;
    // Nothing is known of the time between; the second reading over both limits is the one that alarms.
    bench.after(250).event(Event::Reading(amperes(21.0)));
    let want = [
        "100250 relay off hard_limit".to_string(),
        "100250 trip hard_limit 21000".into(),
        "100250 alarm 21000".into(),
        alarm_line(100_250, false, 21_000),
    ];
    assert_eq!(bench.lines(&WATCHED), want);
}

/// A socket that has tripped at 101.05 s and whose load is gone.
fn tripped() -> Bench {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(11.0));
    bench.at(105_000);
    assert!(!bench.socket.relay_on());
    bench.meter = Some(amperes(0.0));
    bench
}

#[test]
fn a_trip_lasts_until_somebody_switches_on() {
    let mut bench = tripped();
    bench.at(10_000_000);
    assert!(!bench.socket.relay_on());
    bench.press();
    assert!(bench.socket.relay_on());
    for on in ["080100ff", "ff2200000011"] {
        let mut bench = tripped();
        bench.downlink(on);
        assert!(bench.socket.relay_on(), "{on}");
    }
    let mut bench = tripped();
    bench.multicast("080100ff");
    assert!(bench.socket.relay_on());
}

#[test]
fn a_trip_drops_a_delay_task_that_would_switch_on() {
    let mut bench = Bench::joined();
    bench.downlink("ff22003c0011");
    bench.meter = Some(amperes(11.0));
    bench.at(105_000);
    assert_eq!(bench.socket.delay_task(105_000), None);
    assert_eq!(bench.socket.counters().ignored(Ignored::TrippedDelayTask), 1);
    bench.at(200_000);
    assert!(!bench.socket.relay_on());
}

#[test]
fn a_trip_keeps_a_delay_task_that_would_switch_off() {
    let mut bench = Bench::joined();
    bench.downlink("ff22003c0010");
    bench.meter = Some(amperes(11.0));
    bench.at(105_000);
    assert_eq!(bench.socket.delay_task(105_000), task(false, 55_000));
}

#[test]
fn switched_on_again_into_the_overload_it_trips_again() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(11.0));
    bench.at(105_000).press().at(110_000);
    let trips = bench.lines(&["trip"]);
    assert_eq!(trips.len(), 2, "{trips:?}");
    assert!(!bench.socket.relay_on());
}

#[test]
fn a_switch_on_current_of_ten_times_for_100_ms_does_not_trip() {
    let mut bench = Bench::joined();
    let inrush = Reading { fast_current_ma: 100_000, ..amperes(5.0) };
    bench.event(Event::Reading(inrush));
    bench.meter = Some(amperes(5.0));
    bench.after(10_000).check(&["relay", "trip"], &[]);
}

#[test]
fn a_reading_that_cannot_be_is_neither_acted_on_nor_summed_nor_reported() {
    let mut bench = Bench::joined();
    bench.meter = None;
    let impossible = Reading { power_mw: 100_000_000, energy_uwh: 9_000_000, ..amperes(20.0) };
    for _ in 0..19 {
        bench.after(100).event(Event::Reading(impossible));
    }
    bench.downlink("ff28ff");
    assert_eq!(bench.socket.energy_uwh(), 0);
    assert_eq!(bench.socket.counters().ignored(Ignored::ImplausibleReading), 19);
    bench.check(
        &["relay", "trip", "alarm", "ignored", "uplink Report"],
        &[
            "100100 ignored implausible reading",
            "101900 uplink Report 08700105810007c900000374fc08068300000000048000000000",
        ],
    );
    // Behind a good one the next is news again.
    bench.effects.clear();
    bench.after(100).event(Event::Reading(amperes(1.0)));
    bench.after(100).event(Event::Reading(impossible)).after(100).event(Event::Reading(impossible));
    bench.check(&["ignored"], &["102100 ignored implausible reading"]);
}

#[test]
fn a_meter_that_shows_nothing_yet_at_the_start_is_a_fault_only_if_it_stays_so() {
    let mut bench = Bench::new(Boot { relay_was_on: true, ..boot() });
    bench.meter = Some(Reading::default());
    bench.at(900);
    assert_eq!(bench.socket.counters().ignored(Ignored::ImplausibleReading), 0);
    bench.check(&["ignored"], &[]);
    bench.at(2_000);
    bench.check(&["ignored"], &["1050 ignored implausible reading"]);
    assert_eq!(bench.socket.counters().ignored(Ignored::ImplausibleReading), 10);
}

#[test]
fn a_failing_meter_is_told_once_and_counted_each_time() {
    let mut bench = Bench::joined();
    bench.meter = None;
    for _ in 0..5 {
        bench.after(100).event(Event::MeterFailed);
    }
    bench.after(100).event(Event::Reading(amperes(1.0))).after(100).event(Event::MeterFailed);
    bench.check(&["ignored"], &["100100 ignored meter failed", "100700 ignored meter failed"]);
    assert_eq!(bench.socket.counters().ignored(Ignored::MeterFailure), 6);
}

#[test]
fn energy_is_summed_and_stored_every_10_wh_or_15_minutes() {
    let mut bench = Bench::joined();
    bench.at(900_100).effects.clear();
    // 9 A at 230 V: 57500 µWh in 100 ms; 10 Wh take 174 readings.
    bench.meter = Some(Reading { energy_uwh: 57_500, ..amperes(9.0) });
    bench.after(36_000);
    bench.meter = Some(amperes(0.0));
    bench.after(2_000_000);
    // The first energy after more than 15 minutes without, two steps of 10 Wh, the rest after 15 minutes.
    bench.check(
        &["store Energy"],
        &["900150 store Energy", "917550 store Energy", "934950 store Energy", "1834950 store Energy"],
    );
    assert_eq!(bench.socket.energy_uwh(), 360 * 57_500);
}

#[test]
fn energy_is_stored_in_time_though_the_meter_has_failed_or_shows_what_cannot_be() {
    for event in [Event::MeterFailed, Event::Reading(Reading::default())] {
        let mut bench = Bench::joined();
        bench.event(Event::Reading(Reading { energy_uwh: 5_000, ..amperes(1.0) }));
        bench.meter = None;
        bench.at(900_000).event(event).check(&["store Energy"], &["900000 store Energy"]);
    }
}

#[test]
fn without_mains_a_meter_without_voltage_is_no_fault() {
    let mut bench = Bench::joined();
    bench.event(Event::SupplyLost);
    bench.at(100_200); // the slow window still shows the voltage
    bench.meter = Some(Reading::default());
    bench.at(104_000).check(&["ignored"], &[]);
    assert_eq!(bench.socket.counters().ignored(Ignored::ImplausibleReading), 0);
    // With the mains back, what cannot be is news again.
    bench.meter = Some(amperes(0.0));
    bench.at(110_000);
    bench.meter = Some(Reading::default());
    bench.at(111_000).check(&["ignored"], &["110050 ignored implausible reading"]);
}

#[test]
fn power_consumption_off_lets_the_sum_stand_still() {
    let mut bench = Bench::joined();
    bench.meter = Some(Reading { energy_uwh: 10_000, ..amperes(2.0) });
    bench.after(1_000).downlink("ff2600").after(10_000);
    assert_eq!(bench.socket.energy_uwh(), 100_000);
    bench.downlink("ff2601").after(1_000);
    assert_eq!(bench.socket.energy_uwh(), 200_000);
    // And from the start on, when the setting says so.
    let mut bench = Bench::joined_with(|boot| boot.settings.general.power_consumption = false);
    bench.meter = Some(Reading { energy_uwh: 10_000, ..amperes(2.0) });
    bench.after(1_000);
    assert_eq!(bench.socket.energy_uwh(), 0);
}

#[test]
fn a_welded_contact_is_reported_once() {
    let mut bench = Bench::joined();
    bench.downlink("080000ff").after(5_000).effects.clear();
    bench.meter = None;
    for _ in 0..60 {
        bench.after(100).event(Event::Reading(amperes(3.0)));
    }
    bench.check(
        &["welded", "uplink", "relay"],
        &["107100 welded 3000", "107100 uplink Report 08700005816407c9b80b0374fc080683000000000480b2020000"],
    );
}

#[test]
fn the_relay_opens_before_anything_else_is_done() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(20.0));
    bench.at(105_000);
    let tripped_ms =
        bench.effects.iter().find(|(_, effect)| matches!(effect, Effect::Trip { .. })).unwrap().0;
    let first = bench.effects.iter().find(|(at_ms, _)| *at_ms == tripped_ms).unwrap();
    assert!(matches!(first.1, Effect::Relay { on: false, .. }), "{first:?}");
    assert!(bench.uplinks().any(|(at_ms, uplink)| at_ms == tripped_ms && uplink.kind == UplinkKind::Alarm));
}

#[test]
fn an_overload_through_a_contact_that_does_not_open_trips_only_once() {
    let mut bench = Bench::joined();
    bench.meter = None;
    for _ in 0..50 {
        bench.after(100).event(Event::Reading(amperes(11.0)));
    }
    assert_eq!(
        bench.lines(&["relay", "trip"]),
        ["101100 relay off protection", "101100 trip protection 11000"]
    );
}

#[test]
fn switching_off_begins_the_time_of_an_overload_anew() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(11.0));
    bench.at(100_960).downlink("080000ff").after(10).downlink("080100ff").at(110_000);
    assert_eq!(bench.lines(&["trip"]), ["102050 trip protection 11000"]);
}
