//! Channels: which of a plan's channels are used, and the list that people write for it.

use core::fmt;

use crate::region::{PlanKind, Region};

/// A set of channels, counted from 0 whatever the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChannelSet([u32; 3]);

impl ChannelSet {
    /// The most channels that a set can hold: those of CN470.
    pub const CAPACITY: u8 = 96;

    /// The set without a channel, `Null` in a list.
    pub const EMPTY: Self = Self([0; 3]);

    /// Returns the set of the first `count` channels.
    pub fn first(count: u8) -> Self {
        (0..count).fold(Self::EMPTY, Self::with)
    }

    /// Returns the set of all channels of a plan, `All` in a list.
    pub fn all(region: Region) -> Self {
        Self::first(region.channel_count())
    }

    /// Returns the set with one channel more; a channel beyond [`Self::CAPACITY`] is passed over.
    #[must_use]
    pub fn with(mut self, channel: u8) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(channel / 32)) {
            *word |= 1 << (channel % 32);
        }
        self
    }

    /// Says whether a channel is in the set.
    pub fn contains(&self, channel: u8) -> bool {
        self.0.get(usize::from(channel / 32)).is_some_and(|word| word >> (channel % 32) & 1 == 1)
    }

    /// Says whether no channel is in the set.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Returns how many channels are in the set.
    pub fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Iterates over the channels in the set, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..Self::CAPACITY).filter(|&channel| self.contains(channel))
    }

    /// Returns the bits as three words of 32 channels, lowest channel in the lowest bit.
    pub const fn words(&self) -> [u32; 3] {
        self.0
    }

    /// Makes a set of the bits that [`Self::words`] gives.
    pub const fn from_words(words: [u32; 3]) -> Self {
        Self(words)
    }

    /// Reads a channel list: `1,40`, `1-40`, `1-40,60`, `All` or `Null` (guide, section 3.2.1).
    ///
    /// Numbers are those that people see, from 1 in CN470 and from 0 elsewhere. Spaces may stand around numbers, case
    /// does not matter, and a channel may be named twice.
    ///
    /// # Errors
    /// [`ListError`] says where the list is wrong, and how.
    pub fn parse(list: &str, region: Region) -> Result<Self, ListError> {
        let trimmed = list.trim();
        if trimmed.eq_ignore_ascii_case("all") {
            return Ok(Self::all(region));
        }
        if trimmed.eq_ignore_ascii_case("null") {
            return Ok(Self::EMPTY);
        }
        let mut set = Self::EMPTY;
        let mut at = 0;
        for part in list.split(',') {
            let (low, high) = match part.split_once('-') {
                None => {
                    let only = parse_number(part, at, region)?;
                    (only, only)
                }
                Some((low, high)) => {
                    let high_at = at.saturating_add(low.len()).saturating_add(1);
                    (parse_number(low, at, region)?, parse_number(high, high_at, region)?)
                }
            };
            if low > high {
                return Err(ListError { at, reason: ListReason::Backwards });
            }
            set = (low..=high).fold(set, Self::with);
            at = at.saturating_add(part.len()).saturating_add(1);
        }
        Ok(set)
    }

    /// Returns what prints the shortest list that [`Self::parse`] reads back as this set.
    ///
    /// Two neighbours print as `8,9`, three as `8-10`.
    pub fn display(&self, region: Region) -> impl fmt::Display {
        List { set: *self, region }
    }
}

/// Reads one channel number of a list and returns the channel counted from 0.
fn parse_number(text: &str, at: usize, region: Region) -> Result<u8, ListError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ListError { at, reason: ListReason::NumberMissing });
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ListError { at, reason: ListReason::NotANumber });
    }
    let first = region.first_channel_number();
    let last = first.saturating_add(region.channel_count()).saturating_sub(1);
    // Digits only, so that what does not parse is too large a number.
    match text.parse::<u8>() {
        Ok(number) if (first..=last).contains(&number) => Ok(number.saturating_sub(first)),
        _ => Err(ListError { at, reason: ListReason::OutOfRange { first, last } }),
    }
}

struct List {
    set: ChannelSet,
    region: Region,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.set.is_empty() {
            return f.write_str("Null");
        }
        if self.set == ChannelSet::all(self.region) {
            return f.write_str("All");
        }
        let number = |channel: u8| channel.saturating_add(self.region.first_channel_number());
        let mut next = 0;
        let mut separator = "";
        while let Some(low) = (next..ChannelSet::CAPACITY).find(|&channel| self.set.contains(channel)) {
            let end = (low..ChannelSet::CAPACITY)
                .find(|&channel| !self.set.contains(channel))
                .unwrap_or(ChannelSet::CAPACITY);
            let high = end.saturating_sub(1);
            match high.saturating_sub(low) {
                0 => write!(f, "{separator}{}", number(low))?,
                1 => write!(f, "{separator}{},{}", number(low), number(high))?,
                _ => write!(f, "{separator}{}-{}", number(low), number(high))?,
            }
            separator = ",";
            next = end;
        }
        Ok(())
    }
}

/// Says where a channel list is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListError {
    /// The byte of the list at which the wrong part begins.
    pub at: usize,
    /// What is wrong.
    pub reason: ListReason,
}

/// Says how a channel list is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListReason {
    /// A number is missing, as in `1,,2`, `1-` or an empty list; a list without channels is `Null`.
    NumberMissing,
    /// Something else stands where a number should.
    NotANumber,
    /// The plan has no channel of this number.
    OutOfRange {
        /// The plan's first channel.
        first: u8,
        /// The plan's last channel.
        last: u8,
    },
    /// A range ends before it begins.
    Backwards,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the channel list is wrong at character {}: ", self.at.saturating_add(1))?;
        match self.reason {
            ListReason::NumberMissing => {
                f.write_str("a channel number is missing (no channel at all is Null)")
            }
            ListReason::NotANumber => f.write_str("a channel number, All or Null is expected"),
            ListReason::OutOfRange { first, last } => {
                write!(f, "the plan has the channels {first} to {last}")
            }
            ListReason::Backwards => f.write_str("the range ends before it begins"),
        }
    }
}

impl core::error::Error for ListError {}

/// The channels of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels {
    /// The channels that may be used; in a dynamic plan one without a frequency does not count.
    pub enabled: ChannelSet,
    /// The frequencies of a dynamic plan in hertz, 0 for a channel that does not exist; all 0 in a fixed plan.
    pub frequency_hz: [u32; 16],
}

impl Channels {
    /// Returns the channels that a plan begins with, all enabled.
    pub fn default_for(region: Region) -> Self {
        let mut frequency_hz = [0; 16];
        for (to, from) in frequency_hz.iter_mut().zip(region.default_channels_hz()) {
            *to = *from;
        }
        Self { enabled: ChannelSet::all(region), frequency_hz }
    }

    /// Returns the channels that are enabled and exist.
    pub fn usable(&self, region: Region) -> ChannelSet {
        let exists = |channel: u8| match region.kind() {
            PlanKind::Fixed => channel < region.channel_count(),
            PlanKind::Dynamic => self.frequency_hz.get(usize::from(channel)).is_some_and(|&hz| hz != 0),
        };
        self.enabled.iter().filter(|&channel| exists(channel)).fold(ChannelSet::EMPTY, ChannelSet::with)
    }
}
