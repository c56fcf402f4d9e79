//! MAC-TX-03: listen before talk, as the core asks for it.

use sockeye_lorawan_mac::{Action, Region, Window};

use crate::bench::Bench;
use crate::plans::{abp, otaa};

#[test]
fn mac_tx_03_a_busy_channel_is_left_for_another_and_the_frame_stays_the_same() {
    let mut bench = Bench::new(abp(Region::Kr920));
    bench.mac.send(0, 85, &[1], false).unwrap();
    let mut frames = Vec::new();
    let mut channels = Vec::new();
    for _ in 0..4 {
        let rf = loop {
            match bench.settle() {
                Action::Transmit { rf, listen_before_talk, .. } => {
                    let listen = listen_before_talk.unwrap();
                    assert_eq!((listen.threshold_dbm, listen.for_ms), (-65, 6));
                    break rf;
                }
                Action::Listen { until_ms: Some(at_ms), .. } => {
                    assert!(at_ms - bench.now_ms <= 520);
                    bench.now_ms = at_ms;
                }
                other => panic!("{other:?}"),
            }
        };
        frames.push(bench.mac.frame().to_vec());
        channels.push(rf.frequency_hz);
        bench.now_ms += 6;
        bench.mac.channel_busy(bench.now_ms);
    }
    assert!(channels.windows(2).all(|pair| pair[0] != pair[1]), "{channels:?}");
    let sent = bench.transmit();
    assert!(frames.iter().all(|frame| *frame == sent.phy));
    bench.finish();
    // A join request moves as well, with the same DevNonce.
    let mut bench = Bench::new(otaa(Region::Kr920));
    bench.mac.join(0);
    let Action::Transmit { rf, .. } = bench.settle() else { panic!("no request") };
    let first = bench.mac.frame().to_vec();
    bench.mac.channel_busy(6);
    let sent = bench.transmit();
    assert_eq!(sent.phy, first);
    assert_ne!(sent.rf.frequency_hz, rf.frequency_hz);
    assert_eq!(bench.until(Window::Rx1), sent.rf);
}

#[test]
fn mac_tx_03_a_channel_that_stays_busy_is_looked_at_less_and_less_often() {
    let mut bench = Bench::new(abp(Region::Kr920));
    bench.mac.send(0, 85, &[1], false).unwrap();
    let mut looks = Vec::new();
    while bench.now_ms < 3_600_000 {
        match bench.settle() {
            Action::Transmit { .. } => {
                looks.push(bench.now_ms);
                bench.now_ms += 7;
                bench.mac.channel_busy(bench.now_ms);
            }
            Action::Listen { until_ms: Some(at_ms), .. } => bench.now_ms = at_ms,
            other => panic!("{other:?}"),
        }
    }
    let in_first_minute = looks.iter().filter(|at_ms| **at_ms < 60_000).count();
    assert!((10..40).contains(&in_first_minute), "{in_first_minute}");
    // At the end at least 1.2 s lie between two looks, which RXC has for itself, and at most half a minute.
    let [.., before, last] = looks[..] else { panic!("{looks:?}") };
    assert!((1_200..=34_000).contains(&(last - before)), "{looks:?}");
    // Once the channel is free the frame goes out, and the next one is not held back.
    let sent = bench.transmit();
    bench.finish();
    assert_eq!(bench.keys.hear(&sent.phy, 0).payload, [1]);
    let before_ms = bench.now_ms;
    assert_eq!(bench.uplink(&[2], false).start_ms, before_ms);
}

#[test]
fn mac_tx_03_korea_and_the_group_with_japan_listen_first_and_no_other_plan() {
    for region in Region::ALL {
        let mut bench = Bench::new(abp(region));
        bench.mac.send(0, 85, &[1], false).unwrap();
        let Action::Transmit { listen_before_talk, .. } = bench.settle() else { panic!("nothing is sent") };
        let listens = matches!(region, Region::Kr920 | Region::As923_1);
        assert_eq!(listen_before_talk.is_some(), listens, "{region:?}");
    }
}
