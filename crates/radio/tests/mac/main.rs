//! The LoRaWAN MAC on this radio, a modelled SX1262 with a TCXO and a network server: what neither half shows alone.

mod class_c;
mod commands;
mod faults;
mod listening;
mod rig;
mod timing;
#[path = "../world/mod.rs"]
mod world;
