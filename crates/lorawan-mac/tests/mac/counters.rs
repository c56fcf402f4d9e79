//! MAC-FCNT, MAC-ABP, and what survives a power cut.

use sockeye_lorawan_mac::{Action, Activation, Config, Error, Event, Key, Record, SendError, Window};

use crate::bench::{APP_SKEY, Accept, Bench, DEV_ADDR, Down, NWK_SKEY, abp, otaa};

#[test]
fn mac_fcnt_01_every_new_uplink_counts_one_and_no_downlink_does() {
    let mut bench = Bench::abp();
    for n in 0..70 {
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, n);
        bench.finish();
        for low in 0..3 {
            bench.rxc(&bench.keys.data(n * 3 + low, 85, &[1]).clone());
        }
    }
}

#[test]
fn mac_fcnt_01_all_32_bits_are_in_mic_and_cipher() {
    let mut bench = Bench::abp();
    // Counters with FCntUp reserved up to 0x1_2340: version 1, tag, DevNonce, next DevNonce, limit, FCntDown.
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 0);
    let mut record = bench.flash.counters.clone().unwrap();
    record[11..15].copy_from_slice(&0x1_2340u32.to_le_bytes());
    let end = record.len() - 4;
    let crc = crc32(&record[..end]);
    record[end..].copy_from_slice(&crc.to_le_bytes());
    bench.flash.counters = Some(record);
    bench.power_cycle();
    let sent = bench.uplink(b"32 bits", false);
    let heard = bench.keys.hear(&sent.phy, 1);
    assert_eq!((heard.fcnt, heard.payload), (0x1_2340, b"32 bits".to_vec()));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 },
        )
    })
}

#[test]
fn mac_fcnt_02_a_power_cut_at_any_step_never_repeats_a_counter() {
    // Cut after each number of polls; after each cut the next frame must be a new counter.
    for cut in 0..60 {
        let mut bench = Bench::abp();
        let mut used = Vec::new();
        for _ in 0..3 {
            let mut steps = 0;
            bench.mac.send(bench.now_ms, 85, &[1], false).unwrap();
            while steps < cut && bench.mac.can_send() == bench.mac.is_in_transaction() {
                steps += 1;
                match bench.mac.poll(bench.now_ms) {
                    Action::Store(record) => {
                        bench.flash.save(record, &bench.mac.record(record));
                        // The cut may also come between the write and the word that it is done.
                        if steps < cut {
                            bench.mac.stored();
                        }
                    }
                    Action::Transmit { .. } => {
                        used.push(bench.keys.hear(bench.mac.frame(), 0).fcnt);
                        bench.now_ms += 60;
                        bench.mac.tx_done(bench.now_ms);
                    }
                    Action::Listen { until_ms: Some(at_ms), .. } | Action::Idle { until_ms: Some(at_ms) } => {
                        bench.now_ms = at_ms;
                    }
                    _ => {}
                }
            }
            bench.power_cycle();
        }
        let mut unique = used.clone();
        unique.dedup();
        assert_eq!(used, unique, "cut after {cut} steps");
    }
}

#[test]
fn mac_fcnt_02_counters_are_reserved_in_steps_of_32_before_they_are_used() {
    let mut bench = Bench::abp();
    bench.settle();
    bench.stores.clear();
    for n in 0..100 {
        bench.uplink(&[1], false);
        assert_eq!(bench.stores.len(), if n % 32 == 0 { 1 } else { 0 }, "uplink {n}");
        bench.stores.clear();
        bench.finish();
    }
    bench.power_cycle();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 128);
}

#[test]
fn mac_fcnt_02_a_radio_error_repeats_the_same_bytes_and_then_gives_the_counter_up() {
    let mut bench = Bench::abp();
    bench.mac.send(0, 85, b"one", false).unwrap();
    let mut frames = Vec::new();
    while bench.events.iter().all(|event| !matches!(event, Event::UplinkFailed { .. })) {
        match bench.settle() {
            Action::Transmit { .. } => {
                frames.push(bench.mac.frame().to_vec());
                bench.mac.tx_failed(bench.now_ms);
            }
            _ if bench.events.last() == Some(&Event::UplinkFailed { port: Some(85) }) => {}
            _ => assert!(bench.pass().is_none()),
        }
    }
    assert_eq!(frames.len(), 5);
    frames.dedup();
    assert_eq!(frames.len(), 1);
    let sent = bench.uplink(b"two", false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 1);
}

#[test]
fn mac_fcnt_03_the_last_counter_is_never_used() {
    let mut bench = Bench::abp();
    bench.uplink(&[1], false);
    let mut record = bench.flash.counters.clone().unwrap();
    record[11..15].copy_from_slice(&(u32::MAX - 1).to_le_bytes());
    let end = record.len() - 4;
    let crc = crc32(&record[..end]);
    record[end..].copy_from_slice(&crc.to_le_bytes());
    bench.flash.counters = Some(record);
    bench.power_cycle();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0xffff).fcnt, u32::MAX - 1);
    while bench.done().is_none() {
        let action = bench.settle();
        if bench.done().is_none() {
            bench.carry_out(action);
        }
    }
    assert_eq!(bench.mac.send(bench.now_ms, 85, &[1], false), Err(SendError::CounterExhausted));
    assert!(!bench.mac.can_send());
    assert!(bench.events.contains(&Event::Error(Error::FCntUpExhausted)));
}

/// Feeds downlinks by their counters and tells which of them were delivered.
fn check_down(counters: &[u32]) -> Vec<u32> {
    let mut bench = Bench::abp();
    bench.settle();
    for &fcnt in counters {
        bench.rxc(&bench.keys.data(fcnt, 85, &[1]).clone());
    }
    let delivered = bench.events.iter().filter_map(|event| match event {
        Event::Downlink { fcnt, .. } => Some(*fcnt),
        _ => None,
    });
    delivered.collect()
}

#[test]
fn mac_fcnt_04_rejects_a_replayed_downlink() {
    assert_eq!(check_down(&[0, 0, 1, 0, 1, 2, 2, 1, 0, 3]), [0, 1, 2, 3]);
    assert_eq!(check_down(&[5, 4, 5, 6]), [5, 6]);
}

#[test]
fn mac_fcnt_04_rebuilds_the_upper_half_and_refuses_a_jump_beyond_16384() {
    assert_eq!(check_down(&[65_530, 65_535, 65_536, 65_537]), [65_530, 65_535, 65_536, 65_537]);
    assert_eq!(check_down(&[65_530, 65_530 + 16_384]), [65_530, 65_530 + 16_384]);
    assert_eq!(check_down(&[10, 10 + 16_385, 11]), [10, 11]);
    // The low half fits, the upper one does not: the MIC is wrong.
    assert_eq!(check_down(&[10, 65_536 + 11, 11]), [10, 11]);
}

#[test]
fn mac_fcnt_04_a_replay_after_a_power_cut_is_refused_too() {
    let mut bench = Bench::abp();
    bench.settle();
    let old = bench.keys.data(7, 85, b"off");
    bench.rxc(&old);
    assert_eq!(bench.delivered().len(), 1);
    bench.power_cycle();
    bench.settle();
    bench.rxc(&old);
    assert_eq!(bench.delivered(), []);
    bench.rxc(&bench.keys.data(8, 85, b"off").clone());
    assert_eq!(bench.delivered().len(), 1);
}

#[test]
fn mac_fcnt_04_the_counter_is_in_flash_before_the_application_sees_the_frame() {
    let mut bench = Bench::abp();
    bench.settle();
    bench.hear_phy(Window::Rxc, &bench.keys.phy(&bench.keys.data(0, 85, b"on")));
    for _ in 0..3 {
        assert_eq!(bench.mac.poll(bench.now_ms), Action::Store(Record::Counters));
    }
    bench.mac.stored();
    assert!(matches!(bench.mac.poll(bench.now_ms), Action::Event(Event::Downlink { port: 85, .. })));
}

#[test]
fn mac_fcnt_05_the_devices_own_uplink_played_back_has_no_effect() {
    for confirmed in [false, true] {
        for window in [Window::Rx1, Window::Rx2, Window::Rxc] {
            let mut bench = if window == Window::Rxc { Bench::abp() } else { Bench::abp_class_a() };
            let sent = bench.uplink(&[8, 2], confirmed);
            if window != Window::Rxc {
                bench.until(window);
            }
            bench.stores.clear();
            bench.hear_phy(window, &sent.phy);
            bench.settle();
            assert_eq!(bench.delivered(), []);
            assert_eq!(bench.stores, []);
            // A real downlink is still taken.
            bench.finish();
            bench.hear_after(window);
        }
    }
}

impl Bench {
    /// A downlink with counter 0 is accepted, wherever the device listens next.
    fn hear_after(&mut self, window: Window) {
        let phy = self.keys.phy(&self.keys.data(0, 85, b"real"));
        if window == Window::Rxc {
            self.hear_phy(Window::Rxc, &phy);
        } else {
            self.uplink(&[1], false);
            self.until(Window::Rx1);
            self.hear_phy(Window::Rx1, &phy);
        }
        self.settle();
        assert_eq!(self.delivered(), [(85, b"real".to_vec())]);
    }
}

#[test]
fn mac_fcnt_06_frames_that_are_not_for_us_or_not_right_have_no_effect() {
    let good = Bench::abp().keys.data(3, 85, &[8, 0]);
    let keys = Bench::abp().keys;
    let phy = keys.phy(&good);
    let change = |at: usize, to: u8| {
        let mut phy = phy.clone();
        phy[at] = to;
        phy
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("another address", keys.phy(&Down { dev_addr: DEV_ADDR + 1, ..good.clone() })),
        ("another key", keys.phy(&Down { nwk_skey: [3; 16], ..good.clone() })),
        ("wrong MIC", change(phy.len() - 1, phy[phy.len() - 1] ^ 1)),
        ("another payload", change(9, phy[9] ^ 1)),
        ("proprietary", change(0, 0xe0)),
        ("rejoin type", change(0, 0xc0)),
        ("join-accept type", change(0, 0x20)),
        ("major version 1", change(0, phy[0] | 1)),
        ("FOptsLen beyond the frame", change(5, 0x0f)),
        ("11 bytes", phy[..11].to_vec()),
        ("empty", vec![]),
        ("longer than the data rate allows", keys.phy(&keys.data(3, 85, &[0; 52]))),
    ];
    for (name, phy) in cases {
        let mut bench = Bench::new(Config { class_c: false, ..abp() });
        let sent = bench.uplink(&[1], true);
        bench.stores.clear();
        let at_dr0 = sent.rf.data_rate == 0;
        assert!(at_dr0, "ABP starts at the lowest rate");
        bench.until(Window::Rx1);
        bench.hear_phy(Window::Rx1, &phy);
        // The window logic goes on.
        bench.until(Window::Rx2);
        assert_eq!(bench.done(), None, "{name}");
        bench.hear_phy(Window::Rx2, &keys.phy(&Down { ack: true, ..keys.down(0) }));
        bench.settle();
        assert_eq!(bench.done(), Some(Some(true)), "{name}");
        assert_eq!(bench.delivered(), [], "{name}");
        assert_eq!(bench.stores, [Record::Counters], "{name}: only the real one is counted");
    }
}

#[test]
fn mac_abp_01_counters_live_across_power_cuts_for_ever() {
    let mut bench = Bench::abp();
    let mut last = None;
    for n in 0..20 {
        let sent = bench.uplink(&[1], false);
        let fcnt = bench.keys.hear(&sent.phy, 0).fcnt;
        assert!(last.is_none_or(|last| fcnt > last));
        last = Some(fcnt);
        bench.rxc(&bench.keys.data(n, 85, &[1]).clone());
        assert_eq!(bench.delivered().len(), 1);
        bench.power_cycle();
        bench.settle();
        bench.rxc(&bench.keys.data(n, 85, &[1]).clone());
        assert_eq!(bench.delivered(), []);
    }
}

#[test]
fn mac_abp_01_starts_with_the_regions_windows_and_a_low_data_rate() {
    let mut bench = Bench::abp_class_a();
    let sent = bench.uplink(&[1], false);
    assert_eq!(sent.rf.data_rate, 0);
    assert_eq!(bench.until(Window::Rx1), sent.rf);
    assert_eq!(bench.now_ms - sent.end_ms, 1000 - 15);
    let rx2 = bench.until(Window::Rx2);
    assert_eq!((rx2.frequency_hz, rx2.data_rate), (869_525_000, 0));
    assert_eq!(bench.now_ms - sent.end_ms, 2000 - 15);
    assert_eq!(bench.events[0], Event::SessionResumed { dev_addr: DEV_ADDR });
}

#[test]
fn mac_abp_01_a_device_whose_counters_are_lost_stays_silent() {
    let mut bench = Bench::abp();
    bench.uplink(&[1], false);
    for counters in [None, Some(vec![]), Some(vec![0xff; 27])] {
        bench.flash.counters = counters;
        bench.power_cycle();
        assert_eq!(bench.settle(), Action::Idle { until_ms: None });
        assert_eq!(bench.events, [Event::Error(Error::CountersLost)]);
        assert_eq!(bench.mac.send(0, 85, &[1], false), Err(SendError::CountersLost));
    }
    // New keys make a new start.
    let activation = Activation::Abp { dev_addr: DEV_ADDR, nwk_skey: Key([5; 16]), app_skey: Key(APP_SKEY) };
    let mut bench = Bench::restarted(Config { activation, ..abp() }, bench.flash, 0);
    bench.keys.nwk = [5; 16];
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 0);
}

#[test]
fn mac_abp_02_new_keys_begin_at_0_and_the_old_ones_do_not_go_on() {
    let mut bench = Bench::abp();
    for _ in 0..3 {
        bench.uplink(&[1], false);
        bench.finish();
    }
    let activation =
        Activation::Abp { dev_addr: DEV_ADDR + 1, nwk_skey: Key(NWK_SKEY), app_skey: Key(APP_SKEY) };
    let mut bench = Bench::restarted(Config { activation, ..abp() }, bench.flash, 0);
    bench.keys.dev_addr = DEV_ADDR + 1;
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 0);
}

#[test]
fn mac_nvm_03_a_stored_session_resumes_with_its_parameters() {
    let accept = Accept { rx1_offset: 1, rx2_dr: 4, rx_delay: 2, ..Accept::default() };
    let mut bench = Bench::joined(otaa(), &accept);
    bench.uplink(&[1], false);
    bench.power_cycle();
    assert!(bench.mac.is_joined());
    assert_eq!(bench.until(Window::Rxc).data_rate, 4);
    assert_eq!(bench.events, [Event::SessionResumed { dev_addr: DEV_ADDR }]);
    let sent = bench.uplink(b"again", false);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert_eq!((heard.fcnt, heard.payload), (32, b"again".to_vec()));
    assert_eq!(bench.until(Window::Rx1).data_rate, sent.rf.data_rate - 1);
    assert_eq!(bench.now_ms - sent.end_ms, 2000 - 15);
}

#[test]
fn mac_nvm_02_a_cut_between_the_two_records_of_a_join_leaves_a_fresh_session() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    for n in 0..40 {
        bench.exchange(&bench.keys.data(n, 85, &[1]).clone());
    }
    bench.now_ms += 3_000_000;
    bench.mac.join(bench.now_ms);
    let dev_nonce = crate::bench::nonce(&bench.transmit().phy);
    bench.until(Window::Rx1);
    let accept = Accept { join_nonce: 99, ..Accept::default() };
    bench.hear_phy(Window::Rx1, &accept.phy(dev_nonce));
    let Action::Store(Record::Session) = bench.mac.poll(bench.now_ms) else { panic!() };
    let session = bench.mac.record(Record::Session);
    bench.flash.save(Record::Session, &session);
    bench.power_cycle();
    bench.keys = accept.keys(dev_nonce);
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 0);
    bench.rxc(&bench.keys.data(0, 85, &[1]).clone());
    assert_eq!(bench.delivered().len(), 1);
    // From then on it is a session like any other.
    bench.power_cycle();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 32);
}

#[test]
fn mac_nvm_02_a_session_older_than_its_counters_is_not_opened_again() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let old = bench.keys;
    let first = bench.uplink(&[1], false);
    assert_eq!(old.hear(&first.phy, 0).fcnt, 0);
    bench.finish();
    bench.now_ms += 3_000_000;
    bench.mac.join(bench.now_ms);
    let dev_nonce = crate::bench::nonce(&bench.transmit().phy);
    bench.settle();
    // A store that fails, just before the join-accept.
    bench.hear_phy(Window::Rxc, &old.phy(&old.data(5, 85, &[1])));
    assert_eq!(bench.mac.poll(bench.now_ms), Action::Store(Record::Counters));
    bench.now_ms += 4950;
    while !matches!(bench.mac.poll(bench.now_ms), Action::Listen { window: Window::Rx1, .. }) {
        bench.now_ms += 1;
    }
    let accept = Accept { join_nonce: 99, ..Accept::default() };
    bench.hear_phy(Window::Rx1, &accept.phy(dev_nonce));
    let Action::Store(record) = bench.mac.poll(bench.now_ms) else { panic!() };
    let bytes = bench.mac.record(record);
    bench.flash.save(record, &bytes);
    bench.power_cycle();
    if bench.mac.is_joined() {
        bench.keys = accept.keys(dev_nonce);
        let sent = bench.uplink(&[2], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fcnt, 0, "the old session's counter 0 again");
    }
}

#[test]
fn mac_nvm_02_other_credentials_or_settings_void_the_session_and_never_reopen_its_counters() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    bench.uplink(&[1], false);
    let keys = bench.keys;
    let other = Config { channels_hz: Some([868_100_000; 16]), ..otaa() };
    let mut changed = Bench::restarted(other, bench.flash.clone(), 0);
    assert!(!changed.mac.is_joined());
    changed.mac.join(0);
    let sent = changed.transmit();
    assert_eq!(crate::bench::nonce(&sent.phy), 1, "DevNonce goes on");
    // Back to the old settings: the stored session is the old one, and so are its counters.
    let mut back = Bench::restarted(otaa(), changed.flash, 0);
    assert!(back.mac.is_joined());
    let sent = back.uplink(&[1], false);
    assert_eq!(keys.hear(&sent.phy, 0).fcnt, 32);
}

#[test]
fn mac_nvm_02_a_damaged_record_counts_as_absent() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    bench.uplink(&[1], false);
    let flash = bench.flash.clone();
    for at in 0..flash.session.as_ref().unwrap().len() {
        let mut damaged = flash.clone();
        damaged.session.as_mut().unwrap()[at] ^= 0x10;
        assert!(!Bench::restarted(otaa(), damaged, 0).mac.is_joined(), "session byte {at}");
    }
    for at in 0..flash.counters.as_ref().unwrap().len() {
        let mut damaged = flash.clone();
        damaged.counters.as_mut().unwrap()[at] ^= 0x10;
        let mut bench = Bench::restarted(otaa(), damaged, 0);
        assert!(!bench.mac.is_joined(), "without counters no session, byte {at}");
        bench.mac.join(0);
        assert!(crate::bench::nonce(&bench.transmit().phy) > 0, "DevNonce goes on all the same");
    }
}
