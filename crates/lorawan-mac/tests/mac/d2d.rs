//! MAC-D2D-01: frames of the type Proprietary.

use lrwn::MACCommand;
use sockeye_lorawan_mac::{Action, Config, Event, Rf, Rx2, Window};

use crate::bench::{Accept, Bench, abp, otaa};

/// The frames of the type Proprietary that were handed on.
fn handed_on(bench: &Bench) -> Vec<&[u8]> {
    let frames = bench.events.iter().filter_map(|event| match event {
        Event::Proprietary { frame } => Some(frame.as_slice()),
        _ => None,
    });
    frames.collect()
}

#[test]
fn mac_d2d_01_frames_of_other_devices_have_no_effect() {
    let mut bench = Bench::new(abp());
    bench.settle();
    let before = (bench.flash.clone(), format!("{:?}", bench.mac));
    let own = bench.keys.phy(&bench.keys.data(0, 85, &[1]));
    for first in [0x40, 0x80, 0x00, 0x20, 0xc0, 0x61, 0xa3] {
        let frame = [&[first], &own[1..]].concat();
        bench.hear_phy(Window::Rxc, &frame);
        assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
    }
    assert_eq!(handed_on(&bench).len(), 0);
    assert_eq!(format!("{:?}", bench.mac), before.1);
    bench.hear_phy(Window::Rxc, &own);
    bench.settle();
    assert_eq!(bench.delivered().len(), 1);
}

#[test]
fn mac_d2d_01_a_proprietary_frame_is_handed_on_as_it_is_and_changes_nothing() {
    let mut bench = Bench::new(abp());
    bench.settle();
    let (flash, mac) = (format!("{:?}", bench.flash), format!("{:?}", bench.mac));
    let own = bench.keys.phy(&bench.keys.data(0, 85, &[1]));
    for (first, len) in [(0xe0, own.len()), (0xe3, own.len()), (0xff, 1)] {
        let frame = [&[first], &own[1..len]].concat();
        bench.events.clear();
        bench.hear_phy(Window::Rxc, &frame);
        assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
        assert_eq!(handed_on(&bench), [&frame]);
        assert_eq!((format!("{:?}", bench.flash), format!("{:?}", bench.mac)), (flash.clone(), mac.clone()));
    }
    let counters = (bench.mac.is_joined(), bench.stores.len());
    bench.hear_phy(Window::Rxc, &own);
    bench.settle();
    assert_eq!(bench.delivered().len(), 1, "the downlink's counter is still free");
    assert_eq!(counters, (true, bench.stores.len() - 1));
}

#[test]
fn mac_d2d_01_only_64_bytes_are_handed_on() {
    let mut bench = Bench::new(abp());
    for (len, handed) in [(0, 0), (1, 1), (64, 1), (65, 0), (255, 0)] {
        bench.events.clear();
        bench.hear_phy(Window::Rxc, &vec![0xe0; len]);
        bench.settle();
        assert_eq!(handed_on(&bench).len(), handed, "{len} bytes");
    }
}

#[test]
fn mac_d2d_01_a_flood_costs_no_downlink_and_leaves_the_first_of_its_frames() {
    let mut bench = Bench::new(abp());
    bench.settle();
    bench.events.clear();
    let own = bench.keys.phy(&bench.keys.data(0, 85, &[1; 51]));
    for n in 0..100 {
        bench.hear_phy(Window::Rxc, &[0xe0, n]);
    }
    bench.hear_phy(Window::Rxc, &own);
    bench.settle();
    assert_eq!(bench.delivered().len(), 1);
    assert_eq!(handed_on(&bench), [[0xe0, 0]]);
}

#[test]
fn mac_d2d_01_in_rx1_it_ends_the_window_and_is_not_handed_on() {
    let mut bench = Bench::new(abp());
    bench.uplink(&[1], true);
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &[0xe0; 20]);
    bench.until(Window::Rxc);
    assert_eq!(handed_on(&bench).len(), 0);
    assert_eq!(bench.done(), None);
}

#[test]
fn mac_d2d_01_in_the_time_of_rx2_it_does_not_stand_for_the_answer() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let sent = bench.uplink(&[1], true);
    bench.until(Window::Rx1);
    bench.mac.window_closed(bench.now_ms, Window::Rx1);
    bench.settle();
    bench.now_ms = sent.end_ms + 2100;
    bench.hear_phy(Window::Rxc, &[0xe0; 20]);
    bench.settle();
    assert_eq!((handed_on(&bench).len(), bench.done()), (1, None));
    // The answer may still come.
    let answer = bench.keys.phy(&crate::bench::Down { ack: true, ..bench.keys.down(0) });
    bench.hear_phy(Window::Rxc, &answer);
    bench.settle();
    assert_eq!(bench.done(), Some(Some(true)));
}

#[test]
fn mac_d2d_01_without_a_session_rxc_is_open_where_it_is_asked_for_but_not_between_the_windows_of_a_join() {
    let rx2 = Rx2 { frequency_hz: 869_525_000, data_rate: 5 };
    let rxc = Rf { frequency_hz: 869_525_000, data_rate: 5 };
    let config = Config { rxc_without_session: true, rx2: Some(rx2), ..otaa() };
    let mut bench = Bench::new(config.clone());
    assert_eq!(bench.settle(), Action::Listen { window: Window::Rxc, rf: rxc, at_ms: None, until_ms: None });
    bench.hear_phy(Window::Rxc, &[0xe0; 20]);
    // Nothing of LoRaWAN is heard there, whatever keys it has.
    let data = bench.keys.phy(&bench.keys.commands(0, vec![MACCommand::DevStatusReq]));
    bench.hear_phy(Window::Rxc, &data);
    bench.hear_phy(Window::Rxc, &Accept::default().phy(0));
    bench.settle();
    assert_eq!(handed_on(&bench), [[0xe0; 20]]);
    assert!(!bench.mac.is_joined() && bench.stores.is_empty());
    bench.mac.join(0);
    bench.transmit();
    for window in [Window::Rx1, Window::Rx2] {
        assert!(matches!(bench.settle(), Action::Idle { until_ms: Some(_) }));
        bench.until(window);
        bench.mac.window_closed(bench.now_ms, window);
    }
    // Until the next request it is open again.
    assert!(matches!(bench.settle(), Action::Listen { window: Window::Rxc, until_ms: Some(_), .. }));
    let mut class_a = Bench::new(Config { class_c: false, ..config });
    assert_eq!(class_a.settle(), Action::Idle { until_ms: None });
}
