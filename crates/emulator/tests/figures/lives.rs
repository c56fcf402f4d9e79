//! Long lives: a day with supply cuts, and how much of the RAM is used.

use sockeye_host::report::Event;
use sockeye_virtual_hardware::flash::Cut;

use crate::bench::Bench;
use crate::image::Board;
use crate::on_both;
use crate::span::{Random, runs};

/// A day's cuts, each with the supply's fall; every tenth tears a flash operation.
fn a_day_with_cuts_at_random_moments<B: Board>() {
    let cuts = runs(30);
    // A thousand make a day.
    let mean_ms = 86_400;
    let mut random = Random::new(1);
    let mut bench = Bench::<B>::new("--seed 5");
    bench.act("load 500W");
    let (mut torn, mut relay_on, mut energy_uwh) = (0, true, 0);
    for cut in 1..=cuts {
        let life_ms = random.below(2 * mean_ms);
        bench.run(life_ms);
        if random.below(3) == 0 {
            bench.act("press").run(random.below(400));
        }
        if cut.is_multiple_of(10) {
            bench.outside().flash.cut_after(random.below(3), Cut::Inside { seed: cut });
            torn += 1;
        }
        bench.act("power off").run(2_100 + random.below(3_000));
        let is_cut = bench.socket().with_machine(|_| ()).is_none();
        assert!(is_cut, "cut {cut}: the supply is still there");
        bench.outside().flash.power_on();
        // The button may still have moved it while the capacitor lasted.
        let was_on = bench.relays().last().map_or(relay_on, |(_, on, _)| on);
        bench.events.clear();
        bench.act("power on").run(1_000);
        let starts: Vec<_> = bench.relays().filter(|(_, _, cause)| *cause == "power_up").collect();
        assert_eq!(starts.len(), 1, "cut {cut}: {:?}", bench.events);
        // The state before the cut, unless its store was torn.
        if !cut.is_multiple_of(10) {
            assert_eq!(starts[0].1, was_on, "cut {cut}");
        }
        relay_on = starts[0].1;
        let errors: Vec<_> =
            bench.events.iter().filter(|(_, event)| matches!(event, Event::Error { .. })).collect();
        assert!(errors.is_empty(), "cut {cut}: {errors:?}");
        bench.is_clean(&format!("cut {cut}"));
        energy_uwh = bench.world.status().energy_uwh.max(energy_uwh);
    }
    // It goes on: it joins or resumes, and obeys.
    bench.run(120_000).events.clear();
    bench.act(if relay_on { "downlink 85 080000ff" } else { "downlink 85 080100ff" }).run(20_000);
    assert_eq!(bench.relays().filter(|(_, _, cause)| *cause == "downlink").count(), 1, "{:?}", bench.events);
    println!(
        "{}: {cuts} supply cuts at random moments of {:.1} hours, {torn} of them inside a flash operation: starts each time",
        B::NAME,
        bench.now_us() as f64 / 3.6e9
    );
}

fn the_stack_stays_within_its_bounds<B: Board>() {
    let mut bench = Bench::<B>::new("--seed 9");
    let before = bench.stack();
    bench.act("load 1000W").run(60_000);
    for command in
        ["ff2cff", "ff033c00ff2f00ff250080ff27ff", "ff28ff", "080000ff", "080100ff", "ff220100000011"]
    {
        bench.act(&format!("downlink 85 {command} confirmed")).run(15_000);
    }
    bench.act("nfc read").run(20_000);
    let read = |(_, event): &(u64, Event)| matches!(event, Event::Nfc { result, .. } if result == "done");
    assert!(bench.events.iter().any(read), "{:?}", bench.events);
    bench.act("press").run(5_000).act("load 9000W").run(5_000).act("load 0W").act("hold 11s").run(90_000);
    let statics = bench.image.symbol("__euninit").unwrap() - 0x2000_0000;
    println!(
        "{}: stack {} of {} bytes, one for all executors and handlers; static data {statics} bytes",
        B::NAME,
        bench.stack_used(&before),
        before.len()
    );
    bench.is_clean("stack");
}

on_both! {
    a_day_with_cuts_at_random_moments
    the_stack_stays_within_its_bounds
}
