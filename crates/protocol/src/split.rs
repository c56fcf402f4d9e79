//! Splitting an uplink into frames, between records.

use crate::Error;
use crate::wire::{Direction, Records};

/// Splits an uplink payload into pieces of at most `max` bytes, between records and in order.
///
/// Each piece takes as many records as fit. The whole payload is checked first, so that either all of it can be sent
/// or nothing is. An empty payload has no pieces.
///
/// # Errors
/// [`Error::RecordTooLong`] if one record alone is longer than `max`: it is never cut.
/// [`Error::NotRecords`] if the payload is not a whole row of known uplink records.
pub fn split(payload: &[u8], max: usize) -> Result<Pieces<'_>, Error> {
    let mut records = Records::new(Direction::Uplink, payload);
    loop {
        let at = records.position();
        let Some(view) = records.next() else { break };
        let len = view.bytes().len();
        if len > max {
            return Err(Error::RecordTooLong { at, len, max });
        }
    }
    match records.stop() {
        Some(stop) => Err(Error::NotRecords(stop)),
        None => Ok(Pieces { rest: payload, max }),
    }
}

/// Iterates over the pieces of a payload that [`split`] has checked.
#[derive(Debug, Clone)]
pub struct Pieces<'a> {
    rest: &'a [u8],
    max: usize,
}

impl<'a> Pieces<'a> {
    /// Returns what the next pieces will hold, to be split anew if the size of a frame changes on the way.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let mut len = 0;
        for view in Records::new(Direction::Uplink, self.rest) {
            let longer = len + view.bytes().len();
            if longer > self.max {
                break;
            }
            len = longer;
        }
        if len == 0 {
            return None;
        }
        let (piece, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(piece)
    }
}

impl core::iter::FusedIterator for Pieces<'_> {}
