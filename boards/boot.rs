//! What the bootloaders share: swap the images if the notes say so, and go to the application.
//! Each bootloader takes it in with `#[path = "../../../boot.rs"]`, beside a `chip` of its own.

use core::cell::RefCell;
use core::sync::atomic::{AtomicU32, Ordering};

use embassy_boot::{AlignedBuffer, BootLoader, BootLoaderConfig};
use embassy_embedded_hal::flash::partition::BlockingPartition;
use embassy_sync::blocking_mutex::Mutex;
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embedded_storage::nor_flash::NorFlash;
use sockeye_upgrade::Notes;

use crate::{chip, handover, memory};

/// So many starts without an application that comes to run, and the load is supplied no more: nobody watches over it.
const STARTS: u32 = 10;

/// The first words of what a reset leaves alone, at the same addresses as `sockeye_firmware::Retained`, by the linker's map.
#[repr(C)]
struct Kept {
    /// The level that the application gave the relay last.
    relay: AtomicU32,
    /// The application's own.
    _meter: AtomicU32,
    /// Starts since the application came to run.
    starts: AtomicU32,
}

// SAFETY: the section is for what no start sets; any content is valid words.
#[unsafe(link_section = ".retained.relay")]
#[used]
static KEPT: Kept = Kept { relay: AtomicU32::new(0), _meter: AtomicU32::new(0), starts: AtomicU32::new(0) };

/// Counts this start, and tells how the relay is to be held: as the application had it, unless the supply was away, or the
/// application has not come to run for long.
pub fn relay_to_hold(supply_was_away: bool) -> Option<bool> {
    let starts = KEPT.starts.load(Ordering::Relaxed).saturating_add(1);
    KEPT.starts.store(if supply_was_away { 0 } else { starts }, Ordering::Relaxed);
    if supply_was_away {
        return None;
    }
    if starts > STARTS {
        KEPT.relay.store(handover::RELAY_OFF, Ordering::Relaxed);
    }
    match KEPT.relay.load(Ordering::Relaxed) {
        handover::RELAY_ON => Some(true),
        handover::RELAY_OFF => Some(false),
        _ => None,
    }
}

/// Swaps what is to be swapped, with a buffer of `N` bytes, and goes to the application.
pub fn boot<F: NorFlash, const N: usize>(flash: F) -> ! {
    let flash = Mutex::<NoopRawMutex, _>::new(RefCell::new(flash));
    let part =
        |origin: u32, length: u32| BlockingPartition::new(&flash, origin - memory::FLASH_ORIGIN, length);
    let config = BootLoaderConfig {
        active: part(memory::ACTIVE_ORIGIN, memory::ACTIVE_LENGTH),
        dfu: part(memory::DFU_ORIGIN, memory::DFU_LENGTH),
        state: Notes(part(memory::STATE_ORIGIN, memory::STATE_LENGTH)),
    };
    let mut buffer = AlignedBuffer([0; N]);
    if BootLoader::new(config).prepare_boot(buffer.as_mut()).is_err() {
        // Half a swap is no application: try again, as the notes tell how far it is.
        chip::reset();
    }
    start_application()
}

/// Goes to the application, if there is one.
fn start_application() -> ! {
    let vectors = memory::ACTIVE_ORIGIN as *const [u32; 2];
    // SAFETY: readable flash, aligned.
    let [stack, reset] = unsafe { vectors.read_volatile() };
    let ram = memory::RAM_ORIGIN..=memory::RAM_ORIGIN + memory::RAM_LENGTH;
    let code = memory::ACTIVE_ORIGIN..memory::ACTIVE_ORIGIN + memory::ACTIVE_LENGTH;
    if !ram.contains(&stack) || !code.contains(&reset) {
        // An empty slot. The watchdog tries again, slowly.
        loop {
            cortex_m::asm::wfi();
        }
    }
    // SAFETY: no interrupt is enabled and no driver is in use; the vector table was just looked at.
    unsafe {
        (*cortex_m::peripheral::SCB::PTR).vtor.write(memory::ACTIVE_ORIGIN);
        cortex_m::asm::bootload(vectors.cast())
    }
}

/// A flaw in here, or in the flash. What is kept in RAM holds the relay over the restart.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    chip::reset()
}

/// Restarts after a fault.
// SAFETY: cortex-m-rt asks for a handler that does not touch what the fault may have left half done; this one resets.
#[cortex_m_rt::exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    chip::reset()
}
