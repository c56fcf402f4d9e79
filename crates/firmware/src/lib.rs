//! The socket's firmware: five async tasks, generic over a [`Board`].
//!
//! A board fills a [`Parts`] and either calls [`run`], or calls [`start`] and spawns the futures [`control`], [`watch`],
//! [`radio`], [`service`] and, if it has a port, [`maintenance`] itself: the first two on an interrupt executor above the others.
//! They borrow what they own, so that it lies in memory once: a future keeps its arguments beside what is moved out of them.
//!
//! No byte that comes in by radio, flash or meter can panic the tasks; what goes wrong is told as a
//! [`Notice`] and the tasks go on.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]
// The futures are joined or spawned where all types are known, so no caller needs to name their bounds.
#![allow(async_fn_in_trait)]

#[cfg(test)]
extern crate std;

mod board;
#[cfg(feature = "certification")]
mod certification;
mod control;
#[cfg(feature = "embassy-time")]
mod embassy;
mod faults;
mod mac_config;
mod maintenance;
#[cfg(any(test, feature = "embassy-time"))]
mod milliseconds;
mod notice;
mod pin_supply;
mod radio;
mod records;
mod retained;
mod service;
mod shared;
mod start;
mod upgrade;

pub use board::{Board, Clock, Parts, SupplyMonitor, System};
pub use control::{Control, Watch, control, watch};
#[cfg(feature = "embassy-time")]
pub use embassy::EmbassyClock;
pub use faults::{Fault, FaultKind, Faults};
pub use maintenance::{Maintenance, maintenance};
pub use notice::{Notice, Observer};
pub use pin_supply::PinSupply;
pub use radio::{RadioTask, radio};
pub use retained::Retained;
pub use service::{Service, service};
pub use shared::{MAX_PAYLOAD, Shared};
pub use sockeye_nfc::NoPort;
pub use start::{SOFTWARE_VERSION, Tasks, run, start};
pub use upgrade::{NoUpgrades, UpgradeParts};
