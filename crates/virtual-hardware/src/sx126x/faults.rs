//! What can go wrong with a chip.

/// A fault to put into a chip, by [`Sx126x::inject`](super::Sx126x::inject).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// BUSY goes high and stays so, and commands do nothing, until the chip is reset.
    Hang,
    /// BUSY stays high for good: no reset helps.
    BusyStuck,
    /// DIO1 stays low until the chip is reset.
    Dio1Silent,
    /// DIO1 stays low for good.
    Dio1Dead,
    /// The next header does not fit its check.
    HeaderError,
    /// The next payload is disturbed.
    CrcError,
    /// The next transmission ends without TxDone.
    NoTxDone,
    /// Noise looks like a preamble at this instant, in microseconds.
    FalsePreamble {
        /// When.
        at_us: u64,
    },
    /// The next receive that times out reports a preamble in the same instant.
    PreambleWithTimeout,
    /// Every read gives this byte: the bus is broken.
    ReadsAs(u8),
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) busy_stuck: bool,
    pub(super) dio1_dead: bool,
    pub(super) header_error: bool,
    pub(super) crc_error: bool,
    pub(super) no_tx_done: bool,
    pub(super) false_preamble_us: Option<u64>,
    pub(super) preamble_with_timeout: bool,
    pub(super) reads_as: Option<u8>,
    busy_for_good: bool,
    dio1_for_good: bool,
}

impl Faults {
    pub(super) fn after_reset(self) -> Self {
        Self {
            busy_stuck: self.busy_for_good,
            dio1_dead: self.dio1_for_good,
            busy_for_good: self.busy_for_good,
            dio1_for_good: self.dio1_for_good,
            reads_as: self.reads_as,
            false_preamble_us: self.false_preamble_us,
            ..Self::default()
        }
    }
}

impl super::Sx126x {
    /// Puts a fault into the chip.
    pub fn inject(&mut self, fault: Fault) {
        let faults = &mut self.faults;
        match fault {
            Fault::Hang => faults.busy_stuck = true,
            Fault::BusyStuck => (faults.busy_stuck, faults.busy_for_good) = (true, true),
            Fault::Dio1Silent => faults.dio1_dead = true,
            Fault::Dio1Dead => (faults.dio1_dead, faults.dio1_for_good) = (true, true),
            Fault::HeaderError => faults.header_error = true,
            Fault::CrcError => faults.crc_error = true,
            Fault::NoTxDone => faults.no_tx_done = true,
            Fault::FalsePreamble { at_us } => faults.false_preamble_us = Some(at_us),
            Fault::PreambleWithTimeout => faults.preamble_with_timeout = true,
            Fault::ReadsAs(byte) => faults.reads_as = Some(byte),
        }
    }

    /// Takes all faults away.
    pub fn heal(&mut self) {
        self.faults = Faults::default();
    }
}
