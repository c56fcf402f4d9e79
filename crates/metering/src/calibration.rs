//! From a chip's counts to units, in integers.

use crate::bl0942::Counts;
use crate::correction::corrected;
use crate::{Correction, Reading};

/// The analogue parts in front of a meter chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontEnd {
    /// The current shunt, in µΩ.
    pub shunt_uohm: u32,
    /// The voltage divider's part towards the mains, in Ω.
    pub divider_top_ohm: u32,
    /// The voltage divider's part towards ground, over which the chip measures, in Ω.
    pub divider_bottom_ohm: u32,
}

impl FrontEnd {
    /// The usual circuit around a BL0942: 1 mΩ, 5 × 390 kΩ over 510 Ω.
    pub const TYPICAL: Self =
        Self { shunt_uohm: 1000, divider_top_ohm: 5 * 390_000, divider_bottom_ohm: 510 };
}

/// How a chip's counts become units. Gains are Q8.24: `value = (counts · gain) >> 24`, rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calibration {
    /// mV per count (BL0942) or per mHz (BL0937), Q8.24.
    pub voltage_q24: u32,
    /// mA per count or mHz, Q8.24.
    pub current_q24: u32,
    /// mA per count of the fast current register, Q8.24. A BL0937 has none and ignores it.
    pub fast_current_q24: u32,
    /// mW per count or mHz, Q8.24.
    pub power_q24: u32,
    /// Energy of one pulse of the chip, in nWh.
    pub pulse_nwh: u32,
    /// Below this current in mA, the reading shows no current, no power and a power factor of 0.
    pub creep_ma: u16,
}

/// Both chips' reference voltage: 1.218 V, in mV (BL0942 and BL0937 data sheets).
const VREF_MV: u128 = 1218;

impl Calibration {
    /// The creep threshold to begin with: 5 mA, about 1 W at 230 V. A choice of ours; the BL0942's own
    /// creep threshold (WA_CREEP at its default) stops power and energy at some 0.2 W.
    pub const DEFAULT_CREEP_MA: u16 = 5;

    /// Works out the calibration of a BL0942 behind these parts, at its default gain of 16, from the data
    /// sheet's equations (VRMS and IRMS in mV at the pins, Vref = 1.218 V):
    /// I_RMS = 305978·Vi/Vref, V_RMS = 73989·Vv/Vref, WATT = 3537·Vi·Vv·cos/Vref², I_FAST_RMS =
    /// 0.363·I_RMS, one CF pulse each 1638.4·256/WATT seconds.
    #[must_use]
    #[allow(clippy::arithmetic_side_effects)] // Three u32 and the constants stay below 2^92.
    pub const fn bl0942(parts: FrontEnd) -> Self {
        let shunt_uohm = parts.shunt_uohm as u128;
        let bottom_ohm = parts.divider_bottom_ohm as u128;
        let whole_ohm = parts.divider_top_ohm as u128 + bottom_ohm;
        let current = (Q24 * 1000 * VREF_MV, 305_978 * shunt_uohm);
        // WATT per W, the other way up: Vref² · whole / (3537 · shunt · bottom).
        let watts_per_count = (VREF_MV * VREF_MV * whole_ohm, 3537 * shunt_uohm * bottom_ohm);
        Self {
            voltage_q24: ratio(Q24 * VREF_MV * whole_ohm, 73_989 * 1000 * bottom_ohm),
            current_q24: ratio(current.0, current.1),
            fast_current_q24: ratio(current.0 * 1000, current.1 * 363),
            // 1000 for mW; Vref² in mV², the shunt in µΩ: 10^-6.
            power_q24: ratio(Q24 * watts_per_count.0, 1000 * watts_per_count.1),
            // 419430.4 J per WATT, 10^9 nWh = 3600 J, Vref² as above.
            pulse_nwh: ratio(4_194_304 * 1_000 * watts_per_count.0, 36_000 * watts_per_count.1),
            creep_ma: Self::DEFAULT_CREEP_MA,
        }
    }

    /// Works out the calibration of a BL0937 behind these parts, from the data sheet's equations (f in Hz):
    /// P = f·Vref²·div/R/1721506, I = f·Vref/R/94638, U = f·Vref·div/15397.
    #[must_use]
    #[allow(clippy::arithmetic_side_effects)] // Three u32 and the constants stay below 2^92.
    pub const fn bl0937(parts: FrontEnd) -> Self {
        let shunt_uohm = parts.shunt_uohm as u128;
        let bottom_ohm = parts.divider_bottom_ohm as u128;
        let whole_ohm = parts.divider_top_ohm as u128 + bottom_ohm;
        let current_q24 = ratio(Q24 * 1000 * VREF_MV, 94_638 * shunt_uohm);
        // W per Hz, and so J per pulse.
        let joule = (VREF_MV * VREF_MV * whole_ohm, 1_721_506 * shunt_uohm * bottom_ohm);
        Self {
            voltage_q24: ratio(Q24 * VREF_MV * whole_ohm, 15_397 * 1000 * bottom_ohm),
            current_q24,
            fast_current_q24: current_q24,
            power_q24: ratio(Q24 * joule.0, joule.1),
            pulse_nwh: ratio(1_000_000_000 * joule.0, 3600 * joule.1),
            creep_ma: Self::DEFAULT_CREEP_MA,
        }
    }

    /// Corrects the gains by what this one meter is off.
    #[inline(never)]
    pub fn correct(&mut self, correction: &Correction) {
        for (gain, ppm) in [
            (&mut self.voltage_q24, correction.voltage_ppm()),
            (&mut self.current_q24, correction.current_ppm()),
            (&mut self.fast_current_q24, correction.current_ppm()),
            (&mut self.power_q24, correction.power_ppm()),
            (&mut self.pulse_nwh, correction.power_ppm()),
        ] {
            *gain = corrected(*gain, ppm);
        }
    }

    /// Turns a BL0942's counts into a reading; `energy_uwh` is taken as it is.
    #[must_use]
    pub fn reading(&self, counts: &Counts, energy_uwh: u32) -> Reading {
        self.values(Values {
            voltage: counts.v_rms,
            current: counts.i_rms,
            fast_current: counts.i_fast_rms,
            power: counts.watt.unsigned_abs(),
            energy_uwh,
        })
    }

    pub(crate) fn values(&self, values: Values) -> Reading {
        let above_creep =
            |current_ma: u32| if current_ma < u32::from(self.creep_ma) { 0 } else { current_ma };
        let current_ma = above_creep(convert(values.current, self.current_q24));
        Reading {
            voltage_mv: convert(values.voltage, self.voltage_q24),
            current_ma,
            power_mw: if current_ma == 0 { 0 } else { convert(values.power, self.power_q24) },
            energy_uwh: values.energy_uwh,
            fast_current_ma: above_creep(convert(values.fast_current, self.fast_current_q24)),
        }
    }
}

/// What a chip measured, in its own counts.
pub(crate) struct Values {
    pub voltage: u32,
    pub current: u32,
    pub fast_current: u32,
    pub power: u32,
    pub energy_uwh: u32,
}

/// Pulses into energy; what is less than 1 µWh is carried over, so that a sum of readings never drifts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PulseEnergy {
    carried_nwh: u64,
}

impl PulseEnergy {
    pub(crate) fn take(&mut self, pulses: u32, pulse_nwh: u32) -> u32 {
        let nwh = u64::from(pulses).saturating_mul(u64::from(pulse_nwh)).saturating_add(self.carried_nwh);
        if nwh < 1000 {
            // Most often: no pulse has come. Wide divisions take long.
            self.carried_nwh = nwh;
            return 0;
        }
        let uwh = u32::try_from(nwh / 1000).unwrap_or(u32::MAX);
        self.carried_nwh = nwh.saturating_sub(u64::from(uwh).saturating_mul(1000));
        uwh
    }
}

/// 1 in Q8.24.
const Q24: u128 = 1 << 24;

fn convert(counts: u32, gain_q24: u32) -> u32 {
    const HALF: u64 = 1 << 23;
    let product = u64::from(counts).saturating_mul(u64::from(gain_q24));
    u32::try_from(product.saturating_add(HALF) >> 24).unwrap_or(u32::MAX)
}

/// `numerator / denominator`, rounded; the greatest value where it does not fit.
#[allow(clippy::arithmetic_side_effects)] // Callers keep within 2^126: two u32 and constants of 2^60.
const fn ratio(numerator: u128, denominator: u128) -> u32 {
    if denominator == 0 {
        return u32::MAX;
    }
    let value = (numerator + denominator / 2) / denominator;
    if value > u32::MAX as u128 { u32::MAX } else { value as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TYPICAL: Calibration = Calibration::bl0942(FrontEnd::TYPICAL);

    fn counts(i_rms: u32, v_rms: u32, watt: i32) -> Counts {
        Counts { i_rms, v_rms, watt, ..Counts::default() }
    }

    #[test]
    fn a_ratio_is_rounded_and_stays_within_its_32_bits() {
        assert_eq!((ratio(7, 2), ratio(6, 4), ratio(5, 4)), (4, 2, 1));
        let most = u128::from(u32::MAX);
        assert_eq!((ratio(most - 1, 1), ratio(most, 1)), (u32::MAX - 1, u32::MAX));
        assert_eq!((ratio(most + 1, 1), ratio(1, 0)), (u32::MAX, u32::MAX));
    }

    #[test]
    fn the_usual_parts_give_the_known_references() {
        // facts/chips.md: 15883 counts/V, 251213 counts/A, 623 counts/W, one pulse 419430.4/623.4 J.
        let reading = TYPICAL.reading(&counts(251_213, 15_883, 623), 7);
        assert_eq!(
            (reading.current_ma, reading.voltage_mv, reading.power_mw, reading.energy_uwh),
            (1000, 1000, 999, 7)
        );
        let reading = TYPICAL.reading(&counts(16 * 251_213, 230 * 15_883, 3680 * 623), 0);
        assert_eq!((reading.current_ma, reading.voltage_mv, reading.power_mw), (16_000, 229_995, 3_677_675));
        assert_eq!(TYPICAL.pulse_nwh, 186_893_814);
    }

    #[test]
    fn the_pulse_meter_has_the_gains_of_its_data_sheet() {
        // U = f·Vref·2/15397, I = f·Vref/R/94638, P = f·Vref²·2/R/1721506 with R = 2 mΩ, for f = 1 Hz.
        let parts = FrontEnd { shunt_uohm: 2000, divider_top_ohm: 600, divider_bottom_ohm: 600 };
        let Calibration { voltage_q24, current_q24, power_q24, pulse_nwh, .. } = Calibration::bl0937(parts);
        let per_hz = |gain_q24| convert(1_000_000, gain_q24); // 1 kHz, in µ of the unit per Hz
        assert_eq!((per_hz(voltage_q24), per_hz(current_q24), per_hz(power_q24)), (158, 6_435, 862));
        assert_eq!(pulse_nwh, 239);
        assert_eq!(Calibration::bl0937(FrontEnd::TYPICAL).voltage_q24, 5_075_854);
    }

    #[test]
    fn the_fast_register_shows_the_same_current() {
        let fast = Counts { i_fast_rms: 91_190, i_rms: 251_213, ..Counts::default() };
        assert_eq!(TYPICAL.reading(&fast, 0).fast_current_ma, 1000);
    }

    #[test]
    fn the_sign_of_the_power_is_ignored() {
        let [forward, backward] = [623, -623].map(|watt| TYPICAL.reading(&counts(251_213, 15_883, watt), 0));
        assert_eq!(forward, backward);
    }

    #[test]
    fn below_the_creep_threshold_current_power_and_factor_are_0() {
        let calibration = Calibration { creep_ma: 10, ..TYPICAL };
        let below = calibration.reading(&Counts { i_fast_rms: 860, ..counts(2_386, 3_653_000, 600) }, 0);
        assert_eq!((below.current_ma, below.power_mw, below.fast_current_ma), (0, 0, 0));
        assert_eq!(below.power_factor_permille(), 0);
        let at = calibration.reading(&Counts { i_fast_rms: 912, ..counts(2_512, 3_653_000, 600) }, 0);
        assert_eq!((at.current_ma, at.power_mw, at.fast_current_ma), (10, 962, 10));
    }

    #[test]
    fn a_current_that_only_the_fast_register_shows_yet_is_kept() {
        let switched_on = TYPICAL.reading(&Counts { i_fast_rms: 91_190, ..Counts::default() }, 0);
        assert_eq!((switched_on.current_ma, switched_on.fast_current_ma), (0, 1000));
    }

    #[test]
    fn parts_that_cannot_be_do_not_panic() {
        for ohm in [0, u32::MAX] {
            let parts = FrontEnd { shunt_uohm: ohm, divider_top_ohm: ohm, divider_bottom_ohm: ohm };
            let _ = (Calibration::bl0942(parts), Calibration::bl0937(parts));
        }
    }

    proptest! {
        #[test]
        fn law_conversion_is_exact_to_half_a_unit(value in 0..0x0100_0000_u32, gain_q24: u32) {
            let exact = f64::from(value) * f64::from(gain_q24) / f64::from(1 << 24);
            prop_assert!((f64::from(convert(value, gain_q24)) - exact.min(f64::from(u32::MAX))).abs() <= 0.5);
        }

        #[test]
        fn law_the_sum_of_energy_never_drifts(
            pulses in proptest::collection::vec(0..100_000_u32, 0..200),
            pulse_nwh in 0..400_000_000_u32,
        ) {
            let mut energy = PulseEnergy::default();
            let mut sum_uwh = 0;
            let mut sum_pulses = 0;
            for count in pulses {
                sum_uwh += u64::from(energy.take(count, pulse_nwh));
                sum_pulses += u64::from(count);
                let exact_nwh = sum_pulses * u64::from(pulse_nwh);
                prop_assert_eq!(sum_uwh * 1000 + energy.carried_nwh, exact_nwh);
            }
        }
    }
}
