//! The button on the whole socket: what a long hold, a restart and a lock make of it.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::report::Event;

#[test]
fn a_button_that_is_still_held_when_the_factory_reset_restarts_does_not_switch() {
    for held in ["12500ms", "13500ms", "16s", "26s"] {
        let mut bench = Bench::joined("");
        bench.forget().act(&format!("hold {held}")).run(60_000);
        let resets = bench.events.iter().filter(|(_, event)| matches!(event, Event::Reboot { .. })).count();
        assert_eq!(resets, 1, "held {held}");
        assert!(matches!(bench.relay()[..], [(_, true, "power_up")]), "held {held}: {:?}", bench.relay());
    }
}
