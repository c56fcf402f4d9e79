//! What was not obeyed, and how often.

use core::fmt;

/// Something that was not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// A downlink on another port than the application port.
    Port,
    /// A downlink from its first unknown command on.
    UnknownCommand,
    /// A downlink from a command on that lacks bytes.
    TruncatedCommand,
    /// A command with a value outside its range.
    OutOfRange,
    /// The button, while it is locked.
    ButtonLocked,
    /// A delay task that would have switched on after a trip.
    TrippedDelayTask,
    /// A reading that cannot be.
    ImplausibleReading,
    /// The meter did not answer.
    MeterFailure,
    /// A record was not stored in time; answers that waited for it are dropped.
    NotStored,
    /// An answer for which there was no room.
    AnswerOverflow,
}

impl Ignored {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Port,
        Self::UnknownCommand,
        Self::TruncatedCommand,
        Self::OutOfRange,
        Self::ButtonLocked,
        Self::TrippedDelayTask,
        Self::ImplausibleReading,
        Self::MeterFailure,
        Self::NotStored,
        Self::AnswerOverflow,
    ];

    /// Returns a few words for logs and JSON lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Port => "downlink on another port",
            Self::UnknownCommand => "unknown command",
            Self::TruncatedCommand => "truncated command",
            Self::OutOfRange => "command out of range",
            Self::ButtonLocked => "button locked",
            Self::TrippedDelayTask => "delay task dropped by a trip",
            Self::ImplausibleReading => "implausible reading",
            Self::MeterFailure => "meter failed",
            Self::NotStored => "record not stored",
            Self::AnswerOverflow => "no room for an answer",
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How often things happened since the start. Each stops at its largest value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    ignored: [u32; Ignored::ALL.len()],
    relay_changes: u32,
}

impl Counters {
    /// Returns how often something was not obeyed.
    #[must_use]
    pub fn ignored(&self, what: Ignored) -> u32 {
        self.ignored.get(what as usize).copied().unwrap_or(0)
    }

    /// Returns how often the relay changed, the start not counted.
    #[must_use]
    pub const fn relay_changes(&self) -> u32 {
        self.relay_changes
    }

    pub(crate) fn count_ignored(&mut self, what: Ignored) {
        if let Some(count) = self.ignored.get_mut(what as usize) {
            *count = count.saturating_add(1);
        }
    }

    pub(crate) fn count_relay_change(&mut self) {
        self.relay_changes = self.relay_changes.saturating_add(1);
    }
}
