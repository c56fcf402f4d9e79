//! Requests: a checked view of the bytes, and what they ask for.

use core::fmt;

use sockeye_settings::{Model, Region};

use crate::keys::{self, Keys};
use crate::status::Challenge;
use crate::wire::{Malformed, Reader, Writer};

/// First byte of a request.
const MARK: u8 = b'Q';
/// The version of requests.
pub(crate) const VERSION: u8 = 1;
/// Mark, version, kind, serial number, challenge.
pub const HEADER: usize = 19;
/// Bytes of the authentication code at the end.
pub const TAG: usize = keys::TAG;

/// What a request is about; its number is on the wire. Those below 0x10 anybody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Read the status.
    Status = 0x01,
    /// Read the settings, without what is secret.
    Settings = 0x02,
    /// Write settings.
    Write = 0x10,
    /// Do something at once.
    Command = 0x11,
    /// Begin an upgrade.
    UpgradeBegin = 0x20,
    /// A piece of the image.
    UpgradeChunk = 0x21,
    /// The image is whole: check it, and restart into it.
    UpgradeFinish = 0x22,
    /// Give the upgrade up.
    UpgradeAbort = 0x23,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Status,
        Self::Settings,
        Self::Write,
        Self::Command,
        Self::UpgradeBegin,
        Self::UpgradeChunk,
        Self::UpgradeFinish,
        Self::UpgradeAbort,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == code)
    }

    /// Says whether it needs the password.
    #[must_use]
    pub const fn is_guarded(self) -> bool {
        self as u8 >= 0x10
    }

    /// Says whether its body is enciphered: it may hold keys and the new password.
    pub(crate) const fn is_enciphered(self) -> bool {
        matches!(self, Self::Write)
    }
}

/// What is to be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Switch off.
    Off = 0,
    /// Switch on.
    On = 1,
    /// Switch over.
    Toggle = 2,
    /// Send a report.
    Report = 3,
    /// Restart.
    Reboot = 4,
    /// Reset to factory defaults, and restart.
    FactoryReset = 5,
    /// Set the energy sum to 0.
    ResetEnergy = 6,
}

impl Command {
    /// All commands, each at the place of its number.
    pub const ALL: [Self; 7] = [
        Self::Off,
        Self::On,
        Self::Toggle,
        Self::Report,
        Self::Reboot,
        Self::FactoryReset,
        Self::ResetEnergy,
    ];
}

/// Which device may take a change of settings: a template is for one model and one channel plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The model; none for any.
    pub model: Option<Model>,
    /// The channel plan that is set before the change; none for any.
    pub region: Option<Region>,
}

impl Guard {
    /// For any model and plan.
    pub const ANY: Self = Self { model: None, region: None };
    /// Stands for any on the wire.
    const ANY_CODE: u8 = 0xff;

    fn codes(self) -> [u8; 2] {
        let model = self.model.map_or(Self::ANY_CODE, |model| model as u8);
        [model, self.region.map_or(Self::ANY_CODE, |region| region as u8)]
    }

    fn from_codes([model, region]: [u8; 2]) -> Result<Self, Malformed> {
        let known = |code| (code != Self::ANY_CODE).then_some(code);
        let model = known(model).map(|code| Model::from_code(code).ok_or(Malformed)).transpose()?;
        let region = known(region).map(|code| Region::from_code(code).ok_or(Malformed)).transpose()?;
        Ok(Self { model, region })
    }
}

/// What is asked for. Debug prints no settings: they may be keys and the new password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Read the status.
    Status,
    /// Read the settings, without what is secret.
    Settings,
    /// Write settings: all of them, or none.
    Write {
        /// Which device may take them.
        guard: Guard,
        /// The fields in their stored form ([`Settings::encode_change`](sockeye_settings::Settings::encode_change)).
        form: &'a [u8],
    },
    /// Do something at once.
    Command(Command),
    /// Begin an upgrade, or go on with the one that was begun with the same header.
    UpgradeBegin {
        /// The signed header.
        header: &'a [u8],
    },
    /// A piece of the image.
    UpgradeChunk {
        /// Where it belongs, in bytes from the start of the image.
        offset: u32,
        /// The piece.
        data: &'a [u8],
    },
    /// The image is whole: check it, and restart into it.
    UpgradeFinish,
    /// Give the upgrade up.
    UpgradeAbort,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { guard, .. } => {
                f.debug_struct("Write").field("guard", guard).finish_non_exhaustive()
            }
            Self::Command(command) => f.debug_tuple("Command").field(command).finish(),
            Self::UpgradeChunk { offset, .. } => {
                f.debug_struct("UpgradeChunk").field("offset", offset).finish_non_exhaustive()
            }
            _ => self.kind().fmt(f),
        }
    }
}

impl<'a> Request<'a> {
    /// Tells the kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Status => Kind::Status,
            Self::Settings => Kind::Settings,
            Self::Write { .. } => Kind::Write,
            Self::Command(_) => Kind::Command,
            Self::UpgradeBegin { .. } => Kind::UpgradeBegin,
            Self::UpgradeChunk { .. } => Kind::UpgradeChunk,
            Self::UpgradeFinish => Kind::UpgradeFinish,
            Self::UpgradeAbort => Kind::UpgradeAbort,
        }
    }

    /// Reads a body, deciphered.
    ///
    /// # Errors
    /// [`Malformed`].
    pub(crate) fn parse(kind: Kind, body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(body);
        Ok(match kind {
            Kind::Status => Self::Status,
            Kind::Settings => Self::Settings,
            Kind::Write => Self::Write { guard: Guard::from_codes(reader.array()?)?, form: reader.0 },
            Kind::Command => {
                let code = reader.u8()?;
                Self::Command(*Command::ALL.get(usize::from(code)).ok_or(Malformed)?)
            }
            Kind::UpgradeBegin => Self::UpgradeBegin { header: body },
            Kind::UpgradeChunk => Self::UpgradeChunk { offset: reader.u32()?, data: reader.0 },
            Kind::UpgradeFinish => Self::UpgradeFinish,
            Kind::UpgradeAbort => Self::UpgradeAbort,
        })
    }

    fn put_body(&self, out: &mut Writer<'_>) {
        match *self {
            Self::Status | Self::Settings | Self::UpgradeFinish | Self::UpgradeAbort => {}
            Self::Write { guard, form } => {
                out.put(&guard.codes()).put(form);
            }
            Self::Command(command) => {
                out.put(&[command as u8]);
            }
            Self::UpgradeBegin { header } => {
                out.put(header);
            }
            Self::UpgradeChunk { offset, data } => {
                out.put(&offset.to_le_bytes()).put(data);
            }
        }
    }
}

/// A checked view of a request: it has the shape of one. Nothing of it is trusted before [`Session::open`](crate::Session::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The version.
    pub version: u8,
    /// The kind, if it is one that is known.
    pub kind: Option<Kind>,
    /// The kind as it came.
    pub kind_code: u8,
    /// The serial number of the device that it is for.
    pub sn: [u8; 8],
    /// The challenge that it was made for.
    pub challenge: Challenge,
}

impl Envelope {
    /// Looks at bytes from a tag or a line.
    ///
    /// # Errors
    /// [`Malformed`] for what is no request.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let [MARK, version, kind_code] = reader.array()? else { return Err(Malformed) };
        let (sn, challenge) = (reader.array()?, Challenge(reader.array()?));
        Ok(Self { version, kind: Kind::from_code(kind_code), kind_code, sn, challenge })
    }
}

/// What a tool needs to make a request.
#[derive(Clone, Debug)]
pub struct Seal<'a> {
    /// The serial number of the device.
    pub sn: [u8; 8],
    /// The challenge that the device showed last.
    pub challenge: Challenge,
    /// The keys of the password; none for what needs no password.
    pub keys: Option<&'a Keys>,
}

impl Seal<'_> {
    /// Writes a request and returns its length: [`HEADER`] and [`TAG`] more than its body.
    ///
    /// # Errors
    /// [`Malformed`] if `out` is too short, or the request needs keys and there are none.
    pub fn write(&self, request: &Request<'_>, out: &mut [u8]) -> Result<usize, Malformed> {
        let kind = request.kind();
        let mut writer = Writer::new(out);
        writer.put(&[MARK, VERSION, kind as u8]).put(&self.sn).put(&self.challenge.0);
        request.put_body(&mut writer);
        let len = writer.end().ok_or(Malformed)?;
        if !kind.is_guarded() {
            return Ok(len);
        }
        let keys = self.keys.ok_or(Malformed)?;
        let (text, rest) = out.split_at_mut_checked(len).ok_or(Malformed)?;
        let (head, body) = text.split_at_mut_checked(HEADER).ok_or(Malformed)?;
        let tag = keys.tag(head, body);
        if kind.is_enciphered() {
            keys.cipher(tag, self.challenge.0, body);
        }
        *rest.first_chunk_mut().ok_or(Malformed)? = tag;
        len.checked_add(TAG).ok_or(Malformed)
    }
}
