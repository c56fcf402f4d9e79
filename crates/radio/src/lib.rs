//! The SX126x (and the radio inside the STM32WL) behind lorawan-device's radio traits, every wait bounded.
//!
//! The commands are those of lora-phy 3.0.1, byte by byte: the tests compare them. Its driver is not used on the device: it
//! waits for every command on its own (12 KB with what drove it, where ours is 6), and its `LoRa` may wait for ever after a
//! header error, loses frames when a receive is dropped, and issues SetRx again for each frame. Its types for a board's
//! lines and chip are. [`sx126x`] takes them:
//!
//! ```text
//! Sx126xRadio      what is going on, time-outs, recovery     lorawan_device::async_device::radio::PhyRxTx
//!   plan           what comes next, program by program       plain functions
//!   Program        commands and errata work-arounds          plain functions
//!   Bus            one command after the other, BUSY bounded SpiDevice, InterfaceVariant
//! ```
//!
//! What every caller may rely on:
//! - Each future may be dropped at any await: the next operation finds out and puts the chip right.
//! - Each operation ends in bounded time, except `rx_continuous`, which waits for a frame; that one looks at
//!   the chip every [`LOOK_PERIOD_MS`] of silence, and arms it again when it is not well, and every five minutes.
//! - After an error the next operation resets and initialises the chip.
//! - A frame is returned by the kind of receive that heard it. One that landed in a continuous receive as
//!   the caller left it (to send, or for RX1) is kept and comes from the next `rx_continuous`, never as the
//!   answer of `rx_single`; one that landed in a single receive which nobody waits for any more is dropped.
//! - Nothing that the chip says can panic.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod bus;
mod chip;
mod phy;
mod plan;
mod power;
mod radio;
mod receive;
#[cfg(test)]
mod reference;
mod report;
#[cfg(test)]
mod tests;
mod timing;

pub use power::Amplifier;
pub use radio::{Sx126xRadio, sx126x};
pub use report::{Counters, Error};
pub use timing::{BUSY_LIMIT_MS, COMMANDS_LIMIT_MS, LOOK_PERIOD_MS, MARGIN_MS, WINDOW_LEAD_MS};
