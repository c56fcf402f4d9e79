//! Watchdog, restart, and why the chip started.

use embassy_rp::Peri;
use embassy_rp::pac;
use embassy_rp::peripherals::WATCHDOG;
use embassy_rp::watchdog::Watchdog;
use embassy_time::Duration;
use sockeye_firmware::Retained;
use sockeye_state_machine::ResetCause;

/// Near the longest that the chip can do, 8.39 s (its counter has 24 bits and counts twice as fast as it should,
/// RP2040-E1). The erase of a sector may take 0.4 s.
const TIME_OUT: Duration = Duration::from_secs(8);

/// What a fault leaves in scratch register 0, which a restart by the watchdog does not touch.
const FAULT: u32 = 0x0FA0_17ED;

/// What was sent before a restart by the watchdog, which does not touch the RAM either.
// SAFETY: cortex-m-rt's section for what the start leaves alone; any content is valid words, which the firmware checks,
// and believes none after power-up.
#[unsafe(link_section = ".uninit.retained")]
pub static RETAINED: Retained = Retained::new();

/// The watchdog, which runs from its making to the end.
pub struct System {
    watchdog: Watchdog,
}

impl System {
    /// Starts the watchdog.
    pub fn new(watchdog: Peri<'static, WATCHDOG>) -> Self {
        let mut watchdog = Watchdog::new(watchdog);
        watchdog.start(TIME_OUT);
        Self { watchdog }
    }
}

impl sockeye_firmware::System for System {
    fn feed_watchdog(&mut self) {
        self.watchdog.feed(TIME_OUT);
    }

    fn reset(&mut self) {
        self.watchdog.trigger_reset();
    }
}

/// Tells why the chip started, and clears the mark of a fault. For the first call after a start.
pub fn reset_cause() -> ResetCause {
    let reason = pac::WATCHDOG.reason().read();
    let fault = pac::WATCHDOG.scratch0().read() == FAULT;
    pac::WATCHDOG.scratch0().write_value(0);
    if reason.timer() {
        ResetCause::Watchdog
    } else if reason.force() && fault {
        ResetCause::Fault
    } else if reason.force() {
        ResetCause::Reboot
    } else {
        ResetCause::PowerOn
    }
}

/// Restarts the chip, and leaves a mark for [`reset_cause`].
pub fn restart_after_fault() -> ! {
    pac::WATCHDOG.scratch0().write_value(FAULT);
    // SAFETY: nothing else runs after this; what the firmware holds of the watchdog is not used again.
    Watchdog::new(unsafe { WATCHDOG::steal() }).trigger_reset();
    loop {
        cortex_m::asm::nop();
    }
}
