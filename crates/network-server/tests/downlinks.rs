//! What the server sends, when, and with which parameters.

mod device;

use device::*;
use proptest::prelude::*;
use sockeye_network_server::{
    Config, DataDown, Delivery, Downlink, Dropped, Error, Kind, MacRequest, MulticastGroup, NetworkServer,
    Transmission, Window, airtime_us, forge,
};

fn say(payload: &[u8]) -> Downlink {
    Downlink { port: 85, payload: payload.to_vec(), confirmed: false }
}

fn confirmed(payload: &[u8]) -> Downlink {
    Downlink { confirmed: true, ..say(payload) }
}

/// When, on which frequency and with which spreading factor.
fn place(sent: &Transmission) -> (u64, u32, u8) {
    (sent.at_us, sent.freq_hz, sent.sf)
}

fn window(sent: &Transmission) -> Option<Window> {
    match sent.kind {
        Kind::Unicast { window, .. } => Some(window),
        _ => None,
    }
}

#[test]
fn a_join_accept_goes_out_in_the_window_that_is_chosen() {
    for (answer_in, expected) in
        [(Window::Rx1, (5 * SECOND, 868_100_000, 7)), (Window::Rx2, (6 * SECOND, 869_525_000, 12))]
    {
        // A session's RX2 at DR3 changes nothing for the join (MAC-JOIN-03).
        let (mut server, mut device) =
            (server(Config { answer_in, rx2_dr: 3, ..Config::default() }), Device::abp());
        server.on_uplink(0, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
        assert!(server.take_due(expected.0 - 1).is_empty());
        let accept = one(&mut server, expected.0);
        assert_eq!(place(&accept), expected);
        assert!(matches!(accept.kind, Kind::JoinAccept { dev_eui: DEV_EUI, .. }));
        assert!(device.take_join_accept(&accept.phy));
        assert_eq!(server.next_due_us(), None);
    }
}

#[test]
fn an_observer_with_the_servers_keys_reads_its_data_and_nothing_else() {
    let (mut server, _) = joined(Config::default());
    server.enqueue(60 * SECOND, DEV_EUI, say(&[8, 1])).expect("known");
    let sent = one(&mut server, 70 * SECOND);
    let session = server.session(DEV_EUI).expect("joined").clone();
    let delivery = Delivery {
        dev_addr: session.dev_addr,
        multicast: false,
        port: 85,
        payload: vec![8, 1],
        fcnt: session.fcnt_down - 1,
    };
    assert_eq!(server.sniff_delivery(&sent.phy), Some(delivery.clone()));
    let group = MulticastGroup { dev_addr: 0x1111_1111, keys: session.keys, fcnt_down: 0x1_0000 };
    server.add_group(group).expect("a new one");
    server.send_to_group(80 * SECOND, 0x1111_1111, 86, &[9]).expect("known");
    let to_group = one(&mut server, 90 * SECOND);
    let expected =
        Delivery { dev_addr: 0x1111_1111, multicast: true, port: 86, payload: vec![9], fcnt: 0x1_0000 };
    assert_eq!(server.sniff_delivery(&to_group.phy), Some(expected));
    let none: [&[u8]; 4] =
        [&forge::wrong_mic(&sent.phy), &forge::other_address(&sent.phy, 0x1111_1111), &sent.phy[..12], &[]];
    for phy in none {
        assert_eq!(server.sniff_delivery(phy), None);
    }
}

#[test]
fn queued_data_and_the_ack_share_the_frame_in_the_window() {
    for (answer_in, expected) in
        [(Window::Rx1, (21 * SECOND, 868_100_000, 7)), (Window::Rx2, (22 * SECOND, 869_525_000, 12))]
    {
        let (mut server, mut device) = joined(Config { answer_in, ..Config::default() });
        let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
        data(&mut server, 20 * SECOND, &up);
        server.enqueue(20 * SECOND + 5, DEV_EUI, say(b"\x08\x01\x00\xFF")).expect("known");
        assert_eq!(server.queued(DEV_EUI), 1);
        let sent = one(&mut server, 23 * SECOND);
        assert_eq!(place(&sent), expected);
        assert_eq!(window(&sent), Some(answer_in));
        assert_eq!(device.read(&sent.phy, 0), Some((0x20, vec![], Some(85), b"\x08\x01\x00\xFF".to_vec())));
        assert_eq!((server.queued(DEV_EUI), server.next_due_us()), (0, None));
    }
}

#[test]
fn an_uplink_without_need_is_not_answered() {
    let (mut server, mut device) = joined(Config::default());
    data(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    assert_eq!(server.next_due_us(), Some(21 * SECOND), "something may still come");
    assert!(server.take_due(21 * SECOND).is_empty());
    assert_eq!(server.next_due_us(), None);
    let asking = device.uplink(Some(85), &[1], With { fctrl: 0xC0, ..With::default() });
    data(&mut server, 30 * SECOND, &asking);
    let sent = one(&mut server, 31 * SECOND);
    assert_eq!(device.read(&sent.phy, 0), Some((0, vec![], None, vec![])), "ADRACKReq is answered");
}

#[test]
fn class_c_data_goes_out_at_once_with_the_parameters_of_rx2() {
    let (mut server, device) = joined(Config { rx2_dr: 3, ..Config::default() });
    server.enqueue(60 * SECOND + 7, DEV_EUI, say(&[1])).expect("known");
    assert_eq!(server.next_due_us(), Some(60 * SECOND + 7));
    let sent = one(&mut server, 60 * SECOND + 7);
    assert_eq!(place(&sent), (60 * SECOND + 7, 869_525_000, 9));
    assert_eq!(window(&sent), Some(Window::Rxc));
    assert_eq!(device.read(&sent.phy, 0), Some((0, vec![], Some(85), vec![1])));
}

#[test]
fn class_c_frames_go_one_after_the_other_in_their_order() {
    let (mut server, device) = joined(Config::default());
    for byte in 0..4 {
        server.enqueue(60 * SECOND, DEV_EUI, say(&[byte])).expect("known");
    }
    let sent = server.take_due(100 * SECOND);
    assert_eq!(sent.len(), 4);
    for (fcnt, pair) in (0u32..).zip(sent.windows(2)) {
        let end_us = pair[0].at_us + airtime_us(pair[0].sf, pair[0].bw_hz, pair[0].phy.len());
        assert_eq!(pair[1].at_us, end_us + 5 * SECOND, "frame {fcnt}");
    }
    for (fcnt, frame) in (0u8..).zip(&sent) {
        let (fctrl, _, _, payload) = device.read(&frame.phy, fcnt.into()).expect("for the device");
        assert_eq!((payload, fctrl & 0x10 != 0), (vec![fcnt], fcnt < 3), "FPending while more is waiting");
    }
}

#[test]
fn a_device_that_answers_gets_the_next_frame_in_its_window_without_the_pause() {
    let (mut server, mut device) = joined(Config::default());
    for byte in 0..2 {
        server.enqueue(60 * SECOND, DEV_EUI, say(&[byte])).expect("known");
    }
    let first = one(&mut server, 60 * SECOND);
    let end_us = first.at_us + airtime_us(first.sf, first.bw_hz, first.phy.len());
    data(&mut server, end_us + 200_000, &device.uplink(Some(85), &[1], With::default()));
    assert_eq!(one(&mut server, end_us + 4 * SECOND).at_us, end_us + 200_000 + SECOND);
}

#[test]
fn class_c_data_waits_for_the_window_when_one_is_coming() {
    let (mut server, mut device) =
        joined(Config { rx1_delay_s: 5, class_c_pause_ms: 0, ..Config::default() });
    data(&mut server, 60 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    server.enqueue(61 * SECOND, DEV_EUI, say(&[1])).expect("known");
    server.enqueue(61 * SECOND, DEV_EUI, say(&[2])).expect("known");
    let sent = server.take_due(80 * SECOND);
    let windows: Vec<_> = sent.iter().map(|sent| (window(sent), sent.at_us)).collect();
    assert_eq!(windows[0], (Some(Window::Rx1), 65 * SECOND));
    assert_eq!(windows[1], (Some(Window::Rxc), 66 * SECOND), "not before RX2");
}

#[test]
fn nothing_goes_to_rxc_before_the_first_uplink_of_a_session() {
    let (mut server, mut device) = (server(Config::default()), Device::abp());
    server.enqueue(0, DEV_EUI, say(&[1])).expect("known");
    server.on_uplink(0, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
    let accept = one(&mut server, 60 * SECOND);
    assert!(device.take_join_accept(&accept.phy));
    data(&mut server, 70 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    assert_eq!(place(&one(&mut server, 71 * SECOND)).0, 71 * SECOND);
}

#[test]
fn a_frame_that_waited_for_an_empty_window_does_not_go_out_before_it() {
    let mut server = NetworkServer::new(Config::default(), 0).expect("good");
    let mut other = Device { addr: DEV_ADDR + 1, ..Device::abp() };
    server.add_abp(DEV_EUI, DEV_ADDR, KEYS).expect("new");
    server.add_abp([1; 8], other.addr, KEYS).expect("new");
    data(&mut server, 20 * SECOND, &other.uplink(Some(85), &[1], With::default()));
    server.enqueue(20 * SECOND + 500_000, DEV_EUI, say(&[1])).expect("known");
    // The other device's RX1 comes first; nothing is said in it.
    assert!(server.take_due(21 * SECOND - 1).is_empty());
    assert_eq!(one(&mut server, 22 * SECOND).at_us, 21 * SECOND);
}

#[test]
fn an_abp_device_is_reached_without_an_uplink() {
    let mut server = abp_server(Config::default());
    server.enqueue(3, DEV_EUI, say(&[1])).expect("known");
    let sent = one(&mut server, 3);
    assert_eq!(Device::abp().read(&sent.phy, 0), Some((0, vec![], Some(85), vec![1])));
}

#[test]
fn a_confirmed_downlink_is_sent_again_until_the_ack() {
    let (mut server, mut device) = joined(Config::default());
    server.enqueue(60 * SECOND, DEV_EUI, confirmed(&[5])).expect("known");
    server.enqueue(60 * SECOND, DEV_EUI, say(&[6])).expect("known");
    let first = one(&mut server, 69 * SECOND);
    let second = one(&mut server, 79 * SECOND);
    assert_eq!(second.at_us - first.at_us, 10 * SECOND);
    assert_eq!(second.phy, first.phy, "the same frame, so that it is obeyed once");
    assert!(matches!(second.kind, Kind::Unicast { repeat: true, .. }));
    let ack = device.uplink(None, &[], With { fctrl: 0x20, ..With::default() });
    data(&mut server, 79 * SECOND + 500_000, &ack);
    let next = one(&mut server, 100 * SECOND);
    assert_eq!(device.read(&next.phy, 1), Some((0, vec![], Some(85), vec![6])));
    assert_eq!((server.queued(DEV_EUI), server.unacknowledged(DEV_EUI)), (0, 0));
}

#[test]
fn a_confirmed_downlink_is_given_up_after_its_tries() {
    for tries in [1, 3] {
        let (mut server, device) = joined(Config { confirmed_tries: tries, ..Config::default() });
        server.enqueue(60 * SECOND, DEV_EUI, confirmed(&[5])).expect("known");
        server.enqueue(60 * SECOND, DEV_EUI, say(&[6])).expect("known");
        let sent = server.take_due(200 * SECOND);
        assert_eq!(sent.len(), usize::from(tries) + 1);
        assert!(sent[..usize::from(tries)].iter().all(|frame| frame.phy == sent[0].phy));
        assert_eq!(device.read(&sent[usize::from(tries)].phy, 1).map(|read| read.3), Some(vec![6]));
        assert_eq!((server.queued(DEV_EUI), server.unacknowledged(DEV_EUI)), (0, 1));
    }
}

#[test]
fn a_repeat_that_must_carry_an_ack_takes_a_new_counter() {
    let (mut server, mut device) = joined(Config::default());
    server.enqueue(60 * SECOND, DEV_EUI, confirmed(&[5])).expect("known");
    one(&mut server, 61 * SECOND);
    let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
    data(&mut server, 63 * SECOND, &up);
    let again = one(&mut server, 64 * SECOND);
    assert_eq!(device.read(&again.phy, 1), Some((0x20, vec![], Some(85), vec![5])));
    assert!(matches!(again.kind, Kind::Unicast { repeat: true, fcnt: 1, .. }));
}

#[test]
fn link_check_and_device_time_are_answered() {
    let (mut server, mut device) = joined(Config { gps_time_at_start_s: 1_000_000, ..Config::default() });
    let up = device.uplink(None, &[], With { f_opts: &[&[0x02], &[0x0D]], ..With::default() });
    data(&mut server, 20 * SECOND + 500_000, &up);
    let sent = one(&mut server, 22 * SECOND);
    let time = (1_000_000u32 + 20).to_le_bytes();
    // SNR 8 dB at SF7 is 15.5 dB above the floor of -7.5 dB.
    let expected = [&[0x02, 15, 1, 0x0D][..], &time, &[128]].concat();
    assert_eq!(device.read(&sent.phy, 0).map(|read| read.1), Some(expected));
}

#[test]
fn requests_go_out_in_the_next_window_and_their_answers_are_taken_over() {
    let (mut server, mut device) = joined(Config::default());
    for request in [
        MacRequest::LinkAdr { data_rate: 5, tx_power: 1, channel_mask: 7, ch_mask_cntl: 0, nb_trans: 2 },
        MacRequest::RxParamSetup { rx1_dr_offset: 2, rx2_dr: 3, freq_hz: 869_100_000 },
        MacRequest::DevStatus,
        MacRequest::RxTimingSetup { delay_s: 3 },
        MacRequest::Raw(vec![0x99, 1, 2]),
    ] {
        server.request(DEV_EUI, request).expect("good");
    }
    data(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    let sent = one(&mut server, 22 * SECOND);
    let f_opts = [&[0x03, 0x51, 7, 0, 2][..], &[0x05, 0x23, 0x38, 0x9D, 0x84], &[0x06], &[0x08, 3]].concat();
    let (fctrl, found, ..) = device.read(&sent.phy, 0).expect("for the device");
    assert_eq!((found, fctrl), (f_opts, 0x10 | 13), "the fifth does not fit, and waits");

    // The device may listen elsewhere by now: RXC waits for the answer.
    server.enqueue(23 * SECOND, DEV_EUI, say(&[1])).expect("known");
    assert_eq!(server.next_due_us(), None);
    let answers: [&[u8]; 4] = [&[0x03, 7], &[0x05, 7], &[0x06, 0, 9], &[0x08]];
    data(&mut server, 30 * SECOND, &device.uplink(None, &[], With { f_opts: &answers, ..With::default() }));
    assert_eq!(server.mac_answers(DEV_EUI).len(), 4);
    let sent = one(&mut server, 40 * SECOND);
    // RX1 three seconds after the uplink, two data rates below it.
    assert_eq!(place(&sent), (33 * SECOND, 868_100_000, 9));
    assert_eq!(device.read(&sent.phy, 1).map(|read| (read.1, read.3)), Some((vec![0x99, 1, 2], vec![1])));
    server.enqueue(50 * SECOND, DEV_EUI, say(&[2])).expect("known");
    assert_eq!(place(&one(&mut server, 50 * SECOND)), (50 * SECOND, 869_100_000, 9));
}

#[test]
fn a_refused_parameter_changes_nothing() {
    let (mut server, mut device) = joined(Config::default());
    server
        .request(DEV_EUI, MacRequest::RxParamSetup { rx1_dr_offset: 2, rx2_dr: 3, freq_hz: 869_100_000 })
        .expect("good");
    data(&mut server, 20 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    one(&mut server, 22 * SECOND);
    data(
        &mut server,
        30 * SECOND,
        &device.uplink(None, &[], With { f_opts: &[&[0x05, 6]], ..With::default() }),
    );
    assert!(server.take_due(40 * SECOND).is_empty());
    server.enqueue(50 * SECOND, DEV_EUI, say(&[2])).expect("known");
    assert_eq!(place(&one(&mut server, 60 * SECOND)), (50 * SECOND, 869_525_000, 12));
}

#[test]
fn wrong_use_is_an_error() {
    let mut server = server(Config::default());
    let bad_dr =
        MacRequest::LinkAdr { data_rate: 16, tx_power: 0, channel_mask: 1, ch_mask_cntl: 0, nb_trans: 1 };
    assert!(matches!(server.request(DEV_EUI, bad_dr), Err(Error::Request(_))));
    assert!(matches!(server.request(DEV_EUI, MacRequest::Raw(vec![0; 16])), Err(Error::Request(_))));
    assert_eq!(server.request([0; 8], MacRequest::DevStatus), Err(Error::UnknownDevice));
    assert_eq!(server.enqueue(0, [0; 8], say(&[1])), Err(Error::UnknownDevice));
    assert_eq!(server.enqueue(0, DEV_EUI, Downlink { port: 0, ..say(&[1]) }), Err(Error::Port(0)));
    assert_eq!(server.enqueue(0, DEV_EUI, say(&[0; 243])), Err(Error::PayloadTooLong { max: 242 }));
    assert_eq!(server.add_otaa(DEV_EUI, JOIN_EUI, APP_KEY), Err(Error::DeviceExists));
}

#[test]
fn data_too_long_for_its_turn_is_given_up_and_told_and_what_waits_behind_goes() {
    // RXC has DR0 with 51 bytes.
    let (mut server, device) = joined(Config::default());
    for downlink in [say(&[1; 52]), say(&[2; 51]), confirmed(&[3; 242]), say(&[4])] {
        server.enqueue(60 * SECOND, DEV_EUI, downlink).expect("known");
    }
    let sent = server.take_due(100 * SECOND);
    let read: Vec<_> = (0..).zip(&sent).filter_map(|(fcnt, frame)| device.read(&frame.phy, fcnt)).collect();
    assert_eq!(read.into_iter().map(|read| read.3).collect::<Vec<_>>(), [vec![2; 51], vec![4]]);
    let given_up = |downlink| Dropped { dev_eui: DEV_EUI, downlink, data_rate: 0, max: 51 };
    assert_eq!(server.take_dropped(), [given_up(say(&[1; 52])), given_up(confirmed(&[3; 242]))]);
    assert_eq!((server.take_dropped(), server.queued(DEV_EUI)), (vec![], 0));
}

#[test]
fn a_window_of_a_higher_rate_carries_longer_data() {
    let (mut server, mut device) = joined(Config::default());
    data(&mut server, 70 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    server.enqueue(70 * SECOND, DEV_EUI, say(&[3; 52])).expect("known");
    assert_eq!(device.read(&one(&mut server, 72 * SECOND).phy, 0).map(|read| read.3), Some(vec![3; 52]));
    assert_eq!(server.take_dropped(), []);
}

#[test]
fn a_confirmed_downlink_that_has_become_too_long_is_given_up_too() {
    let (mut server, mut device) = joined(Config { rx2_dr: 5, ..Config::default() });
    server.enqueue(60 * SECOND, DEV_EUI, confirmed(&[5; 100])).expect("known");
    one(&mut server, 60 * SECOND);
    // No ACK, but an answer that moves RXC to DR0.
    let request = MacRequest::RxParamSetup { rx1_dr_offset: 5, rx2_dr: 0, freq_hz: 869_525_000 };
    server.request(DEV_EUI, request).expect("good");
    data(&mut server, 61 * SECOND, &device.uplink(Some(85), &[1], With::default()));
    let asked = one(&mut server, 62 * SECOND);
    assert_eq!(device.read(&asked.phy, 1).map(|read| (read.1.len(), read.3.len())), Some((5, 100)));
    let answer = device.uplink(Some(85), &[1], With { f_opts: &[&[0x05, 7]], ..With::default() });
    data(&mut server, 64 * SECOND, &answer);
    assert!(server.take_due(90 * SECOND).is_empty());
    assert_eq!(server.take_dropped().iter().map(|lost| lost.max).collect::<Vec<_>>(), [51]);
    assert_eq!(server.queued(DEV_EUI), 0);
}

#[test]
fn a_multicast_frame_is_for_its_group_and_counts_on() {
    let mut server = server(Config::default());
    let mut group = MulticastGroup { dev_addr: 0x1111_1111, keys: KEYS, fcnt_down: 0xFFFF };
    let member = Device { addr: group.dev_addr, ..Device::abp() };
    for fcnt in [0xFFFF, 0x1_0000] {
        server.multicast(u64::from(fcnt), &mut group, 85, &[8, 0]).expect("good");
        let sent = one(&mut server, 100 * SECOND);
        assert_eq!(member.read(&sent.phy, fcnt), Some((0, vec![], Some(85), vec![8, 0])));
        assert_eq!((sent.freq_hz, sent.sf), (869_525_000, 12));
    }
    assert_eq!(server.multicast(0, &mut group, 0, &[]), Err(Error::Port(0)));
}

#[test]
fn the_gateway_sends_one_frame_at_a_time() {
    let mut server = NetworkServer::new(Config::default(), 0).expect("good");
    let devices: Vec<_> =
        (0..8u8).map(|n| ([n; 8], Device { addr: 0x2600_0000 + u32::from(n), ..Device::abp() })).collect();
    for (dev_eui, device) in &devices {
        server.add_abp(*dev_eui, device.addr, KEYS).expect("new");
    }
    // All are heard at nearly the same time, ask for an ACK, and have data waiting.
    for ((dev_eui, mut device), late_us) in devices.into_iter().zip(0u64..) {
        let up = device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() });
        data(&mut server, 20 * SECOND + late_us, &up);
        server.enqueue(20 * SECOND + late_us, dev_eui, say(&[1; 20])).expect("known");
    }
    let sent = server.take_due(200 * SECOND);
    assert!(sent.len() >= 8, "{}", sent.len());
    for pair in sent.windows(2) {
        let end_us = pair[0].at_us + airtime_us(pair[0].sf, pair[0].bw_hz, pair[0].phy.len());
        assert!(pair[1].at_us >= end_us, "{} runs into {}", pair[0].at_us, pair[1].at_us);
    }
    assert!(sent.iter().any(|frame| window(frame) == Some(Window::Rx1)));
    assert!(sent.iter().any(|frame| window(frame) == Some(Window::Rx2)), "the second chance");
}

#[test]
fn data_waits_while_the_gateway_is_off() {
    let (mut server, device) = joined(Config::default());
    server.set_gateway(60 * SECOND, false);
    server.enqueue(61 * SECOND, DEV_EUI, say(&[1])).expect("known");
    server.inject(61 * SECOND, vec![1, 2, 3]);
    assert!(server.take_due(70 * SECOND).is_empty());
    server.set_gateway(80 * SECOND, true);
    let sent = one(&mut server, 90 * SECOND);
    assert_eq!(sent.at_us, 80 * SECOND);
    assert!(device.read(&sent.phy, 0).is_some());
}

#[test]
fn forged_frames_are_what_they_say() {
    let (mut server, mut device) = joined(Config::default());
    let frame =
        DataDown { dev_addr: device.addr, fcnt: 9, data: Some((85, vec![8, 1])), ..DataDown::default() };
    let good = forge::data_down(&frame, &device.keys).expect("builds");
    assert_eq!(device.read(&good, 9), Some((0, vec![], Some(85), vec![8, 1])));
    assert_eq!(device.read(&forge::wrong_mic(&good), 9), None);
    let moved = forge::other_address(&good, 0x0102_0304);
    assert_eq!((moved.len(), &moved[1..5]), (good.len(), &[4, 3, 2, 1][..]));
    assert_eq!(device.read(&moved, 9), None);
    let up = device.uplink(Some(85), &[7], With::default());
    data(&mut server, 20 * SECOND, &up);
    assert_eq!(server.received_frames().next_back(), Some(up.as_slice()));
    server.inject(30 * SECOND, up.clone());
    let sent = one(&mut server, 30 * SECOND);
    assert_eq!((sent.phy, sent.kind), (up, Kind::Injected));
    let sent_before: Vec<_> = server.sent_frames().map(|sent| &sent.kind).collect();
    assert!(matches!(sent_before[..], [Kind::JoinAccept { .. }, .., Kind::Injected]));
}

#[test]
fn the_record_of_frames_is_bounded() {
    let mut server = abp_server(Config { record_frames: 3, ..Config::default() });
    for byte in 0..10 {
        server.inject(0, vec![byte]);
    }
    assert_eq!(server.take_due(1_000 * SECOND).len(), 10);
    assert_eq!(server.sent_frames().map(|sent| sent.phy[0]).collect::<Vec<_>>(), [7, 8, 9]);
}

/// What an application may do to the server.
#[derive(Clone, Debug)]
enum Deed {
    Say(usize, bool),
    Hear(bool, bool),
    Ask(bool),
    Gateway(bool),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        (0..243usize, any::<bool>()).prop_map(|(length, confirmed)| Deed::Say(length, confirmed)),
        (any::<bool>(), any::<bool>()).prop_map(|(confirmed, ack)| Deed::Hear(confirmed, ack)),
        any::<bool>().prop_map(Deed::Ask),
        any::<bool>().prop_map(Deed::Gateway),
        (0..20_000_000u64).prop_map(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_frames_do_not_overlap_and_counters_do_not_fall(
        deeds in proptest::collection::vec(deed(), 1..60)
    ) {
        let (mut server, mut device) = joined(Config::default());
        let (mut now_us, mut free_us, mut last) = (60 * SECOND, 0, None);
        for deed in deeds {
            match deed {
                Deed::Say(length, confirmed) => {
                    let downlink = Downlink { port: 1, payload: vec![1; length], confirmed };
                    server.enqueue(now_us, DEV_EUI, downlink).expect("fits");
                }
                Deed::Hear(confirmed, ack) => {
                    let fctrl = if ack { 0x20 } else { 0 };
                    let phy = device.uplink(Some(1), &[1], With { confirmed, fctrl, ..With::default() });
                    server.on_uplink(now_us, &phy, META);
                }
                Deed::Ask(status) => {
                    let request = if status { MacRequest::DevStatus } else { MacRequest::RxTimingSetup { delay_s: 2 } };
                    server.request(DEV_EUI, request).expect("good");
                }
                Deed::Gateway(on) => server.set_gateway(now_us, on),
                Deed::Wait(wait_us) => now_us += wait_us,
            }
            for sent in server.take_due(now_us) {
                prop_assert!(sent.at_us >= free_us && sent.at_us <= now_us);
                free_us = sent.at_us + airtime_us(sent.sf, sent.bw_hz, sent.phy.len());
                if let Kind::Unicast { fcnt, repeat, .. } = sent.kind {
                    prop_assert!(last.is_none_or(|last| fcnt > last || (repeat && fcnt == last)));
                    prop_assert!(device.read(&sent.phy, fcnt).is_some());
                    last = Some(fcnt);
                }
            }
            prop_assert!(server.next_due_us().is_none_or(|due_us| due_us > now_us));
        }
    }
}
