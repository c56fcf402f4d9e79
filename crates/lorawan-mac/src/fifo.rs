//! Downlinks that wait for the application (MAC-CC-06): in order of arrival, bounded, the newest is dropped.

use heapless::Deque;

use crate::event::{DownlinkWindow, Payload};
use crate::mac::Quality;

/// Two of the longest downlinks with their headers, or some thirty commands.
const BYTES: usize = 504;
const HEADER: usize = 10;

/// One downlink without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub port: u8,
    pub fcnt: u32,
    pub window: DownlinkWindow,
    /// The multicast group, 1..=4.
    pub multicast: Option<u8>,
    pub quality: Quality,
}

/// The queue.
#[derive(Default)]
pub struct Fifo {
    bytes: Deque<u8, BYTES>,
}

impl core::fmt::Debug for Fifo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Fifo({} bytes)", self.bytes.len())
    }
}

impl Fifo {
    /// Tells whether a payload of this length can be taken.
    pub fn has_room(&self, payload_len: usize) -> bool {
        BYTES.saturating_sub(self.bytes.len()) >= payload_len.saturating_add(HEADER)
    }

    /// Takes a downlink, if there is room.
    pub fn push(&mut self, header: Header, payload: &Payload) {
        if !self.has_room(payload.len()) {
            return;
        }
        let [f0, f1, f2, f3] = header.fcnt.to_le_bytes();
        let [r0, r1] = header.quality.rssi_dbm.to_le_bytes();
        let [snr] = header.quality.snr_db.to_le_bytes();
        // 0 for Class A, 1 for Class C, above it 1 + the group.
        let class_c = u8::from(header.window == DownlinkWindow::ClassC);
        let way = class_c.saturating_add(header.multicast.unwrap_or(0));
        let head: [u8; HEADER] =
            [header.port, f0, f1, f2, f3, way, r0, r1, snr, u8::try_from(payload.len()).unwrap_or(0)];
        for &byte in head.iter().chain(payload) {
            let _ = self.bytes.push_back(byte);
        }
    }

    /// Gives the oldest downlink.
    pub fn pop(&mut self) -> Option<(Header, Payload)> {
        let mut head = [0; HEADER];
        for byte in &mut head {
            *byte = self.bytes.pop_front()?;
        }
        let [port, f0, f1, f2, f3, way, r0, r1, snr, len] = head;
        let mut payload = Payload::new();
        for _ in 0..len {
            let _ = payload.push(self.bytes.pop_front()?);
        }
        let window = if way == 0 { DownlinkWindow::ClassA } else { DownlinkWindow::ClassC };
        let multicast = way.checked_sub(1).filter(|&group| group != 0);
        let quality = Quality { rssi_dbm: i16::from_le_bytes([r0, r1]), snr_db: i8::from_le_bytes([snr]) };
        let fcnt = u32::from_le_bytes([f0, f1, f2, f3]);
        Some((Header { port, fcnt, window, multicast, quality }, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(fcnt: u32) -> Header {
        Header {
            port: 85,
            fcnt,
            window: DownlinkWindow::ClassC,
            multicast: fcnt.is_multiple_of(2).then_some(4),
            quality: Quality { rssi_dbm: -120, snr_db: -7 },
        }
    }

    #[test]
    fn mac_cc_06_the_queue_keeps_the_order_and_drops_the_newest() {
        let mut fifo = Fifo::default();
        let long = Payload::from_slice(&[7; 242]).unwrap();
        let short = Payload::from_slice(&[8, 1]).unwrap();
        fifo.push(header(1), &long);
        fifo.push(header(2), &long);
        assert!(!fifo.has_room(0));
        fifo.push(header(3), &short);
        assert_eq!(fifo.pop(), Some((header(1), long.clone())));
        fifo.push(header(4), &short);
        fifo.push(header(5), &Payload::new());
        assert_eq!(fifo.pop(), Some((header(2), long)));
        assert_eq!(fifo.pop(), Some((header(4), short)));
        assert_eq!(fifo.pop(), Some((header(5), Payload::new())));
        assert_eq!(fifo.pop(), None);
    }
}
