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
    let mut storage = Storage::new(bench.world.flash(0).unwrap().duplicate(), 0..6 * 2048);
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
