//! What the server takes, and what it refuses.

mod device;

use device::*;
use proptest::prelude::*;
use sockeye_network_server::{Config, Error, Heard, Keys, MacUp, NetworkServer, RejectReason, Window};

fn reject(server: &mut NetworkServer, phy: &[u8]) -> Option<RejectReason> {
    match server.on_uplink(100 * SECOND, phy, META).as_slice() {
        [Heard::Rejected { reason }] => Some(*reason),
        _ => None,
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn key(text: &str) -> [u8; 16] {
    hex(text).try_into().expect("16 bytes")
}

#[test]
fn golden_uplinks_are_deciphered() {
    struct Golden {
        nwk: &'static str,
        app: &'static str,
        addr: u32,
        phy: &'static str,
        port: u8,
        payload: &'static [u8],
        fcnt: u32,
        confirmed: bool,
        mac: Vec<MacUp>,
    }
    let goldens = [
        // The example of the lora-packet project.
        Golden {
            nwk: "44024241ed4ce9a68c6a8bc055233fd3",
            app: "ec925802ae430ca77fd3dd73cb2cc588",
            addr: 0x49BE_7DF1,
            phy: "40F17DBE4900020001954378762B11FF0D",
            port: 1,
            payload: b"test",
            fcnt: 2,
            confirmed: false,
            mac: vec![],
        },
        // The example of the lora-rs project.
        Golden {
            nwk: "02020202020202020202020202020202",
            app: "01010101010101010101010101010101",
            addr: 0x0102_0304,
            phy: "400403020180010001a694642615d6c3b582",
            port: 1,
            payload: b"hello",
            fcnt: 1,
            confirmed: false,
            mac: vec![],
        },
        // The confirmed uplink of lrwn's documentation.
        Golden {
            nwk: "0102030405060708090a0b0c0d0e0f10",
            app: "100f0e0d0c0b0a090807060504030201",
            addr: 0x0102_0304,
            phy: "80040302010300000673070ae264d4f7e117d2c0",
            port: 10,
            payload: &[1, 2, 3, 4],
            fcnt: 0,
            confirmed: true,
            mac: vec![MacUp::DevStatusAns { battery: 115, margin_db: 7 }],
        },
    ];
    for golden in goldens {
        let mut server = NetworkServer::new(Config::default(), 0).expect("good");
        let keys = Keys { nwk_s_key: key(golden.nwk), app_s_key: key(golden.app) };
        server.add_abp(DEV_EUI, golden.addr, keys).expect("new");
        let phy = hex(golden.phy);
        let sniffed = server.sniff(&phy);
        let uplink = data(&mut server, 0, &phy);
        assert_eq!(sniffed, Some(Heard::Data(uplink.clone())));
        assert_eq!(
            (uplink.port, uplink.payload.as_slice(), uplink.fcnt, uplink.confirmed, &uplink.mac),
            (Some(golden.port), golden.payload, golden.fcnt, golden.confirmed, &golden.mac),
            "{}",
            golden.phy
        );
    }
}

#[test]
fn a_device_of_another_stack_joins_and_is_understood() {
    let config = Config {
        rx1_delay_s: 5,
        rx1_dr_offset: 2,
        rx2_dr: 3,
        extra_channels_hz: vec![867_100_000],
        ..Config::default()
    };
    let (mut server, mut device) = (server(config), Device::abp());
    let request = device.join_request(JOIN_EUI, DEV_EUI, APP_KEY);
    let heard = server.on_uplink(1_000, &request, META);
    let [Heard::JoinRequest { dev_eui: DEV_EUI, join_eui: JOIN_EUI, dev_nonce: 0, dev_addr: Some(dev_addr) }] =
        heard.as_slice()
    else {
        panic!("{heard:?}")
    };
    assert_eq!(server.next_due_us(), Some(5_001_000));
    let accept = one(&mut server, 5_001_000);
    assert_eq!((accept.at_us, accept.freq_hz, accept.sf, accept.phy.len()), (5_001_000, 868_100_000, 7, 33));
    assert!(device.take_join_accept(&accept.phy));
    assert_eq!(device.addr, *dev_addr);
    assert!(server.session(DEV_EUI).is_none(), "not before the first uplink");
    let uplink = data(&mut server, 9 * SECOND, &device.uplink(Some(85), b"\x08\x70", With::default()));
    assert_eq!(
        (uplink.dev_addr, uplink.port, uplink.payload.as_slice()),
        (*dev_addr, Some(85), &b"\x08\x70"[..])
    );
    let session = server.session(DEV_EUI).expect("joined");
    assert_eq!((session.rx1_delay_s, session.rx1_dr_offset, session.rx2_dr), (5, 2, 3));
    assert_eq!(session.keys, device.keys);
}

#[test]
fn the_old_session_serves_until_the_first_uplink_of_the_new_one() {
    let (mut server, mut old) = joined(Config::default());
    let mut new = Device { nonce: 1, ..old.clone() };
    server.on_uplink(20 * SECOND, &new.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
    let accept = one(&mut server, 25 * SECOND);
    assert_eq!(
        data(&mut server, 30 * SECOND, &old.uplink(Some(85), &[2], With::default())).dev_addr,
        old.addr
    );
    assert!(new.take_join_accept(&accept.phy));
    assert_eq!(
        data(&mut server, 40 * SECOND, &new.uplink(Some(85), &[3], With::default())).dev_addr,
        new.addr
    );
    let stale = old.uplink(Some(85), &[4], With::default());
    assert_eq!(reject(&mut server, &stale), Some(RejectReason::UnknownAddress));
}

#[test]
fn every_reason_to_reject_is_told() {
    let (mut server, mut device) = joined(Config::default());
    server.add_abp([9; 8], 0x0900_0000, KEYS).expect("new");
    let good = device.uplink(Some(85), &[1, 2], With::default());
    let mut wrong_mic = good.clone();
    *wrong_mic.last_mut().expect("not empty") ^= 0x80;
    let mut other_major = good.clone();
    other_major[0] |= 1;
    // The MIC covers them, but lrwn takes them for zeros.
    let mut reserved_bits = good.clone();
    reserved_bits[0] |= 4;
    let mut downlink = good.clone();
    downlink[0] = 0x60;
    let mut stranger = Device { addr: 0x0102_0304, ..device.clone() };
    let mut asking = Device { nonce: 7, ..device.clone() };
    let mut asked_before = Device { nonce: 0, ..device.clone() };
    let mut replayed = Device { fcnt: 0, ..device.clone() };
    let mut reserved = device.clone();
    server.on_uplink(100 * SECOND, &good, META);
    for (name, phy, reason) in [
        ("empty", vec![], RejectReason::Malformed),
        ("short", good[..7].to_vec(), RejectReason::Malformed),
        ("FOpts beyond the end", vec![0x40, 1, 2, 3, 4, 0x0F, 0, 0, 1, 2, 3, 4], RejectReason::Malformed),
        ("another major version", other_major, RejectReason::Malformed),
        ("reserved bits", reserved_bits, RejectReason::Malformed),
        ("a downlink", downlink, RejectReason::NotAnUplink),
        ("proprietary", vec![0xE0, 1, 2, 3], RejectReason::NotAnUplink),
        ("unknown DevEUI", asking.join_request(JOIN_EUI, [8; 8], APP_KEY), RejectReason::UnknownDevice),
        ("other JoinEUI", asking.join_request([8; 8], DEV_EUI, APP_KEY), RejectReason::WrongJoinEui),
        ("other AppKey", asking.join_request(JOIN_EUI, DEV_EUI, [8; 16]), RejectReason::WrongMic),
        ("an ABP device", asking.join_request(JOIN_EUI, [9; 8], APP_KEY), RejectReason::NotOtaa),
        ("used DevNonce", asked_before.join_request(JOIN_EUI, DEV_EUI, APP_KEY), RejectReason::DevNonceUsed),
        ("unknown DevAddr", stranger.uplink(Some(85), &[1], With::default()), RejectReason::UnknownAddress),
        ("wrong MIC", wrong_mic, RejectReason::WrongMic),
        ("an older counter", replayed.uplink(Some(85), &[1], With::default()), RejectReason::Replayed),
        ("reserved port", reserved.uplink(Some(225), &[1], With::default()), RejectReason::BadPort),
    ] {
        let before = server.session(DEV_EUI).cloned();
        assert_eq!(server.sniff(&phy), None, "{name}");
        assert_eq!(reject(&mut server, &phy), Some(reason), "{name}");
        assert_eq!(server.session(DEV_EUI).cloned(), before, "{name} has an effect");
    }
}

#[test]
fn the_uplink_counter_has_32_bits() {
    let (mut server, mut device) = (abp_server(Config::default()), Device::abp());
    for fcnt in [5, 0xFFFF, 0x1_0000, 0x1_FFF0, 0x2_0003, 0x2_0003 + 16] {
        device.fcnt = fcnt;
        assert_eq!(data(&mut server, 0, &device.uplink(Some(1), &[1], With::default())).fcnt, fcnt);
    }
    // All of them again: old ones, from both sides of a change of the high half.
    for fcnt in [5, 0xFFFF, 0x1_0000, 0x1_FFF0, 0x2_0003] {
        device.fcnt = fcnt;
        let phy = device.uplink(Some(1), &[1], With::default());
        let refused = reject(&mut server, &phy);
        assert!(
            matches!(refused, Some(RejectReason::Replayed | RejectReason::WrongMic)),
            "{fcnt:x}: {refused:?}"
        );
    }
}

#[test]
fn a_repeat_is_told_apart_and_acknowledged_again() {
    let (mut server, mut device) = joined(Config::default());
    let phy = device.uplink(Some(85), &[9], With { confirmed: true, ..With::default() });
    let first = data(&mut server, 20 * SECOND, &phy);
    let ack = one(&mut server, 21 * SECOND);
    assert_eq!(server.on_uplink(30 * SECOND, &phy, META), [Heard::Repeat(first)]);
    let again = one(&mut server, 31 * SECOND);
    assert_ne!(ack.phy, again.phy, "a counter of its own");
    assert_eq!(device.read(&again.phy, 1).map(|(fctrl, ..)| fctrl & 0x20), Some(0x20));
}

#[test]
fn commands_are_read_from_f_opts_and_from_port_0() {
    let (mut server, mut device) = joined(Config::default());
    let all: [&[u8]; 5] = [&[0x02], &[0x03, 0x05], &[0x06, 0, 0x3E], &[0x05, 0x07], &[0x08]];
    let expected = [
        MacUp::LinkCheckReq,
        MacUp::LinkAdrAns { channel_mask_ack: true, data_rate_ack: false, power_ack: true },
        MacUp::DevStatusAns { battery: 0, margin_db: -2 },
        MacUp::RxParamSetupAns { channel_ack: true, rx2_data_rate_ack: true, rx1_dr_offset_ack: true },
        MacUp::RxTimingSetupAns,
    ];
    for port in [None, Some(0), Some(85)] {
        let payload: &[u8] = if port == Some(85) { &[1] } else { &[] };
        let phy = device.uplink(port, payload, With { f_opts: &all, ..With::default() });
        let uplink = data(&mut server, 20 * SECOND, &phy);
        assert_eq!((uplink.mac.as_slice(), uplink.payload.as_slice()), (&expected[..], payload), "{port:?}");
    }
    let odd = device.uplink(None, &[], With { f_opts: &[&[0x02], &[0x99, 1]], ..With::default() });
    let uplink = data(&mut server, 20 * SECOND, &odd);
    assert_eq!(uplink.mac, [MacUp::LinkCheckReq, MacUp::Other { cid: 0x99 }]);
    let cut_short = device.uplink(None, &[], With { f_opts: &[&[0x02], &[0x06, 1]], ..With::default() });
    assert_eq!(data(&mut server, 20 * SECOND, &cut_short).mac, [MacUp::LinkCheckReq]);
}

#[test]
fn any_margin_of_a_device_is_read_without_its_reserved_bits() {
    let (mut server, mut device) = joined(Config::default());
    for margin in 0..=u8::MAX {
        let f_opts: [&[u8]; 3] = [&[0x03, 7], &[0x06, 255, margin], &[0x08]];
        let uplink = data(
            &mut server,
            20 * SECOND,
            &device.uplink(None, &[], With { f_opts: &f_opts, ..With::default() }),
        );
        // Six bits, two's complement.
        let margin_db = ((margin << 2) as i8) >> 2;
        assert_eq!(
            uplink.mac[1..],
            [MacUp::DevStatusAns { battery: 255, margin_db }, MacUp::RxTimingSetupAns]
        );
    }
}

#[test]
fn nothing_is_heard_while_the_gateway_is_off_but_it_can_be_sniffed() {
    let (mut server, mut device) = joined(Config::default());
    server.set_gateway(20 * SECOND, false);
    let phy = device.uplink(Some(85), &[7], With { confirmed: true, ..With::default() });
    assert_eq!(server.on_uplink(21 * SECOND, &phy, META), []);
    assert!(matches!(server.sniff(&phy), Some(Heard::Data(uplink)) if uplink.payload == [7]));
    assert_eq!((server.next_due_us(), server.take_due(60 * SECOND).len()), (None, 0));
    server.set_gateway(70 * SECOND, true);
    assert_eq!(data(&mut server, 71 * SECOND, &phy).payload, [7]);
}

#[test]
fn a_config_out_of_range_names_the_setting() {
    let good = Config::default;
    for (config, field) in [
        (Config { rx1_delay_s: 0, ..good() }, "rx1_delay_s"),
        (Config { rx1_delay_s: 16, ..good() }, "rx1_delay_s"),
        (Config { rx1_dr_offset: 6, ..good() }, "rx1_dr_offset"),
        (Config { rx2_dr: 7, ..good() }, "rx2_dr"),
        (Config { rx2_freq_hz: 915_000_000, ..good() }, "rx2_freq_hz"),
        (Config { extra_channels_hz: vec![867_100_000; 6], ..good() }, "extra_channels_hz"),
        (Config { extra_channels_hz: vec![867_100_050], ..good() }, "extra_channels_hz"),
        (Config { answer_in: Window::Rxc, ..good() }, "answer_in"),
        (Config { confirmed_tries: 0, ..good() }, "confirmed_tries"),
    ] {
        assert_eq!(NetworkServer::new(config, 0).err(), Some(Error::Config(field)));
    }
}

#[test]
fn debug_shows_no_key() {
    let (server, _) = joined(Config::default());
    let session = server.session(DEV_EUI).expect("joined");
    assert!(format!("{session:?} {server:?}").contains("Keys(…)"));
    let first = format!("{}, {}", session.keys.nwk_s_key[0], session.keys.nwk_s_key[1]);
    assert!(!format!("{session:?}").contains(&first));
}

fn is_rejected(heard: &[Heard]) -> bool {
    matches!(heard, [Heard::Rejected { .. }])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_leave_the_server_whole(frames in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..260), 0..8), sf in 0..20u8)
    {
        let (mut server, mut device) = joined(Config::default());
        for frame in frames {
            let meta = sockeye_network_server::UplinkMeta { sf, ..META };
            let heard = server.on_uplink(20 * SECOND, &frame, meta);
            prop_assert!(is_rejected(&heard), "{heard:?}");
        }
        prop_assert_eq!(data(&mut server, 30 * SECOND, &device.uplink(Some(85), &[1], With::default())).fcnt, 1);
    }

    #[test]
    fn any_frame_of_the_device_is_read_as_it_was_sent(
        port in 1..=224u8, payload in proptest::collection::vec(any::<u8>(), 0..222),
        confirmed in any::<bool>(), fcnt in 2..0x4000u32, commands in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let (mut server, mut device) = joined(Config::default());
        device.fcnt = fcnt;
        let commands: Vec<[u8; 2]> = commands.iter().map(|cid| [*cid, 0]).collect();
        let f_opts: Vec<&[u8]> = commands.iter().map(|command| &command[..]).collect();
        let phy = device.uplink(Some(port), &payload, With { confirmed, f_opts: &f_opts, ..With::default() });
        let uplink = data(&mut server, 20 * SECOND, &phy);
        prop_assert_eq!((uplink.port, uplink.payload, uplink.fcnt, uplink.confirmed),
            (Some(port), payload, fcnt, confirmed));
        let mut spoilt = phy;
        let at = (fcnt as usize) % spoilt.len();
        spoilt[at] ^= 1 << (port % 8);
        let heard = server.on_uplink(30 * SECOND, &spoilt, META);
        prop_assert!(is_rejected(&heard), "{heard:?}");
    }
}
