//! MAC-CERT, and what else the feature changes: `cargo test -p sockeye-lorawan-mac --features certification cert`.

use sockeye_lorawan_mac::{Action, CertificationRequest, Config, Event, MulticastGroup, Region, Window};

use crate::bench::{Accept, Bench, Heard, Keys, otaa};

fn bench() -> Bench {
    Bench::joined(Config { firmware_version: [1, 2, 3, 4], ..otaa() }, &Accept::default())
}

/// Sends a payload to port 224 in RX1, and gives the next uplink.
fn ask(bench: &mut Bench, fcnt: u32, payload: &[u8]) -> Heard {
    bench.exchange(&bench.keys.data(fcnt, 224, payload).clone());
    let heard = bench.heard();
    bench.finish();
    heard
}

/// Sends a payload to port 224 in RXC.
fn tell(bench: &mut Bench, fcnt: u32, payload: &[u8]) {
    bench.rxc(&bench.keys.data(fcnt, 224, payload).clone());
}

fn requests(bench: &Bench) -> Vec<CertificationRequest> {
    let requests = bench.events.iter().filter_map(|event| match event {
        Event::Certification(request) => Some(*request),
        _ => None,
    });
    requests.collect()
}

#[test]
fn mac_cert_01_the_package_tells_its_version_and_can_be_disabled_for_good() {
    let mut bench = bench();
    let heard = ask(&mut bench, 0, &[0x00]);
    assert_eq!((heard.port, heard.payload.as_slice()), (Some(224), &[0x00, 6, 1][..]));
    tell(&mut bench, 1, &[0x7e]);
    assert_eq!(requests(&bench), [CertificationRequest::Disable]);
    tell(&mut bench, 2, &[0x00]);
    assert!(matches!(bench.settle(), Action::Listen { window: Window::Rxc, until_ms: None, .. }));
    assert_eq!(bench.delivered(), [], "port 224 is never the application's");
}

#[test]
fn mac_cert_02_questions_have_their_answers() {
    let check = |question: &[u8], answer: &[u8]| {
        let heard = ask(&mut bench(), 0, question);
        assert_eq!((heard.port, heard.payload.as_slice()), (Some(224), answer), "{question:02x?}");
    };
    check(&[0x7f], &[0x7f, 1, 2, 3, 4, 1, 0, 3, 0, 1, 0, 3, 0]);
    check(&[0x08, 1, 2, 0xff], &[0x08, 2, 3, 0]);
    check(&[0x09], &[0x09, 1, 0]);
    check(&[0x0a, 0x09], &[0x09, 0, 0]);
    check(&[0x00, 0x7f, 0x08, 7], &[0x00, 6, 1, 0x7f, 1, 2, 3, 4, 1, 0, 3, 0, 1, 0, 3, 0, 0x08, 8]);
    // What is unknown ends the walk.
    check(&[0x00, 0x40, 0x00], &[0x00, 6, 1]);
}

#[test]
fn mac_cert_02_an_echo_is_cut_to_what_fits_now() {
    // 11 bytes in 400 ms at DR2, while a downlink may be longer.
    let config = Config { adr: false, data_rate: 2, ..Config::new(Region::As923_1, otaa().activation) };
    let mut bench = Bench::joined(config, &Accept { rx2_dr: 2, ..Accept::default() });
    let heard = ask(&mut bench, 0, &[&[0x08][..], &[9; 60]].concat());
    assert_eq!(heard.payload, [&[0x08][..], &[10; 10]].concat());
}

#[test]
fn mac_cert_02_test_uplinks_go_out_at_the_set_period_and_of_the_set_kind() {
    let mut bench = bench();
    tell(&mut bench, 0, &[0x05, 0, 0x07, 2, 0x06, 1]);
    let mut starts = Vec::new();
    for _ in 0..6 {
        let sent = bench.transmit();
        let heard = bench.keys.hear(&sent.phy, 0);
        assert!(heard.confirmed);
        bench.until(Window::Rx1);
        let ack = sockeye_ack(&bench, starts.len() as u32 + 1);
        bench.hear_phy(Window::Rx1, &ack);
        starts.push(sent.start_ms);
    }
    let gaps: Vec<u64> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps, [5000; 5]);
    // As the application does: none.
    let fcnt = starts.len() as u32 + 1;
    tell(&mut bench, fcnt, &[0x06, 0]);
    bench.finish();
    let rest = loop {
        match bench.settle() {
            Action::Listen { window: Window::Rxc, until_ms: None, .. } => break true,
            action => assert!(bench.carry_out(action).is_none()),
        }
    };
    assert!(rest);
}

/// An ACK of the network.
fn sockeye_ack(bench: &Bench, fcnt: u32) -> Vec<u8> {
    bench.keys.phy(&crate::bench::Down { ack: true, ..bench.keys.down(fcnt) })
}

#[test]
fn mac_cert_02_class_adr_link_check_and_time_follow_the_tester() {
    let mut bench = bench();
    assert!(bench.uplink(&[1], false).phy[5] & 0x80 != 0);
    bench.finish();
    let heard = ask(&mut bench, 0, &[0x04, 0, 0x20, 0x21]);
    assert!(!heard.ctrl.adr);
    assert_eq!(heard.fopts, [0x02, 0x0d]);
    tell(&mut bench, 1, &[0x03, 0]);
    assert!(matches!(bench.settle(), Action::Idle { .. }), "Class A");
    let _ = ask(&mut bench, 2, &[0x03, 2, 0x00]);
    assert!(matches!(bench.settle(), Action::Listen { window: Window::Rxc, .. }), "Class C");
}

#[test]
fn mac_cert_02_a_join_drops_the_session() {
    let mut bench = bench();
    bench.hear_phy(Window::Rxc, &bench.keys.phy(&bench.keys.data(0, 224, &[0x02])).clone());
    let sent = bench.transmit();
    assert_eq!(sent.phy.len(), 23);
    assert!(!bench.mac.is_joined());
    bench.power_cycle();
    assert!(!bench.mac.is_joined());
}

#[test]
fn mac_cert_02_what_is_not_the_macs_is_asked_of_the_application() {
    let mut bench = bench();
    tell(&mut bench, 0, &[0x7d, 10, 0, 0x28, 0x76, 0x84, 14, 0x01]);
    let carrier =
        CertificationRequest::ContinuousWave { timeout_s: 10, frequency_hz: 868_100_000, power_dbm: 14 };
    assert_eq!(requests(&bench), [carrier, CertificationRequest::Reset]);
}

#[test]
fn mac_cert_03_every_downlink_to_a_port_above_0_counts_once_its_mic_is_right() {
    let group = Keys { dev_addr: 0x1111_1111, nwk: [0x31; 16], app: [0x32; 16] };
    let member = MulticastGroup {
        dev_addr: group.dev_addr,
        nwk_skey: sockeye_lorawan_mac::Key(group.nwk),
        app_skey: sockeye_lorawan_mac::Key(group.app),
        min_fcnt: 0,
        max_fcnt: u32::MAX,
    };
    let mut bench =
        Bench::joined(Config { multicast: [Some(member), None, None, None], ..otaa() }, &Accept::default());
    let own = bench.keys;
    bench.rxc(&own.data(0, 85, &[1]));
    bench.hear_phy(Window::Rxc, &group.phy(&group.data(0, 85, &[1])));
    bench.settle();
    bench.exchange(&own.data(1, 10, &[1]));
    bench.rxc(&own.down(2));
    bench.rxc(&crate::bench::Down { nwk_skey: [9; 16], ..own.data(3, 85, &[1]) });
    bench.rxc(&own.data(1, 85, &[1]));
    let heard = ask(&mut bench, 3, &[0x09]);
    assert_eq!(heard.payload, [0x09, 4, 0], "three, and the question");
}

#[test]
fn mac_join_10_a_join_uses_every_channel_whatever_is_set() {
    let one = Config { channel_mask: Some([1, 0, 0]), ..Config::new(Region::Us915, otaa().activation) };
    let mut bench = Bench::new(one);
    bench.mac.join(0);
    let channels: std::collections::BTreeSet<u32> =
        (0..18).map(|_| bench.transmit().rf.frequency_hz).collect();
    assert_eq!(channels.len(), 18);
    let one =
        Config { channels_hz: Some(std::array::from_fn(|n| u32::from(n == 0) * 868_100_000)), ..otaa() };
    let mut bench = Bench::new(one);
    bench.mac.join(0);
    let channels: std::collections::BTreeSet<u32> =
        (0..9).map(|_| bench.transmit().rf.frequency_hz).collect();
    assert_eq!(channels.len(), 3);
}
