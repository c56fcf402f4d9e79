//! AES-128 and CMAC (RFC 4493), for whoever shares the device with the MAC: an image holds one cipher.

use lorawan::default_crypto::DefaultFactory;
use lorawan::keys::{AES128, CryptoFactory, Encrypter, Mac};

use crate::config::Key;

/// AES-128 with the key made ready, for whoever enciphers many blocks with it.
pub struct Cipher(<DefaultFactory as CryptoFactory>::E);

impl Cipher {
    /// Makes the key ready.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(DefaultFactory.new_enc(&AES128(key.0)))
    }

    /// Enciphers one block.
    #[must_use]
    pub fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        self.0.encrypt_block(&mut block);
        block.into()
    }
}

impl core::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

/// CMAC over what comes piece by piece.
pub struct Cmac(<DefaultFactory as CryptoFactory>::M);

impl Cmac {
    /// Begins one.
    #[must_use]
    pub fn new(key: &Key) -> Self {
        Self(DefaultFactory.new_mac(&AES128(key.0)))
    }

    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.input(piece);
    }

    /// Gives the CMAC over all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 16] {
        self.0.result().into()
    }
}

impl core::fmt::Debug for Cmac {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Cmac(…)")
    }
}

/// Enciphers one block.
#[must_use]
pub fn encrypt_block(key: &Key, block: [u8; 16]) -> [u8; 16] {
    Cipher::new(key).encrypt(block)
}

/// Gives the CMAC over the parts one after the other.
#[must_use]
pub fn cmac(key: &Key, parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Cmac::new(key);
    for part in parts {
        mac.update(part);
    }
    mac.finish()
}
