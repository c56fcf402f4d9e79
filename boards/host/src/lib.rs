//! The socket on this computer: the firmware on virtual hardware and virtual time, with its own network server
//! in the same air.
//!
//! [`world::World`] is what the command line, the tests and the benches run.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod cli;
#[cfg(not(target_family = "wasm"))]
pub mod command;
pub mod device;
pub mod human;
#[cfg(not(target_family = "wasm"))]
pub mod interrupt;
#[cfg(not(target_family = "wasm"))]
pub mod lines;
#[cfg(not(target_family = "wasm"))]
pub mod live;
pub mod network;
pub mod nfc;
pub mod observer;
#[cfg(not(target_family = "wasm"))]
pub mod pace;
#[cfg(not(target_family = "wasm"))]
pub mod plot;
pub mod program;
pub mod report;
pub mod script;
pub mod soak;
pub mod tap;
pub mod trace;
pub mod traffic;
pub mod typed;
pub mod world;

mod board;
mod bridge;
mod controller;
mod socket;
