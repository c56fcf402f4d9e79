//! The maintenance session: what a phone or a terminal reads of a socket and asks of it, over the NFC tag or a serial line.
//!
//! Both ends are here. A tool reads the [`Status`], makes a [`Request`] into bytes with [`Seal`] and reads the
//! [`Answer`]; the device opens what arrives with its [`Session`] and answers. `docs/NFC.md` has every byte, with test
//! vectors made by another library.
//!
//! # What holds here
//! - No byte from outside panics: [`Envelope::parse`], [`Status::parse`] and [`Answer::parse`] are checked views.
//! - Nothing of a request has an effect before its authentication code is right, and each acts at most once, across power
//!   cuts too: what [`Session::open`] lets pass has changed the [record](Session::record), which must be in flash first.
//! - The password never leaves its owner, and `Debug` prints no key.
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
// The futures are awaited where all types are known, so no caller needs to name their bounds.
#![allow(async_fn_in_trait)]

#[cfg(test)]
extern crate std;

mod answer;
mod keys;
pub mod line;
pub mod ndef;
mod port;
mod request;
mod serial;
mod session;
pub mod st25dv;
mod status;
mod tag;
mod wire;

pub use answer::{Answer, Code, MAX_ANSWER};
pub use keys::{ITERATIONS, Keys, i2c_password};
pub use port::{Arrival, NoPort, Port, Shown};
pub use request::{Command, Envelope, Guard, HEADER, Kind, Request, Seal, TAG};
pub use serial::Serial;
pub use session::{RECORD, Session, TRIES};
pub use sockeye_upgrade::State as UpgradeState;
pub use status::{Challenge, Faults, STATUS, Status, Upgrade};
pub use tag::Tag;
pub use wire::Malformed;
