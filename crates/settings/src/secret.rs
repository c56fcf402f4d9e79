//! Secrets: compared and stored, never printed.

use core::fmt;

/// A 16-byte AES-128 key, which Debug does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl Key {
    /// The key from which the guide's defaults are made: 5572404C696E6B4C6F52613230313823 (section 3.2.1).
    pub const DEFAULT: Self = Self(*b"Ur@LinkLoRa2018#");

    /// Makes a key of its bytes, first printed byte first.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, for the cipher.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The password for writing settings: six decimal digits (guide, section 3.1), which Debug does not print.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Password([u8; 6]);

impl Password {
    /// The password that a new device has (guide, section 3.1).
    pub const DEFAULT: Self = Self(*b"123456");

    /// Makes a password of six ASCII digits; none if they are something else.
    pub fn new(digits: &[u8]) -> Option<Self> {
        let digits: [u8; 6] = digits.try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// Returns the six ASCII digits.
    pub const fn as_bytes(&self) -> &[u8; 6] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
