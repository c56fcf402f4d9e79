//! Reads and sets up sockets: what the command line and the web page share, and the command line itself.
//!
//! [`Client`] is the tool's end of a maintenance session, without I/O: it makes requests of what is wanted and reads the
//! answers. A [`Link`] carries them. [`Update`] and [`Upload`] bring an image in.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod client;
mod error;
mod link;
mod show;
mod upload;

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
mod serial;

#[cfg(feature = "simulated")]
mod simulated;

pub use client::{Client, Device};
pub use error::Error;
pub use link::{Link, LinkError, Talk};
pub use show::{settings_json, status_json, upgrade_json};
#[cfg(feature = "simulated")]
pub use simulated::{Conduct, Simulated, simulated_update};
pub use upload::{Update, Upload};
