//! The bus to the tag, I2C0 (RP2040 data sheet 4.3). embassy's driver has no time-out, and must not be dropped in the middle.

use embassy_rp::Peri;
use embassy_rp::i2c::{Config, I2c as Driver};
use embassy_rp::pac;
use embassy_rp::peripherals::{I2C0, PIN_4, PIN_5};
use embassy_time::{Duration, Instant};
use embedded_hal_async::i2c::{ErrorKind, NoAcknowledgeSource};

/// As much as the tag's driver asks for.
const HERTZ: u32 = 400_000;

/// The longest time without a step. What is in the FIFO takes 0.4 ms. The radio task, which opens its windows in time, waits as long.
const LIMIT: Duration = Duration::from_micros(700);

/// Words that each FIFO of the unit holds.
const FIFO: usize = 16;

/// The pins of both lines, in SIO's inputs.
const LINES: u32 = 1 << 4 | 1 << 5;

/// The unit, and its way to the pins.
const UNIT: pac::i2c::I2c = pac::I2C0;

/// The bus. It waits for the end of each transaction, as transactions are short, and never long: whatever the bus does, one
/// ends by itself, and a future that is dropped cannot leave half of one.
pub struct Bus {
    unit: Peri<'static, I2C0>,
    scl: Peri<'static, PIN_5>,
    sda: Peri<'static, PIN_4>,
}

impl Bus {
    /// Starts the bus.
    pub fn new(unit: Peri<'static, I2C0>, scl: Peri<'static, PIN_5>, sda: Peri<'static, PIN_4>) -> Self {
        let mut bus = Self { unit, scl, sda };
        bus.begin();
        bus
    }

    /// Resets the unit and sets it up, with the pins pulled up, so that a bus without a tag says so at once.
    fn begin(&mut self) {
        let mut config = Config::default();
        config.frequency = HERTZ;
        Driver::new_blocking(self.unit.reborrow(), self.scl.reborrow(), self.sda.reborrow(), config);
    }

    /// Writes, and then reads if there is anything to read.
    pub fn transact(&mut self, chip: u8, out: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
        // Nothing of a transaction has begun here, so a line that is low is held by something else.
        if pac::SIO.gpio_in(0).read() & LINES != LINES {
            return Err(ErrorKind::Bus);
        }
        UNIT.ic_enable().write(|w| w.set_enable(false));
        UNIT.ic_tar().write(|w| w.set_ic_tar(u16::from(chip)));
        UNIT.ic_enable().write(|w| w.set_enable(true));
        // The stop condition after a chip that did not answer may have come late.
        let _ = UNIT.ic_clr_intr().read();
        let result = steps(out, into);
        if matches!(result, Err(ErrorKind::Bus | ErrorKind::Other)) {
            // The unit lets go of both lines. A tag that was left in the middle of a byte gives up by itself (ST25DV, DS10925,
            // I2C timeout).
            self.begin();
        }
        result
    }
}

/// Puts commands into the unit and takes bytes from it, until it has made the stop condition.
fn steps(out: &[u8], into: &mut [u8]) -> Result<(), ErrorKind> {
    let mut end = Instant::now() + LIMIT;
    let total = out.len().saturating_add(into.len());
    let mut sent = 0_usize;
    let mut taken = 0_usize;
    loop {
        // Both flags of one look: a chip that does not answer gives the one and then the other.
        let flags = UNIT.ic_raw_intr_stat().read();
        if flags.tx_abrt() {
            let abort = UNIT.ic_tx_abrt_source().read();
            // Cleared by that; the unit has stopped by itself.
            let _ = UNIT.ic_clr_tx_abrt().read();
            return Err(match abort {
                _ if abort.abrt_7b_addr_noack() => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
                _ if abort.abrt_txdata_noack() => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data),
                _ => ErrorKind::Bus,
            });
        }
        // What is asked for and not taken yet has room in the FIFO.
        let asked = sent.saturating_sub(out.len()).saturating_sub(taken);
        if sent < total && asked < FIFO && usize::from(UNIT.ic_txflr().read().txflr()) < FIFO {
            let byte = out.get(sent);
            UNIT.ic_data_cmd().write(|w| {
                w.set_dat(byte.copied().unwrap_or(0));
                w.set_cmd(byte.is_none());
                w.set_restart(sent == out.len() && !out.is_empty());
                w.set_stop(sent.saturating_add(1) == total);
            });
            sent = sent.saturating_add(1);
            end = Instant::now() + LIMIT;
            continue;
        }
        if UNIT.ic_rxflr().read().rxflr() > 0 {
            let byte = UNIT.ic_data_cmd().read().dat();
            if let Some(place) = into.get_mut(taken) {
                *place = byte;
            }
            taken = taken.saturating_add(1);
            end = Instant::now() + LIMIT;
            continue;
        }
        if taken >= into.len() && flags.stop_det() {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(ErrorKind::Other);
        }
    }
}
