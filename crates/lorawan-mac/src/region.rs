//! Channel plans: one table a region, no code a region.
//!
//! The engine of the dynamic plans is [`crate::channels`].

mod eu868;

use lora_modulation::{Bandwidth, BaseBandModulationParams, CodingRate, SpreadingFactor};

use crate::config::{Region, Rx2};

/// A channel plan.
#[derive(Debug)]
pub struct Plan {
    /// Distinguishes plans in stored records.
    pub id: u8,
    /// By data rate index; `None` where this device cannot send and receive at it (FSK, LR-FHSS, RFU).
    pub data_rates: &'static [Option<DataRate>],
    /// RX1 data rate by uplink data rate and RX1DROffset.
    pub rx1_data_rates: &'static [&'static [u8]],
    /// RX2 unless something else is set.
    pub rx2: Rx2,
    /// Lowest and highest frequency in Hz.
    pub range_hz: (u32, u32),
    /// Uplink channels that a device starts with, and joins on.
    pub default_channels_hz: &'static [u32],
    /// Lowest and highest data rate of the default channels, of CFList channels and of join requests.
    pub default_data_rates: (u8, u8),
    /// Highest radiated power in dBm EIRP.
    pub max_eirp_dbm: i8,
    /// Highest TXPower index; each is 2 dB below the one before.
    pub max_power_index: u8,
    /// Duty-cycle bands; where there are any, uplinks are allowed only inside them.
    pub bands: &'static [Band],
}

/// A data rate of LoRa modulation.
#[derive(Clone, Copy, Debug)]
pub struct DataRate {
    /// Spreading factor.
    pub sf: SpreadingFactor,
    /// Bandwidth.
    pub bw: Bandwidth,
    /// M: the longest MACPayload, in bytes.
    pub max_mac_payload: u8,
}

/// Frequencies that share a duty cycle.
#[derive(Clone, Copy, Debug)]
pub struct Band {
    /// Lowest and highest frequency in Hz.
    pub range_hz: (u32, u32),
    /// Allowed time on air in 1/1000.
    pub duty_cycle_permille: u16,
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
            Region::Eu868 => &eu868::PLAN,
        }
    }

    /// Looks a data rate up.
    pub fn data_rate(&self, index: u8) -> Option<&'static DataRate> {
        self.data_rates.get(usize::from(index))?.as_ref()
    }

    /// Gives the longest MACPayload at a data rate, in bytes; 0 where there is no such rate.
    pub fn max_mac_payload(&self, data_rate: u8) -> usize {
        self.data_rate(data_rate).map_or(0, |rate| usize::from(rate.max_mac_payload))
    }

    /// Works out a time on air in ms, rounded up.
    pub fn airtime_ms(&self, data_rate: u8, len: usize, crc: bool) -> u64 {
        self.data_rate(data_rate).map_or(0, |rate| rate.airtime_us(len, crc)).div_ceil(1000)
    }

    /// Gives the RX1 data rate.
    pub fn rx1_data_rate(&self, uplink: u8, offset: u8) -> Option<u8> {
        self.rx1_data_rates.get(usize::from(uplink))?.get(usize::from(offset)).copied()
    }

    /// Gives the highest RX1DROffset.
    pub fn max_rx1_offset(&self) -> u8 {
        self.rx1_data_rates.first().map_or(0, |row| u8::try_from(row.len()).unwrap_or(0)).saturating_sub(1)
    }

    /// Tells whether the device may listen there.
    pub fn is_downlink_frequency(&self, frequency_hz: u32) -> bool {
        (self.range_hz.0..=self.range_hz.1).contains(&frequency_hz)
    }

    /// Tells whether the device may send there.
    pub fn is_uplink_frequency(&self, frequency_hz: u32) -> bool {
        self.is_downlink_frequency(frequency_hz)
            && (self.bands.is_empty() || self.band(frequency_hz).is_some())
    }

    /// Finds the duty-cycle band of a frequency.
    pub fn band(&self, frequency_hz: u32) -> Option<(usize, &'static Band)> {
        self.bands
            .iter()
            .enumerate()
            .find(|(_, band)| (band.range_hz.0..=band.range_hz.1).contains(&frequency_hz))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values: facts of the public air-time calculators, as quoted in lora-modulation's own tests.
    #[test]
    fn air_time_agrees_with_published_figures() {
        let plan = Plan::of(Region::Eu868);
        for (data_rate, len, expected_us) in [
            (6, 38, 41_088),
            (5, 38, 82_176),
            (4, 38, 143_872),
            (3, 38, 267_264),
            (2, 38, 493_568),
            (1, 38, 1_069_056),
            (0, 38, 1_974_272),
            (4, 39, 154_112),
        ] {
            let rate = plan.data_rate(data_rate).unwrap();
            assert_eq!(rate.airtime_us(len, true), expected_us, "DR{data_rate}, {len} bytes");
        }
    }

    #[test]
    fn air_time_agrees_with_lora_modulation_for_every_length() {
        let plan = Plan::of(Region::Eu868);
        for rate in plan.data_rates.iter().flatten() {
            for len in 12..=255u8 {
                let theirs = rate.modulation().time_on_air_us(Some(8), true, len);
                assert_eq!(rate.airtime_us(usize::from(len), true), u64::from(theirs));
            }
        }
    }

    #[test]
    fn a_plan_is_consistent_in_itself() {
        let plan = Plan::of(Region::Eu868);
        assert!(plan.data_rate(plan.rx2.data_rate).is_some());
        assert!(plan.is_downlink_frequency(plan.rx2.frequency_hz));
        assert_eq!(plan.max_rx1_offset(), 5);
        for (uplink, row) in plan.rx1_data_rates.iter().enumerate() {
            assert_eq!(row.len(), 6);
            assert!(row.iter().all(|&rx1| plan.data_rate(rx1).is_some()), "RX1 of DR{uplink}");
        }
        for &frequency_hz in plan.default_channels_hz {
            assert!(plan.is_uplink_frequency(frequency_hz));
        }
    }
}
