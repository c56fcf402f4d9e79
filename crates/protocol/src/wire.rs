//! Checked views: where each record begins and ends, and nothing about its meaning.
//!
//! The lengths differ by direction, since `08` is a switch command of four bytes on the way down and the channel of
//! the socket status `0870` on the way up. Sources: guide, sections 4.1 to 4.4; the further types of the vendor's
//! published codec are listed in docs/PROTOCOL.md.

/// The channel of attributes and commands.
pub const CHANNEL_ATTRIBUTE: u8 = 0xff;
/// The channel of answers to commands.
pub const CHANNEL_ANSWER: u8 = 0xfe;
/// The channel of the switch command, which carries no type byte.
pub const CHANNEL_SWITCH: u8 = 0x08;

/// Tells which way a payload travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the socket to the network.
    Uplink,
    /// From the network to the socket.
    Downlink,
}

/// Points to one whole record of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    channel: u8,
    kind: Option<u8>,
    data: &'a [u8],
    bytes: &'a [u8],
}

impl<'a> RecordView<'a> {
    /// Returns the channel, the record's first byte.
    pub fn channel(&self) -> u8 {
        self.channel
    }

    /// Returns the type, the record's second byte; none for the switch command `08`.
    pub fn kind(&self) -> Option<u8> {
        self.kind
    }

    /// Returns the bytes after channel and type, as many as the record's type asks for.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Returns the whole record.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Says where reading stopped before the end of the payload, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// Where the record begins that could not be read.
    pub at: usize,
    /// How many bytes, from there to the end, were dropped.
    pub dropped: usize,
    /// Why reading stopped.
    pub reason: Reason,
}

/// Says why a record could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The direction has no record of this channel and type, so its length is not known.
    Unknown {
        /// The channel found.
        channel: u8,
        /// The type found.
        kind: u8,
    },
    /// The payload ends inside the record.
    Truncated {
        /// The length of the record in bytes, as far as it is known.
        needed: usize,
    },
}

impl core::fmt::Display for Stop {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.reason {
            Reason::Unknown { channel, kind } => {
                write!(f, "unknown record {channel:02x}{kind:02x} at byte {}", self.at)
            }
            Reason::Truncated { needed } => {
                write!(f, "the record at byte {} takes {needed} bytes, {} are left", self.at, self.dropped)
            }
        }
    }
}

/// Iterates over the records of a payload, up to its end or to the first record that is unknown or truncated.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    direction: Direction,
    rest: &'a [u8],
    len: usize,
    stop: Option<Reason>,
}

impl<'a> Records<'a> {
    /// Starts at the front of a payload.
    pub fn new(direction: Direction, payload: &'a [u8]) -> Self {
        Self { direction, rest: payload, len: payload.len(), stop: None }
    }

    /// Returns the byte at which the next record begins.
    pub fn position(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }

    /// Returns the bytes not yet read; after the last record those that were dropped.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Says where and why reading stopped short; none while records are left and after a payload read to its end.
    pub fn stop(&self) -> Option<Stop> {
        let reason = self.stop?;
        Some(Stop { at: self.position(), dropped: self.rest.len(), reason })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = RecordView<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.stop.is_some() {
            return None;
        }
        let (&channel, after_channel) = self.rest.split_first()?;
        let (kind, tail, data_len) = if self.direction == Direction::Downlink && channel == CHANNEL_SWITCH {
            (None, after_channel, SWITCH_DATA_LEN)
        } else {
            let Some((&kind, tail)) = after_channel.split_first() else {
                self.stop = Some(Reason::Truncated { needed: 2 });
                return None;
            };
            let len = match self.direction {
                Direction::Uplink => uplink_data_len(channel, kind),
                Direction::Downlink => downlink_data_len(channel, kind),
            };
            let Some(len) = len else {
                self.stop = Some(Reason::Unknown { channel, kind });
                return None;
            };
            (Some(kind), tail, len)
        };
        let header = if kind.is_some() { 2 } else { 1 };
        let needed = header + data_len;
        let (Some((data, _)), Some((bytes, rest))) =
            (tail.split_at_checked(data_len), self.rest.split_at_checked(needed))
        else {
            self.stop = Some(Reason::Truncated { needed });
            return None;
        };
        self.rest = rest;
        Some(RecordView { channel, kind, data, bytes })
    }
}

impl core::iter::FusedIterator for Records<'_> {}

/// The data of the switch command: the state and two bytes without meaning (guide, section 4.4).
const SWITCH_DATA_LEN: usize = 3;

/// Returns how many data bytes an uplink record has; none for a record that is not known.
#[inline]
pub fn uplink_data_len(channel: u8, kind: u8) -> Option<usize> {
    let len = match (channel, kind) {
        // Guide, section 4.2.
        (0x05, 0x81) | (0x08, 0x70) => 1,
        (0x03, 0x74) | (0x07, 0xc9) => 2,
        (0x04, 0x80) | (0x06, 0x83) => 4,
        // Guide, section 4.1; 0f, fe and ff from the vendor's codec; 3f from section 4.3.
        (0xff, 0x01 | 0x0b | 0x0f | 0x26 | 0x3f | 0xfe) => 1,
        (0xff, 0x09 | 0x0a | 0x24 | 0x25 | 0x30 | 0xff) => 2,
        (0xff, 0x16) => 8,
        // Answers. The vendor's codec takes those that are no attribute on channel ff as well.
        (0xfe, kind) | (0xff, kind @ (0x03 | 0x10 | 0x22 | 0x23 | 0x27 | 0x28 | 0x2c | 0x2f)) => {
            return downlink_data_len(CHANNEL_ATTRIBUTE, kind);
        }
        _ => return None,
    };
    Some(len)
}

/// Returns how many data bytes a downlink record with a type byte has; none for a record that is not known.
///
/// The switch command `08` has no type byte and is not asked for here.
#[inline]
pub fn downlink_data_len(channel: u8, kind: u8) -> Option<usize> {
    if channel != CHANNEL_ATTRIBUTE {
        return None;
    }
    // Guide, section 4.4; 2c from the vendor's codec.
    match kind {
        0x10 | 0x26 | 0x27 | 0x28 | 0x2c | 0x2f => Some(1),
        0x03 | 0x23 | 0x24 | 0x25 | 0x30 => Some(2),
        0x22 => Some(4),
        _ => None,
    }
}
