//! The chip as far as the bootloader needs it: the relay's pin, the watchdog and reset.

use embassy_rp::pac;
use embassy_rp::peripherals::WATCHDOG;
use embassy_rp::watchdog::Watchdog;
use embassy_time::Duration;

use crate::boot;

/// The relay's pin, GP6 (boards/rp2040-sx1262/src/main.rs).
const RELAY: usize = 6;

/// Near the longest that the chip can do, 8.39 s; the application has the same.
const TIME_OUT: Duration = Duration::from_secs(8);

/// Cycles of the ring oscillator to a tick of the watchdog: 6.5 MHz about (RP2040 data sheet, 2.17.3), no other clock runs yet.
const CYCLES_PER_US: u8 = 6;

fn watchdog() -> Watchdog {
    // SAFETY: embassy-rp is not started here, and nothing else takes its peripherals.
    Watchdog::new(unsafe { WATCHDOG::steal() })
}

/// Drives the relay's pin as [`boot::relay_to_hold`] says: as the application did last, unless the supply was away or the reset pin moved: then there is no
/// reason of the watchdog's.
pub fn hold_relay() {
    let Some(is_on) = boot::relay_to_hold(pac::WATCHDOG.reason().read().0 == 0) else { return };
    // RP2040 data sheet, 2.14: pins and their pads leave reset.
    pac::RESETS.reset().modify(|w| {
        w.set_io_bank0(false);
        w.set_pads_bank0(false);
    });
    loop {
        let done = pac::RESETS.reset_done().read();
        if done.io_bank0() && done.pads_bank0() {
            break;
        }
    }
    let bit = 1 << RELAY;
    let level = if is_on { pac::SIO.gpio_out(0).value_set() } else { pac::SIO.gpio_out(0).value_clr() };
    level.write_value(bit);
    pac::SIO.gpio_oe(0).value_set().write_value(bit);
    pac::IO_BANK0.gpio(RELAY).ctrl().write(|w| w.set_funcsel(pac::io::vals::Gpio6ctrlFuncsel::SIO_6 as u8));
}

/// Starts the watchdog. The application takes it over as it runs.
pub fn start_watchdog() {
    let mut watchdog = watchdog();
    watchdog.enable_tick_generation(CYCLES_PER_US);
    watchdog.start(TIME_OUT);
}

/// Feeds the watchdog.
pub fn feed_watchdog() {
    watchdog().feed(TIME_OUT);
}

/// Restarts.
pub fn reset() -> ! {
    watchdog().trigger_reset();
    loop {
        cortex_m::asm::nop();
    }
}
