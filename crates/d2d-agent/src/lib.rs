//! The agent of commands from device to device (D2D): what a controller sends without a gateway, this judges.
//!
//! [`Agent::hear`] takes a frame as it was on the air and gives an [`Order`], or the reason why there is none. The
//! [`Frame`] is our own: the vendor publishes none. `docs/D2D.md` has it byte by byte, with test vectors.
//!
//! # What holds here
//! - No byte from the air or from flash panics: [`Frame::parse`] is a checked view.
//! - Nothing of a frame has an effect before its MIC is right, and each pair of sender and counter acts at most
//!   once, across power cuts too: an order carries the record that has to be in flash before it is obeyed.
//! - A sender that is known is never forgotten, except with the key: a forgotten one could be replayed.
//! - `Debug` prints no key.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

#[cfg(test)]
extern crate std;

mod agent;
mod frame;
mod keys;
mod refusal;
mod senders;

pub use agent::{Agent, BURST, Order, PERIOD_MS};
pub use frame::{Frame, FrameBytes, MAX_FIELDS, MAX_FRAME, MIN_FRAME, Message, VERSION};
pub use keys::Keys;
pub use refusal::Refusal;
pub use senders::{MAX_RECORD, MAX_SENDERS, RecordBytes};
