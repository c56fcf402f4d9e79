//! What is asked of a device, and how it stands.

use crate::refusal::Refusal;

/// What a tool asks of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Begins an upgrade, or goes on with the one that was begun with the same header.
    Begin {
        /// The header's bytes.
        header: &'a [u8],
    },
    /// Brings the next bytes of the image.
    Chunk {
        /// Where they belong, in bytes from the image's first: where [`Progress::received`] says.
        offset: u32,
        /// The bytes: any number of them, at least 8 unless they are the last.
        data: &'a [u8],
    },
    /// All bytes are there: the device checks them and restarts into the image.
    Finish,
    /// Gives the upgrade up.
    Abort,
}

/// How far an upgrade is. The numbers are for the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// There is none.
    #[default]
    None = 0,
    /// An image is coming in.
    Receiving = 1,
    /// An image is whole, and the restart into it is near.
    Ready = 2,
    /// The image that runs is new, and has to show that it is well.
    Trying = 3,
    /// The image that runs was new at this start, and has shown that it is well.
    Confirmed = 4,
    /// The last image was not well, and the one before it runs again.
    GoneBack = 5,
}

impl State {
    /// All states, each at the place of its number.
    pub const ALL: [Self; 6] =
        [Self::None, Self::Receiving, Self::Ready, Self::Trying, Self::Confirmed, Self::GoneBack];

    /// Returns the name that logs and JSON lines use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Receiving => "receiving",
            Self::Ready => "ready",
            Self::Trying => "trying",
            Self::Confirmed => "confirmed",
            Self::GoneBack => "gone_back",
        }
    }
}

/// How an upgrade stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How far it is.
    pub state: State,
    /// Why the last request was refused, if it was.
    pub refused: Option<Refusal>,
    /// Bytes of the image that are in flash: where the next chunk begins. It can be less than what was sent, as flash is
    /// written in whole words.
    pub received: u32,
    /// Bytes of the image; 0 while none is coming in.
    pub total: u32,
}
