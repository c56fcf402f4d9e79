//! Device-to-device settings (guide, section 3.4).

use crate::field::{Error, Field, Reason};
use crate::secret::Key;

/// What a command does to the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Action {
    /// Switches off.
    Off = 0,
    /// Switches on.
    On = 1,
    /// Switches over.
    Toggle = 2,
}

/// One command that the socket listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct D2dCommand {
    /// The two bytes of the command, as a number: command 1510 is 0x1510.
    pub code: u16,
    /// What it does.
    pub action: Action,
}

/// The device-to-device settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct D2d {
    /// Whether the socket listens for commands.
    pub enabled: bool,
    /// The key that it shares with the controllers.
    pub key: Key,
    /// The commands, at most 16 and each only once.
    pub commands: heapless::Vec<D2dCommand, { D2d::MAX_COMMANDS }>,
}

impl D2d {
    /// How many commands there can be (guide, section 3.4).
    pub const MAX_COMMANDS: usize = 16;

    /// Returns what a command does; none if it is not among those set.
    pub fn action(&self, code: u16) -> Option<Action> {
        self.commands.iter().find(|command| command.code == code).map(|command| command.action)
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        for (index, command) in self.commands.iter().enumerate() {
            if self.commands.iter().take(index).any(|earlier| earlier.code == command.code) {
                return Err(Field::D2dCommands.breaks(Reason::CommandTwice { code: command.code }));
            }
        }
        Ok(())
    }
}

impl Default for D2d {
    fn default() -> Self {
        Self { enabled: false, key: Key::DEFAULT, commands: heapless::Vec::new() }
    }
}
