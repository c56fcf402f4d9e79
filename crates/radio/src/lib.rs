//! The SX126x (and the radio inside the STM32WL) behind lorawan-device's radio traits, every wait bounded.
//!
//! [`Radio`] drives lora-phy's [`RadioKind`](lora_phy::mod_traits::RadioKind) command by command, because
//! lora-phy's own `LoRa` may wait for ever after a header error, loses frames when a receive is dropped, and
//! issues SetRx again for each frame. [`sx126x`] puts the three layers together for a board:
//!
//! ```text
//! Radio            what is going on, time-outs, recovery     lorawan_device::async_device::radio::PhyRxTx
//!   Sx126x         commands and errata work-arounds          lora-phy
//!     Tap          which interrupts the chip reported        SpiDevice
//!     Bounded      BUSY may not wait for ever                InterfaceVariant
//! ```
//!
//! What every caller may rely on:
//! - Each future may be dropped at any await: the next operation finds out and puts the chip right.
//! - Each operation ends in bounded time, except `rx_continuous`, which waits for a frame; that one looks at
//!   the chip every [`QUIET_LIMIT_MS`] of silence and arms it again.
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

mod bounded;
mod phy;
mod power;
mod radio;
mod receive;
mod report;
mod tap;
#[cfg(test)]
mod tests;
mod timing;

pub use bounded::{BUSY_LIMIT_MS, Bounded};
pub use power::Amplifier;
pub use radio::{Radio, Sx126xRadio, sx126x};
pub use report::{Counters, Error};
pub use tap::{IrqFlags, Tap};
pub use timing::{COMMANDS_LIMIT_MS, MARGIN_MS, QUIET_LIMIT_MS, WINDOW_LEAD_MS};
