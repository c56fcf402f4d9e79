//! The supply monitor: the chip's programmable voltage detector, which embassy-stm32 has no driver for.

use embassy_stm32::interrupt::typelevel::{Binding, Handler, Interrupt as _, PVD_PVM};
use embassy_stm32::pac;
use embassy_stm32::pac::pwr::vals::Pls;
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::signal::Signal;
use sockeye_firmware::SupplyMonitor;

/// The detector's line of the interrupt controller (RM0453, EXTI lines; measured fact: PVD is line 16).
const LINE: usize = 16;

/// The highest of the detector's thresholds: on a supply of 3.3 V it leaves the most time.
const THRESHOLD: Pls = Pls::V2_9;

static LOST: Signal<CriticalSectionRawMutex, ()> = Signal::new();

/// Tells the waiting task, or keeps the news for it.
#[derive(Debug)]
pub struct InterruptHandler;

impl Handler<PVD_PVM> for InterruptHandler {
    unsafe fn on_interrupt() {
        pac::EXTI.pr(0).write(|w| w.set_line(LINE, true));
        LOST.signal(());
    }
}

/// Tells when the chip's supply falls below 2.9 V.
#[derive(Debug)]
pub struct Supply(());

impl Supply {
    /// Starts the detector.
    pub fn new(_irqs: impl Binding<PVD_PVM, InterruptHandler>) -> Self {
        pac::PWR.cr2().modify(|w| {
            w.set_pls(THRESHOLD);
            w.set_pvde(true);
        });
        // The detector's output is high while the supply is below: a rising edge is a loss.
        pac::EXTI.rtsr(0).modify(|w| w.set_line(LINE, true));
        // Some time for the detector to settle, and what it told meanwhile does not count.
        cortex_m::asm::delay(48_000_000 / 10_000);
        pac::EXTI.pr(0).write(|w| w.set_line(LINE, true));
        #[cfg(feature = "lora-e5")]
        pac::EXTI.imr(0).modify(|w| w.set_line(LINE, true));
        #[cfg(feature = "nucleo-wl55jc")]
        pac::EXTI.cpu(0).imr(0).modify(|w| w.set_line(LINE, true));
        PVD_PVM::unpend();
        // SAFETY: nothing here relies on the interrupt being off.
        unsafe { PVD_PVM::enable() };
        Self(())
    }
}

impl SupplyMonitor for Supply {
    async fn lost(&mut self) {
        LOST.wait().await;
    }
}
