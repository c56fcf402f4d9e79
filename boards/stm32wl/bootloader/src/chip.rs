//! The chip as far as the bootloader needs it: the relay's pin, the watchdog, reset, and the exception that flash raises.

use cortex_m::peripheral::SCB;
use embassy_stm32::pac;
use embassy_stm32::pac::gpio::vals::Moder;
use embassy_stm32::pac::iwdg::vals::{Key, Pr};

use crate::boot;

/// The relay's pin: PB10 on every variant (boards/stm32wl/src/*.rs; an emulator's test compares).
const RELAY: usize = 10;

/// Drives the relay's pin as [`boot::relay_to_hold`] says: as the application did last, unless the supply was away.
pub fn hold_relay() {
    let Some(is_on) = boot::relay_to_hold(pac::RCC.csr().read().borrstf()) else { return };
    pac::RCC.ahb2enr().modify(|w| w.set_gpioben(true));
    // The clock has to be there for two cycles before the port is (RM0453, 7.2.18).
    cortex_m::asm::delay(2);
    pac::GPIOB.bsrr().write(|w| if is_on { w.set_bs(RELAY, true) } else { w.set_br(RELAY, true) });
    pac::GPIOB.moder().modify(|w| w.set_moder(RELAY, Moder::OUTPUT));
}

/// Starts the watchdog: 8 s, as the application does. Nothing but a reset stops it.
pub fn start_watchdog() {
    pac::IWDG.kr().write(|w| w.set_key(Key::ENABLE));
    // 32 kHz by 64, 4000 times.
    pac::IWDG.pr().write(|w| w.set_pr(Pr::DIVIDE_BY64));
    pac::IWDG.rlr().write(|w| w.set_rl(3999));
    pac::IWDG.kr().write(|w| w.set_key(Key::START));
    feed_watchdog();
}

/// Feeds the watchdog.
pub fn feed_watchdog() {
    pac::IWDG.kr().write(|w| w.set_key(Key::RESET));
}

/// Restarts.
pub fn reset() -> ! {
    SCB::sys_reset()
}

/// Goes on after a read of a word of flash that a power cut left torn: the swap has it written anew. Not to clear the flag
/// here would call this again for ever, with every start.
// SAFETY: touches one flag of the flash controller, which nothing else writes.
#[cortex_m_rt::exception]
unsafe fn NonMaskableInt() {
    if !pac::FLASH.eccr().read().eccd() {
        reset();
    }
    pac::FLASH.eccr().modify(|w| w.set_eccd(true));
}
