//! From the first reading above the hard limit to the relay's pin.

use sockeye_virtual_hardware::st25dv::BusFault;
use sockeye_virtual_hardware::sx126x::Fault;

use crate::bench::Bench;
use crate::image::Board;
use crate::on_both;
use crate::span::{Random, Span, runs};

/// 10 A rated, so the hard limit is 13 A.
const AU: &str = "--model AU";

/// behaviour.md: 200 ms; and 150 ms for reading and deciding.
const LIMIT_MS: i64 = 350;

/// What the chip's fast RMS shows at 13 A of 230 V: in proportion to a load that does not trip.
fn limit_counts<B: Board>() -> u32 {
    let mut bench = Bench::<B>::new(AU);
    bench.act("load 1000W").run(3_000);
    let counts = bench.outside().circuit.with_meter(|_, meter| meter.counts().i_fast_rms);
    assert!(counts > 100_000, "{counts}");
    (u64::from(counts) * 2990 / 1000) as u32
}

/// The fast RMS current of a packet (BL0942 data sheet, full packet), if it is one.
fn fast_current(answer: &[u8]) -> Option<u32> {
    let &[0x55, _, _, _, _, _, _, low, middle, high, ..] = answer else { return None };
    Some(u32::from_le_bytes([low, middle, high, 0]))
}

/// Lets the load jump over the hard limit now. Tells the time from the end of the first answer that shows it to the
/// relay's pin, and that from the jump, in µs.
fn trip<B: Board>(bench: &mut Bench<B>, limit: u32, what: &str) -> (i64, i64) {
    bench.events.clear();
    let jump_us = bench.now_us();
    bench.act("load 3500W");
    let mut seen_us = None;
    while bench.relays().next().is_none() {
        bench.run(1);
        let over_us = bench.outside().circuit.with_meter(|_, meter| {
            let is_over = meter.answer_under_way().and_then(fast_current).is_some_and(|fast| fast > limit);
            meter.answered_us().filter(|_| is_over)
        });
        seen_us = seen_us.or(over_us);
        assert!(bench.now_us() < jump_us + 2_000_000, "{what}: no trip after 2 s");
    }
    let relay: Vec<_> = bench.relays().collect();
    let [(_, false, "hard_limit")] = relay[..] else { panic!("{what}: {relay:?}") };
    let off_us = bench.socket().relay_set_us().unwrap();
    bench.is_clean(what);
    let since = |from_us: u64| off_us.cast_signed() - from_us.cast_signed();
    (since(seen_us.unwrap()), since(jump_us))
}

/// How often a socket trips before the next one is plugged in: most of the work is to start and to join.
const TRIPS_A_LIFE: u64 = 50;

/// A situation, and how it is come by.
struct Situation<B: Board> {
    what: &'static str,
    /// Plugs a socket in.
    start: fn(u64) -> Bench<B>,
    /// Goes on to a random moment of the situation.
    approach: fn(&mut Bench<B>, &mut Random),
    /// What it supplies power again after a trip, and how long it is then left alone, in ms (a quarter of it before).
    reset: (&'static str, u64),
}

impl<B: Board> Situation<B> {
    fn check(&self, count: u64) {
        let (what, limit, (reset, rest_ms)) = (self.what, limit_counts::<B>(), self.reset);
        let (mut from_reading, mut from_jump) = (Span::NONE, Span::NONE);
        let mut random = Random::new(1);
        let mut starts = 0;
        while from_reading.count < count {
            starts += 1;
            let mut bench = (self.start)(starts);
            for nth in 1..=TRIPS_A_LIFE.min(count - from_reading.count) {
                if nth > 1 {
                    bench.act("load 1000W").run(rest_ms / 4);
                    // A command is not heard while a report goes out.
                    for _ in 0..3 {
                        if !bench.relays().any(|(_, on, _)| on) {
                            bench.act(reset).run(rest_ms);
                        }
                    }
                    assert!(
                        bench.relays().any(|(_, on, _)| on),
                        "{what}, start {starts}: {:?}",
                        bench.events
                    );
                }
                (self.approach)(&mut bench, &mut random);
                let (seen_us, jump_us) =
                    trip(&mut bench, limit, &format!("{what}, start {starts}, trip {nth}"));
                assert!(seen_us <= LIMIT_MS * 1000, "{what}, start {starts}, trip {nth}: {seen_us} µs");
                from_reading.take(seen_us);
                from_jump.take(jump_us);
            }
        }
        println!(
            "{}: hard limit {what}: pin {:.1} to {:.1} ms after the first reading over it (at most {LIMIT_MS}), \
             at most {:.1} ms after the load's jump; {count} random moments, {starts} new sockets",
            B::NAME,
            from_reading.least as f64 / 1000.0,
            from_reading.most as f64 / 1000.0,
            from_jump.most as f64 / 1000.0,
        );
    }
}

/// A socket that has joined, with some load.
fn joined<B: Board>(seed: u64) -> Bench<B> {
    let mut bench = Bench::joined(seed, AU);
    bench.act("load 1000W").run(5_000);
    bench
}

fn the_hard_limit_while_joining<B: Board>() {
    Situation::<B> {
        what: "while joining",
        start: |seed| {
            let mut bench = Bench::new(&format!("--seed {seed} {AU}"));
            bench.run(5_000);
            bench
        },
        // Factory reset: it starts anew, and joins within the next 40 s.
        approach: |bench, random| {
            bench.events.clear();
            bench.act("hold 11s").run(12_500);
            let resets = bench.reboots();
            assert_eq!(resets, 1, "{:?}", bench.events);
            bench.run(random.below(39_000));
        },
        reset: ("press", 2_000),
    }
    .check(runs(8));
}

fn the_hard_limit_in_the_receive_windows<B: Board>() {
    Situation::<B> {
        what: "in RX1 and RX2",
        start: joined,
        approach: |bench, random| {
            bench.act("downlink 85 ff28ff confirmed").run(random.below(6_000));
        },
        reset: ("press", 20_000),
    }
    .check(runs(8));
}

fn the_hard_limit_while_settings_are_written<B: Board>() {
    Situation::<B> {
        what: "while settings are written",
        start: joined,
        approach: |bench, random| {
            // Interval, LED, button lock and energy: records of all of them go to flash within a second.
            let (interval_s, led) = (60 + random.below(190), random.below(2));
            bench.act(&format!("downlink 85 ff03{interval_s:02x}00ff2f{led:02x}ff250080ff27ff"));
            bench.run(random.below(4_000));
        },
        // The button is locked.
        reset: ("downlink 85 080100ff", 20_000),
    }
    .check(runs(8));
}

fn the_hard_limit_with_a_tag_whose_bus_is_stuck<B: Board>() {
    Situation::<B> {
        what: "with the tag's bus stuck",
        start: |seed| {
            let bench = joined(seed);
            bench.outside().tag.set_fault(BusFault::Stuck);
            bench
        },
        // A phone comes, and the socket tries to read what it wrote.
        approach: |bench, random| {
            bench.act("nfc read").run(random.below(3_000));
        },
        reset: ("press", 8_000),
    }
    .check(runs(8));
}

fn the_hard_limit_with_a_radio_that_does_not_answer<B: Board>() {
    Situation::<B> {
        what: "with the radio silent",
        start: |seed| {
            let bench = joined(seed);
            bench.outside().radio.with(|chip| chip.inject(Fault::BusyStuck));
            bench
        },
        approach: |bench, random| {
            bench.run(random.below(1_000));
        },
        // Short: it is awake all the time and asks for BUSY, which takes the emulator long. It tries again every 5 s or sooner, at any
        // distance from the trips.
        reset: ("press", 800),
    }
    .check(runs(8));
}

on_both! {
    the_hard_limit_while_joining
    the_hard_limit_in_the_receive_windows
    the_hard_limit_while_settings_are_written
    the_hard_limit_with_a_tag_whose_bus_is_stuck
    the_hard_limit_with_a_radio_that_does_not_answer
}
