//! The guide's scenarios on the STM32WL image.
#![allow(missing_docs, reason = "tests")]

mod image;

use libtest_mimic::{Arguments, Trial};
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Stimulus;
use sockeye_host::world::World;
use sockeye_scenarios::Bench;

struct OnTheChip(World<EmulatedSocket>);

impl Bench for OnTheChip {
    fn plug_in(options: &Options) -> Result<Self, String> {
        let image = image::image();
        World::with(options, |place| EmulatedSocket::new(&image, &place)).map(Self)
    }

    fn act(&mut self, stimulus: &Stimulus) -> Result<(), String> {
        self.0.apply(stimulus)
    }

    fn run_until_ms(&mut self, t_ms: u64) {
        self.0.run_until_ms(t_ms);
    }

    fn now_ms(&self) -> u64 {
        self.0.now_ms()
    }

    fn take_events(&mut self) -> Vec<(u64, usize, Event)> {
        self.0.take_events()
    }
}

fn main() {
    let trial = |(name, run): (String, fn())| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let trials = sockeye_scenarios::all::<OnTheChip>().into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
