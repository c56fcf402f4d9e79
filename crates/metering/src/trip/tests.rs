use proptest::prelude::*;
use std::vec::Vec;

use super::*;

/// What is expected of a sample, by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Alarm,
    Protection(u32),
    HardLimit(u32),
}

/// Feeds samples (ms, mA) into the curve of a 10 A socket, and compares all that it says.
fn check(protection_a: Option<u8>, alarm_a: Option<u8>, samples: &[(u64, u32)], expected: &[(u64, Is)]) {
    let mut curve = TripCurve::new(10);
    curve.set_protection(protection_a);
    curve.set_alarm(alarm_a);
    let mut said = Vec::new();
    for &(now_ms, current_ma) in samples {
        let verdict = curve.sample(now_ms, current_ma);
        if verdict.alarm {
            said.push((now_ms, Is::Alarm));
        }
        match verdict.trip {
            Some(Trip { cause: Cause::Protection, current_ma }) => {
                said.push((now_ms, Is::Protection(current_ma)))
            }
            Some(Trip { cause: Cause::HardLimit, current_ma }) => {
                said.push((now_ms, Is::HardLimit(current_ma)))
            }
            None => {}
        }
    }
    assert_eq!(said, expected, "protection {protection_a:?}, alarm {alarm_a:?}, samples {samples:?}");
}

/// A sample each 100 ms from `from_ms` to before `to_ms`.
fn steady(from_ms: u64, to_ms: u64, current_ma: u32) -> Vec<(u64, u32)> {
    (from_ms..to_ms).step_by(100).map(|now_ms| (now_ms, current_ma)).collect()
}

#[test]
fn protection_trips_after_a_second_at_the_threshold() {
    let at = |current_ma, last_ms| [steady(0, 1000, current_ma), [(last_ms, current_ma)].to_vec()].concat();
    check(Some(10), None, &at(10_000, 1000), &[(1000, Is::Protection(10_000))]);
    check(Some(10), None, &at(10_000, 999), &[]);
    check(Some(10), None, &at(9_999, 1000), &[]);
    // Issue 2: 2600 W at 230 V on a model AU.
    check(Some(10), None, &at(11_304, 1000), &[(1000, Is::Protection(11_304))]);
    check(None, None, &at(11_304, 1000), &[]);
    check(Some(1), None, &at(1_000, 1000), &[(1000, Is::Protection(1_000))]);
}

#[test]
fn one_sample_below_the_threshold_begins_the_second_anew() {
    let samples = [steady(0, 1000, 11_000), steady(1000, 1100, 9_000), steady(1100, 2200, 11_000)].concat();
    check(Some(10), None, &samples, &[(2100, Is::Protection(11_000))]);
}

#[test]
fn the_hard_limit_trips_above_130_percent_for_200_ms_whatever_is_set() {
    for protection in [None, Some(10)] {
        check(
            protection,
            None,
            &[(0, 13_001), (100, 13_001), (200, 14_000)],
            &[(200, Is::HardLimit(14_000))],
        );
        check(protection, None, &[(0, 13_001), (100, 13_001), (199, 14_000)], &[]);
        check(protection, None, &[(0, 13_000), (100, 13_000), (200, 13_000)], &[]);
        check(protection, None, &[(0, 14_000), (100, 13_000), (200, 14_000), (300, 14_000)], &[]);
    }
}

#[test]
fn the_hard_limit_is_that_of_the_model() {
    for rated_a in [10, 13, 15, 16_u8] {
        let limit_ma = u32::from(rated_a) * 1300;
        let mut curve = TripCurve::new(rated_a);
        for (current_ma, trips) in [(limit_ma, false), (limit_ma + 1, true)] {
            assert_eq!(curve.sample(0, current_ma).trip, None);
            let trip = Trip { cause: Cause::HardLimit, current_ma };
            assert_eq!(curve.sample(200, current_ma).trip, trips.then_some(trip), "{rated_a} A");
            curve.relay_opened();
        }
    }
}

#[test]
fn the_hard_limit_is_named_when_the_protection_trips_with_the_same_sample() {
    let samples = [steady(0, 800, 12_000), steady(800, 1100, 14_000)].concat();
    check(Some(10), None, &samples, &[(1000, Is::HardLimit(14_000))]);
}

#[test]
fn a_trip_is_demanded_again_until_the_current_stops() {
    let samples = [steady(0, 500, 14_000), steady(500, 700, 0)].concat();
    let hard = Is::HardLimit(14_000);
    check(None, None, &samples, &[(200, hard), (300, hard), (400, hard)]);
}

#[test]
fn missing_samples_count_as_their_neighbours_up_to_2_seconds() {
    check(Some(10), None, &[(0, 11_000), (2000, 11_000)], &[(2000, Is::Protection(11_000))]);
    check(Some(10), None, &[(0, 11_000), (2001, 11_000)], &[]);
    check(Some(10), None, &[(0, 11_000), (2001, 11_000), (3001, 11_000)], &[(3001, Is::Protection(11_000))]);
    check(None, None, &[(0, 14_000), (2000, 14_000)], &[(2000, Is::HardLimit(14_000))]);
    check(None, None, &[(0, 14_000), (2001, 14_000), (2100, 14_000)], &[]);
}

#[test]
fn the_alarm_comes_with_the_second_reading_in_a_row() {
    check(None, Some(10), &[(0, 10_000), (100, 9_999), (200, 10_000)], &[]);
    check(None, Some(10), &[(0, 10_000), (100, 10_000), (200, 10_000), (300, 12_000)], &[(100, Is::Alarm)]);
    check(None, Some(10), &[(0, 10_000), (2001, 10_000), (2100, 10_000)], &[(2100, Is::Alarm)]);
    check(None, None, &[(0, 10_000), (100, 10_000)], &[]);
}

#[test]
fn the_alarm_comes_again_only_after_5_s_at_5_percent_below() {
    let again = |low_ma, low_until_ms: u64| {
        let high = low_until_ms + 100;
        [steady(0, 200, 10_000), steady(200, low_until_ms + 1, low_ma), steady(high, high + 200, 10_000)]
            .concat()
    };
    check(None, Some(10), &again(9_500, 5_200), &[(100, Is::Alarm), (5_400, Is::Alarm)]);
    check(None, Some(10), &again(9_500, 5_100), &[(100, Is::Alarm)]);
    check(None, Some(10), &again(9_501, 9_000), &[(100, Is::Alarm)]);
    check(None, Some(10), &again(0, 5_200), &[(100, Is::Alarm), (5_400, Is::Alarm)]);
}

#[test]
fn a_new_threshold_counts_from_the_next_sample_and_the_same_one_changes_nothing() {
    for (second_a, trips_at_ms) in [(10, 1000), (9, 1500)] {
        let mut curve = TripCurve::new(10);
        curve.set_protection(Some(10));
        let mut first_trip_ms = None;
        for (now_ms, current_ma) in steady(0, 2000, 11_000) {
            if now_ms == 500 {
                curve.set_protection(Some(second_a));
            }
            if curve.sample(now_ms, current_ma).trip.is_some() {
                first_trip_ms = first_trip_ms.or(Some(now_ms));
            }
        }
        assert_eq!(first_trip_ms, Some(trips_at_ms), "then {second_a} A");
    }
}

#[test]
fn a_new_alarm_threshold_may_alarm_with_its_second_reading() {
    for (second_a, want_ms) in [(10, &[100][..]), (9, &[100, 600])] {
        let mut curve = TripCurve::new(10);
        curve.set_alarm(Some(10));
        let mut alarms_ms = Vec::new();
        for (now_ms, current_ma) in steady(0, 1000, 11_000) {
            if now_ms == 500 {
                curve.set_alarm(Some(second_a));
            }
            if curve.sample(now_ms, current_ma).alarm {
                alarms_ms.push(now_ms);
            }
        }
        assert_eq!(alarms_ms, want_ms, "then {second_a} A");
    }
}

#[test]
fn after_the_relay_opened_every_limit_has_its_whole_time_again() {
    let mut curve = TripCurve::new(10);
    curve.set_protection(Some(10));
    for (now_ms, current_ma) in steady(0, 1000, 12_000) {
        assert_eq!(curve.sample(now_ms, current_ma).trip, None);
    }
    curve.relay_opened();
    for (now_ms, current_ma) in steady(1000, 2000, 12_000) {
        assert_eq!(curve.sample(now_ms, current_ma).trip, None, "at {now_ms} ms");
    }
    assert!(curve.sample(2000, 12_000).trip.is_some());
}

/// Samples with their times, 1 to 2300 ms apart, with currents around every limit of a 10 A socket.
fn samples() -> impl Strategy<Value = Vec<(u64, u32)>> {
    let gap_ms = prop_oneof![6 => 90..110_u64, 2 => 1..400_u64, 1 => 999..1300_u64, 1 => 1999..2300_u64];
    let current_ma =
        prop_oneof![0..2_000_u32, 9_400..10_100_u32, 12_990..13_010_u32, Just(11_000), 0..200_000_u32];
    let burst = (proptest::collection::vec(gap_ms, 1..20), current_ma, any::<bool>());
    proptest::collection::vec(burst, 1..12).prop_map(|bursts| {
        let mut now_ms = 0;
        let mut samples = Vec::new();
        for (gaps_ms, current_ma, flat) in bursts {
            for gap_ms in gaps_ms {
                now_ms += gap_ms;
                let ripple = if flat { 0 } else { (now_ms % 7) as u32 };
                samples.push((now_ms, current_ma + ripple));
            }
        }
        samples
    })
}

/// The rule itself, looked up in all samples: for how long `holds` has held at sample `index`.
fn held_ms(samples: &[(u64, u32)], index: usize, holds: impl Fn(u32) -> bool) -> Option<u64> {
    let (now_ms, current_ma) = samples[index];
    holds(current_ma).then_some(())?;
    let mut first = index;
    while first > 0 && holds(samples[first - 1].1) && samples[first].0 - samples[first - 1].0 <= 2000 {
        first -= 1;
    }
    Some(now_ms - samples[first].0)
}

proptest! {
    #[test]
    fn law_it_trips_exactly_when_it_must(samples in samples(), protection_a in proptest::option::of(1..=10_u8)) {
        let mut curve = TripCurve::new(10);
        curve.set_protection(protection_a);
        for (index, &(now_ms, current_ma)) in samples.iter().enumerate() {
            let hard = held_ms(&samples, index, |ma| ma > 13_000).is_some_and(|ms| ms >= 200);
            let over = |ma| protection_a.is_some_and(|a| ma >= u32::from(a) * 1000);
            let protection = held_ms(&samples, index, over).is_some_and(|ms| ms >= 1000);
            let cause = if hard { Some(Cause::HardLimit) } else { protection.then_some(Cause::Protection) };
            let expected = cause.map(|cause| Trip { cause, current_ma });
            prop_assert_eq!(curve.sample(now_ms, current_ma).trip, expected, "sample {} at {} ms", index, now_ms);
        }
    }

    #[test]
    fn law_an_alarm_needs_two_readings_and_5_s_below_before_it(samples in samples(), alarm_a in 1..=10_u8) {
        let mut curve = TripCurve::new(10);
        curve.set_alarm(Some(alarm_a));
        let threshold_ma = u32::from(alarm_a) * 1000;
        let mut armed = true;
        for (index, &(now_ms, current_ma)) in samples.iter().enumerate() {
            armed |= held_ms(&samples, index, |ma| ma * 100 <= threshold_ma * 95).is_some_and(|ms| ms >= 5000);
            let in_a_row = index > 0
                && now_ms - samples[index - 1].0 <= 2000
                && samples[index - 1].1 >= threshold_ma
                && current_ma >= threshold_ma;
            let expected = armed && in_a_row;
            armed &= !expected;
            prop_assert_eq!(curve.sample(now_ms, current_ma).alarm, expected, "sample {} at {} ms", index, now_ms);
        }
    }

    /// Ten times the rated current for 100 ms, seen through the meter's window of one cycle (the last
    /// complete one: 40 ms more), then a load below every limit; samples at any times.
    #[test]
    fn law_a_switch_on_current_never_trips(
        rated_a in 10..=16_u8,
        starts_ms in 0..2_000_u64,
        gaps_ms in proptest::collection::vec(1..300_u64, 20..60),
        load_ma in 0..9_999_u32,
    ) {
        let mut curve = TripCurve::new(rated_a);
        curve.set_protection(Some(rated_a));
        let mut now_ms = 0;
        for gap_ms in gaps_ms {
            now_ms += gap_ms;
            let current_ma = match now_ms.checked_sub(starts_ms) {
                None => 0,
                Some(0..140) => u32::from(rated_a) * 10_000,
                Some(_) => load_ma,
            };
            prop_assert_eq!(curve.sample(now_ms, current_ma).trip, None);
        }
    }

    #[test]
    fn law_no_time_and_no_current_panics(samples in proptest::collection::vec(any::<(u64, u32)>(), 0..50), a: u8) {
        let mut curve = TripCurve::new(a);
        curve.set_protection(Some(a));
        curve.set_alarm(Some(a));
        for (now_ms, current_ma) in samples {
            curve.sample(now_ms, current_ma);
        }
    }
}
