//! The keys of a session, made of the password, and what is done with them.

use core::fmt;

use embassy_futures::yield_now;
use sockeye_lorawan_mac::Key;
use sockeye_lorawan_mac::aes::{self, Cipher, Cmac};
use sockeye_settings::Password;

/// How often the password is stirred: the iteration count of PBKDF2 (RFC 8018, section 5.2).
///
/// Some 0.5 s of a Cortex-M4 at 48 MHz. It cannot make six digits strong (docs/NFC.md, "What it does not protect from").
pub const ITERATIONS: u16 = 4096;

/// Blocks of AES between two chances for other tasks: some 1 ms of a Cortex-M4 at 48 MHz.
const SLICE: u16 = 8;

/// Bytes of a block of AES.
const BLOCK: usize = 16;

/// Bytes of the authentication code.
pub(crate) const TAG: usize = 8;

/// The keys of one password on one device.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    mac: Key,
    cipher: Key,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

impl Keys {
    /// Derives the keys: PBKDF2 with AES-CMAC-PRF-128 (RFC 4615) over the password, the serial number being the salt;
    /// from that key, one for the authentication code and one to encipher.
    ///
    /// It takes [`ITERATIONS`] blocks of AES, and lets other tasks run in between.
    ///
    /// # Cancel safety
    /// Nothing is lost but the work.
    pub async fn derive(password: &Password, sn: &[u8; 8]) -> Self {
        // RFC 4615: a key of another length than 16 bytes goes through CMAC with a key of zeros.
        let prf_key = Key(aes::cmac(&Key([0; 16]), &[password.as_bytes()]));
        let cipher = Cipher::new(&prf_key);
        let subkey = double(cipher.encrypt([0; 16]));
        let mut last = aes::cmac(&prf_key, &[sn, &[0, 0, 0, 1]]);
        let mut master = last;
        for round in 1..ITERATIONS {
            // The CMAC of one whole block (RFC 4493).
            xor(&mut last, &subkey);
            last = cipher.encrypt(last);
            xor(&mut master, &last);
            if round % SLICE == 0 {
                yield_now().await;
            }
        }
        let master = Key(master);
        let derive = |purpose| {
            let mut label = *b"sockeye nfc\0\0\0\0\0";
            let [.., version, last] = &mut label;
            (*version, *last) = (1, purpose);
            Key(aes::encrypt_block(&master, label))
        };
        Self { mac: derive(1), cipher: derive(2) }
    }

    /// Works out the authentication code over two parts.
    pub(crate) fn tag(&self, head: &[u8], body: &[u8]) -> [u8; TAG] {
        shorten(aes::cmac(&self.mac, &[head, body]))
    }

    /// Enciphers in place, in counter mode; the first block is made of the authentication code and the challenge, so that two
    /// texts never meet the same stream.
    pub(crate) fn cipher(&self, tag: [u8; TAG], challenge: [u8; 8], data: &mut [u8]) {
        stream(&Cipher::new(&self.cipher), tag, challenge, 0, data);
    }

    /// Deciphers in place, if it is enciphered, and tells whether the authentication code is right. Other tasks run in between.
    pub(crate) async fn check(
        &self,
        head: &[u8],
        body: &mut [u8],
        tag: [u8; TAG],
        challenge: Option<[u8; 8]>,
    ) -> bool {
        let cipher = Cipher::new(&self.cipher);
        let mut mac = Cmac::new(&self.mac);
        mac.update(head);
        for (piece, slice) in body.chunks_mut(BLOCK * usize::from(SLICE)).zip(0u16..) {
            if let Some(challenge) = challenge {
                stream(&cipher, tag, challenge, slice.wrapping_mul(SLICE), piece);
            }
            mac.update(piece);
            yield_now().await;
        }
        tag_eq(shorten(mac.finish()), tag)
    }

    /// Makes a number that nobody guesses who does not know the password.
    pub(crate) fn nonce(&self, seed: u64, sequence: u32) -> u32 {
        let ([a, b, c, d, e, f, g, h], [s0, s1, s2, s3]) = (seed.to_le_bytes(), sequence.to_le_bytes());
        let block = aes::encrypt_block(&self.cipher, [a, b, c, d, e, f, g, h, s0, s1, s2, s3, b'n', 0, 0, 0]);
        let [x0, x1, x2, x3, ..] = block;
        u32::from_le_bytes([x0, x1, x2, x3])
    }
}

/// Adds the stream of counter mode to data, from this block on.
fn stream(cipher: &Cipher, tag: [u8; TAG], challenge: [u8; 8], first: u16, data: &mut [u8]) {
    let mut block = [0; BLOCK];
    for (place, byte) in block.iter_mut().zip(tag.iter().chain(&challenge)) {
        *place = *byte;
    }
    for (chunk, count) in data.chunks_mut(BLOCK).zip(first..) {
        let [.., high, low] = &mut block;
        [*high, *low] = count.to_be_bytes();
        xor(chunk, &cipher.encrypt(block));
    }
}

/// The authentication code is the first half of the CMAC.
fn shorten(mac: [u8; BLOCK]) -> [u8; TAG] {
    let [a, b, c, d, e, f, g, h, ..] = mac;
    [a, b, c, d, e, f, g, h]
}

/// Makes the I2C password that a device gives its tag, of its factory AppKey: who opens one socket knows no other one's.
#[must_use]
pub fn i2c_password(app_key: &[u8; 16]) -> [u8; 8] {
    shorten(aes::encrypt_block(&Key(*app_key), *b"sockeye tag i2c\0"))
}

/// Compares two codes in a time that does not depend on where they differ.
pub(crate) fn tag_eq(a: [u8; TAG], b: [u8; TAG]) -> bool {
    u64::from_le_bytes(a) ^ u64::from_le_bytes(b) == 0
}

fn xor(block: &mut [u8], with: &[u8]) {
    block.iter_mut().zip(with).for_each(|(byte, other)| *byte ^= other);
}

/// Doubles in GF(2^128): how CMAC makes its subkey (RFC 4493, section 2.3).
fn double(block: [u8; 16]) -> [u8; 16] {
    let number = u128::from_be_bytes(block);
    let carry = if number >> 127 == 1 { 0x87 } else { 0 };
    (number << 1 ^ carry).to_be_bytes()
}
