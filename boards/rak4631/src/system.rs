//! Watchdog, restart, and why the chip started.

use cortex_m::peripheral::SCB;
use embassy_nrf::peripherals::WDT;
use embassy_nrf::wdt::{Config, HaltConfig, Watchdog, WatchdogHandle};
use embassy_nrf::{Peri, pac};
use sockeye_firmware::Retained;
use sockeye_state_machine::ResetCause;

/// 8 s of the crystal's 32 768 Hz.
const WATCHDOG_TICKS: u32 = 8 * 32_768;

/// What a restart leaves as it is. After power-up it holds noise.
// SAFETY: cortex-m-rt's section for what the start leaves alone; any content is valid words, which the firmware checks, and
// believes none after power-up.
#[unsafe(link_section = ".uninit.retained")]
pub static RETAINED: Retained = Retained::new();

/// The watchdog, which runs from its making to the end.
pub struct System {
    watchdog: WatchdogHandle,
}

impl System {
    /// Starts the watchdog, or takes over the one that a restart has left running.
    pub fn new(watchdog: Peri<'static, WDT>) -> Self {
        let mut config = Config::default();
        config.timeout_ticks = WATCHDOG_TICKS;
        config.action_during_debug_halt = HaltConfig::Pause;
        let Ok((_, [watchdog])) = Watchdog::try_new(watchdog, config) else { panic!("another watchdog") };
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
    let reasons = pac::POWER.resetreas().read();
    // A one clears (nRF52840 product specification, RESETREAS).
    pac::POWER.resetreas().write_value(reasons);
    if reasons.dog() {
        ResetCause::Watchdog
    } else if reasons.sreq() || reasons.lockup() {
        ResetCause::Reboot
    } else {
        ResetCause::PowerOn
    }
}

/// Resets the chip.
pub fn reset() -> ! {
    SCB::sys_reset()
}
