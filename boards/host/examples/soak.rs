//! Lives of one socket at random: `cargo xtask soak`. Called as `soak FIRST_SEED SEEDS DAYS`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Instant;

use sockeye_host::soak;

fn main() -> ExitCode {
    let numbers: Option<Vec<u64>> = std::env::args().skip(1).map(|word| word.parse().ok()).collect();
    let Some([first, seeds, days]) = numbers.as_deref() else {
        eprintln!("error: expected FIRST_SEED SEEDS DAYS; `cargo xtask soak` calls this");
        return ExitCode::from(2);
    };
    let mut failed = 0_u64;
    for seed in *first..first.saturating_add(*seeds) {
        let start = Instant::now();
        let result = std::panic::catch_unwind(|| soak::live(seed, *days));
        let wall_s = start.elapsed().as_secs_f32();
        match result {
            Ok(Ok(life)) => println!(
                "seed {seed}: {days} days in {wall_s:.1} s: {} frames, {} joins, {} downlinks, {} presses, {} trips, {} power cuts, \
                 {} dips, {} reboots, {} Wh of which {} are missing: all as it should be",
                life.frames,
                life.joins,
                life.downlinks,
                life.presses,
                life.trips,
                life.cuts,
                life.dips,
                life.reboots,
                life.energy_wh,
                life.missing_wh
            ),
            Ok(Err(what)) => {
                println!("seed {seed}: FAILED {what}");
                failed += 1;
            }
            Err(_) => {
                println!("seed {seed}: FAILED with a panic, above");
                failed += 1;
            }
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}
