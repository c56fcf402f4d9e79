//! Watchdog, restart, why the chip started, and the exception that flash raises.

use cortex_m::peripheral::SCB;
use embassy_stm32::peripherals::IWDG;
use embassy_stm32::wdg::IndependentWatchdog;
use embassy_stm32::{Peri, pac};
use sockeye_firmware::{Fault, FaultKind, Retained};
use sockeye_state_machine::ResetCause;

/// The service task feeds once a second; the longest that flash may hold it up is the erase of the six pages of
/// storage, some 0.15 s.
const WATCHDOG_US: u32 = 8_000_000;

/// What a restart leaves as it is. After power-up it holds noise.
// SAFETY: the section (boards/build.rs) for what the start leaves alone, at its beginning, where the bootloader looks for the
// relay's word; any content is valid words, which the firmware checks,
// and believes none after power-up.
#[unsafe(link_section = ".retained.relay")]
pub static RETAINED: Retained = Retained::new();

/// The watchdog, which runs from its making to the end.
pub struct System {
    watchdog: IndependentWatchdog<'static, IWDG>,
}

impl System {
    /// Starts the watchdog.
    pub fn new(watchdog: Peri<'static, IWDG>) -> Self {
        let mut watchdog = IndependentWatchdog::new(watchdog, WATCHDOG_US);
        watchdog.unleash();
        Self { watchdog }
    }
}

impl sockeye_firmware::System for System {
    fn feed_watchdog(&mut self) {
        self.watchdog.pet();
    }

    fn reset(&mut self) {
        reset()
    }
}

/// Tells why the chip started, as far as it knows, and clears what told it. For the first call after a start.
pub fn reset_cause() -> ResetCause {
    let flags = pac::RCC.csr().read();
    pac::RCC.csr().modify(|w| w.set_rmvf(true));
    // At power-up the chip also sees its reset pin move; a restart by itself sets no brown-out flag.
    if flags.borrstf() {
        ResetCause::PowerOn
    } else if flags.iwdgrstf() || flags.wwdgrstf() {
        ResetCause::Watchdog
    } else if flags.sftrstf() {
        ResetCause::Reboot
    } else {
        ResetCause::PowerOn
    }
}

/// Resets the chip.
pub fn reset() -> ! {
    SCB::sys_reset()
}

/// Goes on after a read of a word of flash that a power cut left torn: the record's checksum finds it out. Not to
/// clear the flag here would call this again for ever, with every start.
// SAFETY: touches one flag of the flash controller, which nothing else writes.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    if !pac::FLASH.eccr().read().eccd() {
        crate::mcu::end(Fault { kind: FaultKind::Nmi, pc: 0, lr: 0 });
    }
    pac::FLASH.eccr().modify(|w| w.set_eccd(true));
}
