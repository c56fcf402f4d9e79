//! Section 3.3: general settings.

use crate::{Bench, Socket, scenarios};

scenarios![
    a_report_comes_every_20_minutes_by_default,
    the_interval_can_be_1_to_1080_minutes,
    with_the_led_indicator_disabled_the_led_stays_dark,
    with_power_consumption_disabled_its_value_stands_still,
    when_power_is_restored_the_socket_stands_as_the_setting_says,
    with_the_button_lock_the_power_button_is_frozen,
    overcurrent_alarm_sends_socket_status_and_electrical_parameters,
    overcurrent_protection_stops_supplying_power,
    the_password_can_be_changed,
    current_over_rated_by_30_percent_stops_the_supply_whatever_is_disabled,
];

/// Times between reports of a socket that nobody touches, in s.
fn intervals_s<B: Bench>(socket: &Socket<B>) -> Vec<u64> {
    let times: Vec<u64> = socket.sensor_data().iter().map(|(t_ms, _)| *t_ms).collect();
    times.windows(2).map(|pair| (pair[1] - pair[0] + 500) / 1000).collect()
}

/// "Default: 20 mins."
fn a_report_comes_every_20_minutes_by_default<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.wait_min(130);
    let intervals = intervals_s(&socket);
    assert_eq!(intervals.len(), 5);
    assert!(intervals.iter().all(|s| (1_195..=1_205).contains(s)), "{intervals:?}");
}

/// "Range: 1-1080 mins."
fn the_interval_can_be_1_to_1080_minutes<B: Bench>() {
    for (minutes, command, settled) in [(1, "ff033c00", "fe033c00"), (1_080, "ff0320fd", "fe0320fd")] {
        let mut socket = Socket::<B>::joined("");
        socket.command(command);
        assert!(socket.has_sent(settled), "{:?}", socket.payloads());
        socket.watch().wait_min(3 * minutes + minutes / 2);
        let intervals = intervals_s(&socket);
        assert!(!intervals.is_empty(), "no two reports at {minutes} min");
        assert!(intervals.iter().all(|s| s.abs_diff(60 * minutes) <= 5), "{minutes} min: {intervals:?}");
    }
    // One second less than a minute, and one more than 18 hours.
    for command in ["ff033b00", "ff0321fd"] {
        let mut socket = Socket::<B>::joined("");
        socket.command(command).watch().wait_min(50);
        assert!(
            intervals_s(&socket).iter().all(|s| (1_195..=1_205).contains(s)),
            "{command} changes nothing"
        );
    }
}

/// "LED Indicator: enable or disable the light."
fn with_the_led_indicator_disabled_the_led_stays_dark<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff2f00");
    assert!(!socket.is_lit() && socket.is_open());
    socket.watch().press().press();
    assert_eq!(socket.led(), []);
    socket.command("ff2f01");
    assert!(socket.is_lit());
}

/// "If disabled, the device will stop recording and the power consumption value will stop updating."
fn with_power_consumption_disabled_its_value_stands_still<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("load 1000W").wait_min(30).command("ff2600").command("ff28ff");
    let before = socket.last_sensor_data().consumption_wh;
    assert!((495..=515).contains(&before), "half an hour of 1 kW: {before} Wh");
    socket.wait_min(60).command("ff28ff");
    assert_eq!(socket.last_sensor_data().consumption_wh, before);
    socket.command("ff2601").wait_min(60).command("ff28ff");
    let after = socket.last_sensor_data().consumption_wh;
    assert!((before + 990..=before + 1_020).contains(&after), "{before} Wh, then {after} Wh");
}

/// "The device will switch the socket on or off according to this parameter."
fn when_power_is_restored_the_socket_stands_as_the_setting_says<B: Bench>() {
    for (setting, was_open, is_open) in [
        ("off", true, false),
        ("off", false, false),
        ("on", true, true),
        ("on", false, true),
        ("previous", true, true),
        ("previous", false, false),
    ] {
        let settings = format!(r#""general": {{ "power_restore": "{setting}" }}"#);
        let mut socket = Socket::<B>::joined_with("", &settings);
        socket.command(if was_open { "080100ff" } else { "080000ff" });
        assert_eq!(socket.is_open(), was_open);
        socket.does("power off").wait_s(30).does("power on").wait_ms(200);
        assert_eq!(socket.is_open(), is_open, "{setting}, before {was_open}");
    }
}

/// "If enabled, the power button status will freeze except reset." Reset: section 2.4.
fn with_the_button_lock_the_power_button_is_frozen<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff250080").watch().press();
    assert!(socket.is_open() && socket.switchings().is_empty());
    socket.command("080000ff");
    assert!(!socket.is_open(), "commands are not locked");
    socket.command("ff250000").press();
    assert!(socket.is_open());
}

/// "When current reaches the threshold, the device will send socket status and device electrical parameters."
fn overcurrent_alarm_sends_socket_status_and_electrical_parameters<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff240105").wait_min(3).watch();
    let plugged_ms = socket.now_ms();
    // 6 A, above 5 A and below the protection's 16 A.
    socket.does("load 1380W").wait_s(15);
    let [(t_ms, data)] = &socket.sensor_data()[..] else { panic!("{:?}", socket.payloads()) };
    assert!(t_ms - plugged_ms < 2_000, "{} ms later", t_ms - plugged_ms);
    assert!(data.open && data.current_ma.abs_diff(6_000) < 60, "{data:?}");
    assert!(socket.is_open(), "an alarm does not switch");
}

/// "When current reaches the threshold, the device will stop supplying power."
fn overcurrent_protection_stops_supplying_power<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff300105").watch().does("load 1380W").wait_s(15);
    assert!(matches!(socket.switchings()[..], [(_, false, "protection")]), "{:?}", socket.switchings());
    assert!(!socket.last_sensor_data().open);
    socket.wait_min(30);
    assert!(!socket.is_open(), "until somebody opens it");
    socket.does("load 0W").press();
    assert!(socket.is_open());
}

/// "Change the password for ToolBox App to write this device."
fn the_password_can_be_changed<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    assert_eq!(socket.write_by_nfc(r#""general": { "password": "987654" }"#), ["done"]);
    // Whoever has written it knows it, and writes on with it.
    assert_eq!(socket.write_by_nfc(r#""general": { "led": false }"#), ["done"]);
    assert!(!socket.is_lit());
    assert!(!socket.read_by_nfc().contains("987654"), "nobody reads it");
}

/// "Even overcurrent alarm or overcurrent protection is disabled, the device will also stop supplying power when the current is over
/// rated current by 30%, then send out an alarm packet."
fn current_over_rated_by_30_percent_stops_the_supply_whatever_is_disabled<B: Bench>() {
    // Rated currents: 16 A, 13 A, 15 A and 10 A; loads 1 A below and above 130 %.
    for (model, below_w, above_w) in
        [("EU", 4_550, 5_010), ("UK", 3_650, 4_110), ("US", 4_250, 4_710), ("AU", 2_750, 3_220)]
    {
        let mut socket = Socket::<B>::joined(&format!("--model {model}"));
        socket.command("ff24000aff30000a").watch();
        socket.does(&format!("load {below_w}W")).wait_s(60);
        assert!(socket.is_open(), "{model}: below the limit");
        let (plugged_ms, sent) = (socket.now_ms(), socket.sensor_data().len());
        socket.does(&format!("load {above_w}W")).wait_s(20);
        let [(t_ms, false, "hard_limit")] = socket.switchings()[..] else {
            panic!("{model}: {:?}", socket.switchings())
        };
        assert!(t_ms - plugged_ms <= 350, "{model}: {} ms", t_ms - plugged_ms);
        let (_, alarm) = socket.sensor_data().get(sent).cloned().expect("an alarm packet");
        assert!(!alarm.open && alarm.current_ma > below_w * 1000 / 230, "{model}: {alarm:?}");
    }
}
