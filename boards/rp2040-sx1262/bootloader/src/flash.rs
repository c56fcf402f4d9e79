//! The flash.

use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::pac;
use embassy_rp::peripherals::FLASH;

use crate::memory;
use crate::watched_flash::WatchedFlash;

const FLASH_SIZE: usize = memory::FLASH_LENGTH as usize;

/// Takes the flash. For one call.
pub fn take() -> WatchedFlash<Flash<'static, FLASH, Blocking, FLASH_SIZE>> {
    // Its driver asks each channel of the DMA whether it reads from the flash: in reset none answers (RP2040 data sheet, 2.14).
    pac::RESETS.reset().modify(|w| w.set_dma(false));
    while !pac::RESETS.reset_done().read().dma() {}
    // SAFETY: embassy-rp is not started here, and nothing else takes its peripherals.
    WatchedFlash(Flash::new_blocking(unsafe { FLASH::steal() }))
}
