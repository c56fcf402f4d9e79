//! MAC-CERT-04: what certification commonly trips over. The rows of each rule have more.

use lrwn::MACCommand;
use sockeye_lorawan_mac::{Action, Config, Window};

use crate::bench::{Accept, Bench, abp, otaa};

/// Commands as they are on air.
fn raw(bytes: &[u8]) -> Vec<MACCommand> {
    vec![MACCommand::Raw(bytes.to_vec())]
}

#[test]
fn mac_cert_04_windows_come_in_time_15_s_after_a_frame_at_sf12() {
    let mut bench = Bench::new(Config { class_c: false, ..abp() });
    bench.exchange(&bench.keys.commands(0, raw(&[0x08, 15])).clone());
    bench.finish();
    let sent = bench.uplink(&[7; 50], false);
    assert_eq!(sent.rf.data_rate, 0);
    bench.until(Window::Rx1);
    // A lead of 15 ms.
    assert_eq!(bench.now_ms, sent.end_ms + 15_000 - 15);
    bench.mac.window_closed(bench.now_ms + 30, Window::Rx1);
    bench.until(Window::Rx2);
    assert_eq!(bench.now_ms, sent.end_ms + 16_000 - 15);
}

#[test]
fn mac_cert_04_a_frame_goes_out_15_times_where_nb_trans_says_so() {
    let mut bench = Bench::joined(otaa(), &Accept::default());
    // DR5, full power, channels 0 to 2, NbTrans 15.
    bench.exchange(&bench.keys.commands(0, raw(&[0x03, 0x50, 0x07, 0x00, 0x0f])).clone());
    bench.finish();
    let first = bench.uplink(b"again", false);
    for n in 2..=15 {
        assert_eq!(bench.transmit().phy, first.phy, "transmission {n}");
    }
    bench.finish();
    assert!(bench.mac.can_send());
    assert_ne!(bench.uplink(b"again", false).phy, first.phy, "no sixteenth");
}

#[test]
fn mac_cert_04_the_low_half_of_fcnt_down_rolls_over_and_a_wrong_upper_half_is_dropped() {
    let mut bench = Bench::abp();
    bench.settle();
    let mut delivered = Vec::new();
    for (fcnt, taken) in [
        (0xfffe, true),
        (0xffff, true),
        // The low half comes again under an upper half that is over, and one that is not there yet.
        (0x0000, false),
        (0x0002_0000, false),
        (0x0001_0000, true),
        (0x0001_0001, true),
        (0xffff, false),
    ] {
        bench.rxc(&bench.keys.data(fcnt, 85, &fcnt.to_le_bytes()).clone());
        if taken {
            delivered.push((85, fcnt.to_le_bytes().to_vec()));
        }
        assert_eq!(bench.delivered(), delivered, "{fcnt:#x}");
    }
}

#[test]
fn mac_cert_04_commands_before_an_unknown_one_are_answered_and_those_after_it_are_not() {
    let mut bench = Bench::abp();
    // DutyCycleReq, DevStatusReq, an unknown one, and DutyCycleReq once more.
    bench.exchange(&bench.keys.commands(0, raw(&[0x04, 0x00, 0x06, 0x7f, 0x04, 0x00])).clone());
    let sent = bench.uplink(&[1], false);
    let fopts = bench.keys.hear(&sent.phy, 0).fopts;
    assert_eq!((fopts.len(), fopts[0], &fopts[1..3]), (4, 0x04, &[0x06, 0x00][..]));
}

#[test]
fn mac_cert_04_fifteen_bytes_of_fopts_and_the_longest_payload_fit_one_downlink() {
    let mut bench = Bench::abp_class_a();
    // DR0 of EU868: 59 bytes, 22 of them header and FOpts, and one the port. Five times DevStatusReq and padding.
    let fopts = raw(&[0x06, 0x06, 0x06, 0x06, 0x06, 0x04, 0, 0x04, 0, 0x04, 0, 0x04, 0, 0x04, 0]);
    let payload = [9; 59 - 7 - 15 - 1];
    let sent = bench.uplink(&[1], false);
    bench.until(Window::Rx1);
    let down = crate::bench::Down { fopts, ..bench.keys.data(0, 85, &payload) };
    bench.hear_phy(Window::Rx1, &bench.keys.phy(&down));
    bench.settle();
    assert_eq!(sent.rf.data_rate, 0);
    assert_eq!(bench.delivered(), [(85, payload.to_vec())]);
    // 20 bytes of answers: on port 0, in a frame of their own.
    let answers = bench.transmit();
    assert_eq!(bench.keys.hear(&answers.phy, 0).payload.len(), 20);
}

#[test]
fn mac_mc_06_a_request_to_listen_elsewhere_for_a_group_moves_nothing() {
    let mut bench = Bench::abp();
    let Action::Listen { window: Window::Rxc, rf, .. } = bench.settle() else { panic!("no RXC") };
    // McClassCSessionReq (TS005 section 4.5, port 200): group 0, time, 868.1 MHz, DR5.
    let request = [0x04, 0x00, 0, 0, 0, 0, 0x0f, 0x28, 0x76, 0x84, 0x05];
    bench.rxc(&bench.keys.data(0, 200, &request).clone());
    assert_eq!(bench.delivered(), [(200, request.to_vec())]);
    assert_eq!(bench.settle(), Action::Listen { window: Window::Rxc, rf, at_ms: None, until_ms: None });
}
