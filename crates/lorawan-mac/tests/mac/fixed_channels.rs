//! A device that keeps to its own channels (guide section 3.2.1, "Single-Channel mode").

use sockeye_lorawan_mac::{Config, Region};

use lrwn::MACCommand;

use crate::bench::{Accept, Bench};
use crate::plans::{accept, otaa};

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
