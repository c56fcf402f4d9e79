//! The engine of the fixed plans: channels by number, masks, and the walk of a join over the banks.

use crate::channels::Channel;
use crate::mask::Mask;

/// Equally spaced frequencies.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// The first one in Hz.
    pub start_hz: u32,
    /// Their distance in Hz.
    pub step_hz: u32,
    /// How many there are.
    pub count: u8,
}

impl Grid {
    /// Gives the frequency of a number.
    pub fn get(&self, index: u8) -> Option<u32> {
        (index < self.count)
            .then(|| self.start_hz.saturating_add(self.step_hz.saturating_mul(u32::from(index))))
    }

    /// Tells whether a frequency is one of them.
    pub fn holds(&self, frequency_hz: u32) -> bool {
        (0..self.count).any(|index| self.get(index) == Some(frequency_hz))
    }
}

/// A plan whose channels have fixed frequencies.
#[derive(Debug)]
pub struct Fixed {
    /// Channels of 125 kHz, numbered from 0.
    pub narrow: Grid,
    /// Lowest and highest data rate of the narrow channels.
    pub narrow_data_rates: (u8, u8),
    /// Channels of 500 kHz, numbered after the narrow ones; there may be none.
    pub wide: Grid,
    /// The one data rate of the wide channels.
    pub wide_data_rate: u8,
    /// RX1 channels: RX1 is on the one whose number is that of the uplink channel, modulo their count.
    pub downlink: Grid,
    /// With a narrow data rate, so many narrow channels must stay on.
    pub min_narrow: u8,
    /// With fewer narrow channels on than the first, power is limited to the second, in dBm EIRP.
    pub few_channels: Option<(u8, i8)>,
    /// The network may give a mask in the join-accept (CFList type 1).
    pub cflist: bool,
}

/// A bank: so many narrow channels, which one gateway of eight channels hears (RP002, US902-928).
const BANK: u8 = 8;

impl Fixed {
    /// Gives the mask of the channels of 125 kHz.
    pub fn narrow_mask(&self) -> Mask {
        Mask::range(0, self.narrow.count)
    }

    /// Gives the mask of the channels of 500 kHz.
    pub fn wide_mask(&self) -> Mask {
        Mask::range(self.narrow.count, self.wide.count)
    }

    /// Gives the mask of every channel.
    pub fn all(&self) -> Mask {
        self.narrow_mask() | self.wide_mask()
    }

    /// Gives a channel.
    pub fn channel(&self, index: u8) -> Option<Channel> {
        let (frequency_hz, (min_data_rate, max_data_rate)) = match self.narrow.get(index) {
            Some(hz) => (hz, self.narrow_data_rates),
            None => (
                self.wide.get(index.checked_sub(self.narrow.count)?)?,
                (self.wide_data_rate, self.wide_data_rate),
            ),
        };
        let downlink_hz = self.downlink.get(index.checked_rem(self.downlink.count)?)?;
        Some(Channel { frequency_hz, min_data_rate, max_data_rate, downlink_hz })
    }

    /// Works out what one LinkADRReq makes of the mask `now` (RP002, "ChMaskCntl" of each fixed plan); `None` if
    /// it is not allowed.
    pub fn masked(&self, now: Mask, control: u8, bits: u16) -> Option<Mask> {
        let rows = self.narrow.count / 16;
        let wide = || Mask::row(rows, bits) & self.wide_mask();
        match control {
            row if row < rows => Some(now.without(Mask::row(row, u16::MAX)) | Mask::row(row, bits)),
            6 if self.wide.count == 0 => Some(self.all()),
            _ if self.wide.count == 0 => None,
            4 => Some((now & self.narrow_mask()) | wide()),
            5 => {
                let on = (0..self.wide.count).filter(|&bank| Mask::row(0, bits).contains(bank));
                Some(on.fold(Mask::NONE, |mask, bank| mask | Self::bank(bank) | self.wide_channel(bank)))
            }
            6 => Some(self.narrow_mask() | wide()),
            7 => Some(wide()),
            _ => None,
        }
    }

    fn bank(bank: u8) -> Mask {
        Mask::range(bank.saturating_mul(BANK), BANK)
    }

    fn wide_channel(&self, number: u8) -> Mask {
        Mask::of(self.narrow.count.saturating_add(number))
    }

    /// Reads the mask of a CFList of type 1 (RP 1.0.3, section 2.3.4): 16 channels in each of the first words.
    pub fn cflist_mask(&self, list: &[u8]) -> Mask {
        let words = list.chunks_exact(2).zip(0u8..);
        let mask = words.fold(Mask::NONE, |mask, (word, row)| {
            mask | Mask::row(row, word.try_into().map_or(0, u16::from_le_bytes))
        });
        mask & self.all()
    }

    /// Tells whether enough narrow channels are on for a data rate of theirs.
    pub fn hops_enough(&self, mask: Mask, data_rate: u8) -> bool {
        data_rate > self.narrow_data_rates.1
            || (mask & self.narrow_mask()).count() >= u32::from(self.min_narrow)
    }

    /// Gives the channels for a join request: one bank after the other, then the wide channels, and again
    /// (MAC-JOIN-09). Banks without a channel in `on` are passed over. Also tells how many rounds are behind.
    pub fn join_channels(&self, on: Mask, attempt: u32) -> (Mask, u32) {
        let banks = self.narrow.count / BANK;
        let bank = |n: u8| on & if n < banks { Self::bank(n) } else { self.wide_mask() };
        let used = || (0..=banks).map(bank).filter(|mask| !mask.is_empty());
        let count = u32::try_from(used().count()).unwrap_or(0);
        let (Some(round), Some(step)) = (attempt.checked_div(count), attempt.checked_rem(count)) else {
            return (Mask::NONE, 0);
        };
        (used().nth(usize::try_from(step).unwrap_or(0)).unwrap_or(Mask::NONE), round)
    }

    /// Gives the limit of the radiated power in dBm EIRP that a mask brings at a data rate.
    pub fn eirp_limit_dbm(&self, mask: Mask, data_rate: u8) -> i8 {
        match self.few_channels {
            Some((count, dbm))
                if data_rate <= self.narrow_data_rates.1
                    && (mask & self.narrow_mask()).count() < u32::from(count) =>
            {
                dbm
            }
            _ => i8::MAX,
        }
    }
}
