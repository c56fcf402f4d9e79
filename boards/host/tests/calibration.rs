//! A meter whose parts are 2 % off, and the calibration that makes up for them.
#![allow(missing_docs, reason = "tests")]

mod bench;
mod meter_off;

use bench::Bench;
use meter_off::{Shown, calibrate, put_parts};
use sockeye_host::device::Device as _;
use sockeye_host::report::Event;

fn shown(bench: &mut Bench) -> Shown {
    bench.act("load 3000W").run(60_000).forget().act("downlink 85 ff28ff").run(10_000);
    Shown::last(&bench.events)
}

#[test]
fn a_meter_that_is_2_percent_off_is_right_by_its_calibration_and_stays_so_after_a_factory_reset() {
    let mut bench = Bench::joined("");
    put_parts(bench.world.socket(0).unwrap().circuit());
    let without = shown(&mut bench);
    assert!(without.is_off(), "{without:?}");
    bench.act("power off").run(10_000);
    calibrate(bench.world.flash(0).unwrap(), 0..14 * 1024);
    bench.act("power on").run(60_000);
    let with = shown(&mut bench);
    assert!(with.is_true(), "{with:?}");
    let before_uwh = bench.world.status().energy_uwh;
    bench.run(3_600_000);
    let wh = (bench.world.status().energy_uwh - before_uwh) as f64 / 1e6;
    assert!((wh - 3000.0).abs() < 3.0, "{wh} Wh in an hour at 3 kW");
    bench.act("hold 11s").run(70_000);
    assert!(bench.when(|event| *event == Event::Reboot { cause: "factory_reset" }).is_some());
    let reset = shown(&mut bench);
    assert!(reset.is_true(), "{reset:?}");
}
