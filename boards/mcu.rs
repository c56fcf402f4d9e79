//! What the MCU boards share, and what no portable crate can hold: the ends of panic and log.
//! Each board takes it in with `#[path = "../../mcu.rs"] mod mcu;`.

use core::panic::PanicInfo;

use sockeye_firmware::{Notice, Observer};

/// Notices go nowhere: the image carries no log (defmt at level info would take 22 KB).
#[derive(Clone, Debug)]
pub struct Quiet;

impl Observer for Quiet {
    fn observe(&self, _: Notice<'_>) {}
}

/// Names `!`, which a return type can say and stable Rust has no other name for.
pub type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// Leaves a mark for the next start, and restarts: a socket that stands still helps nobody. What the panic says
/// is not kept, so no secret can get out that way.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    crate::system::restart_after_fault()
}

/// Restarts after a fault of the processor, as after a panic.
// SAFETY: cortex-m-rt asks for a handler that does not touch what the fault may have left half done;
// this one writes one mark and resets.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::system::restart_after_fault()
}

/// Throws away what lora-phy logs: it depends on defmt, whatever one chooses.
#[defmt::global_logger]
struct NoLog;

// SAFETY: nothing is acquired, kept or written, so there is nothing to keep apart.
unsafe impl defmt::Logger for NoLog {
    fn acquire() {}
    unsafe fn flush() {}
    unsafe fn release() {}
    unsafe fn write(_: &[u8]) {}
}
