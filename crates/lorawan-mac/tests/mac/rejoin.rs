//! MAC-REJOIN-01, and the rows whose rule is that nothing happens.

use sockeye_lorawan_mac::{Action, Config, Event, Rejoin, Window};

use crate::bench::{Accept, Bench, abp, nonce, otaa};

const HALF_AN_HOUR: Rejoin = Rejoin { interval_s: 1800, packets: 3 };

fn watched() -> Bench {
    Bench::joined(Config { rejoin: Some(HALF_AN_HOUR), ..otaa() }, &Accept::default())
}

fn is_check(bench: &Bench, phy: &[u8]) -> bool {
    phy[0] != 0 && bench.keys.hear(phy, 0).fopts == [0x02]
}

#[test]
fn mac_rejoin_01_a_silent_network_is_asked_so_often_and_then_joined_anew() {
    let mut bench = watched();
    let joined_ms = bench.now_ms;
    let mut ends_ms = Vec::new();
    for n in 0..3 {
        let sent = bench.transmit();
        assert!(is_check(&bench, &sent.phy), "check {n}");
        assert_eq!(bench.keys.hear(&sent.phy, 0).port, None, "the smallest frame");
        if n == 0 {
            assert!((1_800_000..1_800_100).contains(&(sent.start_ms - joined_ms)));
        } else {
            let gap_ms = sent.start_ms - ends_ms[n - 1];
            assert!((10_000..37_000).contains(&gap_ms), "{gap_ms}");
        }
        ends_ms.push(sent.end_ms);
    }
    let request = bench.transmit();
    assert_eq!((request.phy[0], request.phy.len()), (0, 23), "a join request");
    // The old session goes on until a join-accept comes.
    assert!(bench.mac.is_joined());
    bench.until(Window::Rx1);
    bench.mac.window_closed(bench.now_ms, Window::Rx1);
    bench.until(Window::Rx2);
    bench.mac.window_closed(bench.now_ms, Window::Rx2);
    bench.settle();
    bench.rxc(&bench.keys.data(0, 85, &[7]).clone());
    assert_eq!(bench.delivered(), [(85, vec![7])]);
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).payload, [1]);
    bench.finish();
    let request = bench.transmit();
    let second = Accept { join_nonce: 78, ..Accept::default() };
    bench.until(Window::Rx1);
    bench.hear_phy(Window::Rx1, &second.phy(nonce(&request.phy)));
    bench.settle();
    bench.keys = second.keys(nonce(&request.phy));
    assert!(!bench.mac.is_joining());
    let joined_ms = bench.now_ms;
    let sent = bench.transmit();
    assert!(is_check(&bench, &sent.phy) && sent.start_ms - joined_ms >= 1_800_000);
}

#[test]
fn mac_rejoin_01_a_changed_interval_takes_effect_at_once() {
    let mut bench = Bench::joined(
        Config { rejoin: Some(Rejoin { interval_s: 86_400, packets: 3 }), ..otaa() },
        &Accept::default(),
    );
    bench.settle();
    bench.now_ms = 5_000_000;
    bench.mac.set_check_interval(3600);
    let sent = bench.transmit();
    assert!(is_check(&bench, &sent.phy));
    assert!((8_600_000..8_600_100).contains(&sent.start_ms), "{}", sent.start_ms);
    // A row of unanswered checks goes on at its own pace, and the same interval again changes nothing.
    bench.finish();
    bench.mac.set_check_interval(7200);
    bench.mac.set_check_interval(7200);
    let again = bench.transmit();
    assert!(is_check(&bench, &again.phy) && again.start_ms - sent.end_ms < 37_000);
    // Where there is no rejoin mode there is none.
    let mut bench = Bench::joined(otaa(), &Accept::default());
    bench.mac.set_check_interval(3600);
    assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
}

#[test]
fn mac_rejoin_01_an_answer_ends_the_row_of_checks() {
    let mut bench = watched();
    let answer = vec![lrwn::MACCommand::Raw(vec![0x02, 20, 1])];
    let mut last_ms = 0;
    for fcnt in 0..4 {
        // One goes unanswered, the next one is.
        let sent = bench.transmit();
        assert!(is_check(&bench, &sent.phy) && sent.start_ms - last_ms >= 1_800_000);
        let sent = bench.transmit();
        assert!(is_check(&bench, &sent.phy));
        bench.until(Window::Rx1);
        bench.hear_phy(Window::Rx1, &bench.keys.phy(&bench.keys.commands(fcnt, answer.clone())).clone());
        bench.settle();
        last_ms = bench.now_ms;
    }
    assert!(!bench.mac.is_joining());
    let told = bench.events.iter().filter(|event| matches!(event, Event::LinkCheckAnswer { .. }));
    assert_eq!(told.count(), 4);
}

#[test]
fn mac_rejoin_01_only_otaa_devices_check_and_none_without_the_setting() {
    for config in [Config { rejoin: Some(HALF_AN_HOUR), ..abp() }, abp()] {
        let mut bench = Bench::new(config);
        assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
    }
    let mut bench = Bench::joined(otaa(), &Accept::default());
    assert!(matches!(bench.settle(), Action::Listen { until_ms: None, .. }));
}

#[test]
fn mac_fcnt_07_a_downlink_longer_than_its_data_rate_allows_is_dropped() {
    // RXC at DR3: M = 123, so 115 bytes of payload.
    let mut bench = Bench::joined(otaa(), &Accept::default());
    bench.rxc(&bench.keys.data(0, 85, &[1; 116]).clone());
    assert_eq!(bench.delivered(), []);
    bench.rxc(&bench.keys.data(0, 85, &[1; 115]).clone());
    assert_eq!(bench.delivered().len(), 1, "and its counter was not used");
}

#[test]
fn mac_adr_02_the_count_rises_with_new_frames_and_falls_with_a_class_a_downlink() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let asks = |bench: &mut Bench| {
        let sent = bench.uplink(&[1], false);
        let heard = bench.keys.hear(&sent.phy, 0);
        bench.finish();
        heard.ctrl.adr_ack_req
    };
    for fcnt in 0..2 {
        // After the first downlink, the uplink that it answered counts no more.
        for n in 0..64 {
            assert!(!asks(&mut bench), "frame {n}");
        }
        assert!(asks(&mut bench));
        bench.exchange(&bench.keys.down(fcnt).clone());
    }
}

#[test]
fn mac_adr_04_a_downlink_in_rxc_does_not_reset_the_count() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    for fcnt in 0..64 {
        bench.uplink(&[1], false);
        bench.finish();
        bench.rxc(&bench.keys.data(fcnt, 85, &[1]).clone());
    }
    let sent = bench.uplink(&[1], false);
    assert!(bench.keys.hear(&sent.phy, 0).ctrl.adr_ack_req);
}

#[test]
fn mac_clb_01_commands_of_class_b_are_skipped_without_an_answer() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    let commands = [0x10, 0x11, 1, 2, 3, 4, 0x12, 1, 2, 3, 0x13, 1, 2, 3, 0x06];
    bench.exchange(&bench.keys.commands(0, vec![lrwn::MACCommand::Raw(commands.to_vec())]).clone());
    let sent = bench.uplink(&[1], false);
    assert_eq!(bench.keys.hear(&sent.phy, 0).fopts, [0x06, 0, 7]);
}
