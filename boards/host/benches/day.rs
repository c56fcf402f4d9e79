//! How much faster than the clock a day of one socket runs.
//!
//! One socket, a load of 1500 W, a report every 20 minutes, one command an hour, everything as in
//! `cargo xtask run`: the firmware's tasks, the SX126x at its SPI bus, the meter at its UART read ten times a
//! second, the network server. Five days are run; the fastest counts, because whatever else the computer does
//! only makes a day slower.
#![allow(missing_docs, reason = "a bench")]

use std::time::Instant;

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::script::Schedule;
use sockeye_host::world::World;

const DAY_MS: u64 = 86_400_000;
const SCRIPT: &str = "at 1m load 1500W\nevery 1h downlink 85 080100ff\n";

/// Runs a day; tells its seconds on this computer, and its uplinks and downlinks.
fn day(seed: u64) -> (f64, u64, u64) {
    let options = Options::parse_from(["day", "--seed", &seed.to_string()]);
    let schedule = Schedule::parse(SCRIPT).expect("the script is right");
    let started = Instant::now();
    let mut world = World::new(&options).expect("the options are right");
    let mut errors = 0_u64;
    let sink = |(_, _, event)| {
        errors += u64::from(matches!(event, Event::Error { .. }));
        Ok::<(), ()>(())
    };
    world.run_script(&schedule, DAY_MS, sink).expect("the sink takes all");
    let seconds = started.elapsed().as_secs_f64();
    let summary = world.summary();
    assert_eq!(errors, 0, "the day had errors");
    assert!(summary.downlinks >= 23 && summary.uplinks >= 72, "the socket did not live its day: {summary:?}");
    (seconds, summary.uplinks, summary.downlinks)
}

fn main() {
    println!(
        "method: one socket, 1500 W, a report every 20 min, a command an hour; the firmware with SX126x at its SPI bus,\n\
         BL0942 at its UART read 10 times a second, and network server, on virtual time; wall time of whole days"
    );
    let days: Vec<_> = (1..=5).map(day).collect();
    let fastest = days.iter().map(|(seconds, ..)| *seconds).fold(f64::INFINITY, f64::min);
    for (seconds, uplinks, downlinks) in &days {
        println!("a day in {seconds:.3} s: {uplinks} uplinks, {downlinks} downlinks, 864000 readings");
    }
    println!("fastest of {}: {:.0} times real time", days.len(), 86_400.0 / fastest);
}
