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
        // V·I in mV·mA is µVA; P in µW; both below 2^64.
        let apparent_uva = u64::from(reading.voltage_mv).saturating_mul(u64::from(reading.current_ma));
        let limit_uw = apparent_uva
            .saturating_add(apparent_uva.saturating_mul(Self::POWER_ERROR_PERCENT) / 100)
            .saturating_add(Self::POWER_ERROR_UW);
        if u64::from(reading.power_mw).saturating_mul(1000) > limit_uw {
            return Err(Implausible::PowerAboveApparent);
        }
        let Some(last) = self.last else { return Ok(()) };
        let confirmed = expected_jump_mv.is_some_and(|mv| is_near(reading.voltage_mv, mv, 4));
        if !is_near(reading.voltage_mv, last.voltage_mv, 2) && !confirmed {
            self.jumped_to_mv = Some(reading.voltage_mv);
            return Err(Implausible::Jump);
        }
        if u64::from(reading.energy_uwh) > self.most_energy_uwh(now_ms.saturating_sub(last.at_ms)) {
            return Err(Implausible::Energy);
        }
        Ok(())
    }

    /// What can have flowed at the most: highest voltage times highest current for the time, and 1 Wh for
    /// the meter's pulses, which bundle energy from before.
    fn most_energy_uwh(&self, elapsed_ms: u64) -> u64 {
        const PULSES_UWH: u64 = 1_000_000;
        // µVA·ms / 3.6e6 = µVAh; taken as mVA first, so that 2^32 ms fit.
        let most_mva = u64::from(Self::MAX_VOLTAGE_MV).saturating_mul(u64::from(self.max_current_ma)) / 1000;
        (most_mva.saturating_mul(elapsed_ms) / 3600).saturating_add(PULSES_UWH)
    }
}

/// Tells whether `value` differs from `from` by less than a `part`-th of it.
fn is_near(value: u32, from: u32, part: u32) -> bool {
    value.abs_diff(from) < from.checked_div(part).unwrap_or(0)
}
