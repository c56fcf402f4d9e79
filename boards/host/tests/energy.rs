//! The energy sum over power cuts, held against what truly went through the contact.
#![allow(missing_docs, reason = "tests")]

mod bench;

use bench::Bench;
use sockeye_host::device::Device as _;
use sockeye_host::report::Event;

/// What the meter's registers and pulses round away, and the calibration with them: one part in a thousand.
const METER_ERROR: f64 = 0.001;

/// The parts of a pulse that a reading does not show, and what the meter loses with its supply, in Wh.
const PULSE_WH: f64 = 0.002;

/// What 3.7 kW bring in the 0.15 s that a reading and a store may take, in Wh.
const ON_ITS_WAY_WH: f64 = 0.16;

/// A row of numbers that looks random (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn true_wh(bench: &Bench) -> f64 {
    bench.world.socket(0).unwrap().circuit().energy_wh()
}

fn shown_wh(bench: &Bench) -> f64 {
    bench.world.status().energy_uwh as f64 / 1e6
}

/// A life of random loads with random cuts; tells the greatest loss of a cut in Wh.
fn live(seed: u64, cuts: u32, monitored: bool, longest_s: u64) -> f64 {
    let mut random = Random(seed);
    let mut bench = Bench::joined(&format!("--seed {seed}"));
    bench.world.socket(0).unwrap().set_supply_monitor(monitored);
    let (mut greatest_wh, mut lost_wh): (f64, f64) = (0.0, 0.0);
    for cut in 0..cuts {
        for _ in 0..=random.below(3) {
            let permille = 300 + random.below(701);
            // At most 15.2 A: no overcurrent.
            let power_w = random.below(3_500) * permille / 1000;
            bench.act(&format!("load {power_w}W pf {}.{:03}", permille / 1000, permille % 1000));
            bench.run(random.below(longest_s * 1000));
        }
        assert!(bench.world.status().relay_on, "seed {seed}, cut {cut}: tripped");
        let before_wh = shown_wh(&bench);
        bench.act("power off");
        let true_at_cut_wh = true_wh(&bench);
        // Sometimes the mains is back before the capacitor is empty.
        bench.run(200 + random.below(6_000)).act("power on").act("load 0W").run(3_000);
        let after_wh = shown_wh(&bench);
        let what = format!("seed {seed}, cut {cut}: {before_wh} Wh before, {after_wh} Wh after");
        let loss_wh = before_wh - after_wh;
        if monitored {
            assert!(loss_wh <= 1.0, "{what}");
        } else {
            assert!(loss_wh <= 10.0 + ON_ITS_WAY_WH, "{what}");
        }
        // Never more than what truly went through.
        assert!(true_wh(&bench) - true_at_cut_wh < ON_ITS_WAY_WH, "{what}");
        assert!(
            after_wh <= true_wh(&bench) * (1.0 + METER_ERROR) + PULSE_WH,
            "{what}, truly {}",
            true_wh(&bench)
        );
        greatest_wh = greatest_wh.max(loss_wh);
        lost_wh += loss_wh.max(0.0);
    }
    // Nothing else is lost: over the whole life the sum is the truth less the losses of the cuts.
    let (truth_wh, shown_wh) = (true_wh(&bench), shown_wh(&bench));
    let least_wh = truth_wh * (1.0 - METER_ERROR) - lost_wh - f64::from(cuts) * (PULSE_WH + ON_ITS_WAY_WH);
    assert!(shown_wh >= least_wh, "seed {seed}: {shown_wh} Wh of {truth_wh} Wh, {lost_wh} Wh lost in cuts");
    assert_eq!(bench.world.watchdog_resets(), 0);
    greatest_wh
}

#[test]
fn law_with_a_supply_monitor_a_cut_loses_at_most_1_wh_and_never_adds_any() {
    let greatest_wh = (1..=10).map(|seed| live(seed, 30, true, 60)).fold(0.0, f64::max);
    println!("300 cuts with a supply monitor: at most {greatest_wh:.3} Wh lost in one");
}

#[test]
fn law_without_a_supply_monitor_a_cut_loses_at_most_10_wh_and_never_adds_any() {
    let greatest_wh = (1..=5).map(|seed| live(seed, 24, false, 60)).fold(0.0, f64::max);
    println!("120 cuts without a supply monitor: at most {greatest_wh:.3} Wh lost in one");
    assert!(greatest_wh > 8.0, "the supply monitor was there");
}

/// A small load never comes to 10 Wh: the quarter of an hour stores it.
#[test]
fn without_a_supply_monitor_a_small_load_loses_at_most_a_quarter_of_an_hour() {
    let mut random = Random(7);
    let mut bench = Bench::joined("");
    bench.world.socket(0).unwrap().set_supply_monitor(false);
    for cut in 0..6 {
        bench.act("load 12W").run(900_000 + random.below(1_200_000));
        let before_wh = shown_wh(&bench);
        bench.act("power off").run(5_000).act("power on").run(1_000);
        // 12 W for 15 min are 3 Wh.
        let loss_wh = before_wh - shown_wh(&bench);
        assert!((-0.01..=3.01).contains(&loss_wh), "cut {cut}: {loss_wh} Wh");
    }
}

#[test]
fn a_reset_of_the_energy_is_old_or_0_after_a_cut_at_any_instant_and_0_if_it_was_answered() {
    let (mut old, mut new) = (0, 0);
    for monitored in [true, false] {
        for offset_ms in (0..3_000).step_by(121) {
            let mut bench = Bench::joined("");
            bench.world.socket(0).unwrap().set_supply_monitor(monitored);
            bench.act("load 3000W").run(120_000).act("load 0W").run(1_000_000);
            let before_wh = shown_wh(&bench);
            bench.forget().act("downlink 85 ff27ff").run(offset_ms).act("power off").run(4_000);
            let is_answered = bench.uplinks().iter().any(|payload| payload.starts_with("fe27ff"));
            bench.act("power on").run(1_000);
            let after_wh = shown_wh(&bench);
            let what = format!("{offset_ms} ms: {before_wh} Wh, then {after_wh} Wh");
            let is_old = (after_wh - before_wh).abs() < 0.01;
            assert!(is_old || after_wh == 0.0, "{what}");
            assert!(!is_answered || after_wh == 0.0, "{what}, though it was answered");
            // Whatever it is, it stays.
            for _ in 0..2 {
                bench.act("power off").run(4_000).act("power on").run(40_000);
                let later_wh = shown_wh(&bench);
                assert!(later_wh == after_wh || (is_old && later_wh == 0.0), "{what}, later {later_wh} Wh");
            }
            *(if is_old { &mut old } else { &mut new }) += 1;
        }
    }
    assert!(old > 0 && new > 0, "{old} old, {new} new: the instants missed the reset");
}

#[test]
fn with_power_consumption_off_the_sum_stands_still_through_cuts() {
    let mut bench = Bench::joined("");
    bench.act("load 3000W").run(60_000).act("downlink 85 ff2600").run(20_000);
    let shown = shown_wh(&bench);
    for _ in 0..5 {
        bench.run(30_000).act("power off").run(4_000).act("power on").run(5_000);
        assert!(shown_wh(&bench).to_bits() == shown.to_bits(), "{} Wh, before {shown} Wh", shown_wh(&bench));
    }
    assert!(bench.when(|event| matches!(event, Event::Power { on: false })).is_some());
}
