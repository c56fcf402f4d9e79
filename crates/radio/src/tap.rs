//! What the chip reported, which lora-phy only logs.

use core::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use embedded_hal_async::spi::{ErrorType, Operation, SpiDevice};

// SX1261/2 data sheet, table 13-29: IRQ registers.
pub(crate) const TX_DONE: u16 = 1 << 0;
pub(crate) const RX_DONE: u16 = 1 << 1;
pub(crate) const PREAMBLE_DETECTED: u16 = 1 << 2;
pub(crate) const HEADER_ERROR: u16 = 1 << 5;
pub(crate) const CRC_ERROR: u16 = 1 << 6;
pub(crate) const TIMEOUT: u16 = 1 << 9;
/// What a transmission can report. Any other bit is set only where the bus or the chip is broken.
pub(crate) const OF_TRANSMIT: u16 = TX_DONE | TIMEOUT;
/// What a receive without a time-out can report: also SyncWordValid and HeaderValid.
pub(crate) const OF_CONTINUOUS: u16 =
    RX_DONE | PREAMBLE_DETECTED | 1 << 3 | 1 << 4 | HEADER_ERROR | CRC_ERROR;
/// What a receive with a time-out can report.
pub(crate) const OF_SINGLE: u16 = OF_CONTINUOUS | TIMEOUT;

/// GetIrqStatus, SX1261/2 data sheet section 13.3.3.
const GET_IRQ_STATUS: u8 = 0x12;
/// GetPacketStatus, SX1261/2 data sheet section 13.5.3.
const GET_PACKET_STATUS: u8 = 0x14;
/// GetRssiInst, SX1261/2 data sheet section 13.5.4: -2 times the signal strength in dBm, as GetPacketStatus has it.
const GET_RSSI_INST: u8 = 0x15;
/// ReadRegister (SX1261/2 data sheet section 13.2.2) of the retention list (section 9.6).
const READ_RETENTION_LIST: [u8; 3] = [0x1D, 0x02, 0x9F];

/// The registers that the retention list holds at most (section 9.6). lora-phy takes the number as an index.
const MAX_RETAINED: u8 = 4;
/// The SNR in quarters of a dB (section 13.5.3) that lora-phy still rounds in a signed byte.
const MAX_SNR: i8 = i8::MAX - 2;

/// Interrupts that the chip has reported and [`Radio`](crate::Radio) has not yet acted on.
///
/// A board keeps one in a `static`, shared by the [`Tap`] that fills it and the radio that empties it. Both
/// run in one task.
#[derive(Debug, Default)]
pub struct IrqFlags {
    reported: AtomicU16,
    /// The next GetPacketStatus is to become a GetRssiInst.
    asks_rssi: AtomicBool,
}

impl IrqFlags {
    /// Makes one with nothing reported.
    #[must_use]
    pub const fn new() -> Self {
        Self { reported: AtomicU16::new(0), asks_rssi: AtomicBool::new(false) }
    }

    // Load and store, since the Cortex-M0+ has no other atomics: one task owns both ends.
    pub(crate) fn add(&self, flags: u16) {
        self.reported.store(self.reported.load(Ordering::Relaxed) | flags, Ordering::Relaxed);
    }

    pub(crate) fn take(&self) -> u16 {
        let flags = self.reported.load(Ordering::Relaxed);
        self.reported.store(0, Ordering::Relaxed);
        flags
    }

    pub(crate) fn ask_rssi(&self, asks: bool) {
        self.asks_rssi.store(asks, Ordering::Relaxed);
    }

    /// Tells whether no [`Tap`] has seen to it.
    pub(crate) fn asks_rssi(&self) -> bool {
        self.asks_rssi.load(Ordering::Relaxed)
    }
}

/// An SPI device that notes each answer to GetIrqStatus, and keeps two others within their range.
///
/// lora-phy clears the flags that it reads and hides some of them: without the note a header error could
/// not be told from silence, and a receive dropped just then would lose its frame. What it reads from the
/// retention list and of the SNR it calculates with unchecked: on a bus that reads as ones it would panic.
///
/// lora-phy has no GetRssiInst either. On demand the tap puts it in the place of a GetPacketStatus, whose first
/// byte has the same form.
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
        if let [Operation::Write(command), ..] = operations
            && **command == [GET_PACKET_STATUS]
            && self.flags.asks_rssi()
        {
            self.flags.ask_rssi(false);
            *command = &[GET_RSSI_INST];
        }
        self.spi.transaction(operations).await?;
        let [Operation::Write(command), .., Operation::Read(answer)] = operations else { return Ok(()) };
        match (*command, &mut **answer) {
            ([GET_IRQ_STATUS, ..], [high, low]) => self.flags.add(u16::from_be_bytes([*high, *low])),
            ([GET_PACKET_STATUS | GET_RSSI_INST, ..], [_, snr, _]) => {
                *snr = snr.cast_signed().min(MAX_SNR).cast_unsigned();
            }
            ([a, b, c, ..], [count, ..]) if [*a, *b, *c] == READ_RETENTION_LIST => {
                *count = (*count).min(MAX_RETAINED);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::convert::Infallible;
    use core::future::Future;
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};

    use super::*;

    /// A bus on which every read gives this byte.
    struct Reads(u8);

    impl ErrorType for Reads {
        type Error = Infallible;
    }

    impl SpiDevice<u8> for Reads {
        async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
            for operation in operations {
                if let Operation::Read(answer) = operation {
                    answer.fill(self.0);
                }
            }
            Ok(())
        }
    }

    /// What a read of `len` bytes gives through the tap on a bus of `byte`, and the flags that it noted.
    fn read(byte: u8, command: &[u8], len: usize) -> ([u8; 9], u16) {
        let flags = std::boxed::Box::leak(std::boxed::Box::default());
        let mut tap = Tap::new(Reads(byte), flags);
        let (mut status, mut answer) = ([0], [0; 9]);
        let mut operations = [
            Operation::Write(command),
            Operation::Read(&mut status),
            Operation::Read(answer.get_mut(..len).unwrap()),
        ];
        let done = pin!(tap.transaction(&mut operations)).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(done, Poll::Ready(Ok(())));
        (answer, flags.take())
    }

    #[test]
    fn a_packet_status_becomes_the_signal_strength_once_where_it_was_asked_for() {
        /// Answers with the command's own code.
        struct Echo;
        impl ErrorType for Echo {
            type Error = Infallible;
        }
        impl SpiDevice<u8> for Echo {
            async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), Infallible> {
                let [Operation::Write(command), .., Operation::Read(answer)] = operations else {
                    panic!("{operations:?}")
                };
                answer.fill(command[0]);
                Ok(())
            }
        }
        let flags: &IrqFlags = std::boxed::Box::leak(std::boxed::Box::default());
        let mut tap = Tap::new(Echo, flags);
        let mut read = |command: &[u8]| {
            let (mut status, mut answer) = ([0], [0; 3]);
            let mut operations =
                [Operation::Write(command), Operation::Read(&mut status), Operation::Read(&mut answer)];
            let done = pin!(tap.transaction(&mut operations)).poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(done, Poll::Ready(Ok(())));
            answer
        };
        assert_eq!(read(&[0x14]), [0x14; 3]);
        flags.ask_rssi(true);
        assert_eq!(read(&[0x17]), [0x17; 3]);
        assert!(flags.asks_rssi());
        assert_eq!(read(&[0x14]), [0x15; 3]);
        assert!(!flags.asks_rssi());
        assert_eq!(read(&[0x14]), [0x14; 3]);
    }

    #[test]
    fn flags_are_noted_and_what_lora_phy_counts_with_stays_in_its_range() {
        assert_eq!(read(0x21, &[0x12], 2).1, 0x2121);
        for (byte, count) in [(0, 0), (4, 4), (5, 4), (0xFF, 4)] {
            let (answer, flags) = read(byte, &[0x1D, 0x02, 0x9F, 0], 9);
            assert_eq!((answer, flags), ([count, byte, byte, byte, byte, byte, byte, byte, byte], 0));
        }
        for (byte, snr) in
            [(0x28, 0x28), (0x7D, 0x7D), (0x7E, 0x7D), (0x7F, 0x7D), (0x80, 0x80), (0xFF, 0xFF)]
        {
            assert_eq!(read(byte, &[0x14], 3).0[..3], [byte, snr, byte]);
        }
        // Any other register, and any other length, as it is.
        assert_eq!(read(0xFF, &[0x1D, 0x07, 0x40, 0], 2), ([0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0], 0));
        assert_eq!(read(0xFF, &[0x12], 1).1, 0);
    }
}
