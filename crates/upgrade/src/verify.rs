//! What the checks need of cryptography.

use crate::header::SIGNED_LEN;

/// Hashes with SHA-512, and knows the public key of the maker.
///
/// On a chip that is short of flash the bootloader has the one copy of the code, and the application calls it.
pub trait Verify {
    /// A hash under way.
    type Hash;

    /// Begins a SHA-512.
    fn begin(&mut self) -> Self::Hash;

    /// Takes more bytes, any number of them.
    fn update(&mut self, hash: &mut Self::Hash, bytes: &[u8]);

    /// Ends a SHA-512.
    fn finish(&mut self, hash: Self::Hash) -> [u8; 64];

    /// Tells whether the signature is that of the maker over the signed part of a header (Ed25519, RFC 8032, section 5.1.7).
    fn is_signed(&mut self, message: &[u8; SIGNED_LEN], signature: &[u8; 64]) -> bool;
}
