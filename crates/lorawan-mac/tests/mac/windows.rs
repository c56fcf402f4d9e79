//! MAC-RX.

use lrwn::{DlChannelReqPayload, DutyCycleReqPayload, MACCommand};
use sockeye_lorawan_mac::{Action, Config, Event, Rf, SendError, Window};

use crate::bench::{Accept, Bench, Down, abp, otaa};

#[test]
fn mac_rx_01_windows_open_with_a_lead_and_are_bounded_in_time() {
    for rx_delay in [1, 5, 15] {
        let accept = Accept { rx_delay, ..Accept::default() };
        let mut bench = Bench::joined(Config { class_c: false, ..otaa() }, &accept);
        let sent = bench.uplink(&[1], false);
        let delay_ms = u64::from(rx_delay) * 1000;
        for (window, nominal_ms) in [(Window::Rx1, delay_ms), (Window::Rx2, delay_ms + 1000)] {
            bench.until(window);
            assert_eq!(bench.now_ms - sent.end_ms, nominal_ms - 15);
            let Action::Listen { at_ms: Some(at_ms), until_ms: Some(until_ms), .. } = bench.settle() else {
                panic!()
            };
            assert_eq!(at_ms - sent.end_ms, nominal_ms);
            let longest_ms = until_ms - sent.end_ms - nominal_ms;
            assert!((300..3500).contains(&longest_ms), "{window:?}: {longest_ms} ms");
        }
        bench.finish();
        assert_eq!(bench.done(), Some(None));
    }
}

#[test]
fn mac_rx_01_a_window_that_the_radio_never_ends_is_ended_by_the_clock() {
    let mut bench = Bench::abp_class_a();
    bench.uplink(&[1], false);
    for window in [Window::Rx1, Window::Rx2] {
        let at_ms = bench.now_ms;
        bench.until(window);
        let Action::Listen { until_ms: Some(until_ms), .. } = bench.settle() else { panic!() };
        assert!(until_ms > at_ms);
        bench.now_ms = until_ms;
        if window == Window::Rx1 {
            // The reception in RX1 reached over the opening of RX2.
            assert!(matches!(bench.settle(), Action::Idle { .. }));
            break;
        }
    }
    assert_eq!(bench.done(), Some(None));
}

#[test]
fn mac_rx_01_rx2_does_not_open_after_a_frame_for_us_in_rx1() {
    let mut bench = Bench::abp_class_a();
    bench.uplink(&[1], false);
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&bench.keys.down(0)));
    assert_eq!(bench.settle(), Action::Idle { until_ms: None });
    assert_eq!(bench.done(), Some(None));
}

#[test]
fn mac_rx_01_no_store_and_no_event_comes_in_or_shortly_before_a_window() {
    let mut bench = Bench::abp();
    let sent = bench.uplink(&[1], false);
    bench.settle();
    bench.now_ms = sent.end_ms + 930;
    bench.hear_phy(Window::Rxc, &bench.keys.phy(&bench.keys.data(0, 85, b"on")));
    bench.stores.clear();
    let action = bench.settle();
    assert!(matches!(action, Action::Listen { window: Window::Rxc, .. }), "{action:?}");
    assert_eq!(bench.stores, []);
    bench.until(Window::Rx1);
    assert_eq!(bench.delivered(), []);
    bench.now_ms += 30;
    bench.mac.window_closed(bench.now_ms, Window::Rx1);
    bench.settle();
    assert_eq!(bench.delivered().len(), 1);
}

#[test]
fn mac_rx_02_rx1_follows_channel_rate_and_offset_of_the_uplink() {
    for rx1_offset in 0..=5 {
        let mut bench = Bench::joined(otaa(), &Accept { rx1_offset, ..Accept::default() });
        for _ in 0..6 {
            let sent = bench.uplink(&[1], false);
            let expected = Rf {
                frequency_hz: sent.rf.frequency_hz,
                data_rate: sent.rf.data_rate.saturating_sub(rx1_offset),
            };
            assert_eq!(bench.until(Window::Rx1), expected);
            bench.finish();
        }
    }
}

#[test]
fn mac_rx_02_dl_channel_req_moves_rx1_of_its_channel() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let moves = DlChannelReqPayload { ch_index: 1, freq: 869_100_000 };
    bench.exchange(&bench.keys.commands(0, vec![MACCommand::DlChannelReq(moves)]).clone());
    let mut seen = [false; 2];
    for _ in 0..20 {
        let sent = bench.uplink(&[1], false);
        let moved = sent.rf.frequency_hz == 868_300_000;
        let expected = if moved { 869_100_000 } else { sent.rf.frequency_hz };
        assert_eq!(bench.until(Window::Rx1).frequency_hz, expected);
        seen[usize::from(moved)] = true;
        bench.finish();
    }
    assert_eq!(seen, [true, true]);
}

#[test]
fn mac_rx_03_no_new_uplink_before_the_windows_are_over() {
    for class_c in [false, true] {
        let mut bench = Bench::new(Config { class_c, ..abp() });
        let sent = bench.uplink(&[1], false);
        loop {
            bench.settle();
            if bench.mac.can_send() {
                break;
            }
            assert_eq!(bench.mac.send(bench.now_ms, 85, &[2], false), Err(SendError::Busy));
            assert!(bench.pass().is_none());
        }
        // RX2 of EU868 is SF12: the longest preamble search at least.
        assert!(bench.now_ms >= sent.end_ms + 2000, "class C: {class_c}");
        assert!(bench.events.contains(&Event::UplinkDone { port: Some(85), acked: None }));
    }
}

#[test]
fn mac_rx_03_a_valid_frame_in_rx1_frees_the_way() {
    let mut bench = Bench::abp();
    let sent = bench.exchange(&Bench::abp().keys.down(0));
    assert!(bench.mac.can_send());
    assert!(bench.now_ms < sent.end_ms + 1100);
}

#[test]
fn mac_nbt_01_an_unconfirmed_frame_is_repeated_until_the_network_is_heard() {
    use lrwn::{ChMask, LinkADRReqPayload, Redundancy};
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let adr = LinkADRReqPayload {
        dr: 5,
        tx_power: 0,
        ch_mask: ChMask::from_bytes([7, 0]),
        redundancy: Redundancy { ch_mask_cntl: 0, nb_rep: 3 },
    };
    bench.exchange(&bench.keys.commands(0, vec![MACCommand::LinkADRReq(adr)]).clone());
    bench.finish();
    let sent: Vec<_> = [bench.uplink(b"x", false), bench.transmit(), bench.transmit()].into();
    assert!(sent.iter().all(|other| other.phy == sent[0].phy));
    assert_ne!(sent[0].rf.frequency_hz, sent[1].rf.frequency_hz, "another channel");
    bench.finish();
    assert!(bench.mac.can_send());
    // Heard in RX1 of the first: no repeat. A frame in RXC does not stop it.
    let first = bench.uplink(b"y", false);
    bench.rxc(&bench.keys.data(1, 85, &[1]).clone());
    assert_eq!(bench.transmit().phy, first.phy);
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&Down { ..bench.keys.down(2) }));
    bench.settle();
    assert!(bench.mac.can_send());
}

#[test]
fn mac_tx_01_only_free_channels_of_the_list_are_used() {
    let mut channels = [0; 16];
    (channels[0], channels[3]) = (868_300_000, 867_100_000);
    let mut bench = Bench::new(Config { channels_hz: Some(channels), ..abp() });
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..30 {
        used.insert(bench.uplink(&[1], false).rf.frequency_hz);
        bench.finish();
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [867_100_000, 868_300_000]);
}

#[test]
#[cfg_attr(
    feature = "certification",
    ignore = "MAC-JOIN-10: a device under certification joins on every channel"
)]
fn mac_tx_01_without_any_channel_nothing_is_sent_and_nothing_hangs() {
    let mut bench = Bench::new(Config { channels_hz: Some([0; 16]), ..abp() });
    bench.mac.send(0, 85, &[1], false).unwrap();
    bench.settle();
    assert!(bench.events.contains(&Event::UplinkFailed { port: Some(85) }));
    assert_eq!(bench.mac.free_at_ms(0, 1), u64::MAX);
    let mut bench = Bench::new(Config { channels_hz: Some([0; 16]), ..otaa() });
    bench.mac.join(0);
    assert_eq!(bench.settle(), Action::Idle { until_ms: None });
}

#[test]
fn mac_tx_02_uplinks_wait_for_the_duty_cycle_of_their_band() {
    let mut bench = Bench::abp();
    let mut sent: Vec<(u64, u64)> = Vec::new();
    while bench.now_ms < 3 * 3_600_000 {
        assert_eq!(bench.mac.send(bench.now_ms, 85, &[0; 51], false), Ok(()));
        let free_ms = bench.mac.free_at_ms(bench.now_ms, 51);
        let frame = bench.transmit();
        sent.push((frame.start_ms, frame.end_ms - frame.start_ms));
        assert!(frame.start_ms >= free_ms);
        bench.finish();
    }
    for (at, _) in &sent {
        let hour: u64 =
            sent.iter().filter(|(t, _)| (*at..*at + 3_600_000).contains(t)).map(|(_, airtime)| airtime).sum();
        assert!(hour <= 36_000, "{hour} ms in the hour from {at}");
    }
    assert!(sent.len() > 24, "{}", sent.len());
}

#[test]
fn mac_tx_02_resets_do_not_empty_the_ledger() {
    let mut bench = Bench::abp();
    let mut sent: Vec<(u64, u64)> = Vec::new();
    while bench.now_ms < 3 * 3_600_000 {
        for _ in 0..2 {
            let frame = bench.uplink(&[0; 51], false);
            sent.push((frame.start_ms, frame.end_ms - frame.start_ms));
            bench.finish();
        }
        let (kept, now_ms) = (bench.mac.air_time(), bench.now_ms);
        bench = Bench::restarted(abp(), bench.flash.clone(), now_ms);
        bench.mac.resume_air_time(now_ms, &kept);
    }
    for (at, _) in &sent {
        let hour: u64 =
            sent.iter().filter(|(t, _)| (*at..*at + 3_600_000).contains(t)).map(|(_, airtime)| airtime).sum();
        assert!(hour <= 36_000, "{hour} ms in the hour from {at}");
    }
    assert!(sent.len() > 24, "{}", sent.len());
}

#[test]
fn mac_tx_02_a_reset_does_not_end_the_networks_pause() {
    let mut bench = Bench::abp();
    // 1 part in 128.
    let duty = MACCommand::DutyCycleReq(DutyCycleReqPayload { max_duty_cycle: 7 });
    bench.exchange(&Down { fopts: vec![duty], ..bench.keys.down(0) });
    let sent = bench.uplink(&[1], false);
    bench.finish();
    let free_ms = bench.mac.free_at_ms(bench.now_ms, 1);
    assert!(free_ms >= sent.start_ms + 128 * (sent.end_ms - sent.start_ms));
    let (kept, now_ms) = (bench.mac.air_time(), bench.now_ms);
    let mut after = Bench::restarted(abp(), bench.flash.clone(), now_ms);
    assert_eq!(after.mac.free_at_ms(now_ms, 1), now_ms);
    after.mac.resume_air_time(now_ms, &kept);
    let resumed_ms = after.mac.free_at_ms(now_ms, 1);
    assert!((free_ms..free_ms + 1000).contains(&resumed_ms), "{resumed_ms}, was {free_ms}");
}

#[test]
fn mac_tx_04_power_is_the_least_of_settings_and_region() {
    for (set, expected) in [(30, 16), (16, 16), (14, 14), (-3, -3)] {
        let mut bench = Bench::new(Config { tx_power_dbm: set, ..abp() });
        assert_eq!(bench.uplink(&[1], false).power_dbm, expected);
    }
}
