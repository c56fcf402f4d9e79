//! The flash.

use embassy_rp::flash::{Blocking, Flash};
use embassy_rp::peripherals::FLASH;

use crate::memory;
use crate::watched_flash::WatchedFlash;

const FLASH_SIZE: usize = memory::FLASH_LENGTH as usize;

/// Takes the flash. For one call.
pub fn take() -> WatchedFlash<Flash<'static, FLASH, Blocking, FLASH_SIZE>> {
    // SAFETY: embassy-rp is not started here, and nothing else takes its peripherals.
    WatchedFlash(Flash::new_blocking(unsafe { FLASH::steal() }))
}
