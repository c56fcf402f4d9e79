//! Counted runs of random frames and of random commands under a right MIC: a few in every test, ten million of each in
//! `cargo xtask bench`.
//!
//! A block is one device in one plan, under a seed of its own, so that a block that fails is run again by its number alone.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use lrwn::MACCommand;
use sockeye_lorawan_mac::{Action, Config, Event, Key, MulticastGroup, Record, Region, Window};

use crate::bench::{Accept, Bench, Down, Keys, Sent, nonce};
use crate::crashes::Dice;
use crate::plans::{abp, accept, obeys, otaa};

const FRAMES_A_BLOCK: u64 = 500;
const COMMANDS_A_BLOCK: u64 = 200;
const GROUP: Keys = Keys { dev_addr: 0x1111_1111, nwk: [0x31; 16], app: [0x32; 16] };
/// What every block of frames throws in changed form; the counters are ahead of the device's.
const GENUINE: u32 = 24;

/// Runs blocks on two threads, and says which one failed.
fn blocks(count: u64, one: impl Fn(u64) -> u64 + Sync + std::panic::RefUnwindSafe) -> u64 {
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = 0;
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= count {
                return sum;
            }
            match std::panic::catch_unwind(|| one(block)) {
                Ok(tally) => sum += tally,
                Err(_) => panic!("block {block}"),
            }
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work() + other.join().unwrap()
    })
}

fn bytes(dice: &mut Dice, len: u64) -> Vec<u8> {
    (0..len).map(|_| dice.roll(256) as u8).collect()
}

/// A frame that the device must not accept: noise, a likely header before noise, or a right frame that was changed.
fn wrong_frame(dice: &mut Dice, dev_addr: u32, genuine: &[Vec<u8>]) -> Vec<u8> {
    let kind = dice.roll(8);
    let len = dice.roll(256);
    let mut frame = bytes(dice, len);
    match kind {
        0 | 1 => {}
        2..=4 => {
            let to = if kind == 4 { GROUP.dev_addr } else { dev_addr };
            let mhdr = [0x60, 0xa0, 0x20, 0x40, 0x80, 0x00][dice.roll(6) as usize];
            let header =
                [&[mhdr][..], &to.to_le_bytes(), &[dice.roll(256) as u8, dice.roll(64) as u8, 0]].concat();
            frame.splice(..frame.len().min(header.len()), header);
        }
        5 => {
            // Of the length of a join-accept.
            frame = bytes(dice, 32);
            frame.truncate(if len.is_multiple_of(2) { 16 } else { 32 });
            frame.insert(0, 0x20);
        }
        _ => {
            frame.clone_from(&genuine[dice.roll(genuine.len() as u64) as usize]);
            match dice.roll(4) {
                0 => frame.truncate(dice.roll(frame.len() as u64) as usize),
                1 => frame.push(dice.roll(256) as u8),
                _ => {
                    let bit = dice.roll(frame.len() as u64 * 8) as usize;
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }
    frame
}

/// Sends what is to be sent, and says where the device listens then.
fn window(bench: &mut Bench, mut sent: impl FnMut(Sent)) -> Window {
    loop {
        match bench.settle() {
            action @ Action::Transmit { .. } => sent(bench.carry_out(action).unwrap()),
            Action::Listen { window, .. } => return window,
            // A frame that comes nevertheless.
            _ => return Window::Rxc,
        }
    }
}

/// One device that hears wrong frames in all windows; gives how many there were.
fn frames(block: u64) -> u64 {
    let mut dice = Dice(block);
    let region = Region::ALL[(block % 12) as usize];
    let joined = dice.roll(3) > 0;
    let group = MulticastGroup {
        dev_addr: GROUP.dev_addr,
        nwk_skey: Key(GROUP.nwk),
        app_skey: Key(GROUP.app),
        min_fcnt: 0,
        max_fcnt: u32::MAX,
    };
    let of = if joined { abp(region) } else { otaa(region) };
    let mut bench = Bench::new(Config { multicast: [Some(group), None, None, None], ..of });
    let mut genuine: Vec<Vec<u8>> = Vec::new();
    let mut dev_nonce = 0;
    if joined {
        bench.uplink(&[1], true);
        genuine.extend((0..GENUINE).map(|fcnt| {
            let ack = fcnt % 2 == 0;
            bench.keys.phy(&Down { ack, ..bench.keys.data(fcnt, 85, &[1, 2, 3]) })
        }));
        genuine.extend((0..GENUINE).map(|fcnt| GROUP.phy(&GROUP.data(fcnt, 85, &[4, 5]))));
    } else {
        bench.mac.join(0);
        dev_nonce = nonce(&bench.transmit().phy);
        genuine.push(accept(region).phy(dev_nonce));
    }
    bench.settle();
    bench.events.clear();
    bench.stores.clear();
    let records =
        |bench: &Bench| [Record::Session, Record::Multicast].map(|record| bench.mac.record(record).to_vec());
    let before = records(&bench);
    for number in 0..FRAMES_A_BLOCK {
        let frame = wrong_frame(&mut dice, bench.keys.dev_addr, &genuine);
        let mut sent = Vec::new();
        let window = window(&mut bench, |one| sent.push(one));
        bench.hear_phy(window, &frame);
        // Now and then time passes, so that windows open, and frames are sent again.
        if number % 8 == 0 {
            match bench.settle() {
                _ if joined && bench.mac.can_send() => {
                    bench.mac.send(bench.now_ms, 85, &[1], true).unwrap();
                }
                Action::Listen { window: Window::Rxc, until_ms: None, .. }
                | Action::Idle { until_ms: None } => {}
                action => sent.extend(bench.carry_out(action)),
            }
        }
        for sent in sent.iter().filter(|_| joined) {
            // FCtrl (LoRaWAN 1.0.3, 4.3.1.1): neither ACK nor FOpts, since nothing is to be answered.
            assert_eq!(sent.phy[5] & 0x2f, 0);
        }
        if let Some(request) = sent.last().filter(|_| !joined) {
            dev_nonce = nonce(&request.phy);
            genuine[0] = accept(region).phy(dev_nonce);
        }
    }
    bench.settle();
    for event in &bench.events {
        let harmless = matches!(
            event,
            Event::JoinRequestSent { .. }
                | Event::UplinkSent { .. }
                | Event::UplinkDone { acked: None | Some(false), .. }
                | Event::Error(_)
                // Handed on as it is: the MAC takes nothing from it.
                | Event::Proprietary { .. }
        );
        assert!(harmless, "{event:?}");
    }
    assert!(bench.stores.iter().all(|record| *record == Record::Counters), "{:?}", bench.stores);
    assert_eq!(bench.mac.is_joined(), joined);
    assert_eq!(records(&bench), before);
    // It did listen: the frame that was changed above is accepted as it was.
    if joined {
        bench.finish();
        bench.hear_phy(Window::Rxc, &genuine[0]);
        bench.hear_phy(Window::Rxc, &genuine[GENUINE as usize]);
        bench.settle();
        assert_eq!(bench.delivered(), [(85, vec![1, 2, 3]), (85, vec![4, 5])]);
    } else {
        loop {
            match bench.settle() {
                Action::Listen { window: window @ (Window::Rx1 | Window::Rx2), .. } => {
                    bench.hear_phy(window, &accept(region).phy(dev_nonce));
                    break;
                }
                action => {
                    if let Some(sent) = bench.carry_out(action) {
                        dev_nonce = nonce(&sent.phy);
                    }
                }
            }
        }
        bench.settle();
        assert!(bench.mac.is_joined());
    }
    FRAMES_A_BLOCK
}

/// MAC commands with any content, most of them with a likely one.
fn commands(dice: &mut Dice, most: u64) -> Vec<u8> {
    // Identifier and length, as LoRaWAN 1.0.3 5 has them, DeviceTimeAns and an unknown one with them.
    const KNOWN: [(u8, u64); 11] = [
        (0x02, 2),
        (0x03, 4),
        (0x04, 1),
        (0x05, 4),
        (0x06, 0),
        (0x07, 5),
        (0x08, 1),
        (0x09, 1),
        (0x0a, 4),
        (0x0d, 5),
        (0x13, 3),
    ];
    let mut row = Vec::new();
    let wanted = 1 + dice.roll(most);
    while (row.len() as u64) < wanted {
        let (id, len) = KNOWN[dice.roll(11) as usize];
        let mut data = bytes(dice, len);
        // A frequency in one of the bands, and an index that there is, so that some are accepted.
        let hz = [863_000_000, 433_000_000, 470_000_000, 902_000_000][dice.roll(4) as usize]
            + dice.roll(27_000_000);
        let units = (hz / 100) as u32;
        match (id, dice.roll(2)) {
            (0x05, 0) => data[1..4].copy_from_slice(&units.to_le_bytes()[..3]),
            (0x07 | 0x0a, 0) => {
                data[0] %= 17;
                data[1..4].copy_from_slice(&units.to_le_bytes()[..3]);
            }
            (0x03, 0) => data[3] &= 0x71,
            _ => {}
        }
        if dice.roll(16) == 0 {
            data.truncate(dice.roll(len + 1) as usize);
        }
        row.push(if dice.roll(32) == 0 { dice.roll(256) as u8 } else { id });
        row.extend(data);
    }
    row.truncate(wanted as usize);
    row
}

/// One device that obeys random commands, in windows and between them; gives how many rows there were.
fn rows(block: u64) -> u64 {
    let mut dice = Dice(!block);
    let region = Region::ALL[(block % 12) as usize];
    let mut bench = Bench::joined(
        Config { class_c: true, ..otaa(region) },
        &Accept { rx_delay: dice.roll(16) as u8, ..accept(region) },
    );
    let keys = bench.keys;
    for fcnt in 0..COMMANDS_A_BLOCK as u32 {
        let on_port_0 = dice.roll(2) == 0;
        let row = commands(&mut dice, if on_port_0 { 50 } else { 15 });
        let down = if on_port_0 {
            Down { port: Some(0), payload: row, ..keys.down(fcnt) }
        } else {
            Down { fopts: vec![MACCommand::Raw(row)], ..keys.down(fcnt) }
        };
        let window = window(&mut bench, |sent| obeys(region, &sent));
        bench.hear_phy(window, &keys.phy(&down));
        if fcnt % 4 == 3 {
            uplink(&mut bench, region, dice.roll(2) == 0);
        }
    }
    bench.finish();
    let session = bench.flash.session.clone();
    assert_eq!(Some(bench.mac.record(Record::Session).to_vec()), session);
    bench.power_cycle();
    assert!(bench.mac.is_joined(), "the session is not read back");
    assert_eq!(Some(bench.mac.record(Record::Session).to_vec()), session);
    uplink(&mut bench, region, false);
    COMMANDS_A_BLOCK
}

/// Whatever came before, the device sends, by the rules of its plan, and the network can read it.
fn uplink(bench: &mut Bench, region: Region, wait: bool) {
    bench.finish();
    let payload = vec![1; bench.mac.max_payload().min(5)];
    // `Busy` = answers go first.
    let _ = bench.mac.send(bench.now_ms, 85, &payload, false);
    let sent = bench.transmit();
    obeys(region, &sent);
    assert!(bench.keys.hear(&sent.phy, 0).fopts.len() <= 15);
    if wait {
        // The next row is heard in a window.
        bench.until(Window::Rx1);
    }
    bench.events.clear();
    bench.stores.clear();
}

#[test]
fn answers_that_were_sent_and_fit_no_longer_do_not_keep_the_application_from_sending() {
    let region = Region::Us915;
    let mut bench = Bench::joined(otaa(region), &accept(region));
    let keys = bench.keys;
    // To DR1, where FOpts has its 15 bytes.
    bench.exchange(&keys.commands(0, vec![MACCommand::Raw(vec![0x03, 0x10, 0x02, 0x00, 0x51])]));
    bench.finish();
    // Twelve RXTimingSetupAns, repeated until the network is heard; it is not, and ADR goes back to DR0 with 11 bytes.
    bench.exchange(&Down { port: Some(0), payload: [0x08, 0x01].repeat(12), ..keys.down(1) });
    bench.finish();
    let sent: Vec<_> = (0..140)
        .map(|_| {
            let sent = bench.uplink(&[1, 2], false);
            bench.finish();
            (sent.rf.data_rate, keys.hear(&sent.phy, 0).fopts.len())
        })
        .collect();
    assert_eq!((sent[0], sent[139]), ((1, 12), (0, 0)));
}

#[test]
fn of_random_and_of_changed_frames_none_is_accepted() {
    assert_eq!(blocks(48, frames), 48 * FRAMES_A_BLOCK);
}

#[test]
fn no_random_row_of_commands_stops_a_device_or_takes_it_off_its_plan() {
    assert_eq!(blocks(36, rows), 36 * COMMANDS_A_BLOCK);
}

#[test]
#[ignore = "minutes in a debug build; `cargo xtask bench` runs it optimised"]
fn counted_10_million_random_frames() {
    let start = Instant::now();
    let count = blocks(10_000_000 / FRAMES_A_BLOCK, frames);
    println!(
        "{count} random and changed frames to {} devices in twelve plans (seeds 0..): none accepted; {:.0} s",
        count / FRAMES_A_BLOCK,
        start.elapsed().as_secs_f32()
    );
}

#[test]
#[ignore = "minutes in a debug build; `cargo xtask bench` runs it optimised"]
fn counted_10_million_random_rows_of_commands() {
    let start = Instant::now();
    let count = blocks(10_000_000 / COMMANDS_A_BLOCK, rows);
    println!(
        "{count} random rows of MAC commands with right MIC to {} devices in twelve plans (seeds 0..): every device still \
         sends, by its plan's rules; {:.0} s",
        count / COMMANDS_A_BLOCK,
        start.elapsed().as_secs_f32()
    );
}
