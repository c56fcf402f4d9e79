//! AES-128 and CMAC as LoRaWAN 1.0.x uses them (LoRaWAN 1.0.3, sections 4.3.3, 4.4 and 6.2).

use lorawan::default_crypto::DefaultFactory;
use lorawan::keys::{AES128, CryptoFactory, Encrypter};

use crate::aes;
pub use crate::aes::encrypt_block;
use crate::config::Key;

/// Which way a data frame goes: the `Dir` byte of the blocks A and B0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device.
    Up = 0,
    /// To the device.
    Down = 1,
}

/// Gives the first four bytes of the CMAC over the parts one after the other.
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; 4] {
    let [a, b, c, d, ..] = aes::cmac(key, parts);
    [a, b, c, d]
}

/// Compares two MICs in a time that does not depend on where they differ.
pub fn mic_eq(a: [u8; 4], b: [u8; 4]) -> bool {
    (u32::from_le_bytes(a) ^ u32::from_le_bytes(b)) == 0
}

/// The block that A (`first` 0x01) and B0 (`first` 0x49) have in common; the direction is always given by
/// the caller, never taken from a frame (MAC-FCNT-05).
fn block(first: u8, direction: Direction, dev_addr: u32, fcnt: u32, last: u8) -> [u8; 16] {
    let [a0, a1, a2, a3] = dev_addr.to_le_bytes();
    let [f0, f1, f2, f3] = fcnt.to_le_bytes();
    [first, 0, 0, 0, 0, direction as u8, a0, a1, a2, a3, f0, f1, f2, f3, 0, last]
}

/// Works out the MIC of a data frame; `message` is MHDR to FRMPayload, at most 255 bytes.
pub fn data_mic(key: &Key, direction: Direction, dev_addr: u32, fcnt: u32, message: &[u8]) -> [u8; 4] {
    let len = u8::try_from(message.len()).unwrap_or(u8::MAX);
    cmac(key, &[&block(0x49, direction, dev_addr, fcnt, len), message])
}

/// Enciphers or deciphers an FRMPayload in place.
pub fn cipher(key: &Key, direction: Direction, dev_addr: u32, fcnt: u32, data: &mut [u8]) {
    let cipher = DefaultFactory.new_enc(&AES128(key.0));
    for (chunk, index) in data.chunks_mut(16).zip(1u8..) {
        let mut stream = block(0x01, direction, dev_addr, fcnt, index).into();
        cipher.encrypt_block(&mut stream);
        for (byte, key_byte) in chunk.iter_mut().zip(stream) {
            *byte ^= key_byte;
        }
    }
}

/// Derives NwkSKey (`kind` 1) or AppSKey (`kind` 2); the nonce and the NetID are as they were on air.
pub fn session_key(app_key: &Key, kind: u8, join_nonce: [u8; 3], net_id: [u8; 3], dev_nonce: u16) -> Key {
    let ([j0, j1, j2], [n0, n1, n2], [d0, d1]) = (join_nonce, net_id, dev_nonce.to_le_bytes());
    Key(encrypt_block(app_key, [kind, j0, j1, j2, n0, n1, n2, d0, d1, 0, 0, 0, 0, 0, 0, 0]))
}
