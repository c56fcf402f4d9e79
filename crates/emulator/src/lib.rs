//! The boards' images, run on modelled chips with the virtual hardware around them.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod chip;
pub mod elf;
pub mod gdb;
mod kept;
pub mod line;
pub mod machine;
pub mod memory;
pub mod nvic;
pub mod outside;
pub mod rp2040;
pub mod rtt;
pub mod socket;
pub mod stm32wl;
pub mod time;
pub mod trace;
pub mod witness;
