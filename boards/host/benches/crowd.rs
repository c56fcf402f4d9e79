//! A thousand sockets that are all plugged in at once, on one gateway: how they join, what is delivered, and how long
//! they are on the air. The first hour is that of the join storm, the second one shows what comes after.
#![allow(missing_docs, reason = "a bench")]

use std::collections::BTreeSet;
use std::time::Instant;

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::traffic::Counts;
use sockeye_host::world::World;

const HOUR_MS: u64 = 3_600_000;

fn main() {
    println!(
        "method: EU868, 1000 sockets plugged in at once, a report every 10 min, one gateway with 8 channels, ADR and\n\
         collisions (6 dB capture, path losses of 95 to 125 dB), seed 1; virtual time, counted on the air"
    );
    let path = std::env::temp_dir().join(format!("sockeye-crowd-{}.json", std::process::id()));
    let text = r#"{ "model": "EU", "region": "EU868", "general": { "reporting_interval_s": 600 } }"#;
    std::fs::write(&path, text).expect("a file for the settings");
    let settings = path.to_str().expect("a plain path");
    let options = Options::parse_from(["crowd", "--sockets", "1000", "--settings", settings]);
    let mut world = World::new(&options).expect("the options are right");
    let _kept_by_the_system_otherwise = std::fs::remove_file(&path);
    let mut joined = BTreeSet::new();
    let mut before = Counts::default();
    for hour in 1..=2 {
        let started = Instant::now();
        world.run_until_ms(hour * HOUR_MS);
        for (_, socket, event) in world.take_events() {
            if matches!(event, Event::Joined { .. }) {
                joined.insert(socket);
            }
        }
        let now = world.summary().traffic;
        let part = Counts {
            join_requests: now.join_requests - before.join_requests,
            frames: now.frames - before.frames,
            delivered: now.delivered - before.delivered,
            ..now.clone()
        };
        println!(
            "hour {hour}: {} joined, {} join requests; {} of {} data frames delivered ({:.1} %); {} sockets not heard yet",
            joined.len(),
            part.join_requests,
            part.delivered,
            part.frames,
            part.delivered_permille().unwrap_or_default() as f64 / 10.0,
            now.silent,
        );
        println!(
            "        on air in a band in any hour so far: {:.2} % at most, {:.2} % on average, {} over the limit; {:.0} s",
            now.duty_cycle_ppm as f64 / 10_000.0,
            now.duty_cycle_mean_ppm as f64 / 10_000.0,
            now.over_duty_cycle,
            started.elapsed().as_secs_f64(),
        );
        assert_eq!(now.over_duty_cycle, 0, "a socket was longer on the air than the law allows");
        before = now;
    }
    assert_eq!(joined.len(), 1000, "not all have joined");
}
