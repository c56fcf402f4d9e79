//! What a start brings: the relay, the network, the basic information.

use sockeye_metering::Reading;
use sockeye_settings::PowerRestore;
use sockeye_state_machine::{Boot, Effect, Effects, Event, ResetCause, Socket, StoreItem};

use crate::bench::{Bench, amperes, boot, describe, task};

/// The relay's first effect after a start, and whether the stored state changes with it.
fn check_relay(cause: ResetCause, restore: PowerRestore, was_on: bool, want: &str) {
    let mut boot = Boot { cause, relay_was_on: was_on, ..boot() };
    boot.settings.general.power_restore = restore;
    let mut effects = Effects::new();
    let socket = Socket::new(0, boot, &mut effects);
    assert_eq!(describe(&effects[0]), want, "{cause:?} {restore:?} {was_on}");
    let stored = effects.contains(&Effect::Store(StoreItem::RelayState));
    assert_eq!(stored, socket.relay_on() != was_on, "{cause:?} {restore:?} {was_on}");
}

#[test]
fn the_first_effect_is_the_relay_by_the_power_restore_setting() {
    for (restore, was_on, want) in [
        (PowerRestore::Off, true, "relay off power_up"),
        (PowerRestore::Off, false, "relay off power_up"),
        (PowerRestore::On, true, "relay on power_up"),
        (PowerRestore::On, false, "relay on power_up"),
        (PowerRestore::Previous, true, "relay on power_up"),
        (PowerRestore::Previous, false, "relay off power_up"),
    ] {
        check_relay(ResetCause::PowerOn, restore, was_on, want);
    }
}

#[test]
fn a_restart_without_a_power_cut_keeps_the_relay_whatever_the_setting() {
    for cause in [ResetCause::Reboot, ResetCause::Watchdog, ResetCause::Fault] {
        for restore in [PowerRestore::Off, PowerRestore::On, PowerRestore::Previous] {
            check_relay(cause, restore, true, "relay on power_up");
            check_relay(cause, restore, false, "relay off power_up");
        }
    }
}

#[test]
fn what_the_device_still_knows_of_the_relay_goes_before_what_is_stored_and_is_stored() {
    for (cause, kept) in [(ResetCause::Fault, false), (ResetCause::Fault, true), (ResetCause::Reboot, false)]
    {
        let boot = Boot { cause, relay_was_on: !kept, relay_kept: Some(kept), ..boot() };
        let mut effects = Effects::new();
        let socket = Socket::new(0, boot, &mut effects);
        assert_eq!(socket.relay_on(), kept, "{cause:?}");
        assert!(effects.contains(&Effect::Store(StoreItem::RelayState)), "{cause:?}");
    }
}

#[test]
fn the_led_is_told_at_the_start() {
    let mut bench = Bench::new(Boot { relay_was_on: true, ..boot() });
    bench.check(&["led"], &["0 led on"]);
    bench = Bench::new(boot());
    bench.check(&["led"], &["0 led off"]);
}

fn network_start_ms(cause: ResetCause, session_stored: bool, seed: u64) -> u64 {
    let mut bench = Bench::new(Boot { cause, session_stored, seed, ..boot() });
    bench.at(60_000);
    let starts: Vec<u64> = bench
        .effects
        .iter()
        .filter(|(_, effect)| *effect == Effect::StartNetwork)
        .map(|(at_ms, _)| *at_ms)
        .collect();
    assert_eq!(starts.len(), 1, "the network is started once");
    starts[0]
}

#[test]
fn after_a_power_cut_the_join_waits_a_random_0_to_30_s() {
    for cause in [ResetCause::PowerOn, ResetCause::Watchdog, ResetCause::Fault] {
        let starts: Vec<u64> = (0..200).map(|seed| network_start_ms(cause, false, seed)).collect();
        assert!(starts.iter().all(|&at_ms| at_ms <= 30_000));
        assert!(starts.iter().any(|&at_ms| at_ms < 3_000) && starts.iter().any(|&at_ms| at_ms > 27_000));
    }
}

#[test]
fn after_a_reboot_the_join_does_not_wait() {
    assert_eq!(network_start_ms(ResetCause::Reboot, false, 5), 0);
}

#[test]
fn a_stored_session_resumes_at_once() {
    assert_eq!(network_start_ms(ResetCause::PowerOn, true, 5), 0);
}

/// The instant of the first uplink after a stored session resumed.
fn first_uplink_ms(cause: ResetCause, seed: u64) -> u64 {
    let mut bench = Bench::new(Boot { cause, session_stored: true, seed, ..boot() });
    bench.at(100).event(Event::SessionResumed);
    bench.at(60_000);
    let (at_ms, uplink) = bench.uplinks().next().unwrap();
    assert!(uplink.payload.starts_with(&[0xff, 0x0b, 0xff]));
    at_ms
}

#[test]
fn a_resumed_session_sends_nothing_for_a_random_0_to_30_s_after_a_power_cut() {
    let firsts: Vec<u64> = (0..200).map(|seed| first_uplink_ms(ResetCause::PowerOn, seed)).collect();
    assert!(firsts.iter().all(|&at_ms| (100..=30_000).contains(&at_ms)));
    assert!(firsts.iter().any(|&at_ms| at_ms < 3_000) && firsts.iter().any(|&at_ms| at_ms > 27_000));
    assert_eq!(first_uplink_ms(ResetCause::Reboot, 3), 100);
}

#[test]
fn joining_brings_the_basic_information_in_its_order_then_one_report() {
    let mut bench = Bench::new(Boot { relay_was_on: true, ..boot() });
    bench.at(40_000).event(Event::Joined);
    bench.after(10_000);
    bench.check(
        &["uplink"],
        &[
            "40000 uplink BasicInformation ff0bffff0101ff166148b13783621055ff090100ff0a0103ff0f02ff24010aff30010aff250000ff2601",
            "40000 uplink Report 08700105810007c900000374fc08068300000000048000000000",
        ],
    );
}

#[test]
fn the_power_on_record_is_only_in_the_first_basic_information() {
    let mut bench = Bench::joined();
    bench.event(Event::Joined);
    let (_, uplink) = bench.uplinks().next().unwrap();
    assert!(uplink.payload.starts_with(&[0xff, 0x01, 0x01]), "{uplink:?}");
}

#[test]
fn a_power_cut_drops_the_delay_task_and_a_restart_keeps_it() {
    for (cause, want) in [
        (ResetCause::PowerOn, None),
        (ResetCause::Reboot, task(true, 5_000)),
        (ResetCause::Watchdog, task(true, 5_000)),
        (ResetCause::Fault, task(true, 5_000)),
    ] {
        let mut bench = Bench::new(Boot { cause, delay_task: task(true, 5_000), ..boot() });
        assert_eq!(bench.socket.delay_task(0), want);
        bench.at(20_000);
        let switched: &[&str] = if want.is_some() { &["5000 relay on delay_task"] } else { &[] };
        assert_eq!(bench.lines(&["relay"])[1..], *switched, "{cause:?}");
        // Either way flash hears that there is none any more.
        assert!(bench.lines(&["store DelayTask"]).len() == 1, "{cause:?}");
    }
}

#[test]
fn a_delay_task_that_is_due_at_the_start_is_obeyed_and_the_relay_stored() {
    let bench = Bench::new(Boot { cause: ResetCause::Watchdog, delay_task: task(true, 0), ..boot() });
    bench.check(&["relay", "store RelayState"], &["0 relay on delay_task", "0 store RelayState"]);
}

#[test]
fn the_energy_sum_goes_on_from_the_stored_one() {
    let bench = Bench::new(Boot { energy_uwh: 123_456_789, ..boot() });
    assert_eq!(bench.socket.energy_uwh(), 123_456_789);
}

#[test]
fn no_key_is_printed() {
    let boot = boot();
    let printed = format!("{boot:?}{:?}", Bench::new(boot.clone()).socket);
    // The factory key of the bench is sixteen times 7, the guide's default keys begin with 55 72.
    for secret in ["7, 7, 7", "0707", "85, 114", "5572", "123456"] {
        assert!(!printed.contains(secret), "{secret}");
    }
}

#[test]
fn the_first_report_after_a_reboot_waits_a_second_for_the_meter() {
    let mut bench = Bench::new(Boot {
        session_stored: true,
        relay_was_on: true,
        cause: ResetCause::Reboot,
        energy_uwh: 7_000_000,
        ..boot()
    });
    // Nothing is shown for the first 0.4 s, as with a BL0942.
    bench.meter = Some(Reading::default());
    bench.at(20).event(Event::SessionResumed).at(400);
    bench.meter = Some(amperes(5.0));
    bench.at(5_000);
    bench.check(
        &["uplink Report"],
        &["1000 uplink Report 08700105816407c988130374fc0806830700000004807e040000"],
    );
}

#[test]
fn with_a_meter_that_shows_nothing_the_first_report_goes_without_measured_values() {
    let mut bench = Bench::new(Boot {
        session_stored: true,
        relay_was_on: true,
        cause: ResetCause::Reboot,
        energy_uwh: 7_000_000,
        ..boot()
    });
    bench.meter = None;
    bench.at(20).event(Event::SessionResumed).at(2_900);
    bench.check(&["uplink Report"], &["1000 uplink Report 087001068307000000"]);
}
