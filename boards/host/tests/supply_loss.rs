//! The mains goes: energy and relay state are stored, then the outage alert is on the air, whatever the radio does.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;
use sockeye_storage::{RecordId, Storage};
use sockeye_virtual_hardware::air::Gateway;

/// How long the capacitor of the host board lasts, in ms.
const HOLD_UP_MS: u64 = 2_000;

/// The alert in a frame: 13 bytes of header, port and MIC, and `ff3fff`.
const ALERT_BYTES: usize = 16;

/// The end of the longest frame that goes out at SF12 within the hold-up, and what is left.
struct Loss {
    /// From the loss to the store of the energy, in ms.
    stored_ms: Option<u64>,
    /// From the loss to the start of the alert on the air.
    began_ms: u64,
    /// Its time on the air.
    airtime_ms: u64,
}

/// Takes the mains away now, and listens.
fn lose(bench: &mut Bench, sniffer: &Gateway) -> Option<Loss> {
    while sniffer.try_receive().is_some() {}
    let lost_ms = bench.world.now_ms();
    bench.forget().act("power off").run(HOLD_UP_MS + 100);
    let stored_ms = bench.when(|event| matches!(event, Event::Stored { record: "energy" }));
    let mut sent = std::iter::from_fn(|| sniffer.try_receive()).map(|heard| heard.transmission);
    // Frames cut off by the alert began before.
    let alert = sent.find(|frame| frame.start_us >= lost_ms * 1000)?;
    // With a MAC answer in its FOpts it is longer.
    assert!((ALERT_BYTES..ALERT_BYTES + 15).contains(&alert.payload.len()), "{alert:?}");
    Some(Loss {
        stored_ms: stored_ms.map(|stored_ms| stored_ms - lost_ms),
        began_ms: alert.start_us / 1000 - lost_ms,
        airtime_ms: (alert.end_us - alert.start_us).div_ceil(1000),
    })
}

/// A joined socket that sends at one data rate of EU868, 0 for SF12 to 5 for SF7, and draws 3 kW.
fn at_data_rate(data_rate: u8) -> (Bench, Gateway) {
    let file = std::env::temp_dir().join(format!("sockeye-loss-{}-{data_rate}.json", std::process::id()));
    let fields = format!(r#""lorawan": {{ "adr": false, "data_rate": {data_rate} }}"#);
    std::fs::write(&file, format!(r#"{{ "model": "EU", "region": "EU868", {fields} }}"#)).unwrap();
    let mut bench = Bench::joined(&format!("--settings {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    let sniffer = bench.world.medium().gateway();
    bench.act("load 3000W").run(60_000);
    (bench, sniffer)
}

fn stored_energy_uwh(bench: &Bench) -> u64 {
    let mut storage = Storage::new(bench.world.flash(0).unwrap().duplicate(), 0..7 * 2048);
    let mut out = [0; 1024];
    let length = embassy_futures::block_on(storage.load(RecordId::Energy, &mut out)).unwrap().unwrap();
    let mut bytes = [0; 8];
    bytes[..length].copy_from_slice(&out[..length]);
    u64::from_le_bytes(bytes)
}

/// At any instant from a report that is asked for over its time on the air and its windows, and the report of a switching
/// after it, and at both ends of the data rates: the energy is stored first, then the alert is out before the
/// capacitor is empty.
#[test]
fn the_alert_is_on_the_air_at_once_whatever_the_radio_does_and_after_the_energy_is_stored() {
    for (data_rate, airtime_ms) in [(0, 1_319), (5, 52)] {
        let mut longest_ms = 0;
        for offset_ms in (0..8_000).step_by(373) {
            let (mut bench, sniffer) = at_data_rate(data_rate);
            bench.act("press").act("downlink 85 ff28ff").run(offset_ms);
            let uwh = bench.world.status().energy_uwh;
            let loss = lose(&mut bench, &sniffer);
            let loss = loss.unwrap_or_else(|| panic!("DR{data_rate}, {offset_ms} ms: no alert"));
            assert_eq!(bench.errors(), [""; 0], "DR{data_rate}, {offset_ms} ms: what gives way is no error");
            assert!(stored_energy_uwh(&bench) >= uwh, "DR{data_rate}, {offset_ms} ms");
            let stored_ms = loss.stored_ms.unwrap_or(0);
            assert!(
                stored_ms <= 1 && stored_ms <= loss.began_ms,
                "DR{data_rate}, {offset_ms} ms: {stored_ms} ms"
            );
            assert!(loss.airtime_ms >= airtime_ms, "{} ms on the air", loss.airtime_ms);
            longest_ms = longest_ms.max(loss.began_ms);
        }
        println!("DR{data_rate}: the alert begins at most {longest_ms} ms after the loss");
        assert!(longest_ms <= 100, "DR{data_rate}: {longest_ms} ms");
    }
}

/// What a step needs of the capacitor, and what there is. docs/SUPPLY-LOSS.md names the sources and the assumptions.
struct Chip {
    name: &'static str,
    /// The MCU at work with the radio receiving, in mA.
    idle_ma: f64,
    /// The same with the radio sending.
    tx_ma: f64,
    /// Programming what is stored, in ms: 4 words of 8 bytes at 82 µs, or two pages for each of two records at 0.4 ms.
    store_ms: f64,
    supply: Supply,
}

enum Supply {
    /// The capacitor is the chip's supply: so many V at the detector's threshold, and at the end.
    Direct { from_v: f64, to_v: f64 },
    /// A converter of this efficiency makes 3.3 V of it.
    Converter { from_v: f64, to_v: f64, efficiency: f64 },
}

const CHIPS: [Chip; 2] = [
    Chip {
        name: "STM32WL, 14 dBm",
        idle_ma: 15.0,
        tx_ma: 86.0,
        store_ms: 4.0 * 0.082,
        supply: Supply::Direct { from_v: 2.9, to_v: 1.9 },
    },
    Chip {
        name: "RP2040 with SX1262, 22 dBm",
        idle_ma: 30.0,
        tx_ma: 143.0,
        store_ms: 4.0 * 0.4,
        supply: Supply::Converter { from_v: 5.0, to_v: 2.0, efficiency: 0.85 },
    },
];

/// From the loss to the start of the frame, and the frame, in ms: as the first test of this file finds them.
const BEFORE_MS: f64 = 10.0;
const AIRTIMES_MS: [(&str, f64); 2] = [("SF7", 52.0), ("SF12", 1_319.0)];

impl Chip {
    /// One row for a capacitor in F: needs and has as charge in mC, or as energy in mJ.
    fn row(&self, capacitor_f: f64, rate: &str, airtime_ms: f64) -> String {
        // mA · ms are µC.
        let store_mc = self.idle_ma * self.store_ms / 1e3;
        let alert_mc = (self.idle_ma * BEFORE_MS + self.tx_ma * airtime_ms) / 1e3;
        let (factor, has, unit) = match self.supply {
            Supply::Direct { from_v, to_v } => (1.0, capacitor_f * (from_v - to_v) * 1e3, "mC"),
            Supply::Converter { from_v, to_v, efficiency } => {
                (3.3 / efficiency, capacitor_f * (from_v * from_v - to_v * to_v) / 2.0 * 1e3, "mJ")
            }
        };
        let (store, alert) = (store_mc * factor, alert_mc * factor);
        let fits = if store + alert <= has { "yes" } else { "**no**" };
        format!(
            "| {} | {capacitor_f} F | {rate} | {:.1} ms, {store:.3} {unit} | {:.0} ms, {alert:.1} {unit} | {has:.0} {unit} | {fits} |",
            self.name,
            self.store_ms,
            BEFORE_MS + airtime_ms,
        )
    }
}

#[test]
fn the_budgets_in_the_documentation_are_those_computed_here() {
    let page = include_str!("../../../docs/SUPPLY-LOSS.md");
    for chip in CHIPS {
        for capacitor_f in [0.1, 1.0] {
            for (rate, airtime_ms) in AIRTIMES_MS {
                let row = chip.row(capacitor_f, rate, airtime_ms);
                println!("{row}");
                assert!(page.contains(&row), "docs/SUPPLY-LOSS.md lacks:\n{row}");
            }
        }
    }
}
