//! The flash.

use embassy_stm32::flash::{Blocking, Flash};
use embassy_stm32::peripherals::FLASH;

use crate::watched_flash::WatchedFlash;

/// Takes the flash. For one call.
pub fn take() -> WatchedFlash<Flash<'static, Blocking>> {
    // SAFETY: embassy-stm32 is not started here, and nothing else takes its peripherals.
    WatchedFlash(Flash::new_blocking(unsafe { FLASH::steal() }))
}
