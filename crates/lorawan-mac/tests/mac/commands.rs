//! MAC-CMD and the commands.

use lrwn::{
    ChMask, DLSettings, DeviceTimeAnsPayload, DutyCycleReqPayload, LinkADRReqPayload, LinkCheckAnsPayload,
    MACCommand, NewChannelReqPayload, Redundancy, RxParamSetupReqPayload, RxTimingSetupReqPayload,
};
use sockeye_lorawan_mac::{Config, Event, Window};

use crate::bench::{Accept, Bench, Down, otaa};

fn bench() -> Bench {
    Bench::joined(otaa(), &Accept::default())
}

fn adr(dr: u8, tx_power: u8, mask: u16, ch_mask_cntl: u8, nb_rep: u8) -> MACCommand {
    MACCommand::LinkADRReq(LinkADRReqPayload {
        dr,
        tx_power,
        ch_mask: ChMask::from_bytes(mask.to_le_bytes()),
        redundancy: Redundancy { ch_mask_cntl, nb_rep },
    })
}

fn rx_param(frequency: u32, rx2_dr: u8, rx1_dr_offset: u8) -> MACCommand {
    MACCommand::RxParamSetupReq(RxParamSetupReqPayload {
        frequency,
        dl_settings: DLSettings { opt_neg: false, rx2_dr, rx1_dr_offset },
    })
}

fn timing(delay: u8) -> MACCommand {
    MACCommand::RxTimingSetupReq(RxTimingSetupReqPayload { delay })
}

fn channel(ch_index: u8, freq: u32, min_dr: u8, max_dr: u8) -> MACCommand {
    MACCommand::NewChannelReq(NewChannelReqPayload { ch_index, freq, min_dr, max_dr })
}

/// Sends commands in RX1 as raw FOpts, and gives the FOpts of the next uplink.
fn answers_to(bench: &mut Bench, fcnt: u32, fopts: Vec<MACCommand>) -> Vec<u8> {
    bench.exchange(&bench.keys.commands(fcnt, fopts).clone());
    let sent = bench.uplink(&[1], false);
    bench.keys.hear(&sent.phy, 0).fopts
}

fn raw(bytes: &[u8]) -> Vec<MACCommand> {
    vec![MACCommand::Raw(bytes.to_vec())]
}

#[test]
fn mac_cmd_01_commands_outside_rx1_and_rx2_are_not_carried_out() {
    let mut bench = bench();
    bench.settle();
    bench.rxc(&Down { fopts: vec![MACCommand::DevStatusReq], ..bench.keys.data(0, 85, &[1]) });
    bench.rxc(&Down { port: Some(0), payload: vec![0x06], ..bench.keys.down(1) });
    assert_eq!(
        bench.delivered(),
        [(85, vec![1])],
        "the payload beside FOpts is delivered, port 0 is dropped"
    );
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, []);
}

#[test]
fn mac_cmd_02_execution_ends_at_an_unknown_or_truncated_command() {
    for (commands, expected) in [
        (&[0x06, 0x7f, 0x06][..], vec![0x06, 0, 7]),
        (&[0x06, 0x03, 0x50, 0x07], vec![0x06, 0, 7]),
        (&[0x80, 0x06], vec![]),
        (&[0x08], vec![]),
        // Class B and TxParamSetupReq: their lengths are known, so the walk goes on.
        (&[0x09, 0x11, 0x06], vec![0x06, 0, 7]),
        (&[0x11, 1, 2, 3, 4, 0x13, 1, 2, 3, 0x12, 1, 2, 3, 0x10, 0x06], vec![0x06, 0, 7]),
    ] {
        assert_eq!(answers_to(&mut bench(), 0, raw(commands)), expected, "{commands:x?}");
    }
}

#[test]
fn mac_cmd_03_every_request_has_its_answer_in_order() {
    let commands =
        vec![timing(2), MACCommand::DevStatusReq, rx_param(869_525_000, 3, 0), channel(3, 867_100_000, 0, 5)];
    let expected = [0x08, 0x06, 0x00, 0x07, 0x05, 0x07, 0x07, 0x03];
    let mut bench = bench();
    let down = Down {
        port: Some(0),
        payload: lrwn::MACCommandSet::new(commands).to_vec().unwrap(),
        ..bench.keys.down(0)
    };
    bench.exchange(&down);
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, expected);
}

#[test]
fn mac_cmd_04_a_request_that_is_refused_in_part_changes_nothing() {
    for (command, status) in [
        (rx_param(860_000_000, 4, 1), 0x06),
        (rx_param(869_100_000, 7, 1), 0x05),
        (rx_param(869_100_000, 4, 6), 0x03),
        (rx_param(860_000_000, 15, 7), 0x00),
    ] {
        let mut bench = bench();
        assert_eq!(answers_to(&mut bench, 0, vec![command]), [0x05, status]);
        let rx1 = bench.until(Window::Rx1);
        assert_eq!(rx1.data_rate, 5);
        bench.finish();
        let rxc = bench.until(Window::Rxc);
        assert_eq!((rxc.frequency_hz, rxc.data_rate), (869_525_000, 3));
    }
}

#[test]
fn mac_cmd_05_sticky_answers_are_repeated_until_a_class_a_downlink() {
    let mut bench = bench();
    let commands = vec![timing(1), MACCommand::DevStatusReq, rx_param(869_525_000, 3, 0)];
    assert_eq!(answers_to(&mut bench, 0, commands), [0x08, 0x06, 0, 7, 0x05, 0x07]);
    for _ in 0..3 {
        bench.finish();
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x08, 0x05, 0x07]);
    }
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&bench.keys.down(1)));
    bench.settle();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, []);
}

#[test]
fn mac_cmd_05_a_confirmed_uplink_needs_the_ack_and_unsent_answers_stay() {
    let mut bench = bench();
    bench.exchange(&bench.keys.commands(0, vec![timing(1)]).clone());
    let sent = bench.uplink(b"c", true);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x08]);
    bench.until(Window::Rx1);
    // No ACK: sticky stays, and a new one joins it.
    let down = bench.keys.commands(1, vec![rx_param(869_525_000, 3, 0)]);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&down));
    bench.transmit();
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&Down { ack: true, ..bench.keys.down(2) }));
    // RXC has moved, so the device sends by itself.
    assert_eq!(bench.heard().fopts, [0x05, 0x07], "the new one has not been on air yet");
}

#[test]
fn mac_cmd_06_commands_never_reach_the_application() {
    let mut bench = bench();
    bench.exchange(&Down { port: Some(0), payload: vec![0x06], ..bench.keys.down(0) });
    bench.finish();
    bench.exchange(&Down { fopts: vec![MACCommand::DevStatusReq], ..bench.keys.down(1) });
    assert_eq!(bench.delivered(), []);
}

#[test]
fn mac_ladr_02_status_bits_and_effect() {
    for (name, command, status, dr, power) in [
        ("rate and power", adr(2, 3, 7, 0, 1), 0x07, 2, 10),
        ("keep both", adr(15, 15, 7, 0, 1), 0x07, 5, 16),
        ("all channels on", adr(4, 0, 0, 6, 1), 0x07, 4, 16),
        ("channel that is not there", adr(2, 3, 0x0f, 0, 1), 0x06, 5, 16),
        ("no channel left", adr(2, 3, 0, 0, 1), 0x06, 5, 16),
        ("RFU control", adr(2, 3, 7, 4, 1), 0x06, 5, 16),
        ("rate without channel", adr(6, 3, 7, 0, 1), 0x05, 5, 16),
        ("FSK", adr(7, 3, 7, 0, 1), 0x05, 5, 16),
        ("power index", adr(2, 8, 7, 0, 1), 0x03, 5, 16),
        ("all wrong", adr(9, 9, 0x8000, 7, 1), 0x00, 5, 16),
    ] {
        let mut bench = bench();
        bench.exchange(&bench.keys.commands(0, vec![command]).clone());
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x03, status], "{name}");
        assert_eq!((sent.rf.data_rate, sent.power_dbm), (dr, power), "{name}");
    }
}

#[test]
fn mac_ladr_01_a_block_is_judged_as_one_and_answered_for_each() {
    let mut bench = bench();
    // The first alone would leave channel 0, the last decides rate and mask.
    let block = vec![adr(0, 0, 1, 0, 1), adr(3, 1, 2, 0, 1)];
    assert_eq!(answers_to(&mut bench, 0, block), [0x03, 0x07, 0x03, 0x07]);
    bench.finish();
    for _ in 0..6 {
        let sent = bench.uplink(&[1], false);
        assert_eq!((sent.rf.frequency_hz, sent.rf.data_rate, sent.power_dbm), (868_300_000, 3, 14));
        bench.finish();
    }
    let block = vec![adr(0, 0, 0x100, 0, 1), adr(3, 1, 2, 0, 1), MACCommand::DevStatusReq];
    assert_eq!(answers_to(&mut bench, 1, block), [0x03, 0x06, 0x03, 0x06, 0x06, 0, 7]);
}

#[test]
fn mac_adr_01_without_adr_only_mask_and_repeats_are_taken() {
    let mut bench = Bench::joined(Config { adr: false, data_rate: 4, ..otaa() }, &Accept::default());
    bench.exchange(&bench.keys.commands(0, vec![adr(1, 5, 4, 0, 1)]).clone());
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x03, 0x07]);
    assert_eq!((sent.rf.data_rate, sent.power_dbm, sent.rf.frequency_hz), (4, 16, 868_500_000));
}

#[test]
fn mac_adr_03_a_silent_network_brings_power_then_rate_then_channels_back() {
    let mut bench = bench();
    bench.exchange(&bench.keys.commands(0, vec![adr(2, 5, 1, 0, 2)]).clone());
    bench.finish();
    let mut seen = Vec::new();
    for n in 0..230u32 {
        bench.now_ms += 400_000;
        let sent = bench.uplink(&[1], false);
        bench.finish();
        if [0, 63, 64, 96, 128, 160, 192, 224].contains(&n) {
            let heard = bench.keys.hear(&sent.phy, 0);
            seen.push((n, heard.ctrl.adr_ack_req, sent.power_dbm, sent.rf.data_rate));
        }
    }
    let expected = [
        (0, false, 6, 2),
        (63, false, 6, 2),
        (64, true, 6, 2),
        (96, true, 16, 2),
        (128, true, 16, 1),
        (160, true, 16, 0),
        (192, true, 16, 0),
        (224, true, 16, 0),
    ];
    assert_eq!(seen, expected);
    let used: std::collections::BTreeSet<_> = (0..20)
        .map(|_| {
            bench.now_ms += 400_000;
            let sent = bench.uplink(&[1], false);
            bench.finish();
            sent.rf.frequency_hz
        })
        .collect();
    assert_eq!(used.len(), 3, "the default channels are back");
}

#[test]
fn mac_duty_01_the_networks_limit_spaces_uplinks() {
    let mut bench = bench();
    let limit = MACCommand::DutyCycleReq(DutyCycleReqPayload { max_duty_cycle: 10 });
    assert_eq!(answers_to(&mut bench, 0, vec![limit]), [0x04]);
    bench.finish();
    let first = bench.uplink(&[1], false);
    bench.finish();
    let second = bench.uplink(&[1], false);
    let airtime_ms = first.end_ms - first.start_ms;
    assert!(second.start_ms - first.end_ms >= airtime_ms * 1023);
}

#[test]
fn mac_dev_01_battery_is_external_and_margin_is_that_of_the_request() {
    for (snr_db, margin) in [(7, 7), (0, 0), (-1, 0x3f), (-20, 0x2c), (60, 31), (-60, 0x20)] {
        let mut bench = bench();
        bench.uplink(&[1], false);
        bench.until(Window::Rx1);
        let phy = bench.keys.phy(&bench.keys.commands(0, vec![MACCommand::DevStatusReq]));
        let quality = sockeye_lorawan_mac::Quality { rssi_dbm: -90, snr_db };
        bench.mac.received(bench.now_ms, Window::Rx1, &phy, quality);
        bench.settle();
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x06, 0, margin], "{snr_db} dB");
    }
}

#[test]
fn mac_nch_01_channels_are_added_taken_away_and_refused() {
    let mut bench = bench();
    for (fcnt, (command, status)) in (0u32..).zip([
        (channel(3, 867_100_000, 0, 5), 0x03),
        (channel(15, 867_300_000, 5, 5), 0x03),
        (channel(0, 867_500_000, 0, 5), 0x00),
        (channel(2, 0, 0, 5), 0x00),
        (channel(16, 867_500_000, 0, 5), 0x00),
        (channel(4, 860_000_000, 0, 5), 0x02),
        (channel(4, 868_650_000, 0, 5), 0x02),
        (channel(4, 867_500_000, 5, 0), 0x01),
        (channel(4, 867_500_000, 0, 7), 0x01),
        (channel(3, 0, 0, 0), 0x03),
    ]) {
        bench.finish();
        bench.events.clear();
        assert_eq!(answers_to(&mut bench, fcnt, vec![command]), [0x07, status], "command {fcnt}");
    }
    bench.finish();
    let mut used = std::collections::BTreeSet::new();
    for _ in 0..60 {
        used.insert(bench.uplink(&[1], false).rf.frequency_hz);
        bench.finish();
    }
    assert_eq!(used.into_iter().collect::<Vec<_>>(), [867_300_000, 868_100_000, 868_300_000, 868_500_000]);
}

#[test]
fn mac_nch_01_taking_the_only_channel_away_brings_the_default_ones_back() {
    let mut bench = bench();
    bench.exchange(&bench.keys.commands(0, vec![channel(3, 867_100_000, 0, 6), adr(6, 0, 8, 0, 1)]).clone());
    let sent = bench.uplink(&[1], false);
    assert_eq!((sent.rf.frequency_hz, sent.rf.data_rate), (867_100_000, 6));
    bench.finish();
    bench.exchange(&bench.keys.commands(1, vec![channel(3, 0, 0, 0)]).clone());
    let sent = bench.uplink(&[1], false);
    assert!(sent.rf.frequency_hz >= 868_100_000 && sent.rf.data_rate == 5);
}

#[test]
fn mac_rxt_01_the_new_delay_holds_from_the_uplink_that_answers() {
    for (wire, expected_ms) in [(0, 1000), (1, 1000), (5, 5000), (15, 15_000)] {
        let mut bench = bench();
        bench.exchange(&bench.keys.commands(0, vec![timing(wire)]).clone());
        let sent = bench.uplink(&[1], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x08]);
        bench.until(Window::Rx1);
        assert_eq!(bench.now_ms - sent.end_ms, expected_ms - 15);
    }
}

#[test]
fn mac_lchk_01_a_link_check_is_asked_once_and_its_answer_is_told() {
    let mut bench = bench();
    bench.mac.request_link_check();
    let ans = MACCommand::LinkCheckAns(LinkCheckAnsPayload { margin: 20, gw_cnt: 2 });
    let sent = bench.exchange(&bench.keys.commands(0, vec![ans.clone()]).clone());
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x02]);
    assert!(bench.events.contains(&Event::LinkCheckAnswer { margin_db: 20, gateways: 2 }));
    bench.events.clear();
    // Not asked: no answer is told.
    let sent = bench.exchange(&bench.keys.commands(1, vec![ans]).clone());
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, []);
    assert!(bench.events.iter().all(|event| !matches!(event, Event::LinkCheckAnswer { .. })));
}

#[test]
fn mac_time_01_the_time_is_that_of_the_end_of_the_request() {
    let mut bench = bench();
    bench.mac.request_device_time();
    let time = core::time::Duration::new(1_450_000_000, 500_000_000);
    let ans = MACCommand::DeviceTimeAns(DeviceTimeAnsPayload { time_since_gps_epoch: time });
    let sent = bench.exchange(&bench.keys.commands(0, vec![ans]).clone());
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x0d]);
    assert!(bench.events.contains(&Event::DeviceTime {
        gps_s: 1_450_000_000,
        fraction_256: 128,
        at_ms: sent.end_ms
    }));
}

#[test]
fn mac_lchk_01_an_answer_repeated_in_one_frame_is_told_once_and_the_uplink_still_ends() {
    let mut bench = bench();
    bench.mac.request_link_check();
    bench.mac.request_device_time();
    bench.exchange(&Down { port: Some(0), payload: [0x02, 9, 1].repeat(30), ..bench.keys.down(0) });
    let answers = bench.events.iter().filter(|event| matches!(event, Event::LinkCheckAnswer { .. })).count();
    assert_eq!(answers, 1);
    assert_eq!(bench.done(), Some(None));
}
