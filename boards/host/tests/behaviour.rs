//! behaviour.md on the whole socket: what only shows when all its parts play together.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;

/// A report as the guide lays it out (section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Report {
    on: bool,
    factor_percent: u8,
    current_ma: u16,
    voltage_dv: u16,
    energy_wh: u32,
    power_w: u32,
}

fn report(payload: &[u8]) -> Option<Report> {
    let [
        0x08,
        0x70,
        on,
        0x05,
        0x81,
        factor_percent,
        0x07,
        0xC9,
        i0,
        i1,
        0x03,
        0x74,
        v0,
        v1, //
        0x06,
        0x83,
        e0,
        e1,
        e2,
        e3,
        0x04,
        0x80,
        p0,
        p1,
        p2,
        p3,
    ] = *payload
    else {
        return None;
    };
    Some(Report {
        on: on == 1,
        factor_percent,
        current_ma: u16::from_le_bytes([i0, i1]),
        voltage_dv: u16::from_le_bytes([v0, v1]),
        energy_wh: u32::from_le_bytes([e0, e1, e2, e3]),
        power_w: u32::from_le_bytes([p0, p1, p2, p3]),
    })
}

fn reports(bench: &Bench) -> Vec<Report> {
    let reports = bench.events.iter().filter_map(|(_, event)| match event {
        Event::Uplink { port: 85, payload, .. } => report(payload),
        _ => None,
    });
    reports.collect()
}

/// Changes of the LED after the first, as times since the one before and levels.
fn led(bench: &Bench) -> Vec<(u64, bool)> {
    let changes: Vec<(u64, bool)> = bench
        .events
        .iter()
        .filter_map(|(t_ms, event)| match event {
            Event::Led { on } => Some((*t_ms, *on)),
            _ => None,
        })
        .collect();
    changes.windows(2).map(|pair| (pair[1].0 - pair[0].0, pair[1].1)).collect()
}

#[test]
fn sockets_that_get_power_at_once_do_not_transmit_at_once() {
    let first_ms = |seed: u64| {
        let mut bench = Bench::new(&format!("--seed {seed}"));
        bench.run_to(40_000);
        assert!(matches!(bench.relay()[..], [(0..=200, true, "power_up")]), "{:?}", bench.relay());
        bench.when(|event| matches!(event, Event::JoinRequest { .. })).expect("no join request")
    };
    let firsts: Vec<u64> = (0..20).map(first_ms).collect();
    // The event comes at the end of 62 ms on the air.
    assert!(firsts.iter().all(|&t_ms| t_ms <= 30_200), "{firsts:?}");
    let (least, most) = (firsts.iter().min().unwrap(), firsts.iter().max().unwrap());
    assert!(most - least > 15_000, "{firsts:?}");
}

#[test]
fn a_join_request_blinks_once_and_joining_twice_for_100_ms_each() {
    let bench = Bench::joined("");
    let [(_, false), (100, true), (_, false), (100, true), (100, false), (100, true)] = led(&bench)[..]
    else {
        panic!("{:?}", led(&bench))
    };
}

#[test]
fn a_locked_button_is_free_again_after_its_minutes() {
    let mut bench = Bench::joined("");
    bench.act("downlink 85 ff250280").run(10_000).forget().act("press").run(5_000);
    assert_eq!(bench.relay(), []);
    assert_eq!(bench.errors(), ["button locked"]);
    bench.run(115_000).act("press").run(5_000);
    assert!(matches!(bench.relay()[..], [(_, false, "button")]), "{:?}", bench.relay());
    bench.forget().act("downlink 85 ff2cff").run(20_000);
    assert!(bench.uplinks().iter().any(|uplink| uplink.contains("ff250000")), "{:?}", bench.uplinks());
}

#[test]
fn a_report_follows_every_change_of_the_relay_with_what_the_load_draws() {
    let mut bench = Bench::joined("");
    bench.act("load 1150W pf 0.5").run(60_000);
    for (act, on) in [("press", false), ("downlink 85 080100ff", true), ("downlink 85 ff2200010010", false)] {
        bench.forget().act(act).run(15_000);
        let [(changed_ms, state, _)] = bench.relay()[..] else { panic!("{act}: {:?}", bench.relay()) };
        assert_eq!(state, on, "{act}");
        let told = bench.events.iter().find_map(|(t_ms, event)| match event {
            Event::Uplink { payload, .. } => report(payload).map(|report| (*t_ms, report)),
            _ => None,
        });
        let (told_ms, report) = told.expect("no report");
        // 2 s, and what the answer to the command and the frame take on the air.
        assert!(told_ms - changed_ms < 5_000, "{act}: {} ms later", told_ms - changed_ms);
        let (percent, current_ma, power_w) = if on { (50, 10_000, 1_150) } else { (0, 0, 0) };
        assert_eq!(report.on, on, "{act}");
        assert_eq!((report.voltage_dv, report.factor_percent), (2300, percent), "{act}");
        assert!(report.current_ma.abs_diff(current_ma) <= 10, "{act}: {report:?}");
        assert!(report.power_w.abs_diff(power_w) <= 2, "{act}: {report:?}");
    }
}

#[test]
fn an_alarm_comes_again_only_after_the_current_was_below_for_5_s() {
    let mut bench = Bench::joined("--model AU");
    bench.act("downlink 85 ff240105").run(10_000).forget();
    for (load, ms, alarms) in [
        ("load 1200W", 60_000, 1),
        ("load 1100W", 60_000, 1), // 4.78 A: below, and by less than 5 %
        ("load 1200W", 60_000, 1),
        ("load 500W", 4_000, 1), // too short
        ("load 1200W", 60_000, 1),
        ("load 500W", 6_000, 1),
        ("load 1200W", 60_000, 2),
    ] {
        bench.act(load).run(ms);
        let seen = bench.events.iter().filter(|(_, event)| matches!(event, Event::Alarm { .. })).count();
        assert_eq!(seen, alarms, "{load}");
    }
    // Each with its packet, and nothing else: the interval is 20 minutes.
    let currents: Vec<_> =
        reports(&bench).iter().map(|report| (report.on, report.current_ma / 100)).collect();
    assert_eq!(currents, [(true, 52), (true, 52)]);
}

#[test]
fn power_cuts_lose_at_most_1_wh_each_and_never_add_any() {
    let mut bench = Bench::joined("");
    bench.act("load 3000W").run(600_000);
    for cut in 0..20_u64 {
        // At all phases of the store that comes every 10 Wh, which is every 12 s.
        bench.run(7_300 + cut * 411);
        let before_uwh = bench.world.status().energy_uwh;
        bench.act("power off").run(10_000).act("power on").run(1_000);
        let after_uwh = bench.world.status().energy_uwh;
        // It has drawn 3000 W for less than a second since.
        assert!(after_uwh + 1_000_000 >= before_uwh, "cut {cut}: {before_uwh} µWh, then {after_uwh}");
        assert!(after_uwh <= before_uwh + 900_000, "cut {cut}: {before_uwh} µWh, then {after_uwh}");
    }
    assert_eq!(bench.errors(), [""; 0]);
    bench.run(2_400_000);
    let told: Vec<u32> = reports(&bench).iter().map(|report| report.energy_wh).collect();
    assert!(told.is_sorted() && told.len() > 5, "{told:?}");
}

#[test]
fn resetting_the_energy_lasts_through_a_power_cut_and_switched_off_it_stands_still() {
    let mut bench = Bench::joined("");
    bench.act("load 3000W").run(600_000).act("downlink 85 ff27ffff2600").run(60_000);
    let after_reset_uwh = bench.world.status().energy_uwh;
    assert!(after_reset_uwh < 3_000_000, "{after_reset_uwh}");
    bench.act("power off").run(10_000).act("power on").run(600_000);
    assert_eq!(bench.world.status().energy_uwh, after_reset_uwh);
}

#[test]
fn commands_outside_their_range_unknown_or_cut_short_change_nothing_and_are_not_answered() {
    for (payload, error) in [
        ("ff033b00", "command out of range"),
        ("ff24010b", "command out of range"),
        ("ff300100", "command out of range"),
        ("0802", "truncated command"),
        ("0802ffff", "command out of range"),
        ("ff9900080000ff", "unknown command"),
        ("ff2200", "truncated command"),
    ] {
        let mut bench = Bench::joined("--model AU");
        bench.run(10_000).forget().act(&format!("downlink 85 {payload}")).run(30_000);
        assert_eq!(bench.errors(), [error], "{payload}");
        assert_eq!(bench.uplinks(), [""; 0], "{payload}");
        assert_eq!(bench.relay(), [], "{payload}");
    }
}
