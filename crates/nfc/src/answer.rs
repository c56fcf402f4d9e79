//! Answers: what the device says to a request.

use core::fmt;

use sockeye_settings::{Refusal, Why};

use crate::keys::{Keys, tag_eq};
use crate::request::{Kind, TAG};
use crate::status::{Challenge, Upgrade};
use crate::wire::{Malformed, Reader, Writer};

/// First byte of an answer.
const MARK: u8 = b'A';
/// The version of answers.
const VERSION: u8 = 1;
/// Mark, version, code, kind, challenge.
const HEADER: usize = 12;
/// In the byte of the kind: an authentication code stands at the end.
const SEALED: u8 = 0x80;

/// The longest answer, in bytes: the settings, with room for those of newer firmware.
pub const MAX_ANSWER: usize = HEADER + 512 + TAG;

/// What became of a request; its number is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It is done, and what had to be stored is stored.
    Done = 0,
    /// It has not the shape of a request: half written, or not one.
    Malformed = 1,
    /// It is of a version that the device does not understand.
    Version = 2,
    /// The device does not know this kind.
    Kind = 3,
    /// It is for a device with another serial number.
    OtherDevice = 4,
    /// It was made for another challenge: it is old, or was obeyed before.
    Stale = 5,
    /// The authentication code is wrong. Body: how long to wait, in s (2 bytes).
    WrongPassword = 6,
    /// There were too many wrong passwords. Body: how long to wait, in s (2 bytes).
    Wait = 7,
    /// A setting cannot be. Body: the tag of the field, and why (1 byte each).
    Settings = 8,
    /// The settings are for another model.
    OtherModel = 9,
    /// The settings are for another channel plan.
    OtherRegion = 10,
    /// The upgrade refuses it. Body: as the upgrade's part of the status.
    Upgrade = 11,
    /// It could not be stored.
    NotStored = 12,
    /// The device is at something else; once more, later. Ours waits until it knows what to answer.
    Busy = 13,
    /// It is longer than the device can take.
    TooLong = 14,
}

impl Code {
    /// All codes, each at the place of its number.
    pub const ALL: [Self; 15] = [
        Self::Done,
        Self::Malformed,
        Self::Version,
        Self::Kind,
        Self::OtherDevice,
        Self::Stale,
        Self::WrongPassword,
        Self::Wait,
        Self::Settings,
        Self::OtherModel,
        Self::OtherRegion,
        Self::Upgrade,
        Self::NotStored,
        Self::Busy,
        Self::TooLong,
    ];

    /// Returns what it says, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Malformed => "the request did not arrive whole",
            Self::Version => "the device does not understand this version of requests",
            Self::Kind => "the device does not know this request",
            Self::OtherDevice => "the request is for another device",
            Self::Stale => "the request is older than the device's last one; read the device again",
            Self::WrongPassword => "wrong password",
            Self::Wait => "too many wrong passwords; wait",
            Self::Settings => "a setting cannot be so",
            Self::OtherModel => "the settings are for another model",
            Self::OtherRegion => "the settings are for another channel plan",
            Self::Upgrade => "the upgrade was refused",
            Self::NotStored => "the device could not store it",
            Self::Busy => "the device is at something else; try again",
            Self::TooLong => "the request is longer than the device can take",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A checked view of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// What became of the request.
    pub code: Code,
    /// The kind of the request, as it came; 0 if it was none.
    pub kind_code: u8,
    /// The challenge of the request: by it a tool knows its own.
    pub challenge: Challenge,
    /// What the code or the request says; [`wait_s`](Self::wait_s), [`refusal`](Self::refusal) and
    /// [`upgrade`](Self::upgrade) read it.
    pub body: &'a [u8],
    /// All but the authentication code, and that one, if the answer has one.
    sealed: Option<(&'a [u8], [u8; TAG])>,
}

impl<'a> Answer<'a> {
    /// Looks at bytes from a tag or a line.
    ///
    /// # Errors
    /// [`Malformed`] for what is no answer, or of a version or code that this tool does not know.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader(bytes);
        let [MARK, VERSION, code, kind] = reader.array()? else { return Err(Malformed) };
        let code = *Code::ALL.get(usize::from(code)).ok_or(Malformed)?;
        let challenge = Challenge(reader.array()?);
        let (body, sealed) = if kind & SEALED == 0 {
            (reader.0, None)
        } else {
            let (_, tag) = bytes.split_last_chunk().ok_or(Malformed)?;
            let (body, _) = reader.0.split_last_chunk::<TAG>().ok_or(Malformed)?;
            let text = bytes.get(..bytes.len().saturating_sub(TAG)).ok_or(Malformed)?;
            (body, Some((text, *tag)))
        };
        Ok(Self { code, kind_code: kind & !SEALED, challenge, body, sealed })
    }

    /// Says whether it comes from a device that knows the password: whether its authentication code is right.
    #[must_use]
    pub fn is_genuine(&self, keys: &Keys) -> bool {
        self.sealed.is_some_and(|(text, tag)| tag_eq(keys.tag(text, &[]), tag))
    }

    /// Reads how long to wait before the next try, in s: of [`Code::WrongPassword`] and [`Code::Wait`].
    #[must_use]
    pub fn wait_s(&self) -> Option<u16> {
        match self.code {
            Code::WrongPassword | Code::Wait => Reader(self.body).u16().ok(),
            _ => None,
        }
    }

    /// Reads which setting was refused, and why: of [`Code::Settings`].
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        match (self.code, self.body) {
            (Code::Settings, &[tag, why, ..]) => Some(Refusal { tag, why: Why::from_code(why)? }),
            _ => None,
        }
    }

    /// Reads how the upgrade stands: of every answer to a request about one, but for those that never reached it.
    #[must_use]
    pub fn upgrade(&self) -> Option<Upgrade> {
        let is_upgrade = self.kind_code & 0xf0 == Kind::UpgradeBegin as u8;
        (is_upgrade && matches!(self.code, Code::Done | Code::Upgrade))
            .then(|| Upgrade::parse(self.body).ok())?
    }

    /// Writes an answer and returns its length; with keys it gets an authentication code. What does not fit is left
    /// out with all of the body.
    pub fn write(
        code: Code,
        kind_code: u8,
        challenge: Challenge,
        body: &[u8],
        keys: Option<&Keys>,
        out: &mut [u8],
    ) -> usize {
        let sealed = if keys.is_some() { SEALED } else { 0 };
        let head = [MARK, VERSION, code as u8, kind_code & !SEALED | sealed];
        let mut writer = Writer::new(out);
        writer.put(&head).put(&challenge.0).put(body);
        let Some(len) = writer.end() else { return 0 };
        let Some(keys) = keys else { return len };
        let (text, rest) = out.split_at_mut_checked(len).unwrap_or_default();
        let tag = keys.tag(text, &[]);
        match rest.first_chunk_mut() {
            Some(place) => {
                *place = tag;
                len.saturating_add(TAG)
            }
            None => 0,
        }
    }
}
