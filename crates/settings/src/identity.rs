//! Identity: what the factory writes once and nothing else changes.

use core::fmt;

use crate::{Key, StoredError};

/// The socket type, which decides the rated current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Model {
    /// European socket, 16 A.
    Eu = 0,
    /// British socket, 13 A.
    Uk = 1,
    /// American socket, 15 A.
    Us = 2,
    /// Australian socket, 10 A.
    Au = 3,
    /// Chinese socket, 10 A.
    Cn10 = 4,
    /// Chinese socket, 16 A.
    Cn16 = 5,
}

impl Model {
    /// Tells whether its mains has 60 Hz; the others' has 50.
    #[must_use]
    pub const fn is_60_hz(self) -> bool {
        matches!(self, Self::Us)
    }

    /// All models.
    pub const ALL: [Self; 6] = [Self::Eu, Self::Uk, Self::Us, Self::Au, Self::Cn10, Self::Cn16];

    /// Returns the rated current in ampere (behaviour: EU 16, UK 13, US 15, AU 10, CN 10 or 16).
    pub const fn rated_current_a(self) -> u8 {
        match self {
            Self::Eu | Self::Cn16 => 16,
            Self::Uk => 13,
            Self::Us => 15,
            Self::Au | Self::Cn10 => 10,
        }
    }

    /// Returns the name, as the command line and templates have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eu => "EU",
            Self::Uk => "UK",
            Self::Us => "US",
            Self::Au => "AU",
            Self::Cn10 => "CN10",
            Self::Cn16 => "CN16",
        }
    }

    /// Finds a model by its name, whatever the case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name().eq_ignore_ascii_case(name))
    }

    /// Finds a model by the number that it is stored under.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|model| *model as u8 == code)
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Tells one device from all others; a factory reset and a template leave it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The serial number: 16 hexadecimal digits, first printed digit first.
    pub sn: [u8; 8],
    /// The LoRaWAN device EUI, first printed byte first.
    pub dev_eui: [u8; 8],
    /// The socket type.
    pub model: Model,
    /// The AppKey that the factory gave; the default of the setting.
    pub app_key: Key,
    /// The hardware version as the wire has it, `[0x01, 0x40]` being V1.4.
    pub hardware_version: [u8; 2],
}

/// The version of the identity's stored form.
const VERSION: u8 = 1;

impl Identity {
    /// The length of the stored form in bytes.
    pub const STORED_LEN: usize = 36;

    /// Returns the DevAddr that an ABP device has by default: digits 5 to 12 of the serial number
    /// (guide, section 3.2.1).
    pub const fn default_dev_addr(&self) -> u32 {
        let [_, _, a, b, c, d, _, _] = self.sn;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Says whether the hardware can report a power outage, as version 1.2 and later can (guide, section 4.3).
    pub const fn reports_outage(&self) -> bool {
        let [major, minor] = self.hardware_version;
        major > 1 || (major == 1 && minor >= 0x20)
    }

    /// Returns the stored form.
    pub fn encode(&self) -> [u8; Self::STORED_LEN] {
        let mut out = [0; Self::STORED_LEN];
        let [major, minor] = self.hardware_version;
        let head = [VERSION, self.model as u8, major, minor];
        let bytes = head.iter().chain(&self.sn).chain(&self.dev_eui).chain(self.app_key.as_bytes());
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = *from;
        }
        out
    }

    /// Reads the stored form; bytes after it are passed over.
    ///
    /// # Errors
    /// [`StoredError`] if the version is another, the form too short or the model unknown. There is no default to
    /// fall back to: a device without an identity must not go on air.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoredError> {
        let version = *bytes.first().ok_or(StoredError::Empty)?;
        if version != VERSION {
            return Err(StoredError::Version(version));
        }
        let (head, rest) = bytes.split_first_chunk::<4>().ok_or(StoredError::Truncated)?;
        let (sn, rest) = rest.split_first_chunk::<8>().ok_or(StoredError::Truncated)?;
        let (dev_eui, rest) = rest.split_first_chunk::<8>().ok_or(StoredError::Truncated)?;
        let (app_key, _) = rest.split_first_chunk::<16>().ok_or(StoredError::Truncated)?;
        let [_, model, major, minor] = *head;
        Ok(Self {
            sn: *sn,
            dev_eui: *dev_eui,
            model: Model::from_code(model).ok_or(StoredError::Model(model))?,
            app_key: Key::new(*app_key),
            hardware_version: [major, minor],
        })
    }
}
