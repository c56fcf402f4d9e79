//! BL0937: pulses on CF for power and energy, on CF1 for voltage or current as SEL says.
//!
//! [`Bl0937`] looks at its pins when it is polled, and never waits: [`nb::Error::WouldBlock`] until a
//! reading is complete. [`Polled`] polls it for an [`EnergyMeter`].
//!
//! A reading measures the voltage, then the current, each for [`Bl0937::WINDOW_US`] or longer when the
//! pulses are slow. After switching SEL one whole cycle goes by before anything counts. Frequencies come
//! from the time between the first and the last rising edge. Equations: see
//! [`Calibration::bl0937`](crate::Calibration::bl0937).

use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal_async::delay::DelayNs;

use crate::calibration::{PulseEnergy, Values};
use crate::{Calibration, Correction, EnergyMeter, Error, Reading};

#[cfg(test)]
mod tests;

/// The level of SEL at which CF1 gives the voltage: boards differ, many invert it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoltageSelect {
    /// SEL high: voltage.
    High,
    /// SEL low: voltage.
    Low,
}

/// A BL0937 on three pins.
#[derive(Debug)]
pub struct Bl0937<Cf, Cf1, Sel> {
    cf: Cf,
    cf1: Cf1,
    sel: Sel,
    voltage_select: VoltageSelect,
    calibration: Calibration,
    energy: PulseEnergy,
    cf_was_high: bool,
    cf1_was_high: bool,
    pulses: u32,
    power: Power,
    phase: Option<Phase>,
    /// The voltage's frequency in mHz, once it is measured.
    voltage_mhz: u32,
}

/// What CF1 is measured for, and what came so far.
#[derive(Clone, Copy, Debug)]
struct Phase {
    quantity: Quantity,
    started_us: u64,
    /// Edges after SEL switched; the first two enclose the cycle that does not count.
    edges: u32,
    first_us: u64,
    last_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quantity {
    Voltage,
    Current,
}

/// The power's frequency, from edge to edge over as many readings as a slow pulse takes.
#[derive(Clone, Copy, Debug, Default)]
struct Power {
    frequency_mhz: u32,
    reference_us: Option<u64>,
    last_us: u64,
    edges: u32,
}

impl<Cf, Cf1, Sel, E> Bl0937<Cf, Cf1, Sel>
where
    Cf: InputPin<Error = E>,
    Cf1: InputPin<Error = E>,
    Sel: OutputPin<Error = E>,
{
    /// How long voltage and current are measured each, in µs, when there are pulses enough. Both together
    /// fill the 100 ms between two readings: a caller who waited in between would miss pulses.
    pub const WINDOW_US: u64 = 50_000;
    /// After this time in µs without two counting edges, voltage or current is 0. With the usual 1 mΩ,
    /// 0.1 A gives a pulse each 130 ms.
    pub const LONGEST_US: u64 = 500_000;
    /// After this time in µs without a pulse, the power is 0: less than 0.2 W with the usual parts.
    pub const NO_POWER_US: u64 = 20_000_000;

    /// Makes the driver.
    pub fn new(cf: Cf, cf1: Cf1, sel: Sel, voltage_select: VoltageSelect, calibration: Calibration) -> Self {
        Self {
            cf,
            cf1,
            sel,
            voltage_select,
            calibration,
            energy: PulseEnergy::default(),
            cf_was_high: true,
            cf1_was_high: true,
            pulses: 0,
            power: Power::default(),
            phase: None,
            voltage_mhz: 0,
        }
    }

    /// Looks at the pins. Call it at least four times in a cycle of the fastest output: every 150 µs for
    /// 130 % of 16 A with the usual parts (1.6 kHz). `now_us` must not go back.
    ///
    /// # Errors
    /// [`nb::Error::WouldBlock`] until a reading is complete; [`Error::Bus`] when a pin fails, after which
    /// measuring goes on where it was.
    pub fn poll(&mut self, now_us: u64) -> nb::Result<Reading, Error<E>> {
        if rose(&mut self.cf, &mut self.cf_was_high)? {
            self.pulses = self.pulses.saturating_add(1);
            self.power.edge(now_us);
        }
        let cf1_edge = rose(&mut self.cf1, &mut self.cf1_was_high)?;
        let Some(phase) = &mut self.phase else {
            self.begin(Quantity::Voltage, now_us)?;
            return Err(nb::Error::WouldBlock);
        };
        if cf1_edge {
            phase.edge(now_us);
        }
        let Some(frequency_mhz) = phase.result(now_us, Self::WINDOW_US, Self::LONGEST_US) else {
            return Err(nb::Error::WouldBlock);
        };
        match phase.quantity {
            Quantity::Voltage => {
                self.begin(Quantity::Current, now_us)?;
                self.voltage_mhz = frequency_mhz;
                Err(nb::Error::WouldBlock)
            }
            Quantity::Current => {
                self.begin(Quantity::Voltage, now_us)?;
                Ok(self.reading(now_us, frequency_mhz))
            }
        }
    }

    fn begin(&mut self, quantity: Quantity, now_us: u64) -> Result<(), nb::Error<Error<E>>> {
        let high = (quantity == Quantity::Voltage) == (self.voltage_select == VoltageSelect::High);
        self.sel.set_state(high.into()).map_err(|error| nb::Error::Other(Error::Bus(error)))?;
        self.phase = Some(Phase { quantity, started_us: now_us, edges: 0, first_us: 0, last_us: 0 });
        Ok(())
    }

    fn reading(&mut self, now_us: u64, current_mhz: u32) -> Reading {
        let pulses = core::mem::take(&mut self.pulses);
        self.calibration.values(Values {
            voltage: self.voltage_mhz,
            current: current_mhz,
            fast_current: current_mhz,
            power: self.power.take(now_us, Self::NO_POWER_US),
            energy_uwh: self.energy.take(pulses, self.calibration.pulse_nwh),
        })
    }
}

impl Phase {
    fn edge(&mut self, now_us: u64) {
        self.edges = self.edges.saturating_add(1);
        // The cycle in which SEL switched ends with the first edge, the one to be skipped with the second.
        if self.edges == 2 {
            self.first_us = now_us;
        }
        self.last_us = now_us;
    }

    /// The frequency in mHz, once it is known.
    fn result(&self, now_us: u64, window_us: u64, longest_us: u64) -> Option<u32> {
        let elapsed_us = now_us.saturating_sub(self.started_us);
        let cycles = self.edges.saturating_sub(2);
        if cycles >= 1 && elapsed_us >= window_us {
            return Some(frequency_mhz(cycles, self.last_us.saturating_sub(self.first_us)));
        }
        (elapsed_us >= longest_us).then_some(0)
    }
}

impl Power {
    fn edge(&mut self, now_us: u64) {
        self.last_us = now_us;
        if self.reference_us.is_none() {
            self.reference_us = Some(now_us);
        } else {
            self.edges = self.edges.saturating_add(1);
        }
    }

    /// The frequency in mHz at the end of a reading. Between slow pulses the last one holds, as far as the
    /// pulse that has not come yet allows.
    fn take(&mut self, now_us: u64, no_power_us: u64) -> u32 {
        let Some(reference_us) = self.reference_us else { return 0 };
        if self.edges > 0 {
            self.frequency_mhz = frequency_mhz(self.edges, self.last_us.saturating_sub(reference_us));
            self.reference_us = Some(self.last_us);
            self.edges = 0;
        }
        let quiet_us = now_us.saturating_sub(self.last_us);
        if quiet_us >= no_power_us {
            *self = Self::default();
            return 0;
        }
        self.frequency_mhz.min(frequency_mhz(1, quiet_us))
    }
}

fn frequency_mhz(cycles: u32, duration_us: u64) -> u32 {
    const MHZ_US: u64 = 1_000_000_000;
    let mhz = u64::from(cycles).saturating_mul(MHZ_US).checked_div(duration_us).unwrap_or(u64::MAX);
    u32::try_from(mhz).unwrap_or(u32::MAX)
}

fn rose<P: InputPin>(pin: &mut P, was_high: &mut bool) -> Result<bool, nb::Error<Error<P::Error>>> {
    let high = pin.is_high().map_err(|error| nb::Error::Other(Error::Bus(error)))?;
    let rose = high && !*was_high;
    *was_high = high;
    Ok(rose)
}

/// A [`Bl0937`] that is polled by a task of its own.
#[derive(Debug)]
pub struct Polled<M, D, C> {
    meter: M,
    delay: D,
    clock: C,
}

impl<M, D, C> Polled<M, D, C> {
    /// How long to wait between two polls, in µs.
    pub const POLL_US: u32 = 100;

    /// Makes it of the driver, a delay and a clock in µs.
    pub fn new(meter: M, delay: D, clock: C) -> Self {
        Self { meter, delay, clock }
    }
}

impl<Cf, Cf1, Sel, E, D, C> EnergyMeter for Polled<Bl0937<Cf, Cf1, Sel>, D, C>
where
    Cf: InputPin<Error = E>,
    Cf1: InputPin<Error = E>,
    Sel: OutputPin<Error = E>,
    E: core::fmt::Debug,
    D: DelayNs,
    C: FnMut() -> u64,
{
    type Error = Error<E>;

    fn correct(&mut self, correction: &Correction) {
        self.meter.calibration.correct(correction);
    }

    /// Polls until a reading is complete: 100 ms and more.
    ///
    /// # Errors
    /// [`Error::Bus`] when a pin fails.
    ///
    /// # Cancel safety
    /// Nothing is lost: measuring goes on with the next call. Pulses that come while nobody polls are not
    /// seen.
    async fn read(&mut self) -> Result<Reading, Self::Error> {
        loop {
            match self.meter.poll((self.clock)()) {
                Ok(reading) => return Ok(reading),
                Err(nb::Error::WouldBlock) => self.delay.delay_us(Self::POLL_US).await,
                Err(nb::Error::Other(error)) => return Err(error),
            }
        }
    }
}
