//! The senders that are known, each with its last counter, and their stored form.

use heapless::Vec;

/// How many senders can be known.
pub const MAX_SENDERS: usize = 16;
/// The most bytes of the stored table.
pub const MAX_RECORD: usize = HEAD + MAX_SENDERS * ENTRY;

/// The stored form of the table, of 5 bytes and 8 for each sender.
pub type RecordBytes = Vec<u8, MAX_RECORD>;

/// The form of the record.
const FORM: u8 = 1;
/// Form and tag.
const HEAD: usize = 5;
/// Sender and counter.
const ENTRY: usize = 8;

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Senders(Vec<(u32, u32), MAX_SENDERS>);

impl Senders {
    /// Reads a stored table; one of another key, or of another form, is an empty one.
    pub(crate) fn decode(bytes: &[u8], tag: [u8; 4]) -> Self {
        let mut senders = Self::default();
        let Some((head, rows)) = bytes.split_first_chunk::<HEAD>() else { return senders };
        let [form, stored_tag @ ..] = *head;
        if form == FORM && stored_tag == tag {
            for row in rows.chunks_exact(ENTRY) {
                let [s0, s1, s2, s3, c0, c1, c2, c3] = *row else { continue };
                senders.advance(u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([c0, c1, c2, c3]));
            }
        }
        senders
    }

    /// Writes the table of the key with this tag.
    pub(crate) fn encode(&self, tag: [u8; 4]) -> RecordBytes {
        let mut bytes = RecordBytes::new();
        // There is room for all of it.
        let _ = bytes.push(FORM);
        let _ = bytes.extend_from_slice(&tag);
        for (sender, counter) in &self.0 {
            let _ = bytes.extend_from_slice(&sender.to_le_bytes());
            let _ = bytes.extend_from_slice(&counter.to_le_bytes());
        }
        bytes
    }

    /// Tells whether nobody is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives the place of a sender's last counter.
    pub(crate) fn last(&mut self, sender: u32) -> Option<&mut u32> {
        self.0.iter_mut().find(|(known, _)| *known == sender).map(|(_, last)| last)
    }

    /// Raises a sender's counter, or takes the sender in; `false` if there is no room for it.
    pub(crate) fn advance(&mut self, sender: u32, counter: u32) -> bool {
        match self.last(sender) {
            Some(last) => {
                *last = counter.max(*last);
                true
            }
            None => self.0.push((sender, counter)).is_ok(),
        }
    }
}
