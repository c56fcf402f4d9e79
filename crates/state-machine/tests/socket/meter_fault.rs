//! A meter that is silent or talks nonsense for 2 s, at the model AU with 10 A.

use sockeye_metering::Reading;
use sockeye_state_machine::{Boot, Event, ResetCause};

use crate::bench::{Bench, amperes, boot};

const WATCHED: [&str; 4] = ["relay", "trip", "meter", "uplink"];

/// The report without measured values, of a socket that is on or off.
const ON: &str = "uplink Report 087001068300000000";
const OFF: &str = "uplink Report 087000068300000000";

/// What a meter may do instead of giving a good reading.
#[derive(Clone, Copy, Debug)]
enum Bad {
    Silent,
    Failing,
    NoVoltage,
    /// More power than voltage and current allow: a broken power channel.
    TooMuchPower,
}

const ALL: [Bad; 4] = [Bad::Silent, Bad::Failing, Bad::NoVoltage, Bad::TooMuchPower];

/// Lets a meter that shows `current_a` go bad for a time.
fn bad(bench: &mut Bench, kind: Bad, current_a: f64, ms: u64) {
    let good = bench.meter.take();
    let end_ms = bench.now_ms + ms;
    while bench.now_ms + 100 <= end_ms {
        bench.after(100);
        match kind {
            Bad::Silent => {}
            Bad::Failing => drop(bench.event(Event::MeterFailed)),
            Bad::NoVoltage => drop(bench.event(Event::Reading(Reading::default()))),
            Bad::TooMuchPower => {
                bench.event(Event::Reading(Reading { power_mw: 99_000_000, ..amperes(current_a) }));
            }
        }
    }
    bench.at(end_ms);
    bench.meter = good;
}

/// A joined socket that has shown this current for 0.9 s, the last time at 100.95 s.
fn drawing(current_a: f64) -> Bench {
    let mut bench = Bench::joined_with(|boot| {
        boot.settings.general.overcurrent_alarm.enabled = false;
    });
    bench.meter = Some(amperes(current_a));
    bench.at(101_000).effects.clear();
    bench
}

#[test]
fn a_meter_without_a_good_reading_for_2_s_is_reported_and_the_relay_stays() {
    for kind in ALL {
        for current_a in [0.0, 5.0, 10.0] {
            let mut bench = drawing(current_a);
            // Already over the protection's threshold at 10 A: one sample less, so that it does not trip.
            bench.meter = Some(amperes(current_a.min(9.9)));
            bench.after(100).effects.clear();
            bad(&mut bench, kind, current_a, 10_000);
            let want = ["103050 meter failed".to_string(), format!("103050 {ON}")];
            assert_eq!(bench.lines(&WATCHED), want, "{kind:?} at {current_a} A");
        }
    }
}

#[test]
fn at_the_rated_current_exactly_the_relay_stays_when_the_meter_fails() {
    for kind in ALL {
        let mut bench = Bench::joined_with(|boot| {
            boot.settings.general.overcurrent_alarm.enabled = false;
            boot.settings.general.overcurrent_protection.enabled = false;
        });
        bench.meter = Some(amperes(10.0));
        bench.at(101_000);
        bad(&mut bench, kind, 10.0, 60_000);
        assert!(bench.socket.relay_on(), "{kind:?}");
        bench.check(&["trip"], &[]);
    }
}

#[test]
fn above_the_rated_current_a_meter_that_fails_switches_off_with_the_current_that_was_last_seen() {
    for kind in ALL {
        let mut bench = Bench::joined_with(|boot| {
            boot.settings.general.overcurrent_alarm.enabled = false;
            boot.settings.general.overcurrent_protection.enabled = false;
        });
        bench.meter = Some(amperes(10.001));
        bench.at(101_000).effects.clear();
        bad(&mut bench, kind, 10.001, 10_000);
        let want = [
            "102950 relay off meter_fault".to_string(),
            "102950 trip meter_fault 10001".into(),
            "102950 meter failed".into(),
            "102950 uplink Alarm 08700005816407c911270374fc080683000000000480fc080000".into(),
            format!("102950 {OFF}"),
            // The report of the change.
            format!("104750 {OFF}"),
        ];
        assert_eq!(bench.lines(&WATCHED), want, "{kind:?}");
    }
}

#[test]
fn a_meter_fault_with_current_is_latched_and_trips_again_after_switching_on() {
    let mut bench = drawing(10.5);
    bench.meter = None;
    bench.at(110_000);
    assert!(!bench.socket.relay_on());
    bench.downlink("ff22000a0011").at(115_000).press().at(116_900);
    assert!(bench.socket.relay_on(), "switching on is never refused");
    // Nothing is known of the new load; what was last seen was too much.
    bench.at(130_000);
    assert!(!bench.socket.relay_on());
    let relay = bench.lines(&["relay", "meter"]);
    assert_eq!(
        relay,
        [
            "102950 relay off meter_fault",
            "102950 meter failed",
            "115130 relay on button",
            "117130 relay off meter_fault",
        ]
    );
}

#[test]
fn a_meter_fault_that_trips_drops_a_delay_task_that_would_switch_on() {
    let mut bench = drawing(10.5);
    bench.downlink("ff22003c0011");
    bench.meter = None;
    bench.at(200_000);
    assert!(!bench.socket.relay_on());
    assert_eq!(bench.socket.delay_task(200_000), None);
}

#[test]
fn a_meter_is_well_again_after_5_s_of_good_readings_which_is_reported_once() {
    let mut bench = drawing(5.0);
    bad(&mut bench, Bad::Silent, 5.0, 10_000);
    bench.effects.clear();
    bench.at(130_000);
    // The bench gave its next reading at once, at 111 s.
    bench.check(
        &WATCHED,
        &["116000 meter well", "116000 uplink Report 08700105816407c988130374fc0806830000000004807e040000"],
    );
    // And the next fault is news.
    bench.effects.clear();
    bad(&mut bench, Bad::Failing, 5.0, 10_000);
    assert_eq!(bench.lines(&["meter"]), ["132000 meter failed"]);
}

#[test]
fn a_good_reading_now_and_then_does_not_make_a_row_of_faults() {
    let mut bench = drawing(5.0);
    for _ in 0..20 {
        bad(&mut bench, Bad::NoVoltage, 5.0, 2_500);
        bench.event(Event::Reading(amperes(5.0)));
        bench.after(100).event(Event::MeterFailed);
    }
    assert_eq!(bench.lines(&["meter"]), ["102950 meter failed"]);
    assert!(bench.socket.relay_on());
}

#[test]
fn one_good_reading_in_2_s_is_no_fault() {
    for kind in ALL {
        let mut bench = drawing(5.0);
        for _ in 0..10 {
            bad(&mut bench, kind, 5.0, 1_900);
            bench.event(Event::Reading(amperes(5.0)));
        }
        bench.check(&["meter", "relay"], &[]);
    }
}

#[test]
fn at_the_start_a_meter_has_a_second_more() {
    for (kind, cause) in [(Bad::Silent, ResetCause::PowerOn), (Bad::NoVoltage, ResetCause::Reboot)] {
        let mut bench = Bench::new(Boot { relay_was_on: true, cause, ..boot() });
        bad(&mut bench, kind, 0.0, 10_000);
        bench.check(&["meter", "relay off"], &["3000 meter failed"]);
        let mut bench = Bench::new(Boot { relay_was_on: true, cause, ..boot() });
        bad(&mut bench, kind, 0.0, 900);
        bench.at(10_000).check(&["meter", "relay off"], &[]);
    }
}

#[test]
fn without_mains_a_meter_that_shows_no_voltage_is_well_for_2_minutes_and_no_longer() {
    let mut bench = drawing(5.0);
    bench.event(Event::SupplyLost);
    bad(&mut bench, Bad::NoVoltage, 0.0, 115_000);
    bench.check(&["meter", "relay"], &[]);
    // No capacitor lasts so long: the mains is there, and the meter does not see it.
    bad(&mut bench, Bad::NoVoltage, 0.0, 20_000);
    assert_eq!(bench.lines(&["meter"]).len(), 1);
}

#[test]
fn a_meter_without_voltage_is_a_fault_again_once_the_mains_was_seen_back() {
    let mut bench = drawing(5.0);
    bench.event(Event::SupplyLost);
    bad(&mut bench, Bad::NoVoltage, 0.0, 10_000);
    bench.check(&["meter", "relay"], &[]);
    bench.meter = Some(amperes(1.0));
    bench.after(10_000);
    bad(&mut bench, Bad::NoVoltage, 0.0, 5_000);
    assert_eq!(bench.lines(&["meter"]).len(), 1);
}

#[test]
fn a_chattering_supply_monitor_does_not_hide_a_meter_that_fails() {
    for kind in ALL {
        let mut bench = drawing(5.0);
        for _ in 0..60 {
            bench.event(Event::SupplyLost);
            bad(&mut bench, kind, 0.0, 3_000);
        }
        assert_eq!(bench.lines(&["meter"]).len(), 1, "{kind:?}");
    }
}

#[test]
fn one_reading_in_2_s_is_enough_for_the_limits() {
    for kind in ALL {
        for (current_a, cause) in [(10.1, "protection"), (13.1, "hard_limit")] {
            let mut bench = Bench::joined();
            for _ in 0..20 {
                bad(&mut bench, kind, current_a, 1_900);
                bench.event(Event::Reading(amperes(current_a)));
            }
            assert!(!bench.socket.relay_on(), "{kind:?} at {current_a} A");
            let relay = bench.lines(&["relay"]);
            assert!(relay[0].ends_with(cause), "{kind:?} at {current_a} A: {relay:?}");
        }
    }
}

#[test]
fn without_mains_a_silent_meter_has_5_s_more() {
    let mut bench = drawing(5.0);
    bench.event(Event::SupplyLost);
    bad(&mut bench, Bad::Silent, 0.0, 20_000);
    bench.check(&["meter", "relay"], &["108000 meter failed"]);
}

#[test]
fn a_good_reading_in_between_gives_a_silent_meter_its_5_s_again() {
    // Soon after a loss, and long after it.
    for between_ms in [1_000, 6_500] {
        let mut bench = drawing(5.0);
        bench.event(Event::SupplyLost);
        bad(&mut bench, Bad::Silent, 0.0, between_ms);
        bench.event(Event::Reading(amperes(5.0))).event(Event::SupplyLost);
        bad(&mut bench, Bad::Silent, 0.0, 6_500);
        bench.check(&["meter", "relay"], &[]);
    }
}

#[test]
fn with_the_relay_off_a_silent_meter_is_no_fault_until_2_s_after_it_is_switched_on() {
    let mut bench = drawing(5.0);
    bench.press().effects.clear();
    bench.meter = None;
    bench.at(200_000).check(&["meter", "trip"], &[]);
    bench.downlink("080100ff").at(210_000);
    bench.check(&["meter", "relay"], &["200000 relay on downlink", "202000 meter failed"]);
}
