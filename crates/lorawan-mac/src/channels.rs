//! The uplink channels of a dynamic plan.

use crate::command::frequency_hz;
use crate::config::Config;
use crate::region::Plan;

/// Channels of a dynamic plan at most (RP002, "up to 16 channels").
pub const MAX_CHANNELS: usize = 16;

/// One uplink channel. `frequency_hz` 0 means that it is not defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    pub frequency_hz: u32,
    pub min_data_rate: u8,
    pub max_data_rate: u8,
    /// RX1 frequency where a DlChannelReq changed it, else 0.
    pub downlink_hz: u32,
}

impl Channel {
    pub fn is_defined(&self) -> bool {
        self.frequency_hz != 0
    }

    fn carries(&self, data_rate: u8) -> bool {
        self.is_defined() && (self.min_data_rate..=self.max_data_rate).contains(&data_rate)
    }

    /// Gives the RX1 frequency.
    pub fn rx1_hz(&self) -> u32 {
        if self.downlink_hz == 0 { self.frequency_hz } else { self.downlink_hz }
    }
}

/// All uplink channels, and which of them are switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    list: [Channel; MAX_CHANNELS],
    mask: u16,
}

impl Channels {
    /// Gives the channels that a device starts with: the plan's, or those of the settings.
    pub fn defaults(plan: &Plan, config: &Config) -> Self {
        let mut channels = Self { list: [Channel::default(); MAX_CHANNELS], mask: 0 };
        let (min, max) = plan.default_data_rates;
        let set = config.channels_hz.as_ref().map_or(plan.default_channels_hz, |list| list.as_slice());
        for (&frequency_hz, index) in set.iter().zip(0u8..) {
            if plan.is_uplink_frequency(frequency_hz) {
                channels.define(index, frequency_hz, min, max);
            }
        }
        channels
    }

    /// Gives an empty list.
    pub fn none() -> Self {
        Self { list: [Channel::default(); MAX_CHANNELS], mask: 0 }
    }

    pub fn get(&self, index: u8) -> Option<&Channel> {
        self.list.get(usize::from(index)).filter(|channel| channel.is_defined())
    }

    pub fn mask(&self) -> u16 {
        self.mask
    }

    pub fn set_mask(&mut self, mask: u16) {
        self.mask = mask & self.defined();
    }

    /// Gives every defined channel with its index.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Channel)> {
        (0u8..).zip(&self.list).filter(|(_, channel)| channel.is_defined())
    }

    /// Tells which channels are defined, as a mask.
    pub fn defined(&self) -> u16 {
        self.select(|channel| channel.is_defined())
    }

    /// Tells which channels of `mask` carry a data rate.
    pub fn carrying(&self, mask: u16, data_rate: u8) -> u16 {
        mask & self.select(|channel| channel.carries(data_rate))
    }

    fn select(&self, wanted: impl Fn(&Channel) -> bool) -> u16 {
        (0u16..).zip(&self.list).fold(0, |mask, (index, channel)| {
            if wanted(channel) { mask | 1u16.checked_shl(u32::from(index)).unwrap_or(0) } else { mask }
        })
    }

    /// Defines a channel and switches it on; its RX1 frequency is its own again.
    pub fn define(&mut self, index: u8, frequency_hz: u32, min_data_rate: u8, max_data_rate: u8) {
        if let Some(channel) = self.list.get_mut(usize::from(index)) {
            *channel = Channel { frequency_hz, min_data_rate, max_data_rate, downlink_hz: 0 };
            self.mask |= bit(index);
        }
    }

    /// Takes a channel away.
    pub fn remove(&mut self, index: u8) {
        if let Some(channel) = self.list.get_mut(usize::from(index)) {
            *channel = Channel::default();
            self.mask &= !bit(index);
        }
    }

    /// Changes the RX1 frequency of a defined channel.
    pub fn set_downlink(&mut self, index: u8, frequency_hz: u32) {
        if let Some(channel) = self.list.get_mut(usize::from(index)).filter(|channel| channel.is_defined()) {
            channel.downlink_hz = frequency_hz;
        }
    }

    /// Applies the CFList of a join-accept: five frequencies for the channels after the default ones, in
    /// place of every other (MAC-JOIN-06). A list of the fixed plans' type, or a frequency out of band, is
    /// left aside.
    pub fn apply_cflist(&mut self, plan: &Plan, list: &[u8; 16]) {
        let (frequencies, kind) = list.split_at(15);
        if kind != [0] {
            return;
        }
        let first = default_count(plan);
        for index in first..MAX_CHANNELS as u8 {
            self.remove(index);
        }
        let (min, max) = plan.default_data_rates;
        for (chunk, index) in frequencies.chunks_exact(3).zip(first..) {
            let frequency_hz = chunk.try_into().map_or(0, frequency_hz);
            if plan.is_uplink_frequency(frequency_hz) {
                self.define(index, frequency_hz, min, max);
            }
        }
    }

    /// Works out the mask that one LinkADRReq gives (RP002, "ChMaskCntl" of the dynamic plans); `None` if it
    /// is not allowed.
    pub fn masked(&self, control: u8, mask: u16) -> Option<u16> {
        match control {
            0 if mask & !self.defined() == 0 => Some(mask),
            6 => Some(self.defined()),
            _ => None,
        }
    }
}

/// Tells how many channels the plan itself defines; NewChannelReq and CFList leave them alone.
pub fn default_count(plan: &Plan) -> u8 {
    u8::try_from(plan.default_channels_hz.len()).unwrap_or(0)
}

/// Gives the mask of one channel.
pub fn bit(index: u8) -> u16 {
    1u16.checked_shl(u32::from(index)).unwrap_or(0)
}
