//! An image that goes astray: on the modelled chip, so that handlers, watchdog and memory are those of the release.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod image;

use bench::Bench;
use image::{Board, MemoryMap};
use sockeye_emulator::chip::ResetKind;
use sockeye_emulator::elf::Image;
use sockeye_emulator::machine::Machine;
use sockeye_emulator::outside::Change;
use sockeye_host::report::Event;

/// Runs a script for so long.
fn run<B: Board>(bench: &mut Bench<B>, script: &str, for_ms: u64) -> Vec<(u64, Event)> {
    let end_ms = bench.world.now_ms() + for_ms;
    bench.script(script, end_ms)
}

/// Sends the CPU elsewhere, from the thread or from an interrupt; tells when, in ms.
fn goes_astray<B: Board>(bench: &Bench<B>, pc: u32, in_interrupt: bool) -> u64 {
    let found = bench.socket().with_machine(|machine| {
        for _ in 0..1_000_000 {
            if (machine.chip().core().nvic.running() != 0) == in_interrupt {
                machine.jump(pc);
                return Some(machine.now_us() / 1000);
            }
            let next_us = machine.now_us() + 1;
            machine.run_until_us(next_us).unwrap();
        }
        None
    });
    found.flatten().expect("it comes there")
}

fn address_of(image: &Image, instruction: u16) -> u32 {
    image.short_instructions().find(|(_, half)| *half == instruction).unwrap().0
}

/// Runs on in steps of a millisecond, while current flows all the time.
fn run_with_the_load_on<B: Board>(bench: &mut Bench<B>, for_ms: u64) -> Vec<(u64, Event)> {
    let mut events = Vec::new();
    for _ in 0..for_ms {
        events.extend(run(bench, "", 1));
        let current_a = bench.outside().circuit.flow().current_a;
        assert!(current_a > 9.9, "{} ms: {current_a} A", bench.world.now_ms());
    }
    events
}

fn tells(events: &[(u64, Event)], start: &str) -> bool {
    events.iter().any(|(_, event)| matches!(event, Event::Error { what } if what.starts_with(start)))
}

fn reboots(events: &[(u64, Event)]) -> Vec<(u64, &'static str)> {
    let reboot = |(t_ms, event): &(u64, Event)| match event {
        Event::Reboot { cause } => Some((*t_ms, *cause)),
        _ => None,
    };
    events.iter().filter_map(reboot).collect()
}

/// Where nothing is (STM32WL memory map: between the peripherals and those of the core).
const NOWHERE: u32 = 0x6000_0000;

/// `udf #0xFE` (boards/mcu.rs) and `b .`.
const PANIC: u16 = 0xDEFE;
const FOR_EVER: u16 = 0xE7FE;

fn a_fault_or_a_panic_restarts_at_once_with_the_load_on_and_is_told_with_its_place<B: Board>() {
    for (in_interrupt, is_panic) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut bench = Bench::<B>::new("--seed 1");
        run(&mut bench, "at 2s load 2300W", 5_000);
        let pc = if is_panic { address_of(&bench.image, PANIC) } else { NOWHERE };
        let astray_ms = goes_astray(&bench, pc, in_interrupt);
        let events = run_with_the_load_on(&mut bench, 2_000);
        let what = if is_panic { "a panic" } else { "a fault of the processor" };
        assert!(tells(&events, &format!("restarted: {what} at {pc:#010x}")), "{events:#?}");
        let reboots = reboots(&events);
        assert!(
            matches!(reboots[..], [(at_ms, "fault")] if (astray_ms..=astray_ms + 20).contains(&at_ms)),
            "{events:#?}"
        );
        assert_eq!(bench.world.watchdog_resets(), 0);
        // It is well again, and obeys.
        let events = run(&mut bench, "at 60s downlink 85 080000ff", 58_000);
        let off =
            events.iter().any(|(_, event)| matches!(event, Event::Relay { on: false, cause: "downlink" }));
        assert!(off, "{events:#?}");
    }
}

fn a_program_that_hangs_is_ended_within_10_s_with_the_load_on_and_told<B: Board>() {
    for (in_interrupt, what) in
        [(false, "restarted: the service task hung"), (true, "the watchdog ended a hang")]
    {
        let mut bench = Bench::<B>::new("--seed 1");
        run(&mut bench, "at 2s load 2300W", 5_000);
        goes_astray(&bench, address_of(&bench.image, FOR_EVER), in_interrupt);
        let events = run_with_the_load_on(&mut bench, 10_500);
        assert!(tells(&events, what), "{events:#?}");
        assert!(matches!(reboots(&events)[..], [(5_000..=15_000, "watchdog")]), "{events:#?}");
        assert_eq!(bench.world.watchdog_resets(), 1);
    }
}

fn a_program_that_fails_again_and_again_leaves_the_air_alone<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 1");
    run(&mut bench, "", 50_000);
    for _ in 0..4 {
        goes_astray(&bench, NOWHERE, false);
        run(&mut bench, "", 200);
    }
    // Held off for a minute after the fourth.
    let events = run(&mut bench, "", 55_000);
    let sent =
        events.iter().any(|(_, event)| matches!(event, Event::Uplink { .. } | Event::JoinRequest { .. }));
    assert!(!sent, "{events:#?}");
    let events = run(&mut bench, "", 45_000);
    let sent = events.iter().any(|(_, event)| matches!(event, Event::Uplink { .. }));
    assert!(sent, "{events:#?}");
}

/// Restarts the chip, and has the application go astray before it has done anything; tells how the relay's pin is driven then.
fn fails_at_its_start<B: Board>(bench: &Bench<B>) -> bool {
    let flash = MemoryMap::of::<B>().number("bootloader_origin") & 0xFF00_0000;
    let application = flash + B::PROGRAMS.active.start;
    let mut relay = None;
    let mut step = |machine: &mut Machine<B>| {
        let next_us = machine.now_us() + 1;
        machine.run_until_us(next_us).unwrap();
        for change in machine.chip().core_mut().take_changes() {
            if let Change::Relay(on) = change {
                relay = Some(on);
            }
        }
        machine.chip().core().vtor()
    };
    bench.socket().with_machine(|machine| {
        machine.chip().core_mut().ask_for_reset(ResetKind::Software);
        assert_ne!(step(machine), application);
        let comes_there = (0..200_000).any(|_| step(machine) == application);
        assert!(comes_there, "the bootloader does not end");
        machine.jump(NOWHERE);
        // To its fault's handler and the reset at the end of that.
        let is_reset = (0..200_000).any(|_| step(machine) != application);
        assert!(is_reset, "no reset");
    });
    relay.expect("the bootloader drives the pin")
}

fn an_application_that_does_not_come_to_run_any_more_is_left_without_its_load<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 1");
    run(&mut bench, "at 2s load 2300W", 5_000);
    let on: Vec<bool> = (0..12).map(|_| fails_at_its_start(&bench)).collect();
    assert_eq!(on, [vec![true; 10], vec![false; 2]].concat());
    // Nor does it come back by itself when all is well again.
    let events = run(&mut bench, "", 20_000);
    assert!(bench::relays(&events).all(|(_, on, _)| !on), "{events:#?}");
    assert!(bench.outside().circuit.flow().current_a < 0.1);
}

on_both! {
    an_application_that_does_not_come_to_run_any_more_is_left_without_its_load
    a_fault_or_a_panic_restarts_at_once_with_the_load_on_and_is_told_with_its_place
    a_program_that_hangs_is_ended_within_10_s_with_the_load_on_and_told
    a_program_that_fails_again_and_again_leaves_the_air_alone
}
