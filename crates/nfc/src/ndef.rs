//! NDEF on a Type 5 tag: the capability container, the TLV, and the few records that are ours.
//!
//! What a browser can read and write is whole messages (Web NFC), so a message is all there is: the socket shows status,
//! settings and answer, and a phone puts its request in their place. NFC Forum: Type 5 Tag, NDEF and RTD specifications.

use core::ops::Range;

use crate::wire::{Malformed, Reader, Writer};

/// A record of ours: an external type (NFC Forum RTD, section 3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The status.
    Status,
    /// The settings, without what is secret.
    Settings,
    /// The answer to the last request.
    Answer,
    /// A request.
    Request,
}

impl Record {
    /// Returns the type, as it stands in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "sockeye:status",
            Self::Settings => "sockeye:settings",
            Self::Answer => "sockeye:answer",
            Self::Request => "sockeye:request",
        }
    }
}

/// Bytes of a record beside its payload, at most: flags, two lengths (4 bytes for a payload above 255), type.
pub const RECORD_HEADER: usize = 6 + Record::Settings.name().len();

/// Bits of a record's first byte.
mod flags {
    pub(super) const BEGIN: u8 = 0x80;
    pub(super) const END: u8 = 0x40;
    pub(super) const CHUNK: u8 = 0x20;
    pub(super) const SHORT: u8 = 0x10;
    pub(super) const ID: u8 = 0x08;
    /// The type name format, of which ours is external.
    pub(super) const TNF: u8 = 0x07;
    pub(super) const EXTERNAL: u8 = 0x04;
}

/// A record of any message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// The type name format.
    pub tnf: u8,
    /// The type.
    pub name: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// Where the payload lies in the message.
    pub place: Range<usize>,
}

/// The records of a message, one after the other; ends at the first that is not whole or is cut into chunks.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    message: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    /// Begins with a whole message.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { message, rest: message }
    }

    fn take(&mut self) -> Result<Found<'a>, Malformed> {
        let mut reader = Reader(self.rest);
        let flags = reader.u8()?;
        if flags & flags::CHUNK != 0 {
            return Err(Malformed);
        }
        let name_len = reader.u8()?;
        let payload_len = match flags & flags::SHORT {
            0 => u32::from_be_bytes(reader.array()?),
            _ => u32::from(reader.u8()?),
        };
        let id_len = if flags & flags::ID == 0 { 0 } else { reader.u8()? };
        let split = |bytes: &'a [u8], len: usize| bytes.split_at_checked(len).ok_or(Malformed);
        let (name, rest) = split(reader.0, name_len.into())?;
        let (_, rest) = split(rest, id_len.into())?;
        let (payload, rest) = split(rest, usize::try_from(payload_len).map_err(|_| Malformed)?)?;
        let end = self.message.len().saturating_sub(rest.len());
        let place = end.saturating_sub(payload.len())..end;
        self.rest = if flags & flags::END == 0 { rest } else { &[] };
        Ok(Found { tnf: flags & flags::TNF, name, payload, place })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        let found = self.take().ok();
        if found.is_none() {
            self.rest = &[];
        }
        found
    }
}

/// Finds a record of ours in a message.
#[must_use]
pub fn find(message: &[u8], record: Record) -> Option<Found<'_>> {
    let is_it = |found: &Found<'_>| found.tnf == flags::EXTERNAL && found.name == record.name().as_bytes();
    Records::new(message).find(is_it)
}

/// Writes records of ours as a message and returns its length; `None` if `out` is too short.
#[must_use]
pub fn message(records: &[(Record, &[u8])], out: &mut [u8]) -> Option<usize> {
    let mut writer = Writer::new(out);
    for (index, (record, payload)) in (1..).zip(records) {
        let mut first = flags::EXTERNAL;
        if index == 1 {
            first |= flags::BEGIN;
        }
        if index == records.len() {
            first |= flags::END;
        }
        let name = record.name().as_bytes();
        let name_len = u8::try_from(name.len()).ok()?;
        match u8::try_from(payload.len()) {
            Ok(len) => writer.put(&[first | flags::SHORT, name_len, len]),
            Err(_) => writer.put(&[first, name_len]).put(&u32::try_from(payload.len()).ok()?.to_be_bytes()),
        };
        writer.put(name).put(payload);
    }
    writer.end()
}

/// What a tag's memory begins with, so that phones take it for one that holds NDEF and can be written (Type 5 Tag
/// specification, section 4.3): 4 bytes up to 2040 bytes of memory, 8 beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    bytes: [u8; 8],
    len: usize,
}

impl Container {
    /// Makes the one for a memory of so many bytes.
    #[must_use]
    pub fn new(memory: usize) -> Self {
        /// NDEF in a Type 5 tag; the second one has 8 bytes.
        const MAGIC: (u8, u8) = (0xe1, 0xe2);
        /// Version 1.0, read and write for everybody.
        const ACCESS: u8 = 0x40;
        /// Several blocks can be read at once.
        const FEATURES: u8 = 0x01;
        match u8::try_from(memory / 8) {
            Ok(size) => Self { bytes: [MAGIC.0, ACCESS, size, FEATURES, 0, 0, 0, 0], len: 4 },
            Err(_) => {
                let size = u16::try_from(memory.saturating_sub(8) / 8).unwrap_or(u16::MAX);
                let [high, low] = size.to_be_bytes();
                Self { bytes: [MAGIC.1, ACCESS, 0, FEATURES, 0, 0, high, low], len: 8 }
            }
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Type of the TLV that holds the message, of one that fills, and of the end (Type 5 Tag specification, section 4.4).
const TLV_NDEF: u8 = 0x03;
const TLV_NULL: u8 = 0x00;
/// Ends the TLVs.
pub const TLV_END: u8 = 0xfe;
/// In place of a length: two bytes of length follow.
const LONG: u8 = 0xff;
/// Bytes of the head of our TLV, at most.
pub const TLV_HEAD: usize = 4;

/// The head of the TLV for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlvHead {
    bytes: [u8; TLV_HEAD],
    len: usize,
}

impl TlvHead {
    /// Makes the one for a message of so many bytes; three bytes of length stand only where one does not do.
    #[must_use]
    pub fn new(message: usize) -> Self {
        match u8::try_from(message) {
            Ok(len) if len != LONG => Self { bytes: [TLV_NDEF, len, 0, 0], len: 2 },
            _ => {
                let [high, low] = u16::try_from(message).unwrap_or(u16::MAX).to_be_bytes();
                Self { bytes: [TLV_NDEF, LONG, high, low], len: TLV_HEAD }
            }
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Finds the message in a memory of which `bytes` are the beginning behind the container: where it lies from there on. The
/// message itself need not be among the bytes; other TLVs before it must be.
///
/// # Errors
/// [`Malformed`] if there is none.
pub fn find_message(bytes: &[u8]) -> Result<Range<usize>, Malformed> {
    let mut reader = Reader(bytes);
    loop {
        let kind = reader.u8()?;
        if kind == TLV_NULL {
            continue;
        }
        let len = match reader.u8()? {
            LONG => usize::from(u16::from_be_bytes(reader.array()?)),
            short => usize::from(short),
        };
        if kind == TLV_NDEF {
            let start = bytes.len().saturating_sub(reader.0.len());
            return Ok(start..start.saturating_add(len));
        }
        if kind == TLV_END {
            return Err(Malformed);
        }
        reader.0 = reader.0.get(len..).ok_or(Malformed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn the_containers_are_those_of_the_chips() {
        // facts: chips.md, 5.5.
        assert_eq!(Container::new(512).bytes(), [0xe1, 0x40, 0x40, 0x01]);
        assert_eq!(Container::new(8192).bytes(), [0xe2, 0x40, 0x00, 0x01, 0x00, 0x00, 0x03, 0xff]);
    }

    #[test]
    fn a_message_of_another_maker_is_read() {
        // NFC Forum, URI record with an id, then ours, long where it need not be.
        let uri = [0x99, 1, 4, 2, b'U', b'i', b'd', 0x04, b'a', b'.', b'b'];
        let ours = [&[0x44, 15, 0, 0, 0, 3][..], b"sockeye:request", b"abc"].concat();
        let both = [&uri[..], &ours].concat();
        let found = find(&both, Record::Request).unwrap();
        assert_eq!((found.payload, &both[found.place]), (&b"abc"[..], &b"abc"[..]));
        assert_eq!(find(&both, Record::Status), None);
        assert_eq!(find(&uri, Record::Request), None);
        // A record of another format with our name is not ours.
        let text = [&[0xd1, 15, 3][..], b"sockeye:request", b"abc"].concat();
        assert_eq!(find(&text, Record::Request), None);
    }

    #[test]
    fn the_message_is_found_behind_other_tlvs() {
        let check = |bytes: &[u8], found| assert_eq!(find_message(bytes), found, "{bytes:02x?}");
        check(&[0x03, 5], Ok(2..7));
        check(&[0x03, 0xff, 1, 2], Ok(4..4 + 258));
        check(&[0, 0, 0x03, 5], Ok(4..9));
        check(&[0x01, 2, 9, 9, 0x03, 5], Ok(6..11));
        check(&[0x03, 0], Ok(2..2));
        for none in [&[][..], &[0x03], &[0x03, 0xff, 1], &[0xfe, 0], &[0x01, 9, 0], &[0, 0, 0]] {
            check(none, Err(Malformed));
        }
    }

    #[test]
    fn a_length_takes_three_bytes_from_255_on() {
        for (message, bytes) in
            [(0, &[3, 0][..]), (254, &[3, 254]), (255, &[3, 0xff, 0, 255]), (8000, &[3, 0xff, 0x1f, 0x40])]
        {
            assert_eq!(TlvHead::new(message).bytes(), bytes);
            assert_eq!(find_message(bytes), Ok(bytes.len()..bytes.len() + message));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_found(
            status in proptest::collection::vec(any::<u8>(), 0..90),
            settings in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut out = [0; 800];
            let len = message(&[(Record::Status, &status), (Record::Settings, &settings)], &mut out).unwrap();
            prop_assert!(len <= status.len() + settings.len() + 2 * RECORD_HEADER);
            let bytes = &out[..len];
            prop_assert_eq!(Records::new(bytes).count(), 2);
            prop_assert_eq!(find(bytes, Record::Status).unwrap().payload, &status[..]);
            prop_assert_eq!(find(bytes, Record::Settings).unwrap().payload, &settings[..]);
            for short in 0..len {
                prop_assert_eq!(find(&bytes[..short], Record::Settings), None);
                prop_assert_eq!(message(&[(Record::Status, &status), (Record::Settings, &settings)], &mut [0; 800][..short]), None);
            }
        }

        #[test]
        fn no_memory_panics(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xff), Just(3)], 0..60)) {
            let _ = find_message(&bytes);
            let found: Vec<_> = Records::new(&bytes).collect();
            prop_assert!(found.len() <= bytes.len());
        }
    }
}
