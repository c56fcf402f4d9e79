//! MAC-CONF.

use sockeye_lorawan_mac::{Action, Config, Event, Window};

use crate::bench::{Bench, Down, abp};

#[test]
fn mac_conf_01_only_an_ack_in_a_window_ends_a_confirmed_uplink() {
    for window in [Window::Rx1, Window::Rx2] {
        let mut bench = Bench::abp_class_a();
        let first = bench.uplink(b"c", true);
        assert!(bench.keys.hear(&first.phy, 0).confirmed);
        bench.until(window);
        bench.hear_phy(window, &bench.keys.phy(&bench.keys.data(0, 85, &[1])));
        bench.settle();
        assert_eq!(bench.done(), None, "no ACK in {window:?}");
        assert_eq!(bench.delivered().len(), 1);
        assert_eq!(bench.transmit().phy, first.phy);
        bench.until(window);
        bench.hear_phy(window, &bench.keys.phy(&Down { ack: true, ..bench.keys.down(1) }));
        bench.settle();
        assert_eq!(bench.done(), Some(Some(true)), "ACK in {window:?}");
    }
}

#[test]
fn mac_conf_01_an_ack_in_rxc_outside_rx2_does_not_count() {
    let mut bench = Bench::abp();
    let first = bench.uplink(b"c", true);
    bench.now_ms += 100;
    bench.rxc(&Down { ack: true, ..bench.keys.down(0) });
    assert_eq!(bench.done(), None);
    assert_eq!(bench.transmit().phy, first.phy);
}

#[test]
fn mac_conf_01_in_class_c_the_ack_in_rx2_is_known_by_its_instant() {
    // 12 bytes at SF12 without CRC take 991 ms.
    for (late_ms, counts) in [(0, true), (100, true), (-40, true), (-300, false), (700, false)] {
        let mut bench = Bench::abp();
        let sent = bench.uplink(b"c", true);
        bench.until(Window::Rx1);
        bench.now_ms += 30;
        bench.mac.window_closed(bench.now_ms, Window::Rx1);
        bench.settle();
        bench.now_ms = (sent.end_ms + 2000 + 991).checked_add_signed(late_ms).unwrap();
        bench.rxc(&Down { ack: true, ..bench.keys.down(0) });
        assert_eq!(bench.done(), counts.then_some(Some(true)), "{late_ms} ms late");
    }
}

#[test]
fn mac_conf_02_a_retry_is_the_same_frame_on_another_channel_1_to_3_s_after_rx2() {
    for tries in 1..=4u8 {
        let mut bench = Bench::new(Config { class_c: false, confirmed_tries: tries, ..abp() });
        let mut last = bench.uplink(b"c", true);
        for _ in 1..tries {
            let rx2_ms = last.end_ms + 2000;
            let next = bench.transmit();
            assert_eq!(next.phy, last.phy);
            assert_ne!(next.rf.frequency_hz, last.rf.frequency_hz);
            let pause_ms = next.start_ms - rx2_ms;
            assert!((1000..=3100).contains(&pause_ms), "{pause_ms}");
            last = next;
        }
        bench.finish();
        assert_eq!(bench.done(), Some(Some(false)), "{tries} tries");
        let sent = bench.events.iter().filter(|event| matches!(event, Event::UplinkSent { .. })).count();
        assert_eq!(sent, usize::from(tries));
        let sent = bench.uplink(b"d", false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 1);
    }
}

#[test]
fn mac_conf_02_answers_that_arrive_meanwhile_wait_for_the_next_frame() {
    use lrwn::MACCommand;
    let mut bench = Bench::abp();
    let first = bench.uplink(b"c", true);
    bench.until(Window::Rx1);
    let down = bench.keys.commands(0, vec![MACCommand::DevStatusReq]);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&down));
    assert_eq!(bench.transmit().phy, first.phy);
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&Down { ack: true, ..bench.keys.down(1) }));
    bench.settle();
    let sent = bench.uplink(b"d", false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x06, 0, 7]);
}

#[test]
fn mac_conf_03_class_c_acknowledges_within_8_s_with_the_smallest_frame() {
    let mut bench = Bench::abp();
    bench.settle();
    bench.now_ms = 50_000;
    bench.rxc(&Down { confirmed: true, ..bench.keys.data(0, 85, &[1]) });
    let sent = bench.transmit();
    let heard = bench.keys.hear(&sent.phy, 0);
    assert!(heard.ctrl.ack);
    assert_eq!((heard.port, heard.payload.len(), heard.confirmed, sent.phy.len()), (None, 0, false, 12));
    assert!(sent.end_ms <= 58_000);
    bench.finish();
    assert!(bench.events.contains(&Event::UplinkDone { port: None, acked: None }));
    // Once is enough.
    let sent = bench.uplink(&[1], false);
    assert!(!bench.keys.hear(&sent.phy, 0).ctrl.ack);
}

#[test]
fn mac_conf_03_the_ack_rides_on_an_application_frame_that_comes_in_time() {
    let mut bench = Bench::abp();
    bench.settle();
    bench.rxc(&Down { confirmed: true, ..bench.keys.data(0, 85, &[1]) });
    let sent = bench.uplink(b"report", false);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert!(heard.ctrl.ack);
    bench.finish();
    assert!(bench.mac.can_send(), "no frame of its own follows");
}

#[test]
fn mac_conf_03_a_repeated_confirmed_downlink_is_acknowledged_again_and_not_delivered() {
    let mut bench = Bench::abp();
    bench.settle();
    let down = Down { confirmed: true, ..bench.keys.data(0, 85, &[1]) };
    // The first one, and seven more: as often as a network may try.
    for n in 0..8 {
        bench.now_ms += 20_000;
        bench.rxc(&down);
        let sent = bench.transmit();
        let heard = bench.keys.hear(&sent.phy, 0);
        assert!(heard.ctrl.ack && heard.port.is_none(), "{n}");
        assert_eq!(heard.fcnt, n);
        bench.finish();
    }
    // Whoever plays it back for ever gets nothing more.
    bench.rxc(&down);
    assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
    assert_eq!(bench.delivered(), [(85, vec![1])]);
}

#[test]
fn mac_conf_03_only_the_very_frame_that_came_last_is_acknowledged_again() {
    let confirmed =
        |bench: &Bench, fcnt: u32, byte: u8| Down { confirmed: true, ..bench.keys.data(fcnt, 85, &[byte]) };
    for (name, again) in [
        ("another content", 0),
        ("an older frame", 1),
        ("a wrong MIC", 2),
        ("an unconfirmed frame", 3),
        ("after a restart", 4),
    ] {
        let mut bench = Bench::abp();
        bench.settle();
        bench.rxc(&confirmed(&bench, 0, 1));
        bench.transmit();
        bench.finish();
        match again {
            0 => bench.rxc(&confirmed(&bench, 0, 2)),
            1 => {
                bench.rxc(&bench.keys.data(1, 85, &[2]).clone());
                bench.rxc(&confirmed(&bench, 0, 1));
            }
            2 => {
                let mut phy = bench.keys.phy(&confirmed(&bench, 0, 1));
                phy[9] ^= 1;
                bench.hear_phy(Window::Rxc, &phy);
            }
            3 => bench.rxc(&bench.keys.data(0, 85, &[1]).clone()),
            _ => {
                bench.power_cycle();
                bench.settle();
                bench.rxc(&confirmed(&bench, 0, 1));
            }
        }
        assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }), "{name}");
        assert_eq!(
            bench.delivered().iter().filter(|(_, payload)| *payload == [1]).count(),
            usize::from(again != 4)
        );
    }
}

#[test]
fn mac_conf_03_an_ack_that_cannot_go_out_within_8_s_is_dropped() {
    let mut bench = Bench::abp();
    // Use the hour up.
    loop {
        bench.settle();
        if bench.mac.free_at_ms(bench.now_ms, 0) > bench.now_ms + 60_000 {
            break;
        }
        bench.uplink(&[], false);
        bench.finish();
    }
    bench.rxc(&Down { confirmed: true, ..bench.keys.data(0, 85, &[1]) });
    let at_ms = bench.now_ms;
    // Both lengths are out of time on air for the next minute.
    assert!(bench.mac.free_at_ms(at_ms, 0) > at_ms + 8000);
    bench.now_ms += 2000;
    bench.settle();
    bench.now_ms = bench.mac.free_at_ms(at_ms, 20);
    let sent = bench.uplink(&[1], false);
    assert!(!bench.keys.hear(&sent.phy, 0).ctrl.ack);
}

#[test]
fn mac_conf_03_an_ack_is_dropped_after_8_s_though_the_application_sends() {
    let mut bench = Bench::abp();
    // A confirmed uplink without an answer keeps the way for more than 8 s.
    bench.mac.send(0, 85, &[1], true).unwrap();
    bench.transmit();
    bench.rxc(&Down { confirmed: true, ..bench.keys.data(0, 85, &[1]) });
    let at_ms = bench.now_ms;
    loop {
        match bench.mac.poll(bench.now_ms) {
            Action::Event(Event::UplinkDone { .. }) => break,
            Action::Event(_) => {}
            Action::Store(_) => bench.mac.stored(),
            action => drop(bench.carry_out(action)),
        }
    }
    assert!(bench.now_ms > at_ms + 8000, "after {} ms", bench.now_ms - at_ms);
    // The application is quicker than the MAC's own uplink would be.
    let sent = bench.uplink(&[1], false);
    assert!(!bench.keys.hear(&sent.phy, 0).ctrl.ack);
}
