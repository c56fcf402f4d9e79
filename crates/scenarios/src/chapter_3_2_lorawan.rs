//! Section 3.2: LoRaWAN settings and multicast.

use sockeye_host::report::{DownlinkKind, Event};

use crate::{Bench, Socket, scenarios};

scenarios![
    the_application_port_is_used_for_sending_and_receiving,
    abp_needs_no_join,
    both_versions_of_lorawan_work,
    class_c_hears_a_command_at_any_time,
    commands_are_heard_with_the_rx2_settings_that_are_made,
    in_single_channel_mode_one_channel_carries_all,
    eu868_uses_the_frequencies_of_its_list,
    au915_uses_the_channels_of_its_list,
    the_lists_of_the_guides_examples_are_taken,
    a_list_of_no_channel_stops_sending,
    in_confirmed_mode_data_without_an_ack_go_once_more,
    with_an_interval_up_to_30_min_the_connection_is_checked_every_30_min,
    with_a_longer_interval_the_connection_is_checked_at_every_report,
    without_rejoin_mode_the_socket_never_joins_anew,
    adr_lets_the_network_choose_the_data_rate,
    a_multicast_command_switches_every_socket_of_the_group,
    the_four_groups_have_the_guides_addresses_and_are_off_until_enabled,
    all_four_groups_can_be_enabled_at_once,
];

fn data_rates<B: Bench>(socket: &Socket<B>) -> Vec<u8> {
    socket.all(|_, event| match event {
        Event::Uplink { dr, .. } => Some(*dr),
        _ => None,
    })
}

/// Frequencies of join requests and data, in kHz, each once.
fn frequencies_khz<B: Bench>(socket: &Socket<B>) -> Vec<u32> {
    let mut used = socket.all(|_, event| match event {
        Event::Uplink { freq_hz, .. } | Event::JoinRequest { freq_hz, .. } => Some(freq_hz / 1000),
        _ => None,
    });
    used.sort_unstable();
    used.dedup();
    used
}

/// Makes a socket report `times` times.
fn reports<B: Bench>(socket: &mut Socket<B>, times: u32) {
    for _ in 0..times {
        socket.command("ff28ff");
    }
}

/// "Application Port: the port used for sending and receiving data, default port is 85."
fn the_application_port_is_used_for_sending_and_receiving<B: Bench>() {
    let mut socket = Socket::<B>::joined_with("", r#""lorawan": { "application_port": 10 }"#);
    socket.command_on(85, "080000ff");
    assert!(socket.is_open(), "85 is not its port now");
    socket.command_on(10, "080000ff");
    assert!(!socket.is_open());
    assert_eq!(socket.payloads(), [""; 0]);
    assert!(!socket.heard_on(10).is_empty());
}

/// "OTAA and ABP modes are available." The address is a default of the settings, where it has its test.
fn abp_needs_no_join<B: Bench>() {
    let settings = r#""lorawan": { "activation": "ABP" }"#;
    let mut socket = Socket::<B>::plugged_in_with("--sn 6148B13783621055", settings);
    socket.wait_s(90);
    assert_eq!(socket.join_requests(), 0);
    assert!(!socket.sensor_data().is_empty(), "it reports: {:?}", socket.payloads());
    socket.command("080000ff");
    assert!(!socket.is_open());
}

/// "LoRaWAN Version: V1.0.2, V1.0.3 are available."
fn both_versions_of_lorawan_work<B: Bench>() {
    for version in ["1.0.2", "1.0.3"] {
        let mut socket = Socket::<B>::joined_with("", &format!(r#""lorawan": {{ "version": "{version}" }}"#));
        socket.command("080000ff");
        assert!(!socket.is_open() && !socket.last_sensor_data().open, "{version}");
    }
}

/// "Work Mode: it's fixed as Class C."
fn class_c_hears_a_command_at_any_time<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    // Minutes after its last uplink, and long before its next one.
    socket.wait_min(7).watch().does("downlink 85 080000ff").wait_s(2);
    assert!(matches!(socket.switchings()[..], [(_, false, "downlink")]), "{:?}", socket.switchings());
    assert_eq!(socket.payloads(), [""; 0], "no uplink came before");
}

/// "RX2 Data Rate, RX2 Frequency: to receive downlinks or Milesight D2D commands."
fn commands_are_heard_with_the_rx2_settings_that_are_made<B: Bench>() {
    let settings = r#""lorawan": { "activation": "ABP", "rx2_data_rate": 3, "rx2_frequency_hz": 869525000 }"#;
    let mut socket = Socket::<B>::joined_with("", settings);
    socket.wait_min(3).does("downlink 85 080000ff").wait_s(5);
    assert!(!socket.is_open());
    let settings = r#""lorawan": { "activation": "ABP", "rx2_data_rate": 2, "rx2_frequency_hz": 868300000 }"#;
    let mut socket = Socket::<B>::joined_with("", settings);
    socket.wait_min(3).does("downlink 85 080000ff").wait_s(5);
    assert!(!socket.is_open());
}

/// "If Single-Channel mode is enabled, only one channel can be selected to send uplinks."
fn in_single_channel_mode_one_channel_carries_all<B: Bench>() {
    let settings = r#""lorawan": { "single_channel": true, "channels": "1" }"#;
    let mut socket = Socket::<B>::plugged_in_with("", settings);
    socket.wait_s(90);
    reports(&mut socket, 6);
    assert!(socket.sensor_data().len() >= 6);
    assert_eq!(frequencies_khz(&socket), [868_300]);
}

/// "Enable or disable the frequency to send uplinks", as for EU868: the frequencies themselves are listed. A network may add channels
/// and switch others off by ADR; without it the list holds.
fn eu868_uses_the_frequencies_of_its_list<B: Bench>() {
    let settings = r#""lorawan": { "activation": "ABP", "adr": false, "channels": "0-3",
        "channel_frequencies_hz": [868100000, 868300000, 868500000, 867100000] }"#;
    let mut socket = Socket::<B>::joined_with("", settings);
    reports(&mut socket, 16);
    assert_eq!(frequencies_khz(&socket), [867_100, 868_100, 868_300, 868_500]);
}

/// "Enable Channel Index 8-15" of AU915, whose channels 0 to 15 are 915.2 to 918.2 MHz.
fn au915_uses_the_channels_of_its_list<B: Bench>() {
    let settings = r#""lorawan": { "adr": false, "channels": "8-15" }"#;
    let mut socket = Socket::<B>::plugged_in_with("--region AU915", settings);
    socket.wait_s(120);
    reports(&mut socket, 30);
    let used = frequencies_khz(&socket);
    assert!(used.iter().all(|khz| (916_800..=918_200).contains(khz) && khz % 200 == 0), "{used:?}");
    assert!(used.len() >= 5, "all of them in turn: {used:?}");
}

/// "1, 40: Enabling Channel 1 and Channel 40. 1-40: Enabling Channel 1 to Channel 40. 1-40, 60. All: Enabling all channels."
fn the_lists_of_the_guides_examples_are_taken<B: Bench>() {
    for (list, at_most_khz) in
        [("1,40", 923_200), ("1-40", 923_200), ("1-40,60", 927_200), ("0-63", 927_800), ("All", 927_800)]
    {
        let settings = format!(r#""lorawan": {{ "adr": false, "channels": "{list}" }}"#);
        let mut socket = Socket::<B>::plugged_in_with("--region AU915", &settings);
        socket.wait_s(120);
        reports(&mut socket, 3);
        let used = frequencies_khz(&socket);
        // At the slowest data rate the sensor data are split.
        assert!(!socket.payloads().is_empty(), "{list}: it reports");
        assert!(used.iter().all(|khz| (915_200..=at_most_khz).contains(khz)), "{list}: {used:?}");
    }
    // Of the two channels of the first list, the socket uses both and no other.
    let mut socket =
        Socket::<B>::plugged_in_with("--region AU915", r#""lorawan": { "adr": false, "channels": "1,40" }"#);
    socket.wait_s(120);
    reports(&mut socket, 12);
    assert_eq!(frequencies_khz(&socket), [915_400, 923_200]);
}

/// "Null: Indicates that all channels are disabled."
fn a_list_of_no_channel_stops_sending<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in_with("", r#""lorawan": { "channels": "Null" }"#);
    socket.wait_min(30);
    assert_eq!((socket.join_requests(), socket.payloads().len()), (0, 0));
    socket.press();
    assert!(!socket.is_open(), "it is still a socket");
}

/// "If the device does not receive ACK packet from network server, it will resend data once."
fn in_confirmed_mode_data_without_an_ack_go_once_more<B: Bench>() {
    let mut socket = Socket::<B>::joined_with("", r#""lorawan": { "confirmed": true }"#);
    let sent = |socket: &Socket<B>| {
        socket.all(|_, event| match event {
            Event::Uplink { confirmed, fcnt, .. } => Some((*confirmed, *fcnt)),
            _ => None,
        })
    };
    socket.press();
    assert!(matches!(sent(&socket)[..], [(true, _)]), "answered, so sent once: {:?}", sent(&socket));
    socket.does("gateway off").watch().press().wait_s(60);
    let [(true, first), (true, second)] = sent(&socket)[..] else {
        panic!("unanswered, so sent once more: {:?}", sent(&socket))
    };
    assert_eq!(first, second, "the same data");
}

/// Gives when join requests went out in these hours without a network.
fn rejoins<B: Bench>(settings: &str, hours: u64) -> Vec<u64> {
    let mut socket = Socket::<B>::joined_with("", settings);
    let gone_ms = socket.now_ms();
    socket.does("gateway off").wait_min(60 * hours);
    let requests =
        socket.all(|t_ms, event| matches!(event, Event::JoinRequest { .. }).then_some(t_ms - gone_ms));
    if !requests.is_empty() {
        socket.watch().does("gateway on");
        let has_joined = (0..24 * 6).any(|_| {
            let is_joined = |_, event: &Event| matches!(event, Event::Joined { .. }).then_some(());
            !socket.wait_min(10).all(is_joined).is_empty()
        });
        assert!(has_joined, "it joins once the network is back");
    }
    requests
}

/// "Reporting interval ≤ 30 mins: … check connection status every 30 mins; If no replies after specific packets are being sent, the
/// device will re-join."
fn with_an_interval_up_to_30_min_the_connection_is_checked_every_30_min<B: Bench>() {
    let few = rejoins::<B>(r#""lorawan": { "rejoin_packets": 2 }"#, 2);
    let first_min = few.first().expect("no rejoin") / 60_000;
    assert!((25..=35).contains(&first_min), "after {first_min} min");
    // "Set the number of packets sent": 32 packets, 10 to 30 s apart, take longer.
    let many = rejoins::<B>(r#""lorawan": { "rejoin_packets": 32 }"#, 2);
    let later_min = many.first().expect("no rejoin") / 60_000;
    assert!((first_min + 5..=first_min + 25).contains(&later_min), "after {later_min} min");
}

/// "Reporting interval > 30 mins: … check connection status at every reporting interval."
fn with_a_longer_interval_the_connection_is_checked_at_every_report<B: Bench>() {
    let settings = r#""lorawan": { "rejoin_packets": 2 }, "general": { "reporting_interval_s": 5400 }"#;
    let requests = rejoins::<B>(settings, 3);
    let first_min = requests.first().expect("no rejoin") / 60_000;
    assert!((85..=95).contains(&first_min), "after {first_min} min");
}

/// "Rejoin Mode", switched off.
fn without_rejoin_mode_the_socket_never_joins_anew<B: Bench>() {
    assert_eq!(rejoins::<B>(r#""lorawan": { "rejoin": false }"#, 12), [0; 0]);
}

/// "ADR Mode: allow network server to adjust data rate of the device."
fn adr_lets_the_network_choose_the_data_rate<B: Bench>() {
    let mut with = Socket::<B>::joined_with("", r#""lorawan": { "adr": true, "data_rate": 0 }"#);
    with.wait_min(200);
    let mut without = Socket::<B>::joined_with("", r#""lorawan": { "adr": false, "data_rate": 2 }"#);
    without.wait_min(200);
    let (with, without) = (data_rates(&with), data_rates(&without));
    assert_eq!(with.last(), Some(&5), "a socket that is heard well gets the fastest: {with:?}");
    assert!(!without.is_empty() && without.iter().all(|dr| *dr == 2), "{without:?}");
}

fn heard_by_group<B: Bench>(socket: &Socket<B>) -> usize {
    let heard = socket
        .all(|_, event| matches!(event, Event::Downlink { kind: DownlinkKind::Multicast, .. }).then_some(()));
    heard.len()
}

/// "The network server will broadcast the command to devices which belongs to this multicast group."
fn a_multicast_command_switches_every_socket_of_the_group<B: Bench>() {
    let settings = r#""multicast": { "group_1": { "enabled": true } }"#;
    let mut sockets = Socket::<B>::joined_with("--sockets 3", settings);
    sockets.does("multicast 1 85 080000ff").wait_s(60);
    assert_eq!((0..3).map(|index| sockets.is_open_at(index)).collect::<Vec<_>>(), [false; 3]);
    sockets.watch().does("multicast 1 85 080100ff").wait_s(60);
    assert_eq!((0..3).map(|index| sockets.is_open_at(index)).collect::<Vec<_>>(), [true; 3]);
    assert_eq!(heard_by_group(&sockets), 3);
}

/// "Multicast Address: unique 8-digit address", by default 11111111 to 44444444, and "Enable Multicast Group".
fn the_four_groups_have_the_guides_addresses_and_are_off_until_enabled<B: Bench>() {
    for group in 1..=4 {
        let mut socket = Socket::<B>::joined_with(
            "",
            &format!(r#""multicast": {{ "group_{group}": {{ "enabled": true }} }}"#),
        );
        for other in 1..=4 {
            socket.watch().does(&format!("multicast {other} 85 080000ff")).wait_s(20);
            assert_eq!(
                heard_by_group(&socket),
                usize::from(other == group),
                "group {group}, sent to {other}"
            );
        }
    }
}

/// "WS523 supports setting up several multicast groups."
fn all_four_groups_can_be_enabled_at_once<B: Bench>() {
    let groups: Vec<String> =
        (1..=4).map(|group| format!(r#""group_{group}": {{ "enabled": true }}"#)).collect();
    let settings = format!(r#""multicast": {{ {} }}"#, groups.join(","));
    let mut socket = Socket::<B>::joined_with("", &settings);
    for (group, payload, open) in
        [(1, "080000ff", false), (2, "080100ff", true), (3, "080000ff", false), (4, "080100ff", true)]
    {
        // The report of the one before goes out within 30 s, and the socket does not hear while it sends.
        socket.watch().does(&format!("multicast {group} 85 {payload}")).wait_s(40);
        assert_eq!((heard_by_group(&socket), socket.is_open()), (1, open), "group {group}");
    }
}
