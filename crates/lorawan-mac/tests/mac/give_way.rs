//! The last uplink before the supply is gone waits for nothing but the duty cycle.

use sockeye_lorawan_mac::{Action, Config, Event, Rf, Window};

use crate::bench::{Accept, Bench, Down, abp, otaa};

/// Lets the device live in silence up to an instant; a frame that goes out within `ms` is sent.
fn live(bench: &mut Bench, ms: u64) {
    let end_ms = bench.now_ms + ms;
    loop {
        let action = bench.settle();
        let next_ms = match &action {
            Action::Transmit { airtime_ms, .. } => bench.now_ms + airtime_ms,
            Action::Listen { window: Window::Rxc, until_ms, .. } | Action::Idle { until_ms } => {
                until_ms.unwrap_or(u64::MAX)
            }
            Action::Listen { .. } => bench.now_ms + 30,
            action => panic!("{action:?}"),
        };
        if next_ms > end_ms {
            bench.now_ms = end_ms;
            return;
        }
        bench.carry_out(action);
    }
}

/// Gives way and sends the alert: it goes out now, with a counter of its own. Gives where it goes.
#[track_caller]
fn alert(bench: &mut Bench, used: &[u32]) -> Rf {
    let now_ms = bench.now_ms;
    bench.mac.give_way(now_ms);
    bench.settle();
    bench.mac.send(now_ms, 85, &[0xff, 0x3f, 0xff], false).expect("taken");
    let Action::Transmit { rf, .. } = bench.settle() else { panic!("not sent at {now_ms}") };
    let heard = bench.keys.hear(bench.mac.frame(), 0);
    assert!(!used.contains(&heard.fcnt), "FCntUp {} again", heard.fcnt);
    assert_eq!((heard.port, &heard.payload[..]), (Some(85), &[0xff, 0x3f, 0xff][..]));
    rf
}

#[test]
fn give_way_cuts_short_whatever_is_under_way() {
    for (class_c, confirmed) in [(true, false), (true, true), (false, false), (false, true)] {
        // From the transmission at SF12 over both windows to the repeat of a confirmed uplink.
        for ms in (0..9_000).step_by(23) {
            let mut bench = Bench::new(Config { class_c, confirmed_tries: 2, ..abp() });
            bench.settle();
            bench.mac.send(0, 85, b"report", confirmed).unwrap();
            live(&mut bench, ms);
            alert(&mut bench, &[0]);
        }
    }
}

#[test]
fn give_way_tells_what_was_sent_from_what_was_cut_off() {
    for (ms, was_sent) in [(500, false), (1_600, true), (3_000, true)] {
        let mut bench = Bench::abp();
        bench.settle();
        bench.mac.send(0, 85, b"report", false).unwrap();
        live(&mut bench, ms);
        bench.mac.give_way(bench.now_ms);
        bench.settle();
        let done = bench.events.contains(&Event::UplinkDone { port: Some(85), acked: None });
        let failed = bench.events.contains(&Event::UplinkFailed { port: Some(85) });
        assert_eq!((done, failed), (was_sent, !was_sent), "after {ms} ms");
        assert!(bench.mac.can_send());
    }
}

#[test]
fn give_way_leaves_what_waits_to_be_repeated_to_the_application() {
    let mut bench = Bench::new(Config { confirmed_tries: 2, ..abp() });
    bench.settle();
    bench.uplink(b"report", true);
    // Both windows are over, and the repeat waits for its time.
    while bench.mac.is_in_transaction() {
        assert!(bench.pass().is_none(), "repeated");
    }
    bench.mac.give_way(bench.now_ms);
    bench.settle();
    let ends = |event: &&Event| matches!(event, Event::UplinkDone { .. } | Event::UplinkFailed { .. });
    let ends: Vec<_> = bench.events.iter().filter(ends).collect();
    assert_eq!(ends, [&Event::UplinkFailed { port: Some(85) }]);
}

#[test]
fn give_way_ends_a_join_request_of_a_device_that_still_has_its_session() {
    for ms in (0..9_000).step_by(97) {
        let mut bench = Bench::joined(otaa(), &Accept::default());
        bench.finish();
        bench.now_ms += 60_000;
        bench.mac.join(bench.now_ms);
        live(&mut bench, ms);
        alert(&mut bench, &[]);
    }
}

#[test]
fn give_way_does_not_lift_the_duty_cycle() {
    let mut bench = Bench::abp();
    // Until the hour of every channel is used up: 36 s of 1.5 s each.
    let mut sent = 0;
    while bench.mac.free_at_ms(bench.now_ms, 3) <= bench.now_ms {
        bench.uplink(&[7; 3], false);
        bench.finish();
        sent += 1;
        assert!(sent < 100, "no end");
    }
    let free_ms = bench.mac.free_at_ms(bench.now_ms, 3);
    let now_ms = bench.now_ms;
    bench.mac.give_way(now_ms);
    bench.settle();
    bench.mac.send(now_ms, 85, &[0xff, 0x3f, 0xff], false).unwrap();
    assert!(bench.transmit().start_ms >= free_ms);
}

#[test]
fn after_give_way_the_network_is_heard_as_before() {
    let mut bench = Bench::abp();
    bench.uplink(b"report", false);
    live(&mut bench, 500);
    alert(&mut bench, &[0]);
    bench.now_ms += 1_500;
    bench.mac.tx_done(bench.now_ms);
    let down = Down { ..bench.keys.data(0, 85, &[1]) };
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&down));
    bench.settle();
    assert_eq!(bench.delivered(), [(85, vec![1])]);
}
