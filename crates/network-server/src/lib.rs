//! A small LoRaWAN network and application server with its gateways, for runs without a real network.
//!
//! It lets devices in (OTAA and ABP), checks and deciphers what they send, and says what which gateway
//! transmits, and at which microsecond. It has no clock and no I/O: time goes in with each call, and
//! [`NetworkServer::next_due_us`] tells when to call [`NetworkServer::take_due`].
//!
//! LoRaWAN 1.0.x, Class A and C, in twelve channel plans. Frames are built and checked by `lrwn`, the library of the
//! ChirpStack network server, and not by the code of our own device: a misunderstanding of ours shows.
//! [`forge`] holds the tools of an adversary, for tests.
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod adr;
mod airtime;
mod config;
mod device;
mod downlink;
mod faults;
pub mod forge;
mod forwarder_json;
mod frames;
mod gateways;
mod heard;
mod multicast;
mod packet_forwarder;
mod plan;
mod server;
mod sniff;
mod steer;
mod uplink;

pub use adr::Adr;
pub use airtime::airtime_us;
pub use config::{Config, Downlink, Dropped, Kind, Transmission, UplinkMeta, Window};
pub use device::Session;
pub use faults::Faults;
pub use frames::{DataDown, Keys};
pub use heard::{Heard, MacRequest, MacUp, RejectReason, Uplink};
pub use multicast::MulticastGroup;
pub use packet_forwarder::{
    Emission, EmissionModulation, ForwarderConfig, ForwarderCounts, ForwarderOutput, MAX_LEAD_US,
    MIN_LEAD_US, PacketForwarder,
};
pub use plan::{Channel, Plan, Rate, Region};
pub use server::{Error, NetworkServer};
pub use sniff::Delivery;
