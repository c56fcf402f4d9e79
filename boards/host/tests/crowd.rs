//! Many sockets in one air, all plugged in at once, with collisions. Somebody who only listens counts what is on the
//! air; the sockets' own ledgers play no part in it.
#![allow(missing_docs, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use clap::Parser;
use sockeye_host::cli::Options;
use sockeye_host::report::Event;
use sockeye_host::world::World;

/// Runs sockets with these settings until `end_ms`.
fn run(sockets: usize, settings: &str, end_ms: u64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.json");
    std::fs::write(&path, format!(r#"{{ "model": "EU", "region": "EU868", {settings} }}"#)).unwrap();
    let sockets = sockets.to_string();
    let options = ["run", "--sockets", &sockets, "--settings", path.to_str().unwrap()];
    let mut world = World::new(&Options::parse_from(options)).unwrap();
    world.run_until_ms(end_ms);
    world
}

/// The thousand of `benches/crowd.rs` in little: fewer, and more often heard of.
#[test]
fn of_forty_sockets_that_join_at_once_none_is_stuck_and_none_is_too_long_on_air() {
    const SOCKETS: usize = 40;
    const REPORT_MS: u64 = 120_000;
    const END_MS: u64 = 1_500_000;
    let mut world = run(SOCKETS, r#""general": { "reporting_interval_s": 120 }"#, END_MS);

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
    assert_eq!(joined.len(), SOCKETS, "not all have joined");
    for (socket, joined_ms) in joined {
        // Whoever joined only now has still time.
        if joined_ms + 3 * REPORT_MS < END_MS {
            let heard = reports.get(&socket).and_then(|reports| reports.last());
            assert!(heard.is_some_and(|heard_ms| heard_ms + 3 * REPORT_MS > END_MS), "{socket} is stuck");
        }
    }
    let air = world.summary().traffic;
    assert_eq!((air.over_duty_cycle, air.silent), (0, 0), "{air:?}");
    assert!((1..=10_000).contains(&air.duty_cycle_ppm), "{air:?}");
    // Some collided, joining and later.
    assert!(air.join_requests > SOCKETS as u64 && air.delivered < air.frames, "{air:?}");
    assert!(air.frames >= 400 && air.delivered_permille() >= Some(900), "{air:?}");
}

#[test]
fn sockets_that_have_more_to_say_than_the_duty_cycle_allows_keep_to_it_and_go_on() {
    // At SF12 a report lasts 1.8 s: one a minute is 3 %, spread over the two bands of EU868 with 1 % each.
    let settings =
        r#""general": { "reporting_interval_s": 60 }, "lorawan": { "adr": false, "data_rate": 0 }"#;
    let mut world = run(4, settings, 4_500_000);
    let air = world.summary().traffic;
    assert_eq!(air.over_duty_cycle, 0, "{air:?}");
    assert!((9_000..=10_000).contains(&air.duty_cycle_ppm), "the limit was not reached: {air:?}");
    // Also in the last quarter of an hour each was heard of.
    let late: BTreeSet<usize> = (world.take_events().into_iter())
        .filter(|(t_ms, _, event)| *t_ms > 3_600_000 && matches!(event, Event::Uplink { port: 85, .. }))
        .map(|(_, socket, _)| socket)
        .collect();
    assert_eq!(late, BTreeSet::from([0, 1, 2, 3]));
}
