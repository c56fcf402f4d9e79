//! What the MCU boards share, and what no portable crate can hold: the ends of panic, fault and log.
//! Each board takes it in with `#[path = "../../mcu.rs"] mod mcu;`.

#[path = "log.rs"]
mod log;

use core::panic::PanicInfo;

use sockeye_firmware::{Fault, FaultKind};

pub use self::log::Log;

/// Names `!`, which a return type can say and stable Rust has no other name for.
pub type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// The undefined instruction that a panic ends in (Armv6-M and Armv7-M ARM, UDF T1: 0xDE00 and 8 bits to choose). An image
/// that is built with `immediate-abort` has it wherever it would panic, as what LLVM makes of an abort (its `tTRAP`).
const PANIC_UDF: u16 = 0xDEFE;

// SAFETY: cortex-m-rt's linker script sets both.
unsafe extern "C" {
    /// Where the code begins.
    static __stext: u32;
    /// Where it ends.
    static __etext: u32;
}

/// Ends in a fault of the processor, which keeps where it came from. What the panic says is not kept, so no secret can get
/// out that way.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: it does not return, and touches neither memory nor registers.
    unsafe { core::arch::asm!("udf #0xFE", options(noreturn, nomem, nostack)) }
}

/// Leaves a mark for the next start, and restarts: a socket that stands still helps nobody.
// SAFETY: cortex-m-rt asks for a handler that does not touch what the fault may have left half done; this one writes a few
// words that nobody else writes then, and resets.
#[cortex_m_rt::exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    let (pc, lr) = (frame.pc(), frame.lr());
    let code = core::ptr::addr_of!(__stext) as u32..core::ptr::addr_of!(__etext) as u32;
    // SAFETY: within the code of this image, so it can be read; the processor has it on a half-word's boundary.
    let is_panic = code.contains(&pc) && unsafe { (pc as *const u16).read_volatile() } == PANIC_UDF;
    let kind = if is_panic { FaultKind::Panic } else { FaultKind::HardFault };
    end(Fault { kind, pc, lr })
}

/// Ends this run: the next start tells why.
pub fn end(fault: Fault) -> ! {
    crate::system::RETAINED.note(fault);
    crate::system::reset()
}

/// Makes the board's `main`: control and watch on an executor in an interrupt that no driver uses, at the lowest priority of all,
/// and radio and service on the thread. `$parts` is the function that takes the chip from reset to [`sockeye_firmware::Parts`].
/// A board with a tag or a serial line names its fifth task, `maintenance`, at the end.
macro_rules! socket {
    ($board:ty, $parts:path, $interrupt:ident, $priority:path $(, $maintenance:ident)?) => {
        /// Runs control and watch above the other tasks.
        static ABOVE: embassy_executor::InterruptExecutor = embassy_executor::InterruptExecutor::new();

        /// Polls control and watch.
        #[interrupt]
        unsafe fn $interrupt() {
            // SAFETY: this is the interrupt that the executor was started with, and its only caller.
            unsafe { ABOVE.on_interrupt() }
        }

        /// As plain functions around a block the tasks hold their parts once; an `async fn` would hold them twice.
        #[embassy_executor::task]
        #[allow(clippy::manual_async_fn, reason = "an async fn would hold the parts of its task twice")]
        fn control(
            mut control: sockeye_firmware::Control<$board>,
            shared: &'static sockeye_firmware::Shared,
        ) -> impl Future<Output = mcu::Never> {
            async move { sockeye_firmware::control(&mut control, shared).await }
        }

        #[embassy_executor::task]
        #[allow(clippy::manual_async_fn, reason = "as above")]
        fn watch(
            mut watch: sockeye_firmware::Watch<$board>,
            shared: &'static sockeye_firmware::Shared,
        ) -> impl Future<Output = mcu::Never> {
            async move { sockeye_firmware::watch(&mut watch, shared).await }
        }

        #[embassy_executor::task]
        #[allow(clippy::manual_async_fn, reason = "as above")]
        fn radio(
            mut radio: sockeye_firmware::RadioTask<$board>,
            shared: &'static sockeye_firmware::Shared,
        ) -> impl Future<Output = mcu::Never> {
            async move { sockeye_firmware::radio(&mut radio, shared).await }
        }

        #[embassy_executor::task]
        #[allow(clippy::manual_async_fn, reason = "as above")]
        fn service(
            mut service: sockeye_firmware::Service<$board>,
            shared: &'static sockeye_firmware::Shared,
        ) -> impl Future<Output = mcu::Never> {
            async move { sockeye_firmware::service(&mut service, shared).await }
        }

        $(
            #[embassy_executor::task]
            #[allow(clippy::manual_async_fn, reason = "as above")]
            fn $maintenance(
                mut maintenance: sockeye_firmware::Maintenance<$board>,
                shared: &'static sockeye_firmware::Shared,
            ) -> impl Future<Output = mcu::Never> {
                async move { sockeye_firmware::maintenance(&mut maintenance, shared).await }
            }
        )?

        #[cortex_m_rt::entry]
        fn main() -> ! {
            static SHARED: static_cell::StaticCell<sockeye_firmware::Shared> = static_cell::StaticCell::new();
            static EXECUTOR: static_cell::StaticCell<embassy_executor::Executor> =
                static_cell::StaticCell::new();

            let shared = SHARED.init(sockeye_firmware::Shared::new());
            EXECUTOR.init(embassy_executor::Executor::new()).run(|spawner| start(spawner, shared))
        }

        /// Takes the chip from reset to running tasks. Done on the stack, which is given back, and not in a task's
        /// memory, which would be kept for it for ever.
        #[inline(never)]
        fn start(spawner: embassy_executor::Spawner, shared: &'static sockeye_firmware::Shared) {
            // It waits for nothing but this flash, which blocks: one poll does it all. A loop of polls would take 1 KB more.
            let core::task::Poll::Ready(tasks) =
                embassy_futures::poll_once(sockeye_firmware::start($parts(), shared))
            else {
                panic!("the flash of an MCU does not wait")
            };
            interrupt::$interrupt.set_priority($priority);
            let above = ABOVE.start(interrupt::$interrupt);
            above.spawn(control(tasks.control, shared).expect("spawned once"));
            above.spawn(watch(tasks.watch, shared).expect("spawned once"));
            spawner.spawn(service(tasks.service, shared).expect("spawned once"));
            $(spawner.spawn($maintenance(tasks.maintenance, shared).expect("spawned once"));)?
            spawner.spawn(radio(tasks.radio, shared).expect("spawned once"));
        }
    };
}
