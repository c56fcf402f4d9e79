//! The trip curve as a picture, docs/trip-curve.svg: drawn from `TripCurve` itself, and held against what
//! behaviour.md asks for. `cargo xtask figures` writes it anew.
#![allow(missing_docs, reason = "tests")]

use std::ops::Range;
use std::path::PathBuf;

use plotters::prelude::*;
use sockeye_metering::TripCurve;

const RATED_A: u8 = 16;
const RATED_MA: u32 = RATED_A as u32 * 1000;
const HARD_LIMIT_MA: u32 = RATED_MA * 13 / 10;
/// The meter is read ten times a second (behaviour.md).
const SAMPLE_MS: u64 = 100;
/// How long a current is kept up before it counts as never tripping.
const PATIENCE_MS: u64 = 20_000;

/// How long a current flows until the relay is told to open, in ms, with the first sample so long after its beginning.
fn time_to_trip_ms(current_ma: u32, protection: bool, first_sample_ms: u64) -> Option<u64> {
    let mut curve = TripCurve::new(RATED_A);
    curve.set_protection(protection.then_some(RATED_A));
    let mut samples = (first_sample_ms..PATIENCE_MS).step_by(SAMPLE_MS as usize);
    samples.find(|now_ms| curve.sample(*now_ms, current_ma).trip.is_some())
}

/// The shortest and the longest time over all instants at which the first sample can be.
fn band_ms(current_ma: u32, protection: bool) -> Option<(u64, u64)> {
    let times: Option<Vec<u64>> =
        (0..SAMPLE_MS).step_by(9).map(|first| time_to_trip_ms(current_ma, protection, first)).collect();
    let times = times?;
    Some((*times.iter().min()?, *times.iter().max()?))
}

/// Currents from 80 % to 20 times the rated one, and those beside the limits.
fn currents_ma() -> Vec<u32> {
    let steps = (0..=140).map(|step| 0.8 * 25.0_f64.powf(f64::from(step) / 140.0));
    let mut all: Vec<u32> = steps.map(|factor| (f64::from(RATED_MA) * factor).round() as u32).collect();
    all.extend([RATED_MA - 1, RATED_MA, HARD_LIMIT_MA, HARD_LIMIT_MA + 1]);
    all.sort_unstable();
    all
}

/// For how long a current of that size must be let through, and after which time it must be off, in ms
/// (behaviour.md: at or above the threshold for 1 s; above 130 % of the rated current for 200 ms). The
/// current begins up to one sample before it is seen.
fn limits_ms(current_ma: u32, protection: bool) -> Option<(u64, u64)> {
    let limit_ms = match current_ma {
        over if over > HARD_LIMIT_MA => 200,
        over if over >= RATED_MA && protection => 1_000,
        _ => return None,
    };
    Some((limit_ms, limit_ms + SAMPLE_MS))
}

#[test]
fn the_curve_stays_out_of_the_areas_where_it_must_and_must_not_trip() {
    for protection in [true, false] {
        for current_ma in currents_ma() {
            match (band_ms(current_ma, protection), limits_ms(current_ma, protection)) {
                (Some((first_ms, last_ms)), Some((not_before_ms, at_latest_ms))) => assert!(
                    first_ms >= not_before_ms && last_ms <= at_latest_ms,
                    "{current_ma} mA: {first_ms} to {last_ms} ms"
                ),
                (None, None) => {}
                (found, wanted) => panic!("{current_ma} mA: {found:?}, wanted {wanted:?}"),
            }
        }
    }
}

#[test]
fn a_switch_on_current_of_ten_times_the_rated_one_for_100_ms_does_not_trip() {
    for first_ms in 0..SAMPLE_MS {
        let mut curve = TripCurve::new(RATED_A);
        curve.set_protection(Some(RATED_A));
        for now_ms in (first_ms..10_000).step_by(SAMPLE_MS as usize) {
            // The fast window of the meter shows it for 140 ms at the most.
            let current_ma = if now_ms < 140 { 10 * RATED_MA } else { RATED_MA / 2 };
            assert_eq!(curve.sample(now_ms, current_ma).trip, None, "first sample after {first_ms} ms");
        }
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/trip-curve.svg")
}

#[test]
fn the_picture_in_docs_is_what_the_code_draws() {
    let there =
        std::fs::read_to_string(file()).expect("docs/trip-curve.svg is missing: `cargo xtask figures`");
    assert!(there == picture(), "docs/trip-curve.svg is old: `cargo xtask figures` writes it anew");
}

#[test]
#[ignore = "writes docs/trip-curve.svg: `cargo xtask figures`"]
fn write_the_figure() {
    std::fs::write(file(), picture()).unwrap();
}

const AMPERES: Range<f64> = 12.0..320.0;
const SECONDS: Range<f64> = 0.05..30.0;
const MUST: RGBColor = RGBColor(244, 204, 204);
const MUST_NOT: RGBColor = RGBColor(217, 234, 211);
const CURVE: RGBColor = RGBColor(31, 78, 121);
const WITHOUT: RGBColor = RGBColor(180, 95, 6);

fn amperes(current_ma: u32) -> f64 {
    f64::from(current_ma) / 1000.0
}

fn seconds(time_ms: u64) -> f64 {
    time_ms as f64 / 1000.0
}

/// The two edges of what was measured, each from the current on at which it first trips.
fn edges(protection: bool) -> [Vec<(f64, f64)>; 2] {
    let bands: Vec<(u32, (u64, u64))> = currents_ma()
        .into_iter()
        .filter_map(|current_ma| Some((current_ma, band_ms(current_ma, protection)?)))
        .collect();
    let begin = bands.first().map(|(current_ma, _)| (amperes(*current_ma), SECONDS.end));
    let edge = |of: fn(&(u64, u64)) -> u64| {
        let points = bands.iter().map(|(current_ma, band)| (amperes(*current_ma), seconds(of(band))));
        begin.into_iter().chain(points).collect()
    };
    [edge(|band| band.0), edge(|band| band.1)]
}

fn picture() -> String {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, (900, 620)).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let title =
            format!("How long a current flows until the relay is told to open (EU model, {RATED_A} A)");
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 20))
            .margin(14)
            .set_label_area_size(LabelAreaPosition::Left, 60)
            .set_label_area_size(LabelAreaPosition::Bottom, 50)
            .build_cartesian_2d(AMPERES.log_scale(), SECONDS.log_scale())
            .unwrap();
        let (rated, hard) = (amperes(RATED_MA), amperes(HARD_LIMIT_MA));
        let [(protection_s, protected_s), (hard_s, cut_s)] =
            [RATED_MA, HARD_LIMIT_MA + 1].map(|current_ma| {
                let (not_before_ms, at_latest_ms) = limits_ms(current_ma, true).unwrap();
                (seconds(not_before_ms), seconds(at_latest_ms))
            });
        let (left, right, bottom, top) = (AMPERES.start, AMPERES.end, SECONDS.start, SECONDS.end);
        for (area, colour) in [
            ([(left, bottom), (rated, top)], MUST_NOT),
            ([(rated, bottom), (hard, protection_s)], MUST_NOT),
            ([(hard, bottom), (right, hard_s)], MUST_NOT),
            ([(rated, protected_s), (hard, top)], MUST),
            ([(hard, cut_s), (right, top)], MUST),
        ] {
            chart.draw_series([Rectangle::new(area, colour.filled())]).unwrap();
        }
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(190, 190, 190))
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|amperes| format!("{amperes} A"))
            .y_label_formatter(&|seconds| format!("{seconds} s"))
            .x_desc("current")
            .y_desc("time")
            .label_style(("sans-serif", 14))
            .draw()
            .unwrap();
        // Where both run, the one with protection is seen.
        for (protection, colour) in [(false, WITHOUT), (true, CURVE)] {
            for edge in edges(protection) {
                chart.draw_series([PathElement::new(edge, colour.stroke_width(2))]).unwrap();
            }
        }
        chart.draw_series([Circle::new((10.0 * rated, 0.1), 5, BLACK.filled())]).unwrap();
        for (text, at, colour) in [
            ("16 A", (rated * 1.01, 0.06), CURVE),
            ("20.8 A", (hard * 1.01, 0.06), CURVE),
            ("must trip", (70.0, 2.0), RED),
            ("must not trip", (18.0, 0.15), RGBColor(39, 78, 19)),
            ("switch-on current, 10 times for 100 ms", (78.0, 0.085), BLACK),
            ("protection at its default, 16 A for 1 s", (30.0, 18.0), CURVE),
            ("protection off: the hard limit alone, 130 % for 200 ms", (30.0, 13.0), WITHOUT),
        ] {
            let style = ("sans-serif", 15).into_font().color(&colour);
            chart.draw_series([Text::new(text, at, style)]).unwrap();
        }
        root.present().unwrap();
    }
    text
}
