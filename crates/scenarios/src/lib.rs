//! The guide's chapters as scenarios, for every bench that a socket can be tried on.
//!
//! A scenario is written once, in the words of the guide, against [`Socket`]; [`all`] lists them for a bench.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod chapter_2_hardware;
mod chapter_3_1_plugging_in;
mod chapter_3_2_lorawan;
mod chapter_3_3_general;
mod chapter_3_4_d2d;
mod chapter_3_5_maintenance;
mod chapter_4_payload;
mod payload;
mod socket;

pub use payload::{Record, SensorData, records};
pub use socket::Socket;

use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Stimulus;
use sockeye_host::world::World;

/// A place where a socket can be tried: the host board, or an image on a modelled chip.
pub trait Bench {
    /// Plugs a socket in; the options are those of `cargo xtask run`.
    ///
    /// # Errors
    /// A sentence that says which option is in the way.
    fn plug_in(options: &Options) -> Result<Self, String>
    where
        Self: Sized;

    /// Does something to the socket, now.
    ///
    /// # Errors
    /// A sentence that says why it cannot be done.
    fn act(&mut self, stimulus: &Stimulus) -> Result<(), String>;

    /// Lets time pass until the clock shows `t_ms` since power-up.
    fn run_until_ms(&mut self, t_ms: u64);

    /// Tells the time since power-up.
    fn now_ms(&self) -> u64;

    /// Takes the events since the last call: time, socket, what happened.
    fn take_events(&mut self) -> Vec<(u64, usize, Event)>;
}

impl Bench for World {
    fn plug_in(options: &Options) -> Result<Self, String> {
        Self::new(options)
    }

    fn act(&mut self, stimulus: &Stimulus) -> Result<(), String> {
        self.apply(stimulus)
    }

    fn run_until_ms(&mut self, t_ms: u64) {
        Self::run_until_ms(self, t_ms);
    }

    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }

    fn take_events(&mut self) -> Vec<(u64, usize, Event)> {
        Self::take_events(self)
    }
}

/// One scenario: where it stands and what it shows, and the run that panics when it is not so.
pub type Scenario = (String, fn());

/// Lists all scenarios for a bench.
#[must_use]
pub fn all<B: Bench>() -> Vec<Scenario> {
    [
        chapter_2_hardware::scenarios::<B>(),
        chapter_3_1_plugging_in::scenarios::<B>(),
        chapter_3_2_lorawan::scenarios::<B>(),
        chapter_3_3_general::scenarios::<B>(),
        chapter_3_4_d2d::scenarios::<B>(),
        chapter_3_5_maintenance::scenarios::<B>(),
        chapter_4_payload::scenarios::<B>(),
    ]
    .concat()
}

/// Lists the scenarios of a chapter; one that is left out is dead code, and told by the compiler.
macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        pub(crate) fn scenarios<B: crate::Bench>() -> Vec<crate::Scenario> {
            let chapter = module_path!().rsplit("::").next().unwrap_or_default();
            vec![$((format!("{chapter}::{}", stringify!($name)), $name::<B> as fn())),+]
        }
    };
}
pub(crate) use scenarios;
