//! Several gateways, frames lost and late, groups, and ADR from uplink to answer.

mod device;

use device::*;
use proptest::prelude::*;
use sockeye_network_server::{
    Adr, Config, Downlink, Error, Faults, Heard, Kind, MulticastGroup, NetworkServer, Transmission,
    UplinkMeta, airtime_us,
};

fn say(payload: &[u8]) -> Downlink {
    Downlink { port: 85, payload: payload.to_vec(), confirmed: false }
}

fn at_snr(snr_db: i8) -> UplinkMeta {
    UplinkMeta { snr_db, ..META }
}

/// A joined device under three gateways.
fn three() -> (NetworkServer, Device) {
    let (mut server, device) = joined(Config::default());
    assert_eq!((server.add_gateway(), server.add_gateway()), (1, 2));
    (server, device)
}

fn is_data(heard: &[Heard]) -> bool {
    matches!(heard, [Heard::Data(_)])
}

fn ack(device: &mut Device) -> Vec<u8> {
    device.uplink(Some(85), &[1], With { confirmed: true, ..With::default() })
}

#[test]
fn an_uplink_heard_by_several_is_one_and_the_best_answers() {
    // SNR at each gateway, and which is to answer; the first of two equal ones.
    for (snr_db, best) in [([1, 5, 3], 1), ([9, 5, 3], 0), ([-3, -9, -2], 2), ([4, 4, 4], 0)] {
        let (mut server, mut device) = three();
        let phy = ack(&mut device);
        for (gateway, snr_db) in snr_db.into_iter().enumerate() {
            let heard =
                server.on_uplink_by(gateway, 20 * SECOND + 60_000 * gateway as u64, &phy, at_snr(snr_db));
            assert_eq!((is_data(&heard), heard.len()), (gateway == 0, usize::from(gateway == 0)));
        }
        let sent = one(&mut server, 25 * SECOND);
        assert_eq!((sent.gateway, sent.at_us), (best, 21 * SECOND), "the first copy tells the time");
        // The next word to RXC takes the same way.
        server.enqueue(40 * SECOND, DEV_EUI, say(&[1])).expect("known");
        assert_eq!(one(&mut server, 41 * SECOND).gateway, best);
    }
}

#[test]
fn the_signal_decides_where_the_noise_does_not() {
    let (mut server, mut device) = three();
    let phy = ack(&mut device);
    for (gateway, rssi_dbm) in [(0, -90), (1, -60), (2, -70)] {
        server.on_uplink_by(gateway, 20 * SECOND, &phy, UplinkMeta { rssi_dbm, ..META });
    }
    assert_eq!(one(&mut server, 25 * SECOND).gateway, 1);
}

#[test]
fn a_copy_that_comes_later_is_a_repeat() {
    let (mut server, mut device) = three();
    let phy = ack(&mut device);
    assert!(is_data(&server.on_uplink_by(0, 20 * SECOND, &phy, META)));
    assert_eq!(server.on_uplink_by(1, 20 * SECOND + 200_000, &phy, META), []);
    assert!(matches!(server.on_uplink_by(2, 20 * SECOND + 200_001, &phy, META)[..], [Heard::Repeat(_)]));
    // From the same gateway it was sent twice, however fast.
    let next = ack(&mut device);
    assert!(is_data(&server.on_uplink_by(1, 40 * SECOND, &next, META)));
    assert!(matches!(server.on_uplink_by(1, 40 * SECOND + 1, &next, META)[..], [Heard::Repeat(_)]));
}

#[test]
fn a_bad_frame_is_told_once_however_many_heard_it() {
    let (mut server, _) = three();
    assert!(matches!(server.on_uplink_by(0, SECOND, &[0xFF; 20], META)[..], [Heard::Rejected { .. }]));
    assert_eq!(server.on_uplink_by(1, SECOND, &[0xFF; 20], META), []);
    assert_eq!(server.on_uplink_by(3, SECOND, &[0xFF; 20], META), [], "there is no fourth");
}

#[test]
fn a_busy_gateway_leaves_the_answer_to_the_next_best() {
    let (mut server, mut device) = three();
    server.inject(20 * SECOND + 900_000, vec![0; 50]);
    let phy = ack(&mut device);
    server.on_uplink_by(0, 20 * SECOND, &phy, at_snr(9));
    server.on_uplink_by(2, 20 * SECOND, &phy, at_snr(-5));
    let sent = server.take_due(25 * SECOND);
    let found: Vec<_> = sent.iter().map(|sent| (sent.gateway, sent.at_us)).collect();
    assert_eq!(found, [(0, 20 * SECOND + 900_000), (2, 21 * SECOND)]);
}

#[test]
fn a_gateway_that_goes_off_is_replaced_by_another_that_heard() {
    let (mut server, mut device) = three();
    let phy = ack(&mut device);
    server.on_uplink_by(0, 20 * SECOND, &phy, at_snr(9));
    server.on_uplink_by(1, 20 * SECOND, &phy, at_snr(2));
    assert!(server.set_one_gateway(20 * SECOND + 500_000, 0, false));
    assert_eq!(one(&mut server, 25 * SECOND).gateway, 1);
    server.on_uplink_by(1, 30 * SECOND, &ack(&mut device), META);
    server.set_one_gateway(30 * SECOND + 500_000, 1, false);
    assert_eq!(server.take_due(35 * SECOND), [], "gateway 2 did not hear it");
    assert!(server.gateway_is_on());
    server.enqueue(40 * SECOND, DEV_EUI, say(&[1])).expect("known");
    assert_eq!(one(&mut server, 41 * SECOND).gateway, 2, "rather than none");
    server.set_one_gateway(42 * SECOND, 2, false);
    assert!(!server.gateway_is_on() && !server.set_one_gateway(42 * SECOND, 3, false));
}

#[test]
fn what_waited_for_a_gateway_goes_by_another_from_then_on() {
    let (mut server, mut device) = three();
    let phy = device.uplink(Some(85), &[1], With::default());
    for (gateway, snr_db) in [(0, 9), (1, 5)] {
        server.on_uplink_by(gateway, 20 * SECOND, &phy, at_snr(snr_db));
    }
    // 255 bytes at SF12 take nine seconds.
    server.inject(60 * SECOND, vec![0; 255]);
    one(&mut server, 60 * SECOND);
    server.enqueue(61 * SECOND, DEV_EUI, say(&[1])).expect("known");
    assert!(server.take_due(65 * SECOND).is_empty());
    server.set_one_gateway(65 * SECOND, 0, false);
    let sent = one(&mut server, 65 * SECOND);
    assert_eq!((sent.gateway, sent.at_us), (1, 65 * SECOND));
}

#[test]
fn link_check_tells_the_gateways_and_the_best_margin() {
    let (mut server, mut device) = three();
    let phy = device.uplink(None, &[], With { f_opts: &[&[0x02]], ..With::default() });
    for (gateway, snr_db) in [(1, -3), (0, 2), (2, 0)] {
        server.on_uplink_by(gateway, 20 * SECOND, &phy, at_snr(snr_db));
    }
    let sent = one(&mut server, 25 * SECOND);
    assert_eq!(device.read(&sent.phy, 0).map(|read| read.1), Some(vec![0x02, 9, 3]));
}

#[test]
fn lost_uplinks_are_not_heard() {
    let (mut server, mut device) = three();
    server.lose_uplinks(2);
    let phy = ack(&mut device);
    assert_eq!(server.on_uplink_by(0, 20 * SECOND, &phy, META), []);
    assert_eq!(server.on_uplink_by(1, 20 * SECOND, &phy, META), []);
    assert!(is_data(&server.on_uplink_by(2, 20 * SECOND, &phy, META)));
    assert_eq!(one(&mut server, 25 * SECOND).gateway, 2);
}

#[test]
fn a_lost_downlink_counts_as_sent() {
    let (mut server, mut device) = joined(Config::default());
    server.lose_downlinks(1);
    server.enqueue(20 * SECOND, DEV_EUI, say(&[1])).expect("known");
    server.enqueue(20 * SECOND, DEV_EUI, Downlink { confirmed: true, ..say(&[2]) }).expect("known");
    let sent = one(&mut server, 30 * SECOND);
    assert_eq!(device.read(&sent.phy, 1).map(|read| read.3), Some(vec![2]), "FCntDown 0 is gone");
    // A confirmed one that is lost comes again, with the same bytes.
    server.lose_downlinks(1);
    assert_eq!(server.take_due(38 * SECOND), []);
    let again = one(&mut server, 50 * SECOND);
    assert_eq!(again.phy, sent.phy);
    let phy = device.uplink(None, &[], With { fctrl: 0x20, ..With::default() });
    assert!(is_data(&server.on_uplink(55 * SECOND, &phy, META)));
    assert_eq!((server.queued(DEV_EUI), server.unacknowledged(DEV_EUI)), (0, 0));
}

#[test]
fn a_late_downlink_comes_by_so_much_and_nothing_overtakes_it() {
    let (mut server, mut device) = joined(Config::default());
    server.delay_downlinks(1, 1_500_000);
    server.on_uplink(20 * SECOND, &ack(&mut device), META);
    server.enqueue(21 * SECOND, DEV_EUI, say(&[1])).expect("known");
    server.enqueue(21 * SECOND, DEV_EUI, say(&[2])).expect("known");
    assert_eq!(server.take_due(21 * SECOND), []);
    assert_eq!(server.next_due_us(), Some(22 * SECOND + 500_000));
    let sent = server.take_due(60 * SECOND);
    let read: Vec<_> = (0u32..).zip(&sent).map(|(fcnt, sent)| device.read(&sent.phy, fcnt)).collect();
    assert_eq!((sent.len(), sent[0].at_us, sent[0].freq_hz), (2, 22 * SECOND + 500_000, META.freq_hz));
    assert!(matches!(&read[0], Some((0x30, _, _, payload)) if payload == &[1]), "{read:?}");
    assert!(matches!(&read[1], Some((0, _, _, payload)) if payload == &[2]), "{read:?}");
    assert!(sent[1].at_us >= end_us(&sent[0]));
}

fn end_us(sent: &Transmission) -> u64 {
    sent.at_us + airtime_us(sent.sf, sent.bw_hz, sent.phy.len())
}

#[test]
fn faults_by_chance_come_as_often_as_they_are_set() {
    let mut server = abp_server(Config::default());
    let count = |server: &mut NetworkServer, from_s: u64| {
        for n in 0..1_000 {
            server.inject((from_s + n) * SECOND, vec![0; 12]);
        }
        server.take_due((from_s + 5_000) * SECOND).len()
    };
    assert_eq!(count(&mut server, 0), 1_000);
    server.set_faults(Faults { downlinks_lost_permille: 250, ..Faults::default() });
    let sent = count(&mut server, 10_000);
    assert!((690..=810).contains(&sent), "{sent} of 1000");
    server.set_faults(Faults { downlinks_lost_permille: 1_000, ..Faults::default() });
    assert_eq!(count(&mut server, 20_000), 0);
    let mut device = Device::abp();
    server.set_faults(Faults { uplinks_lost_permille: 500, ..Faults::default() });
    let heard = (0..400).filter(|n| {
        let phy = device.uplink(Some(85), &[1], With::default());
        !server.on_uplink((30_000 + n) * SECOND, &phy, META).is_empty()
    });
    let heard = heard.count();
    assert!((150..=250).contains(&heard), "{heard} of 400");
}

const GROUP: u32 = 0x1111_1111;

#[test]
fn the_server_keeps_the_counters_of_its_groups() {
    let (mut server, _) = three();
    let other = MulticastGroup { dev_addr: 0x2222_2222, keys: KEYS, fcnt_down: 7 };
    server.add_group(MulticastGroup { dev_addr: GROUP, keys: KEYS, fcnt_down: 0 }).expect("new");
    server.add_group(other.clone()).expect("new");
    let member = Device { addr: GROUP, ..Device::abp() };
    server.set_one_gateway(50 * SECOND, 1, false);
    for fcnt in 0..3u32 {
        let now_us = u64::from(60 + 10 * fcnt) * SECOND;
        server.send_to_group(now_us, GROUP, 85, &[8, 1]).expect("known");
        // Each gateway sends it, one after the other: whoever hears both drops the second.
        let sent = server.take_due(now_us + 9 * SECOND);
        assert_eq!(sent.iter().map(|sent| sent.gateway).collect::<Vec<_>>(), [0, 2]);
        assert!(sent[0].phy == sent[1].phy && sent[1].at_us > end_us(&sent[0]));
        assert_eq!(member.read(&sent[0].phy, fcnt), Some((0, vec![], Some(85), vec![8, 1])));
        assert!(
            matches!(sent[0].kind, Kind::Multicast { dev_addr: GROUP, fcnt: found, .. } if found == fcnt)
        );
    }
    assert_eq!(server.group(GROUP).map(|group| group.fcnt_down), Some(3));
    assert_eq!(server.group(other.dev_addr), Some(&other), "a counter of its own");
}

#[test]
fn wrong_use_of_groups_is_an_error_and_counts_nothing() {
    let mut server = abp_server(Config::default());
    let group = MulticastGroup { dev_addr: GROUP, keys: KEYS, fcnt_down: 5 };
    server.add_group(group.clone()).expect("new");
    assert_eq!(server.add_group(group.clone()), Err(Error::GroupExists(GROUP)));
    let unicast = MulticastGroup { dev_addr: DEV_ADDR, ..group };
    assert_eq!(server.add_group(unicast), Err(Error::GroupExists(DEV_ADDR)));
    assert_eq!(server.send_to_group(0, 1, 85, &[1]), Err(Error::UnknownGroup(1)));
    assert_eq!(server.send_to_group(0, GROUP, 0, &[1]), Err(Error::Port(0)));
    assert_eq!(server.send_to_group(0, GROUP, 85, &[0; 52]), Err(Error::PayloadTooLong { max: 51 }), "DR0");
    assert_eq!((server.group(GROUP).map(|group| group.fcnt_down), server.next_due_us()), (Some(5), None));
}

/// An uplink with the ADR bit, each at its time; what is answered within three seconds.
fn adr_uplink(
    server: &mut NetworkServer,
    device: &mut Device,
    meta: UplinkMeta,
    f_opts: &[&[u8]],
) -> Vec<Transmission> {
    let now_us = u64::from(device.fcnt) * 10 * SECOND + 60 * SECOND;
    let phy = device.uplink(Some(85), &[1], With { fctrl: 0x80, f_opts, ..With::default() });
    assert!(is_data(&server.on_uplink(now_us, &phy, meta)));
    server.take_due(now_us + 3 * SECOND)
}

#[test]
fn adr_brings_a_near_device_to_the_fastest_rate_and_less_power() {
    let (mut server, mut device) = joined(Config { adr: Some(Adr::default()), ..Config::default() });
    let slow = UplinkMeta { sf: 12, snr_db: 10, ..META };
    // The uplink of the join counts as the first.
    for uplink in 2..20 {
        assert_eq!(adr_uplink(&mut server, &mut device, slow, &[]), [], "uplink {uplink}");
    }
    // 10 dB is 30 above SF12's floor; less 10 in hand that makes six steps: DR5, and one of power.
    let asked = adr_uplink(&mut server, &mut device, slow, &[]);
    assert_eq!(device.read(&asked[0].phy, 0).map(|read| read.1), Some(vec![0x03, 0x51, 7, 0, 1]));
    assert_eq!(adr_uplink(&mut server, &mut device, at_snr(0), &[&[0x03, 7]]), []);
    let session = server.session(DEV_EUI).expect("joined");
    assert_eq!((session.data_rate, session.tx_power, session.nb_trans), (5, 1, 1));
    // It has moved behind a wall: 0 dB is 2.5 dB short, not a whole step; -5 dB is two.
    for _ in 0..19 {
        assert_eq!(adr_uplink(&mut server, &mut device, at_snr(0), &[]), []);
    }
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked = adr_uplink(&mut server, &mut device, at_snr(-5), &[]);
        if !asked.is_empty() {
            break;
        }
    }
    let f_opts = asked.first().and_then(|asked| device.read(&asked.phy, 1)).map(|read| read.1);
    assert_eq!(f_opts, Some(vec![0x03, 0x50, 7, 0, 1]), "full power again");
}

#[test]
fn adr_asks_nothing_of_a_device_that_sets_its_own_rate() {
    let (mut server, mut device) = joined(Config { adr: Some(Adr::default()), ..Config::default() });
    for n in 0..40u64 {
        let phy = device.uplink(Some(85), &[1], With::default());
        server.on_uplink((60 + 10 * n) * SECOND, &phy, UplinkMeta { sf: 12, snr_db: 10, ..META });
        assert_eq!(server.take_due((63 + 10 * n) * SECOND), []);
    }
}

#[test]
fn adr_goes_no_further_than_a_device_can() {
    let adr = Adr { history: 1, ..Adr::default() };
    let (mut server, mut device) = joined(Config { adr: Some(adr), ..Config::default() });
    let asked = adr_uplink(&mut server, &mut device, at_snr(20), &[]);
    // 17.5 dB in hand at SF7: five steps of power.
    assert_eq!(device.read(&asked[0].phy, 0).map(|read| read.1), Some(vec![0x03, 0x55, 7, 0, 1]));
    let asked = adr_uplink(&mut server, &mut device, at_snr(20), &[&[0x03, 3]]);
    assert_eq!(device.read(&asked[0].phy, 1).map(|read| read.1), Some(vec![0x03, 0x54, 7, 0, 1]));
    assert_eq!(adr_uplink(&mut server, &mut device, at_snr(2), &[&[0x03, 7]]), []);
    assert_eq!(server.session(DEV_EUI).map(|session| session.tx_power), Some(4));
}

#[test]
fn adr_goes_by_the_best_of_the_gateways() {
    let adr = Adr { history: 1, ..Adr::default() };
    let (mut server, mut device) = joined(Config { adr: Some(adr), ..Config::default() });
    server.add_gateway();
    let phy = device.uplink(Some(85), &[1], With { fctrl: 0x80, ..With::default() });
    server.on_uplink_by(0, 60 * SECOND, &phy, at_snr(-5));
    server.on_uplink_by(1, 60 * SECOND + 100_000, &phy, at_snr(20));
    let asked = one(&mut server, 63 * SECOND);
    assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(vec![0x03, 0x55, 7, 0, 1]));
}

#[test]
fn a_new_session_begins_without_the_requests_and_refusals_of_the_old() {
    let config = Config { enabled_channels: vec![0, 1], ..Config::default() };
    let (mut server, mut device) = joined(config);
    let told = |server: &mut NetworkServer, at_s: u64| server.take_due((at_s + 3) * SECOND).len();
    // Refused three times: left alone.
    for (round, expected) in [(0, 1), (1, 1), (2, 0), (3, 0)] {
        let phy = device.uplink(None, &[], With { f_opts: &[&[0x03, 6]], ..With::default() });
        server.on_uplink((60 + 10 * round) * SECOND, &phy, META);
        assert_eq!(told(&mut server, 60 + 10 * round), expected, "round {round}");
    }
    let rejoin = |server: &mut NetworkServer, device: &mut Device, at_s: u64| {
        device.nonce += 1;
        server.on_uplink(at_s * SECOND, &device.join_request(JOIN_EUI, DEV_EUI, APP_KEY), META);
        assert!(device.take_join_accept(&one(server, (at_s + 5) * SECOND).phy));
    };
    rejoin(&mut server, &mut device, 200);
    // Asked anew, at DR5; the answer and a next try are lost with the gateway's power.
    server.on_uplink(210 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    assert_eq!(told(&mut server, 210), 1);
    server.on_uplink(220 * SECOND, &device.uplink(Some(85), &[1], With::default()), META);
    server.set_gateway(220 * SECOND, false);
    server.set_gateway(221 * SECOND, true);
    rejoin(&mut server, &mut device, 230);
    let slow = UplinkMeta { sf: 12, ..META };
    server.on_uplink(240 * SECOND, &device.uplink(Some(85), &[1], With::default()), slow);
    let asked = one(&mut server, 243 * SECOND);
    let expected = vec![0x03, 0x00, 3, 0, 1];
    assert_eq!(device.read(&asked.phy, 0).map(|read| read.1), Some(expected), "DR0, not DR5");
}

#[derive(Clone, Debug)]
enum Deed {
    Say(bool),
    Group,
    Hear(u8, bool),
    Switch(usize, bool),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        any::<bool>().prop_map(Deed::Say),
        Just(Deed::Group),
        (1..8u8, any::<bool>()).prop_map(|(by, confirmed)| Deed::Hear(by, confirmed)),
        (0..3usize, any::<bool>()).prop_map(|(gateway, on)| Deed::Switch(gateway, on)),
        (0..5_000_000u64).prop_map(Deed::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_gateway_speaks_twice_at_once_or_while_it_is_off(
        deeds in proptest::collection::vec(deed(), 1..60), late_permille in 0..500u16, lost_permille in 0..500u16,
    ) {
        let (mut server, mut device) = three();
        server.add_group(MulticastGroup { dev_addr: GROUP, keys: KEYS, fcnt_down: 0 }).expect("new");
        server.set_faults(Faults {
            uplinks_lost_permille: lost_permille,
            downlinks_lost_permille: lost_permille,
            downlinks_late_permille: late_permille,
            late_by_us: 700_000,
        });
        let mut now_us = 60 * SECOND;
        let (mut free_us, mut on) = ([0; 3], [true; 3]);
        for deed in deeds {
            match deed {
                Deed::Say(confirmed) => {
                    server.enqueue(now_us, DEV_EUI, Downlink { confirmed, ..say(&[1; 9]) }).expect("known");
                }
                Deed::Group => server.send_to_group(now_us, GROUP, 85, &[1]).expect("known"),
                Deed::Hear(by, confirmed) => {
                    let phy = device.uplink(Some(1), &[1], With { confirmed, ..With::default() });
                    let heard = (0..3).filter(|gateway| by >> gateway & 1 == 1).map(|gateway| {
                        server.on_uplink_by(gateway, now_us, &phy, META).len()
                    });
                    prop_assert!(heard.sum::<usize>() <= 1, "one uplink is told once");
                }
                Deed::Switch(gateway, is_on) => {
                    server.set_one_gateway(now_us, gateway, is_on);
                    on[gateway] = is_on;
                }
                Deed::Wait(wait_us) => now_us += wait_us,
            }
            let mut last_us = 0;
            for sent in server.take_due(now_us) {
                prop_assert!(sent.at_us >= free_us[sent.gateway] && sent.at_us <= now_us);
                prop_assert!(on[sent.gateway] && sent.at_us >= last_us);
                (free_us[sent.gateway], last_us) = (end_us(&sent), sent.at_us);
            }
            prop_assert!(server.next_due_us().is_none_or(|due_us| due_us > now_us));
        }
    }
}
