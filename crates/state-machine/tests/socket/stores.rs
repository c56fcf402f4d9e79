//! Stores: what a slow or broken flash does to them, and to the answers that wait.

use sockeye_state_machine::{Effect, Effects, Event, Ignored, StoreItem, UplinkKind};

use crate::bench::{Bench, PORT, bytes, describe};

#[test]
fn a_setting_changed_while_it_is_stored_is_stored_again_before_its_answer() {
    let mut bench = Bench::joined();
    bench.store_ms = Some(1_000);
    bench.downlink("ff2600").after(500).downlink("ff2f00").after(5_000);
    bench.check(
        &["store", "uplink"],
        &["100000 store Settings", "101000 store Settings", "102000 uplink Answer fe2600fe2f00"],
    );
}

#[test]
fn an_answer_that_needs_no_flash_waits_behind_one_that_does() {
    let mut bench = Bench::joined();
    bench.store_ms = Some(1_000);
    bench.downlink("ff2600").after(100).downlink("ff2300ff").after(5_000);
    bench.check(&["uplink"], &["101000 uplink Answer fe2600fe2300ff"]);
}

#[test]
fn a_setting_that_is_never_stored_is_never_answered_and_the_store_is_tried_again() {
    let mut bench = Bench::joined();
    bench.store_ms = None;
    bench.downlink("ff2600").at(115_000);
    bench.stored(StoreItem::Settings).at(125_000);
    bench.check(
        &["store", "uplink", "ignored"],
        &["100000 store Settings", "110000 store Settings", "110000 ignored record not stored"],
    );
    assert_eq!(bench.socket.counters().ignored(Ignored::NotStored), 1);
}

#[test]
fn a_store_that_ends_after_it_was_given_up_does_not_release_the_answer_to_a_newer_setting() {
    let mut bench = Bench::joined();
    bench.store_ms = None;
    bench.downlink("ff2600");
    let first = bench.socket.store_number(StoreItem::Settings);
    bench.at(111_000).downlink("ff2f00");
    let second = bench.socket.store_number(StoreItem::Settings);
    let end = |number| Event::Stored { item: StoreItem::Settings, number };
    // The first ends late; it does not end the second, which began without the new setting. The third holds it.
    bench
        .at(112_000)
        .event(end(first))
        .at(113_000)
        .event(end(second))
        .at(114_000)
        .stored(StoreItem::Settings);
    bench.check(
        &["store", "uplink"],
        &[
            "100000 store Settings",
            "110000 store Settings",
            "113000 store Settings",
            "114000 uplink Answer fe2f00",
        ],
    );
}

#[test]
fn answers_beyond_the_longest_payload_are_dropped_and_counted() {
    let mut bench = Bench::joined();
    bench.store_ms = Some(1_000);
    let many = "ff2300ff".repeat(50);
    bench.downlink("ff2600").downlink(&many).downlink(&many).after(2_000);
    let (_, answer) = bench.uplinks().find(|(_, uplink)| uplink.kind == UplinkKind::Answer).unwrap();
    assert_eq!(answer.payload.len(), 3 + 59 * 4);
    assert_eq!(bench.socket.counters().ignored(Ignored::AnswerOverflow), 41);
}

#[test]
fn effects_that_find_no_place_come_with_the_next_call_and_none_is_lost() {
    let mut bench = Bench::joined();
    let mut effects = Effects::new();
    let downlink = "080000ff ff2300ff ff27ff ff22003c0011 ff28ff ff2cff 080200ff ff9900";
    bench.socket.handle(
        100_000,
        Event::Downlink { port: PORT, payload: &bytes(downlink), multicast: false },
        &mut effects,
    );
    assert!(effects.is_full());
    assert_eq!(bench.socket.next_due_ms(), Some(0));
    // A caller that takes nothing out gets nothing more, and loses nothing.
    bench.socket.handle(100_000, Event::Timer, &mut effects);
    let mut all: Vec<String> = Vec::new();
    while !effects.is_empty() {
        all.extend(std::mem::take(&mut effects).iter().map(describe));
        bench.socket.handle(100_000, Event::Timer, &mut effects);
    }
    let kinds: Vec<&str> = all.iter().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(
        kinds,
        [
            "relay off",
            "led",
            "store",
            "store",
            "store",
            "uplink BasicInformation",
            "uplink Report",
            "ignored unknown",
            "ignored command out of",
        ]
    );
    assert!(bench.socket.next_due_ms() > Some(100_000));
}

#[test]
fn an_answer_that_found_no_place_still_waits_for_settings_changed_meanwhile() {
    let mut bench = Bench::joined();
    let mut full = Effects::new();
    while full.push(Effect::StartNetwork).is_ok() {}
    for downlink in ["ff2300ff", "ff2600"] {
        let payload = bytes(downlink);
        bench.socket.handle(
            100_000,
            Event::Downlink { port: PORT, payload: &payload, multicast: false },
            &mut full,
        );
    }
    bench.event(Event::Timer);
    bench.check(&["store", "uplink"], &["100000 store Settings"]);
    bench.after(1_000);
    bench.check(&["uplink"], &["100020 uplink Answer fe2300fffe2600"]);
}

#[test]
fn records_that_the_flash_lost_are_all_stored_again() {
    let mut bench = Bench::joined();
    let now_ms = bench.now_ms;
    bench.event(Event::RecordsLost);
    let stores =
        ["Settings", "RelayState", "Energy", "DelayTask"].map(|item| format!("{now_ms} store {item}"));
    bench.check(&["store"], &stores.each_ref().map(String::as_str));
}
