//! Joins, answers and channel masks in all plans.

mod device;

use device::*;
use sockeye_network_server::{
    Config, Error, Heard, Kind, MacRequest, NetworkServer, Plan, Region, Transmission, UplinkMeta, Window,
    airtime_us,
};

/// An uplink on a channel of a plan at a data rate.
fn meta(region: Region, channel: usize, dr: u8) -> UplinkMeta {
    let plan = Plan::new(region, &[], &[]);
    let (sf, bw_hz) = plan.uplink_rate(dr).expect("a LoRa rate");
    UplinkMeta { freq_hz: plan.channels()[channel].freq_hz, sf, bw_hz, rssi_dbm: -60, snr_db: 8 }
}

fn hear(server: &mut NetworkServer, now_us: u64, phy: &[u8], meta: UplinkMeta) {
    let heard = server.on_uplink(now_us, phy, meta);
    assert!(matches!(heard[..], [Heard::Data(_)]), "{heard:?}");
}

fn place(sent: &Transmission) -> (u64, u32, u8, u32) {
    (sent.at_us, sent.freq_hz, sent.sf, sent.bw_hz)
}

#[test]
fn joins_and_answers_are_where_each_plan_has_them() {
    // Channel and data rate of the uplink; frequency, SF and bandwidth of RX1; then of RX2.
    type Row = (Region, (usize, u8), (u32, u8, u32), (u32, u8, u32));
    let rows: [Row; 14] = [
        (Region::Eu868, (1, 5), (868_300_000, 7, 125_000), (869_525_000, 12, 125_000)),
        (Region::Us915, (13, 0), (926_300_000, 10, 500_000), (923_300_000, 12, 500_000)),
        (Region::Us915, (65, 4), (923_900_000, 7, 500_000), (923_300_000, 12, 500_000)),
        (Region::Au915, (8, 2), (923_300_000, 10, 500_000), (923_300_000, 12, 500_000)),
        (Region::Au915, (71, 6), (927_500_000, 7, 500_000), (923_300_000, 12, 500_000)),
        (Region::As923_1, (0, 2), (923_200_000, 10, 125_000), (923_200_000, 10, 125_000)),
        (Region::As923_2, (1, 3), (921_600_000, 9, 125_000), (921_400_000, 10, 125_000)),
        (Region::As923_3, (0, 4), (916_600_000, 8, 125_000), (916_600_000, 10, 125_000)),
        (Region::As923_4, (1, 5), (917_500_000, 7, 125_000), (917_300_000, 10, 125_000)),
        (Region::Kr920, (2, 0), (922_500_000, 12, 125_000), (921_900_000, 12, 125_000)),
        (Region::In865, (1, 5), (865_402_500, 7, 125_000), (866_550_000, 10, 125_000)),
        (Region::Ru864, (0, 5), (868_900_000, 7, 125_000), (869_100_000, 12, 125_000)),
        (Region::Eu433, (2, 1), (433_575_000, 11, 125_000), (434_665_000, 12, 125_000)),
        (Region::Cn470, (83, 5), (507_300_000, 7, 125_000), (505_300_000, 12, 125_000)),
    ];
    for (region, (channel, dr), rx1, rx2) in rows {
        for (answer_in, expected, late_us) in [(Window::Rx1, rx1, 0), (Window::Rx2, rx2, SECOND)] {
            let meta = meta(region, channel, dr);
            let config = Config { answer_in, ..Config::for_region(region) };
            let (mut server, mut device, accept) = joined_on(config, meta);
            let at = |at_us: u64| (at_us + late_us, expected.0, expected.1, expected.2);
            assert_eq!(place(&accept), at(5 * SECOND), "{region:?}");
            assert_eq!(Device::cf_list(&accept.phy), None, "{region:?}: nothing to say");
            let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
            hear(&mut server, 20 * SECOND, &up, meta);
            assert_eq!(server.data_rate(&meta), Some(dr));
            let ack = one(&mut server, 23 * SECOND);
            assert_eq!(place(&ack), at(21 * SECOND), "{region:?}");
            assert_eq!(
                device.read(&ack.phy, 0),
                Some((0x20, vec![], None, vec![])),
                "{region:?}: no LinkADR"
            );
        }
    }
}

#[test]
fn an_offset_lowers_rx1_in_a_fixed_plan_too() {
    let config = Config { rx1_dr_offset: 3, ..Config::for_region(Region::Us915) };
    let meta = meta(Region::Us915, 0, 3);
    let (mut server, mut device, accept) = joined_on(config, meta);
    assert_eq!((accept.sf, accept.bw_hz), (7, 500_000), "DR13: a join has no offset");
    let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
    hear(&mut server, 20 * SECOND, &up, meta);
    assert_eq!(one(&mut server, 22 * SECOND).sf, 10, "DR10");
}

#[test]
fn rx_param_setup_moves_rx2_and_rxc_in_a_fixed_plan() {
    let meta = meta(Region::Us915, 9, 2);
    let (mut server, mut device, _) = joined_on(Config::for_region(Region::Us915), meta);
    let request = MacRequest::RxParamSetup { rx1_dr_offset: 1, rx2_dr: 10, freq_hz: 925_700_000 };
    server.request(DEV_EUI, request).expect("good");
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), meta);
    let asked = one(&mut server, 22 * SECOND);
    let expected = [&[0x05, 0x1A][..], &9_257_000_u32.to_le_bytes()[..3]].concat();
    assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(expected));
    let up = device.uplink(None, &[], With { confirmed: true, f_opts: &[&[0x05, 7]], ..With::default() });
    hear(&mut server, 30 * SECOND, &up, meta);
    assert_eq!(place(&one(&mut server, 32 * SECOND)), (31 * SECOND, 923_900_000, 9, 500_000));
    server
        .enqueue(
            40 * SECOND,
            DEV_EUI,
            sockeye_network_server::Downlink { port: 85, payload: vec![1], confirmed: false },
        )
        .expect("known");
    assert_eq!(place(&one(&mut server, 41 * SECOND)), (40 * SECOND, 925_700_000, 10, 500_000));
}

#[test]
fn further_channels_are_told_in_a_cf_list_of_type_0() {
    let extra_channels_hz = vec![867_100_000, 867_300_000];
    let config = Config { extra_channels_hz, ..Config::default() };
    let (mut server, mut device, accept) = joined_on(config.clone(), META);
    let coded = |hz: u32| (hz / 100).to_le_bytes()[..3].to_vec();
    let expected = [coded(867_100_000), coded(867_300_000), vec![0; 9], vec![0]].concat();
    assert_eq!(Device::cf_list(&accept.phy), Some(expected));
    // An uplink there is answered there.
    let meta = UplinkMeta { freq_hz: 867_300_000, ..META };
    let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
    hear(&mut server, 20 * SECOND, &up, meta);
    assert_eq!(one(&mut server, 22 * SECOND).freq_hz, 867_300_000);
    assert_eq!(server.session(DEV_EUI).map(|session| session.channels), Some(0b1_1111));
    let (_, _, silent) = joined_on(Config { send_cf_list: false, ..config }, META);
    assert_eq!(Device::cf_list(&silent.phy), None);
}

/// The second sub-band of US915 and AU915: channels 8 to 15 and 65.
fn second_sub_band() -> Vec<u8> {
    (8..16).chain([65]).collect()
}

#[test]
fn the_channels_of_a_fixed_plan_are_told_in_a_cf_list_of_type_1() {
    for region in [Region::Us915, Region::Au915] {
        let config = Config { enabled_channels: second_sub_band(), ..Config::for_region(region) };
        let on = meta(region, 9, 2);
        let (mut server, mut device, accept) = joined_on(config, on);
        let expected = [&[0x00, 0xFF][..], &[0; 6], &[0x02, 0x00], &[0; 5], &[1]].concat();
        assert_eq!(Device::cf_list(&accept.phy), Some(expected), "{region:?}");
        // A device that stays inside is left alone; one that does not has not taken the list, and is told.
        hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), on);
        assert_eq!(server.take_due(25 * SECOND), []);
        hear(&mut server, 30 * SECOND, &device.uplink(Some(85), &[1], With::default()), meta(region, 3, 2));
        let told = one(&mut server, 32 * SECOND);
        let f_opts = [&[0x03, 0x20, 0x02, 0x00, 0x71][..], &[0x03, 0x20, 0x00, 0xFF, 0x01]].concat();
        assert_eq!(device.read(&told.phy, 0).map(|read| read.1), Some(f_opts), "{region:?}");
        let answers: [&[u8]; 2] = [&[0x03, 7], &[0x03, 7]];
        let up = device.uplink(None, &[], With { f_opts: &answers, ..With::default() });
        hear(&mut server, 40 * SECOND, &up, on);
        let channels = server.session(DEV_EUI).map(|session| session.channels);
        assert_eq!(channels, Some(0xFF00 | 1 << 65), "{region:?}");
        assert_eq!(server.take_due(45 * SECOND), []);
    }
}

#[test]
fn the_channels_of_cn470_go_out_on_port_0_where_f_opts_are_too_short() {
    let config = Config { enabled_channels: (80..88).collect(), ..Config::for_region(Region::Cn470) };
    let on = meta(Region::Cn470, 81, 5);
    let (mut server, mut device, accept) = joined_on(config, on);
    assert_eq!(Device::cf_list(&accept.phy), None, "the plan has none");
    let up = device.uplink(Some(85), &[1], With { f_opts: &[&[0x02]], ..With::default() });
    hear(&mut server, 20 * SECOND, &up, on);
    let told = one(&mut server, 22 * SECOND);
    let masks = [0u16, 0, 0, 0, 0, 0x00FF];
    let requests = (0u8..)
        .zip(masks)
        .map(|(cntl, mask)| [&[0x03, 0x50][..], &mask.to_le_bytes(), &[cntl << 4 | 1]].concat());
    // LinkCheckAns comes before them: 15 dB over the floor, one gateway.
    let expected: Vec<u8> = [vec![0x02, 15, 1]].into_iter().chain(requests).flatten().collect();
    assert_eq!(device.read(&told.phy, 0), Some((0, vec![], Some(0), expected)));
    assert!(matches!(told.kind, Kind::Unicast { port: Some(0), .. }));
    // The answers come on port 0 as well.
    let answers: [&[u8]; 6] = [&[0x03, 7]; 6];
    hear(
        &mut server,
        30 * SECOND,
        &device.uplink(Some(0), &[], With { f_opts: &answers, ..With::default() }),
        on,
    );
    let channels = server.session(DEV_EUI).map(|session| session.channels);
    assert_eq!(channels, Some(0xFF << 80));
    assert_eq!(server.take_due(35 * SECOND), []);
}

#[test]
fn an_abp_device_has_the_default_channels_only() {
    let server = abp_server(Config { extra_channels_hz: vec![867_100_000], ..Config::default() });
    let session = server.session(DEV_EUI).expect("fixed");
    assert_eq!((session.channels, session.defined_channels), (0b111, 0b111));
}

#[test]
fn an_answer_gives_back_all_the_tries() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    let mut asked = Vec::new();
    for round in 1..=30u64 {
        if round == 1 || round == 7 {
            server.request(DEV_EUI, MacRequest::DevStatus).expect("good");
        }
        let f_opts: &[&[u8]] = if round == 6 { &[&[0x06, 0, 9]] } else { &[] };
        let up = device.uplink(Some(85), &[1], With { f_opts, ..With::default() });
        hear(&mut server, 20 * round * SECOND, &up, META);
        asked.push(server.take_due((20 * round + 3) * SECOND).len());
    }
    assert_eq!((asked[..6].iter().sum::<usize>(), asked[6..].iter().sum::<usize>()), (5, 9));
}

#[test]
fn an_abp_device_is_told_the_channels_too() {
    let config = Config { enabled_channels: vec![0, 2], ..Config::default() };
    let mut server = abp_server(config);
    let mut device = Device::abp();
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    let told = one(&mut server, 22 * SECOND);
    assert_eq!(device.read(&told.phy, 0).map(|read| read.1), Some(vec![0x03, 0x50, 0x05, 0, 0x01]));
    // Refused three times, it is left alone.
    for round in 0..6u32 {
        let phy = device.uplink(None, &[], With { f_opts: &[&[0x03, 6]], ..With::default() });
        hear(&mut server, (30 + 10 * u64::from(round)) * SECOND, &phy, META);
        let asked = server.take_due((35 + 10 * u64::from(round)) * SECOND).len();
        assert_eq!(asked, usize::from(round < 2), "round {round}");
    }
}

#[test]
fn masks_do_what_the_regional_parameters_say() {
    let all_72 = u128::MAX >> 56;
    let low_64 = u128::from(u64::MAX);
    // Plan, channels before, ChMaskCntl, ChMask; channels after, or a refusal.
    let rows: [(Region, u128, u8, u16, Option<u128>); 22] = [
        (Region::Eu868, 0b111, 0, 0b101, Some(0b101)),
        (Region::Eu868, 0b111, 0, 0b1000, None),
        (Region::Eu868, 0b111, 0, 0, None),
        (Region::Eu868, 0b001, 6, 0, Some(0b111)),
        (Region::Eu868, 0b111, 1, 1, None),
        (Region::Eu868, 0b111, 7, 1, None),
        (Region::Us915, all_72, 0, 0xFF00, Some(all_72 & !0xFF)),
        (Region::Us915, all_72, 3, 0, Some(all_72 & !(0xFFFF << 48))),
        (Region::Us915, all_72, 4, 0x0002, Some(low_64 | 2 << 64)),
        (Region::Au915, all_72, 4, 0xFF02, Some(low_64 | 2 << 64)),
        (Region::Us915, all_72, 5, 0b10, Some(0xFF00 | 2 << 64)),
        (Region::Au915, 1, 5, 0b1000_0001, Some(0xFF << 56 | 0xFF | 0x81 << 64)),
        (Region::Us915, 1, 6, 0x80, Some(low_64 | 0x80 << 64)),
        (Region::Us915, all_72, 7, 0x01, Some(1 << 64)),
        (Region::Us915, all_72, 7, 0, None),
        (Region::Cn470, u128::MAX >> 32, 5, 0x00FF, Some(0xFF << 80 | u128::MAX >> 48)),
        (Region::Cn470, 1, 6, 0, Some(u128::MAX >> 32)),
        (Region::Cn470, 1, 7, 1, None),
        (Region::Cn470, 1, 0, 0, None),
        (Region::Kr920, 0b111, 0, 0b100, Some(0b100)),
        (Region::As923_1, 0b11, 0, 0b100, None),
        (Region::In865, 0b111, 2, 1, None),
    ];
    for (region, has, ch_mask_cntl, channel_mask, expected) in rows {
        let plan = Plan::new(region, &[], &[]);
        let request =
            MacRequest::LinkAdr { data_rate: 0, tx_power: 0, channel_mask, ch_mask_cntl, nb_trans: 1 };
        let after = plan.after_link_adr(has, plan.default_channels(), &[request]);
        assert_eq!(after, expected, "{region:?} {has:X} {ch_mask_cntl} {channel_mask:04X}");
    }
    assert_eq!(Plan::new(Region::Eu868, &[], &[]).after_link_adr(1, 1, &[MacRequest::DevStatus]), None);
}

#[test]
fn the_dwell_time_of_as923_holds_for_downlinks() {
    let on = meta(Region::As923_1, 0, 3);
    let config = Config { rx1_dr_offset: 2, ..Config::for_region(Region::As923_1) };
    let (mut server, mut device, _) = joined_on(config, on);
    let request = MacRequest::TxParamSetup { downlink_dwell: true, uplink_dwell: true, max_eirp: 5 };
    server.request(DEV_EUI, request).expect("good");
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), on);
    let asked = one(&mut server, 22 * SECOND);
    assert_eq!(asked.sf, 11, "DR3 less 2");
    assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(vec![0x09, 0x35]));
    let up = device.uplink(None, &[], With { confirmed: true, f_opts: &[&[0x09]], ..With::default() });
    hear(&mut server, 30 * SECOND, &up, on);
    assert_eq!(one(&mut server, 32 * SECOND).sf, 10, "not below DR2");
    // DR2 of RXC carries 11 bytes then.
    for (at_us, length, goes) in [(40 * SECOND, 11, true), (50 * SECOND, 12, false)] {
        let say = sockeye_network_server::Downlink { port: 85, payload: vec![1; length], confirmed: false };
        server.enqueue(at_us, DEV_EUI, say).expect("known");
        assert_eq!(server.take_due(at_us).len(), usize::from(goes), "{length} bytes");
        assert_eq!(server.take_dropped().len(), usize::from(!goes), "{length} bytes");
    }
}

#[test]
fn dl_channel_moves_rx1_of_its_channel_only() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    server.request(DEV_EUI, MacRequest::DlChannel { index: 1, freq_hz: 869_000_000 }).expect("good");
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    let asked = one(&mut server, 22 * SECOND);
    let expected = [&[0x0A, 1][..], &8_690_000_u32.to_le_bytes()[..3]].concat();
    assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(expected));
    let answer = device.uplink(None, &[], With { f_opts: &[&[0x0A, 3]], ..With::default() });
    hear(&mut server, 30 * SECOND, &answer, META);
    for (at_s, freq_hz, rx1_hz) in [(40, 868_100_000, 868_100_000), (50, 868_300_000, 869_000_000)] {
        let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
        hear(&mut server, at_s * SECOND, &up, UplinkMeta { freq_hz, ..META });
        assert_eq!(one(&mut server, (at_s + 2) * SECOND).freq_hz, rx1_hz);
    }
}

#[test]
fn a_channel_that_a_device_takes_is_known_and_one_it_refuses_is_not() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    let new = |index, freq_hz| MacRequest::NewChannel { index, freq_hz, min_dr: 0, max_dr: 5 };
    let channels = |server: &NetworkServer| {
        let session = server.session(DEV_EUI).expect("joined");
        assert_eq!(session.channels, session.defined_channels);
        session.channels
    };
    // What is asked, the answer, and the channels then.
    for (round, (index, freq_hz, answer, expected)) in
        (1..).zip([(3, 867_100_000, 3, 0b1111), (4, 867_300_000, 2, 0b1111), (3, 0, 3, 0b0111)])
    {
        server.request(DEV_EUI, new(index, freq_hz)).expect("good");
        let now_us = round * 100 * SECOND;
        hear(&mut server, now_us, &device.uplink(Some(85), &[1], With::default()), META);
        one(&mut server, now_us + 2 * SECOND);
        let up = device.uplink(None, &[], With { f_opts: &[&[0x07, answer]], ..With::default() });
        hear(&mut server, now_us + 10 * SECOND, &up, META);
        assert_eq!(channels(&server), expected, "channel {index}");
        server.take_due(now_us + 20 * SECOND);
    }
}

#[test]
fn a_mask_without_500_khz_channels_is_followed_too() {
    // Amid the block no channel is left: it counts as a whole.
    let config = Config {
        enabled_channels: (0..8).collect(),
        send_cf_list: false,
        ..Config::for_region(Region::Us915)
    };
    let on = meta(Region::Us915, 1, 0);
    let (mut server, mut device, _) = joined_on(config, on);
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), on);
    let told = one(&mut server, 22 * SECOND);
    let f_opts = [&[0x03, 0x00, 0, 0, 0x71][..], &[0x03, 0x00, 0xFF, 0, 0x01]].concat();
    assert_eq!(device.read(&told.phy, 0).map(|read| read.1), Some(f_opts));
    let up = device.uplink(None, &[], With { f_opts: &[&[0x03, 7], &[0x03, 7]], ..With::default() });
    hear(&mut server, 30 * SECOND, &up, on);
    assert_eq!(server.session(DEV_EUI).map(|session| session.channels), Some(0xFF));
    assert_eq!(server.take_due(35 * SECOND), []);
}

#[test]
fn settings_that_a_plan_has_not_are_refused_by_name() {
    let of = Config::for_region;
    for (config, field) in [
        (Config { rx1_dr_offset: 4, ..of(Region::Us915) }, "rx1_dr_offset"),
        (Config { rx1_dr_offset: 8, ..of(Region::As923_1) }, "rx1_dr_offset"),
        (Config { rx2_dr: 4, ..of(Region::Us915) }, "rx2_dr"),
        (Config { rx2_dr: 7, ..of(Region::Cn470) }, "rx2_dr"),
        (Config { rx2_freq_hz: 869_525_000, ..of(Region::Us915) }, "rx2_freq_hz"),
        (Config { rx2_freq_hz: 923_000_100, ..of(Region::As923_2) }, "rx2_freq_hz"),
        (Config { extra_channels_hz: vec![905_000_000], ..of(Region::Us915) }, "extra_channels_hz"),
        (Config { enabled_channels: vec![72], ..of(Region::Us915) }, "enabled_channels"),
        (Config { enabled_channels: vec![3], ..of(Region::Eu868) }, "enabled_channels"),
    ] {
        assert_eq!(NetworkServer::new(config, 0).err(), Some(Error::Config(field)));
    }
    for region in Region::ALL {
        assert!(NetworkServer::new(of(region), 0).is_ok(), "{region:?}");
    }
}

#[test]
fn a_block_of_commands_goes_out_whole() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    let link_adr = |ch_mask_cntl| MacRequest::LinkAdr {
        data_rate: 5,
        tx_power: 0,
        channel_mask: 7,
        ch_mask_cntl,
        nb_trans: 1,
    };
    server.request(DEV_EUI, MacRequest::DevStatus).expect("good");
    server.request_block(DEV_EUI, vec![link_adr(0), link_adr(0), link_adr(6)]).expect("good");
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    let first = one(&mut server, 22 * SECOND);
    assert_eq!(
        device.read(&first.phy, 0).map(|read| (read.0, read.1)),
        Some((0x11, vec![0x06])),
        "15 more do not fit"
    );
    let status = device.uplink(None, &[], With { f_opts: &[&[0x06, 0, 9]], ..With::default() });
    hear(&mut server, 30 * SECOND, &status, META);
    let block = one(&mut server, 32 * SECOND);
    assert_eq!(device.read(&block.phy, 1).map(|read| read.1.len()), Some(15));
    assert!(matches!(
        server.request_block(DEV_EUI, (0..8).map(link_adr).collect()),
        Err(Error::Request(why)) if why.contains("36")
    ));
}

#[test]
fn lost_requests_are_made_again_in_their_order_and_before_others() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    let link_adr = |mask| MacRequest::LinkAdr {
        data_rate: 5,
        tx_power: 0,
        channel_mask: mask,
        ch_mask_cntl: 0,
        nb_trans: 1,
    };
    server.request(DEV_EUI, MacRequest::DevStatus).expect("good");
    server.request_block(DEV_EUI, vec![link_adr(1), link_adr(7)]).expect("good");
    server.request(DEV_EUI, MacRequest::RxTimingSetup { delay_s: 3 }).expect("good");
    server.lose_downlinks(1);
    hear(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    assert_eq!(server.take_due(23 * SECOND), []);
    server.request(DEV_EUI, MacRequest::Raw(vec![0x80])).expect("good");
    hear(&mut server, 30 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    let f_opts = [&[0x06][..], &[0x03, 0x50, 1, 0, 1], &[0x03, 0x50, 7, 0, 1], &[0x08, 3], &[0x80]].concat();
    assert_eq!(device.read(&one(&mut server, 33 * SECOND).phy, 1).map(|read| read.1), Some(f_opts));
}

#[test]
fn a_request_that_got_lost_is_made_again_but_not_for_ever() {
    let (mut server, mut device, _) = joined_on(Config::default(), META);
    let request = MacRequest::RxParamSetup { rx1_dr_offset: 2, rx2_dr: 3, freq_hz: 869_100_000 };
    server.request(DEV_EUI, request).expect("good");
    let mut asked = 0;
    for round in 1..=12u64 {
        hear(&mut server, 20 * round * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
        asked += server.take_due((20 * round + 3) * SECOND).len();
    }
    assert_eq!(asked, 9, "once, and eight times more");
    // RXC is taken to be where it was.
    let say = sockeye_network_server::Downlink { port: 85, payload: vec![1], confirmed: false };
    server.enqueue(300 * SECOND, DEV_EUI, say).expect("known");
    let sent = one(&mut server, 301 * SECOND);
    assert_eq!(place(&sent), (300 * SECOND, 869_525_000, 12, 125_000));
    assert!(airtime_us(sent.sf, sent.bw_hz, sent.phy.len()) > SECOND);
}
