//! What somebody with a transmitter and no key can send: each without effect.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_network_server::forge;

/// A joined socket that has taken a genuine "off" and a genuine "on": material for whoever listens.
fn listened_to() -> Bench {
    let mut bench = Bench::joined("");
    bench.run(60_000);
    bench.act("downlink 85 080000ff").run(20_000).act("downlink 85 080100ff").run(30_000);
    assert_eq!(bench.downlinks(), ["080000ff", "080100ff"]);
    bench.forget();
    bench
}

/// The genuine frame that carried "off".
fn off_frame(bench: &mut Bench) -> Vec<u8> {
    bench.world.with_server(|_, server| {
        let mut sent = server.sent_frames().filter(|sent| matches!(
            &sent.kind,
            sockeye_network_server::Kind::Unicast { payload, .. } if payload[..] == [0x08, 0x00, 0x00, 0xFF]
        ));
        sent.next().expect("no such frame").phy.clone()
    })
}

/// Puts bytes on the air as a downlink, and shows that they do nothing and that the socket still obeys.
fn has_no_effect(mut bench: Bench, phy: Vec<u8>) {
    bench.world.with_server(|now_us, server| server.inject(now_us, phy));
    bench.run(20_000);
    assert_eq!(bench.relay(), [], "switched by a frame that nobody sent");
    assert_eq!(bench.downlinks(), [""; 0]);
    bench.act("downlink 85 080000ff").run(20_000);
    assert!(matches!(bench.relay()[..], [(_, false, "downlink")]), "deaf afterwards: {:?}", bench.relay());
}

#[test]
fn a_downlink_with_a_wrong_mic_has_no_effect() {
    let mut bench = listened_to();
    // Genuine and new in all but its MIC: the counter is the next one.
    let mut phy = forge::wrong_mic(&off_frame(&mut bench));
    phy[6] = phy[6].wrapping_add(2);
    has_no_effect(bench, phy);
}

#[test]
fn every_one_of_a_downlinks_bits_is_held_by_its_mic() {
    let bench = &mut listened_to();
    let genuine = off_frame(bench);
    for bit in 0..genuine.len() * 8 {
        let mut phy = genuine.clone();
        phy[bit / 8] ^= 1 << (bit % 8);
        bench.world.with_server(|now_us, server| server.inject(now_us, phy));
        bench.run(2_000);
        assert_eq!(bench.downlinks(), [""; 0], "bit {bit}");
    }
    assert_eq!(bench.relay(), []);
}

#[test]
fn mac_fcnt_04_a_replayed_downlink_has_no_effect() {
    let mut bench = listened_to();
    let phy = off_frame(&mut bench);
    has_no_effect(bench, phy);
}

#[test]
fn mac_fcnt_04_a_downlink_replayed_after_a_power_cut_has_no_effect() {
    let mut bench = listened_to();
    let phy = off_frame(&mut bench);
    bench.act("power off").run(10_000).act("power on").run(60_000).forget();
    has_no_effect(bench, phy);
}

#[test]
fn mac_fcnt_05_the_sockets_own_uplink_played_back_has_no_effect() {
    let mut bench = listened_to();
    let own: Vec<Vec<u8>> =
        bench.world.with_server(|_, server| server.received_frames().map(<[u8]>::to_vec).collect());
    assert!(own.len() >= 4, "nothing to play back");
    for phy in own {
        bench.world.with_server(|now_us, server| server.inject(now_us, phy));
        bench.run(5_000);
    }
    assert_eq!(bench.relay(), []);
    assert_eq!(bench.downlinks(), [""; 0]);
    has_no_effect(bench, vec![0xE0, 1, 2, 3]);
}

#[test]
fn mac_fcnt_06_a_downlink_for_another_address_has_no_effect() {
    let mut bench = listened_to();
    let phy = forge::other_address(&off_frame(&mut bench), 0x0102_0304);
    has_no_effect(bench, phy);
}

#[test]
fn frames_of_every_length_and_type_have_no_effect() {
    let mut bench = listened_to();
    for length in [0, 1, 4, 5, 11, 12, 13, 17, 33, 64, 255] {
        for mhdr in [0x00, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xC0, 0xE0, 0xFF] {
            let mut phy = vec![0x5A; length];
            if let Some(first) = phy.first_mut() {
                *first = mhdr;
            }
            bench.world.with_server(|now_us, server| server.inject(now_us, phy));
            bench.run(10_000);
        }
    }
    assert_eq!((bench.relay(), bench.downlinks()), (vec![], vec![]));
    has_no_effect(bench, vec![0x60]);
}
