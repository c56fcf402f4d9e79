//! The guide's scenarios on the images of both boards.
#![allow(missing_docs, reason = "tests")]

mod image;

use image::Board;
use libtest_mimic::{Arguments, Trial};
use sockeye_emulator::rp2040::Rp2040;
use sockeye_emulator::socket::EmulatedSocket;
use sockeye_emulator::stm32wl::Stm32wl;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Stimulus;
use sockeye_host::world::World;
use sockeye_scenarios::Bench;

struct OnTheChip<B: Board>(World<EmulatedSocket<B>>);

impl<B: Board> Bench for OnTheChip<B> {
    fn plug_in(options: &Options) -> Result<Self, String> {
        let image = image::of::<B>();
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

/// Scenarios that last for hours of the socket's time, and here for more than 15 s: `cargo xtask bench --only scenarios` runs them.
const LONG: [&str; 4] = [
    "without_rejoin_mode_the_socket_never_joins_anew",
    "adr_lets_the_network_choose_the_data_rate",
    "the_interval_can_be_1_to_1080_minutes",
    "with_power_consumption_disabled_its_value_stands_still",
];

/// Those that do so on the RP2040, whose hours take longer.
const LONG_ON_RP2040: [&str; 2] = [
    "with_an_interval_up_to_30_min_the_connection_is_checked_every_30_min",
    "with_a_longer_interval_the_connection_is_checked_at_every_report",
];

/// Scenarios with a phone at the tag, for the boards that have one.
const TAG: [&str; 3] = [
    "a_smartphone_reads_and_writes_the_settings",
    "the_password_can_be_changed",
    "a_template_is_written_by_a_smartphone_to_devices_of_the_same_band",
];

fn trials<B: Board>() -> impl Iterator<Item = Trial> {
    let has_its_part = |(name, _): &(String, fn())| B::HAS_TAG || !TAG.iter().any(|tag| name.ends_with(tag));
    sockeye_scenarios::all::<OnTheChip<B>>().into_iter().filter(has_its_part).map(|(name, run)| {
        let more = if B::NAME == Rp2040::NAME { &LONG_ON_RP2040[..] } else { &[] };
        let is_long = LONG.iter().chain(more).any(|long| name.ends_with(long));
        let run = move || {
            run();
            Ok(())
        };
        Trial::test(format!("{}: {name}", B::NAME), run).with_ignored_flag(is_long)
    })
}

fn main() {
    let trials = trials::<Stm32wl>().chain(trials::<Rp2040>()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
