//! The bus to the radio inside the chip (RM0453 chapters 37 and 4): a byte goes out as another comes in. embassy's driver
//! takes 1 KB more, for what this bus does not need.

use embassy_stm32::pac::SUBGHZSPI as SPI;
use embassy_stm32::pac::spi::vals::{Br, Ds, Frxth, Mstr};
use embassy_stm32::peripherals::SUBGHZSPI;
use embassy_stm32::{Peri, pac, rcc};
use embedded_hal_async::spi::{ErrorKind, ErrorType, Operation, SpiDevice};

/// The radio on its bus. It waits for each byte (0.7 us) though the bus could use DMA: a future that is dropped cannot
/// leave half a transaction on the bus.
pub struct Bus(());

impl Bus {
    /// Starts the bus, with the radio not selected.
    pub fn new(_spi: Peri<'static, SUBGHZSPI>) -> Self {
        select(false);
        rcc::enable_and_reset::<SUBGHZSPI>();
        SPI.cr2().write(|w| {
            w.set_ds(Ds::BITS8);
            w.set_frxth(Frxth::QUARTER);
        });
        SPI.cr1().write(|w| {
            w.set_mstr(Mstr::MASTER);
            // 12 MHz of 48; the radio takes 16 (RM0453, Sub-GHz radio SPI).
            w.set_br(Br::DIV4);
            // Chip select is not this unit's.
            w.set_ssm(true);
            w.set_ssi(true);
            w.set_spe(true);
        });
        Self(())
    }
}

/// Chip select, a bit of the power controller.
fn select(selected: bool) {
    pac::PWR.subghzspicr().modify(|w| w.set_nss(!selected));
}

/// Exchanges a byte.
fn exchange(byte: u8) -> u8 {
    SPI.dr8().write_value(byte);
    while !SPI.sr().read().rxne() {}
    SPI.dr8().read()
}

impl ErrorType for Bus {
    type Error = ErrorKind;
}

impl SpiDevice for Bus {
    async fn transaction(&mut self, operations: &mut [Operation<'_, u8>]) -> Result<(), ErrorKind> {
        let mut result = Ok(());
        select(true);
        for operation in operations {
            match operation {
                Operation::Read(bytes) => bytes.iter_mut().for_each(|byte| *byte = exchange(0)),
                Operation::Write(bytes) => bytes.iter().for_each(|byte| {
                    exchange(*byte);
                }),
                // The radio's driver does neither.
                _ => result = Err(ErrorKind::Other),
            }
        }
        select(false);
        result
    }
}
