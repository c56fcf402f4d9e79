//! A device that keeps to its own channels (guide section 3.2.1, "Single-Channel mode").

use sockeye_lorawan_mac::{Config, Region};

use lrwn::MACCommand;

use crate::bench::{Accept, Bench};
use crate::plans::{abp, accept, masks, otaa};

/// Only 868.3 MHz, or channel 9 of a fixed plan.
fn single(region: Region) -> Config {
    let mut channels_hz = [0; 16];
    channels_hz[1] = 868_300_000;
    let dynamic = region == Region::Eu868;
    Config {
        channels_hz: dynamic.then_some(channels_hz),
        channel_mask: (!dynamic).then_some([1 << 9, 0, 0]),
        fixed_channels: true,
        ..otaa(region)
    }
}

/// Sends four uplinks, gives their frequencies, each once, and the first one's FOpts.
fn sent(bench: &mut Bench) -> (Vec<u32>, Vec<u8>) {
    let mut fopts = None;
    let mut used: Vec<u32> = (0..4)
        .map(|_| {
            let sent = bench.uplink(&[1], false);
            fopts.get_or_insert_with(|| bench.keys.hear(&sent.phy, 0).fopts);
            bench.finish();
            sent.rf.frequency_hz
        })
        .collect();
    used.dedup();
    (used, fopts.unwrap_or_default())
}

#[test]
fn a_join_accept_adds_no_channel() {
    let list = Accept { channels: Some([867_100_000; 5]), ..accept(Region::Eu868) };
    let mut bench = Bench::joined(single(Region::Eu868), &list);
    assert_eq!(sent(&mut bench).0, [868_300_000]);
}

#[test]
fn a_command_that_would_change_the_channels_is_refused_and_one_that_keeps_them_is_not() {
    // LinkADRReq: data rate and power, mask, control and repeats; NewChannelReq: index, frequency, data rates.
    let check = |region, frequency_hz, command: &[u8], answer: &[u8]| {
        let mut bench = Bench::joined(single(region), &accept(region));
        let commands = vec![MACCommand::Raw(command.to_vec())];
        bench.exchange(&bench.keys.commands(0, commands).clone());
        assert_eq!(sent(&mut bench), (vec![frequency_hz], answer.to_vec()), "{region:?} {command:02x?}");
    };
    check(Region::Eu868, 868_300_000, &[0x03, 0x30, 0x07, 0x00, 0x01], &[0x03, 0x06]);
    check(Region::Eu868, 868_300_000, &[0x03, 0x30, 0x00, 0x00, 0x01], &[0x03, 0x06]);
    check(Region::Eu868, 868_300_000, &[0x03, 0x30, 0x02, 0x00, 0x01], &[0x03, 0x07]);
    check(Region::Eu868, 868_300_000, &[0x07, 3, 0x18, 0x4F, 0x84, 0x50], &[0x07, 0x00]);
    check(Region::Us915, 904_100_000, &[0x03, 0x10, 0x00, 0xff, 0x00], &[0x03, 0x06]);
    check(Region::Us915, 904_100_000, &[0x03, 0x10, 0x00, 0x02, 0x00], &[0x03, 0x07]);
}

/// Only the channel 64 of 500 kHz, which carries DR4 and nothing else.
fn single_wide(activation: Config) -> Config {
    Config { channel_mask: Some([0, 0, 1]), fixed_channels: true, ..activation }
}

#[test]
fn adr_back_off_goes_to_no_data_rate_that_the_channels_do_not_carry() {
    for config in [single_wide(otaa(Region::Us915)), single_wide(otaa(Region::Au915))] {
        let region = config.region;
        let mut bench = Bench::joined(config, &accept(region));
        let wide_rate = bench.uplink(&[1], false).rf;
        bench.finish();
        // ADR_ACK_LIMIT and four times ADR_ACK_DELAY, and one more.
        for n in 1..=64 + 4 * 32 {
            assert!(
                bench.mac.free_at_ms(bench.now_ms, 1) < u64::MAX,
                "{region:?}: silent for ever after {n}"
            );
            assert_eq!(bench.uplink(&[1], false).rf, wide_rate, "{region:?} {n}");
            bench.finish();
        }
    }
}

#[test]
fn a_device_without_adr_that_starts_again_keeps_to_a_data_rate_that_its_channels_carry() {
    // DR4 is set, and the network gives channels of 125 kHz alone; DR0 is set, and there is one of 500 kHz alone.
    let narrow = Config { adr: false, data_rate: 4, ..otaa(Region::Us915) };
    let list = Accept { list: masks(&[0xff, 0, 0, 0, 0]), ..accept(Region::Us915) };
    let mut joined = Bench::joined(narrow, &list);
    let wide = Config { adr: false, data_rate: 0, ..single_wide(abp(Region::Us915)) };
    for (bench, data_rate) in [(&mut joined, 3), (&mut Bench::new(wide), 4)] {
        bench.settle();
        for start in 0..3 {
            assert!(bench.mac.free_at_ms(bench.now_ms, 1) < u64::MAX, "silent for ever, start {start}");
            assert_eq!(bench.uplink(&[1], false).rf.data_rate, data_rate, "start {start}");
            bench.finish();
            bench.power_cycle();
            bench.settle();
        }
    }
}

#[test]
fn channels_of_the_network_are_gone_once_the_device_is_set_to_keep_to_its_own() {
    let before = Config { fixed_channels: false, ..single(Region::Eu868) };
    let list = Accept { channels: Some([867_100_000; 5]), ..accept(Region::Eu868) };
    let mut bench = Bench::joined(before, &list);
    assert_ne!(sent(&mut bench).0, [868_300_000]);
    let mut bench = Bench::restarted(single(Region::Eu868), bench.flash.clone(), 0);
    bench.settle();
    // With other settings the session is void.
    assert!(!bench.mac.is_joined());
}
