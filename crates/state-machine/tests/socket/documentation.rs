//! docs/BEHAVIOUR.md names only tests that exist.

const PAGE: &str = include_str!("../../../../docs/BEHAVIOUR.md");

const FILES: [(&str, &str); 11] = [
    ("button_led", include_str!("button_led.rs")),
    ("commands", include_str!("commands.rs")),
    ("d2d", include_str!("d2d.rs")),
    ("maintenance", include_str!("maintenance.rs")),
    ("meter_fault", include_str!("meter_fault.rs")),
    ("outbox", include_str!("outbox.rs")),
    ("protection", include_str!("protection.rs")),
    ("reboot", include_str!("reboot.rs")),
    ("reports", include_str!("reports.rs")),
    ("start", include_str!("start.rs")),
    ("supply_loss", include_str!("supply_loss.rs")),
];

#[test]
fn every_test_that_the_page_names_exists() {
    let mut named = 0;
    for (file, test) in PAGE.split('`').filter_map(|quoted| quoted.split_once("::")) {
        let source = match FILES.iter().find(|(name, _)| *name == file) {
            Some((_, source)) => source,
            None => include_str!("stores.rs"),
        };
        assert!(source.contains(&format!("\nfn {test}() {{")), "{file}::{test}");
        named += 1;
    }
    assert!(named > 40, "{named}");
}
