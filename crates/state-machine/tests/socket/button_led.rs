//! Button and LED (guide, section 2.4; behaviour.md).

use sockeye_settings::ButtonLock;
use sockeye_state_machine::{Boot, Event, Ignored, ResetCause};

use crate::bench::{Bench, boot};

#[test]
fn a_short_press_toggles_the_relay_and_the_led_follows() {
    let mut bench = Bench::joined();
    bench.press();
    bench.at(101_000).press();
    bench.check(
        &["relay", "led"],
        &["100130 relay off button", "100130 led off", "101130 relay on button", "101130 led on"],
    );
}

#[test]
fn a_press_held_between_2_s_and_10_s_does_nothing() {
    for held_ms in [2_000, 5_000, 9_990] {
        let mut bench = Bench::joined();
        bench.press_for(held_ms).after(10_000);
        bench.check(&["relay", "led", "factory"], &[]);
    }
}

#[test]
fn holding_for_10_s_blinks_at_5_hz_for_2_s_and_resets_to_factory_defaults() {
    let mut bench = Bench::joined();
    bench.press_for(13_000).after(5_000);
    // The static state is on, so that the first half blink shows no change.
    let mut want: Vec<String> = (1..20u64)
        .map(|step| format!("{} led {}", 110_000 + 100 * step, if step % 2 == 0 { "on" } else { "off" }))
        .collect();
    want.push("112000 led on".into());
    want.push("112000 factory reset".into());
    assert_eq!(bench.lines(&["led", "factory", "relay"]), want);
}

#[test]
fn a_factory_reset_blinks_even_with_led_disabled_button_locked_and_relay_off() {
    let mut bench = Bench::joined_with(|boot| {
        boot.relay_was_on = false;
        boot.settings.general.led = false;
        boot.settings.general.button_lock = ButtonLock { enabled: true, minutes: 0 };
    });
    // Released during the blinks: too late to change its mind.
    bench.press_for(10_500).after(5_000);
    let lines = bench.lines(&["led", "factory"]);
    assert_eq!(lines.len(), 21, "{lines:?}");
    assert_eq!(lines[0], "110000 led on");
    assert_eq!(lines[19..], ["111900 led off", "112000 factory reset"]);
}

/// What a button does that is down at the start and released after a time.
#[track_caller]
fn check_held_from_start(cause: ResetCause, held_ms: u64, want: &[&str]) {
    let mut bench = Bench::new(Boot { cause, ..boot() });
    bench.press_for(held_ms).after(5_000);
    assert_eq!(bench.lines(&["relay", "factory"])[1..], *want, "{cause:?} {held_ms}");
}

#[test]
fn a_button_that_is_down_at_the_start_does_not_toggle_and_resets_only_after_a_power_cut() {
    for cause in [ResetCause::PowerOn, ResetCause::Reboot, ResetCause::Watchdog, ResetCause::Fault] {
        check_held_from_start(cause, 1_500, &[]);
        let reset: &[&str] = if cause == ResetCause::PowerOn { &["12000 factory reset"] } else { &[] };
        check_held_from_start(cause, 13_000, reset);
    }
    // The next press is as any other.
    let mut bench = Bench::new(Boot { cause: ResetCause::Reboot, ..boot() });
    bench.press_for(1_500).after(500).press();
    assert_eq!(bench.lines(&["relay"])[1..], ["2160 relay on button"]);
}

#[test]
fn a_locked_button_does_not_toggle_and_is_counted() {
    let mut bench = Bench::joined();
    bench.downlink("ff250080").after(500).press();
    bench.check(&["relay", "ignored"], &["100630 ignored button locked"]);
    assert_eq!(bench.socket.counters().ignored(Ignored::ButtonLocked), 1);
}

#[test]
fn a_lock_with_a_time_ends_by_itself_and_that_is_stored() {
    let mut bench = Bench::joined();
    bench.downlink("ff250a80"); // ten minutes
    bench.at(699_000).press();
    bench.at(700_500).press();
    bench.check(&["relay"], &["700630 relay off button"]);
    assert_eq!(bench.socket.settings().general.button_lock, ButtonLock { enabled: false, minutes: 0 });
    bench.check(&["store Settings"], &["100000 store Settings", "700000 store Settings"]);
}

#[test]
fn a_lock_without_a_time_has_no_end() {
    let mut bench = Bench::joined();
    bench.downlink("ff250080");
    bench.at(40_000_000).press();
    bench.check(&["relay"], &[]);
}

#[test]
fn a_lock_sent_again_begins_its_time_anew() {
    let mut bench = Bench::joined();
    bench.downlink("ff250180");
    bench.at(130_000).downlink("ff250180");
    bench.at(161_000).press();
    bench.check(&["relay"], &[]);
    bench.at(190_000).press();
    bench.check(&["relay"], &["190130 relay off button"]);
}

#[test]
fn a_lock_time_begins_anew_at_a_restart() {
    let mut bench = Bench::joined_with(|boot| {
        boot.settings.general.button_lock = ButtonLock { enabled: true, minutes: 2 };
    });
    bench.at(119_000).press();
    bench.at(120_000).press();
    bench.check(&["relay"], &["120130 relay off button"]);
}

#[test]
fn a_lock_taken_away_frees_the_button() {
    let mut bench = Bench::joined();
    bench.downlink("ff250180").after(100).downlink("ff250000").after(100).press();
    bench.check(&["relay"], &["100330 relay off button"]);
    bench.at(200_000);
    assert_eq!(bench.lines(&["store Settings"]).len(), 2, "the end of a lock that is gone changes nothing");
}

#[test]
fn a_join_request_blinks_once_and_joining_twice() {
    let mut bench = Bench::joined();
    bench.event(Event::JoinRequested);
    bench.at(106_000).event(Event::Joined).after(1_000);
    bench.check(
        &["led"],
        &[
            "100000 led off",
            "100100 led on",
            "106000 led off",
            "106100 led on",
            "106200 led off",
            "106300 led on",
        ],
    );
}

#[test]
fn the_network_does_not_blink_while_the_relay_is_off_or_the_led_disabled() {
    let mut bench = Bench::joined_with(|boot| boot.relay_was_on = false);
    bench.event(Event::JoinRequested).after(500).event(Event::Joined).after(1_000);
    bench.check(&["led"], &[]);
    let mut bench = Bench::joined_with(|boot| boot.settings.general.led = false);
    bench.event(Event::JoinRequested).after(500).event(Event::Joined).after(1_000);
    bench.check(&["led"], &[]);
}

#[test]
fn switching_off_ends_a_blink() {
    let mut bench = Bench::joined();
    bench.event(Event::Joined).after(150).downlink("080000ff").after(1_000);
    bench.check(&["led"], &["100000 led off", "100100 led on", "100150 led off"]);
    let mut bench = Bench::joined();
    bench.event(Event::Joined).after(50).downlink("080000ff").after(1_000);
    bench.check(&["led"], &["100000 led off"]);
}

#[test]
fn after_32_unanswered_join_requests_the_blinking_stops_until_joined() {
    let mut bench = Bench::new(Boot { relay_was_on: true, ..boot() });
    for request in 1..=40 {
        bench.at(request * 10_000).event(Event::JoinRequested);
    }
    bench.at(450_000);
    let blinks = bench.lines(&["led off"]);
    assert_eq!(blinks.len(), 32);
    assert_eq!(blinks[31], "320000 led off");
    bench.event(Event::Joined);
    bench.at(460_000).event(Event::JoinRequested).after(1_000);
    assert_eq!(bench.lines(&["led off"]).len(), 32 + 2 + 1);
}

#[test]
fn the_led_setting_darkens_and_lights_it() {
    let mut bench = Bench::joined();
    bench.downlink("ff2f00").after(1_000).downlink("ff2f01").after(1_000);
    bench.check(&["led"], &["100000 led off", "101000 led on"]);
}
