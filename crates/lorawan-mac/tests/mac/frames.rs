//! MAC-FRM.

use lrwn::{DevStatusAnsPayload, MACCommand, MACCommandSet, RxTimingSetupReqPayload};
use sockeye_lorawan_mac::{Action, Config, SendError, Window};

use crate::bench::{Accept, Bench, Down, abp, otaa};

#[test]
fn mac_frm_01_fctrl_says_adr_and_ack_and_never_class_b() {
    for adr in [false, true] {
        let mut bench = Bench::new(Config { adr, ..abp() });
        let sent = bench.uplink(&[1], false);
        let heard = bench.keys.hear(&sent.phy, 0);
        assert_eq!(heard.ctrl.adr, adr);
        assert!(!heard.ctrl.ack && !heard.ctrl.adr_ack_req && !heard.ctrl.class_b);
        bench.until(Window::Rx1);
        bench.hear_phy(Window::Rx1, &bench.keys.phy(&Down { confirmed: true, ..bench.keys.down(0) }));
        bench.settle();
        let sent = bench.uplink(&[1], false);
        assert!(bench.keys.hear(&sent.phy, 0).ctrl.ack);
    }
}

#[test]
fn mac_frm_01_rfu_bits_of_a_downlink_are_ignored() {
    let mut bench = Bench::abp();
    bench.settle();
    // MHDR RFU bits and FCtrl bit 6 are under the MIC: our own frame with lrwn's key work.
    let mut down = bench.keys.phy(&bench.keys.data(0, 85, &[1]));
    down[0] |= 0x1c;
    down[5] |= 0x40;
    resign(&mut down, &bench);
    bench.hear_phy(Window::Rxc, &down);
    bench.settle();
    assert_eq!(bench.delivered(), [(85, vec![1])]);
}

/// Gives a downlink with FCntDown below 65536 a right MIC again.
fn resign(phy: &mut [u8], bench: &Bench) {
    use lorawan::default_crypto::DefaultFactory;
    use lorawan::keys::{AES128, CryptoFactory, Mac as _};
    let body = phy.len() - 4;
    let mut b0 = [0x49, 0, 0, 0, 0, 1, 0, 0, 0, 0, phy[6], phy[7], 0, 0, 0, body as u8];
    b0[6..10].copy_from_slice(&phy[1..5]);
    let mut mac = DefaultFactory.new_mac(&AES128(bench.keys.nwk));
    mac.input(&b0);
    mac.input(&phy[..body]);
    let whole: [u8; 16] = mac.result().into();
    phy[body..].copy_from_slice(&whole[..4]);
}

#[test]
fn mac_frm_02_port_0_with_fopts_is_dropped_whole() {
    let mut bench = Bench::abp();
    let fopts = vec![MACCommand::DevStatusReq];
    let mixed = Down { fopts, port: Some(0), payload: vec![0x06], ..bench.keys.down(0) };
    bench.exchange(&mixed);
    bench.finish();
    let sent = bench.uplink(&[1], false);
    assert!(bench.keys.hear(&sent.phy, 0).fopts.is_empty());
    // Not even its counter has counted.
    bench.rxc(&bench.keys.data(0, 85, &[1]).clone());
    assert_eq!(bench.delivered().len(), 1);
}

#[test]
fn mac_frm_02_reserved_ports_are_dropped_and_port_224_is_not_the_applications() {
    for port in [224, 225, 255] {
        let mut bench = Bench::abp();
        bench.settle();
        bench.rxc(&bench.keys.data(0, port, &[1]).clone());
        assert_eq!(bench.delivered(), [], "port {port}");
        assert_eq!(bench.mac.send(0, port, &[1], false), Err(SendError::Port(port)));
    }
    assert_eq!(Bench::abp().mac.send(0, 0, &[1], false), Err(SendError::Port(0)));
}

#[test]
fn mac_frm_02_commands_on_port_0_are_enciphered_with_the_network_key() {
    let mut bench = Bench::abp();
    let down = Down { port: Some(0), payload: vec![0x06], ..bench.keys.down(0) };
    bench.exchange(&down);
    let sent = bench.uplink(&[1], false);
    let expected =
        MACCommandSet::new(vec![MACCommand::DevStatusAns(DevStatusAnsPayload { battery: 0, margin: 7 })]);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, expected.to_vec().unwrap());
    assert_eq!(bench.delivered(), [], "MAC commands never reach the application");
}

#[test]
fn mac_frm_03_empty_payload_missing_port_and_bare_frames_are_legal() {
    let mut bench = Bench::abp();
    bench.settle();
    bench.rxc(&bench.keys.data(0, 85, &[]).clone());
    assert_eq!(bench.delivered(), [(85, vec![])]);
    bench.exchange(&bench.keys.commands(1, vec![MACCommand::DevStatusReq]).clone());
    bench.exchange(&bench.keys.down(2).clone());
    assert_eq!(bench.delivered().len(), 1);
    // All three were counted.
    for fcnt in 0..3 {
        bench.rxc(&bench.keys.data(fcnt, 85, &[1]).clone());
    }
    assert_eq!(bench.delivered().len(), 1);
}

#[test]
fn mac_frm_03_an_empty_application_payload_is_sent_with_its_port() {
    let mut bench = Bench::abp();
    let sent = bench.uplink(&[], false);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert_eq!((heard.port, heard.payload), (Some(85), vec![]));
}

#[test]
fn mac_frm_04_a_payload_beyond_the_data_rate_is_refused_and_one_at_the_limit_goes_out() {
    // RP002: N of EU868, DR0 to DR5.
    for (data_rate, limit) in [(0, 51), (1, 51), (2, 51), (3, 115), (4, 242), (5, 242), (6, 242)] {
        let mut bench = Bench::new(Config { adr: false, data_rate, ..abp() });
        bench.settle();
        assert_eq!(bench.mac.max_payload(), limit, "DR{data_rate}");
        let too_long = vec![0; limit + 1];
        assert_eq!(bench.mac.send(0, 85, &too_long, false), Err(SendError::TooLong { limit }));
        assert_eq!(bench.mac.send(0, 85, &[0; 300], false), Err(SendError::TooLong { limit }));
        if data_rate <= 5 {
            let sent = bench.uplink(&too_long[..limit], false);
            assert_eq!(bench.keys.hear(&sent.phy, 0).payload.len(), limit);
        }
    }
}

#[test]
fn mac_frm_05_more_answers_than_fopts_holds_go_first_in_a_frame_of_their_own() {
    let mut bench = Bench::abp();
    // Six answers of three bytes.
    bench.exchange(&bench.keys.commands(0, vec![MACCommand::DevStatusReq; 6]).clone());
    assert!(!bench.mac.can_send());
    assert_eq!(bench.mac.send(bench.now_ms, 85, &[1], false), Err(SendError::Busy));
    let heard = bench.heard();
    assert_eq!((heard.port, heard.fopts.len()), (Some(0), 0));
    assert_eq!(heard.payload, [0x06, 0, 7].repeat(6));
    bench.finish();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, []);
}

#[test]
fn mac_frm_05_answers_are_never_cut_and_commands_without_room_are_not_carried_out() {
    let mut bench = Bench::abp();
    let down = Down { port: Some(0), payload: vec![0x06; 50], ..bench.keys.down(0) };
    bench.exchange(&down);
    let heard = bench.heard();
    // 48 bytes of answers are kept, and fit the 51 of DR0.
    assert_eq!((heard.port, heard.payload), (Some(0), [0x06, 0, 7].repeat(16)));
}

#[test]
fn mac_frm_05_a_payload_without_room_beside_the_answers_waits() {
    let mut bench = Bench::abp();
    bench.exchange(&bench.keys.commands(0, vec![MACCommand::DevStatusReq; 5]).clone());
    assert_eq!(bench.mac.max_payload(), 51 - 15);
    assert_eq!(bench.mac.send(bench.now_ms, 85, &[3; 51], false), Err(SendError::Busy));
    let heard = bench.heard();
    assert_eq!((heard.port, heard.fopts), (None, [0x06, 0, 7].repeat(5)));
    bench.finish();
    let sent = bench.uplink(&[3; 51], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).payload, [3; 51]);
}

#[test]
fn mac_frm_04_requests_of_the_devices_own_never_make_a_frame_too_long() {
    // A request that comes while the frame waits for its turn, or before it: it takes the next frame.
    for before in [true, false] {
        let mut bench = Bench::abp();
        bench.settle();
        if before {
            bench.mac.request_link_check();
            bench.mac.request_device_time();
        }
        bench.mac.send(bench.now_ms, 85, &[7; 51], false).unwrap();
        bench.mac.request_link_check();
        bench.mac.request_device_time();
        let heard = bench.heard();
        assert_eq!((heard.payload.len(), heard.fopts.len()), (51, 0));
        bench.finish();
        let sent = bench.uplink(&[7; 50], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x02]);
        bench.finish();
        let sent = bench.uplink(&[7; 50], false);
        assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x0d]);
    }
}

#[test]
fn mac_frm_05_a_payload_beside_sticky_answers_is_told_the_limit_and_not_put_off_for_ever() {
    let mut bench = Bench::abp();
    let timing = MACCommand::RxTimingSetupReq(RxTimingSetupReqPayload { delay: 1 });
    bench.exchange(&bench.keys.commands(0, vec![timing]).clone());
    bench.finish();
    let mut refusals = Vec::new();
    for _ in 0..3 {
        if let Err(error) = bench.mac.send(bench.now_ms, 85, &[3; 51], false) {
            refusals.push(error);
        }
        while !bench.mac.can_send() {
            bench.pass();
        }
        if let action @ Action::Transmit { .. } = bench.settle() {
            bench.carry_out(action);
            bench.finish();
        }
    }
    // The answer goes first; it stays until the network is heard, and the application must know its room.
    let limit = 50;
    assert_eq!(refusals, [SendError::Busy, SendError::TooLong { limit }, SendError::TooLong { limit }]);
    assert_eq!(bench.mac.max_payload(), limit);
    let sent = bench.uplink(&[3; 50], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x08]);
}

#[test]
fn mac_frm_05_a_flood_of_sticky_answers_does_not_keep_the_application_from_sending() {
    let mut bench = Bench::abp();
    // Eight RXParamSetupReq: 16 bytes of answers, one more than FOpts holds.
    let down = Down { port: Some(0), payload: [0x05, 0, 0xd2, 0xad, 0x84].repeat(8), ..bench.keys.down(0) };
    bench.exchange(&down);
    assert_eq!(bench.heard().payload, [0x05, 0x07].repeat(8));
    bench.finish();
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x05, 0x07].repeat(7));
}

#[test]
fn mac_frm_06_the_limit_follows_the_data_rate_and_the_waiting_answers() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    assert_eq!(bench.mac.max_payload(), 242);
    bench.mac.request_link_check();
    bench.mac.request_device_time();
    // They wait where they have no room.
    assert_eq!(bench.mac.max_payload(), 242);
    assert_eq!(Bench::new(otaa()).mac.max_payload(), 0);
}
