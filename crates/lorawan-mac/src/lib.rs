//! A LoRaWAN 1.0.2/1.0.3 end device, Class A and C: a sans-IO core and an async driver.
//!
//! [`Mac`] is the core. It has no clock and does no I/O: the caller passes the time, asks it by
//! [`Mac::poll`] what to do next, and tells it what came of it. [`Driver`] does that over a radio with
//! `lorawan-device`'s `PhyRxTx` and a timer, and gives the application one [`Event`] after the other.
//!
//! # What holds here
//! - No byte from the air or from flash panics: parsers are checked views, and lengths come from tables.
//! - No frame counter and no DevNonce is used twice: nothing goes on air before the counter record that
//!   covers it is in flash ([`Action::Store`], then [`Mac::stored`]).
//! - Nothing of a frame has an effect before its MIC is right.
//! - `Debug` prints no key.
//!
//! The requirement ids (`MAC-FCNT-04`, …) are those of `docs/LORAWAN.md`.
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
// The driver is one future where all types are known, so no caller needs to name their bounds.
#![allow(async_fn_in_trait)]

#[cfg(test)]
extern crate std;

pub mod aes;
#[cfg(feature = "certification")]
mod certification;
mod channels;
mod command;
mod config;
mod crypto;
mod driver;
mod duty;
mod event;
mod fifo;
mod frame;
mod instant;
mod mac;
mod mask;
mod random;
mod region;
mod session;

#[cfg(feature = "certification")]
pub use certification::CertificationRequest;
pub use config::{Activation, Config, Key, MULTICAST_GROUPS, MulticastGroup, Region, Rejoin, Rx2};
#[cfg(feature = "certification")]
pub use driver::ContinuousWave;
pub use driver::{CarrierSense, Clock, Driver};
pub use duty::AirTime;
pub use event::{
    DownlinkWindow, Error, Event, MAX_RECORD, Payload, ProprietaryFrame, Record, RecordBytes, SendError,
};
pub use mac::{Action, Mac, Quality, Restored, Rf, Window};
pub use region::ListenBeforeTalk;
