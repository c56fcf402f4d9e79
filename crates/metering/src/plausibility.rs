//! Readings that cannot be true.

use crate::Reading;

/// Why a reading cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implausible {
    /// No voltage, while the socket lives from it.
    NoVoltage,
    /// A voltage or a current beyond what the mains and any load can bring.
    OutOfRange,
    /// The voltage jumped, and no second reading has confirmed it yet.
    Jump,
    /// More active power than voltage times current.
    PowerAboveApparent,
    /// More energy than could have flowed since the last good reading.
    Energy,
}

/// Drops readings that cannot be true (behaviour.md, "Metering and protection"), and counts them.
///
/// A voltage jump is dropped once; a second reading near the first is taken as the truth. Only the voltage
/// is held to jumps: a load may take its current from nothing to ten times the rated one at once.
#[derive(Clone, Debug)]
pub struct Plausibility {
    max_current_ma: u32,
    last: Option<Accepted>,
    /// The voltage of a jump that waits for a second reading.
    jumped_to_mv: Option<u32>,
    dropped: u32,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    at_ms: u64,
    voltage_mv: u32,
}

impl Plausibility {
    /// Below this voltage the socket's own supply does not run: 20 V. A choice of ours, far below a brownout.
    pub const MIN_VOLTAGE_MV: u32 = 20_000;
    /// Above this voltage the mains do not go, even with a lost neutral between 400 V phases: 500 V.
    pub const MAX_VOLTAGE_MV: u32 = 500_000;
    /// What P may be above V·I: 5 % for the errors of three measured values …
    const POWER_ERROR_PERCENT: u64 = 5;
    /// … and 2 W, for the last digits of a small load.
    const POWER_ERROR_UW: u64 = 2_000_000;

    /// Makes a filter for a socket of this rated current in A.
    #[must_use]
    pub fn new(rated_current_a: u8) -> Self {
        Self {
            // Ten times the rated current is a switch-on current (behaviour.md); half as much again is none.
            max_current_ma: u32::from(rated_current_a).saturating_mul(15_000),
            last: None,
            jumped_to_mv: None,
            dropped: 0,
        }
    }

    /// Looks at a reading; only one that passes may be acted on or summed.
    ///
    /// # Errors
    /// Why the reading cannot be true. It has been counted.
    pub fn check(&mut self, now_ms: u64, reading: &Reading) -> Result<(), Implausible> {
        let result = self.judge(now_ms, reading);
        match result {
            Ok(()) => self.last = Some(Accepted { at_ms: now_ms, voltage_mv: reading.voltage_mv }),
            Err(_) => self.dropped = self.dropped.saturating_add(1),
        }
        result
    }

    /// Tells how many readings have been dropped.
    #[must_use]
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    fn judge(&mut self, now_ms: u64, reading: &Reading) -> Result<(), Implausible> {
        let expected_jump_mv = self.jumped_to_mv.take();
        if reading.voltage_mv < Self::MIN_VOLTAGE_MV {
            return Err(Implausible::NoVoltage);
        }
        let current_ma = reading.current_ma.max(reading.fast_current_ma);
        if reading.voltage_mv > Self::MAX_VOLTAGE_MV || current_ma > self.max_current_ma {
            return Err(Implausible::OutOfRange);
        }
        // With the greater of the two currents: at a switch-on the power may show before the slow current does,
        // and a reading dropped for that would keep an overload from the trip curve.
        // V·I in mV·mA is µVA; P in µW; both below 2^64.
        let apparent_uva = u64::from(reading.voltage_mv).saturating_mul(u64::from(current_ma));
        // Both sides times 100, as wide divisions take long.
        let limit = apparent_uva
            .saturating_mul(100 + Self::POWER_ERROR_PERCENT)
            .saturating_add(100 * Self::POWER_ERROR_UW);
        if u64::from(reading.power_mw).saturating_mul(100 * 1000) > limit {
            return Err(Implausible::PowerAboveApparent);
        }
        let Some(last) = self.last else { return Ok(()) };
        let confirmed = expected_jump_mv.is_some_and(|mv| is_near(reading.voltage_mv, mv, 4));
        if !is_near(reading.voltage_mv, last.voltage_mv, 2) && !confirmed {
            self.jumped_to_mv = Some(reading.voltage_mv);
            return Err(Implausible::Jump);
        }
        if self.is_too_much(reading.energy_uwh, now_ms.saturating_sub(last.at_ms)) {
            return Err(Implausible::Energy);
        }
        Ok(())
    }

    /// Tells whether energy is more than can have flowed: highest voltage times highest current for the time, and 1 Wh for
    /// the meter's pulses, which bundle energy from before.
    fn is_too_much(&self, energy_uwh: u32, elapsed_ms: u64) -> bool {
        const PULSES_UWH: u32 = 1_000_000;
        const MAX_VOLTAGE_V: u32 = Plausibility::MAX_VOLTAGE_MV / 1000;
        // µWh · 3600 = mW · ms. Not divided: wide divisions take long.
        let most_mw = u64::from(MAX_VOLTAGE_V).saturating_mul(u64::from(self.max_current_ma));
        u64::from(energy_uwh.saturating_sub(PULSES_UWH)).saturating_mul(3600)
            > most_mw.saturating_mul(elapsed_ms)
    }
}

/// Tells whether `value` differs from `from` by less than a `part`-th of it.
fn is_near(value: u32, from: u32, part: u32) -> bool {
    value.abs_diff(from) < from.checked_div(part).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: Reading = Reading {
        voltage_mv: 230_000,
        current_ma: 10_000,
        power_mw: 2_300_000,
        energy_uwh: 64_000,
        fast_current_ma: 10_000,
    };

    /// Readings 100 ms apart, behind a good one, on a 16 A socket.
    fn check(readings: &[(Reading, Result<(), Implausible>)]) {
        let mut filter = Plausibility::new(16);
        assert_eq!(filter.check(0, &GOOD), Ok(()));
        let mut dropped = 0;
        for (index, (reading, expected)) in readings.iter().enumerate() {
            let now_ms = (index as u64 + 1) * 100;
            assert_eq!(filter.check(now_ms, reading), *expected, "{index}: {reading:?}");
            dropped += u32::from(expected.is_err());
            assert_eq!(filter.dropped(), dropped);
        }
    }

    #[test]
    fn no_voltage_while_running_is_dropped() {
        check(&[
            (Reading { voltage_mv: 0, ..GOOD }, Err(Implausible::NoVoltage)),
            (Reading { voltage_mv: 0, ..GOOD }, Err(Implausible::NoVoltage)),
            (GOOD, Ok(())),
        ]);
    }

    #[test]
    fn a_supply_of_20_v_is_the_least_that_is_believed() {
        for (voltage_mv, expected) in [(20_000, Ok(())), (19_999, Err(Implausible::NoVoltage))] {
            let reading = Reading { voltage_mv, ..Reading::default() };
            assert_eq!(Plausibility::new(16).check(0, &reading), expected);
        }
    }

    #[test]
    fn a_voltage_jump_is_believed_when_a_second_reading_confirms_it() {
        let low = Reading { voltage_mv: 100_000, power_mw: 900_000, ..GOOD };
        check(&[(low, Err(Implausible::Jump)), (low, Ok(())), (low, Ok(()))]);
        check(&[(low, Err(Implausible::Jump)), (GOOD, Ok(())), (low, Err(Implausible::Jump))]);
    }

    #[test]
    fn brownouts_and_any_step_of_the_load_pass() {
        check(&[
            (Reading { voltage_mv: 207_000, power_mw: 2_070_000, ..GOOD }, Ok(())),
            (Reading { voltage_mv: 160_000, power_mw: 1_600_000, ..GOOD }, Ok(())),
            (Reading { current_ma: 0, power_mw: 0, fast_current_ma: 0, ..GOOD }, Ok(())),
            (Reading { fast_current_ma: 160_000, ..GOOD }, Ok(())),
        ]);
    }

    #[test]
    fn values_beyond_mains_and_loads_are_dropped() {
        check(&[
            (Reading { voltage_mv: 500_001, ..GOOD }, Err(Implausible::OutOfRange)),
            (Reading { current_ma: 240_001, ..GOOD }, Err(Implausible::OutOfRange)),
            (Reading { fast_current_ma: 240_001, ..GOOD }, Err(Implausible::OutOfRange)),
        ]);
    }

    #[test]
    fn the_highest_voltage_and_current_that_are_believed() {
        for highest in [
            Reading { voltage_mv: 500_000, ..Reading::default() },
            Reading { voltage_mv: 230_000, fast_current_ma: 240_000, ..Reading::default() },
        ] {
            assert_eq!(Plausibility::new(16).check(0, &highest), Ok(()), "{highest:?}");
        }
    }

    #[test]
    fn a_jump_begins_at_half_the_voltage() {
        let with = |voltage_mv| Reading { voltage_mv, power_mw: 0, ..GOOD };
        check(&[(with(115_000), Err(Implausible::Jump))]);
        check(&[(with(115_001), Ok(()))]);
    }

    #[test]
    fn power_may_exceed_apparent_power_by_the_error_only() {
        check(&[
            (Reading { power_mw: 2_300_000 / 100 * 105 + 2_000, ..GOOD }, Ok(())),
            (
                Reading { power_mw: 2_300_000 / 100 * 105 + 2_001, ..GOOD },
                Err(Implausible::PowerAboveApparent),
            ),
        ]);
    }

    #[test]
    fn power_that_shows_before_the_slow_current_does_is_no_fault() {
        check(&[
            (Reading { current_ma: 0, ..GOOD }, Ok(())),
            (Reading { current_ma: 0, fast_current_ma: 0, ..GOOD }, Err(Implausible::PowerAboveApparent)),
        ]);
    }

    #[test]
    fn energy_is_bound_by_the_time_since_the_last_good_reading() {
        // 500 V · 240 A for 100 ms is 3.33 Wh; 1 Wh for the pulses.
        let with = |energy_uwh| Reading { energy_uwh, ..GOOD };
        check(&[(with(4_333_333), Ok(())), (with(4_333_334), Err(Implausible::Energy))]);
        let mut filter = Plausibility::new(16);
        filter.check(0, &GOOD).unwrap();
        assert_eq!(
            filter.check(3_600_000, &with(3_600_000_000)),
            Ok(()),
            "an hour without readings at 3.6 kW"
        );
    }

    proptest! {
        #[test]
        fn law_no_reading_panics_and_each_drop_counts(
            readings in proptest::collection::vec(any::<(u64, u32, u32, u32, u32, u32)>(), 0..50),
            rated_a: u8,
        ) {
            let mut filter = Plausibility::new(rated_a);
            let mut dropped = 0;
            for (now_ms, voltage_mv, current_ma, power_mw, energy_uwh, fast_current_ma) in readings {
                let reading = Reading { voltage_mv, current_ma, power_mw, energy_uwh, fast_current_ma };
                dropped += u32::from(filter.check(now_ms, &reading).is_err());
            }
            prop_assert_eq!(filter.dropped(), dropped);
        }

        /// What a sane meter says of a sane mains passes, but for the first reading after a jump.
        #[test]
        fn law_never_two_drops_in_a_row_for_a_jump(
            steps_mv in proptest::collection::vec((90_000..260_000_u32, 2..10_usize), 1..20),
        ) {
            let mut filter = Plausibility::new(16);
            let mut now_ms = 0;
            for (voltage_mv, count) in steps_mv {
                for index in 0..count {
                    now_ms += 100;
                    let reading = Reading { voltage_mv, current_ma: 1000, ..Reading::default() };
                    let result = filter.check(now_ms, &reading);
                    prop_assert!(result.is_ok() || (index == 0 && result == Err(Implausible::Jump)));
                }
            }
        }
    }
}
