//! What the bootloaders share of their flash: each operation feeds the watchdog.
//! Taken in with `#[path = "../../../watched_flash.rs"] mod watched_flash;` beside a module `chip`.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::chip;

/// A flash; each operation that takes long feeds the watchdog, as a swap takes longer than that waits.
pub struct WatchedFlash<F>(pub F);

impl<F: NorFlash> ErrorType for WatchedFlash<F> {
    type Error = F::Error;
}

impl<F: NorFlash> ReadNorFlash for WatchedFlash<F> {
    const READ_SIZE: usize = F::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), F::Error> {
        self.0.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.0.capacity()
    }
}

impl<F: NorFlash> NorFlash for WatchedFlash<F> {
    const WRITE_SIZE: usize = F::WRITE_SIZE;
    const ERASE_SIZE: usize = F::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), F::Error> {
        chip::feed_watchdog();
        self.0.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), F::Error> {
        chip::feed_watchdog();
        self.0.write(offset, bytes)
    }
}
