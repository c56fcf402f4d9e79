//! Signed firmware images, and how they come into a device.
//!
//! An update is a [`Header`] followed by the image. The header says what the image is and for which board, and is signed
//! with Ed25519; it holds the SHA-512 of the image. `docs/UPGRADE.md` has it byte by byte.
//!
//! # What holds here
//! - No byte from outside panics: [`Header::parse`] is the one check of the bytes, and after it nothing can fail.
//! - Nothing is believed before the signature is right: see [`Header::check`].
//! - An image older than the running one, or made for another board or another revision of it, is refused.
//! - A cut at any operation of the flash leaves the running image running, and an upgrade that can go on, or begin anew.
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

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "device")]
mod device;
mod header;
mod notes;
mod progress;
mod refusal;
#[cfg(feature = "device")]
mod slot;
#[cfg(feature = "salty")]
mod software;
mod verify;

#[cfg(feature = "device")]
pub use device::{Slots, Upgrade};
pub use header::{BoardName, Device, FORMAT, HEADER_LEN, Header, Image, MAGIC, SIGNED_LEN};
pub use notes::Notes;
pub use progress::{Progress, Request, State};
pub use refusal::Refusal;
#[cfg(feature = "salty")]
pub use software::{Software, public_key, sign};
pub use verify::Verify;
