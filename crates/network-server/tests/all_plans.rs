//! What holds in every plan: ADR, Class C, multicast, confirmed downlinks; and what lost and late frames and several
//! gateways do to joins and confirmed downlinks.

mod device;

use device::*;
use sockeye_network_server::{
    Adr, Config, Downlink, Heard, Kind, MacRequest, MacUp, MulticastGroup, NetworkServer, Plan, Region,
    Transmission, UplinkMeta,
};

/// An uplink on the first channel of a plan that carries a data rate, as strong as one beside the gateway.
fn near(region: Region, dr: u8) -> UplinkMeta {
    let plan = Plan::new(region, &[], &[]);
    let (sf, bw_hz) = plan.uplink_rate(dr).expect("a LoRa rate");
    UplinkMeta { freq_hz: plan.channels()[0].freq_hz, sf, bw_hz, rssi_dbm: -20, snr_db: 100 }
}

fn hear(server: &mut NetworkServer, now_us: u64, phy: &[u8], meta: UplinkMeta) {
    let heard = server.on_uplink(now_us, phy, meta);
    assert!(matches!(heard[..], [Heard::Data(_)]), "{heard:?}");
}

fn say(payload: &[u8], confirmed: bool) -> Downlink {
    Downlink { port: 85, payload: payload.to_vec(), confirmed }
}

fn place(sent: &Transmission) -> (u64, u32, u8, u32) {
    (sent.at_us, sent.freq_hz, sent.sf, sent.bw_hz)
}

type Row = (Region, u8, (u8, u8), u16, (u32, u8, u32));

/// Of each plan: the data rate that a device begins with; the fastest with 125 kHz and the lowest power
/// (LinkADRReq's TXPower), the first 16 channels; frequency, SF and bandwidth of RX2.
/// LoRaWAN Regional Parameters 1.0.3rA, §2.2 to §2.13.
const PLANS: [Row; 12] = [
    (Region::Eu868, 0, (5, 7), 0x0007, (869_525_000, 12, 125_000)),
    (Region::Us915, 0, (3, 10), 0xFFFF, (923_300_000, 12, 500_000)),
    (Region::Au915, 0, (5, 14), 0xFFFF, (923_300_000, 12, 500_000)),
    (Region::As923_1, 2, (5, 7), 0x0003, (923_200_000, 10, 125_000)),
    (Region::As923_2, 2, (5, 7), 0x0003, (921_400_000, 10, 125_000)),
    (Region::As923_3, 2, (5, 7), 0x0003, (916_600_000, 10, 125_000)),
    (Region::As923_4, 2, (5, 7), 0x0003, (917_300_000, 10, 125_000)),
    (Region::Kr920, 0, (5, 7), 0x0007, (921_900_000, 12, 125_000)),
    (Region::In865, 0, (5, 10), 0x0007, (866_550_000, 10, 125_000)),
    (Region::Ru864, 0, (5, 7), 0x0003, (869_100_000, 12, 125_000)),
    (Region::Eu433, 0, (5, 5), 0x0007, (434_665_000, 12, 125_000)),
    (Region::Cn470, 0, (5, 7), 0xFFFF, (505_300_000, 12, 125_000)),
];

#[test]
fn adr_brings_a_device_beside_the_gateway_to_the_fastest_rate_and_the_lowest_power_of_every_plan() {
    assert_eq!(PLANS.map(|(region, ..)| region), Region::ALL, "a row for each");
    for (region, dr, (fastest, lowest), mask, _) in PLANS {
        let config = Config { adr: Some(Adr { history: 1, ..Adr::default() }), ..Config::for_region(region) };
        let (mut server, mut device, _) = joined_on(config, near(region, dr));
        let up = device.uplink(Some(85), &[1], With { fctrl: 0x80, ..With::default() });
        hear(&mut server, 20 * SECOND, &up, near(region, dr));
        let asked = one(&mut server, 23 * SECOND);
        let [low, high] = mask.to_le_bytes();
        let expected = vec![0x03, fastest << 4 | lowest, low, high, 1];
        assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(expected), "{region:?}");
        // It does so, and is left alone from then on.
        for (seconds, f_opts) in [(30, &[&[0x03, 7][..]][..]), (40, &[])] {
            let up = device.uplink(Some(85), &[1], With { fctrl: 0x80, f_opts, ..With::default() });
            hear(&mut server, seconds * SECOND, &up, near(region, fastest));
            assert_eq!(server.take_due((seconds + 3) * SECOND), [], "{region:?}");
        }
        let session = server.session(DEV_EUI).expect("joined");
        assert_eq!((session.data_rate, session.tx_power), (fastest, lowest), "{region:?}");
    }
}

#[test]
fn class_c_multicast_and_confirmed_downlinks_are_where_each_plan_listens_and_end_with_the_ack() {
    const GROUP: u32 = 0x1111_1111;
    for (region, dr, _, _, rx2) in PLANS {
        let meta = near(region, dr);
        let (mut server, mut device, _) = joined_on(Config::for_region(region), meta);
        server.add_group(MulticastGroup { dev_addr: GROUP, keys: KEYS, fcnt_down: 9 }).expect("new");
        hear(&mut server, 10 * SECOND, &device.uplink(Some(85), &[1], With::default()), meta);
        server.take_due(15 * SECOND);
        let at = |seconds: u64| (seconds * SECOND, rx2.0, rx2.1, rx2.2);

        server.enqueue(20 * SECOND, DEV_EUI, say(&[8, 1], true)).expect("known");
        let first = one(&mut server, 20 * SECOND);
        assert_eq!(place(&first), at(20), "{region:?}");
        assert_eq!(device.read(&first.phy, 0).map(|read| (read.2, read.3)), Some((Some(85), vec![8, 1])));
        // The ACK does not come: the same bytes again, ten seconds later.
        let again = one(&mut server, 31 * SECOND);
        assert!(again.phy == first.phy && place(&again).1 == rx2.0, "{region:?}");
        let ack = device.uplink(None, &[], With { fctrl: 0x20, ..With::default() });
        hear(&mut server, 32 * SECOND, &ack, meta);
        assert_eq!(server.take_due(55 * SECOND), [], "{region:?}");
        assert_eq!((server.queued(DEV_EUI), server.unacknowledged(DEV_EUI)), (0, 0));

        server.send_to_group(60 * SECOND, GROUP, 85, &[8, 0]).expect("known");
        let group = one(&mut server, 60 * SECOND);
        assert_eq!(place(&group), at(60), "{region:?}");
        let member = Device { addr: GROUP, ..Device::abp() };
        assert_eq!(member.read(&group.phy, 9), Some((0, vec![], Some(85), vec![8, 0])), "{region:?}");
    }
}

#[test]
fn a_join_accept_that_gets_lost_leaves_the_old_session_and_the_next_request_is_answered() {
    let (mut server, mut device) = joined(Config::default());
    let mut again = Device { nonce: 1, ..device.clone() };
    server.lose_downlinks(1);
    let request = again.join_request(JOIN_EUI, DEV_EUI, APP_KEY);
    assert!(matches!(server.on_uplink(60 * SECOND, &request, META)[..], [Heard::JoinRequest { .. }]));
    assert_eq!(server.take_due(70 * SECOND), []);
    // Who has not heard it goes on as before.
    let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
    hear(&mut server, 80 * SECOND, &up, META);
    assert_eq!(device.read(&one(&mut server, 82 * SECOND).phy, 0).map(|read| read.0), Some(0x20));
    again.nonce = 2;
    server.on_uplink(100 * SECOND, &again.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
    let accept = one(&mut server, 106 * SECOND);
    assert!(matches!(accept.kind, Kind::JoinAccept { .. }) && again.take_join_accept(&accept.phy));
    hear(&mut server, 110 * SECOND, &again.uplink(Some(85), &[1], With::default()), META);
}

#[test]
fn a_join_accept_that_comes_late_is_late_on_the_air_and_valid_all_the_same() {
    let (mut server, mut device) = (server(Config::default()), Device::abp());
    server.delay_downlinks(1, 300_000);
    server.on_uplink(0, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
    let accept = one(&mut server, 8 * SECOND);
    assert_eq!(accept.at_us, 5 * SECOND + 300_000, "whoever listens for RX1 has gone to RX2");
    assert!(device.take_join_accept(&accept.phy));
}

#[test]
fn a_late_uplink_is_answered_from_when_it_was_heard_and_an_older_one_than_the_last_is_refused() {
    let (mut server, mut device) = joined(Config::default());
    let [early, late] =
        [1, 2].map(|byte| device.uplink(Some(85), &[byte], With { confirmed: true, ..With::default() }));
    hear(&mut server, 60 * SECOND, &late, META);
    assert_eq!(one(&mut server, 65 * SECOND).at_us, 61 * SECOND);
    let heard = server.on_uplink(70 * SECOND, &early, META);
    assert!(matches!(heard[..], [Heard::Rejected { .. }]), "{heard:?}");
    assert_eq!(server.take_due(75 * SECOND), []);
}

#[test]
fn a_confirmed_downlink_is_tried_again_by_another_gateway_when_its_own_goes_off() {
    let (mut server, mut device) = joined(Config::default());
    server.add_gateway();
    let phy = device.uplink(Some(85), &[1], With::default());
    for (gateway, snr_db) in [(0, 9), (1, 2)] {
        server.on_uplink_by(gateway, 20 * SECOND, &phy, UplinkMeta { snr_db, ..META });
    }
    assert_eq!(server.take_due(29 * SECOND), []);
    server.enqueue(30 * SECOND, DEV_EUI, say(&[1], true)).expect("known");
    let first = one(&mut server, 30 * SECOND);
    assert_eq!(first.gateway, 0, "it heard the device best");
    server.set_one_gateway(31 * SECOND, 0, false);
    let again = one(&mut server, 45 * SECOND);
    assert_eq!((again.gateway, again.at_us, &again.phy), (1, 40 * SECOND, &first.phy));
    let ack = device.uplink(None, &[], With { fctrl: 0x20, ..With::default() });
    server.on_uplink_by(1, 50 * SECOND, &ack, META);
    assert_eq!((server.take_due(90 * SECOND), server.unacknowledged(DEV_EUI)), (vec![], 0));
}

#[test]
fn every_command_of_the_network_has_its_bytes_and_its_answer_is_read() {
    // The request, its bytes, its answer's, and how that is read (LoRaWAN 1.0.3 §5).
    let rows: [(MacRequest, &[u8], &[u8], MacUp); 8] = [
        (
            MacRequest::LinkAdr { data_rate: 5, tx_power: 1, channel_mask: 7, ch_mask_cntl: 0, nb_trans: 2 },
            &[0x03, 0x51, 7, 0, 2],
            &[0x03, 0b110],
            MacUp::LinkAdrAns { channel_mask_ack: false, data_rate_ack: true, power_ack: true },
        ),
        (MacRequest::DutyCycle { max_duty_cycle: 7 }, &[0x04, 7], &[0x04], MacUp::DutyCycleAns),
        (
            MacRequest::RxParamSetup { rx1_dr_offset: 2, rx2_dr: 3, freq_hz: 869_100_000 },
            &[0x05, 0x23, 0x38, 0x9D, 0x84],
            &[0x05, 0b101],
            MacUp::RxParamSetupAns { channel_ack: true, rx2_data_rate_ack: false, rx1_dr_offset_ack: true },
        ),
        (
            MacRequest::DevStatus,
            &[0x06],
            &[0x06, 254, 0x3F],
            MacUp::DevStatusAns { battery: 254, margin_db: -1 },
        ),
        (
            MacRequest::NewChannel { index: 3, freq_hz: 867_100_000, min_dr: 0, max_dr: 5 },
            &[0x07, 3, 0x18, 0x4F, 0x84, 0x50],
            &[0x07, 0b01],
            MacUp::NewChannelAns { frequency_ok: true, data_rate_range_ok: false },
        ),
        (MacRequest::RxTimingSetup { delay_s: 3 }, &[0x08, 3], &[0x08], MacUp::RxTimingSetupAns),
        (
            MacRequest::TxParamSetup { downlink_dwell: true, uplink_dwell: false, max_eirp: 13 },
            &[0x09, 0x2D],
            &[0x09],
            MacUp::TxParamSetupAns,
        ),
        (
            MacRequest::DlChannel { index: 0, freq_hz: 869_100_000 },
            &[0x0A, 0, 0x38, 0x9D, 0x84],
            &[0x0A, 0b10],
            MacUp::DlChannelAns { uplink_frequency_exists: true, frequency_ok: false },
        ),
    ];
    for (request, bytes, answer, read) in rows {
        let (mut server, mut device) = joined(Config::default());
        server.request(DEV_EUI, request.clone()).expect("good");
        data(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()));
        let asked = one(&mut server, 22 * SECOND);
        assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(bytes.to_vec()), "{request:?}");
        let up = device.uplink(None, &[], With { f_opts: &[answer], ..With::default() });
        assert_eq!(data(&mut server, 30 * SECOND, &up).mac, [read], "{request:?}");
        // What is answered is not asked again.
        data(&mut server, 40 * SECOND, &device.uplink(Some(85), &[1], With::default()));
        assert_eq!(server.take_due(45 * SECOND), [], "{request:?}");
    }
}
