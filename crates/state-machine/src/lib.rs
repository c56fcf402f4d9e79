//! The socket as a state machine: events in, effects out.
//!
//! [`Socket`] owns the rules of the device: button, LED, relay and power-restore policy, reports and when
//! they go, delay task, alarm, protection and hard limit, commands and their answers. It has no clock, does
//! not wait, allocates nothing and touches no hardware: the caller says what happened and when, and does
//! what comes back. [`Outbox`] is the queue of uplinks on the radio's side, just as pure.
//!
//! No byte of a downlink can make it panic.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(test)]
extern crate std;

mod api;
mod button;
mod counters;
mod led;
mod meter_watch;
mod outbox;
mod socket;
mod stores;

pub use api::{
    Boot, Cause, Effect, Effects, Event, Form, MAX_EFFECTS, Order, Outcome, RebootCause, ResetCause,
    StoreItem, TripCause, Uplink, UplinkKind,
};
pub use counters::{Counters, Ignored};
pub use outbox::{Frame, Outbox};
pub use socket::Socket;
pub use sockeye_scheduler::DelayTask;
