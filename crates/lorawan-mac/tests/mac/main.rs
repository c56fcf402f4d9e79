//! The MAC against `lrwn`, the LoRaWAN library of a network server: what either side builds, the other reads.

mod bench;
#[cfg(feature = "certification")]
mod certification;
mod class_c;
mod commands;
mod confirmed;
mod counters;
mod crashes;
mod d2d;
mod driver;
mod fixed_channels;
mod frames;
mod give_way;
mod join;
mod laws;
mod listen;
mod multicast;
mod plans;
mod random;
mod rejoin;
mod traps;
mod windows;

/// Every file that holds requirement tests.
const SOURCES: &[&str] = &[
    include_str!("certification.rs"),
    include_str!("class_c.rs"),
    include_str!("commands.rs"),
    include_str!("confirmed.rs"),
    include_str!("counters.rs"),
    include_str!("crashes.rs"),
    include_str!("d2d.rs"),
    include_str!("driver.rs"),
    include_str!("frames.rs"),
    include_str!("join.rs"),
    include_str!("laws.rs"),
    include_str!("listen.rs"),
    include_str!("multicast.rs"),
    include_str!("plans.rs"),
    include_str!("rejoin.rs"),
    include_str!("traps.rs"),
    include_str!("windows.rs"),
    include_str!("../../src/fifo.rs"),
    // The same on a modelled chip, and on the whole socket.
    include_str!("../../../radio/tests/mac/listening.rs"),
    include_str!("../../../../boards/host/tests/certification.rs"),
    include_str!("../../../../boards/host/tests/lorawan.rs"),
    include_str!("../../src/region/tests.rs"),
];

#[test]
fn the_table_of_requirements_names_every_test_and_no_other() {
    let page = include_str!("../../../../docs/LORAWAN.md");
    let row = |id: &str| page.lines().find(|line| line.starts_with(&format!("| {id} "))).unwrap_or_default();
    let tests: Vec<&str> = SOURCES
        .iter()
        .flat_map(|source| source.split("fn ").skip(1))
        .filter_map(|rest| rest.split_once("()"))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("mac_"))
        .collect();
    assert!(tests.len() > 80);
    for test in &tests {
        let mut parts = test.split('_').skip(1);
        let id = format!("MAC-{}-{}", parts.next().unwrap().to_uppercase(), parts.next().unwrap());
        assert!(row(&id).contains(&format!("`{test}`")), "{test} is not in the row of {id}");
    }
    for name in page.split('`').filter(|part| part.starts_with("mac_") && !part.contains(' ')) {
        assert!(tests.contains(&name), "{name} is in docs/LORAWAN.md, and nowhere else");
    }
}
