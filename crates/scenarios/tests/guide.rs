//! Every scenario of the guide on the host board.
#![allow(missing_docs, reason = "tests")]

use libtest_mimic::{Arguments, Trial};
use sockeye_host::world::World;

fn main() {
    let trial = |(name, run): (String, fn())| {
        Trial::test(name, move || {
            run();
            Ok(())
        })
    };
    let trials = sockeye_scenarios::all::<World>().into_iter().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
