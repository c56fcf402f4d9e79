//! Downlinks: the guide's examples end to end, ranges, answers, multicast.

use sockeye_settings::Threshold;
use sockeye_state_machine::{Event, Ignored};

use crate::bench::{Bench, bytes, task};

/// Sends a downlink to a joined socket that is on, and compares relay, stores, uplinks of the next second
/// and what was ignored.
#[track_caller]
fn check(downlink: &str, want: &[&str]) {
    let mut bench = Bench::joined();
    bench.downlink(downlink).after(1_000);
    bench.check(&["relay", "store", "uplink", "ignored", "reboot"], want);
}

#[test]
fn the_guides_examples_are_obeyed_and_answered() {
    // 1. Open the supply of the socket: it is open already.
    check("080100ff", &[]);
    check("080000ff", &["100000 relay off downlink", "100000 store RelayState"]);
    // 2. Reporting interval 20 minutes: it is so already, and in flash.
    check("ff03b004", &["100000 uplink Answer fe03b004"]);
    // 3. Delay task: open after one minute.
    check("ff22003c0011", &["100000 store DelayTask", "100000 uplink Answer fe22003c0011"]);
    // 4. Delete the delay task.
    check("ff2300ff", &["100000 uplink Answer fe2300ff"]);
    // 5. Alarm and protection at 10 A: as by default.
    check("ff24010aff30010a", &["100000 uplink Answer fe24010afe30010a"]);
    // 6. Reset power consumption.
    check("ff27ff", &["100000 store Energy", "100020 uplink Answer fe27ff"]);
    // 7. Reboot.
    check("ff10ff", &["100000 uplink Answer fe10ff"]);
}

#[test]
fn a_changed_setting_is_in_flash_before_its_answer_goes() {
    check("ff03100e", &["100000 store Settings", "100020 uplink Answer fe03100e"]);
    check("ff240108", &["100000 store Settings", "100020 uplink Answer fe240108"]);
    check("ff300008", &["100000 store Settings", "100020 uplink Answer fe300008"]);
    check("ff250a80", &["100000 store Settings", "100020 uplink Answer fe250a80"]);
    check("ff2600", &["100000 store Settings", "100020 uplink Answer fe2600"]);
    check("ff2f00", &["100000 store Settings", "100020 uplink Answer fe2f00"]);
}

#[test]
fn all_commands_of_a_downlink_are_answered_in_one() {
    check(
        "ff03100e080000ffff2600ff2c ff ff28ff ff2300ff",
        &[
            "100000 relay off downlink",
            "100000 store Settings",
            "100000 store RelayState",
            "100000 uplink BasicInformation ff0101ff166148b13783621055ff090100ff0a0103ff0f02ff24010aff30010aff250000ff2600",
            "100000 uplink Report 08700005810007c900000374fc08068300000000048000000000",
            "100020 uplink Answer fe03100efe2600fe2cfffe28fffe2300ff",
        ],
    );
}

#[test]
fn the_same_command_twice_is_answered_twice() {
    check("ff2600ff2601", &["100000 store Settings", "100020 uplink Answer fe2600fe2601"]);
}

#[test]
fn enquiries_bring_a_report_and_the_basic_information() {
    check(
        "ff28ff",
        &[
            "100000 uplink Answer fe28ff",
            "100000 uplink Report 08700105810007c900000374fc08068300000000048000000000",
        ],
    );
    check(
        "ff2cff",
        &[
            "100000 uplink Answer fe2cff",
            "100000 uplink BasicInformation ff0101ff166148b13783621055ff090100ff0a0103ff0f02ff24010aff30010aff250000ff2601",
        ],
    );
}

#[test]
fn a_switch_command_goes_by_its_first_byte_alone() {
    for (payload, want) in [
        ("0800ffff", &["100000 relay off downlink"][..]),
        ("08000000", &["100000 relay off downlink"]),
        ("080200ff", &["100000 ignored command out of range"]),
        ("08ff00ff", &["100000 ignored command out of range"]),
        // What follows an ignored one is obeyed.
        ("080200ff080000ff", &["100000 relay off downlink", "100000 ignored command out of range"]),
        // Both in the same instant: no relay can do that.
        ("080000ff080100ff", &[]),
    ] {
        let mut bench = Bench::joined();
        bench.downlink(payload).after(1_000);
        bench.check(&["relay", "ignored"], want);
    }
}

#[test]
fn values_outside_their_range_are_ignored_counted_and_not_answered() {
    // Model AU: thresholds 1..10 A; interval 60..64800 s.
    for payload in [
        "ff033b00",
        "ff0321fd",
        "ff24010b",
        "ff240100",
        "ff30010b",
        "ff300000",
        "ff240201",
        "ff2602",
        "ff22003c0012",
    ] {
        let mut bench = Bench::joined();
        let before = bench.socket.settings().clone();
        bench.downlink(payload).after(1_000);
        bench.check(&["ignored", "store", "uplink"], &["100000 ignored command out of range"]);
        assert_eq!(*bench.socket.settings(), before, "{payload}");
        assert_eq!(bench.socket.counters().ignored(Ignored::OutOfRange), 1, "{payload}");
    }
}

#[test]
fn the_ends_of_the_ranges_are_obeyed() {
    for payload in ["ff033c00", "ff0320fd", "ff24010a", "ff240101", "ff30010a", "ff300101"] {
        let mut bench = Bench::joined();
        bench.downlink(payload).after(1_000);
        let answer: Vec<_> = bench.uplinks().map(|(_, uplink)| uplink.payload.to_vec()).collect();
        assert_eq!(answer, [bytes(&payload.replacen("ff", "fe", 1))]);
    }
    let mut bench = Bench::joined();
    bench.downlink("ff240108ff30000a");
    let general = &bench.socket.settings().general;
    assert_eq!(general.overcurrent_alarm, Threshold { enabled: true, current_a: 8 });
    assert_eq!(general.overcurrent_protection, Threshold { enabled: false, current_a: 10 });
}

#[test]
fn the_in_range_commands_around_an_ignored_one_are_answered() {
    check(
        "ff2600ff033b00ff2f00",
        &[
            "100000 store Settings",
            "100000 ignored command out of range",
            "100020 uplink Answer fe2600fe2f00",
        ],
    );
}

#[test]
fn commands_after_an_unknown_or_truncated_one_are_dropped_and_that_is_counted() {
    check(
        "080000ffff9900080100ff",
        &["100000 relay off downlink", "100000 store RelayState", "100000 ignored unknown command"],
    );
    check("ff2300ff0801", &["100000 uplink Answer fe2300ff", "100000 ignored truncated command"]);
    check("ff", &["100000 ignored truncated command"]);
    check("", &[]);
}

#[test]
fn only_the_application_port_is_obeyed() {
    for port in [1, 84, 86, 224] {
        let mut bench = Bench::joined();
        bench.event(Event::Downlink { port, payload: &bytes("080000ff"), multicast: false }).after(5_000);
        bench.check(&["relay", "ignored", "uplink"], &["100000 ignored downlink on another port"]);
    }
    let mut bench = Bench::joined_with(|boot| boot.settings.lorawan.application_port = 10);
    bench.event(Event::Downlink { port: 10, payload: &bytes("080000ff"), multicast: false }).after(5_000);
    assert_eq!(bench.lines(&["relay"]), ["100000 relay off downlink"]);
    assert!(bench.uplinks().all(|(_, uplink)| uplink.port == 10));
}

#[test]
fn a_delay_task_switches_at_its_time() {
    let mut bench = Bench::joined();
    bench.downlink("ff22003c0010").at(159_999).check(&["relay"], &[]);
    assert_eq!(bench.socket.delay_task(110_000), task(false, 50_000));
    bench.at(170_000).check(&["relay"], &["160000 relay off delay_task"]);
    assert_eq!(bench.socket.delay_task(170_000), None);
}

#[test]
fn a_later_delay_task_replaces_the_earlier_and_a_deleted_one_is_gone() {
    let mut bench = Bench::joined();
    bench.downlink("ff22001e0010").downlink("ff22003c0010").at(140_000).check(&["relay"], &[]);
    bench.downlink("ff2300ff").at(300_000).check(&["relay"], &[]);
    assert_eq!(bench.socket.delay_task(300_000), None);
}

#[test]
fn a_delay_task_of_0_s_switches_at_once() {
    let mut bench = Bench::joined();
    bench.downlink("ff2200000010").check(&["relay"], &["100000 relay off delay_task"]);
}

#[test]
fn the_time_left_to_a_delay_task_is_stored_every_five_minutes() {
    let mut bench = Bench::joined();
    bench.downlink("ff22008403 10").at(3_000_000); // 900 s
    bench.check(
        &["store DelayTask", "relay"],
        &[
            "100000 store DelayTask",
            "400000 store DelayTask",
            "700000 store DelayTask",
            "1000000 relay off delay_task",
            "1000000 store DelayTask",
        ],
    );
}

#[test]
fn resetting_the_energy_stores_0() {
    let mut bench = Bench::joined_with(|boot| boot.energy_uwh = 5_000_000);
    bench.downlink("ff27ff");
    assert_eq!(bench.socket.energy_uwh(), 0);
}

#[test]
fn multicast_is_obeyed_but_not_answered() {
    let mut bench = Bench::joined();
    bench.multicast("ff2600ff22003c0010ff27ffff2f00").after(1_000);
    bench.check(
        &["store", "uplink", "led"],
        &["100000 led off", "100000 store Settings", "100000 store Energy", "100000 store DelayTask"],
    );
    assert!(!bench.socket.settings().general.power_consumption);
}

/// When the first uplink comes after a multicast downlink, in ms after it, for many sockets.
fn spread(payload: &str) -> Vec<u64> {
    (0..100)
        .map(|seed| {
            let mut bench = Bench::joined_with(|boot| boot.seed = seed);
            bench.multicast(payload).at(150_000);
            let uplinks: Vec<u64> = bench.uplinks().map(|(at_ms, _)| at_ms).collect();
            assert_eq!(uplinks.len(), 1, "{payload}");
            uplinks[0] - 100_000
        })
        .collect()
}

#[test]
fn uplinks_caused_by_multicast_wait_a_random_0_to_30_s() {
    // The last one makes the interval 60 s when the last report was 40 s ago: it is due in 20 s anyway.
    for payload in ["080000ff", "ff28ff", "ff2cff", "ff2200000010"] {
        let spread = spread(payload);
        assert!(spread.iter().all(|&ms| ms <= 30_000), "{payload}");
        assert!(spread.iter().any(|&ms| ms < 3_000) && spread.iter().any(|&ms| ms > 27_000), "{payload}");
    }
}

#[test]
fn a_multicast_interval_that_is_over_already_waits_a_random_time_too() {
    let mut waits = Vec::new();
    for seed in 0..50 {
        let mut bench = Bench::joined_with(|boot| boot.seed = seed);
        bench.at(500_000).multicast("ff033c00").at(540_000);
        waits.push(bench.uplinks().next().unwrap().0 - 500_000);
    }
    assert!(waits.iter().all(|&ms| ms <= 30_000) && waits.iter().any(|&ms| ms > 20_000), "{waits:?}");
}

#[test]
fn a_press_after_a_multicast_is_reported_as_soon_as_any_other() {
    let mut bench = Bench::joined_with(|boot| boot.seed = 3);
    bench.multicast("080000ff").press().at(102_200);
    assert_eq!(bench.uplinks().count(), 1);
}

#[test]
fn what_was_due_before_an_event_is_done_before_it() {
    let mut bench = Bench::joined();
    bench.downlink("ff22003c0010").after(1_000);
    // Nobody called at 160 s; the command of 160.5 s comes after the delay task, not before it.
    bench.now_ms = 160_500;
    bench.downlink("080100ff");
    assert!(bench.socket.relay_on());
    assert_eq!(bench.socket.delay_task(160_500), None);
}
