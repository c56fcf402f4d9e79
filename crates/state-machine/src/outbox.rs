//! The queue of uplinks on the radio's side.

use core::ops::Range;

use heapless::Vec;
use sockeye_protocol::{Error, Payload, split};

use crate::{Uplink, UplinkKind};

/// Room for payloads, in bytes: one of the longest there are, and ten alarms.
const BYTES: usize = 512;

/// Room for uplinks.
const ENTRIES: usize = 12;

/// One frame's share of an uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the uplink is.
    pub kind: UplinkKind,
    /// Application port.
    pub port: u8,
    /// The network is to acknowledge it.
    pub confirmed: bool,
    /// Whole records, at most as many bytes as were asked for.
    pub bytes: Payload,
}

/// Uplinks that wait for the radio.
///
/// The outage alert goes before all others, then alarms, then answers and basic information, then the report;
/// those of one rank go in the order in which they came. Only the newest report waits, and only the newest
/// basic information but for the one that tells of the power-up. When there is no room, the oldest goes, and
/// is counted.
///
/// An uplink too long for a frame goes in several, cut between records; once begun it goes on to its end
/// before another begins, the outage alert excepted.
#[derive(Clone, Debug, Default)]
pub struct Outbox {
    /// In the order in which they came.
    entries: Vec<Entry, ENTRIES>,
    /// The payloads of `entries`, one after the other.
    bytes: Vec<u8, BYTES>,
    dropped: u32,
}

#[derive(Clone, Debug)]
struct Entry {
    kind: UplinkKind,
    port: u8,
    confirmed: bool,
    /// Bytes of its payload that are still to be sent.
    len: usize,
    /// A part of it has gone out.
    begun: bool,
    /// Bytes that are with the radio; they come first in the payload.
    on_air: usize,
}

impl Entry {
    const fn is_untouched(&self) -> bool {
        !self.begun && self.on_air == 0
    }

    const fn rank(&self) -> u8 {
        match self.kind {
            UplinkKind::Outage => 0,
            _ if self.begun => 1,
            UplinkKind::Alarm => 2,
            UplinkKind::Answer | UplinkKind::BasicInformation => 3,
            UplinkKind::Report => 4,
        }
    }
}

impl Outbox {
    /// Makes an empty queue.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: Vec::new(), bytes: Vec::new(), dropped: 0 }
    }

    /// Puts an uplink into the queue. One without a payload is none.
    pub fn push(&mut self, uplink: Uplink) {
        let Uplink { kind, payload, confirmed, port } = uplink;
        if payload.is_empty() {
            return;
        }
        let replaced = self.replaced_by(kind);
        if let Some(index) = replaced {
            self.remove(index);
        }
        while self.entries.is_full() || self.bytes.len().saturating_add(payload.len()) > BYTES {
            // What the radio has is not taken from it; all the rest of the room is larger than any payload.
            let Some(oldest) = self.entries.iter().position(|entry| entry.on_air == 0) else { break };
            self.remove(oldest);
            self.dropped = self.dropped.saturating_add(1);
        }
        let entry = Entry {
            kind,
            port,
            confirmed: confirmed && kind != UplinkKind::Outage,
            len: payload.len(),
            begun: false,
            on_air: 0,
        };
        if self.bytes.extend_from_slice(&payload).is_err() || self.entries.push(entry).is_err() {
            self.bytes.truncate(self.entries.iter().map(|entry| entry.len).sum());
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Returns what to send next in a frame of at most `max_payload` bytes, and keeps it as it is until
    /// [`sent`](Self::sent) or [`failed`](Self::failed) tells what became of it; asked again before that, it
    /// chooses anew. What has no record that fits waits for a better data rate, and lets others go before it.
    pub fn next(&mut self, max_payload: usize) -> Option<Frame> {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.on_air > 0) {
            entry.on_air = 0;
            let kind = entry.kind;
            self.keep_newest(kind);
        }
        let mut best: Option<(u8, usize, usize)> = None;
        for (index, entry) in self.entries.iter().enumerate() {
            let length = piece_length(self.payload(index), max_payload);
            if length > 0 && best.is_none_or(|(rank, ..)| entry.rank() < rank) {
                best = Some((entry.rank(), index, length));
            }
        }
        let (_, index, length) = best?;
        let bytes = Payload::from_slice(self.payload(index).get(..length)?).ok()?;
        let entry = self.entries.get_mut(index)?;
        entry.on_air = length;
        Some(Frame { kind: entry.kind, port: entry.port, confirmed: entry.confirmed, bytes })
    }

    /// Notes that the last frame was sent.
    pub fn sent(&mut self) {
        let Some(index) = self.on_air() else { return };
        let start = self.range(index).start;
        let Some(entry) = self.entries.get_mut(index) else { return };
        let length = core::mem::take(&mut entry.on_air).min(entry.len);
        entry.begun = true;
        entry.len = entry.len.saturating_sub(length);
        let is_done = entry.len == 0;
        self.bytes.drain(start..start.saturating_add(length));
        if is_done {
            self.remove(index);
        }
    }

    /// Notes that the last frame could not be sent: it waits again, but for the outage alert, which has one try.
    pub fn failed(&mut self) {
        let Some(index) = self.on_air() else { return };
        let Some(entry) = self.entries.get_mut(index) else { return };
        entry.on_air = 0;
        let kind = entry.kind;
        if kind == UplinkKind::Outage {
            self.remove(index);
            self.dropped = self.dropped.saturating_add(1);
        }
        self.keep_newest(kind);
    }

    /// Shows the bytes that are with the radio; none if nothing is.
    #[must_use]
    pub fn with_radio(&self) -> &[u8] {
        let Some(index) = self.on_air() else { return &[] };
        let length = self.entries.get(index).map_or(0, |entry| entry.on_air);
        self.payload(index).get(..length).unwrap_or_default()
    }

    /// Tells whether nothing waits and nothing is with the radio.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Shows what waits or is with the radio, in the order in which it came, each with the bytes still to be sent.
    pub fn waiting(&self) -> impl Iterator<Item = (UplinkKind, usize)> {
        self.entries.iter().map(|entry| (entry.kind, entry.len))
    }

    /// Returns how many uplinks were dropped for lack of room, or as an outage alert that failed. A report
    /// that a newer one replaced is not counted.
    #[must_use]
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Returns what one more uplink of this kind replaces.
    fn replaced_by(&self, kind: UplinkKind) -> Option<usize> {
        (0..self.entries.len()).find(|&index| self.is_replaceable(index, kind))
    }

    /// Drops an older uplink of this kind where a newer one came while it was with the radio.
    fn keep_newest(&mut self, kind: UplinkKind) {
        let count = (0..self.entries.len()).filter(|&index| self.is_replaceable(index, kind)).count();
        if let (2.., Some(index)) = (count, self.replaced_by(kind)) {
            self.remove(index);
        }
    }

    fn is_replaceable(&self, index: usize, kind: UplinkKind) -> bool {
        self.entries.get(index).is_some_and(|entry| entry.kind == kind && entry.is_untouched())
            && match kind {
                UplinkKind::Report | UplinkKind::Outage => true,
                // `ff0b` comes once after a power-up and is not to be lost.
                UplinkKind::BasicInformation => !self.payload(index).starts_with(&[0xff, 0x0b]),
                UplinkKind::Alarm | UplinkKind::Answer => false,
            }
    }

    fn on_air(&self) -> Option<usize> {
        self.entries.iter().position(|entry| entry.on_air > 0)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = self.entries.iter().take(index).map(|entry| entry.len).sum::<usize>();
        start..start.saturating_add(self.entries.get(index).map_or(0, |entry| entry.len))
    }

    fn payload(&self, index: usize) -> &[u8] {
        self.bytes.get(self.range(index)).unwrap_or_default()
    }

    fn remove(&mut self, index: usize) {
        let range = self.range(index);
        if index < self.entries.len() && range.end <= self.bytes.len() {
            self.bytes.drain(range);
            self.entries.remove(index);
        }
    }
}

/// Returns how many bytes of a payload go into a frame of at most `max`: whole records, from the front.
fn piece_length(payload: &[u8], max: usize) -> usize {
    match split(payload, max) {
        Ok(mut pieces) => pieces.next().map_or(0, <[u8]>::len),
        // What lies before the record that does not fit may go.
        Err(Error::RecordTooLong { at, .. }) if at > 0 => {
            payload.get(..at).map_or(0, |rest| piece_length(rest, max))
        }
        // Payloads of this crate are rows of records; of another, all or nothing goes.
        Err(Error::NotRecords(_)) if payload.len() <= max => payload.len(),
        Err(_) => 0,
    }
}
