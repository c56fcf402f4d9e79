//! Laws over random frames and random commands under a right MIC.

use proptest::prelude::*;
use sockeye_lorawan_mac::{Action, Config, Region, Restored, Rx2, Window};

use crate::bench::{Accept, Bench, Down, abp, otaa};

/// Whatever came before, the device still sends a frame that the network can read, and hears one.
fn still_works(bench: &mut Bench) {
    for _ in 0..400 {
        let action = bench.settle();
        if bench.mac.can_send() {
            break;
        }
        bench.carry_out(action);
    }
    bench.events.clear();
    let sent = bench.uplink(b"alive", false);
    let heard = bench.keys.hear(&sent.phy, 0);
    assert_eq!(heard.payload, b"alive");
    assert!(heard.fopts.len() <= 15);
}

/// Lets the radio do one thing, if there is one.
fn step(bench: &mut Bench) {
    match bench.settle() {
        Action::Listen { until_ms: None, .. } | Action::Idle { until_ms: None } => {}
        action => {
            bench.carry_out(action);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn no_random_frame_has_any_effect(
        frames in prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..300)), 1..8),
        joined in any::<bool>(),
    ) {
        let mut bench = if joined { Bench::abp() } else { Bench::new(otaa()) };
        if joined {
            bench.uplink(&[1], true);
        } else {
            bench.mac.join(0);
            bench.transmit();
        }
        bench.stores.clear();
        for (window, mut frame) in frames {
            let window = [Window::Rx1, Window::Rx2, Window::Rxc][usize::from(window)];
            // Half of them with a likely beginning.
            if let [first, a, b, c, d, ..] = frame.as_mut_slice() && *first & 1 == 0 {
                *first = [0x20, 0x60, 0xa0, 0x40][usize::from(*first >> 1) % 4];
                [*a, *b, *c, *d] = bench.keys.dev_addr.to_le_bytes();
            }
            step(&mut bench);
            bench.hear_phy(window, &frame);
        }
        step(&mut bench);
        prop_assert_eq!(bench.delivered(), []);
        prop_assert_eq!(bench.mac.is_joined(), joined);
        // A join goes on with its own counter; nothing else is touched.
        prop_assert!(!bench.stores.contains(&sockeye_lorawan_mac::Record::Session));
        if joined {
            prop_assert_eq!(bench.stores.len(), 0);
            still_works(&mut bench);
            bench.rxc(&bench.keys.data(0, 85, &[1]).clone());
            prop_assert_eq!(bench.delivered().len(), 1);
        }
    }

    #[test]
    fn no_row_of_commands_under_a_right_mic_breaks_the_device(
        rows in prop::collection::vec((prop::collection::vec(any_command(), 0..60), any::<bool>()), 1..6),
    ) {
        let mut bench = Bench::joined(otaa(), &Accept::default());
        for (fcnt, (row, on_port_0)) in (0u32..).zip(rows) {
            let mut bytes: Vec<u8> = row.concat();
            bytes.truncate(if on_port_0 { 50 } else { 15 });
            let down = if on_port_0 {
                Down { port: Some(0), payload: bytes, ..bench.keys.down(fcnt) }
            } else {
                Down { fopts: vec![lrwn::MACCommand::Raw(bytes)], ..bench.keys.down(fcnt) }
            };
            still_works(&mut bench);
            for _ in 0..3 {
                if matches!(bench.settle(), Action::Listen { window: Window::Rx1, .. }) {
                    break;
                }
                bench.pass();
            }
            bench.hear_phy(Window::Rx1, &bench.keys.phy(&down));
        }
        still_works(&mut bench);
        // What was stored is read back as it was.
        let session = bench.flash.session.clone();
        bench.finish();
        bench.power_cycle();
        prop_assert!(bench.mac.is_joined());
        prop_assert_eq!(bench.mac.record(sockeye_lorawan_mac::Record::Session).to_vec(), session.unwrap());
    }

    #[test]
    fn no_setting_however_wrong_panics_or_is_sent_with(
        region in prop::sample::select(Region::ALL.to_vec()),
        adr in any::<bool>(),
        data_rate in any::<u8>(),
        tx_power_dbm in any::<i8>(),
        confirmed_tries in any::<u8>(),
        channels_hz in prop::option::of(any::<[u32; 16]>()),
        channel_mask in prop::option::of(any::<[u32; 3]>()),
        rx2 in prop::option::of((any::<u32>(), any::<u8>())),
        confirmed in any::<bool>(),
    ) {
        let rx2 = rx2.map(|(frequency_hz, data_rate)| Rx2 { frequency_hz, data_rate });
        let config = Config {
            adr, data_rate, tx_power_dbm, confirmed_tries, channels_hz, channel_mask, rx2,
            ..Config::new(region, abp().activation)
        };
        let limit_dbm = Config::new(region, abp().activation).tx_power_dbm;
        let mut bench = Bench::new(config);
        bench.settle();
        if bench.mac.send(0, 85, &[1], confirmed).is_ok() {
            for _ in 0..300 {
                let action = bench.settle();
                if bench.mac.can_send() {
                    break;
                }
                if let Some(sent) = bench.carry_out(action) {
                    prop_assert!(sent.power_dbm <= limit_dbm && sent.power_dbm <= tx_power_dbm);
                    prop_assert!(bench.mac.frame().len() <= 64);
                    prop_assert_eq!(bench.keys.hear(&sent.phy, 0).payload, [1]);
                }
            }
            prop_assert!(bench.mac.can_send(), "the uplink does not end");
        }
    }

    #[test]
    fn no_stored_bytes_panic(
        session in prop::option::of(prop::collection::vec(any::<u8>(), 0..220)),
        counters in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
        class_c in any::<bool>(),
    ) {
        for config in [otaa(), abp()] {
            let multicast = counters.as_deref();
            let restored = Restored { session: session.as_deref(), counters: counters.as_deref(), multicast };
            let mut mac = sockeye_lorawan_mac::Mac::new(Config { class_c, ..config }, restored, 3);
            mac.join(0);
            mac.poll(0);
        }
    }

    #[test]
    fn uplinks_of_any_kind_are_read_by_the_network(
        uplinks in prop::collection::vec((1u8..=223, prop::collection::vec(any::<u8>(), 0..51), any::<bool>()), 1..10),
    ) {
        let mut bench = Bench::abp();
        for (fcnt, (port, payload, confirmed)) in (0u32..).zip(uplinks) {
            bench.mac.send(bench.now_ms, port, &payload, confirmed).unwrap();
            let sent = bench.transmit();
            let heard = bench.keys.hear(&sent.phy, 0);
            prop_assert_eq!((heard.fcnt, heard.port, heard.confirmed), (fcnt, Some(port), confirmed));
            prop_assert_eq!(heard.payload, payload);
            bench.finish();
        }
    }
}

/// Commands with random contents, most of them well formed.
fn any_command() -> impl Strategy<Value = Vec<u8>> {
    let of = |id: u8, len: usize| {
        prop::collection::vec(any::<u8>(), len).prop_map(move |data| [&[id][..], &data].concat())
    };
    // Frequencies near the band, so that some are accepted.
    let frequency = (8_630_000u32..8_700_000).prop_map(|units| units.to_le_bytes()[..3].to_vec());
    prop_oneof![
        of(0x02, 2),
        of(0x03, 4),
        (any::<u8>(), 0u8..16, 0u8..2).prop_map(|(rate_power, mask, cntl)| vec![
            0x03,
            rate_power,
            mask,
            0,
            cntl * 0x60 + 1
        ]),
        of(0x04, 1),
        (any::<u8>(), frequency.clone()).prop_map(|(dl, f)| [&[0x05, dl][..], &f].concat()),
        of(0x06, 0),
        (any::<u8>(), frequency.clone(), any::<u8>()).prop_map(|(i, f, r)| [
            &[0x07, i % 17][..],
            &f,
            &[r & 0x77]
        ]
        .concat()),
        (any::<u8>(), any::<u8>()).prop_map(|(i, r)| vec![0x07, i % 17, 0, 0, 0, r]),
        of(0x08, 1),
        of(0x09, 1),
        (any::<u8>(), frequency).prop_map(|(i, f)| [&[0x0a, i % 17][..], &f].concat()),
        of(0x0d, 5),
        of(0x13, 3),
        prop::collection::vec(any::<u8>(), 0..4),
    ]
}
