//! Who hears what.

use proptest::prelude::*;

use super::*;

const UPLINK: Modulation = Modulation::uplink(868_100_000, 7, 125_000);

struct Table {
    air: Air,
    gateway: StationId,
    devices: Vec<StationId>,
}

fn table(devices: usize) -> Table {
    let mut air = Air::new(7);
    let gateway = air.add_gateway();
    let devices = (0..devices).map(|_| air.add_station()).collect();
    Table { air, gateway, devices }
}

impl Table {
    /// Everything that the gateway has heard by the end of time.
    fn heard(&mut self) -> Vec<Vec<u8>> {
        self.air.advance(u64::MAX / 2);
        std::iter::from_fn(|| self.air.take_heard(self.gateway))
            .map(|h| h.transmission.payload.to_vec())
            .collect()
    }
}

/// Sends frames (start, sender's path loss, SF, channel) of 20 bytes each, and checks which are heard.
#[track_caller]
fn check(frames: &[(u64, i32, u8, u32)], heard: &[u8]) {
    let mut table = table(frames.len());
    for (number, (start_us, loss_db, sf, freq_hz)) in frames.iter().enumerate() {
        let (device, gateway) = (table.devices[number], table.gateway);
        table.air.set_path_loss_db(device, gateway, *loss_db);
        let modulation = Modulation::uplink(*freq_hz, *sf, 125_000);
        table.air.transmit(*start_us, device, modulation, 14, &[number as u8; 20]);
    }
    let got: Vec<u8> = table.heard().iter().map(|payload| payload[0]).collect();
    assert_eq!(got, heard);
}

const A: u32 = 868_100_000;
const B: u32 = 868_300_000;

#[test]
fn frames_one_after_the_other_are_heard() {
    // 20 bytes at SF7 take 56.576 ms.
    check(&[(0, 110, 7, A), (56_576, 110, 7, A)], &[0, 1]);
}

#[test]
fn frames_of_like_strength_that_overlap_are_both_lost() {
    check(&[(0, 110, 7, A), (56_575, 110, 7, A)], &[]);
    check(&[(0, 110, 7, A), (20_000, 115, 7, A)], &[]);
}

#[test]
fn a_frame_stronger_by_six_decibels_survives_whichever_came_first() {
    check(&[(0, 110, 7, A), (20_000, 116, 7, A)], &[0]);
    check(&[(0, 116, 7, A), (20_000, 110, 7, A)], &[1]);
    check(&[(0, 116, 7, A), (20_000, 110, 7, A), (30_000, 110, 7, A)], &[]);
}

#[test]
fn other_channels_and_spreading_factors_do_not_disturb() {
    check(&[(0, 110, 7, A), (0, 110, 7, B), (0, 110, 8, A)], &[0, 1, 2]);
}

#[test]
fn a_frame_too_weak_for_its_spreading_factor_is_not_heard() {
    // 14 dBm less 138 dB is -124 dBm, 7 dB below the noise; SF7 needs -7, SF12 -20.
    check(&[(0, 138, 7, A)], &[0]);
    check(&[(0, 139, 7, A)], &[]);
    check(&[(0, 151, 12, A)], &[0]);
    check(&[(0, 152, 12, A)], &[]);
}

#[test]
fn a_gateway_hears_no_downlinks_and_nothing_while_it_sends() {
    let mut table = table(1);
    let (gateway, device) = (table.gateway, table.devices[0]);
    let down = Modulation::downlink(869_525_000, 9, 125_000);
    table.air.transmit(0, device, down, 14, b"no uplink");
    let own = table.air.transmit(200_000, gateway, down, 27, b"own");
    table.air.transmit(own.end_us - 1, device, UPLINK, 14, b"too early");
    table.air.transmit(own.end_us + 100_000, device, UPLINK, 14, b"in time");
    assert_eq!(table.heard(), [b"in time"]);
}

#[test]
fn a_frame_that_is_cut_is_heard_by_nobody_and_disturbs_nobody_after() {
    let mut table = table(2);
    let cut = table.air.transmit(0, table.devices[0], UPLINK, 14, b"half");
    table.air.cut(10_000, cut.id);
    table.air.transmit(10_000, table.devices[1], UPLINK, 14, b"whole");
    assert_eq!(table.heard(), [b"whole"]);
}

#[test]
fn a_deaf_station_misses_what_starts_meanwhile() {
    let mut table = table(1);
    table.air.set_deaf(table.gateway, 1000, 2000);
    for start_us in [0, 100_000] {
        table.air.transmit(start_us, table.devices[0], UPLINK, 14, b"heard");
    }
    assert_eq!(table.heard().len(), 2);
    let mut deaf = self::table(1);
    deaf.air.set_deaf(deaf.gateway, 1000, 2000);
    deaf.air.transmit(1999, deaf.devices[0], UPLINK, 14, b"missed");
    deaf.air.transmit(200_000, deaf.devices[0], UPLINK, 14, b"heard");
    assert_eq!(deaf.heard(), [b"heard"]);
}

#[test]
fn erasures_are_as_many_as_asked_and_the_same_in_each_run() {
    let run = |permille| {
        let mut table = table(1);
        table.air.set_erasure_permille(table.gateway, permille);
        for number in 0..1000u64 {
            table.air.transmit(number * 100_000, table.devices[0], UPLINK, 14, &number.to_be_bytes());
        }
        table.heard()
    };
    assert_eq!(run(0).len(), 1000);
    assert_eq!(run(1000).len(), 0);
    let (once, twice) = (run(300), run(300));
    assert!((650..750).contains(&once.len()), "{} of 1000 heard", once.len());
    assert_eq!(once, twice);
}

#[test]
fn the_power_on_a_frequency_is_the_strongest_frame_or_the_noise() {
    let mut table = table(2);
    let (near, listener) = (table.devices[0], table.devices[1]);
    table.air.set_path_loss_db(near, listener, 80);
    assert_eq!(table.air.power_dbm(0, listener, A, 125_000), -117);
    let sent = table.air.transmit(1000, near, UPLINK, 14, b"loud");
    assert_eq!(table.air.power_dbm(999, listener, A, 125_000), -117);
    assert_eq!(table.air.power_dbm(1000, listener, A, 125_000), -66);
    assert_eq!(table.air.power_dbm(1000, listener, B, 125_000), -117);
    assert_eq!(table.air.power_dbm(1000, near, A, 125_000), -117, "not its own");
    assert_eq!(table.air.power_dbm(sent.end_us, listener, A, 125_000), -117);
}

#[test]
fn what_is_over_is_forgotten() {
    let mut table = table(1);
    let first = table.air.transmit(0, table.devices[0], UPLINK, 14, b"old").id;
    assert!(table.air.transmission(first).is_some());
    for number in 1..100 {
        table.air.transmit(number * 1_000_000, table.devices[0], UPLINK, 14, b"new");
        table.air.advance(number * 1_000_000);
    }
    assert!(table.air.transmission(first).is_none());
    assert!(table.air.transmissions.len() < 5);
    assert!(table.air.on_channel[&Channel::of(&UPLINK)].len() < 5);
}

#[test]
fn path_losses_that_are_not_set_spread_as_far_as_asked_and_stay_as_they_are() {
    let mut table = table(200);
    table.air.set_path_loss_spread_db(15);
    let losses = |table: &mut Table, at_us: u64| -> Vec<i32> {
        let (gateway, devices) = (table.gateway, table.devices.clone());
        let one = |(device, n)| {
            let sent = table.air.transmit(at_us + 10_000_000 * n, device, UPLINK, 14, b"x");
            14 - table.air.link(&sent, gateway).expect("heard").rssi_dbm
        };
        devices.into_iter().zip(0u64..).map(one).collect()
    };
    let first = losses(&mut table, 0);
    assert_eq!((first.iter().min(), first.iter().max()), (Some(&95), Some(&125)));
    assert_eq!(first, losses(&mut table, 10_000_000_000));
    let (device, gateway) = (table.devices[0], table.gateway);
    table.air.set_path_loss_db(device, gateway, 80);
    assert_eq!(losses(&mut table, 20_000_000_000)[0], 80, "one that is set holds");
}

#[test]
fn what_is_sent_is_kept_only_where_somebody_asked_for_it() {
    let mut table = table(1);
    table.air.transmit(0, table.devices[0], UPLINK, 14, b"before");
    assert!(table.air.take_sent().is_empty());
    table.air.keep_sent();
    let second = table.air.transmit(10_000_000, table.devices[0], UPLINK, 14, b"after");
    table.air.keep_sent();
    assert_eq!(table.air.take_sent(), [second]);
    assert!(table.air.take_sent().is_empty());
}

proptest! {
    #[test]
    fn a_gateway_hears_a_frame_exactly_if_no_rival_is_within_six_decibels(
        frames in prop::collection::vec((0u64..3_000_000, 100i32..125, 7u8..9, 0usize..2), 1..30),
    ) {
        let mut frames = frames;
        frames.sort_unstable();
        let mut table = table(frames.len());
        let mut sent = Vec::new();
        for (number, (start_us, loss_db, sf, channel)) in frames.iter().enumerate() {
            let (device, gateway) = (table.devices[number], table.gateway);
            table.air.set_path_loss_db(device, gateway, *loss_db);
            let modulation = Modulation::uplink([A, B][*channel], *sf, 125_000);
            // Taken away as time goes on, so that forgetting is tried as well.
            table.air.advance(*start_us);
            sent.push((table.air.transmit(*start_us, device, modulation, 14, &[number as u8; 20]), *loss_db));
        }
        let mut heard: Vec<u8> = table.heard().iter().map(|payload| payload[0]).collect();
        heard.sort_unstable();
        let expected: Vec<u8> = (0..sent.len()).filter(|own| {
            let (frame, loss_db) = &sent[*own];
            sent.iter().enumerate().all(|(other, (rival, rival_loss_db))| {
                other == *own
                    || rival.modulation != frame.modulation
                    || rival.end_us <= frame.start_us
                    || frame.end_us <= rival.start_us
                    || rival_loss_db - loss_db >= 6
            })
        }).map(|number| number as u8).collect();
        prop_assert_eq!(heard, expected);
    }
}
