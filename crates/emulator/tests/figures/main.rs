//! What an image promises, measured on the modelled chip: each figure is printed, and held to its limit.
//!
//! `SOCKEYE_RUNS` says how often each is taken; `cargo xtask bench --only image` takes a thousand.
#![allow(missing_docs, reason = "tests")]

#[path = "../bench/mod.rs"]
mod bench;
mod day;
#[path = "../image/mod.rs"]
mod image;
mod lives;
mod protection;
mod radio;
mod span;
