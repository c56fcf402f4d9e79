//! How long a day of a Class C socket takes here.

use std::time::Instant;

use sockeye_host::report::Event;

use crate::bench::Bench;
use crate::image::Board;
use crate::on_both;
use crate::span::runs;

/// Minutes between two commands; a report comes as often.
const STEP_MIN: u64 = 20;

/// Minutes before the first command.
const FIRST_MIN: u64 = 5;

/// How many steps the socket lives: a day at the most.
fn steps() -> u64 {
    runs(1).min(24 * 60 / STEP_MIN)
}

fn a_class_c_day_goes_by<B: Board>() {
    let begun = Instant::now();
    let mut bench = Bench::<B>::new("--seed 1");
    // Five minutes on the commands come far from the reports, and from the link checks, which move on by a minute in a day: a radio
    // that sends hears nothing, and a frame that has begun to come is lost.
    bench.act("load 1500W").run(FIRST_MIN * 60_000);
    for _ in 0..steps() {
        let (begun_ms, told) = (bench.now_us() / 1000, bench.events.len());
        bench.act("downlink 85 080100ff").run(STEP_MIN * 60_000);
        let step = bench.events.get(told..).unwrap_or_default();
        if !step.iter().any(|(_, event)| matches!(event, Event::Downlink { .. })) {
            let sent = bench.events.iter().filter(|(_, event)| matches!(event, Event::Uplink { .. }));
            let near: Vec<_> =
                sent.map(|(t_ms, _)| *t_ms).filter(|t_ms| t_ms.abs_diff(begun_ms) < 60_000).collect();
            println!(
                "{}: the command at {begun_ms} ms was not heard; uplinks near it at {near:?} ms",
                B::NAME
            );
        }
    }
    let count = |is: fn(&Event) -> bool| bench.events.iter().filter(|(_, event)| is(event)).count() as u64;
    let uplinks = count(|event| matches!(event, Event::Uplink { .. }));
    let heard = count(|event| matches!(event, Event::Downlink { .. }));
    let (half_words, slices) =
        bench.socket().with_machine(|machine| (machine.half_words(), machine.slices())).unwrap();
    println!(
        "{}: {} min of a Class C socket in {:.1} s of this computer: {uplinks} uplinks, {heard} downlinks, \
         {:.2} thousand million half-words of code, {:.1} million starts of the engine",
        B::NAME,
        FIRST_MIN + steps() * STEP_MIN,
        begun.elapsed().as_secs_f64(),
        half_words as f64 / 1e9,
        slices as f64 / 1e6,
    );
    assert!(uplinks >= steps() && heard >= steps(), "{uplinks} uplinks, {heard} downlinks");
    bench.is_clean("day");
}

on_both! {
    a_class_c_day_goes_by
}
