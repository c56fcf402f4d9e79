//! The keys that are made of the D2D key.

use sockeye_lorawan_mac::{Key, aes};

use crate::frame::{MHDR, VERSION};

/// What a derived key is for. The numbers are part of the derivation.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Purpose {
    Cipher = 1,
    Mic = 2,
    /// Not a key: it tells which D2D key a stored table belongs to.
    Tag = 3,
}

/// The keys of one D2D key: one to encipher, one for the MIC.
///
/// Each is a labelled block, enciphered with the D2D key. The label begins with 0xE0, with which no block begins that
/// a LoRaWAN device makes up to encipher (0x00, 0x01, 0x02, 0x20 and 0x49 they begin with; those of a join-accept come
/// from the air, and what they give is shown to nobody): where the D2D key is also the AppKey, as by the guide's
/// defaults, no key of one is a key of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    pub(crate) cipher: Key,
    pub(crate) mic: Key,
    pub(crate) tag: [u8; 4],
}

impl Keys {
    /// Derives the keys.
    #[must_use]
    pub fn new(d2d_key: &[u8; 16]) -> Self {
        let d2d_key = Key(*d2d_key);
        let derive = |purpose| aes::encrypt_block(&d2d_key, label(purpose));
        let [t0, t1, t2, t3, ..] = derive(Purpose::Tag);
        Self { cipher: Key(derive(Purpose::Cipher)), mic: Key(derive(Purpose::Mic)), tag: [t0, t1, t2, t3] }
    }
}

fn label(purpose: Purpose) -> [u8; 16] {
    let mut label = *b"\0\0\0sockeye d2d\0\0";
    let [first, version, third, ..] = &mut label;
    (*first, *version, *third) = (MHDR, VERSION, purpose as u8);
    label
}
