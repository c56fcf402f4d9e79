//! The images as they are flashed, on the modelled chips.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod image;
#[path = "../../../boards/host/tests/meter_off/mod.rs"]
mod meter_off;

use bench::Bench;
use image::{Board, MemoryMap};
use meter_off::{Shown, calibrate, put_parts};
use sockeye_emulator::chip::{Call, Chip, Programs};
use sockeye_emulator::machine::Machine;
use sockeye_emulator::memory::Memory;
use sockeye_emulator::nvic::NMI;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::report::{DownlinkKind, Event};
use sockeye_virtual_hardware::flash::{self, Cut};
use sockeye_virtual_hardware::st25dv::BusFault;

/// The first instant at which an event of a kind is told.
fn first(events: &[(u64, Event)], is: impl Fn(&Event) -> bool) -> u64 {
    events.iter().find(|(_, event)| is(event)).unwrap_or_else(|| panic!("not in {events:#?}")).0
}

fn relays(events: &[(u64, Event)]) -> Vec<(u64, bool, &'static str)> {
    bench::relays(events).collect()
}

fn uplinks(events: &[(u64, Event)]) -> Vec<&[u8]> {
    let events = events.iter().map(|(_, event)| event);
    events.filter(|event| matches!(event, Event::Uplink { .. })).map(payload_of).collect()
}

fn payload_of(event: &Event) -> &[u8] {
    match event {
        Event::Uplink { payload, .. } => payload,
        _ => &[],
    }
}

fn the_records_lie_where_the_board_has_them<B: Board>() {
    let map = MemoryMap::of::<B>();
    assert_eq!(B::RECORDS, map.part("storage"));
    let programs = Programs { bootloader: 0..map.part("state").start, active: map.part("active") };
    assert_eq!(B::PROGRAMS, programs);
}

/// For what brings no memory of its own.
struct NoMemory;

impl Memory for NoMemory {
    fn read(&mut self, _: u32, _: &mut [u8]) -> bool {
        false
    }

    fn write(&mut self, _: u32, _: &[u8]) -> bool {
        false
    }
}

/// Erases a page of the flash as code does that runs now.
fn erase<B: Board>(chip: &mut B, offset: u32) {
    if B::NAME == "stm32wl" {
        // KEYR twice, CR: page erase, start (RM0453, 4.3.6).
        let page = offset / 2048;
        for (register, value) in
            [(8, 0x4567_0123), (8, 0xCDEF_89AB), (0x14, 2 | page << 3), (0x14, 2 | page << 3 | 1 << 16)]
        {
            chip.write(&mut NoMemory, 0x5800_4000 + register, 4, value);
        }
    } else {
        // The boot ROM's functions: out of XIP, erase, back (RP2040 data sheet, 2.8.3).
        for (code, arguments) in [(*b"EX", [0; 4]), (*b"RE", [offset, 4096, 0, 0]), (*b"CX", [0; 4])] {
            let call = |address, arguments| Call { address, arguments, caller: 0x2000_1000, is_masked: true };
            let code = u32::from(u16::from_le_bytes(code));
            let function = chip.call(&mut NoMemory, call(0x100, [0x40, code, 0, 0])).unwrap();
            chip.call(&mut NoMemory, call(function & !1, arguments)).unwrap();
        }
    }
}

fn an_application_that_changes_the_bootloader_or_itself_is_told_as_a_fault<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 1");
    bench.script("", 1_000);
    let Programs { bootloader, active } = B::PROGRAMS;
    let page = <B::Nor as flash::Chip>::ERASE_SIZE as u32;
    for (offset, expected) in [
        (bootloader.start, Some("the bootloader")),
        (bootloader.end - page, Some("the bootloader")),
        (bootloader.end, None),
        (active.start, Some("the running application")),
        (active.end - page, Some("the running application")),
        (active.end, None),
        (B::RECORDS.start, None),
    ] {
        let faults = bench.socket().with_machine(|machine| {
            let mut chip = machine.chip();
            erase(&mut *chip, offset);
            chip.core().faults().keys().cloned().collect::<Vec<_>>()
        });
        let told = format!(" was changed, at offset {offset:#x} of the flash");
        let found = faults.unwrap().into_iter().find_map(|fault| Some(fault.strip_suffix(&told)?.to_owned()));
        assert_eq!(found.as_deref(), expected, "{offset:#x}");
    }
}

fn the_relay_is_set_within_200_ms_of_power_and_once<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 1");
    let events = bench.script("", 5_000);
    let relays = relays(&events);
    assert!(matches!(relays[..], [(0..=200, true, "power_up")]), "{relays:?}");
    bench.is_clean("");
}

fn it_joins_and_sends_basic_information_and_a_report_of_what_it_measures<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 1");
    let events = bench.script("at 5s load 1150W", 60_000);
    let joined = first(&events, |event| matches!(event, Event::Joined { .. }));
    assert!(joined <= 45_000, "{joined}");
    let uplinks = uplinks(&events);
    assert_eq!(uplinks[0][..5], [0xFF, 0x0B, 0xFF, 0xFF, 0x01]);
    // 230.0 V, 5 A, on.
    let report = uplinks[1];
    assert!(report.starts_with(&[0x08, 0x70, 0x01]), "{report:x?}");
    assert!(report.windows(4).any(|record| record == [0x03, 0x74, 0xFC, 0x08]), "{report:x?}");
    assert!(
        report.windows(4).any(|record| matches!(record, [0x07, 0xC9, low, high]
        if (4_950..=5_050).contains(&u16::from_le_bytes([*low, *high])))),
        "{report:x?}"
    );
    bench.is_clean("");
}

fn a_meter_that_is_2_percent_off_is_right_by_its_calibration<B: Board>() {
    let mut bench = Bench::<B>::joined(4, "");
    put_parts(&bench.outside().circuit);
    let mut shown = |calibrated: bool| {
        if calibrated {
            bench.act("power off").run(10_000);
            calibrate(&bench.outside().flash, MemoryMap::of::<B>().part("storage"));
            bench.act("power on").run(30_000);
        }
        bench.act("load 3000W").run(3_000);
        bench.events.clear();
        bench.act("downlink 85 ff28ff").run(10_000);
        bench.is_clean("");
        Shown::last(&bench.events)
    };
    let (without, with) = (shown(false), shown(true));
    assert!(without.is_off() && with.is_true(), "{without:?}, {with:?}");
}

fn a_downlink_switches_the_relay_within_10_ms_of_its_end<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 2");
    let events = bench.script("at 50s downlink 85 080000ff\nat 60s downlink 85 080100ff", 70_000);
    let downlinks: Vec<u64> = events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Downlink { port: 85, kind: DownlinkKind::Unicast, .. }))
        .map(|(t_ms, _)| *t_ms)
        .collect();
    let relays = relays(&events);
    assert_eq!(downlinks.len(), 2);
    for (downlink, (relay, on, cause), expected) in
        [(downlinks[0], relays[1], false), (downlinks[1], relays[2], true)]
    {
        assert!((downlink..=downlink + 10).contains(&relay), "{downlink} {relay}");
        assert_eq!((on, cause), (expected, "downlink"));
    }
    bench.is_clean("");
}

fn the_button_toggles_and_a_long_press_resets_to_the_factory_settings<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 3");
    let events =
        bench.script("at 10s press\nat 12s press\nat 40s downlink 85 ff03b400\nat 50s hold 11s", 80_000);
    let relays = relays(&events);
    assert!(
        matches!(
            relays[1..],
            [(10_030..=10_150, false, "button"), (12_030..=12_150, true, "button"), (_, true, "power_up"),]
        ),
        "{relays:?}"
    );
    let reboot = first(&events, |event| *event == Event::Reboot { cause: "factory_reset" });
    assert!((61_500..=62_500).contains(&reboot), "{reboot}");
    // The number of the next join is not forgotten.
    let nonces: Vec<u16> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::JoinRequest { dev_nonce, .. } => Some(*dev_nonce),
            _ => None,
        })
        .collect();
    assert!(nonces.len() >= 2 && nonces.is_sorted_by(|one, other| one < other), "{nonces:?}");
    bench.is_clean("");
}

/// From a current to the first reading of it: a period of readings, and the meter's window of 20 ms before and its answer
/// of 25 ms behind.
const TO_READING_MS: u64 = 145;

fn above_130_percent_of_the_rated_current_the_relay_opens_350_ms_after_the_first_reading_at_the_latest<
    B: Board,
>() {
    for (seed, start_ms) in [(1, 4_000), (2, 4_037), (3, 26_011), (4, 33_333)] {
        let mut bench = Bench::<B>::new(&format!("--seed {seed}"));
        let events = bench.script(&format!("at {start_ms}ms load 5000W"), start_ms + 2_000);
        let tripped = first(&events, |event| matches!(event, Event::Trip { cause: "hard_limit", .. }));
        assert!((200..=350 + TO_READING_MS).contains(&(tripped - start_ms)), "{tripped}");
        assert!(!bench.socket().outside().circuit.flow().current_a.is_normal());
        bench.is_clean("");
    }
}

fn a_restart_by_command_does_not_move_the_relay<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 5");
    let mut events = bench.script("at 5s load 2300W\nat 50s downlink 85 ff10ff", 52_000);
    while bench.world.now_ms() < 60_000 {
        let now_ms = bench.world.now_ms();
        events.extend(bench.script("", now_ms + 1));
        assert!(bench.socket().outside().circuit.flow().current_a > 9.9, "{now_ms}");
    }
    assert_eq!(relays(&events).last().map(|(_, on, cause)| (*on, *cause)), Some((true, "power_up")));
    first(&events, |event| *event == Event::Reboot { cause: "downlink" });
    bench.is_clean("");
}

fn an_outage_is_told_and_session_relay_and_settings_are_there_when_the_mains_returns<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 6");
    let script =
        "at 40s downlink 85 080000ff\nat 45s downlink 85 ff030807\nat 60s power off\nat 65s power on";
    let events = bench.script(script, 130_000);
    assert!(uplinks(&events).contains(&&[0xFF, 0x3F, 0xFF][..]), "{events:#?}");
    let relays = relays(&events);
    assert!(
        matches!(relays[..], [_, (_, false, "downlink"), (65_000..=65_200, false, "power_up")]),
        "{relays:?}"
    );
    let joins = events.iter().filter(|(_, event)| matches!(event, Event::JoinRequest { .. })).count();
    assert_eq!(joins, 1);
    let after = events.iter().filter(|(t_ms, event)| *t_ms > 65_000 && matches!(event, Event::Uplink { .. }));
    assert!(after.count() >= 2);
    bench.is_clean("");
}

/// Starts a socket again after the power has failed in each of the two writes of its relay's state, in two ways, and looks
/// at the chip.
fn after_torn_writes<B: Board>(mut look: impl FnMut(&mut Machine<B>)) {
    for (operations, seed) in [(0, 1), (0, 2), (1, 1), (1, 2)] {
        let mut bench = Bench::<B>::new("--seed 7");
        bench.script("", 1_000);
        bench.socket().outside().flash.cut_after(operations, Cut::Inside { seed });
        bench.script("at 2s press\nat 3s power off", 6_000);
        bench.socket().outside().flash.power_on();
        let events = bench.script("at 7s power on", 9_000);
        assert!(matches!(relays(&events)[..], [(7_000..=7_200, _, "power_up")]), "{operations}: {events:#?}");
        bench.socket().with_machine(|machine| look(machine)).unwrap();
        bench.is_clean("");
    }
}

fn a_write_of_flash_that_a_power_cut_has_torn_is_read_over<B: Board>() {
    after_torn_writes::<B>(|_| {});
}

/// A phone reads, sets the reporting interval, and reads again.
fn a_phone_reads_and_writes_settings_at_the_tag<B: Board>() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nfc_{}.json", B::NAME));
    std::fs::write(
        &path,
        r#"{ "model": "EU", "region": "EU868", "general": { "reporting_interval_s": 600 } }"#,
    )
    .unwrap();
    let mut bench = Bench::<B>::new("--seed 3");
    let path = path.display();
    let events = bench.script(&format!("at 20s nfc read\nat 30s nfc write {path}\nat 60s nfc read"), 90_000);
    let told: Vec<_> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Nfc { action, result, settings } => Some((*action, result.as_str(), settings.as_ref())),
            _ => None,
        })
        .collect();
    let [("read", "done", Some(before)), ("write", "done", None), ("read", "done", Some(after))] = told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!(before["general"]["reporting_interval_s"], 1200);
    assert_eq!(after["general"]["reporting_interval_s"], 600);
    bench.is_clean("");
}

/// With each fault of its bus the socket joins, obeys and trips in time; when the bus is mended the tag is found again.
fn whatever_the_bus_to_the_tag_does_the_socket_goes_on<B: Board>() {
    for fault in [BusFault::Absent, BusFault::Stuck, BusFault::Hangs] {
        let mut bench = Bench::<B>::new("--seed 4");
        bench.outside().tag.set_fault(fault);
        let events = bench.script("at 50s downlink 85 080000ff\nat 55s press\nat 60s load 5000W", 62_000);
        let relays = relays(&events);
        assert!(
            matches!(
                relays[..],
                [
                    (_, true, "power_up"),
                    (50_000..=53_000, false, "downlink"),
                    (55_000..=55_150, true, "button"),
                    (60_200..=60_495, false, "hard_limit")
                ]
            ),
            "{fault:?}: {events:#?}"
        );
        bench.outside().tag.set_fault(BusFault::None);
        let events = bench.script("at 85s nfc read", 100_000);
        first(&events, |event| matches!(event, Event::Nfc { result, .. } if result == "done"));
        bench.is_clean("");
    }
}

#[test]
fn a_torn_word_of_the_stm32wl_raises_the_nmi() {
    let mut seen = 0;
    after_torn_writes::<Stm32wl>(|machine| {
        let chip = machine.chip();
        seen += chip.core().nvic.taken().filter(|(number, _)| *number == usize::from(NMI)).count();
    });
    assert!(seen > 0, "no torn word was read");
}

fn the_same_seed_gives_the_same_run<B: Board>() {
    let script = "at 20s press\nat 30s load 100W\nat 45s downlink 85 080100ff";
    let run = |seed| Bench::<B>::new(&format!("--seed {seed}")).script(script, 60_000);
    assert_eq!(run(8), run(8));
    assert_ne!(run(8), run(9));
}

#[test]
fn a_trace_names_what_the_cpu_enters_in_the_order_of_time() {
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("trace.txt");
    let mut bench = Bench::<Stm32wl>::new("--seed 1");
    bench.socket().trace(&std::rc::Rc::new(sockeye_emulator::trace::Trace::create(&path).unwrap())).unwrap();
    bench.script("", 300);
    drop(bench);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let times: Vec<u64> =
        text.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted() && times.len() > 1000, "{}", times.len());
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what}"));
    assert!(place("  Reset") < place("  main") && place("  main") < place("> exception"));
    assert!(text.contains("< back from the exception"));
}

on_both! {
    a_phone_reads_and_writes_settings_at_the_tag
    whatever_the_bus_to_the_tag_does_the_socket_goes_on
    the_records_lie_where_the_board_has_them
    a_meter_that_is_2_percent_off_is_right_by_its_calibration
    an_application_that_changes_the_bootloader_or_itself_is_told_as_a_fault
    the_relay_is_set_within_200_ms_of_power_and_once
    it_joins_and_sends_basic_information_and_a_report_of_what_it_measures
    a_downlink_switches_the_relay_within_10_ms_of_its_end
    the_button_toggles_and_a_long_press_resets_to_the_factory_settings
    above_130_percent_of_the_rated_current_the_relay_opens_350_ms_after_the_first_reading_at_the_latest
    a_restart_by_command_does_not_move_the_relay
    an_outage_is_told_and_session_relay_and_settings_are_there_when_the_mains_returns
    the_same_seed_gives_the_same_run
    a_write_of_flash_that_a_power_cut_has_torn_is_read_over
}
