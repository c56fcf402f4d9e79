//! Section 3.1: plugging in, and reading and writing by NFC.

use crate::{Bench, Socket, scenarios};

scenarios![
    plugged_into_a_wall_socket_it_switches_on_automatically,
    a_smartphone_reads_and_writes_the_settings,
    pressing_the_power_button_supplies_the_appliances
];

/// Step 1: "Plug WS523 into a wall socket, then WS523 will switch on automatically."
fn plugged_into_a_wall_socket_it_switches_on_automatically<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("");
    socket.wait_ms(200);
    assert!(matches!(socket.switchings()[..], [(_, true, "power_up")]), "{:?}", socket.switchings());
    assert!(socket.is_lit());
}

/// Steps 2 to 4: "attach the smartphone with NFC area to the device to read information", then "write".
fn a_smartphone_reads_and_writes_the_settings<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    assert!(socket.read_by_nfc().contains(r#""reporting_interval_s":1200"#));
    let settings = r#""general": { "reporting_interval_s": 600, "overcurrent_alarm": { "enabled": true, "current_a": 7 } }"#;
    assert_eq!(socket.write_by_nfc(settings), ["done"]);
    let read = socket.read_by_nfc();
    assert!(read.contains(r#""reporting_interval_s":600"#) && !read.contains("key"), "{read}");
    // And they hold without power.
    socket.does("power off").wait_s(30).does("power on").wait_min(2).watch().command("ff2cff");
    assert!(socket.payloads().iter().any(|payload| payload.contains("ff240107")), "{:?}", socket.payloads());
}

/// Step 5: "Press the power button, WS523 portable socket will supply the electric power to other electronic appliances."
fn pressing_the_power_button_supplies_the_appliances<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("load 460W pf 1").press().watch().press();
    assert!(socket.is_open());
    let data = socket.last_sensor_data();
    assert!(data.open && (1_980..=2_020).contains(&data.current_ma), "{data:?}");
}
