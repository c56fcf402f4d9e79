//! Commands of D2D controllers, as they come from the agent.

use sockeye_settings::{Action, ButtonLock};
use sockeye_state_machine::Event;

use crate::bench::{Bench, amperes, boot};

/// Gives commands to a joined socket that is on, and compares relay, stores, uplinks and what was ignored in the
/// 2 s from then.
#[track_caller]
fn check(actions: &[Action], want: &[&str]) {
    let mut bench = Bench::joined();
    for &action in actions {
        bench.event(Event::D2d(action));
    }
    bench.after(2_000);
    bench.check(&["relay", "store", "uplink", "ignored"], want);
}

#[test]
fn a_command_switches_the_relay_and_is_reported_within_2_s() {
    let report = "101800 uplink Report 08700005810007c900000374fc08068300000000048000000000";
    let off = ["100000 relay off d2d", "100000 store RelayState", report];
    check(&[Action::Off], &off);
    check(&[Action::Toggle], &off);
    check(&[Action::On], &[]);
    check(
        &[Action::Off, Action::Toggle],
        &[
            "100000 relay off d2d",
            "100000 store RelayState",
            "100000 relay on d2d",
            "100020 store RelayState",
            "101800 uplink Report 08700105810007c900000374fc08068300000000048000000000",
        ],
    );
}

#[test]
fn a_command_counts_as_somebody_who_switches_on_after_a_trip() {
    let mut bench = Bench::joined();
    bench.meter = Some(amperes(14.0));
    bench.after(5_000);
    assert!(!bench.socket.relay_on());
    bench.meter = Some(amperes(1.0));
    bench.effects.clear();
    bench.event(Event::D2d(Action::On)).after(60_000);
    bench.check(&["relay", "trip"], &["105000 relay on d2d"]);
    // Into the same overload it trips again.
    bench.meter = Some(amperes(14.0));
    bench.after(5_000);
    assert!(!bench.socket.relay_on());
}

#[test]
fn a_command_leaves_the_delay_task_as_it_is() {
    let mut bench = Bench::joined();
    // On in 60 s.
    bench.downlink("ff22003c0011").effects.clear();
    bench.event(Event::D2d(Action::Off)).after(70_000);
    bench.check(&["relay"], &["100000 relay off d2d", "160000 relay on delay_task"]);
}

#[test]
fn a_locked_button_does_not_lock_the_controllers_out() {
    let mut bench = Bench::joined_with(|boot| {
        boot.settings.general.button_lock = ButtonLock { enabled: true, minutes: 0 };
    });
    bench.event(Event::D2d(Action::Toggle));
    bench.check(&["relay", "ignored"], &["100000 relay off d2d"]);
}

#[test]
fn a_socket_that_never_joined_obeys_and_tells_of_it_when_the_session_begins() {
    let mut alone = Bench::new(boot());
    alone.at(10_000).effects.clear();
    alone.event(Event::D2d(Action::On)).after(60_000);
    alone.check(&["relay", "uplink"], &["10000 relay on d2d"]);
    alone.effects.clear();
    alone.event(Event::Joined).after(10_000);
    let told = alone.lines(&["uplink Report"]);
    assert!(told.iter().any(|line| line.contains("Report 087001")), "{told:?}");
}
