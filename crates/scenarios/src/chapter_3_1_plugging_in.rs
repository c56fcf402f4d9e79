//! Section 3.1, as far as it speaks of the socket: NFC comes with its own chapter of work.

use crate::{Bench, Socket, scenarios};

scenarios![
    plugged_into_a_wall_socket_it_switches_on_automatically,
    pressing_the_power_button_supplies_the_appliances
];

/// Step 1: "Plug WS523 into a wall socket, then WS523 will switch on automatically."
fn plugged_into_a_wall_socket_it_switches_on_automatically<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("");
    socket.wait_ms(200);
    assert!(matches!(socket.switchings()[..], [(_, true, "power_up")]), "{:?}", socket.switchings());
    assert!(socket.is_lit());
}

/// Step 5: "Press the power button, WS523 portable socket will supply the electric power to other electronic appliances."
fn pressing_the_power_button_supplies_the_appliances<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("load 460W pf 1").press().watch().press();
    assert!(socket.is_open());
    let data = socket.last_sensor_data();
    assert!(data.open && (1_980..=2_020).contains(&data.current_ma), "{data:?}");
}
