//! MAC commands of the network server, carried out on the air (MAC-CMD).

use sockeye_lorawan_mac::Event;
use sockeye_network_server::{Config, MacRequest, MacUp};

use crate::rig::{DEV_EUI, Rig};

fn answers(rig: &Rig) -> Vec<MacUp> {
    rig.with_server(|_, server| server.mac_answers(DEV_EUI).to_vec())
}

fn request(rig: &Rig, request: MacRequest) {
    rig.with_server(|_, server| server.request(DEV_EUI, request)).unwrap();
}

#[test]
fn windows_and_rxc_follow_the_networks_commands_and_the_answers_stick() {
    let rig = Rig::joined(Config::default(), 1000);
    request(&rig, MacRequest::RxParamSetup { rx1_dr_offset: 2, rx2_dr: 3, freq_hz: 869_525_000 });
    request(&rig, MacRequest::RxTimingSetup { delay_s: 3 });
    rig.uplink(&[1], false);
    rig.run_ms(10_000);
    // RXC has moved, so the device has answered by itself.
    let param =
        MacUp::RxParamSetupAns { channel_ack: true, rx2_data_rate_ack: true, rx1_dr_offset_ack: true };
    let both = [param, MacUp::RxTimingSetupAns];
    assert_eq!(answers(&rig), both);
    // RXC at SF9.
    rig.downlink(b"at SF9");
    rig.run_ms(5_000);
    assert_eq!(rig.delivered(), [b"at SF9"]);
    // Nothing heard in RX1 or RX2: both are repeated.
    rig.uplink(&[2], false);
    rig.run_ms(10_000);
    assert_eq!(answers(&rig), [both.clone(), both.clone()].concat());
    // RX1 after 3 s, two data rates below the uplink.
    rig.uplink(&[3], true);
    let end_us = rig.uplink_end_us();
    rig.run_ms(10_000);
    let sent = rig.with_server(|_, server| server.sent_frames().last().cloned()).unwrap();
    assert_eq!((sent.at_us - end_us, sent.sf), (3_000_000, 9));
    let log = rig.log.borrow();
    assert!(matches!(log.events.last(), Some((_, Event::UplinkDone { acked: Some(true), .. }))));
    drop(log);
    assert_eq!(answers(&rig).len(), 6);
    // Heard: no more answers.
    rig.uplink(&[4], false);
    rig.run_ms(10_000);
    assert_eq!(answers(&rig).len(), 6);
    // The radio was never in trouble.
    let trouble = rig.log.borrow().events.iter().any(|(_, event)| matches!(event, Event::Error(_)));
    assert!(!trouble);
}

#[test]
fn link_adr_sets_rate_and_repeats_and_a_refused_one_sets_nothing() {
    let rig = Rig::joined(Config::default(), 1000);
    let adr = |data_rate, channel_mask, nb_trans| MacRequest::LinkAdr {
        data_rate,
        tx_power: 1,
        channel_mask,
        ch_mask_cntl: 0,
        nb_trans,
    };
    request(&rig, adr(4, 7, 2));
    rig.uplink(&[1], false);
    rig.run_ms(10_000);
    let before = rig.log.borrow().uplinks.len();
    rig.uplink(&[2], false);
    rig.run_ms(20_000);
    // NbTrans 2: the same frame again, since nothing was heard.
    let frames: Vec<_> = rig.log.borrow().uplinks[before..].iter().map(|(_, phy)| phy.clone()).collect();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0], frames[1]);
    let good = MacUp::LinkAdrAns { channel_mask_ack: true, data_rate_ack: true, power_ack: true };
    assert_eq!(answers(&rig), std::slice::from_ref(&good));
    // A mask without any channel.
    request(&rig, adr(0, 0, 1));
    rig.uplink(&[3], false);
    rig.run_ms(20_000);
    let before = rig.log.borrow().uplinks.len();
    rig.uplink(&[4], false);
    rig.run_ms(20_000);
    let bad = MacUp::LinkAdrAns { channel_mask_ack: false, data_rate_ack: true, power_ack: true };
    assert_eq!(answers(&rig), [good, bad]);
    assert_eq!(rig.log.borrow().uplinks.len() - before, 2, "NbTrans is still 2");
    rig.check_counters();
}
