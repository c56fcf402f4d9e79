//! Why a frame is not obeyed.

use core::fmt;

/// Why a frame is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent is switched off in the settings.
    Disabled,
    /// It has not the shape of a D2D frame.
    Malformed,
    /// It is of a version that this agent does not know.
    Version,
    /// It was made under another key, or changed on its way.
    Mic,
    /// Its counter is not above the last one of its sender: it was heard before, or a later one was.
    Replayed,
    /// None of the commands of the settings.
    UnknownCommand,
    /// The table of senders is full, and this one is not in it.
    TooManySenders,
    /// Commands come faster than a relay and a flash should take them.
    TooOften,
}

impl Refusal {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Disabled,
        Self::Malformed,
        Self::Version,
        Self::Mic,
        Self::Replayed,
        Self::UnknownCommand,
        Self::TooManySenders,
        Self::TooOften,
    ];

    /// Returns a few words for logs and JSON lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "d2d: the agent is disabled",
            Self::Malformed => "d2d: not a D2D frame",
            Self::Version => "d2d: unknown version",
            Self::Mic => "d2d: wrong MIC",
            Self::Replayed => "d2d: old counter",
            Self::UnknownCommand => "d2d: unknown command",
            Self::TooManySenders => "d2d: no room for another sender",
            Self::TooOften => "d2d: commands come too fast",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl core::error::Error for Refusal {}
