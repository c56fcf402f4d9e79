//! The uplink channels that are in use: their list, in a dynamic plan, and which of them are on.

use crate::command::frequency_hz;
use crate::config::Config;
use crate::mask::Mask;
use crate::region::{ChannelPlan, Plan};

/// Channels of a dynamic plan at most (RP002, "up to 16 channels").
pub const MAX_CHANNELS: usize = 16;

/// One uplink channel. `frequency_hz` 0 means that it is not defined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Channel {
    pub frequency_hz: u32,
    pub min_data_rate: u8,
    pub max_data_rate: u8,
    /// RX1 frequency where it is not the uplink's, else 0.
    pub downlink_hz: u32,
}

impl Channel {
    fn is_defined(&self) -> bool {
        self.frequency_hz != 0
    }

    fn carries(&self, data_rate: u8) -> bool {
        (self.min_data_rate..=self.max_data_rate).contains(&data_rate)
    }

    /// Gives the RX1 frequency.
    pub fn rx1_hz(&self) -> u32 {
        if self.downlink_hz == 0 { self.frequency_hz } else { self.downlink_hz }
    }
}

/// All uplink channels, and which of them are switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channels {
    /// Of a dynamic plan; empty in a fixed one.
    list: [Channel; MAX_CHANNELS],
    mask: Mask,
}

impl Channels {
    /// Gives the channels that a device starts with: the plan's, or those of the settings.
    pub fn defaults(plan: &Plan, config: &Config) -> Self {
        let mut channels = Self::none();
        match &plan.channels {
            ChannelPlan::Dynamic(dynamic) => {
                let (min, max) = dynamic.data_rates;
                let set = config.channels_hz.as_ref().map_or(dynamic.defaults_hz, |list| list.as_slice());
                for (&frequency_hz, index) in set.iter().zip(0u8..) {
                    if plan.is_uplink_frequency(frequency_hz) {
                        channels.define(index, frequency_hz, min, max);
                    }
                }
            }
            ChannelPlan::Fixed(fixed) => {
                channels.mask = match config.channel_mask {
                    Some(words) => fixed.all() & Mask(words),
                    None => fixed.all(),
                };
            }
        }
        channels
    }

    /// Gives the channels that a join is tried on: those that the device starts with. A device under
    /// certification uses all of the plan's, whatever is set (MAC-JOIN-10).
    pub fn for_join(plan: &Plan, config: &Config) -> Self {
        if cfg!(feature = "certification") {
            return Self::defaults(plan, &Config { channels_hz: None, channel_mask: None, ..config.clone() });
        }
        Self::defaults(plan, config)
    }

    /// Gives an empty list.
    pub fn none() -> Self {
        Self { list: [Channel::default(); MAX_CHANNELS], mask: Mask::NONE }
    }

    pub fn get(&self, plan: &Plan, index: u8) -> Option<Channel> {
        match &plan.channels {
            ChannelPlan::Dynamic(_) => {
                self.list.get(usize::from(index)).copied().filter(|channel| channel.is_defined())
            }
            ChannelPlan::Fixed(fixed) => fixed.channel(index),
        }
    }

    pub fn mask(&self) -> Mask {
        self.mask
    }

    pub fn set_mask(&mut self, plan: &Plan, mask: Mask) {
        self.mask = mask & self.defined(plan);
    }

    /// Gives every defined channel with its index.
    pub fn iter<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = (u8, Channel)> + 'a {
        (0..Mask::CAPACITY).filter_map(|index| Some((index, self.get(plan, index)?)))
    }

    /// Tells which channels are defined.
    pub fn defined(&self, plan: &Plan) -> Mask {
        match &plan.channels {
            ChannelPlan::Dynamic(_) => {
                self.iter(plan).fold(Mask::NONE, |mask, (index, _)| mask | Mask::of(index))
            }
            ChannelPlan::Fixed(fixed) => fixed.all(),
        }
    }

    /// Tells which channels of `mask` carry a data rate.
    pub fn carrying(&self, plan: &Plan, mask: Mask, data_rate: u8) -> Mask {
        self.iter(plan)
            .filter(|(index, channel)| mask.contains(*index) && channel.carries(data_rate))
            .fold(Mask::NONE, |carrying, (index, _)| carrying | Mask::of(index))
    }

    /// Tells whether a mask leaves something to send on at a data rate.
    pub fn suffices(&self, plan: &Plan, mask: Mask, data_rate: u8) -> bool {
        let hops = match &plan.channels {
            ChannelPlan::Dynamic(_) => true,
            ChannelPlan::Fixed(fixed) => fixed.hops_enough(mask, data_rate),
        };
        hops && !self.carrying(plan, mask, data_rate).is_empty()
    }

    /// Gives the data rate nearest to `data_rate`, first below and then above it, that the channels that are
    /// on carry; itself if there is none.
    pub fn nearest_data_rate(&self, plan: &Plan, data_rate: u8, dwell: bool) -> u8 {
        (0..=data_rate)
            .rev()
            .chain(data_rate..=plan.uplink_data_rates.1)
            .find(|&rate| {
                plan.is_uplink_data_rate(rate, dwell) && !self.carrying(plan, self.mask, rate).is_empty()
            })
            .unwrap_or(data_rate)
    }

    /// Defines a channel and switches it on; its RX1 frequency is its own again.
    pub fn define(&mut self, index: u8, frequency_hz: u32, min_data_rate: u8, max_data_rate: u8) {
        if let Some(channel) = self.list.get_mut(usize::from(index)) {
            *channel = Channel { frequency_hz, min_data_rate, max_data_rate, downlink_hz: 0 };
            self.mask = self.mask | Mask::of(index);
        }
    }

    /// Takes a channel away.
    pub fn remove(&mut self, index: u8) {
        if let Some(channel) = self.list.get_mut(usize::from(index)) {
            *channel = Channel::default();
            self.mask = self.mask.without(Mask::of(index));
        }
    }

    /// Changes the RX1 frequency of a defined channel.
    pub fn set_downlink(&mut self, index: u8, frequency_hz: u32) {
        if let Some(channel) = self.list.get_mut(usize::from(index)).filter(|channel| channel.is_defined()) {
            channel.downlink_hz = frequency_hz;
        }
    }

    /// Switches the channels that a device starts with on again, and defines those that are gone.
    pub fn restore(&mut self, plan: &Plan, defaults: &Self) {
        if let ChannelPlan::Dynamic(_) = plan.channels {
            for (index, channel) in defaults.iter(plan) {
                if self.get(plan, index).is_none() {
                    self.define(index, channel.frequency_hz, channel.min_data_rate, channel.max_data_rate);
                }
            }
        }
        self.set_mask(plan, self.mask | defaults.mask);
    }

    /// Applies the CFList of a join-accept (MAC-JOIN-07): in a dynamic plan type 0, five frequencies for the
    /// channels after the default ones, in place of every other; in a fixed plan type 1, a mask. The other type is
    /// left aside, and so is a frequency out of band, or a mask that leaves nothing to send on.
    pub fn apply_cflist(&mut self, plan: &Plan, list: &[u8; 16]) {
        let (content, kind) = list.split_at(15);
        match (&plan.channels, kind) {
            (ChannelPlan::Dynamic(dynamic), [0]) => {
                let first = dynamic.default_count();
                for index in first..MAX_CHANNELS as u8 {
                    self.remove(index);
                }
                let (min, max) = dynamic.data_rates;
                for (chunk, index) in content.chunks_exact(3).zip(first..) {
                    let frequency_hz = chunk.try_into().map_or(0, frequency_hz);
                    if plan.is_uplink_frequency(frequency_hz) {
                        self.define(index, frequency_hz, min, max);
                    }
                }
            }
            (ChannelPlan::Fixed(fixed), [1]) if fixed.cflist => {
                let mask = fixed.cflist_mask(content);
                let narrow = mask & fixed.narrow_mask();
                if !mask.is_empty()
                    && (narrow.is_empty() || fixed.hops_enough(mask, fixed.narrow_data_rates.0))
                {
                    self.mask = mask;
                }
            }
            _ => {}
        }
    }

    /// Works out what one LinkADRReq makes of the mask `now` (RP002, "ChMaskCntl"); `None` if it is not allowed.
    pub fn masked(&self, plan: &Plan, now: Mask, control: u8, bits: u16) -> Option<Mask> {
        match (&plan.channels, control) {
            (ChannelPlan::Fixed(fixed), _) => fixed.masked(now, control, bits),
            (ChannelPlan::Dynamic(_), 0) => {
                let mask = Mask::row(0, bits);
                mask.without(self.defined(plan)).is_empty().then_some(mask)
            }
            (ChannelPlan::Dynamic(_), 6) => Some(self.defined(plan)),
            (ChannelPlan::Dynamic(_), _) => None,
        }
    }
}
