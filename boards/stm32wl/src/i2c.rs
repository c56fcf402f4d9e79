//! The bus to the tag, I2C2 (RM0453 chapter 34). embassy's driver with DMA takes 5 KB more, for what this bus does not need.

use embassy_stm32::gpio::{AfType, Flex, OutputType, Pull, Speed};
use embassy_stm32::i2c::{SclPin, SdaPin};
use embassy_stm32::pac::I2C2;
use embassy_stm32::pac::i2c::regs::Timingr;
use embassy_stm32::pac::i2c::vals::{Autoend, Dir};
use embassy_stm32::{Peri, peripherals, rcc};
use embedded_hal_async::i2c::{ErrorKind, NoAcknowledgeSource};

/// 400 kHz of a clock of 48 MHz: the example of ST's reference manuals for units of this kind (RM0091, I2C timings).
const TIMING: Timingr = Timingr(0x5033_0309);

/// So often the bus is looked at for the next byte, some 0.4 ms of a processor at 48 MHz; it takes 23 us. The radio task, which
/// opens its windows in time, waits as long.
const LOOKS: u32 = 1_000;

/// Flags of ISR (RM0453, I2C interrupt and status register).
const TXIS: u32 = 1 << 1;
const RXNE: u32 = 1 << 2;
const STOPF: u32 = 1 << 5;
const TC: u32 = 1 << 6;

/// The bus. It waits for each byte (23 us), as transactions are short, and never long: whatever the bus does, one ends by
/// itself, and a future that is dropped cannot leave half of one.
pub struct Bus {
    pins: [Flex<'static>; 2],
}

impl Bus {
    /// Starts the bus.
    pub fn new(
        _unit: Peri<'static, peripherals::I2C2>,
        scl: Peri<'static, impl SclPin<peripherals::I2C2>>,
        sda: Peri<'static, impl SdaPin<peripherals::I2C2>>,
    ) -> Self {
        let functions = [scl.af_num(), sda.af_num()];
        let mut pins = [Flex::new(scl), Flex::new(sda)];
        // Pulled up, so that a bus without a tag says so at once.
        let kind = AfType::output_pull(OutputType::OpenDrain, Speed::Medium, Pull::Up);
        for (pin, function) in pins.iter_mut().zip(functions) {
            pin.set_as_af_unchecked(function, kind);
        }
        rcc::enable_and_reset::<peripherals::I2C2>();
        I2C2.timingr().write_value(TIMING);
        I2C2.cr1().write(|w| w.set_pe(true));
        Self { pins }
    }

    /// Waits until one of the flags of `mask` is up.
    #[inline(never)]
    fn wait(mask: u32) -> Result<(), ErrorKind> {
        for _ in 0..LOOKS {
            let flags = I2C2.isr().read();
            if flags.nackf() {
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown));
            }
            if flags.berr() || flags.arlo() {
                return Err(ErrorKind::Bus);
            }
            if flags.0 & mask != 0 {
                return Ok(());
            }
        }
        Err(ErrorKind::Other)
    }

    /// Begins to write or read.
    fn begin(chip: u8, dir: Dir, count: usize, end: Autoend) {
        I2C2.cr2().write(|w| {
            w.set_sadd(u16::from(chip) << 1);
            w.set_dir(dir);
            w.set_nbytes(count as u8);
            w.set_autoend(end);
            w.set_start(true);
        });
    }

    fn steps(chip: u8, out: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
        let end = if into.is_empty() { Autoend::AUTOMATIC } else { Autoend::SOFTWARE };
        Self::begin(chip, Dir::WRITE, out.len(), end);
        for byte in out {
            Self::wait(TXIS)?;
            I2C2.txdr().write(|w| w.set_txdata(*byte));
        }
        if !into.is_empty() {
            Self::wait(TC)?;
            Self::begin(chip, Dir::READ, into.len(), Autoend::AUTOMATIC);
            for place in into {
                Self::wait(RXNE)?;
                *place = I2C2.rxdr().read().rxdata();
            }
        }
        Self::wait(STOPF)
    }

    /// Writes, and then reads if there is anything to read.
    pub fn transact(&mut self, chip: u8, out: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
        // What the unit counts (NBYTES) without a reload; the tag's driver does no more than 34.
        if out.len() > 255 || into.len() > 255 {
            return Err(ErrorKind::Other);
        }
        // Nothing of a transaction has begun here, so a line that is low is held by something else.
        if self.pins.iter().any(Flex::is_low) {
            return Err(ErrorKind::Bus);
        }
        let mut result = Self::steps(chip, out, into);
        if matches!(result, Err(ErrorKind::NoAcknowledge(_))) {
            // The unit ends that by itself.
            I2C2.icr().write(|w| w.set_nackcf(true));
            result = Self::wait(STOPF).and(result);
        }
        I2C2.icr().write(|w| w.set_stopcf(true));
        if result.is_err() {
            // Off and on: the unit lets go of both lines, and forgets flags and bytes. A tag that was left in the middle
            // of a byte gives up by itself (ST25DV, DS10925, I2C timeout).
            I2C2.cr1().write(|w| w.set_pe(false));
            // It has to be off for three clocks of the bus; that is what this read takes.
            let _ = I2C2.cr1().read();
            I2C2.cr1().write(|w| w.set_pe(true));
        }
        result
    }
}
