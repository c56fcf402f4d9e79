//! A test house's commands on FPort 224 (TS009), on the whole socket: what the MAC hands to the application.
//! `cargo test -p sockeye-host --features certification --test certification`
#![cfg(feature = "certification")]
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::{Bench, hex};
use sockeye_host::report::Event;
use sockeye_virtual_hardware::sx126x::Mode;

/// PackageVersionReq, and its answer.
const VERSION: (&str, &str) = ("downlink 224 00", "000601");

/// The payloads on FPort 224.
fn answers(bench: &Bench) -> Vec<String> {
    let answers = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Uplink { port: 224, payload, .. } => Some(hex(payload)),
        _ => None,
    });
    answers.collect()
}

fn reboots(bench: &Bench) -> usize {
    bench.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. })).count()
}

/// Mode, frequency in Hz and power in dBm of the chip.
fn chip(bench: &Bench) -> (Mode, u32, i32) {
    let chip = bench.world.socket(0).unwrap().chip();
    chip.with(|chip| (chip.mode(), chip.frequency_hz(), chip.output_power_dbm()))
}

/// Lets time pass until the chip sends a carrier, and gives its frequency and power; `None` if it does not in 10 s.
fn carrier(bench: &mut Bench) -> Option<(u32, i32)> {
    for _ in 0..1000 {
        let (mode, frequency_hz, power_dbm) = chip(bench.run(10));
        if mode == Mode::Carrier {
            return Some((frequency_hz, power_dbm));
        }
    }
    None
}

#[test]
fn mac_cert_02_a_tester_restarts_the_socket_which_goes_on_as_it_was() {
    let mut bench = Bench::joined("");
    bench.act("press").run(5_000).forget().act("downlink 224 01").run(20_000);
    assert_eq!(reboots(&bench), 1);
    let joins = bench.when(|event| matches!(event, Event::JoinRequest { .. }));
    assert_eq!(joins, None, "the session goes on");
    assert_eq!(bench.errors(), Vec::<&str>::new());
    assert!(
        bench.uplinks().iter().all(|payload| !payload.contains("fe10")),
        "no answer on the application's port"
    );
    // What was switched off is off, and the next press supplies power.
    bench.forget().act("press").run(5_000);
    assert_eq!(bench.relay().iter().map(|(_, on, _)| *on).collect::<Vec<_>>(), [true]);
}

#[test]
fn mac_cert_01_what_a_tester_ended_stays_off_over_power_cut_and_factory_reset() {
    let mut bench = Bench::joined("");
    bench.forget().act(VERSION.0).run(20_000);
    assert_eq!(answers(&bench), [VERSION.1]);
    bench.forget().act("downlink 224 7e").run(20_000);
    assert_eq!(reboots(&bench), 1, "disabling ends with a reset");
    let place = |is: fn(&Event) -> bool| bench.events.iter().position(|(_, event)| is(event)).unwrap();
    let stored = place(|event| matches!(event, Event::Stored { record: "certification_off" }));
    assert!(stored < place(|event| matches!(event, Event::Reboot { .. })));
    let is_off = |bench: &mut Bench| {
        bench.forget().act(VERSION.0).act("downlink 85 080000ff").run(30_000);
        assert_eq!(answers(bench), Vec::<String>::new());
        assert_eq!(bench.downlinks(), ["080000ff"], "the link works, and port 224 is nobody's");
    };
    is_off(&mut bench);
    bench.act("power off").run(30_000).act("power on").run(60_000);
    is_off(&mut bench);
    bench.forget().act("hold 11s").run(120_000);
    assert_eq!(reboots(&bench), 1);
    is_off(&mut bench);
}

#[test]
fn mac_cert_02_a_carrier_is_sent_for_its_time_and_class_c_goes_on() {
    let mut bench = Bench::joined("");
    // 10 s, 868.1 MHz, 14 dBm.
    bench.forget().act("downlink 224 7d0a002876840e");
    assert_eq!(carrier(&mut bench), Some((868_100_000, 14)));
    let begun_ms = bench.world.now_ms();
    bench.run(5_000).act("press").run(500);
    assert_eq!(bench.relay().len(), 1, "the button works meanwhile");
    assert_eq!(chip(bench.run_to(begun_ms + 9_900)).0, Mode::Carrier);
    assert_eq!(chip(bench.run_to(begun_ms + 10_200)).0, Mode::Rx);
    bench.forget().act("downlink 85 080100ff").run(20_000);
    assert_eq!(bench.downlinks(), ["080100ff"]);
    assert_eq!(bench.errors(), Vec::<&str>::new());
    assert_eq!(bench.world.watchdog_resets(), 0);
}

#[test]
fn mac_cert_02_a_carrier_keeps_to_the_plans_band_and_power() {
    let mut bench = Bench::joined("");
    // 30 dBm of the 16 dBm EIRP that EU868 allows.
    bench.forget().act("downlink 224 7d02002876841e");
    assert_eq!(carrier(&mut bench), Some((868_100_000, 16)));
    bench.run(5_000);
    // 902.3 MHz is another plan's.
    bench.forget().act("downlink 224 7d020038ae890e");
    assert_eq!(carrier(&mut bench), None);
    assert_eq!(bench.errors(), ["radio: the carrier was refused or failed"]);
    bench.forget().act("downlink 85 080000ff").run(20_000);
    assert_eq!(bench.downlinks(), ["080000ff"]);
}

#[test]
fn mac_cert_02_a_carrier_keeps_to_the_lower_power_of_a_part_of_the_band() {
    // KR920: 10 dBm EIRP below 922 MHz. 2 s, 921.9 MHz, 14 dBm.
    let mut bench = Bench::joined("--region KR920");
    bench.forget().act("downlink 224 7d0200b8ab8c0e");
    assert_eq!(carrier(&mut bench), Some((921_900_000, 10)));
}

#[test]
fn mac_cert_02_the_longest_carrier_does_not_look_like_a_hang_and_gives_way_to_an_outage_alert() {
    let mut bench = Bench::joined("");
    bench.forget().act("downlink 224 7dffff2876840e");
    assert!(carrier(&mut bench).is_some());
    bench.run(3_600_000);
    assert_eq!(chip(&bench).0, Mode::Carrier);
    assert_eq!(bench.world.watchdog_resets(), 0);
    bench.forget().act("power off").run(1_000);
    assert_eq!(bench.uplinks(), ["ff3fff"], "the outage alert");
}
