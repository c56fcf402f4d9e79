//! What the chip reported, which lora-phy only logs.

use core::sync::atomic::{AtomicU16, Ordering};

use embedded_hal_async::spi::{ErrorType, Operation, SpiDevice};

// SX1261/2 data sheet, table 13-29: IRQ registers.
pub(crate) const TX_DONE: u16 = 1 << 0;
pub(crate) const RX_DONE: u16 = 1 << 1;
pub(crate) const PREAMBLE_DETECTED: u16 = 1 << 2;
pub(crate) const HEADER_ERROR: u16 = 1 << 5;
pub(crate) const CRC_ERROR: u16 = 1 << 6;
pub(crate) const TIMEOUT: u16 = 1 << 9;
/// Bits that no interrupt has: set only where the bus or the chip is broken.
pub(crate) const RESERVED: u16 = 0xBC00;

/// GetIrqStatus, SX1261/2 data sheet section 13.3.3.
const GET_IRQ_STATUS: u8 = 0x12;

/// Interrupts that the chip has reported and [`Radio`](crate::Radio) has not yet acted on.
///
/// A board keeps one in a `static`, shared by the [`Tap`] that fills it and the radio that empties it. Both
/// run in one task.
#[derive(Debug, Default)]
pub struct IrqFlags(AtomicU16);

impl IrqFlags {
    /// Makes one with nothing reported.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU16::new(0))
    }

    // Load and store, since the Cortex-M0+ has no other atomics: one task owns both ends.
    pub(crate) fn add(&self, flags: u16) {
        self.0.store(self.0.load(Ordering::Relaxed) | flags, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> u16 {
        let flags = self.0.load(Ordering::Relaxed);
        self.0.store(0, Ordering::Relaxed);
        flags
    }
}

/// An SPI device that notes each answer to GetIrqStatus and changes nothing.
///
/// lora-phy clears the flags that it reads and hides some of them: without the note a header error could
/// not be told from silence, and a receive dropped just then would lose its frame.
#[derive(Debug)]
pub struct Tap<SPI> {
    spi: SPI,
    flags: &'static IrqFlags,
}

impl<SPI> Tap<SPI> {
    /// Makes it out of a board's SPI device and the flags it shares with the radio.
    pub fn new(spi: SPI, flags: &'static IrqFlags) -> Self {
        Self { spi, flags }
    }
}

impl<SPI: ErrorType> ErrorType for Tap<SPI> {
    type Error = SPI::Error;
}

impl<SPI: SpiDevice<u8>> SpiDevice<u8> for Tap<SPI> {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Self::Error> {
        self.spi.transaction(operations).await?;
        if let (Some(Operation::Write([GET_IRQ_STATUS, ..])), Some(Operation::Read(answer))) =
            (operations.first(), operations.last())
            && let [high, low] = **answer
        {
            self.flags.add(u16::from_be_bytes([high, low]));
        }
        Ok(())
    }
}
