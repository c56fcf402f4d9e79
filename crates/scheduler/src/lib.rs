//! What is due when: report interval, delay task, lock end, periodic stores and random delays.
//!
//! [`Scheduler`] is pure: the time is an argument, in milliseconds since the start, and must not go back.
//! Looking up [`next_due_ms`](Scheduler::next_due_ms) costs nothing, so that it can be asked ten times a second.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

#[cfg(test)]
extern crate std;

mod random;
mod scheduler;

pub use random::Random;
pub use scheduler::{DelayTask, Job, Scheduler, after};
