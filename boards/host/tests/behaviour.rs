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

#[test]
fn x_factory_reset_relay() {
    let mut bench = Bench::joined("");
    bench.act("press").run(5_000).forget().act("hold 11s").run(60_000);
    println!("RELAY {:?}", bench.relay());
    println!("ERR {:?}", bench.errors());
}

#[test]
fn x_flicker() {
    let mut bench = Bench::joined("");
    bench.act("load 2000W").run(5_000).forget();
    for _ in 0..5 {
        bench.act("power off").run(1_000).act("power on").run(3_000);
    }
    println!("RELAY {:?} {:?}", bench.relay(), bench.errors());
    println!("UP {:?}", bench.uplinks());
}

#[test]
fn x_energy() {
    let mut bench = Bench::joined("");
    bench.act("load 3000W").run(3_600_000);
    let before = bench.world.status().energy_uwh;
    println!("E {}", before);
    for _ in 0..10 {
        let e = bench.world.status().energy_uwh;
        bench.act("power off").run(10_000).act("power on").run(500);
        println!("lost {}", e as i64 - bench.world.status().energy_uwh as i64);
        bench.run(33_333);
    }
    println!("ERR {:?}", bench.errors());
    println!("R {:?}", reports(&bench).iter().map(|r| r.energy_wh).collect::<Vec<_>>());
}

#[test]
fn x_alarm_packet() {
    let mut bench = Bench::joined("--model AU");
    bench.run(60_000).forget().act("load 4000W").run(60_000);
    println!("{:?}", bench.relay());
    println!("{:#?}", reports(&bench));
    println!("ERR {:?}", bench.errors());
}

#[test]
fn x_off_then_ask() {
    let mut bench = Bench::joined("--model AU");
    bench.act("load 1000W").run(60_000).forget().act("downlink 85 080000ffff28ff").run(60_000);
    println!("{:#?}", reports(&bench));
}

#[test]
fn x_voltages() {
    let mut bench = Bench::joined("--model AU");
    bench.act("load 1000W").run(60_000).forget();
    for v in ["207V", "100V", "253V", "90V", "230V", "400V", "230V"] {
        bench.act(&format!("voltage {v}")).run(10_000);
        println!("{v} {:?} {:?}", bench.world.status().reading, bench.errors());
        bench.forget();
    }
    for l in ["0.3W", "1W", "5W", "20kW pf 0.5", "1W", "100W pf 0.1"] {
        bench.act(&format!("load {l}")).run(10_000);
        println!("{l} {:?} {:?} {:?}", bench.world.status().reading, bench.errors(), bench.relay());
        bench.forget().act("downlink 85 080100ff").run(10_000);
    }
}

#[test]
fn x_short() {
    let mut bench = Bench::joined("--model AU");
    bench.act("load 1000W").run(60_000).forget();
    bench.act("load 100000W").run(10_000);
    println!("{:?} {:?} {:?}", bench.world.status().reading, bench.errors(), bench.events);
}

#[test]
fn x_led() {
    let mut bench = Bench::new("");
    bench.run(60_000);
    for (t, e) in &bench.events {
        if !matches!(e, Event::Uplink { .. }) {
            println!("{t} {e:?}");
        }
    }
}
