//! What a meter gives, and what may go wrong with it.

use crate::Correction;

/// One reading of the meter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The RMS voltage, in mV.
    pub voltage_mv: u32,
    /// The RMS current over the meter's slow window (400 ms with a BL0942), in mA; 0 below the creep
    /// threshold. For reports.
    pub current_ma: u32,
    /// The active power in mW, its sign ignored: the sign shows how the meter is wired.
    pub power_mw: u32,
    /// The energy since the last reading, in µWh.
    pub energy_uwh: u32,
    /// The RMS current over the meter's shortest window (one line cycle with a BL0942), in mA; 0 below
    /// the creep threshold. For the trip curve: the slow window would smear a switch-on current of 100 ms
    /// over 400 ms or more, and show an overload that much too late. A meter with one window gives the
    /// same value as in [`current_ma`](Self::current_ma).
    pub fast_current_ma: u32,
}

impl Reading {
    /// Tells the power factor P / (V·I) in ‰, held to 0..=1000; 0 when no current flows.
    #[must_use]
    pub fn power_factor_permille(&self) -> u16 {
        let apparent_uva = u64::from(self.voltage_mv).saturating_mul(u64::from(self.current_ma));
        // mW·1000 is µW, times 1000 ‰; below 2^52.
        let scaled = u64::from(self.power_mw).saturating_mul(1_000_000);
        let factor = scaled.checked_div(apparent_uva).unwrap_or(0);
        u16::try_from(factor.min(1000)).unwrap_or(1000)
    }
}

/// A meter that is read, about ten times a second.
#[allow(async_fn_in_trait)] // The tasks that read a meter run on one executor thread: no Send is asked for.
pub trait EnergyMeter {
    /// What may go wrong with a reading.
    type Error: core::fmt::Debug;

    /// Takes a reading.
    ///
    /// # Errors
    /// The wire or the chip failed. The energy of the time that a failed reading would have covered comes
    /// with the next good one.
    ///
    /// # Cancel safety
    /// A reading dropped half-way loses no energy: it comes with the next one.
    async fn read(&mut self) -> Result<Reading, Self::Error>;

    /// Says what mains it hangs on, before the first reading. A meter that is the same for both need not listen.
    fn set_line_frequency(&mut self, line: LineFrequency) {
        let _ = line;
    }

    /// Corrects the readings from the next one on. To be called once: a second correction would come on top of the first.
    fn correct(&mut self, correction: &Correction);
}

/// The line frequency that a meter is set up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineFrequency {
    /// 50 Hz.
    #[default]
    Hz50,
    /// 60 Hz.
    Hz60,
}

/// What may go wrong with a meter chip; `E` is the error of the bus or the pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error<E> {
    /// The serial line or a pin failed.
    Bus(E),
    /// The chip did not answer in time.
    TimeOut,
    /// An answer came with the wrong checksum.
    Checksum,
    /// A set-up register does not hold what was written to it.
    SetUp {
        /// The register's address.
        register: u8,
        /// What was written.
        wrote: u32,
        /// What was read back.
        read: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(voltage_mv: u32, current_ma: u32, power_mw: u32, permille: u16) {
        let reading = Reading { voltage_mv, current_ma, power_mw, ..Reading::default() };
        assert_eq!(reading.power_factor_permille(), permille, "{reading:?}");
    }

    #[test]
    fn the_power_factor_is_power_over_apparent_power() {
        check(230_000, 10_000, 2_300_000, 1000);
        check(230_000, 10_000, 1_150_000, 500);
        check(230_000, 10_000, 0, 0);
        check(230_000, 0, 0, 0);
        check(0, 10_000, 5, 0);
    }

    #[test]
    fn the_power_factor_is_held_to_1() {
        check(230_000, 10_000, 2_400_000, 1000);
        check(1, 1, u32::MAX, 1000);
        check(u32::MAX, u32::MAX, u32::MAX, 0);
    }

    proptest! {
        #[test]
        fn law_the_power_factor_is_never_above_1(voltage_mv: u32, current_ma: u32, power_mw: u32) {
            let reading = Reading { voltage_mv, current_ma, power_mw, ..Reading::default() };
            prop_assert!(reading.power_factor_permille() <= 1000);
        }
    }

    mockall::mock! {
        Meter {}
        impl EnergyMeter for Meter {
            type Error = Error<()>;
            async fn read(&mut self) -> Result<Reading, Error<()>>;
            fn correct(&mut self, correction: &Correction);
        }
    }

    /// What a firmware does with a meter: a generic user.
    async fn sum_up(meter: &mut impl EnergyMeter, readings: u32) -> (u64, u32, u32) {
        let mut sum = crate::EnergySum::new(0, 0);
        let mut filter = crate::Plausibility::new(16);
        let mut failed = 0;
        for index in 0..readings {
            match meter.read().await {
                Ok(reading) if filter.check(u64::from(index) * 100, &reading).is_ok() => {
                    sum.add(reading.energy_uwh)
                }
                Ok(_) => {}
                Err(_) => failed += 1,
            }
        }
        (sum.uwh(), filter.dropped(), failed)
    }

    #[test]
    fn failed_and_impossible_readings_are_counted_and_never_summed() {
        let mut meter = MockMeter::new();
        let good = Reading { voltage_mv: 230_000, energy_uwh: 1000, ..Reading::default() };
        let mut results = std::vec![
            Ok(good),
            Err(Error::TimeOut),
            Ok(Reading { voltage_mv: 0, ..good }),
            Err(Error::Checksum),
            Ok(good),
        ]
        .into_iter();
        meter.expect_read().times(5).returning(move || results.next().unwrap());
        assert_eq!(embassy_futures::block_on(sum_up(&mut meter, 5)), (2000, 1, 2));
    }
}
