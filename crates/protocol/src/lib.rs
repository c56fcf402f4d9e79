//! The application payload of the socket: type-length-value records, up and down.
//!
//! A payload is a row of records `channel type data`, numbers little-endian (guide, chapter 4). The crate works on
//! two levels. [`wire`] cuts bytes into checked views and knows only lengths; [`uplink`] and [`downlink`] give the
//! records meaning. The device encodes uplinks and decodes downlinks, a tool does the opposite; both ends are here,
//! so that one law, typed value to bytes and back, holds them together.
//!
//! # No panic
//! Nothing in this crate panics, whatever the bytes are: reading stops at the first record that is unknown or cut
//! short and says where, writing checks the room first.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod basic_information;
pub mod downlink;
mod report;
mod split;
pub mod uplink;
pub mod wire;

pub use basic_information::BasicInformation;
pub use report::Report;
pub use split::{Pieces, split};

/// The longest application payload of any LoRaWAN data rate, in bytes.
///
/// Source: LoRaWAN Regional Parameters 1.0.3, maximum payload tables: N = 242 with an empty FOpts.
pub const MAX_PAYLOAD: usize = 242;

/// Holds one application payload.
pub type Payload = heapless::Vec<u8, MAX_PAYLOAD>;

/// The longest record of either direction, in bytes: the serial number, `ff16` and eight bytes.
pub const MAX_RECORD: usize = 10;

/// Says what is wrong with a payload, a record or a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The output buffer has less room than the record needs.
    NoRoom {
        /// Bytes that the record takes.
        needed: usize,
        /// Bytes that were free.
        free: usize,
    },
    /// A record is longer than the payload size to which it shall be split; records are never cut.
    RecordTooLong {
        /// Where the record begins in the payload.
        at: usize,
        /// Its length in bytes.
        len: usize,
        /// The payload size that was asked for.
        max: usize,
    },
    /// The bytes are not a whole row of known records.
    NotRecords(wire::Stop),
    /// The record is known and whole, but holds a value without a meaning.
    BadValue {
        /// The record's channel.
        channel: u8,
        /// The record's type; none for the switch command `08`, which has no type byte.
        kind: Option<u8>,
        /// The byte without a meaning.
        value: u8,
    },
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::NoRoom { needed, free } => write!(f, "the record takes {needed} bytes, {free} are free"),
            Self::RecordTooLong { at, len, max } => {
                write!(f, "the record at byte {at} takes {len} bytes, a payload holds {max}")
            }
            Self::NotRecords(stop) => write!(f, "{stop}"),
            Self::BadValue { channel, kind: Some(kind), value } => {
                write!(f, "record {channel:02x}{kind:02x}: the value {value:02x} has no meaning")
            }
            Self::BadValue { channel, kind: None, value } => {
                write!(f, "record {channel:02x}: the value {value:02x} has no meaning")
            }
        }
    }
}

impl core::error::Error for Error {}

/// Copies a record to the front of `out` and returns its length.
fn put(out: &mut [u8], record: &[u8]) -> Result<usize, Error> {
    let free = out.len();
    let room = out.get_mut(..record.len()).ok_or(Error::NoRoom { needed: record.len(), free })?;
    room.copy_from_slice(record);
    Ok(record.len())
}

/// Reads a flag byte: 00 is false, 01 is true, the rest is refused.
fn flag(channel: u8, kind: u8, value: u8) -> Result<bool, Error> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::BadValue { channel, kind: Some(kind), value }),
    }
}
