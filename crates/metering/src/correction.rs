//! What one socket's meter is off from what its parts promise.

use core::fmt;

/// What a socket's readings are to be corrected by, in ppm of what a meter with nominal parts shows. The energy follows the
/// power. The default changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    voltage_ppm: i32,
    current_ppm: i32,
    power_ppm: i32,
}

/// A part of a [`Correction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// The voltage.
    Voltage,
    /// The current, slow and fast.
    Current,
    /// The power, and the energy with it.
    Power,
}

/// Why a correction is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CorrectionError {
    /// The stored form is of another length than [`Correction::STORED_LEN`], or of another version.
    Form,
    /// More than [`Correction::MAX_PPM`] up or down: a wrong part or a wrong reading, not a tolerance.
    OutOfRange {
        /// Of what.
        quantity: Quantity,
        /// By how much.
        ppm: i32,
    },
    /// The power is not what voltage and current make it, by more than [`Correction::MAX_DISAGREEMENT_PPM`].
    Disagree {
        /// What voltage and current make of the power.
        expected_ppm: i32,
        /// What it is.
        power_ppm: i32,
    },
}

/// The version of the stored form.
const VERSION: u8 = 1;

impl Correction {
    /// Changes nothing.
    pub const NONE: Self = Self { voltage_ppm: 0, current_ppm: 0, power_ppm: 0 };
    /// The most that a quantity is corrected by, up or down: 10 %. Shunt, divider and chip together are within some percent, and
    /// the limits of the protection move with the current.
    pub const MAX_PPM: i32 = 100_000;
    /// How far the power may be from voltage and current together: 3 %. At 5 % each reading would be dropped as one that cannot be
    /// (`Plausibility`), and the socket would go without protection.
    pub const MAX_DISAGREEMENT_PPM: i32 = 30_000;
    /// Length of the stored form in bytes: its version, then voltage, current and power, little endian.
    pub const STORED_LEN: usize = 13;

    /// Makes one of three corrections in ppm, each within ±[`Self::MAX_PPM`].
    ///
    /// # Errors
    /// [`CorrectionError::OutOfRange`] or [`CorrectionError::Disagree`].
    pub fn new(voltage_ppm: i32, current_ppm: i32, power_ppm: i32) -> Result<Self, CorrectionError> {
        for (quantity, ppm) in
            [(Quantity::Voltage, voltage_ppm), (Quantity::Current, current_ppm), (Quantity::Power, power_ppm)]
        {
            if ppm.unsigned_abs() > Self::MAX_PPM.unsigned_abs() {
                return Err(CorrectionError::OutOfRange { quantity, ppm });
            }
        }
        // Without the product of the two, which is 1 % at the most.
        let expected_ppm = voltage_ppm.saturating_add(current_ppm);
        if power_ppm.abs_diff(expected_ppm) > Self::MAX_DISAGREEMENT_PPM.unsigned_abs() {
            return Err(CorrectionError::Disagree { expected_ppm, power_ppm });
        }
        Ok(Self { voltage_ppm, current_ppm, power_ppm })
    }

    /// Returns the stored form.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::STORED_LEN] {
        let [v0, v1, v2, v3] = self.voltage_ppm.to_le_bytes();
        let [i0, i1, i2, i3] = self.current_ppm.to_le_bytes();
        let [p0, p1, p2, p3] = self.power_ppm.to_le_bytes();
        [VERSION, v0, v1, v2, v3, i0, i1, i2, i3, p0, p1, p2, p3]
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`CorrectionError`]; what was stored is of no use, and the meter is to be left as it is.
    pub fn decode(bytes: &[u8]) -> Result<Self, CorrectionError> {
        let &[VERSION, v0, v1, v2, v3, i0, i1, i2, i3, p0, p1, p2, p3] = bytes else {
            return Err(CorrectionError::Form);
        };
        let [voltage_ppm, current_ppm, power_ppm] =
            [[v0, v1, v2, v3], [i0, i1, i2, i3], [p0, p1, p2, p3]].map(i32::from_le_bytes);
        Self::new(voltage_ppm, current_ppm, power_ppm)
    }

    /// What the voltage is corrected by, in ppm.
    #[must_use]
    pub const fn voltage_ppm(&self) -> i32 {
        self.voltage_ppm
    }

    /// What the current is corrected by, in ppm.
    #[must_use]
    pub const fn current_ppm(&self) -> i32 {
        self.current_ppm
    }

    /// What power and energy are corrected by, in ppm.
    #[must_use]
    pub const fn power_ppm(&self) -> i32 {
        self.power_ppm
    }
}

/// Corrects a gain; the greatest value where the result does not fit.
#[inline(never)] // Once, not at each of its five calls: 100 bytes.
pub(crate) fn corrected(gain: u32, ppm: i32) -> u32 {
    // At most 1.1 million, times 32 bits: below 2^53.
    let factor = u64::from(1_000_000_i32.saturating_add(ppm).unsigned_abs());
    let product = u64::from(gain).saturating_mul(factor);
    u32::try_from(product.saturating_add(500_000) / 1_000_000).unwrap_or(u32::MAX)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Voltage => "voltage",
            Self::Current => "current",
            Self::Power => "power",
        })
    }
}

impl fmt::Display for CorrectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (most, apart) = (Correction::MAX_PPM, Correction::MAX_DISAGREEMENT_PPM);
        match self {
            Self::Form => f.write_str("another form than this version's"),
            Self::OutOfRange { quantity, ppm } => {
                write!(f, "{quantity}: {ppm:+} ppm is outside -{most} to +{most} ppm")
            }
            Self::Disagree { expected_ppm, power_ppm } => write!(
                f,
                "power: {power_ppm:+} ppm, but voltage and current make it {expected_ppm:+} ppm; they may be {apart} ppm apart"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::string::ToString;

    use super::*;
    use crate::bl0942::Counts;
    use crate::{Calibration, FrontEnd, Reading};

    const TYPICAL: Calibration = Calibration::bl0942(FrontEnd::TYPICAL);

    /// 10 A at 230 V on the usual parts.
    const COUNTS: Counts = Counts {
        i_rms: 2_512_135,
        v_rms: 3_653_168,
        i_fast_rms: 911_905,
        watt: 1_433_806,
        cf_cnt: 0,
        freq: 20_000,
        status: 0,
    };

    fn reading(correction: Correction) -> Reading {
        let mut calibration = TYPICAL;
        calibration.correct(&correction);
        calibration.reading(&COUNTS, 0)
    }

    #[test]
    fn a_correction_makes_the_meter_show_the_truth() {
        let shown = reading(Correction::default());
        assert_eq!((shown.voltage_mv, shown.current_ma, shown.power_mw), (230_000, 10_000, 2_300_000));
        let now = reading(Correction::new(-20_000, 30_000, 9_400).unwrap());
        assert_eq!((now.voltage_mv, now.current_ma, now.fast_current_ma), (225_400, 10_300, 10_300));
        assert_eq!(now.power_mw, 2_321_620);
    }

    #[test]
    fn the_energy_follows_the_power() {
        let mut calibration = TYPICAL;
        calibration.correct(&Correction::new(0, 10_000, 10_000).unwrap());
        assert_eq!(calibration.pulse_nwh, 188_762_752);
    }

    #[test]
    fn no_correction_changes_nothing() {
        let mut calibration = TYPICAL;
        calibration.correct(&Correction::default());
        assert_eq!(calibration, TYPICAL);
    }

    #[test]
    fn what_is_out_of_range_or_does_not_agree_is_refused_with_its_reason() {
        const MOST: i32 = Correction::MAX_PPM;
        for (voltage, current, power, said) in [
            (0, 0, 0, None),
            (MOST, -MOST, 30_000, None),
            (
                -MOST,
                -MOST,
                -MOST,
                Some(
                    "power: -100000 ppm, but voltage and current make it -200000 ppm; they may be 30000 ppm apart",
                ),
            ),
            (MOST + 1, 0, 0, Some("voltage: +100001 ppm is outside -100000 to +100000 ppm")),
            (0, -MOST - 1, 0, Some("current: -100001 ppm is outside -100000 to +100000 ppm")),
            (0, 0, i32::MIN, Some("power: -2147483648 ppm is outside -100000 to +100000 ppm")),
            (10_000, 10_000, 50_000, None),
            (
                10_000,
                10_000,
                50_001,
                Some(
                    "power: +50001 ppm, but voltage and current make it +20000 ppm; they may be 30000 ppm apart",
                ),
            ),
        ] {
            let result = Correction::new(voltage, current, power).map_err(|error| error.to_string());
            assert_eq!(result.err().as_deref(), said, "{voltage} {current} {power}");
        }
    }

    #[test]
    fn another_stored_form_is_refused() {
        let stored = Correction::default().encode();
        let mut other = stored;
        other[0] = 2;
        for bytes in [&[][..], &stored[..12], &other, &[1; 14], &[0xFF; 13]] {
            assert_eq!(Correction::decode(bytes), Err(CorrectionError::Form), "{bytes:?}");
        }
        assert!(matches!(Correction::decode(&[1; 13]), Err(CorrectionError::OutOfRange { .. })));
    }

    fn any() -> impl Strategy<Value = Correction> {
        let ppm = || -Correction::MAX_PPM..=Correction::MAX_PPM;
        (ppm(), ppm(), ppm())
            .prop_filter_map("they agree", |(v, i, p)| Correction::new(v, i, p / 10 + v + i).ok())
    }

    proptest! {
        #[test]
        fn law_a_correction_survives_its_stored_form(correction in any()) {
            prop_assert_eq!(Correction::decode(&correction.encode()), Ok(correction));
        }

        #[test]
        fn law_any_bytes_are_refused_or_a_correction_in_range(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..20)) {
            if let Ok(Correction { voltage_ppm, current_ppm, power_ppm }) = Correction::decode(&bytes) {
                prop_assert_eq!(Correction::new(voltage_ppm, current_ppm, power_ppm).is_ok(), true);
                prop_assert_eq!(&Correction::new(voltage_ppm, current_ppm, power_ppm).unwrap().encode()[..], &bytes[..]);
            }
        }

        #[test]
        fn law_a_gain_is_corrected_to_half_a_step_and_never_wraps(gain: u32, ppm in -100_000..=100_000_i32) {
            let exact = f64::from(gain) * (1.0 + f64::from(ppm) / 1e6);
            let now = corrected(gain, ppm);
            prop_assert!((f64::from(now) - exact.min(f64::from(u32::MAX))).abs() <= 0.5 + 1e-6);
            prop_assert!(ppm <= 0 || now >= gain);
            prop_assert!(ppm >= 0 || now <= gain);
            prop_assert!(ppm != 0 || now == gain);
        }

        #[test]
        fn law_a_greater_correction_never_shows_less(gain: u32, ppm in -100_000..=100_000_i32, more in 0..1000_i32) {
            prop_assert!(corrected(gain, ppm) <= corrected(gain, ppm + more));
        }

        /// A resistive load's power is voltage times current: no correction that is taken makes a reading that cannot be.
        #[test]
        fn law_a_corrected_reading_is_still_plausible(correction in any()) {
            let mut filter = crate::Plausibility::new(16);
            prop_assert_eq!(filter.check(0, &reading(correction)), Ok(()));
        }
    }
}
