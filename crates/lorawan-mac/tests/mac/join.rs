//! MAC-JOIN.

use lrwn::{AES128Key, DutyCycleReqPayload, EUI64, MACCommand, Payload, PhyPayload};
use sockeye_lorawan_mac::{Action, Config, Error, Event, Record, Rf, Rx2, Window};

use crate::bench::{APP_KEY, Accept, Bench, DEV_ADDR, DEV_EUI, JOIN_EUI, nonce, otaa};

#[test]
fn mac_join_01_a_join_request_is_what_the_network_expects() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    let sent = bench.transmit();
    assert_eq!(sent.phy.len(), 23);
    let phy = PhyPayload::from_slice(&sent.phy).unwrap();
    assert!(phy.validate_join_request_mic(&AES128Key::from_bytes(APP_KEY)).unwrap());
    let Payload::JoinRequest(request) = phy.payload else { panic!("{phy:?}") };
    assert_eq!(request.dev_eui, EUI64::from_be_bytes(DEV_EUI));
    assert_eq!(request.join_eui, EUI64::from_be_bytes(JOIN_EUI));
}

#[test]
fn mac_join_01_requests_use_every_join_channel_and_every_join_data_rate() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    let sent: Vec<_> = (0..12).map(|_| bench.transmit().rf).collect();
    let rates: Vec<_> = sent.iter().map(|rf| rf.data_rate).collect();
    assert_eq!(rates, [5, 4, 3, 2, 1, 0, 5, 4, 3, 2, 1, 0]);
    for frequency_hz in [868_100_000, 868_300_000, 868_500_000] {
        assert!(sent.iter().any(|rf| rf.frequency_hz == frequency_hz), "{frequency_hz}");
    }
    assert!(sent.iter().all(|rf| (868_100_000..=868_500_000).contains(&rf.frequency_hz)));
}

#[test]
fn mac_join_02_dev_nonce_counts_from_0_and_is_in_flash_before_the_request_goes_out() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    for expected in 0..40u16 {
        assert_eq!(nonce(&bench.transmit().phy), expected);
        assert!(bench.stores.ends_with(&[Record::Counters]), "request {expected}");
        bench.stores.clear();
        if expected % 7 == 3 {
            bench.power_cycle();
            bench.mac.join(0);
        }
    }
}

#[test]
fn mac_join_02_without_a_store_no_request_goes_out() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    for now_ms in [0, 10, 100_000] {
        assert_eq!(bench.mac.poll(now_ms), Action::Store(Record::Counters));
    }
}

#[test]
fn mac_join_02_a_cut_between_store_and_request_skips_the_nonce() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    assert!(matches!(bench.settle(), Action::Transmit { .. }));
    bench.power_cycle();
    bench.mac.join(0);
    assert_eq!(nonce(&bench.transmit().phy), 1);
}

#[test]
fn mac_join_02_joining_ends_with_an_error_after_the_last_dev_nonce() {
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    let mut last = None;
    while bench.mac.is_joining() {
        match bench.settle() {
            Action::Transmit { .. } => {
                last = Some(nonce(bench.mac.frame()));
                // A radio that always fails makes the run short.
                bench.mac.tx_failed(bench.now_ms);
            }
            Action::Idle { until_ms: Some(at_ms) } => bench.now_ms = at_ms,
            _ => {}
        }
    }
    assert_eq!(last, Some(65535));
    bench.settle();
    assert!(bench.events.contains(&Event::Error(Error::DevNonceExhausted)));
    bench.power_cycle();
    bench.mac.join(0);
    assert_eq!(bench.settle(), Action::Idle { until_ms: None });
    assert_eq!(bench.events, [Event::Error(Error::DevNonceExhausted)]);
}

#[test]
fn mac_join_03_windows_open_5_s_and_6_s_after_the_request_with_the_regions_parameters() {
    let rx2 = Some(Rx2 { frequency_hz: 869_525_000, data_rate: 3 });
    let mut bench = Bench::new(Config { rx2, ..otaa() });
    bench.mac.join(0);
    let sent = bench.transmit();
    assert_eq!(bench.until(Window::Rx1), sent.rf);
    assert_eq!(bench.now_ms - sent.end_ms, 5000 - 15);
    assert_eq!(bench.until(Window::Rx2), Rf { frequency_hz: 869_525_000, data_rate: 0 });
    assert_eq!(bench.now_ms - sent.end_ms, 6000 - 15);
}

#[test]
fn mac_join_03_a_rejoin_ignores_the_parameters_of_the_session() {
    let accept = Accept { rx1_offset: 2, rx2_dr: 5, rx_delay: 3, ..Accept::default() };
    let mut bench = Bench::joined(otaa(), &accept);
    bench.now_ms += 100_000;
    bench.mac.join(bench.now_ms);
    let sent = bench.transmit();
    assert_eq!(bench.until(Window::Rx1), sent.rf);
    assert_eq!(bench.now_ms - sent.end_ms, 5000 - 15);
    assert_eq!(bench.until(Window::Rx2).data_rate, 0);
    assert!(bench.mac.is_joined(), "the old session stays");
}

#[test]
fn mac_join_04_a_forged_join_accept_changes_nothing_and_rx2_still_opens() {
    let real = Accept { channels: Some([867_100_000, 0, 0, 0, 0]), ..Accept::default() };
    for (name, forge) in [
        ("wrong key", Accept { app_key: [9; 16], ..real.clone() }.phy(0)),
        (
            "one bit",
            real.phy(0).into_iter().enumerate().map(|(i, b)| if i == 9 { b ^ 1 } else { b }).collect(),
        ),
        ("cut short", real.phy(0)[..32].to_vec()),
        ("17 bytes of noise", [&[0x20][..], &[7; 16]].concat()),
        ("empty", vec![]),
    ] {
        let mut bench = Bench::new(otaa());
        bench.mac.join(0);
        bench.transmit();
        bench.until(Window::Rx1);
        let before = bench.flash.clone();
        bench.hear_phy(Window::Rx1, &forge);
        bench.until(Window::Rx2);
        assert!(!bench.mac.is_joined(), "{name}");
        assert_eq!(bench.flash.session, before.session, "{name}");
        bench.hear_phy(Window::Rx2, &real.phy(0));
        bench.settle();
        assert!(bench.mac.is_joined(), "{name}");
    }
}

#[test]
fn mac_join_06_session_keys_are_those_of_the_network() {
    for accept in
        [Accept::default(), Accept { channels: Some([867_100_000, 0, 0, 0, 0]), ..Accept::default() }]
    {
        let mut bench = Bench::joined(otaa(), &accept);
        assert!(bench.events.contains(&Event::Joined { dev_addr: DEV_ADDR }));
        let sent = bench.uplink(b"hello", false);
        let heard = bench.keys.hear(&sent.phy, 0);
        assert_eq!((heard.fcnt, heard.port, heard.payload), (0, Some(85), b"hello".to_vec()));
    }
}

#[test]
fn mac_join_06_dl_settings_and_rx_delay_are_applied() {
    let accept = Accept { rx1_offset: 2, rx2_dr: 3, rx_delay: 5, ..Accept::default() };
    let mut bench = Bench::joined(otaa(), &accept);
    let rxc = bench.until(Window::Rxc);
    assert_eq!(rxc, Rf { frequency_hz: 869_525_000, data_rate: 3 });
    let sent = bench.uplink(&[1], false);
    let rx1 = bench.until(Window::Rx1);
    assert_eq!(rx1, Rf { frequency_hz: sent.rf.frequency_hz, data_rate: sent.rf.data_rate - 2 });
    assert_eq!(bench.now_ms - sent.end_ms, 5000 - 15);
}

#[test]
fn mac_join_06_values_that_the_region_lacks_are_left_aside() {
    let accept = Accept { rx1_offset: 7, rx2_dr: 15, rx_delay: 0, ..Accept::default() };
    let mut bench = Bench::joined(otaa(), &accept);
    assert_eq!(bench.until(Window::Rxc).data_rate, 0);
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.until(Window::Rx1), sent.rf);
    assert_eq!(bench.now_ms - sent.end_ms, 1000 - 15);
}

#[test]
fn mac_join_06_a_new_join_resets_counters_channels_and_parameters() {
    let first = Accept {
        rx1_offset: 3,
        rx_delay: 4,
        channels: Some([867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000]),
        ..Accept::default()
    };
    let mut bench = Bench::joined(otaa(), &first);
    for n in 0..3 {
        bench.exchange(&bench.keys.data(n, 85, &[1]).clone());
    }
    bench.now_ms += 1_000_000;
    bench.mac.join(bench.now_ms);
    let sent = bench.transmit();
    let dev_nonce = nonce(&sent.phy);
    assert_eq!(dev_nonce, 1);
    bench.until(Window::Rx1);
    let second = Accept { join_nonce: 78, dev_addr: 0x2601_0002, ..Accept::default() };
    bench.hear_phy(Window::Rx1, &second.phy(dev_nonce));
    bench.settle();
    bench.keys = second.keys(dev_nonce);
    for n in 0..20 {
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, n);
        assert!((868_100_000..=868_500_000).contains(&sent.rf.frequency_hz), "{:?}", sent.rf);
        assert_eq!(bench.until(Window::Rx1).data_rate, sent.rf.data_rate);
        assert_eq!(bench.now_ms - sent.end_ms, 1000 - 15);
        // FCntDown begins anew too.
        bench.hear_phy(Window::Rx1, &bench.keys.phy(&bench.keys.down(n)));
        bench.settle();
        assert_eq!(bench.done(), Some(None));
        bench.events.clear();
    }
}

#[test]
fn mac_join_06_a_channel_list_is_used_and_bad_frequencies_are_ignored_one_by_one() {
    let channels = Some([867_100_000, 0, 92_700_000, 868_650_000, 867_900_000]);
    let mut bench = Bench::joined(otaa(), &Accept { channels, ..Accept::default() });
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..60 {
        used.insert(bench.uplink(&[1], false).rf.frequency_hz);
        bench.finish();
    }
    let expected = [867_100_000, 867_900_000, 868_100_000, 868_300_000, 868_500_000];
    assert_eq!(used.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn mac_join_08_requests_keep_the_join_duty_cycle() {
    const HOUR_MS: u64 = 3_600_000;
    let mut bench = Bench::new(otaa());
    bench.mac.join(0);
    let mut sent: Vec<(u64, u64)> = Vec::new();
    while bench.now_ms < 60 * HOUR_MS {
        if let Action::Transmit { airtime_ms, .. } = bench.settle() {
            sent.push((bench.now_ms, airtime_ms));
        }
        if bench.mac.is_in_transaction()
            && matches!(bench.mac.poll(bench.now_ms), Action::Idle { until_ms: None })
        {
            bench.now_ms += sent.last().unwrap().1;
            bench.mac.tx_done(bench.now_ms);
        } else {
            bench.pass();
        }
    }
    let used = |from: u64, to: u64| -> u64 {
        sent.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, airtime)| airtime).sum()
    };
    // A request at the end of a period may reach over it: one of the longest, 1.5 s.
    assert!((10_000..=36_000).contains(&used(0, HOUR_MS)), "{}", used(0, HOUR_MS));
    assert!((10_000..=37_500).contains(&used(HOUR_MS, 11 * HOUR_MS)), "{}", used(HOUR_MS, 11 * HOUR_MS));
    let day = used(11 * HOUR_MS, 35 * HOUR_MS);
    assert!((2_000..=10_200).contains(&day), "{day}");
}

#[test]
fn mac_join_08_a_loop_of_resets_keeps_the_join_duty_cycle() {
    const HOUR_MS: u64 = 3_600_000;
    for period_ms in [300, 8_000, 60_000, 700_000] {
        let mut bench = Bench::new(otaa());
        let mut sent: Vec<(u64, u64)> = Vec::new();
        while bench.now_ms < 11 * HOUR_MS {
            bench.mac.join(bench.now_ms);
            let reset_ms = bench.now_ms + period_ms;
            let mut kept = bench.mac.air_time();
            while bench.now_ms < reset_ms {
                match bench.settle() {
                    Action::Idle { until_ms } => {
                        bench.now_ms = until_ms.unwrap_or(u64::MAX).clamp(bench.now_ms, reset_ms);
                    }
                    action => {
                        // As the driver does, before the frame goes out.
                        kept = bench.mac.air_time();
                        if let Some(request) = bench.carry_out(action) {
                            sent.push((request.start_ms, request.end_ms - request.start_ms));
                        }
                    }
                }
            }
            bench = Bench::restarted(otaa(), bench.flash.clone(), bench.now_ms);
            bench.mac.resume_air_time(bench.now_ms, &kept);
        }
        let used = |from: u64, to: u64| -> u64 {
            sent.iter().filter(|(at, _)| (from..to).contains(at)).map(|(_, airtime)| airtime).sum()
        };
        assert!((2_000..=36_000).contains(&used(0, HOUR_MS)), "{period_ms}: {}", used(0, HOUR_MS));
        let later = used(HOUR_MS, 11 * HOUR_MS);
        assert!((2_000..=37_500).contains(&later), "{period_ms}: {later}");
    }
}

#[test]
fn mac_join_03_a_rejoin_is_sent_with_full_power() {
    use lrwn::{ChMask, LinkADRReqPayload, MACCommand, Redundancy};
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let low = MACCommand::LinkADRReq(LinkADRReqPayload {
        dr: 5,
        tx_power: 7,
        ch_mask: ChMask::from_bytes([7, 0]),
        redundancy: Redundancy { ch_mask_cntl: 0, nb_rep: 1 },
    });
    bench.exchange(&bench.keys.commands(0, vec![low]).clone());
    assert_eq!(bench.uplink(&[1], false).power_dbm, 2);
    bench.finish();
    bench.mac.join(bench.now_ms);
    let sent = bench.transmit();
    assert_eq!((sent.phy.len(), sent.power_dbm), (23, 16));
}

#[test]
fn mac_join_06_a_new_session_is_free_of_the_old_ones_duty_cycle() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let max_duty_cycle = MACCommand::DutyCycleReq(DutyCycleReqPayload { max_duty_cycle: 15 });
    bench.exchange(&bench.keys.commands(0, vec![max_duty_cycle]).clone());
    bench.uplink(&[1], false);
    bench.finish();
    assert!(bench.mac.free_at_ms(bench.now_ms, 1) > bench.now_ms + 600_000, "one part in 32768");
    bench.mac.join(bench.now_ms);
    let dev_nonce = nonce(&bench.transmit().phy);
    bench.until(Window::Rx1);
    let accept = Accept { join_nonce: 100, ..Accept::default() };
    bench.hear_phy(Window::Rx1, &accept.phy(dev_nonce));
    bench.settle();
    assert_eq!(bench.mac.free_at_ms(bench.now_ms, 1), bench.now_ms);
}

#[test]
fn mac_join_05_the_last_join_accept_played_back_is_refused() {
    // Each joins again while the network's answer to the first join is played back, then an older or a newer one.
    let check = |join_nonce_counts: bool, nonces: &[(u32, bool)]| {
        let config = Config { join_nonce_counts, ..otaa() };
        let mut bench = Bench::joined(config, &Accept { join_nonce: 10, ..Accept::default() });
        // Known after a power cut too.
        bench.power_cycle();
        for &(join_nonce, taken) in nonces {
            bench.now_ms += 1_000_000;
            bench.mac.join(bench.now_ms);
            let sent = bench.transmit();
            bench.until(Window::Rx1);
            bench.hear_phy(Window::Rx1, &Accept { join_nonce, ..Accept::default() }.phy(nonce(&sent.phy)));
            assert_eq!(!bench.mac.is_joining(), taken, "JoinNonce {join_nonce}");
            if !taken {
                bench.until(Window::Rx2);
                bench.mac.window_closed(bench.now_ms, Window::Rx2);
                bench.mac.stop_joining();
            }
            bench.settle();
        }
    };
    check(false, &[(10, false), (9, true), (9, false), (10, true), (11, true)]);
    check(true, &[(10, false), (9, false), (11, true), (10, false), (11, false), (0xff_ffff, true)]);
}
