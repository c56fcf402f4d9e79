//! What a meter gives, and what may go wrong with it.

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
