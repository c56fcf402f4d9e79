//! An image that goes astray: on the modelled chip, so that handlers, watchdog and memory are those of the release.
#![allow(missing_docs, reason = "tests")]

mod image;

use std::rc::Rc;

use clap::Parser;
use sockeye_emulator::chip::Chip;
use sockeye_emulator::elf::Image;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Schedule;
use sockeye_host::world::World;

struct Bench {
    world: World<EmulatedSocket<Stm32wl>>,
    image: Rc<Image>,
}

impl Bench {
    fn new() -> Self {
        let image = image::image();
        let options = Options::parse_from(["test", "--seed=1"]);
        Self { world: World::with(&options, |place| EmulatedSocket::new(&image, &place)).unwrap(), image }
    }

    fn run(&mut self, script: &str, for_ms: u64) -> Vec<(u64, Event)> {
        let schedule = Schedule::from_bytes(script.as_bytes()).unwrap();
        let (mut events, end_ms) = (Vec::new(), self.world.now_ms() + for_ms);
        self.world
            .run_script(&schedule, end_ms, |(t_ms, _, event)| {
                events.push((t_ms, event));
                Ok::<_, ()>(())
            })
            .unwrap();
        events
    }

    fn socket(&self) -> &EmulatedSocket<Stm32wl> {
        self.world.device(0).unwrap()
    }

    /// Sends the CPU elsewhere, from the thread or from an interrupt.
    fn goes_astray(&self, pc: u32, in_interrupt: bool) {
        let found = self.socket().with_machine(|machine| {
            for _ in 0..1_000_000 {
                if (machine.chip().core().nvic.running() != 0) == in_interrupt {
                    machine.jump(pc);
                    return true;
                }
                let next_us = machine.now_us() + 1;
                machine.run_until_us(next_us).unwrap();
            }
            false
        });
        assert_eq!(found, Some(true));
    }

    fn address_of(&self, instruction: u16) -> u32 {
        self.image.short_instructions().find(|(_, half)| *half == instruction).unwrap().0
    }

    /// Runs on in steps of a millisecond, while current flows all the time.
    fn run_with_the_load_on(&mut self, for_ms: u64) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for _ in 0..for_ms {
            events.extend(self.run("", 1));
            let current_a = self.socket().outside().circuit.flow().current_a;
            assert!(current_a > 9.9, "{} ms: {current_a} A", self.world.now_ms());
        }
        events
    }
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

/// `udf #0x50` (boards/mcu.rs) and `b .`.
const PANIC: u16 = 0xDE50;
const FOR_EVER: u16 = 0xE7FE;

#[test]
fn a_fault_or_a_panic_restarts_at_once_with_the_load_on_and_is_told_with_its_place() {
    for (in_interrupt, is_panic) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut bench = Bench::new();
        bench.run("at 2s load 2300W", 5_000);
        let pc = if is_panic { bench.address_of(PANIC) } else { NOWHERE };
        bench.goes_astray(pc, in_interrupt);
        let events = bench.run_with_the_load_on(2_000);
        let what = if is_panic { "a panic" } else { "a fault of the processor" };
        assert!(tells(&events, &format!("restarted: {what} at {pc:#010x}")), "{events:#?}");
        assert!(matches!(reboots(&events)[..], [(5_000..=5_020, "fault")]), "{events:#?}");
        assert_eq!(bench.world.watchdog_resets(), 0);
        // It is well again, and obeys.
        let events = bench.run("at 60s downlink 85 080000ff", 58_000);
        let off =
            events.iter().any(|(_, event)| matches!(event, Event::Relay { on: false, cause: "downlink" }));
        assert!(off, "{events:#?}");
    }
}

#[test]
fn a_program_that_hangs_is_ended_within_10_s_with_the_load_on_and_told() {
    for (in_interrupt, what) in
        [(false, "restarted: the service task hung"), (true, "the watchdog ended a hang")]
    {
        let mut bench = Bench::new();
        bench.run("at 2s load 2300W", 5_000);
        bench.goes_astray(bench.address_of(FOR_EVER), in_interrupt);
        let events = bench.run_with_the_load_on(10_500);
        assert!(tells(&events, what), "{events:#?}");
        assert!(matches!(reboots(&events)[..], [(5_000..=15_000, "watchdog")]), "{events:#?}");
        assert_eq!(bench.world.watchdog_resets(), 1);
    }
}

#[test]
fn a_program_that_fails_again_and_again_leaves_the_air_alone() {
    let mut bench = Bench::new();
    bench.run("", 50_000);
    for _ in 0..4 {
        bench.goes_astray(NOWHERE, false);
        bench.run("", 200);
    }
    // Held off for a minute after the fourth.
    let events = bench.run("", 55_000);
    let sent =
        events.iter().any(|(_, event)| matches!(event, Event::Uplink { .. } | Event::JoinRequest { .. }));
    assert!(!sent, "{events:#?}");
    let events = bench.run("", 45_000);
    let sent = events.iter().any(|(_, event)| matches!(event, Event::Uplink { .. }));
    assert!(sent, "{events:#?}");
}
