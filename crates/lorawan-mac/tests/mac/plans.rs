//! The twelve channel plans at work.

use std::collections::BTreeSet;

use lrwn::{CFList, CFListChannelMasks, ChMask, MACCommand};
use proptest::prelude::*;
use sockeye_lorawan_mac::{Activation, Config, Key, Region, Rf, Window};

use crate::bench::{APP_KEY, APP_SKEY, Accept, Bench, DEV_ADDR, DEV_EUI, JOIN_EUI, NWK_SKEY, Sent, nonce};

pub fn otaa(region: Region) -> Config {
    let app_key = Key(APP_KEY);
    Config::new(region, Activation::Otaa { dev_eui: DEV_EUI, join_eui: JOIN_EUI, app_key })
}

pub fn abp(region: Region) -> Config {
    let (nwk_skey, app_skey) = (Key(NWK_SKEY), Key(APP_SKEY));
    Config::new(region, Activation::Abp { dev_addr: DEV_ADDR, nwk_skey, app_skey })
}

/// An RX2 data rate that every plan of the kind has.
fn rx2_rate(region: Region) -> u8 {
    if matches!(region, Region::Us915 | Region::Au915) { 8 } else { 2 }
}

pub fn accept(region: Region) -> Accept {
    Accept { rx2_dr: rx2_rate(region), ..Accept::default() }
}

/// A CFList of type 1.
pub fn masks(words: &[u16]) -> Option<CFList> {
    let masks = words.iter().map(|word| ChMask::from_bytes(word.to_le_bytes())).collect();
    Some(CFList::ChannelMask(CFListChannelMasks::new(masks)))
}

fn raw(bytes: &[u8]) -> Vec<MACCommand> {
    vec![MACCommand::Raw(bytes.to_vec())]
}

/// A mask of channels as the settings give it.
fn words(mask: u128) -> [u32; 3] {
    std::array::from_fn(|n| (mask >> (32 * n)) as u32)
}

/// Sends commands in RX1, and gives the FOpts of the next uplink.
fn answers_to(bench: &mut Bench, fcnt: u32, commands: &[u8]) -> Vec<u8> {
    bench.exchange(&bench.keys.commands(fcnt, raw(commands)).clone());
    let sent = bench.uplink(&[1], false);
    let fopts = bench.keys.hear(&sent.phy, 0).fopts;
    bench.finish();
    fopts
}

/// Sends so many uplinks without an answer.
fn uplinks(bench: &mut Bench, count: usize) -> Vec<Sent> {
    (0..count)
        .map(|_| {
            let sent = bench.uplink(&[1], false);
            bench.finish();
            sent
        })
        .collect()
}

/// The channel number of a frequency of a fixed plan.
fn number(region: Region, hz: u32) -> u32 {
    let (narrow, wide) = match region {
        Region::Us915 => (902_300_000, Some(903_000_000)),
        Region::Au915 => (915_200_000, Some(915_900_000)),
        Region::Cn470 => (470_300_000, None),
        other => panic!("{other:?} is no fixed plan"),
    };
    match wide {
        Some(wide) if !(hz - narrow).is_multiple_of(200_000) => 64 + (hz - wide) / 1_600_000,
        _ => (hz - narrow) / 200_000,
    }
}

#[test]
fn mac_join_03_every_plan_joins_with_its_own_windows() {
    for region in Region::ALL {
        let mut bench = Bench::new(otaa(region));
        bench.mac.join(0);
        let sent = bench.transmit();
        let rx1 = bench.until(Window::Rx1);
        bench.hear_phy(Window::Rx1, &[0; 12]);
        let rx2 = bench.until(Window::Rx2);
        let (rx2_hz, rx2_rate) = match region {
            Region::Eu868 => (869_525_000, 0),
            Region::Us915 | Region::Au915 => (923_300_000, 8),
            Region::As923_1 => (923_200_000, 2),
            Region::As923_2 => (921_400_000, 2),
            Region::As923_3 => (916_600_000, 2),
            Region::As923_4 => (917_300_000, 2),
            Region::Kr920 => (921_900_000, 0),
            Region::In865 => (866_550_000, 2),
            Region::Ru864 => (869_100_000, 0),
            Region::Eu433 => (434_665_000, 0),
            Region::Cn470 => (505_300_000, 0),
        };
        assert_eq!(rx2, Rf { frequency_hz: rx2_hz, data_rate: rx2_rate }, "{region:?}");
        match region {
            Region::Us915 | Region::Au915 => {
                let channel = number(region, sent.rf.frequency_hz);
                assert_eq!(rx1.frequency_hz, 923_300_000 + 600_000 * (channel % 8), "{region:?}");
                // DR0 + 10 there, DR2 + 8 here.
                assert_eq!(rx1.data_rate, 10, "{region:?}");
            }
            Region::Cn470 => {
                let channel = number(region, sent.rf.frequency_hz);
                assert_eq!(rx1.frequency_hz, 500_300_000 + 200_000 * (channel % 48));
            }
            _ => assert_eq!(rx1, sent.rf, "{region:?}"),
        }
        bench.hear_phy(Window::Rx2, &accept(region).phy(nonce(&sent.phy)));
        bench.settle();
        assert!(bench.mac.is_joined(), "{region:?}");
    }
}

#[test]
fn mac_rx_02_the_fixed_plans_answer_on_their_downlink_grid() {
    for (region, first_hz, step_hz, count) in [
        (Region::Us915, 923_300_000, 600_000, 8),
        (Region::Au915, 923_300_000, 600_000, 8),
        (Region::Cn470, 500_300_000, 200_000, 48),
    ] {
        let mut bench = Bench::new(Config { adr: false, ..abp(region) });
        for _ in 0..100 {
            let sent = bench.uplink(&[1], false);
            let rx1 = bench.until(Window::Rx1);
            let channel = number(region, sent.rf.frequency_hz);
            assert_eq!(rx1.frequency_hz, first_hz + step_hz * (channel % count), "{region:?}");
            bench.finish();
        }
    }
}

#[test]
fn mac_join_07_a_fixed_plan_takes_a_mask_and_a_dynamic_one_does_not() {
    let check = |region, words: &[u16], channels: std::ops::Range<u32>| {
        let mut bench = Bench::joined(otaa(region), &Accept { list: masks(words), ..accept(region) });
        let heard: BTreeSet<u32> =
            uplinks(&mut bench, 30).iter().map(|sent| number(region, sent.rf.frequency_hz)).collect();
        assert!(heard.iter().all(|channel| channels.contains(channel)), "{region:?} {words:x?}: {heard:?}");
        assert!(heard.len() > 7, "{region:?} {words:x?}: {heard:?}");
    };
    check(Region::Us915, &[0xff00, 0, 0, 0, 0x0002], 8..16);
    check(Region::Au915, &[0, 0, 0, 0xff00], 56..64);
    // Bits above channel 71 are reserved; a mask that leaves too little is ignored, and so is a plan without CFList.
    check(Region::Us915, &[0, 0x00ff, 0, 0, 0xff00], 16..24);
    check(Region::Us915, &[0x0001], 0..64);
    check(Region::Us915, &[0, 0, 0, 0, 0xff00], 0..64);
    check(Region::Cn470, &[0, 0, 0, 0, 0, 0x00ff], 0..96);
    let mut bench =
        Bench::joined(otaa(Region::Eu868), &Accept { list: masks(&[0x0004]), ..Accept::default() });
    let heard: BTreeSet<u32> = uplinks(&mut bench, 12).iter().map(|sent| sent.rf.frequency_hz).collect();
    assert_eq!(heard.len(), 3);
}

#[test]
fn mac_join_07_a_fixed_plan_ignores_a_list_of_frequencies() {
    let list = Accept { channels: Some([903_900_000; 5]), ..accept(Region::Us915) };
    let mut bench = Bench::joined(otaa(Region::Us915), &list);
    let heard: BTreeSet<u32> = uplinks(&mut bench, 40).iter().map(|sent| sent.rf.frequency_hz).collect();
    assert_eq!(heard.len(), 40, "each of the 64 channels once before any twice");
}

#[test]
fn mac_join_07_a_mask_of_wide_channels_alone_moves_the_data_rate() {
    let list = Accept { list: masks(&[0, 0, 0, 0, 0x0004]), ..accept(Region::Us915) };
    let mut bench = Bench::joined(otaa(Region::Us915), &list);
    let sent = bench.uplink(&[1], false);
    assert_eq!(sent.rf, Rf { frequency_hz: 903_000_000 + 2 * 1_600_000, data_rate: 4 });
}

/// The requests of a device that nobody answers.
fn requests(config: Config, count: usize) -> Vec<Rf> {
    let mut bench = Bench::new(config);
    bench.mac.join(0);
    (0..count).map(|_| bench.transmit().rf).collect()
}

#[test]
fn mac_join_09_nine_requests_reach_every_bank_and_the_wide_channels() {
    for (region, narrow_rate, wide_rate) in [(Region::Us915, 0, 4), (Region::Au915, 2, 6)] {
        let sent = requests(otaa(region), 18);
        let places: Vec<(u32, u8)> =
            sent.iter().map(|rf| (number(region, rf.frequency_hz) / 8, rf.data_rate)).collect();
        let expected: Vec<(u32, u8)> =
            (0..8).map(|bank| (bank, narrow_rate)).chain([(8, wide_rate)]).cycle().take(18).collect();
        assert_eq!(places, expected, "{region:?}");
        let channels: BTreeSet<u32> = sent.iter().map(|rf| rf.frequency_hz).collect();
        assert_eq!(channels.len(), 18, "no channel twice before every one was used");
    }
}

#[test]
#[cfg_attr(
    feature = "certification",
    ignore = "MAC-JOIN-10: a device under certification joins on every channel"
)]
fn mac_join_09_a_configured_bank_is_the_only_one_tried() {
    let config = Config { channel_mask: Some(words(0xff00 | 1 << 65)), ..otaa(Region::Us915) };
    let sent = requests(config, 8);
    let banks: Vec<u32> = sent.iter().map(|rf| number(Region::Us915, rf.frequency_hz)).collect();
    for (index, channel) in banks.iter().enumerate() {
        assert!(if index % 2 == 0 { (8..16).contains(channel) } else { *channel == 65 }, "{banks:?}");
    }
    // CN470 with the bank that most Chinese networks serve: the data rate goes down from one to the next.
    let sent = requests(Config { channel_mask: Some(words(0xff << 80)), ..otaa(Region::Cn470) }, 7);
    assert_eq!(sent.iter().map(|rf| rf.data_rate).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0, 5]);
    assert!(sent.iter().all(|rf| (80..88).contains(&number(Region::Cn470, rf.frequency_hz))));
}

#[test]
fn mac_join_09_as923_requests_keep_to_400_ms() {
    let mut bench = Bench::new(otaa(Region::As923_1));
    bench.mac.join(0);
    let rates: Vec<u8> = (0..6)
        .map(|_| {
            let sent = bench.transmit();
            assert!(sent.end_ms - sent.start_ms <= 400);
            sent.rf.data_rate
        })
        .collect();
    assert_eq!(rates, [5, 4, 3, 2, 5, 4]);
}

#[test]
fn mac_tx_01_every_channel_is_used_once_before_one_is_used_twice() {
    for (config, channels) in [
        (abp(Region::Us915), 64),
        (Config { channel_mask: Some(words(0xff << 8)), ..abp(Region::Au915) }, 8),
        (abp(Region::Cn470), 96),
        (abp(Region::Kr920), 3),
    ] {
        let mut bench = Bench::new(config);
        for round in 0..2 {
            let heard: BTreeSet<u32> = (0..channels)
                .map(|_| {
                    let sent = bench.uplink(&[1], false);
                    bench.finish();
                    sent.rf.frequency_hz
                })
                .collect();
            assert_eq!(heard.len(), channels, "round {round}");
        }
    }
}

#[test]
fn mac_ladr_02_a_block_of_masks_ends_in_a_bank_of_us915() {
    let mut bench = Bench::joined(otaa(Region::Us915), &accept(Region::Us915));
    // All narrow channels off, then bank 1 on, DR3: as network servers do it.
    let answers = answers_to(&mut bench, 0, &[0x03, 0x30, 0x02, 0x00, 0x71, 0x03, 0x32, 0x00, 0xff, 0x01]);
    assert_eq!(answers, [0x03, 0x07, 0x03, 0x07]);
    for sent in uplinks(&mut bench, 16) {
        assert_eq!(sent.rf.data_rate, 3);
        assert!((8..16).contains(&number(Region::Us915, sent.rf.frequency_hz)));
    }
    // And it is kept.
    bench.power_cycle();
    for sent in uplinks(&mut bench, 8) {
        assert_eq!(sent.rf.data_rate, 3);
        assert!((8..16).contains(&number(Region::Us915, sent.rf.frequency_hz)));
    }
}

#[test]
fn mac_ladr_02_what_a_fixed_plan_refuses() {
    let check = |region, request: [u8; 5], status: u8| {
        let mut bench = Bench::joined(otaa(region), &accept(region));
        assert_eq!(answers_to(&mut bench, 0, &request), [0x03, status], "{region:?} {request:02x?}");
    };
    // One narrow channel is too few for hopping in the USA, not in Australia.
    for (region, rate, status) in [(Region::Us915, 0x00, 0x06), (Region::Au915, 0x20, 0x07)] {
        let mut bench = Bench::joined(otaa(region), &accept(region));
        let one_channel = [0x03, rate, 0x00, 0x00, 0x70, 0x03, rate, 0x01, 0x00, 0x00];
        assert_eq!(answers_to(&mut bench, 0, &one_channel), [0x03, status].repeat(2), "{region:?}");
    }
    check(Region::Us915, [0x03, 0x0f, 0x00, 0x00, 0x40], 0x07);
    check(Region::Us915, [0x03, 0x40, 0x01, 0x00, 0x70], 0x07);
    check(Region::Us915, [0x03, 0x00, 0x00, 0x00, 0x70], 0x06);
    check(Region::Us915, [0x03, 0x50, 0xff, 0x00, 0x00], 0x05);
    check(Region::Us915, [0x03, 0x80, 0xff, 0x00, 0x00], 0x05);
    check(Region::Us915, [0x03, 0x0e, 0xff, 0x00, 0x00], 0x07);
    check(Region::Au915, [0x03, 0x60, 0x01, 0x00, 0x70], 0x07);
    // Too slow for 400 ms.
    check(Region::Au915, [0x03, 0x10, 0xff, 0x00, 0x00], 0x05);
    check(Region::Cn470, [0x03, 0x50, 0xff, 0x00, 0x50], 0x07);
    check(Region::Cn470, [0x03, 0x50, 0xff, 0x00, 0x70], 0x06);
    check(Region::Kr920, [0x03, 0x60, 0x07, 0x00, 0x00], 0x05);
    check(Region::Eu433, [0x03, 0x56, 0x07, 0x00, 0x00], 0x03);
}

#[test]
fn mac_rxp_01_rx2_must_be_on_the_plans_downlink_channels() {
    let check = |region, settings: u8, hz: u32, status: u8| {
        let mut bench = Bench::joined(otaa(region), &accept(region));
        let [a, b, c, _] = (hz / 100).to_le_bytes();
        let answers = answers_to(&mut bench, 0, &[0x05, settings, a, b, c]);
        assert_eq!(answers, [0x05, status], "{region:?} {settings:02x} {hz}");
    };
    check(Region::Us915, 0x08, 923_900_000, 0x07);
    check(Region::Us915, 0x08, 923_400_000, 0x06);
    check(Region::Us915, 0x04, 923_900_000, 0x05);
    check(Region::Us915, 0x48, 923_900_000, 0x03);
    check(Region::Au915, 0x58, 927_500_000, 0x07);
    check(Region::Cn470, 0x55, 500_300_000, 0x07);
    check(Region::Cn470, 0x00, 470_300_000, 0x06);
    check(Region::Kr920, 0x00, 922_000_000, 0x06);
    check(Region::Kr920, 0x00, 923_300_000, 0x07);
    check(Region::In865, 0x72, 866_550_000, 0x07);
    check(Region::As923_2, 0x02, 923_200_000, 0x06);
}

#[test]
fn mac_nch_01_and_mac_dlc_01_are_silent_in_fixed_plans() {
    for region in [Region::Us915, Region::Au915, Region::Cn470] {
        let mut bench = Bench::joined(otaa(region), &accept(region));
        let [a, b, c, _] = 9_030_000u32.to_le_bytes();
        let commands = [0x07, 5, a, b, c, 0x30, 0x0a, 1, a, b, c, 0x06];
        assert_eq!(answers_to(&mut bench, 0, &commands), [0x06, 0, 7], "{region:?}");
    }
}

#[test]
fn mac_dlc_01_status_and_effect() {
    let mut bench = Bench::joined(otaa(Region::As923_1), &accept(Region::As923_1));
    let request = |index: u8, hz: u32| {
        let [a, b, c, _] = (hz / 100).to_le_bytes();
        [0x0a, index, a, b, c]
    };
    let commands = [request(0, 924_000_000), request(5, 924_000_000)].concat();
    assert_eq!(answers_to(&mut bench, 0, &commands), [0x0a, 3, 0x0a, 1]);
    let commands = [request(1, 930_000_000), request(9, 1)].concat();
    assert_eq!(answers_to(&mut bench, 1, &commands), [0x0a, 2, 0x0a, 0]);
    let mut moved = 0;
    for _ in 0..8 {
        let sent = bench.uplink(&[1], false);
        let rx1 = bench.until(Window::Rx1);
        if sent.rf.frequency_hz == 923_200_000 {
            assert_eq!(rx1.frequency_hz, 924_000_000);
            moved += 1;
        } else {
            assert_eq!(rx1.frequency_hz, sent.rf.frequency_hz);
        }
        bench.finish();
    }
    assert_eq!(moved, 4);
}

#[test]
fn mac_txp_01_dwell_time_and_power_follow_the_network() {
    let mut bench = Bench::joined(otaa(Region::As923_1), &accept(Region::As923_1));
    // Starts with 400 ms: 11 bytes at DR2.
    assert_eq!(answers_to(&mut bench, 0, &[0x03, 0x20, 0x03, 0x00, 0x01]), [0x03, 0x07]);
    assert_eq!(bench.mac.max_payload(), 11);
    // Without dwell time and with 14 dBm (code 4), DR2 carries 51 bytes and DR0 is there. The answer is sticky.
    assert_eq!(answers_to(&mut bench, 1, &[0x09, 0x04]), [0x09]);
    assert_eq!(bench.mac.max_payload(), 50);
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x09]);
    assert_eq!(sent.power_dbm, 14);
    bench.finish();
    assert_eq!(answers_to(&mut bench, 2, &[0x03, 0x01, 0x03, 0x00, 0x01]), [0x03, 0x07]);
    assert_eq!(bench.uplink(&[1], false).power_dbm, 12, "14 dBm less one step");
    bench.finish();
    bench.power_cycle();
    let sent = bench.uplink(&[1], false);
    assert_eq!((sent.rf.data_rate, sent.power_dbm), (0, 12));
    bench.finish();
    // With dwell time again the rate is raised.
    assert_eq!(answers_to(&mut bench, 3, &[0x09, 0x3f]), [0x09]);
    let sent = bench.uplink(&[1], false);
    assert_eq!((sent.rf.data_rate, sent.power_dbm), (2, 14));
    // 400 ms for downlinks too: RX1 is never slower than DR2.
    assert_eq!(bench.until(Window::Rx1).data_rate, 2);
}

#[test]
fn mac_txp_01_other_plans_stay_silent_and_unchanged() {
    for region in Region::ALL {
        let known = matches!(
            region,
            Region::Au915 | Region::As923_1 | Region::As923_2 | Region::As923_3 | Region::As923_4
        );
        let mut bench = Bench::joined(otaa(region), &accept(region));
        let answers = answers_to(&mut bench, 0, &[0x09, 0x00, 0x06]);
        let (expected, power_dbm): (&[u8], Option<i8>) =
            if known { (&[0x09, 0x06, 0, 7], Some(8)) } else { (&[0x06, 0, 7], None) };
        assert_eq!(answers, expected, "{region:?}");
        let sent = bench.uplink(&[1], false);
        if let Some(power_dbm) = power_dbm {
            assert_eq!(sent.power_dbm, power_dbm, "{region:?}");
        } else {
            assert!(sent.power_dbm > 8, "{region:?}");
        }
    }
}

#[test]
fn mac_tx_03_frames_keep_to_400_ms_where_uplinks_must() {
    for region in [Region::Au915, Region::As923_1, Region::As923_4] {
        let mut bench = Bench::new(abp(region));
        for _ in 0..5 {
            let payload = vec![7; bench.mac.max_payload()];
            let sent = bench.uplink(&payload, false);
            assert!(sent.end_ms - sent.start_ms <= 400, "{region:?}");
            bench.finish();
        }
    }
}

#[test]
fn mac_tx_04_every_plan_has_its_limit() {
    for (region, limit_dbm) in [
        (Region::Eu868, 16),
        (Region::Us915, 30),
        (Region::Au915, 30),
        (Region::As923_1, 16),
        (Region::As923_2, 16),
        (Region::As923_3, 16),
        (Region::As923_4, 16),
        (Region::Kr920, 14),
        (Region::In865, 30),
        (Region::Ru864, 16),
        (Region::Eu433, 12),
        (Region::Cn470, 19),
    ] {
        let mut bench = Bench::new(Config { tx_power_dbm: 100, ..abp(region) });
        assert_eq!(bench.uplink(&[1], false).power_dbm, limit_dbm, "{region:?}");
    }
}

#[test]
fn mac_tx_04_kr920_is_weaker_below_922_mhz() {
    let channels = Config {
        channels_hz: Some(std::array::from_fn(|n| 921_700_000 + 200_000 * n as u32)),
        ..abp(Region::Kr920)
    };
    let mut bench = Bench::new(channels);
    for sent in uplinks(&mut bench, 9) {
        assert_eq!(sent.power_dbm, if sent.rf.frequency_hz < 922_000_000 { 10 } else { 14 }, "{:?}", sent.rf);
    }
}

#[test]
fn mac_tx_04_us915_is_weaker_with_fewer_than_50_channels() {
    let power = |mask: u128| {
        let mut bench = Bench::new(Config { channel_mask: Some(words(mask)), ..abp(Region::Us915) });
        bench.uplink(&[1], false).power_dbm
    };
    assert_eq!(power(u128::MAX), 30);
    assert_eq!(power((1 << 50) - 1), 30);
    assert_eq!(power((1 << 49) - 1), 21);
    assert_eq!(power(0xff00), 21);
    // The wide channels do not hop.
    assert_eq!(power(0xff << 64), 30);
}

#[test]
fn mac_tx_02_every_band_keeps_its_duty_cycle() {
    for (region, permille) in
        [(Region::As923_1, 10), (Region::As923_3, 10), (Region::Ru864, 10), (Region::Eu433, 10)]
    {
        let mut bench = Bench::new(Config { adr: false, data_rate: 3, ..abp(region) });
        let mut used_ms = 0;
        while bench.now_ms < 3_500_000 {
            let sent = bench.uplink(&[1; 40], false);
            if sent.end_ms < 3_600_000 {
                used_ms += sent.end_ms - sent.start_ms;
            }
            bench.finish();
        }
        assert!(used_ms <= 3_600 * permille, "{region:?}: {used_ms} ms");
        assert!(used_ms >= 3_000 * permille, "{region:?}: {used_ms} ms");
    }
}

#[test]
fn mac_adr_03_the_fixed_plans_come_back_to_every_channel() {
    let mut bench = Bench::joined(otaa(Region::Us915), &accept(Region::Us915));
    assert_eq!(answers_to(&mut bench, 0, &[0x03, 0x10, 0x02, 0x00, 0x51]), [0x03, 0x07]);
    // 96 without a downlink: full power; 128: DR0; 160: every channel.
    let sent = uplinks(&mut bench, 300);
    let rates: Vec<u8> = sent.iter().map(|sent| sent.rf.data_rate).collect();
    assert!(rates[..120].iter().all(|&rate| rate == 1) && rates[135..].iter().all(|&rate| rate == 0));
    let channels: BTreeSet<u32> =
        sent[170..].iter().map(|sent| number(Region::Us915, sent.rf.frequency_hz)).collect();
    assert_eq!(channels.len(), 64);
    assert!(sent[..150].iter().all(|sent| (8..16).contains(&number(Region::Us915, sent.rf.frequency_hz))));
}

#[test]
fn mac_adr_03_the_dwell_time_bounds_the_way_down() {
    let mut bench = Bench::joined(otaa(Region::As923_1), &accept(Region::As923_1));
    assert_eq!(answers_to(&mut bench, 0, &[0x03, 0x30, 0x03, 0x00, 0x01]), [0x03, 0x07]);
    let sent = uplinks(&mut bench, 250);
    assert_eq!(sent.first().unwrap().rf.data_rate, 3);
    assert_eq!(sent.last().unwrap().rf.data_rate, 2);
}

#[test]
fn mac_frm_05_answers_fit_the_shortest_frame_of_us915() {
    let mut bench = Bench::joined(otaa(Region::Us915), &accept(Region::Us915));
    assert_eq!(bench.mac.max_payload(), 11);
    // Four DevStatusReq make 12 bytes: too many beside FPort at DR0, so that they go alone, whole ones only.
    bench.exchange(&bench.keys.commands(0, raw(&[0x06; 4])).clone());
    let sent = bench.transmit();
    assert!(sent.end_ms - sent.start_ms <= 400);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert_eq!((heard.port, heard.payload.as_slice()), (Some(0), [0x06, 0, 7].repeat(3).as_slice()));
    bench.finish();
    // Nine bytes leave room for two.
    bench.exchange(&bench.keys.commands(1, raw(&[0x06; 3])).clone());
    assert_eq!(bench.mac.max_payload(), 2);
    let sent = bench.uplink(&[1, 2], false);
    assert!(sent.end_ms - sent.start_ms <= 400);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts.len(), 9);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_row_of_commands_brings_any_plan_off_its_rules(
        region in prop::sample::select(Region::ALL.to_vec()),
        rows in prop::collection::vec(commands(), 1..5),
    ) {
        let mut bench = Bench::joined(Config { class_c: true, ..otaa(region) }, &accept(region));
        for (fcnt, row) in (0u32..).zip(rows) {
            let keys = bench.keys;
            bench.exchange(&keys.commands(fcnt, raw(&row)));
            for _ in 0..3 {
                let sent = if bench.mac.can_send() {
                    let payload = vec![1; bench.mac.max_payload().min(5)];
                    // `Busy` = answers go first.
                    let _ = bench.mac.send(bench.now_ms, 85, &payload, false);
                    bench.transmit()
                } else {
                    bench.transmit()
                };
                obeys(region, &sent);
                bench.finish();
            }
            let session = bench.flash.session.clone();
            let before = bench.mac.record(sockeye_lorawan_mac::Record::Session);
            prop_assert_eq!(Some(before.to_vec()), session);
            bench.power_cycle();
            prop_assert!(bench.mac.is_joined(), "{:?}: the session record is not read back", region);
            prop_assert_eq!(bench.mac.record(sockeye_lorawan_mac::Record::Session), before);
        }
    }
}

/// Rows of commands that are in the right shape, with any content.
fn commands() -> impl Strategy<Value = Vec<u8>> {
    let one = prop_oneof![
        prop::collection::vec(any::<u8>(), 4).prop_map(|rest| [vec![0x03], rest].concat()),
        prop::collection::vec(any::<u8>(), 1).prop_map(|rest| [vec![0x04], vec![rest[0] & 0x03]].concat()),
        prop::collection::vec(any::<u8>(), 4).prop_map(|rest| [vec![0x05], rest].concat()),
        prop::collection::vec(any::<u8>(), 5).prop_map(|rest| [vec![0x07], rest].concat()),
        (0u8..16, 863_000u32..928_000, any::<u8>()).prop_map(|(index, khz, range)| {
            let [a, b, c, _] = (khz * 10).to_le_bytes();
            vec![0x07, index, a, b, c, range]
        }),
        any::<u8>().prop_map(|v| vec![0x08, v]),
        any::<u8>().prop_map(|v| vec![0x09, v]),
        (0u8..16, 863_000u32..928_000).prop_map(|(index, khz)| {
            let [a, b, c, _] = (khz * 10).to_le_bytes();
            vec![0x0a, index, a, b, c]
        }),
    ];
    prop::collection::vec(one, 1..3).prop_map(|rows| rows.concat())
}

/// What holds of any frame that goes out.
pub fn obeys(region: Region, sent: &Sent) {
    let (low, high, fastest, limit_dbm) = match region {
        Region::Eu868 => (863_000_000, 870_000_000, 6, 16),
        Region::Us915 => (902_300_000, 914_900_000, 4, 30),
        Region::Au915 => (915_200_000, 927_800_000, 6, 30),
        Region::As923_1 => (915_000_000, 928_000_000, 6, 16),
        Region::As923_2 => (920_000_000, 923_000_000, 6, 16),
        Region::As923_3 => (915_000_000, 921_000_000, 6, 16),
        Region::As923_4 => (917_000_000, 920_000_000, 6, 16),
        Region::Kr920 => (920_900_000, 923_300_000, 5, 14),
        Region::In865 => (865_000_000, 867_000_000, 5, 30),
        Region::Ru864 => (864_000_000, 870_000_000, 6, 16),
        Region::Eu433 => (433_175_000, 434_665_000, 6, 12),
        Region::Cn470 => (470_300_000, 489_300_000, 5, 19),
    };
    assert!((low..=high).contains(&sent.rf.frequency_hz), "{region:?} {:?}", sent.rf);
    assert!(sent.rf.data_rate <= fastest, "{region:?} {:?}", sent.rf);
    assert!(sent.power_dbm <= limit_dbm, "{region:?} {} dBm", sent.power_dbm);
    let wide = matches!(region, Region::Us915 | Region::Au915) && sent.rf.data_rate == fastest;
    if matches!(region, Region::Us915 | Region::Au915 | Region::Cn470) {
        assert_eq!(
            number(region, sent.rf.frequency_hz) >= 64 && region != Region::Cn470,
            wide,
            "{:?}",
            sent.rf
        );
    }
}
