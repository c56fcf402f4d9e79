//! A short life at random; `cargo xtask soak` lives longer ones, and more of them.
#![allow(missing_docs, reason = "tests")]

use sockeye_host::soak;

#[test]
fn a_day_at_random_goes_well() {
    let life = soak::live(SEED, 1).unwrap();
    // One in which all of it happens.
    assert!(life.frames > 80 && life.joins > 0 && life.downlinks > 3 && life.presses > 3, "{life:?}");
    assert!(life.trips > 0 && life.cuts > 0 && life.reboots > 0 && life.energy_wh > 1_000, "{life:?}");
}

const SEED: u64 = 3;
