//! Protection on the whole socket: nothing delays it, a meter that fails is told, a contact that does not open too.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::device::Device as _;
use sockeye_host::report::Event;
use sockeye_virtual_hardware::bl0942::Fault;

/// 10 A rated, so the hard limit is 13 A.
const AU: &str = "--model AU";

/// Lets the load jump over the hard limit now. Tells the ms from the first reading that shows it, and from the jump, to
/// the relay's pin.
fn trip(bench: &mut Bench) -> (u64, u64) {
    let jump_ms = bench.world.now_ms();
    bench.forget().act("load 3500W");
    let mut seen_ms = None;
    while bench.relay().is_empty() {
        bench.run(1);
        let is_over = bench.world.status().reading.is_some_and(|reading| reading.fast_current_ma > 13_000);
        if is_over {
            seen_ms.get_or_insert(bench.world.now_ms());
        }
        assert!(bench.world.now_ms() < jump_ms + 2_000, "no trip after 2 s");
    }
    let [(off_ms, false, "hard_limit")] = bench.relay()[..] else { panic!("{:?}", bench.relay()) };
    (off_ms - seen_ms.unwrap(), off_ms - jump_ms)
}

#[test]
fn the_hard_limit_trips_in_time_while_the_radio_joins_sends_listens_and_the_flash_stores() {
    let (mut worst_ms, mut worst_from_jump_ms) = (0, 0);
    let mut take = |(seen_ms, jump_ms): (u64, u64), when: &str| {
        // Looked at once a ms, so a ms short.
        assert!((199..=350).contains(&seen_ms), "{when}: {seen_ms} ms");
        worst_ms = worst_ms.max(seen_ms);
        worst_from_jump_ms = worst_from_jump_ms.max(jump_ms);
    };
    // The join goes out within the first 30 s, its windows are open at 5 s and 6 s behind it.
    for offset_ms in (2_000..40_000).step_by(977) {
        let mut bench = Bench::new(AU);
        bench.run_to(offset_ms);
        take(trip(&mut bench), &format!("joining, {offset_ms} ms"));
    }
    // An answer and its windows, settings and energy on their way to flash, more downlinks behind.
    for offset_ms in (0..6_000).step_by(149) {
        let mut bench = Bench::joined(AU);
        bench.act("load 1000W").run(60_000);
        bench.act("downlink 85 ff033c00ff27ff confirmed").act("downlink 85 ff2cffff28ff").run(offset_ms);
        take(trip(&mut bench), &format!("answering, {offset_ms} ms"));
    }
    println!(
        "hard limit: at most {worst_ms} ms from the first reading over it, {worst_from_jump_ms} ms from the jump of the load"
    );
}

fn meter(bench: &Bench, fault: Fault, answers: u32) {
    bench.world.socket(0).unwrap().circuit().with_meter(|_, meter| meter.inject(fault, answers));
}

const FAULTS: [Fault; 3] = [Fault::Silence, Fault::BadChecksum, Fault::Truncated(11)];

/// The reports, `on` with measured values or without.
fn reports(bench: &Bench) -> Vec<(String, bool)> {
    let reports = bench.uplinks().into_iter().filter(|payload| payload.starts_with("0870"));
    reports.map(|payload| (payload[4..6].to_owned(), payload[6..].starts_with("0581"))).collect()
}

#[test]
fn a_meter_that_fails_for_2_s_is_told_once_and_so_is_its_recovery_and_the_relay_stays() {
    for fault in FAULTS {
        let mut bench = Bench::joined(AU);
        bench.act("load 2000W").run(60_000).forget();
        let failed_ms = bench.world.now_ms();
        meter(&bench, fault, u32::MAX);
        bench.run(30_000);
        let told: Vec<_> = bench.errors().into_iter().filter(|what| what.starts_with("meter: ")).collect();
        assert_eq!(told, ["meter: no good reading for 2 s"], "{fault:?}");
        let is_told = |event: &Event| matches!(event, Event::Error { what } if what.starts_with("meter: "));
        let after_ms = bench.when(is_told).unwrap() - failed_ms;
        assert!((1_900..=2_100).contains(&after_ms), "{fault:?}: after {after_ms} ms");
        assert_eq!(reports(&bench), [("01".to_owned(), false)], "{fault:?}");
        assert_eq!(bench.relay(), [], "{fault:?}");
        bench.forget();
        meter(&bench, fault, 0);
        bench.run(30_000);
        assert_eq!(bench.errors(), ["meter: well again"], "{fault:?}");
        assert_eq!(reports(&bench), [("01".to_owned(), true)], "{fault:?}");
    }
}

#[test]
fn a_meter_that_fails_above_the_rated_current_switches_off() {
    for fault in FAULTS {
        let mut bench = Bench::joined(AU);
        // The settings allow it.
        bench.act("downlink 85 ff30000aff24000a").run(10_000).act("load 2500W").run(60_000).forget();
        assert!(bench.world.status().relay_on);
        meter(&bench, fault, u32::MAX);
        bench.run(30_000);
        let [(_, false, "meter_fault")] = bench.relay()[..] else { panic!("{fault:?}: {:?}", bench.relay()) };
        // The packet of the trip with the current of before, then the report of the change without any.
        assert_eq!(
            reports(&bench),
            [("00".to_owned(), true), ("00".to_owned(), false)],
            "{fault:?}: {:?}",
            bench.uplinks()
        );
    }
}

#[test]
fn a_start_a_power_cut_and_a_switched_off_relay_bring_no_fault_of_the_meter() {
    let mut bench = Bench::joined(AU);
    bench.act("load 2000W").run(20_000);
    for act in ["power off", "power on", "press", "downlink 85 ff10ff", "press", "voltage 90V", "load 100W"] {
        bench.act(act).run(20_000);
    }
    let told: Vec<_> = bench.errors().into_iter().filter(|what| what.starts_with("meter")).collect();
    assert_eq!(told, [""; 0]);
}

#[test]
fn a_welded_contact_is_logged_and_reported_once() {
    let mut bench = Bench::joined(AU);
    bench.act("load 700W").run(30_000);
    bench.world.socket(0).unwrap().circuit().change(|now_us, circuit| circuit.set_welded(now_us, true));
    bench.forget().act("press");
    let pressed_ms = bench.world.now_ms();
    bench.run(300_000);
    let welded = "relay: current flows though it is off (welded contact)";
    assert_eq!(bench.errors(), [welded]);
    let told_ms = bench.when(|event| matches!(event, Event::Error { what } if what == welded)).unwrap();
    // The press counts 130 ms after its start, the load shows 2 s from there on.
    assert!((2_130..=2_400).contains(&(told_ms - pressed_ms)), "after {} ms", told_ms - pressed_ms);
    // The report of the switching, and that of the contact; both show the current.
    assert_eq!(reports(&bench), [("00".to_owned(), true), ("00".to_owned(), true)], "{:?}", bench.uplinks());
    assert!(bench.uplinks().iter().all(|payload| !payload.contains("07c90000")), "{:?}", bench.uplinks());
    // Mended and switched again, it is told again if it welds again.
    bench.world.socket(0).unwrap().circuit().change(|now_us, circuit| circuit.set_welded(now_us, false));
    bench.run(10_000).forget().act("press").run(10_000).act("press").run(60_000);
    assert_eq!(bench.errors(), [""; 0]);
}
