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

/// What a restart leaves as it is. After power-up it holds noise.
// SAFETY: the section (boards/build.rs) for what the start leaves alone, at its beginning, where the bootloader looks for the
// relay's word; any content is valid words, which the firmware checks,
// and believes none after power-up.
#[unsafe(link_section = ".retained.relay")]
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

/// Tells why the chip started, as far as it knows. For both bits at 0 it was a reset of the chip (RP2040 data sheet,
/// WATCHDOG: REASON).
pub fn reset_cause() -> ResetCause {
    let reason = pac::WATCHDOG.reason().read();
    if reason.timer() {
        ResetCause::Watchdog
    } else if reason.force() {
        ResetCause::Reboot
    } else {
        ResetCause::PowerOn
    }
}

/// Resets the chip, by its watchdog: what the processor can reset is itself alone, with the peripherals going on.
pub fn reset() -> ! {
    // SAFETY: nothing else runs after this; what the firmware holds of the watchdog is not used again.
    Watchdog::new(unsafe { WATCHDOG::steal() }).trigger_reset();
    loop {
        cortex_m::asm::nop();
    }
}
