//! The reboot command.

use sockeye_state_machine::{Boot, Event, ResetCause, StoreItem};

use crate::bench::{Bench, boot};

const WATCHED: [&str; 3] = ["reboot", "store", "uplink Answer"];

#[test]
fn a_reboot_waits_5_s_for_its_answer_and_then_for_its_stores() {
    let mut bench = Bench::joined();
    bench.downlink("ff10ff").at(120_000);
    bench.check(&WATCHED, &["100000 uplink Answer fe10ff", "105000 store Energy", "105020 reboot downlink"]);
}

#[test]
fn a_reboot_stores_the_time_that_is_left_to_the_delay_task() {
    let mut bench = Bench::joined();
    bench.downlink("ff22003c0010").after(1_000).downlink("ff10ff").at(106_000);
    bench.stored(StoreItem::DelayTask);
    assert_eq!(bench.lines(&["store", "reboot"])[1..], ["106000 store Energy", "106000 store DelayTask",]);
    assert_eq!(bench.socket.delay_task(106_000).unwrap().remaining_ms, 54_000);
    bench.at(107_000);
    assert_eq!(bench.lines(&["reboot"]), ["106020 reboot downlink"]);
}

#[test]
fn a_reboot_whose_answer_waits_for_the_flash_waits_with_it() {
    let mut bench = Bench::joined();
    bench.store_ms = Some(3_000);
    bench.downlink("ff2600ff10ff").at(130_000);
    bench.check(
        &WATCHED,
        &[
            "100000 store Settings",
            "103000 uplink Answer fe2600fe10ff",
            "108000 store Energy",
            "110000 reboot downlink",
        ],
    );
}

#[test]
fn a_reboot_comes_even_when_the_flash_is_stuck() {
    let mut bench = Bench::joined();
    bench.store_ms = None;
    bench.downlink("ff2600ff10ff").at(130_000);
    assert_eq!(bench.lines(&["reboot", "uplink"]), ["107000 reboot downlink"]);
}

#[test]
fn more_downlinks_do_not_put_a_reboot_off() {
    let mut bench = Bench::joined();
    bench.downlink("ff10ff");
    for second in 1..20 {
        bench.at(100_000 + second * 1_000).downlink("ff10ffff2300ff");
    }
    assert_eq!(bench.lines(&["reboot"])[0], "105020 reboot downlink");
}

#[test]
fn a_reboot_by_multicast_is_spread_over_30_s_and_not_answered() {
    let mut times = Vec::new();
    for seed in 0..100 {
        let mut bench = Bench::joined_with(|boot| boot.seed = seed);
        bench.multicast("ff10ff").at(150_000);
        assert_eq!(bench.uplinks().count(), 0);
        let lines = bench.lines(&["reboot"]);
        assert_eq!(lines.len(), 1);
        let (at_ms, what) = lines[0].split_once(' ').unwrap();
        assert_eq!(what, "reboot multicast");
        times.push(at_ms.parse::<u64>().unwrap() - 100_000);
    }
    assert!(times.iter().all(|ms| (5_000..=35_020).contains(ms)));
    assert!(times.iter().any(|&ms| ms < 8_000) && times.iter().any(|&ms| ms > 32_000), "{times:?}");
}

#[test]
fn a_delay_task_by_multicast_spreads_its_report_even_after_a_reboot() {
    let reports = |multicast: bool| {
        let mut times = Vec::new();
        for seed in 0..20 {
            let mut bench = Bench::joined_with(|boot| boot.seed = seed);
            match multicast {
                true => bench.multicast("ff22003c0010"),
                false => bench.downlink("ff22003c0010"),
            };
            bench.after(20_000);
            let delay_task = bench.socket.delay_task(bench.now_ms);
            let mut after = Bench::new(Boot {
                relay_was_on: true,
                session_stored: true,
                cause: ResetCause::Reboot,
                delay_task,
                seed,
                ..boot()
            });
            after.event(Event::SessionResumed).at(30_000).effects.clear();
            after.at(80_000);
            assert_eq!(after.lines(&["relay"]), ["40000 relay off delay_task"]);
            times.push(after.uplinks().next().expect("a report").0 - 40_000);
        }
        times.sort_unstable();
        (times[0], times[19])
    };
    assert_eq!(reports(false), (1_800, 1_800));
    let (first_ms, last_ms) = reports(true);
    assert!(first_ms < 8_000 && (20_000..=30_000).contains(&last_ms), "{first_ms} to {last_ms} ms");
}
