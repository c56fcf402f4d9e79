//! A set of channels. Three words: a `u128` costs more code on a 32-bit processor.

use core::ops::{BitAnd, BitOr};

/// A set of channels, bit n of the row of words for channel n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(pub [u32; 3]);

impl Mask {
    /// No channel.
    pub const NONE: Self = Self([0; 3]);
    /// Channels at most: those of CN470.
    pub const CAPACITY: u8 = 96;

    /// Gives the set of one channel; none beyond the capacity.
    pub fn of(index: u8) -> Self {
        let mut mask = Self::NONE;
        if let Some(word) = mask.0.get_mut(usize::from(index / 32)) {
            *word = 1u32.wrapping_shl(u32::from(index));
        }
        mask
    }

    /// Gives the set of `count` channels from `start` on.
    pub fn range(start: u8, count: u8) -> Self {
        (start..start.saturating_add(count)).fold(Self::NONE, |mask, index| mask | Self::of(index))
    }

    /// Gives the set that 16 bits name, as MAC commands do: channels 16 · `row` and up.
    pub fn row(row: u8, bits: u16) -> Self {
        let mut mask = Self::NONE;
        if let Some(word) = mask.0.get_mut(usize::from(row / 2)) {
            *word = u32::from(bits).wrapping_shl(if row & 1 == 0 { 0 } else { 16 });
        }
        mask
    }

    /// Tells whether a channel is in the set.
    pub fn contains(self, index: u8) -> bool {
        self & Self::of(index) != Self::NONE
    }

    /// Tells whether no channel is in the set.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Tells how many channels are in the set.
    pub fn count(self) -> u32 {
        self.0.iter().fold(0, |sum, word| sum.saturating_add(word.count_ones()))
    }

    /// Gives the channels that are not in `other`.
    pub fn without(self, other: Self) -> Self {
        self & Self(other.0.map(|word| !word))
    }
}

impl BitAnd for Mask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        let ([a, b, c], [d, e, f]) = (self.0, other.0);
        Self([a & d, b & e, c & f])
    }
}

impl BitOr for Mask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        let ([a, b, c], [d, e, f]) = (self.0, other.0);
        Self([a | d, b | e, c | f])
    }
}
