//! Models of the parts around the firmware, in virtual time.
//!
//! A model is a plain value: it takes the time as an argument, says when it changes next by itself, and
//! knows nothing of executors, so that the host board (async tasks on [`sim::Sim`]) and the emulator (a CPU
//! model) drive the same one. The adapters to embedded-hal's traits for the host board stand beside each
//! model.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod air;
pub mod bl0942;
pub mod button;
pub mod delay;
mod drive;
pub mod flash;
pub mod mains;
pub mod sim;
pub mod st25dv;
pub mod sx126x;
