//! AES-128 and CMAC (RFC 4493), for whoever shares the device with the MAC: an image holds one cipher.

use lorawan::default_crypto::DefaultFactory;
use lorawan::keys::{AES128, CryptoFactory, Encrypter, Mac};

use crate::config::Key;

/// Enciphers one block.
#[must_use]
pub fn encrypt_block(key: &Key, block: [u8; 16]) -> [u8; 16] {
    let cipher = DefaultFactory.new_enc(&AES128(key.0));
    let mut block = block.into();
    cipher.encrypt_block(&mut block);
    block.into()
}

/// Gives the CMAC over the parts one after the other.
#[must_use]
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = DefaultFactory.new_mac(&AES128(key.0));
    for part in parts {
        mac.input(part);
    }
    mac.result().into()
}
