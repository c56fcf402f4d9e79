//! Records that survive a power cut, over any NOR flash.
//!
//! A record is up to [`MAX_RECORD`] bytes under a [`RecordId`]. Storing one leaves, whenever the power goes,
//! either the old or the new value of it, and every other record as it was. The records lie in the log of
//! `sequential-storage`; between it and the flash stands a guard for what that log takes for granted and the
//! chips do not give (see `guard.rs`): words that cannot be read, and an erase that was cut short.
//!
//! Whatever the flash holds, nothing here panics or runs for ever: contents that make no sense are erased,
//! and [`Error::Erased`] says so. What is stored is read back; a page that cannot be erased any more leaves
//! the records readable.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod guard;
mod record;
mod storage;

pub use record::RecordId;
pub use storage::{Error, MAX_RECORD, RESERVE, Storage};
