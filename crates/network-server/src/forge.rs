//! Tools of an adversary on the air, for tests of what a device must not obey.
//!
//! Whoever can transmit can send each of these; whoever holds no key cannot make a frame of [`data_down`] for
//! a device, which is what the tests of the MIC rest on. [`NetworkServer::inject`] puts the bytes on the air.

use crate::config::Transmission;
use crate::frames::{DataDown, Keys};
use crate::server::NetworkServer;

/// Builds a genuine data frame, as the network would.
///
/// # Errors
///
/// What `lrwn` says when the fields cannot be coded.
pub fn data_down(frame: &DataDown, keys: &Keys) -> Result<Vec<u8>, String> {
    frame.encode(keys)
}

/// Spoils the MIC of a frame by one bit.
#[must_use]
pub fn wrong_mic(phy: &[u8]) -> Vec<u8> {
    let mut phy = phy.to_vec();
    if let Some(last) = phy.last_mut() {
        *last ^= 1;
    }
    phy
}

/// Puts another DevAddr into a data frame and leaves the rest, MIC included, as it was.
#[must_use]
pub fn other_address(phy: &[u8], dev_addr: u32) -> Vec<u8> {
    let mut phy = phy.to_vec();
    // MHDR, then DevAddr, least significant byte first (LoRaWAN 1.0.3 §4.3.1).
    if let Some(field) = phy.get_mut(1..5) {
        field.copy_from_slice(&dev_addr.to_le_bytes());
    }
    phy
}

impl NetworkServer {
    /// Tells the last frames that were sent, oldest first: material for a replay.
    pub fn sent_frames(&self) -> impl DoubleEndedIterator<Item = &Transmission> {
        self.sent.iter()
    }

    /// Tells the last frames that were heard, oldest first: a device's own, to play back to it.
    pub fn received_frames(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.received.iter().map(Vec::as_slice)
    }
}
