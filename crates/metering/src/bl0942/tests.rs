use core::future::pending;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use embassy_futures::{block_on, poll_once};
use embedded_hal_mock::eh1::delay::{CheckedDelay, Transaction as Delay};
use embedded_io_async::ErrorType;
use proptest::prelude::*;

use super::*;
use crate::FrontEnd;

/// facts/chips.md: a 40 W bulb, captured from a chip with address 0.
const GOLDEN: [u8; PACKET_LEN] = [
    0x55, 0xA3, 0xB9, 0x00, 0x9E, 0x4C, 0x36, 0x93, 0x43, 0x00, 0xF4, 0x98, 0xFF, 0x99, 0x00, 0x00, 0x16,
    0x4E, 0x00, 0x01, 0x01, 0x00, 0x76,
];

/// Unlock, MODE, I_FAST_RMS_CYC, GAIN_CR, lock.
const SET_UP_WRITES: [[u8; 6]; 5] = [
    [0xA8, 0x1D, 0x55, 0, 0, 0xE5],
    [0xA8, 0x19, 0x87, 0, 0, 0xB7],
    [0xA8, 0x16, 0x01, 0, 0, 0x40],
    [0xA8, 0x1A, 0x02, 0, 0, 0x3B],
    [0xA8, 0x1D, 0x00, 0, 0, 0x3A],
];
/// MODE, I_FAST_RMS_CYC, GAIN_CR: request and answer.
const SET_UP_READS: [([u8; 2], [u8; 4]); 3] = [
    ([0x58, 0x19], [0x87, 0, 0, 0x07]),
    ([0x58, 0x16], [0x01, 0, 0, 0x90]),
    ([0x58, 0x1A], [0x02, 0, 0, 0x8B]),
];

#[derive(Clone, Debug)]
enum Step {
    /// These bytes are written.
    Wrote(Vec<u8>),
    /// These have then arrived.
    Answers(Vec<u8>),
    /// The line fails.
    Fails,
    /// The line ends: a read gives nothing.
    Ends,
}

/// A serial line that follows a script, and never answers when the script says nothing.
#[derive(Debug)]
struct Line {
    script: VecDeque<Step>,
    arrived: VecDeque<u8>,
    /// How many bytes one call moves at the most.
    chunk: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Broken;

impl core::fmt::Display for Broken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("broken")
    }
}

impl core::error::Error for Broken {}

impl embedded_io_async::Error for Broken {
    fn kind(&self) -> embedded_io_async::ErrorKind {
        embedded_io_async::ErrorKind::Other
    }
}

impl ErrorType for Line {
    type Error = Broken;
}

impl Line {
    fn arrive(&mut self) {
        while let Some(Step::Answers(bytes)) = self.script.front() {
            self.arrived.extend(bytes);
            self.script.pop_front();
        }
    }
}

impl Read for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        if self.arrived.is_empty() {
            match self.script.front() {
                Some(Step::Ends) => drop(self.script.pop_front()),
                _ => pending().await,
            }
        }
        let count = buffer.len().min(self.chunk).min(self.arrived.len());
        for byte in &mut buffer[..count] {
            *byte = self.arrived.pop_front().unwrap();
        }
        Ok(count)
    }
}

impl Write for Line {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let count = bytes.len().min(self.chunk);
        match self.script.front_mut() {
            Some(Step::Wrote(expected)) => {
                let written: Vec<u8> = expected.drain(..count).collect();
                assert_eq!(written, bytes[..count], "then: {:?}", self.script);
                if matches!(self.script.front(), Some(Step::Wrote(left)) if left.is_empty()) {
                    self.script.pop_front();
                }
            }
            Some(Step::Fails) => {
                self.script.pop_front();
                return Err(Broken);
            }
            other => panic!("wrote {bytes:02X?} instead of {other:02X?}"),
        }
        self.arrive();
        Ok(count)
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

fn set_up() -> Vec<Step> {
    let writes = SET_UP_WRITES.iter().map(|bytes| Step::Wrote(bytes.to_vec()));
    let reads = SET_UP_READS
        .iter()
        .flat_map(|(request, answer)| [Step::Wrote(request.to_vec()), Step::Answers(answer.to_vec())]);
    writes.chain(reads).collect()
}

fn asks(answer: &[u8]) -> Vec<Step> {
    vec![Step::Wrote(vec![0x58, 0xAA]), Step::Answers(answer.to_vec())]
}

fn packet(cf_cnt: u32) -> [u8; PACKET_LEN] {
    Counts { v_rms: 3_653_000, cf_cnt, ..Counts::default() }.encode(0)
}

/// The references of Tasmota for its hardware, in counts per V, A, W; 1 Wh a pulse, to see pulses.
fn calibration() -> Calibration {
    Calibration {
        voltage_q24: ((1000 << 24) / 15_187_u64) as u32,
        current_q24: ((1000 << 24) / 251_213_u64) as u32,
        power_q24: ((1000 << 24) / 596_u64) as u32,
        pulse_nwh: 1_000_000_000,
        ..Calibration::bl0942(FrontEnd::TYPICAL)
    }
}

type Outcome = Result<Reading, Error<Broken>>;

/// Takes readings with the lines moving 64 bytes at a time, then 1 byte at a time.
fn readings(script: &[Vec<Step>], time_outs: usize, count: usize) -> Vec<Outcome> {
    let [outcomes, byte_by_byte] = [64, 1].map(|chunk| {
        let script = script.iter().flatten().cloned().collect();
        let mut line = Line { script, arrived: VecDeque::new(), chunk };
        line.arrive();
        let waits: Vec<Delay> = (0..time_outs).map(|_| Delay::async_delay_ms(200)).collect();
        let mut meter = Bl0942::new(line, CheckedDelay::new(&waits), calibration());
        let outcomes: Vec<Outcome> = (0..count).map(|_| block_on(meter.read())).collect();
        let (line, mut delay) = meter.release();
        delay.done();
        assert!(line.script.is_empty(), "left over: {:02X?}", line.script);
        outcomes
    });
    assert_eq!(outcomes, byte_by_byte);
    outcomes
}

fn energies_wh(outcomes: &[Outcome]) -> Vec<u32> {
    outcomes.iter().map(|outcome| outcome.unwrap().energy_uwh / 1_000_000).collect()
}

#[test]
fn the_golden_packet_is_a_40_w_bulb() {
    let outcomes = readings(&[set_up(), asks(&GOLDEN)], 0, 1);
    let expected = Reading {
        voltage_mv: 234_316,
        current_ma: 189,
        power_mw: 44_262,
        energy_uwh: 0,
        fast_current_ma: 190,
    };
    assert_eq!(outcomes, [Ok(expected)]);
    let counts = Packet::new(&GOLDEN, 0).unwrap().counts();
    assert_eq!((counts.cf_cnt, counts.watt, counts.freq), (153, -26_380, 0x4E16));
    assert_eq!(counts.encode(0), GOLDEN);
}

#[test]
fn the_chip_is_set_up_once_and_the_set_up_is_read_back() {
    let script = [set_up(), asks(&packet(0)), asks(&packet(2)), asks(&packet(5))];
    assert_eq!(energies_wh(&readings(&script, 0, 3)), [0, 2, 3]);
}

#[test]
fn a_register_that_does_not_keep_its_value_is_told_and_tried_again() {
    let mut refused: Vec<Step> = SET_UP_WRITES.iter().map(|bytes| Step::Wrote(bytes.to_vec())).collect();
    refused.extend([Step::Wrote(vec![0x58, 0x19]), Step::Answers(vec![0x07, 0, 0, 0x87])]);
    let outcomes = readings(&[refused, set_up(), asks(&packet(0))], 0, 2);
    assert_eq!(outcomes[0], Err(Error::SetUp { register: 0x19, wrote: 0x87, read: 0x07 }));
    assert!(outcomes[1].is_ok());
}

#[test]
fn silence_ends_after_200_ms() {
    let silent = vec![Step::Wrote(vec![0x58, 0xAA])];
    let outcomes = readings(&[set_up(), silent, asks(&packet(7))], 1, 2);
    assert_eq!(outcomes[0], Err(Error::TimeOut));
    assert!(outcomes[1].is_ok());
}

#[test]
fn the_end_of_the_input_is_silence_that_nobody_waits_for() {
    let ended = vec![Step::Wrote(vec![0x58, 0xAA]), Step::Ends];
    let outcomes = readings(&[set_up(), ended, asks(&packet(7))], 0, 2);
    assert_eq!(outcomes[0], Err(Error::TimeOut));
    assert!(outcomes[1].is_ok());
}

#[test]
fn what_goes_wrong_with_an_answer_is_told_and_the_next_reading_is_good() {
    let wrong = |index: usize| {
        let mut bytes = packet(9);
        bytes[index] ^= 0x04;
        bytes.to_vec()
    };
    let headless = packet(9)[1..].to_vec();
    let inner_head = Counts { v_rms: 0x55, ..Counts::default() }.encode(0)[..22].to_vec();
    let spoilt_inner_head = [inner_head, vec![0]].concat();
    for (name, answer, time_outs, error) in [
        ("wrong data", wrong(4), 0, Error::Checksum),
        ("wrong checksum", wrong(22), 0, Error::Checksum),
        ("wrong head", wrong(0), 1, Error::TimeOut),
        ("no head", headless, 1, Error::TimeOut),
        ("cut short", packet(9)[..22].to_vec(), 1, Error::TimeOut),
        ("wrong with what may be a head inside", spoilt_inner_head, 1, Error::Checksum),
    ] {
        let outcomes = readings(&[set_up(), asks(&packet(8)), asks(&answer), asks(&packet(9))], time_outs, 3);
        assert_eq!(outcomes[1], Err(error), "{name}");
        // The energy of the failed reading comes with the good one.
        assert_eq!(energies_wh(&[outcomes[0], outcomes[2]]), [0, 1], "{name}");
    }
}

#[test]
fn a_packet_behind_garbage_is_found() {
    for garbage in [&[0x00, 0xFF, 0x12][..], &[0x55], &[0x55, 0x55, 0x55], &[0x55; 22], &packet(3)[..20]] {
        let answer = [garbage, &packet(4)].concat();
        let outcomes = readings(&[set_up(), asks(&packet(3)), asks(&answer)], 0, 2);
        assert_eq!(energies_wh(&outcomes), [0, 1], "{garbage:02X?}");
    }
}

#[test]
fn a_right_checksum_alone_makes_no_packet() {
    for index in [18, 21] {
        let mut bytes = packet(7);
        // Adding to one byte and taking from the checksum keeps the sum.
        bytes[index] += 1;
        bytes[22] = bytes[22].wrapping_sub(1);
        assert_eq!(bytes[22], checksum(READ, &bytes[..22]));
        assert_eq!(Packet::new(&bytes, 0), None, "byte {index}");
    }
}

#[test]
fn stale_input_is_thrown_away_before_a_request() {
    let late = vec![Step::Answers(packet(1000).to_vec())];
    let script = [late.clone(), set_up(), asks(&packet(3)), late, asks(&packet(4))];
    assert_eq!(energies_wh(&readings(&script, 0, 2)), [0, 1]);
}

#[test]
fn the_pulse_counter_wraps_at_24_bits() {
    let script = [set_up(), asks(&packet(0x00FF_FFFE)), asks(&packet(1)), asks(&packet(2))];
    assert_eq!(energies_wh(&readings(&script, 0, 3)), [0, 3, 1]);
}

#[test]
fn a_chip_that_began_anew_adds_what_it_counted_since_once_a_second_reading_shows_it() {
    for before in [20_000, 500_000] {
        let script =
            [set_up(), asks(&packet(before)), asks(&packet(2)), set_up(), asks(&packet(3)), asks(&packet(5))];
        assert_eq!(energies_wh(&readings(&script, 0, 4)), [0, 0, 3, 2], "{before}");
    }
}

#[test]
fn a_stray_pulse_count_adds_nothing() {
    for (before, strays) in [
        (20_000, &[0x0080_0000][..]),
        (500_000, &[0x0080_0000]),
        (500_000, &[7]),
        (10, &[0x0080_0000, 0x0040_0000]),
    ] {
        let mut script = vec![set_up(), asks(&packet(before))];
        for &stray in strays {
            script.extend([asks(&packet(stray)), set_up()]);
        }
        script.extend([asks(&packet(before + 1)), asks(&packet(before + 3))]);
        let outcomes = readings(&script, 0, strays.len() + 3);
        let (during, after) = outcomes.split_at(strays.len() + 1);
        assert!(energies_wh(during).iter().all(|&energy| energy == 0), "{before} {strays:?}");
        assert_eq!(energies_wh(after), [1, 2], "{before} {strays:?}");
    }
}

#[test]
fn a_broken_line_is_told() {
    let outcomes = readings(&[vec![Step::Fails], set_up(), vec![Step::Fails], asks(&packet(0))], 0, 3);
    assert_eq!(outcomes[0], Err(Error::Bus(Broken)));
    assert_eq!(outcomes[1], Err(Error::Bus(Broken)));
    assert!(outcomes[2].is_ok());
}

#[test]
fn a_dropped_reading_loses_no_energy() {
    let half = Step::Answers(packet(5)[..10].to_vec());
    let rest = Step::Answers(packet(5)[10..].to_vec());
    let script = [set_up(), asks(&packet(4)), vec![Step::Wrote(vec![0x58, 0xAA]), half]];
    let mut line = Line { script: script.concat().into(), arrived: VecDeque::new(), chunk: 64 };
    line.arrive();
    // A delay that never ends: nothing but the drop ends the reading.
    struct Never;
    impl DelayNs for Never {
        async fn delay_ns(&mut self, _ns: u32) {
            pending::<()>().await;
        }
    }
    let mut meter = Bl0942::new(line, Never, calibration());
    block_on(meter.read()).unwrap();
    assert!(poll_once(meter.read()).is_pending());
    meter.serial.script.extend([rest].into_iter().chain(asks(&packet(6))));
    meter.serial.arrive();
    assert_eq!(block_on(meter.read()).unwrap().energy_uwh, 2_000_000);
}

#[test]
fn address_and_line_frequency_are_in_what_is_sent() {
    // Of the address two bits count: the chip has two pins for it.
    for address in [3, 7] {
        let line = Line {
            script: VecDeque::from([
                Step::Wrote(vec![0xAB, 0x1D, 0x55, 0, 0, 0xE2]),
                Step::Wrote(vec![0xAB, 0x19, 0xA7, 0, 0, 0x94]),
                Step::Fails,
            ]),
            arrived: VecDeque::new(),
            chunk: 64,
        };
        let mut meter = Bl0942::new(line, CheckedDelay::new(&[]), calibration()).with_address(address);
        meter.set_line_frequency(LineFrequency::Hz60);
        assert_eq!(block_on(meter.read()), Err(Error::Bus(Broken)));
        let (line, mut delay) = meter.release();
        delay.done();
        assert!(line.script.is_empty());
    }
}

#[test]
fn a_correction_holds_from_the_next_reading_on() {
    let script = [set_up(), asks(&packet(0)), asks(&packet(0))].concat();
    let line = Line { script: script.into(), arrived: VecDeque::new(), chunk: 64 };
    let mut meter = Bl0942::new(line, CheckedDelay::new(&[]), calibration());
    let before = block_on(meter.read()).unwrap().voltage_mv;
    meter.correct(&Correction::new(-20_000, 0, -20_000).unwrap());
    let after = block_on(meter.read()).unwrap().voltage_mv;
    assert!(before > 200_000 && after.abs_diff(before - before / 50) <= 1, "{before}, {after}");
    meter.release().1.done();
}

#[test]
fn a_line_that_never_falls_silent_is_not_emptied_for_ever() {
    let mut script: Vec<Step> = SET_UP_WRITES.iter().map(|bytes| Step::Wrote(bytes.to_vec())).collect();
    script.extend([Step::Answers(vec![0; 300]), Step::Fails]);
    let line = Line { script: script.into(), arrived: VecDeque::new(), chunk: 1 };
    let mut meter = Bl0942::new(line, CheckedDelay::new(&[]), calibration());
    assert_eq!(block_on(meter.read()), Err(Error::Bus(Broken)));
    let (line, mut delay) = meter.release();
    delay.done();
    assert_eq!(line.arrived.len(), 300 - 256);
}

/// A serial line that takes everything and has come to its end.
#[derive(Debug)]
struct Closed;

impl ErrorType for Closed {
    type Error = Broken;
}

impl Read for Closed {
    async fn read(&mut self, _: &mut [u8]) -> Result<usize, Broken> {
        Ok(0)
    }
}

impl Write for Closed {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        Ok(bytes.len())
    }

    async fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

#[test]
fn a_closed_line_is_told_as_silence_and_nothing_hangs() {
    let mut meter = Bl0942::new(Closed, CheckedDelay::new(&[]), calibration());
    assert_eq!(block_on(meter.read()), Err(Error::TimeOut));
    meter.release().1.done();
}

fn any_counts() -> impl Strategy<Value = Counts> {
    const U24: core::ops::Range<u32> = 0..1 << 24;
    (U24, U24, U24, -(1 << 23)..1 << 23, U24, any::<u16>(), any::<u16>()).prop_map(
        |(i_rms, v_rms, i_fast_rms, watt, cf_cnt, freq, status)| Counts {
            i_rms,
            v_rms,
            i_fast_rms,
            watt,
            cf_cnt,
            freq,
            status,
        },
    )
}

/// Feeds bytes in chunks; tells the first outcome that is not [`Progress::More`].
fn assemble(bytes: &[u8], chunks: &[usize]) -> Progress {
    let mut assembler = Assembler::new(0);
    let mut chunks = chunks.iter().cycle();
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = assembler.space();
        assert!(!space.is_empty());
        let count = space.len().min(rest.len()).min((*chunks.next().unwrap()).max(1));
        space[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        match assembler.take(count) {
            Progress::More => {}
            done => return done,
        }
    }
    Progress::More
}

proptest! {
    #[test]
    fn law_what_a_chip_sends_is_read_as_it_was_meant(counts in any_counts(), address in 0..4_u8) {
        let bytes = counts.encode(address);
        prop_assert_eq!(Packet::new(&bytes, address).map(|packet| packet.counts()), Some(counts));
        for other in (0..4).filter(|&other| other != address) {
            prop_assert_eq!(Packet::new(&bytes, other), None);
        }
    }

    #[test]
    fn law_one_wrong_byte_is_noticed(counts in any_counts(), index in 0..PACKET_LEN, change in 1..=255_u8) {
        let mut bytes = counts.encode(0);
        bytes[index] ^= change;
        prop_assert_eq!(Packet::new(&bytes, 0), None);
    }

    #[test]
    fn law_a_packet_is_found_behind_bytes_that_hold_no_head(
        counts in any_counts(),
        garbage in proptest::collection::vec((0..=255_u8).prop_filter("no head", |&byte| byte != HEAD), 0..100),
        chunks in proptest::collection::vec(1..40_usize, 1..10),
    ) {
        let bytes = [&garbage[..], &counts.encode(0)].concat();
        prop_assert_eq!(assemble(&bytes, &chunks), Progress::Complete(counts));
    }

    #[test]
    fn law_no_input_panics_and_what_is_found_is_in_it(
        bytes in proptest::collection::vec(prop_oneof![Just(HEAD), any::<u8>()], 0..200),
        chunks in proptest::collection::vec(1..40_usize, 1..10),
    ) {
        if let Progress::Complete(counts) = assemble(&bytes, &chunks) {
            let found = bytes.windows(PACKET_LEN).any(|window| {
                Packet::new(window.try_into().unwrap(), 0).is_some_and(|packet| packet.counts() == counts)
            });
            prop_assert!(found);
        }
    }
}
