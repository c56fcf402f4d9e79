//! What went wrong, and how often.

use lora_phy::mod_params::RadioError;

/// What went wrong. The radio resets and initialises the chip before its next operation, except after
/// [`NotSetUp`](Self::NotSetUp) and [`FrameTooLong`](Self::FrameTooLong), where the chip was not touched.
#[derive(Debug, PartialEq)]
pub enum Error {
    /// A command failed, or BUSY stayed high, in lora-phy's words.
    Chip(RadioError),
    /// The chip did not report the end of an operation in time.
    Overdue,
    /// The chip reported interrupts that its operation does not have, or interrupted without any: the flags it gave. 0
    /// also for a channel that it calls stronger than anything that it could hear.
    Nonsense(u16),
    /// A receive was asked for whose kind was not set up before.
    NotSetUp,
    /// A frame of this length, in bytes, does not fit in a packet.
    FrameTooLong(usize),
}

impl From<RadioError> for Error {
    fn from(error: RadioError) -> Self {
        Self::Chip(error)
    }
}

/// How often what has happened since the start. Counters wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames sent, seen by their TxDone.
    pub sent: u32,
    /// Frames handed to the caller.
    pub received: u32,
    /// Times that the chip was reset and initialised, the first one included.
    pub resets: u32,
    /// Operations that ended with [`Error::Overdue`], and receives that had to be ended by the clock.
    pub overdue: u32,
    /// Ends that the chip reached without the interrupt line telling.
    pub missed_interrupts: u32,
    /// Headers that did not fit their check.
    pub header_errors: u32,
    /// Frames dropped because their CRC did not fit.
    pub crc_errors: u32,
    /// Frames dropped because they were too long for the caller's buffer, nobody waited for their window
    /// any more, or one was kept already.
    pub dropped: u32,
}

impl Counters {
    pub(crate) fn count(counter: &mut u32) {
        *counter = counter.wrapping_add(1);
    }
}
