//! Starts the socket on an RP2040: holds the relay where it was, swaps images when one waits, and goes to the application.
//! Checks signatures for it, too. See README.md.
#![no_std]
#![no_main]
#![deny(missing_docs)]

#[path = "../../../boot.rs"]
mod boot;
mod chip;
mod flash;
#[path = "../../../handover.rs"]
mod handover;
#[path = "../../../services.rs"]
mod services;
#[path = "../../../watched_flash.rs"]
mod watched_flash;

/// Where everything lies, from board.toml, and the public key.
mod memory {
    include!(concat!(env!("OUT_DIR"), "/memory.rs"));
}

#[cortex_m_rt::entry]
fn main() -> ! {
    // Before anything that takes time: the pin floats since the reset.
    chip::hold_relay();
    chip::start_watchdog();
    boot::boot::<_, 4096>(flash::take())
}
