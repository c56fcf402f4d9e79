//! What ends a command early, and the exit status that it becomes.

use std::fmt::{self, Display, Formatter};
use std::path::Path;
use std::process::ExitCode;

/// Wrong use, or something missing that the user can install.
pub const USAGE: u8 = 2;
/// What was to be done did not succeed.
const FAILED: u8 = 1;

/// Says why a command ended early.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The command was called wrongly, or something is missing; the sentence says what to do.
    Usage(String),
    /// What was to be done did not succeed.
    Failed(String),
    /// All is said already; only the exit status is left.
    Status(u8),
}

impl Failure {
    /// Makes the failure of reading or writing a file.
    pub fn file(path: &Path, error: impl Display) -> Self {
        Self::Failed(format!("{}: {error}", path.display()))
    }

    /// Prints the sentence and gives the exit status.
    pub fn report(self) -> ExitCode {
        let status = match self {
            Self::Usage(_) => USAGE,
            Self::Failed(_) => FAILED,
            Self::Status(status) => return ExitCode::from(status),
        };
        eprintln!("error: {self}");
        ExitCode::from(status)
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(sentence) | Self::Failed(sentence) => f.write_str(sentence),
            Self::Status(status) => write!(f, "exit status {status}"),
        }
    }
}
