//! The header of an update: what the image is, and who says so.

use crate::refusal::Refusal;
use crate::verify::Verify;

/// The first bytes of every header.
pub const MAGIC: [u8; 4] = *b"SCKY";

/// The format of the header that this crate reads and writes.
pub const FORMAT: u8 = 1;

/// The length of the part that is signed, in bytes.
pub const SIGNED_LEN: usize = 96;

/// The length of a header in bytes: the signed part, and the signature.
pub const HEADER_LEN: usize = SIGNED_LEN + 64;

/// The name of a board, the same in board.toml and in the header: 1 to 16 ASCII characters that can be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoardName([u8; 16]);

impl BoardName {
    /// Takes a name of 1 to 16 ASCII characters without blanks; `None` for any other.
    #[must_use]
    pub const fn new(name: &str) -> Option<Self> {
        let mut padded = [0; 16];
        let mut rest = name.as_bytes();
        let mut free: &mut [u8] = &mut padded;
        if rest.is_empty() {
            return None;
        }
        while let [byte, tail @ ..] = rest {
            let [place, tail_free @ ..] = free else { return None };
            if !byte.is_ascii_graphic() {
                return None;
            }
            *place = *byte;
            free = tail_free;
            rest = tail;
        }
        Some(Self(padded))
    }

    /// Says whether the bytes are a name: characters, then nothing but zeros.
    fn is_name(&self) -> bool {
        let mut rest = self.0.iter().skip_while(|byte| byte.is_ascii_graphic());
        self.0.first() != Some(&0) && rest.all(|byte| *byte == 0)
    }

    /// Returns the name as text; empty if a header holds bytes that are no name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        self.0.get(..end).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }
}

/// What an image is, as its maker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The board that it runs on.
    pub board: BoardName,
    /// The first hardware version that it runs on, as the identity has it: `[0x01, 0x40]` is V1.4.
    pub hardware_min: [u8; 2],
    /// The last hardware version that it runs on.
    pub hardware_max: [u8; 2],
    /// Its version, as `ff0a` sends it: `[0x01, 0x14]` is V1.14.
    pub version: [u8; 2],
    /// Its length in bytes.
    pub len: u32,
    /// Its SHA-512.
    pub sha512: [u8; 64],
}

impl Image {
    /// Returns the bytes that the maker signs.
    #[must_use]
    pub fn signed_part(&self) -> [u8; SIGNED_LEN] {
        let mut out = [0; SIGNED_LEN];
        let bytes = MAGIC.iter().chain(&[FORMAT, 0]).chain(&self.version).chain(&self.board.0);
        let len = self.len.to_le_bytes();
        let bytes = bytes.chain(&self.hardware_min).chain(&self.hardware_max).chain(&len).chain(&self.sha512);
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
        }
        out
    }
}

/// What an image has to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The board.
    pub board: BoardName,
    /// Its hardware version.
    pub hardware: [u8; 2],
    /// The version of the image that runs.
    pub version: [u8; 2],
    /// The longest image that fits, in bytes.
    pub capacity: u32,
}

/// The header: what an image is, and the signature over it, in the bytes that stand before an image. They are checked to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header([u8; HEADER_LEN]);

/// Where the parts of a header begin, behind magic, format and a zero.
mod at {
    pub(super) const VERSION: usize = 6;
    pub(super) const BOARD: usize = 8;
    pub(super) const HARDWARE_MIN: usize = 24;
    pub(super) const HARDWARE_MAX: usize = 26;
    pub(super) const LEN: usize = 28;
    pub(super) const SHA512: usize = 32;
    pub(super) const SIGNATURE: usize = super::SIGNED_LEN;
}

impl Header {
    /// Joins what an image is with the signature over it.
    #[must_use]
    pub fn new(image: &Image, signature: [u8; 64]) -> Self {
        let mut bytes = [0; HEADER_LEN];
        for (to, from) in bytes.iter_mut().zip(image.signed_part().iter().chain(&signature)) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Reads a header at the start of `bytes`; what follows it is passed over.
    ///
    /// # Errors
    /// [`Refusal::Format`] for bytes that are too short, without the magic, of another format, or with a name that is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let header = Self(*bytes.first_chunk().ok_or(Refusal::Format)?);
        let [m0, m1, m2, m3] = MAGIC;
        if header.part(0) == [m0, m1, m2, m3, FORMAT, 0] && header.board().is_name() {
            Ok(header)
        } else {
            Err(Refusal::Format)
        }
    }

    fn part<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn board(&self) -> BoardName {
        BoardName(self.part(at::BOARD))
    }

    /// Returns the header's bytes.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; HEADER_LEN] {
        self.0
    }

    /// Tells the length of the image in bytes.
    #[must_use]
    pub fn image_len(&self) -> u32 {
        u32::from_le_bytes(self.part(at::LEN))
    }

    /// Tells what the image is, as the header says.
    #[must_use]
    pub fn image(&self) -> Image {
        Image {
            board: self.board(),
            hardware_min: self.part(at::HARDWARE_MIN),
            hardware_max: self.part(at::HARDWARE_MAX),
            version: self.part(at::VERSION),
            len: self.image_len(),
            sha512: self.sha512(),
        }
    }

    /// Tells the SHA-512 of the image.
    #[must_use]
    pub fn sha512(&self) -> [u8; 64] {
        self.part(at::SHA512)
    }

    /// Decides whether the image may come onto this device. The signature comes last, as it takes the longest.
    ///
    /// # Errors
    /// The first of [`Refusal::Board`], [`Refusal::HardwareRevision`], [`Refusal::Length`], [`Refusal::Older`],
    /// [`Refusal::SameVersion`] and [`Refusal::Signature`] that holds.
    pub fn check(&self, device: &Device, verify: &mut impl Verify) -> Result<(), Refusal> {
        let (version, len): ([u8; 2], _) = (self.part(at::VERSION), self.image_len());
        let (least, last) = (self.part(at::HARDWARE_MIN), self.part(at::HARDWARE_MAX));
        if self.board() != device.board {
            Err(Refusal::Board)
        } else if device.hardware < least || device.hardware > last {
            Err(Refusal::HardwareRevision)
        } else if len == 0 || len > device.capacity {
            Err(Refusal::Length)
        } else if version < device.version {
            Err(Refusal::Older)
        } else if version == device.version {
            Err(Refusal::SameVersion)
        } else if !verify.is_signed(&self.part(0), &self.part(at::SIGNATURE)) {
            Err(Refusal::Signature)
        } else {
            Ok(())
        }
    }
}
