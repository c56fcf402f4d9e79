//! The device's side, on the models of both chips' flash and with embassy-boot's bootloader.
#![allow(missing_docs, reason = "tests")]

mod model;
mod power_cuts;
mod requests;
mod rig;
