//! The supply is lost: what must not be lost goes into flash, then the outage alert goes.

use sockeye_metering::Reading;
use sockeye_state_machine::Event;

use crate::bench::{Bench, amperes};

/// A joined socket of hardware 1.2, which tells of an outage, and draws 1 A: 6389 µWh in 100 ms.
fn drawing() -> Bench {
    let mut bench = Bench::joined_with(|boot| boot.identity.hardware_version = [0x01, 0x20]);
    bench.meter = Some(Reading { energy_uwh: 6_389, ..amperes(1.0) });
    bench
}

#[test]
fn the_energy_is_in_flash_before_the_outage_alert_goes() {
    let mut bench = drawing();
    bench.after(100).effects.clear();
    bench.event(Event::SupplyLost).after(1_000);
    bench.check(&["store", "uplink"], &["100100 store Energy", "100120 uplink Outage ff3fff"]);
}

#[test]
fn the_relay_state_is_in_flash_before_the_outage_alert_goes() {
    let mut bench = drawing();
    bench.meter = None;
    bench.downlink("080000ff").event(Event::SupplyLost).after(1_000);
    bench.check(&["store", "uplink Outage"], &["100000 store RelayState", "100020 uplink Outage ff3fff"]);
    // Switched twice, the last state does not wait for the store of the first.
    let mut bench = drawing();
    bench.meter = None;
    bench.store_ms = None;
    bench.downlink("080000ff").downlink("080100ff").event(Event::SupplyLost);
    bench.check(&["store"], &["100000 store RelayState", "100000 store RelayState"]);
}

#[test]
fn with_nothing_to_store_the_outage_alert_goes_at_once() {
    let mut bench = drawing();
    bench.meter = None;
    bench.event(Event::SupplyLost).check(&["store", "uplink"], &["100000 uplink Outage ff3fff"]);
}

#[test]
fn with_the_flash_stuck_the_outage_alert_goes_after_100_ms() {
    let mut bench = drawing();
    bench.after(100).effects.clear();
    bench.store_ms = None;
    bench.event(Event::SupplyLost).after(1_000);
    bench.check(&["store", "uplink"], &["100100 store Energy", "100200 uplink Outage ff3fff"]);
}

#[test]
fn a_lost_supply_stores_the_energy_that_came_since_the_last_store() {
    let mut bench = Bench::joined();
    bench.store_ms = None;
    bench.event(Event::SupplyLost).check(&["store"], &[]);
    bench.downlink("ff27ff").event(Event::SupplyLost).check(&["store"], &["100000 store Energy"]);
    // Energy since then does not wait for the store that is under way.
    bench.meter = Some(Reading { energy_uwh: 1_000, ..amperes(1.0) });
    bench.after(100).event(Event::SupplyLost);
    bench.event(Event::SupplyLost);
    bench.check(&["store"], &["100000 store Energy", "100100 store Energy"]);
}

#[test]
fn a_flickering_supply_stores_the_energy_once_a_minute_or_every_half_wh() {
    let mut bench = drawing();
    for _ in 0..600 {
        bench.after(100).event(Event::SupplyLost);
    }
    // 0.0064 Wh come in 100 ms: half a Wh in 7.9 s.
    let stores: Vec<String> = bench.lines(&["store"]);
    assert_eq!(stores.len(), 8, "{stores:?}");
    assert!(bench.socket.energy_uwh() > 7 * 500_000);
    // A light load: 1 mWh a second, and again only after a minute of peace.
    let mut bench = drawing();
    bench.meter = Some(Reading { energy_uwh: 100, ..amperes(0.02) });
    for _ in 0..600 {
        bench.after(100).event(Event::SupplyLost);
    }
    bench.after(100).event(Event::SupplyLost);
    bench.check(&["store"], &["100100 store Energy", "160100 store Energy"]);
}

#[test]
fn a_reset_of_the_energy_is_answered_when_it_is_in_flash() {
    let mut bench = drawing();
    bench.meter = None;
    bench.downlink("ff27ff").after(1_000);
    bench.check(&["store", "uplink"], &["100000 store Energy", "100020 uplink Answer fe27ff"]);
    let mut bench = drawing();
    bench.meter = None;
    bench.store_ms = None;
    bench.downlink("ff27ff").after(60_000);
    assert_eq!(bench.lines(&["uplink Answer"]), [""; 0], "it could come back by a power cut");
}
