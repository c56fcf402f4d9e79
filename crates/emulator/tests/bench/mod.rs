//! A socket on a modelled chip, and what is looked at from outside.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::rc::Rc;

use clap::Parser;
use sockeye_emulator::elf::Image;
use sockeye_emulator::outside::Outside;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Schedule;
use sockeye_host::world::World;

use crate::image::{self, Board};

/// A socket, and what was told of it.
pub struct Bench<B: Board> {
    pub world: World<EmulatedSocket<B>>,
    pub image: Rc<Image>,
    /// What was told, with its time in ms, since somebody last forgot it.
    pub events: Vec<(u64, Event)>,
}

impl<B: Board> Bench<B> {
    /// Plugs a socket in, with options of the command line.
    pub fn new(options: &str) -> Self {
        let image = image::of::<B>();
        let options = Options::parse_from(std::iter::once("bench").chain(options.split_whitespace()));
        let world = World::with(&options, |place| EmulatedSocket::new(&image, &place)).unwrap();
        Self { world, image, events: Vec::new() }
    }

    /// A socket that has joined and has nothing left to say.
    pub fn joined(seed: u64, options: &str) -> Self {
        let mut bench = Self::new(&format!("--seed {seed} {options}"));
        bench.run(60_000);
        assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })), "seed {seed}");
        bench
    }

    /// Does now what a line of a script would do.
    pub fn act(&mut self, what: &str) -> &mut Self {
        let schedule = Schedule::from_bytes(format!("at 0s {what}").as_bytes()).unwrap();
        for (_, stimulus) in schedule.queue() {
            self.world.apply(stimulus).unwrap();
        }
        self
    }

    /// Lets time pass.
    pub fn run(&mut self, ms: u64) -> &mut Self {
        let end_ms = self.world.now_ms() + ms;
        self.world.run_until_ms(end_ms);
        self.events.extend(self.world.take_events().into_iter().map(|(t_ms, _, event)| (t_ms, event)));
        self
    }

    /// Runs a script until then, and gives what is told meanwhile.
    pub fn script(&mut self, script: &str, end_ms: u64) -> Vec<(u64, Event)> {
        let schedule = Schedule::from_bytes(script.as_bytes()).unwrap();
        let mut events = Vec::new();
        self.world
            .run_script(&schedule, end_ms, |(t_ms, _, event)| {
                events.push((t_ms, event));
                Ok::<_, ()>(())
            })
            .unwrap();
        events
    }

    pub fn now_us(&self) -> u64 {
        self.world.sim().now_us()
    }

    pub fn socket(&self) -> &EmulatedSocket<B> {
        self.world.device(0).unwrap()
    }

    pub fn outside(&self) -> &Outside<B::Nor> {
        self.socket().outside()
    }

    /// The instants at which the relay's pin moved since the events were last forgotten.
    pub fn relays(&self) -> impl Iterator<Item = (u64, bool, &'static str)> + '_ {
        relays(&self.events)
    }

    pub fn reboots(&self) -> usize {
        self.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. })).count()
    }

    /// Shows the RAM that is left for the stack. Power-up leaves noise there: what is changed of it was used.
    pub fn stack(&self) -> Vec<u8> {
        let (end, start) =
            (self.image.symbol("__euninit").unwrap(), self.image.symbol("_stack_start").unwrap());
        self.socket().with_machine(|machine| machine.ram(end, (start - end) as usize).unwrap()).unwrap()
    }

    /// Tells how much of the stack was used since it was as in `before`, and that a kilobyte at least was left.
    pub fn stack_used(&self, before: &[u8]) -> usize {
        let untouched =
            before.iter().zip(self.stack()).take_while(|(before, after)| *before == after).count();
        assert!(untouched >= 1024, "{untouched} bytes left");
        before.len() - untouched
    }

    /// The image has done nothing that a chip would not have let pass, touched no register without a model, and no
    /// watchdog had to help.
    pub fn is_clean(&self, what: &str) {
        let faults = self.socket().with_machine(|machine| machine.chip().core().faults().clone());
        assert!(faults.as_ref().is_none_or(|faults| faults.is_empty()), "{what}: {faults:?}");
        assert_eq!(self.world.watchdog_resets(), 0, "{what}");
    }
}

/// The moves of the relay's pin.
pub fn relays(events: &[(u64, Event)]) -> impl Iterator<Item = (u64, bool, &'static str)> + '_ {
    events.iter().filter_map(|(t_ms, event)| match event {
        Event::Relay { on, cause } => Some((*t_ms, *on, *cause)),
        _ => None,
    })
}
