//! Why an update is not taken.

/// Why a request of an upgrade is refused. Nothing that ran before has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no header of an update, or of a format that this device does not know.
    Format,
    /// The image is for another board.
    Board,
    /// The image is for other revisions of the board.
    HardwareRevision,
    /// The image is older than the one that runs.
    Older,
    /// The image that runs has this version.
    SameVersion,
    /// The image is empty, or longer than the slot.
    Length,
    /// The header is not signed with the key of this device's maker.
    Signature,
    /// The bytes in the slot are not the image that the header tells of.
    Hash,
    /// The chunk does not begin where the last one ended.
    Offset {
        /// Where the next chunk begins, in bytes from the image's first.
        wanted: u32,
    },
    /// The flash refused.
    Flash,
    /// There is no upgrade under way.
    NothingBegun,
    /// An image is complete and waits for the restart.
    RestartPending,
    /// The running image is new and still has to show that it is well: at most a minute.
    Unconfirmed,
    /// The supply is lost.
    SupplyLost,
}

impl Refusal {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 14] = [
        Self::Format,
        Self::Board,
        Self::HardwareRevision,
        Self::Older,
        Self::SameVersion,
        Self::Length,
        Self::Signature,
        Self::Hash,
        Self::Offset { wanted: 0 },
        Self::Flash,
        Self::NothingBegun,
        Self::RestartPending,
        Self::Unconfirmed,
        Self::SupplyLost,
    ];

    /// Returns the code that answers carry, 1 or more. A code is never used for something else.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Format => 1,
            Self::Board => 2,
            Self::HardwareRevision => 3,
            Self::Older => 4,
            Self::SameVersion => 5,
            Self::Length => 6,
            Self::Signature => 7,
            Self::Hash => 8,
            Self::Offset { .. } => 9,
            Self::Flash => 10,
            Self::NothingBegun => 11,
            Self::RestartPending => 12,
            Self::Unconfirmed => 13,
            Self::SupplyLost => 14,
        }
    }

    /// Finds a refusal by its code. `wanted` is for [`Refusal::Offset`] alone.
    #[must_use]
    pub fn from_code(code: u8, wanted: u32) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|refusal| refusal.code() == code)?;
        Some(if matches!(found, Self::Offset { .. }) { Self::Offset { wanted } } else { found })
    }
}

#[cfg(feature = "std")]
impl core::fmt::Display for Refusal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Format => "this is no update, or one of a format that the device does not know",
            Self::Board => "the image is for another board",
            Self::HardwareRevision => "the image is for other hardware revisions",
            Self::Older => "the image is older than the one that runs",
            Self::SameVersion => "the device runs this version already",
            Self::Length => "the image is empty or does not fit the device",
            Self::Signature => "the update is not signed with the key that the device trusts",
            Self::Hash => "the image arrived damaged: begin again",
            Self::Offset { wanted } => return write!(f, "the device goes on at byte {wanted}"),
            Self::Flash => "the device's flash refused",
            Self::NothingBegun => "no upgrade is under way",
            Self::RestartPending => "an image is complete and waits for the restart",
            Self::Unconfirmed => "the running image is still being checked: try again in a minute",
            Self::SupplyLost => "the device loses its supply",
        })
    }
}

#[cfg(feature = "std")]
impl std::error::Error for Refusal {}
