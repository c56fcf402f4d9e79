//! The MAC against `lrwn`, the LoRaWAN library of a network server: what either side builds, the other reads.

mod bench;
mod class_c;
mod commands;
mod confirmed;
mod counters;
mod driver;
mod frames;
mod join;
mod laws;
mod windows;
