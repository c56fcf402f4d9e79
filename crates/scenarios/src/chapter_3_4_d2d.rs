//! Section 3.4: Milesight D2D settings. The frame is our own (docs/D2D.md), as the vendor publishes none.

use crate::{Bench, Socket, scenarios};

scenarios![
    a_command_of_a_controller_switches_the_button,
    on_off_and_toggle_each_have_their_command,
    up_to_16_commands_are_obeyed_and_others_are_not,
    without_the_d2d_setting_no_command_is_obeyed,
    no_gateway_is_needed,
];

fn d2d(commands: &str) -> String {
    format!(r#""d2d": {{ "enabled": true, "commands": [{commands}] }}"#)
}

const ALL_THREE: &str = r#"{ "command": "1510", "action": "on" }, { "command": "1511", "action": "off" },
    { "command": "ffff", "action": "toggle" }"#;

/// Step 3: "For example, you can configure a control command 1510 to turn on the button."
fn a_command_of_a_controller_switches_the_button<B: Bench>() {
    let mut socket = Socket::<B>::joined_with("", &d2d(r#"{ "command": "1510", "action": "on" }"#));
    socket.command("080000ff").watch().does("d2d 1510").wait_s(10);
    assert!(matches!(socket.switchings()[..], [(_, true, "d2d")]), "{:?}", socket.switchings());
    assert!(socket.last_sensor_data().open, "and it is reported");
}

/// The same step: a command of two bytes, 0000 to ffff, and its action.
fn on_off_and_toggle_each_have_their_command<B: Bench>() {
    let mut socket = Socket::<B>::joined_with("", &d2d(ALL_THREE));
    for (command, open) in
        [("1511", false), ("1511", false), ("1510", true), ("1510", true), ("ffff", false), ("ffff", true)]
    {
        socket.does(&format!("d2d {command}")).wait_s(10);
        assert_eq!(socket.is_open(), open, "{command}");
    }
}

/// "WS523 supports at most 16 control commands."
fn up_to_16_commands_are_obeyed_and_others_are_not<B: Bench>() {
    let commands: Vec<String> =
        (0..16).map(|n| format!(r#"{{ "command": "00{n:02x}", "action": "toggle" }}"#)).collect();
    let mut socket = Socket::<B>::joined_with("", &d2d(&commands.join(",")));
    for n in 0..16 {
        let before = socket.is_open();
        socket.does(&format!("d2d 00{n:02x}")).wait_s(10);
        assert_ne!(socket.is_open(), before, "command {n}");
    }
    let before = socket.is_open();
    socket.does("d2d 0010").wait_s(10);
    assert_eq!(socket.is_open(), before, "not in the list");
}

/// "When Milesight D2D setting is enabled, WS523 can work as the Milesight D2D Agent device."
fn without_the_d2d_setting_no_command_is_obeyed<B: Bench>() {
    let settings = format!(r#""d2d": {{ "enabled": false, "commands": [{ALL_THREE}] }}"#);
    let mut socket = Socket::<B>::joined_with("", &settings);
    // It is on the air all the same.
    socket.does_unheard("d2d ffff").wait_s(10);
    assert!(socket.is_open());
}

/// "Connection among Milesight devices without gateway."
fn no_gateway_is_needed<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in_with("", &d2d(ALL_THREE));
    socket.does("gateway off").wait_min(2).does("d2d 1511").wait_s(10);
    assert!(!socket.is_open(), "the network is away, and was never there");
}
