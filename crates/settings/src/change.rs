//! Why a change of settings is refused, for code and on the wire.

use core::fmt;

use crate::field::{Error, Field, Reason};

/// Says why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeError {
    /// The bytes are not those of a change, or of one that a newer firmware understands.
    Form,
    /// This firmware does not know the field of this tag.
    Unknown(u8),
    /// The field cannot have the value.
    Value(Field),
    /// A rule would be broken.
    Rule(Error),
}

impl ChangeError {
    /// Returns the two bytes that tell it.
    pub fn refusal(&self) -> Refusal {
        let (tag, why) = match *self {
            Self::Form => (0, Why::Form),
            Self::Unknown(tag) => (tag, Why::Unknown),
            Self::Value(field) => (field.tag(), Why::Value),
            Self::Rule(error) => (error.field.tag(), Why::of(error.reason)),
        };
        Refusal { tag, why }
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(error) => write!(f, "{error}"),
            other => write!(f, "{}", other.refusal()),
        }
    }
}

impl core::error::Error for ChangeError {}

/// The field and the kind of rule, as a device tells them: two bytes, from which whoever sent the change knows the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The tag of the field; 0 if it is none.
    pub tag: u8,
    /// What is wrong with it.
    pub why: Why,
}

/// What is wrong with a field. The numbers are those on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Why {
    /// The bytes are not those of a change.
    Form = 0,
    /// The device does not know the field.
    Unknown = 1,
    /// The field cannot have the value.
    Value = 2,
    /// The number is outside its range.
    OutOfRange = 3,
    /// The channel plan does not have this frequency.
    OffPlan = 4,
    /// The channel plan fixes the frequencies of its channels.
    FixedPlan = 5,
    /// The enabled channels are all without a frequency.
    NothingToSendOn = 6,
    /// Single-channel mode needs exactly one channel.
    NotOneChannel = 7,
    /// No enabled channel carries the data rate.
    NoChannelForDataRate = 8,
    /// Two addresses must differ and do not.
    Same = 9,
    /// A device-to-device command is there twice.
    CommandTwice = 10,
}

impl Why {
    /// All of them, each at the place of its number.
    pub const ALL: [Self; 11] = [
        Self::Form,
        Self::Unknown,
        Self::Value,
        Self::OutOfRange,
        Self::OffPlan,
        Self::FixedPlan,
        Self::NothingToSendOn,
        Self::NotOneChannel,
        Self::NoChannelForDataRate,
        Self::Same,
        Self::CommandTwice,
    ];

    /// Finds the one of a number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    const fn of(reason: Reason) -> Self {
        match reason {
            Reason::OutOfRange { .. } => Self::OutOfRange,
            Reason::OffPlan { .. } => Self::OffPlan,
            Reason::FixedPlan { .. } => Self::FixedPlan,
            Reason::NothingToSendOn => Self::NothingToSendOn,
            Reason::NotOneChannel { .. } => Self::NotOneChannel,
            Reason::NoChannelForDataRate { .. } => Self::NoChannelForDataRate,
            Reason::SameAs { .. } => Self::Same,
            Reason::CommandTwice { .. } => Self::CommandTwice,
        }
    }

    /// Returns what is wrong, in words.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Form => "the change is not understood",
            Self::Unknown => "the device does not know this setting",
            Self::Value => "the setting cannot have this value",
            Self::OutOfRange => "outside its range",
            Self::OffPlan => "not a frequency of the channel plan",
            Self::FixedPlan => "the channel plan fixes the frequencies of its channels",
            Self::NothingToSendOn => "no channel of this list has a frequency; to stop sending, write Null",
            Self::NotOneChannel => "single-channel mode needs exactly one channel",
            Self::NoChannelForDataRate => {
                "no enabled channel carries the data rate; enable one or turn ADR on"
            }
            Self::Same => "must differ from another address",
            Self::CommandTwice => "a command is there twice",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (Field::from_tag(self.tag), self.tag) {
            (Some(field), _) => write!(f, "{field}: {}", self.why.text()),
            (None, 0) => f.write_str(self.why.text()),
            (None, tag) => write!(f, "field {tag:#04x}: {}", self.why.text()),
        }
    }
}
