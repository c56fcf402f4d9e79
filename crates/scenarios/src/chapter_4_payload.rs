//! Chapter 4: device payload.

use crate::payload::records;
use crate::{Bench, Record, Socket, scenarios};

scenarios![
    basic_information_is_sent_every_time_it_joins,
    basic_information_has_the_records_and_values_of_the_guide,
    sensor_data_have_the_records_and_units_of_the_guide,
    sensor_data_are_sent_when_the_current_reaches_the_threshold,
    a_power_outage_is_alerted,
    close_and_open,
    set_reporting_interval,
    reboot,
    add_a_delay_task,
    a_later_delay_task_covers_the_previous_one,
    delete_the_delay_task,
    enable_overcurrent_alarm_and_protection_and_set_the_threshold,
    button_lock,
    power_consumption,
    reset_power_consumption,
    enquire_electrical_status,
    led_mode,
];

/// The one payload with basic information among those seen.
fn basic_information<B: Bench>(socket: &Socket<B>) -> Vec<Record> {
    let heard = socket.heard_on(85);
    let informs = |payload: &Vec<u8>| records(payload).iter().any(|record| record.kind == 0x16);
    let mut found = heard.iter().map(|(_, payload)| payload).filter(|payload| informs(payload));
    let one = found.next().expect("no basic information");
    assert!(found.next().is_none(), "one is enough: {:?}", socket.payloads());
    records(one)
}

/// 4.1: "WS523 reports basic information of device every time when it joins the network."
fn basic_information_is_sent_every_time_it_joins<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("");
    socket.wait_s(90);
    assert_eq!(basic_information(&socket).len(), 10, "with ff0b, as it was just plugged in");
    // A reset joins anew.
    socket.watch().does("hold 11s").wait_s(100);
    assert_eq!(socket.join_requests(), 1);
    basic_information(&socket);
}

/// 4.1, its table and its example.
fn basic_information_has_the_records_and_values_of_the_guide<B: Bench>() {
    let mut socket = Socket::<B>::plugged_in("--model AU --sn 6148B13783621055");
    socket.wait_s(90).command("ff250080").watch().command("ff2cff");
    let information = basic_information(&socket);
    let value = |kind: u8| {
        let found = information.iter().find(|record| record.kind == kind);
        found.unwrap_or_else(|| panic!("no ff{kind:02x} in {information:?}")).data.clone()
    };
    assert!(information.iter().all(|record| record.channel == 0xff));
    assert_eq!(value(0x01), [0x01], "V1");
    assert_eq!(value(0x16), [0x61, 0x48, 0xb1, 0x37, 0x83, 0x62, 0x10, 0x55]);
    assert_eq!((value(0x24), value(0x30)), (vec![0x01, 0x0a], vec![0x01, 0x0a]), "enabled, 10 A");
    assert_eq!((value(0x25), value(0x26)), (vec![0x00, 0x80], vec![0x01]));
    assert_eq!((value(0x09).len(), value(0x0a).len()), (2, 2));
}

/// 4.2, its table: status, voltage in 0.1 V, power in W, factor in %, consumption in Wh, current in mA.
fn sensor_data_have_the_records_and_units_of_the_guide<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("voltage 229.3V").does("load 458.6W pf 0.5").wait_min(60).command("ff28ff");
    let data = socket.last_sensor_data();
    assert!(data.open);
    assert!((229.0..=229.6).contains(&data.voltage_v), "{data:?}");
    assert!((457..=460).contains(&data.power_w), "{data:?}");
    assert!((49..=51).contains(&data.power_factor), "{data:?}");
    assert!((3_980..=4_020).contains(&data.current_ma), "458.6 W / (229.3 V · 0.5): {data:?}");
    assert!((455..=464).contains(&data.consumption_wh), "an hour of it: {data:?}");
    socket.press();
    let data = socket.last_sensor_data();
    assert_eq!((data.open, data.current_ma, data.power_w, data.power_factor), (false, 0, 0, 0));
}

/// 4.2: "or when current reaches the overcurrent threshold".
fn sensor_data_are_sent_when_the_current_reaches_the_threshold<B: Bench>() {
    let mut socket = Socket::<B>::joined("--model AU");
    socket.watch().does("load 2415W").wait_s(20);
    let first = socket.sensor_data().first().cloned().expect("no sensor data").1;
    assert!(first.current_ma.abs_diff(10_500) < 100, "{first:?}");
}

/// 4.3: "WS523 will report an alert message when power supply of WS523 is disconnected."
fn a_power_outage_is_alerted<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.wait_min(3).watch();
    let gone_ms = socket.now_ms();
    socket.does("power off").wait_s(10);
    assert_eq!(socket.payloads(), ["ff3fff"]);
    let told_ms = socket.heard_on(85)[0].0 - gone_ms;
    assert!(told_ms < 2_000, "told {told_ms} ms later, when the stored energy is used up");
}

/// 4.4: "08: 00 00 ff-close, 01 00 ff-open", and example 1.
fn close_and_open<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    for (payload, open) in [("080000ff", false), ("080100ff", true), ("080000ff", false)] {
        socket.watch().command(payload);
        assert_eq!(socket.is_open(), open, "{payload}");
        assert!(matches!(socket.switchings()[..], [(_, _, "downlink")]));
        assert_eq!(socket.last_sensor_data().open, open, "and it says so");
    }
}

/// "03 (Set Reporting Interval): 2 Bytes, unit: s", and example 2.
fn set_reporting_interval<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff032c01").watch().wait_min(21);
    assert_eq!(socket.sensor_data().len(), 4, "every 5 minutes");
    socket.command("ff03b004");
    assert!(socket.has_sent("fe03b004"), "{:?}", socket.payloads());
    socket.watch().wait_min(61);
    assert_eq!(socket.sensor_data().len(), 3, "every 20 minutes");
}

/// "10 (Reboot): ff", and example 7.
fn reboot<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("080000ff").watch().does("downlink 85 ff10ff").wait_s(90);
    let reboots = socket.all(|_, event| match event {
        sockeye_host::report::Event::Reboot { cause } => Some(*cause),
        _ => None,
    });
    assert_eq!(reboots, ["downlink"]);
    assert!(!socket.is_open(), "a reboot does not switch");
    assert!(socket.has_sent("fe10ff"));
    socket.command("080100ff");
    assert!(socket.is_open(), "it is there again");
}

/// When a socket switched after a command was heard, in ms, to the nearest 10: a chip has its frames to check and its records to
/// store.
fn switched_after_ms<B: Bench>(socket: &Socket<B>) -> Vec<(u64, bool)> {
    let heard = socket
        .all(|t_ms, event| matches!(event, sockeye_host::report::Event::Downlink { .. }).then_some(t_ms));
    let last = heard.last().copied().expect("no command was heard");
    let switchings = socket.switchings();
    assert!(switchings.iter().all(|(_, _, cause)| *cause == "delay_task"), "{switchings:?}");
    switchings.iter().map(|(t_ms, on, _)| ((t_ms - last + 5) / 10 * 10, *on)).collect()
}

/// "22 (Add Delay Task): delay time, unit: s; 10-close, 11-open", and example 3.
fn add_a_delay_task<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("080000ff").watch().command("ff22003c0011").wait_s(60);
    assert_eq!(switched_after_ms(&socket), [(60_000, true)]);
    socket.watch().command("ff2200100e10").wait_s(3_700);
    assert_eq!(switched_after_ms(&socket), [(3_600_000, false)]);
}

/// "WS523 supports adding only one task. Later command will cover previous command."
fn a_later_delay_task_covers_the_previous_one<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff22003c0010").watch().command("ff2200b40010").wait_s(300);
    assert_eq!(switched_after_ms(&socket), [(180_000, false)]);
}

/// "23 (Delete Delay Task): 00 ff", and example 4.
fn delete_the_delay_task<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff22003c0010").watch().command("ff2300ff").wait_s(120);
    assert_eq!(socket.switchings(), []);
}

/// "24 (Overcurrent Alarm), 30 (Overcurrent Protection): 00-disable, 01-enable; current threshold", and example 5.
fn enable_overcurrent_alarm_and_protection_and_set_the_threshold<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff24010aff30010a");
    assert!(socket.has_sent("fe24010afe30010a"), "{:?}", socket.payloads());
    // 10.5 A.
    socket.watch().does("load 2415W").wait_s(20);
    assert!(matches!(socket.switchings()[..], [(_, false, "protection")]), "{:?}", socket.switchings());
    socket.does("load 0W").command("ff24000aff30000a").command("080100ff").watch();
    socket.does("load 2415W").wait_s(60);
    assert!(socket.is_open() && socket.sensor_data().is_empty(), "disabled: {:?}", socket.payloads());
}

/// "25 (Button Lock): 00 00-disable, 00 80-enable".
fn button_lock<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff250080").press();
    assert!(socket.has_sent("fe250080") && socket.is_open());
    socket.command("ff250000").press();
    assert!(socket.has_sent("fe250000") && !socket.is_open());
}

/// "26 (Power Consumption): 00-disable, 01-enable"; what it does: section 3.3.
fn power_consumption<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.command("ff2600").command("ff2601");
    assert!(socket.has_sent("fe2600") && socket.has_sent("fe2601"), "{:?}", socket.payloads());
}

/// "27 (Reset Power Consumption): ff", and example 6.
fn reset_power_consumption<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("load 1000W").wait_min(30).command("ff28ff");
    assert!(socket.last_sensor_data().consumption_wh > 490);
    socket.command("ff27ff").command("ff28ff");
    assert!(socket.last_sensor_data().consumption_wh <= 12, "{:?}", socket.last_sensor_data());
}

/// "28 (Enquire Electrical Status): ff".
fn enquire_electrical_status<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    socket.does("load 230W").wait_min(5).watch().command("ff28ff");
    assert!(socket.last_sensor_data().current_ma.abs_diff(1_000) < 15, "{:?}", socket.payloads());
}

/// "2f (LED Mode): 00-disable, 01-enable".
fn led_mode<B: Bench>() {
    let mut socket = Socket::<B>::joined("");
    for (payload, answer, lit) in [("ff2f00", "fe2f00", false), ("ff2f01", "fe2f01", true)] {
        socket.command(payload);
        assert_eq!((socket.is_lit(), socket.has_sent(answer)), (lit, true), "{payload}");
    }
}
