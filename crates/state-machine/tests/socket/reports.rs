//! What is sent, and when.

use sockeye_metering::Reading;
use sockeye_state_machine::{Boot, Effect, Event, UplinkKind};

use crate::bench::{Bench, amperes, boot, bytes};

fn report_times(bench: &Bench) -> Vec<u64> {
    bench.uplinks().filter(|(_, uplink)| uplink.kind == UplinkKind::Report).map(|(at_ms, _)| at_ms).collect()
}

#[test]
fn the_report_carries_the_guides_example() {
    let mut bench = Bench::joined_with(|boot| boot.energy_uwh = 5_900_000);
    // 229.3 V, 18 mA, 41 %: 1.69 W.
    bench.meter = Some(Reading {
        voltage_mv: 229_310,
        current_ma: 18,
        power_mw: 1_692,
        energy_uwh: 0,
        fast_current_ma: 18,
    });
    bench.after(500).downlink("ff28ff");
    bench.check(
        &["uplink Report"],
        &["100500 uplink Report 08700105812907c912000374f508068305000000048001000000"],
    );
}

#[test]
fn a_report_goes_every_interval_without_drift() {
    let mut bench = Bench::new(Boot { relay_was_on: true, ..boot() });
    bench.at(60_123).event(Event::Joined);
    bench.at(60_123 + 3 * 1_200_000);
    assert_eq!(report_times(&bench), [60_123, 1_260_123, 2_460_123, 3_660_123]);
}

#[test]
fn a_shorter_interval_counts_from_the_last_report() {
    let mut bench = Bench::joined(); // the last one at 60 s
    bench.downlink("ff032c01").at(700_000); // 300 s
    assert_eq!(report_times(&bench), [360_000, 660_000]);
    // 60 s: the last one is 40 s ago.
    bench.downlink("ff033c00").at(790_000);
    assert_eq!(report_times(&bench)[2..], [720_000, 780_000]);
}

#[test]
fn an_interval_that_is_over_when_it_is_set_brings_a_report_at_once() {
    let mut bench = Bench::joined();
    bench.at(500_000).downlink("ff033c00").at(570_000);
    assert_eq!(report_times(&bench), [500_000, 560_000]);
}

#[test]
fn setting_the_same_interval_again_does_not_hold_the_report_up() {
    let mut bench = Bench::joined();
    for minute in 2..30 {
        bench.at(minute * 60_000).downlink("ff03b004");
    }
    assert_eq!(report_times(&bench), [1_260_000]);
}

#[test]
fn a_relay_change_is_reported_within_2_s_whatever_its_cause() {
    for cause in ["button", "downlink", "delay"] {
        let mut bench = Bench::joined();
        match cause {
            "button" => bench.press(),
            "downlink" => bench.downlink("080000ff"),
            _ => bench.downlink("ff2200000010"),
        };
        bench.after(5_000);
        let changed_ms =
            bench.effects.iter().find(|(_, effect)| matches!(effect, Effect::Relay { .. })).unwrap().0;
        let reports = report_times(&bench);
        assert_eq!(reports.len(), 1, "{cause}");
        assert!(reports[0] > changed_ms && reports[0] <= changed_ms + 2_000, "{cause}: {reports:?}");
    }
}

#[test]
fn several_changes_within_that_time_make_one_report_of_the_last_state() {
    let mut bench = Bench::joined();
    bench.downlink("080000ff").after(500).press();
    bench.after(200).press().after(5_000);
    assert_eq!(bench.lines(&["relay"]).len(), 3);
    bench.check(&["uplink"], &["101800 uplink Report 08700005810007c900000374fc08068300000000048000000000"]);
}

#[test]
fn a_change_without_a_session_is_told_when_the_session_begins() {
    let mut bench = Bench::new(boot());
    bench.at(40_000).press().after(5_000);
    assert_eq!(bench.uplinks().count(), 0);
    bench.event(Event::Joined).after(5_000);
    let reports: Vec<_> = bench.uplinks().filter(|(_, uplink)| uplink.kind == UplinkKind::Report).collect();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].1.payload.starts_with(&[0x08, 0x70, 0x01]));
}

#[test]
fn a_press_in_the_quiet_time_after_a_power_cut_is_reported_within_2_s() {
    // This seed waits longer than 20 s.
    let mut bench = Bench::new(Boot { session_stored: true, seed: 2, ..boot() });
    bench.at(100).event(Event::SessionResumed);
    bench.at(5_000).press().at(7_200);
    assert_eq!(bench.uplinks().count(), 1, "{:?}", bench.lines(&[""]));
    bench.at(31_000);
    let kinds: Vec<UplinkKind> = bench.uplinks().map(|(_, uplink)| uplink.kind).collect();
    assert_eq!(kinds, [UplinkKind::Report, UplinkKind::BasicInformation, UplinkKind::Report]);
}

#[test]
fn uplinks_are_confirmed_when_the_setting_says_so_but_the_outage_alert_never_is() {
    let mut bench = Bench::joined_with(|boot| {
        boot.settings.lorawan.confirmed = true;
        boot.identity.hardware_version = [0x01, 0x20];
    });
    bench.downlink("ff28ffff2cff").event(Event::SupplyLost);
    for (_, uplink) in bench.uplinks() {
        assert_eq!(uplink.confirmed, uplink.kind != UplinkKind::Outage, "{uplink:?}");
    }
    assert_eq!(bench.uplinks().count(), 4);
}

#[test]
fn a_report_without_a_fresh_reading_leaves_the_measured_values_out() {
    let mut bench = Bench::joined_with(|boot| boot.energy_uwh = 7_000_000);
    bench.meter = None;
    // The last reading was at 99.95 s; after 2 s without one the meter has failed, which brings a report too.
    bench.after(1_900).downlink("ff28ff");
    bench.after(600).downlink("ff28ff");
    bench.check(
        &["uplink Report"],
        &[
            "101900 uplink Report 08700105810007c900000374fc08068307000000048000000000",
            "101950 uplink Report 087001068307000000",
            "102500 uplink Report 087001068307000000",
        ],
    );
}

#[test]
fn values_beyond_their_width_are_sent_as_the_largest() {
    let mut bench = Bench::joined_with(|boot| boot.energy_uwh = u64::MAX);
    bench.meter = Some(amperes(90.0));
    bench.after(100);
    let alarm = bytes("0870 00 0581 64 07c9 ffff 0374 fc08 0683 ffffffff 0480 dc500000");
    bench.at(101_000);
    assert!(bench.uplinks().any(|(_, uplink)| uplink.kind == UplinkKind::Alarm && uplink.payload == *alarm));
}

#[test]
fn a_lost_supply_is_told_once_by_hardware_1_2_and_later() {
    for (hardware, want) in
        [([0x01, 0x00], 0), ([0x01, 0x10], 0), ([0x01, 0x20], 1), ([0x01, 0x40], 1), ([0x02, 0x00], 1)]
    {
        let mut bench = Bench::joined_with(|boot| boot.identity.hardware_version = hardware);
        bench.event(Event::SupplyLost).after(10).event(Event::SupplyLost).after(3_000);
        let told: Vec<_> = bench.uplinks().collect();
        assert_eq!(told.len(), want, "{hardware:?}");
        assert!(told.iter().all(|(_, uplink)| uplink.kind == UplinkKind::Outage && *uplink.payload == [0xff, 0x3f, 0xff]));
    }
}

#[test]
fn a_supply_lost_again_a_minute_later_is_told_again() {
    let mut bench = Bench::joined_with(|boot| boot.identity.hardware_version = [0x01, 0x20]);
    bench.event(Event::SupplyLost).after(59_999).event(Event::SupplyLost).after(1).event(Event::SupplyLost);
    bench.check(&["uplink"], &["100000 uplink Outage ff3fff", "160000 uplink Outage ff3fff"]);
}
