//! Many sockets in one air, all plugged in at once, with collisions.
#![allow(missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::world::World;

const HOUR_MS: u64 = 3_600_000;
const REPORT_MS: u64 = 600_000;

#[test]
fn of_a_hundred_sockets_none_is_stuck_and_none_is_longer_on_air_than_the_law_allows() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("every-10-min.json");
    let text = r#"{ "model": "EU", "region": "EU868", "general": { "reporting_interval_s": 600 } }"#;
    std::fs::write(&settings, text).unwrap();
    let settings = settings.to_str().unwrap();
    let options = Options::parse_from(["run", "--sockets", "100", "--settings", settings]);
    let mut world = World::new(&options).unwrap();
    world.run_until_ms(HOUR_MS);

    // When each socket joined last, and the reports of it that the network heard.
    let (mut joined, mut addresses) = (BTreeMap::new(), BTreeSet::new());
    let mut reports: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for (t_ms, socket, event) in world.take_events() {
        match event {
            Event::Joined { dev_addr } => {
                joined.insert(socket, t_ms);
                assert!(addresses.insert(dev_addr), "two have the address {dev_addr:08x}");
            }
            Event::Uplink { port: 85, .. } => reports.entry(socket).or_default().push(t_ms),
            Event::Reboot { .. } | Event::Error { .. } => panic!("{socket}: {event:?}"),
            _ => {}
        }
    }
    assert_eq!(joined.len(), 100, "joined within the hour");
    for (socket, joined_ms) in joined {
        // Whoever joined only now has still time.
        if joined_ms + 2 * REPORT_MS < HOUR_MS {
            let heard = reports.get(&socket).and_then(|reports| reports.last());
            assert!(heard.is_some_and(|heard_ms| *heard_ms > joined_ms), "{socket} is stuck");
        }
    }
    let air = world.summary().traffic;
    // Somebody who only listens counts what is on the air; the sockets' own ledgers play no part in it.
    assert_eq!(air.over_duty_cycle, 0, "{air:?}");
    assert!((1..=10_000).contains(&air.duty_cycle_ppm), "{air:?}");
    assert!(air.frames >= 500 && air.delivered_permille() >= Some(850), "{air:?}");
    assert!(air.join_requests >= 100, "{air:?}");
}
