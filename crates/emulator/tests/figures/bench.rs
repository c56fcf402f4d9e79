//! A socket on the modelled chip, and what is looked at from outside.

use std::rc::Rc;

use clap::Parser;
use sockeye_emulator::chip::Chip as _;
use sockeye_emulator::elf::Image;
use sockeye_emulator::outside::Outside;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Schedule;
use sockeye_host::world::World;
use sockeye_virtual_hardware::flash::Stm32wlNmi;

use crate::image;

/// How often a figure is taken where nobody says otherwise.
pub fn runs(default: u64) -> u64 {
    std::env::var("SOCKEYE_RUNS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Numbers that look random, the same every time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

/// The least and the greatest of what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub least: i64,
    pub most: i64,
    pub count: u64,
}

impl Span {
    pub const NONE: Self = Self { least: i64::MAX, most: i64::MIN, count: 0 };

    pub fn take(&mut self, value: i64) {
        self.least = self.least.min(value);
        self.most = self.most.max(value);
        self.count += 1;
    }
}

pub struct Bench {
    pub world: World<EmulatedSocket<Stm32wl>>,
    pub events: Vec<(u64, Event)>,
}

impl Bench {
    pub fn new(image: &Rc<Image>, options: &str) -> Self {
        let options = Options::parse_from(std::iter::once("bench").chain(options.split_whitespace()));
        let world = World::with(&options, |place| EmulatedSocket::new(image, &place)).unwrap();
        Self { world, events: Vec::new() }
    }

    /// A socket that has joined and has nothing left to say.
    pub fn joined(seed: u64, options: &str) -> Self {
        let mut bench = Self::new(&image::image(), &format!("--seed {seed} {options}"));
        bench.run(60_000);
        assert!(bench.events.iter().any(|(_, event)| matches!(event, Event::Joined { .. })), "seed {seed}");
        bench
    }

    pub fn act(&mut self, what: &str) -> &mut Self {
        let schedule = Schedule::from_bytes(format!("at 0s {what}").as_bytes()).unwrap();
        for (_, stimulus) in schedule.queue() {
            self.world.apply(stimulus).unwrap();
        }
        self
    }

    pub fn run(&mut self, ms: u64) -> &mut Self {
        let end_ms = self.world.now_ms() + ms;
        self.world.run_until_ms(end_ms);
        self.events.extend(self.world.take_events().into_iter().map(|(t_ms, _, event)| (t_ms, event)));
        self
    }

    pub fn now_us(&self) -> u64 {
        self.world.sim().now_us()
    }

    pub fn socket(&self) -> &EmulatedSocket<Stm32wl> {
        self.world.device(0).unwrap()
    }

    pub fn outside(&self) -> &Outside<Stm32wlNmi> {
        self.socket().outside()
    }

    /// The instants at which the relay's pin moved since the events were last forgotten.
    pub fn relays(&self) -> impl Iterator<Item = (u64, bool, &'static str)> + '_ {
        self.events.iter().filter_map(|(t_ms, event)| match event {
            Event::Relay { on, cause } => Some((*t_ms, *on, *cause)),
            _ => None,
        })
    }

    pub fn reboots(&self) -> usize {
        self.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. })).count()
    }

    /// The image has done nothing that a chip would not have let pass, and no watchdog had to help.
    pub fn is_clean(&self, what: &str) {
        let faults = self.socket().with_machine(|machine| machine.chip().core().faults().clone());
        assert!(faults.as_ref().is_none_or(|faults| faults.is_empty()), "{what}: {faults:?}");
        assert_eq!(self.world.watchdog_resets(), 0, "{what}");
    }
}
