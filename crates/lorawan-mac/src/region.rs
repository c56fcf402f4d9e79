//! Channel plans: one table a region, no code a region.
//!
//! The engine of the dynamic plans is [`crate::channels`], that of the fixed ones [`fixed`].

mod dynamic;
pub mod fixed;
mod tables;
#[cfg(test)]
mod tests;

use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};

pub use dynamic::Dynamic;
pub use fixed::Fixed;

use crate::config::{Region, Rx2};

/// A channel plan.
#[derive(Debug)]
pub struct Plan {
    /// Distinguishes plans in stored records.
    pub id: u8,
    /// By data rate index; `None` where this device cannot send and receive at it (FSK, LR-FHSS, RFU).
    pub data_rates: &'static [Option<DataRate>],
    /// Lowest and highest data rate of uplinks.
    pub uplink_data_rates: (u8, u8),
    /// Lowest and highest data rate of downlinks.
    pub downlink_data_rates: (u8, u8),
    /// Lowest and highest data rate of join requests, on channels of 125 kHz.
    pub join_data_rates: (u8, u8),
    /// RX1 data rate.
    pub rx1: Rx1,
    /// RX2 unless something else is set.
    pub rx2: Rx2,
    /// Lowest and highest frequency in Hz.
    pub range_hz: (u32, u32),
    /// Where uplinks and RX1 are.
    pub channels: ChannelPlan,
    /// Highest radiated power in dBm EIRP, rounded down.
    pub max_eirp_dbm: i8,
    /// A lower limit in dBm below a frequency in Hz.
    pub low_eirp: Option<(u32, i8)>,
    /// Highest TXPower index; each is 2 dB below the one before.
    pub max_power_index: u8,
    /// Duty-cycle bands; where there are any, uplinks are allowed only inside them.
    pub bands: &'static [Band],
    /// TxParamSetupReq is known here, and uplinks keep to 400 ms until it says otherwise.
    pub dwell_time: bool,
    /// The channel must be clear before an uplink.
    pub listen_before_talk: Option<ListenBeforeTalk>,
}

/// The two kinds of plan.
#[derive(Debug)]
pub enum ChannelPlan {
    /// Channels are defined by frequency.
    Dynamic(Dynamic),
    /// Channels are fixed, and switched on and off.
    Fixed(Fixed),
}

/// A data rate of LoRa modulation.
#[derive(Clone, Copy, Debug)]
pub struct DataRate {
    /// Spreading factor.
    pub sf: SpreadingFactor,
    /// Bandwidth.
    pub bw: Bandwidth,
    /// M of downlinks: the longest MACPayload, in bytes.
    pub max_downlink: u8,
    /// M of uplinks without a limit of the dwell time.
    pub max_uplink: u8,
    /// M of uplinks of 400 ms at most; 0 where none is short enough.
    pub max_uplink_dwell: u8,
}

/// RX1 data rate: that of the uplink, plus `base`, less RX1DROffset, kept within limits.
#[derive(Clone, Copy, Debug)]
pub struct Rx1 {
    /// Added to the uplink's rate.
    pub base: u8,
    /// Lowest result; with a downlink dwell time of 400 ms, the second one.
    pub lowest: (u8, u8),
    /// Highest result.
    pub highest: u8,
    /// Highest RX1DROffset; 6 and 7 stand for one and two rates *more*.
    pub max_offset: u8,
}

/// Frequencies that share a duty cycle.
#[derive(Clone, Copy, Debug)]
pub struct Band {
    /// Lowest and highest frequency in Hz.
    pub range_hz: (u32, u32),
    /// Allowed time on air in 1/1000.
    pub duty_cycle_permille: u16,
}

/// What makes a channel clear: less than `threshold_dbm` for `for_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenBeforeTalk {
    /// Signal strength in dBm from which on a channel counts as busy.
    pub threshold_dbm: i16,
    /// How long to listen, in ms.
    pub for_ms: u8,
}

/// Preamble symbols of LoRaWAN (RP002, "LoRa preamble").
const PREAMBLE_SYMBOLS: u64 = 8;

impl DataRate {
    /// Gives what a radio needs.
    pub fn modulation(&self) -> BaseBandModulationParams {
        BaseBandModulationParams::new(self.sf, self.bw, CodingRate::_4_5)
    }

    /// Works out the time on air in µs of `len` bytes (SX1262 data sheet, section 6.1.4). Uplinks carry a CRC,
    /// downlinks do not.
    pub fn airtime_us(&self, len: usize, crc: bool) -> u64 {
        let sf = u64::from(self.sf.factor());
        let symbol_us = (1_000_000u64 << sf).checked_div(u64::from(self.bw.hz())).unwrap_or(0);
        // Low data rate optimisation from 16.38 ms a symbol.
        let bits_a_symbol = if symbol_us >= 16_384 { sf.saturating_sub(2) } else { sf };
        let len = u64::try_from(len).unwrap_or(u64::from(u8::MAX)).min(u64::from(u8::MAX));
        let bits = len
            .saturating_mul(8)
            .saturating_add(if crc { 44 } else { 28 })
            .saturating_sub(sf.saturating_mul(4));
        let payload_symbols =
            bits.div_ceil(bits_a_symbol.saturating_mul(4).max(1)).saturating_mul(5).saturating_add(8);
        // 4.25 symbols of sync word and start of frame: all in quarters.
        let quarters = payload_symbols.saturating_add(PREAMBLE_SYMBOLS).saturating_mul(4).saturating_add(17);
        quarters.saturating_mul(symbol_us) >> 2
    }
}

impl Plan {
    /// Gives the table of a region.
    pub fn of(region: Region) -> &'static Self {
        match region {
            Region::Eu868 => &tables::EU868,
            Region::Us915 => &tables::US915,
            Region::Au915 => &tables::AU915,
            Region::As923_1 => &tables::AS923_1,
            Region::As923_2 => &tables::AS923_2,
            Region::As923_3 => &tables::AS923_3,
            Region::As923_4 => &tables::AS923_4,
            Region::Kr920 => &tables::KR920,
            Region::In865 => &tables::IN865,
            Region::Ru864 => &tables::RU864,
            Region::Eu433 => &tables::EU433,
            Region::Cn470 => &tables::CN470,
        }
    }

    /// Looks a data rate up.
    pub fn data_rate(&self, index: u8) -> Option<&'static DataRate> {
        self.data_rates.get(usize::from(index))?.as_ref()
    }

    /// Tells whether uplinks may have a data rate.
    pub fn is_uplink_data_rate(&self, index: u8, dwell: bool) -> bool {
        (self.uplink_data_rates.0..=self.uplink_data_rates.1).contains(&index)
            && self.max_uplink(index, dwell) != 0
    }

    /// Tells whether downlinks may have a data rate.
    pub fn is_downlink_data_rate(&self, index: u8) -> bool {
        (self.downlink_data_rates.0..=self.downlink_data_rates.1).contains(&index)
            && self.data_rate(index).is_some()
    }

    /// Gives the slowest data rate of uplinks.
    pub fn slowest_data_rate(&self, dwell: bool) -> u8 {
        let (min, max) = self.uplink_data_rates;
        (min..=max).find(|&rate| self.is_uplink_data_rate(rate, dwell)).unwrap_or(max)
    }

    /// Gives the longest MACPayload of an uplink, in bytes; 0 where there is no such rate.
    pub fn max_uplink(&self, data_rate: u8, dwell: bool) -> usize {
        self.data_rate(data_rate)
            .map_or(0, |rate| usize::from(if dwell { rate.max_uplink_dwell } else { rate.max_uplink }))
    }

    /// Gives the longest MACPayload of a downlink, in bytes; 0 where there is no such rate.
    pub fn max_downlink(&self, data_rate: u8) -> usize {
        self.data_rate(data_rate).map_or(0, |rate| usize::from(rate.max_downlink))
    }

    /// Works out a time on air in ms, rounded up.
    pub fn airtime_ms(&self, data_rate: u8, len: usize, crc: bool) -> u64 {
        self.data_rate(data_rate).map_or(0, |rate| rate.airtime_us(len, crc)).div_ceil(1000)
    }

    /// Gives the RX1 data rate. Where the plan's is none of LoRa, the next lower one: the network is heard in
    /// RX2 then.
    pub fn rx1_data_rate(&self, uplink: u8, offset: u8, downlink_dwell: bool) -> u8 {
        let Rx1 { base, lowest, highest, .. } = self.rx1;
        let rate = uplink.saturating_add(base);
        let rate = match offset {
            0..=5 => rate.saturating_sub(offset),
            more => rate.saturating_add(more.saturating_sub(5)),
        };
        let lowest = if downlink_dwell { lowest.1 } else { lowest.0 };
        let rate = rate.clamp(lowest, highest.max(lowest));
        (lowest..=rate).rev().find(|&rate| self.data_rate(rate).is_some()).unwrap_or(lowest)
    }

    /// Tells whether the device may listen there.
    pub fn is_downlink_frequency(&self, frequency_hz: u32) -> bool {
        (self.range_hz.0..=self.range_hz.1).contains(&frequency_hz)
            && match &self.channels {
                ChannelPlan::Dynamic(dynamic) => dynamic.is_on_grid(self.range_hz.0, frequency_hz),
                ChannelPlan::Fixed(fixed) => fixed.downlink.holds(frequency_hz),
            }
    }

    /// Tells whether a channel may be defined there. The channels of fixed plans are not defined by anybody.
    pub fn is_uplink_frequency(&self, frequency_hz: u32) -> bool {
        matches!(self.channels, ChannelPlan::Dynamic(_))
            && self.is_downlink_frequency(frequency_hz)
            && (self.bands.is_empty() || self.band(frequency_hz).is_some())
    }

    /// Finds the duty-cycle band of a frequency.
    pub fn band(&self, frequency_hz: u32) -> Option<(usize, &'static Band)> {
        self.bands
            .iter()
            .enumerate()
            .find(|(_, band)| (band.range_hz.0..=band.range_hz.1).contains(&frequency_hz))
    }

    /// Gives the limit of the radiated power at a frequency, in dBm EIRP.
    pub fn eirp_limit_dbm(&self, frequency_hz: u32) -> i8 {
        match self.low_eirp {
            Some((below_hz, dbm)) if frequency_hz < below_hz => dbm.min(self.max_eirp_dbm),
            _ => self.max_eirp_dbm,
        }
    }
}
