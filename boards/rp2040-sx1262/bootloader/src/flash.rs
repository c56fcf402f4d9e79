//! The flash, with the watchdog fed.

use embassy_rp::flash::{Blocking, ERASE_SIZE, Error, Flash, WRITE_SIZE};
use embassy_rp::peripherals::FLASH;
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::{chip, memory};

const FLASH_SIZE: usize = memory::FLASH_LENGTH as usize;

/// The flash; each operation feeds the watchdog, as a swap takes longer than that waits.
pub struct WatchedFlash(Flash<'static, FLASH, Blocking, FLASH_SIZE>);

impl WatchedFlash {
    /// Takes the flash. For one call.
    pub fn new() -> Self {
        // SAFETY: embassy-rp is not started here, and nothing else takes its peripherals.
        Self(Flash::new_blocking(unsafe { FLASH::steal() }))
    }
}

impl ErrorType for WatchedFlash {
    type Error = Error;
}

impl ReadNorFlash for WatchedFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Error> {
        self.0.blocking_read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        FLASH_SIZE
    }
}

impl NorFlash for WatchedFlash {
    const WRITE_SIZE: usize = WRITE_SIZE;
    const ERASE_SIZE: usize = ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Error> {
        chip::feed_watchdog();
        self.0.blocking_erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Error> {
        chip::feed_watchdog();
        self.0.blocking_write(offset, bytes)
    }
}
