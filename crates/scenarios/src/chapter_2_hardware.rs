//! Section 2.4: power button and LED patterns.

use sockeye_host::report::Event;

use crate::{Bench, Socket, scenarios};

scenarios![
    pressing_the_power_button_closes_and_opens_the_socket_and_the_led_follows,
    a_join_request_blinks_once_and_joining_twice,
    holding_the_power_button_for_more_than_10_s_resets_to_factory_default,
    the_led_blinks_quickly_while_it_resets,
    a_button_held_for_less_than_10_s_does_not_reset,
    the_network_status_shows_only_with_the_led_enabled_and_the_socket_open,
    after_32_join_requests_without_success_the_led_stops_blinking,
    a_reset_works_with_button_lock_on_and_led_off,
];

/// "Open the Socket: Off → Static On. Close the Socket: Static On → Off."
fn pressing_the_power_button_closes_and_opens_the_socket_and_the_led_follows<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    for open in [false, true, false, true] {
        socket.watch().press();
        assert_eq!((socket.is_open(), socket.is_lit()), (open, open));
        assert_eq!(socket.led().len(), 1, "static, not blinking: {:?}", socket.led());
        assert!(matches!(socket.switchings()[..], [(_, _, "button")]));
    }
}

/// "Send join network requests: blinks once. Join the network successfully: blinks twice." The socket is open, so the LED is lit
/// and a blink is dark.
fn a_join_request_blinks_once_and_joining_twice<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("");
    socket.wait_s(90);
    let dark = socket.led().windows(2).filter(|pair| !pair[0].1 && pair[1].1).count();
    assert_eq!((socket.join_requests(), dark), (1, 3), "one request, one blink and two: {:?}", socket.led());
}

/// "Press and hold the power button for more than 10s."
fn holding_the_power_button_for_more_than_10_s_resets_to_factory_default<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff240005").command("ff2600").watch().does("hold 11s").wait_s(90);
    assert_eq!(socket.join_requests(), 1, "the session is forgotten");
    let sent = socket.payloads();
    let information = sent.iter().find(|payload| payload.contains("ff16")).expect("no basic information");
    assert!(information.contains("ff240110") && information.contains("ff2601"), "{information}");
}

/// "Quickly blinks."
fn the_led_blinks_quickly_while_it_resets<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("hold 11s").wait_ms(10_000).watch().wait_ms(1_900);
    // Five times a second for two seconds.
    let changes = socket.led();
    assert!((17..=20).contains(&changes.len()), "{changes:?}");
    assert!(changes.windows(2).all(|pair| pair[1].0 - pair[0].0 == 100), "{changes:?}");
}

/// The same row: what is held for less means nothing.
fn a_button_held_for_less_than_10_s_does_not_reset<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff2600").watch().does("hold 9s").wait_s(60).command("ff2cff");
    assert_eq!((socket.is_open(), socket.join_requests()), (true, 0));
    assert!(socket.payloads().iter().any(|payload| payload.contains("ff2600")), "{:?}", socket.payloads());
}

/// Note 1: "Network status will only display when LED is enabled and the socket powers on."
fn the_network_status_shows_only_with_the_led_enabled_and_the_socket_open<B: Bench>() {
    for general in [r#""led": false"#, r#""power_restore": "off""#] {
        let mut socket = Socket::<B>::plugged_in_with("", &format!(r#""general": {{ {general} }}"#));
        socket.wait_s(90);
        assert_eq!(socket.join_requests(), 1, "{general}");
        assert!(socket.led().iter().all(|(_, lit)| !lit), "{general}: {:?}", socket.led());
    }
}

/// Note 2: "If WS523 still fails to join the network after 32 join requests, the LED will stop blinking."
fn after_32_join_requests_without_success_the_led_stops_blinking<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("");
    socket.does("gateway off");
    let mut requests = 0;
    while requests < 40 {
        socket.watch().wait_min(1);
        for at_ms in socket.all(|t_ms, event| matches!(event, Event::JoinRequest { .. }).then_some(t_ms)) {
            requests += 1;
            // The event comes at the end of the request, at most some seconds after its beginning.
            let blinks = socket.led().iter().any(|(t_ms, _)| t_ms.abs_diff(at_ms) < 5_000);
            assert_eq!(blinks, requests <= 32, "request {requests}: {:?}", socket.led());
        }
        assert!(socket.now_ms() < 24 * 3_600_000, "{requests} requests in a day");
    }
}

/// Note 3: "Reset operation is not affected even button lock is enabled or LED indicator is disabled."
fn a_reset_works_with_button_lock_on_and_led_off<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff250080").command("ff2f00").watch().does("hold 11s").wait_s(12);
    assert!(socket.led().len() >= 17, "it blinks all the same: {:?}", socket.led());
    socket.wait_s(80);
    assert_eq!(socket.join_requests(), 1);
    assert!(socket.payloads().iter().any(|payload| payload.contains("ff250000")), "{:?}", socket.payloads());
    socket.press();
    assert!(!socket.is_open(), "the button is free again");
}
