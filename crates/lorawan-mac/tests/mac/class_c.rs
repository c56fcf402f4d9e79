//! MAC-CC.

use lrwn::{DLSettings, MACCommand, RxParamSetupReqPayload, RxTimingSetupReqPayload};
use sockeye_lorawan_mac::{Action, Config, DownlinkWindow, Error, Event, Rf, Window};

use crate::bench::{Accept, Bench, DEV_ADDR, Down, abp, otaa};

const RXC: Rf = Rf { frequency_hz: 869_525_000, data_rate: 3 };

#[test]
fn mac_cc_01_the_order_is_tx_rxc_rx1_rxc() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let sent = bench.uplink(&[1], false);
    let rx1 = Rf { frequency_hz: sent.rf.frequency_hz, data_rate: 5 };
    let mut order = Vec::new();
    while !bench.mac.can_send() {
        match bench.settle() {
            Action::Listen { window, rf, until_ms, .. } => {
                order.push((bench.now_ms - sent.end_ms, window, rf));
                if window == Window::Rx1 {
                    bench.now_ms += 30;
                    bench.mac.window_closed(bench.now_ms, Window::Rx1);
                } else {
                    bench.now_ms = until_ms.unwrap_or(bench.now_ms);
                }
            }
            other => panic!("{other:?}"),
        }
    }
    let expected = [(0, Window::Rxc, RXC), (985, Window::Rx1, rx1), (1015, Window::Rxc, RXC)];
    assert_eq!(order[..3], expected);
    assert!(order[3..].iter().all(|(_, window, rf)| (*window, *rf) == (Window::Rxc, RXC)));
}

#[test]
fn mac_cc_01_a_class_a_device_does_not_listen_between_its_windows() {
    let mut bench = Bench::joined(Config { class_c: false, ..otaa() }, &Accept::default());
    assert_eq!(bench.settle(), Action::Idle { until_ms: None });
    bench.uplink(&[1], false);
    assert!(matches!(bench.settle(), Action::Idle { .. }));
    bench.until(Window::Rx1);
    bench.until(Window::Rx2);
}

#[test]
fn mac_cc_02_there_is_no_rxc_before_a_session_and_a_foreign_frame_never_ends_the_join() {
    let mut bench = Bench::new(otaa());
    assert_eq!(bench.settle(), Action::Idle { until_ms: None });
    bench.mac.join(0);
    bench.transmit();
    let foreign = bench.keys.phy(&bench.keys.data(0, 85, &[1]));
    for window in [Window::Rx1, Window::Rx2] {
        assert!(matches!(bench.settle(), Action::Idle { until_ms: Some(_) }));
        bench.until(window);
        bench.hear_phy(window, &foreign);
    }
    assert!(bench.mac.is_joining());
    assert_eq!(bench.transmit().phy.len(), 23);
}

#[test]
fn mac_cc_03_after_a_restart_rxc_opens_at_once() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    bench.power_cycle();
    assert_eq!(bench.settle(), Action::Listen { window: Window::Rxc, rf: RXC, at_ms: None, until_ms: None });
    assert_eq!(bench.events, [Event::SessionResumed { dev_addr: DEV_ADDR }]);
    bench.rxc(&bench.keys.data(0, 85, &[8, 1]).clone());
    assert!(matches!(
        bench.events.last(),
        Some(Event::Downlink {
            port: 85,
            fcnt: 0,
            window: DownlinkWindow::ClassC,
            rssi_dbm: -80,
            snr_db: 7,
            ..
        })
    ));
}

#[test]
fn mac_cc_04_class_c_downlinks_leave_the_confirmed_uplink_and_the_sticky_answers_alone() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let timing = MACCommand::RxTimingSetupReq(RxTimingSetupReqPayload { delay: 1 });
    bench.exchange(&bench.keys.commands(0, vec![timing]).clone());
    let first = bench.uplink(b"c", true);
    assert_eq!(bench.keys.hear(&first.phy, 0).fopts, [0x08]);
    bench.now_ms += 10;
    bench.rxc(&Down { ack: true, ..bench.keys.data(1, 85, &[1]) });
    assert_eq!(bench.transmit().phy, first.phy, "not acknowledged");
    bench.finish();
    assert_eq!(bench.done(), Some(Some(false)));
    bench.rxc(&bench.keys.data(2, 85, &[1]).clone());
    let sent = bench.uplink(b"d", false);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert_eq!((heard.fcnt, heard.fopts), (2, vec![0x08]), "still sticky");
}

#[test]
fn mac_cc_04_class_c_downlinks_do_not_stop_the_adr_count() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    for n in 0..70u32 {
        bench.now_ms += 120_000;
        let sent = bench.uplink(&[1], false);
        let heard = bench.keys.hear(&sent.phy, 0);
        assert_eq!(heard.ctrl.adr_ack_req, n >= 64, "uplink {n}");
        bench.finish();
        bench.rxc(&bench.keys.data(n, 85, &[1]).clone());
    }
}

#[test]
fn mac_cc_05_rxc_follows_rx_param_setup_at_once_and_the_network_is_told_soon() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let setup = MACCommand::RxParamSetupReq(RxParamSetupReqPayload {
        frequency: 869_100_000,
        dl_settings: DLSettings { opt_neg: false, rx2_dr: 4, rx1_dr_offset: 1 },
    });
    bench.exchange(&bench.keys.commands(0, vec![setup]).clone());
    let moved = Rf { frequency_hz: 869_100_000, data_rate: 4 };
    assert!(matches!(bench.settle(), Action::Listen { window: Window::Rxc, rf, .. } if rf == moved));
    let at_ms = bench.now_ms;
    let sent = bench.transmit();
    assert!(sent.start_ms <= at_ms + 1000);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x05, 0x07]);
    assert_eq!(bench.until(Window::Rx1).data_rate, sent.rf.data_rate - 1);
}

#[test]
fn mac_cc_06_downlinks_are_delivered_in_order_and_the_newest_is_dropped_with_a_count() {
    let mut bench = Bench::new(Config { rx2: None, ..abp() });
    bench.settle();
    // No poll in between: the application is slow.
    for fcnt in 0..30u32 {
        let phy = bench.keys.phy(&bench.keys.data(fcnt, 85, &[fcnt as u8; 40]));
        bench.hear_phy(Window::Rxc, &phy);
    }
    bench.settle();
    let delivered = bench.delivered();
    let expected: Vec<_> = (0..10u8).map(|n| (85, vec![n; 40])).collect();
    assert_eq!(delivered, expected);
    assert!(bench.events.iter().any(|event| matches!(event, Event::Error(Error::DownlinkOverflow { .. }))));
    // What was dropped was not counted: when the network repeats it, it is taken.
    bench.rxc(&bench.keys.data(10, 85, &[1]).clone());
    assert_eq!(bench.delivered().len(), 11);
}
