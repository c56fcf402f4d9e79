//! What the MCU boards share, and what no portable crate can hold: the ends of panic, fault and log.
//! Each board takes it in with `#[path = "../../mcu.rs"] mod mcu;`.

use core::panic::PanicInfo;

use sockeye_firmware::{Fault, FaultKind, Notice, Observer};

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

/// The undefined instruction that a panic ends in (Armv6-M and Armv7-M ARM, UDF T1: 0xDE00 and 8 bits to choose).
const PANIC_UDF: u16 = 0xDE50;

/// Ends in a fault of the processor, which keeps where it came from. What the panic says is not kept, so no secret can get
/// out that way.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it does not return, and touches neither memory nor registers.
    unsafe { core::arch::asm!("udf #0x50", options(noreturn, nomem, nostack)) }
}

/// Leaves a mark for the next start, and restarts: a socket that stands still helps nobody.
// SAFETY: cortex-m-rt asks for a handler that does not touch what the fault may have left half done; this one writes a few
// words that nobody else writes then, and resets.
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    let (pc, lr) = (frame.pc(), frame.lr());
    // SAFETY: the program counter lies in flash or RAM that was fetched from, or the fetch itself has failed: then its low
    // bits say nothing of use, and a second fault here stops the processor for the watchdog to find.
    let is_panic = unsafe { (pc as *const u16).read_volatile() } == PANIC_UDF;
    let kind = if is_panic { FaultKind::Panic } else { FaultKind::HardFault };
    end(Fault { kind, pc, lr })
}

/// Ends this run: the next start tells why.
pub fn end(fault: Fault) -> ! {
    crate::system::RETAINED.note(fault);
    crate::system::reset()
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
