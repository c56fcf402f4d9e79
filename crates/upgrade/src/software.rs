//! SHA-512 and Ed25519 in software.

use salty::{Keypair, PublicKey, Sha512, Signature};

use crate::header::SIGNED_LEN;
use crate::verify::Verify;

/// Verifies in software, under one public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Software {
    /// The maker's public key. Bytes that are none make every signature wrong.
    pub public_key: [u8; 32],
}

impl Verify for Software {
    type Hash = Sha512;

    fn begin(&mut self) -> Sha512 {
        Sha512::new()
    }

    fn update(&mut self, hash: &mut Sha512, bytes: &[u8]) {
        hash.update(bytes);
    }

    fn finish(&mut self, hash: Sha512) -> [u8; 64] {
        hash.finalize()
    }

    fn is_signed(&mut self, message: &[u8; SIGNED_LEN], signature: &[u8; 64]) -> bool {
        PublicKey::try_from(&self.public_key)
            .is_ok_and(|key| key.verify(message, &Signature::from(signature)).is_ok())
    }
}

/// Signs the signed part of a header with the private key (the seed of RFC 8032, section 5.1.5).
#[must_use]
pub fn sign(private_key: &[u8; 32], message: &[u8; SIGNED_LEN]) -> [u8; 64] {
    Keypair::from(private_key).sign(message).to_bytes()
}

/// Returns the public key that belongs to a private one.
#[must_use]
pub fn public_key(private_key: &[u8; 32]) -> [u8; 32] {
    Keypair::from(private_key).public.to_bytes()
}
