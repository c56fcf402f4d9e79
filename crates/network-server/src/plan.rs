//! The twelve channel plans, as `lrwn` knows them.
//!
//! What `lrwn` does not say (the band's limits, ChMaskCntl 5 and 6) is added here. `tests/plans.rs` holds every
//! figure against a second source.

use std::ops::RangeInclusive;

use lrwn::region::{CommonName, DataRateModulation, LoraDataRate, MacVersion, Region as LrwnPlan, Revision};
use lrwn::{CFList, LinkADRReqPayload};

use crate::heard::MacRequest;

/// A channel plan of LoRaWAN's regional parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Region {
    /// EU863-870.
    #[default]
    Eu868,
    /// US902-928.
    Us915,
    /// AU915-928.
    Au915,
    /// AS923, group 1.
    As923_1,
    /// AS923, group 2.
    As923_2,
    /// AS923, group 3.
    As923_3,
    /// AS923, group 4.
    As923_4,
    /// KR920-923.
    Kr920,
    /// IN865-867.
    In865,
    /// RU864-870.
    Ru864,
    /// EU433.
    Eu433,
    /// CN470-510 with 96 channels (regional parameters 1.0.2 and 1.0.3).
    Cn470,
}

impl Region {
    /// All plans.
    pub const ALL: [Self; 12] = [
        Self::Eu868,
        Self::Us915,
        Self::Au915,
        Self::As923_1,
        Self::As923_2,
        Self::As923_3,
        Self::As923_4,
        Self::Kr920,
        Self::In865,
        Self::Ru864,
        Self::Eu433,
        Self::Cn470,
    ];

    /// Tells the usual name, such as `AS923-2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eu868 => "EU868",
            Self::Us915 => "US915",
            Self::Au915 => "AU915",
            Self::As923_1 => "AS923-1",
            Self::As923_2 => "AS923-2",
            Self::As923_3 => "AS923-3",
            Self::As923_4 => "AS923-4",
            Self::Kr920 => "KR920",
            Self::In865 => "IN865",
            Self::Ru864 => "RU864",
            Self::Eu433 => "EU433",
            Self::Cn470 => "CN470",
        }
    }

    /// Finds a plan by its usual name; `AS923` is group 1.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if name == "AS923" { "AS923-1" } else { name };
        Self::ALL.into_iter().find(|region| region.name() == name)
    }

    /// Tells the frequencies of the band, in Hz.
    ///
    /// Source: the limits which LoRaMac-node and SWL2001 check; RP002-1.0.4 for the groups of AS923.
    #[must_use]
    pub const fn band_hz(self) -> RangeInclusive<u32> {
        match self {
            Self::Eu868 => 863_000_000..=870_000_000,
            Self::Us915 => 902_000_000..=928_000_000,
            Self::Au915 | Self::As923_1 => 915_000_000..=928_000_000,
            Self::As923_2 => 920_000_000..=923_000_000,
            Self::As923_3 => 915_000_000..=921_000_000,
            Self::As923_4 => 917_000_000..=920_000_000,
            Self::Kr920 => 920_900_000..=923_300_000,
            Self::In865 => 865_000_000..=867_000_000,
            Self::Ru864 => 864_000_000..=870_000_000,
            Self::Eu433 => 433_175_000..=434_665_000,
            Self::Cn470 => 470_000_000..=510_000_000,
        }
    }

    const fn lrwn_name(self) -> CommonName {
        match self {
            Self::Eu868 => CommonName::EU868,
            Self::Us915 => CommonName::US915,
            Self::Au915 => CommonName::AU915,
            Self::As923_1 => CommonName::AS923,
            Self::As923_2 => CommonName::AS923_2,
            Self::As923_3 => CommonName::AS923_3,
            Self::As923_4 => CommonName::AS923_4,
            Self::Kr920 => CommonName::KR920,
            Self::In865 => CommonName::IN865,
            Self::Ru864 => CommonName::RU864,
            Self::Eu433 => CommonName::EU433,
            Self::Cn470 => CommonName::CN470,
        }
    }
}

/// Spreading factor and bandwidth in Hz.
pub type Rate = (u8, u32);

/// An uplink channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Frequency in Hz.
    pub freq_hz: u32,
    /// Lowest data rate.
    pub min_dr: u8,
    /// Highest data rate.
    pub max_dr: u8,
}

/// A plan with the channels of one network: defaults, further ones, and which of all are in use.
pub struct Plan {
    region: Region,
    lrwn: Box<dyn LrwnPlan + Sync + Send>,
    up: [Option<Rate>; 16],
    down: [Option<Rate>; 16],
    /// The longest downlink payload with empty FOpts, in bytes, by data rate.
    max_payload: [usize; 16],
    /// The plan with the dwell time on, where TXParamSetupReq can ask for it.
    with_dwell: Option<Box<Self>>,
    channels: Vec<Channel>,
    first_extra: usize,
    enabled: u128,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan")
            .field("region", &self.region)
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}

impl Plan {
    /// Makes a region's plan with further channels in Hz (dynamic plans only: others ignore them), all in use
    /// unless `enabled` names those that are.
    #[must_use]
    pub fn new(region: Region, extra_channels_hz: &[u32], enabled: &[u8]) -> Self {
        let build = |dwell| Self::build(region, dwell, extra_channels_hz, enabled);
        let plan = build(false);
        Self { with_dwell: plan.has_tx_param_setup().then(|| Box::new(build(true))), ..plan }
    }

    fn build(region: Region, dwell: bool, extra_channels_hz: &[u32], enabled: &[u8]) -> Self {
        // No repeater.
        let mut lrwn = lrwn::region::get(region.lrwn_name(), false, dwell);
        let first_extra = lrwn.get_uplink_channel_indices().len();
        for freq_hz in extra_channels_hz {
            // The further channels of a join-accept have DR0 to DR5 (LoRaWAN Regional Parameters, all regions).
            let _ignored_in_a_fixed_plan = lrwn.add_channel(*freq_hz, 0, 5);
        }
        let indices = lrwn.get_uplink_channel_indices();
        let channels: Vec<Channel> = indices
            .iter()
            .filter_map(|index| lrwn.get_uplink_channel(*index).ok())
            .map(|channel| Channel {
                freq_hz: channel.frequency,
                min_dr: channel.min_dr,
                // US915's and AU915's 500 kHz channels have LR-FHSS data rates too, which are not spoken here.
                max_dr: (channel.min_dr..=channel.max_dr)
                    .rfind(|dr| lora(lrwn.as_ref(), *dr).is_some())
                    .unwrap_or(channel.min_dr),
            })
            .collect();
        for index in indices {
            if !enabled.is_empty() && !enabled.iter().any(|on| usize::from(*on) == index) {
                let _there = lrwn.disable_uplink_channel_index(index);
            }
        }
        let rate = |uplink: bool, dr: u8| {
            // The plan of 96 channels has no DR6 (LoRaWAN Regional Parameters 1.0.3rA §2.7.3); lrwn adds a later one.
            let rate = lora(lrwn.as_ref(), dr).filter(|_| region != Region::Cn470 || dr <= 5)?;
            // The same modulation may be one data rate up and another down.
            (lrwn.get_data_rate_index(uplink, &modulation(rate)).ok()? == dr).then_some(rate)
        };
        let max_payload = |dr: u8| {
            let size = lrwn.get_max_payload_size(MacVersion::LORAWAN_1_0_3, Revision::A, dr);
            size.map(|size| size.n).unwrap_or_default()
        };
        Self {
            up: std::array::from_fn(|dr| rate(true, dr as u8)),
            down: std::array::from_fn(|dr| rate(false, dr as u8)),
            max_payload: std::array::from_fn(|dr| max_payload(dr as u8)),
            with_dwell: None,
            enabled: bits(lrwn.get_enabled_uplink_channel_indices()),
            region,
            lrwn,
            channels,
            first_extra,
        }
    }

    /// Tells the region.
    #[must_use]
    pub fn region(&self) -> Region {
        self.region
    }

    /// Tells whether the channels are fixed by the plan and switched by masks only.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        matches!(self.region, Region::Us915 | Region::Au915 | Region::Cn470)
    }

    /// Tells whether devices know TXParamSetupReq.
    #[must_use]
    pub fn has_tx_param_setup(&self) -> bool {
        self.lrwn.implements_tx_param_setup(MacVersion::LORAWAN_1_0_3)
    }

    /// Gives the plan for a device whose DownlinkDwellTime is on (400 ms) or off.
    #[must_use]
    pub fn under_dwell(&self, dwell: bool) -> &Self {
        self.with_dwell.as_deref().filter(|_| dwell).unwrap_or(self)
    }

    /// Tells the uplink channels by index, those of [`new`](Self::new) after the defaults.
    #[must_use]
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Tells the channels in use, a bit each; bit 0 is channel 0.
    #[must_use]
    pub fn enabled_channels(&self) -> u128 {
        self.enabled
    }

    /// Tells the channels that a device has of itself, a bit each.
    #[must_use]
    pub fn default_channels(&self) -> u128 {
        bits(0..self.first_extra)
    }

    /// Tells the channel in use on a frequency that carries a data rate.
    #[must_use]
    pub fn channel_of(&self, freq_hz: u32, dr: u8) -> Option<usize> {
        self.channels
            .iter()
            .position(|channel| channel.freq_hz == freq_hz && (channel.min_dr..=channel.max_dr).contains(&dr))
    }

    /// Tells the LoRa modulation of a downlink data rate.
    #[must_use]
    pub fn downlink_rate(&self, dr: u8) -> Option<Rate> {
        *self.down.get(usize::from(dr))?
    }

    /// Tells the LoRa modulation of an uplink data rate.
    #[must_use]
    pub fn uplink_rate(&self, dr: u8) -> Option<Rate> {
        *self.up.get(usize::from(dr))?
    }

    /// Finds the uplink data rate of a LoRa modulation.
    #[must_use]
    pub fn uplink_data_rate(&self, sf: u8, bw_hz: u32) -> Option<u8> {
        (0u8..).zip(self.up).find(|(_, rate)| *rate == Some((sf, bw_hz))).map(|(dr, _)| dr)
    }

    /// Tells the most bytes that a downlink's payload and FOpts have together at a data rate.
    #[must_use]
    pub fn max_payload(&self, dr: u8) -> usize {
        self.max_payload.get(usize::from(dr)).copied().unwrap_or_default()
    }

    /// Tells the longest payload of any downlink data rate, in bytes.
    #[must_use]
    pub fn longest_payload(&self) -> usize {
        (0..16)
            .filter(|dr| self.downlink_rate(*dr).is_some())
            .map(|dr| self.max_payload(dr))
            .max()
            .unwrap_or_default()
    }

    /// Tells frequency in Hz and data rate of RX1; `None` where the plan has none, or one that is not LoRa.
    #[must_use]
    pub fn rx1(&self, uplink_hz: u32, uplink_dr: u8, offset: u8) -> Option<(u32, u8)> {
        let freq_hz = self.lrwn.get_rx1_frequency_for_uplink_frequency(uplink_hz).ok()?;
        let dr = self.lrwn.get_rx1_data_rate_index(uplink_dr, usize::from(offset)).ok()?;
        self.downlink_rate(dr)?;
        Some((freq_hz, dr))
    }

    /// Tells the highest RX1 data rate offset.
    #[must_use]
    pub fn max_rx1_dr_offset(&self) -> u8 {
        // Source: LoRaWAN Regional Parameters 1.0.3rA, the RX1DROffset tables of each region.
        match self.region {
            Region::Us915 => 3,
            Region::As923_1 | Region::As923_2 | Region::As923_3 | Region::As923_4 | Region::In865 => 7,
            _ => 5,
        }
    }

    /// Tells frequency in Hz and data rate of RX2 by default.
    #[must_use]
    pub fn rx2(&self) -> (u32, u8) {
        let defaults = self.lrwn.get_defaults();
        (defaults.rx2_frequency, defaults.rx2_dr)
    }

    /// Tells the power of a downlink on a frequency, in dBm EIRP.
    #[must_use]
    pub fn downlink_power_dbm(&self, freq_hz: u32) -> i8 {
        i8::try_from(self.lrwn.get_downlink_tx_power_eirp(freq_hz)).unwrap_or_default()
    }

    /// Tells the highest index of LinkADRReq's TXPower.
    #[must_use]
    pub fn max_tx_power(&self) -> u8 {
        (0..15)
            .take_while(|index| self.lrwn.get_tx_power_offset(usize::from(*index)).is_ok())
            .last()
            .unwrap_or_default()
    }

    /// Makes the CFList of a join-accept: the further channels, or in a fixed plan the channels in use, if
    /// those are not all. The 96 channels of CN470 have none.
    pub(crate) fn cf_list(&self) -> Option<CFList> {
        let has_news = if self.is_fixed() {
            self.region != Region::Cn470 && self.enabled != self.default_channels()
        } else {
            self.channels.len() > self.first_extra
        };
        has_news.then(|| self.lrwn.get_cf_list(MacVersion::LORAWAN_1_0_3)).flatten()
    }

    /// Makes the LinkADRReq that bring a device from its channels to those in use; empty if it has them.
    pub(crate) fn channel_requests(&self, device_has: u128) -> Vec<LinkADRReqPayload> {
        let has: Vec<usize> = (0..self.channels.len()).filter(|index| device_has >> index & 1 == 1).collect();
        self.lrwn.get_link_adr_req_payloads_for_enabled_uplink_channel_indices(&has)
    }

    /// Tells the channels of a device after a block of LinkADRReq; `None` for one that it must refuse. `defined`
    /// are the channels that a device of a dynamic plan has at all.
    #[must_use]
    pub fn after_link_adr(&self, has: u128, defined: u128, block: &[MacRequest]) -> Option<u128> {
        let next = block.iter().try_fold(has, |has, request| self.mask_after(has, defined, request))?;
        let exists = if self.is_fixed() { self.default_channels() } else { defined };
        (next != 0 && next & !exists == 0).then_some(next)
    }

    /// Applies one LinkADRReq of a block, amid which no channel may be left; `None` for a reserved ChMaskCntl.
    ///
    /// Source: LoRaWAN Regional Parameters 1.0.3rA, tables of ChMaskCntl.
    pub(crate) fn mask_after(&self, has: u128, defined: u128, request: &MacRequest) -> Option<u128> {
        let MacRequest::LinkAdr { channel_mask, ch_mask_cntl: cntl, .. } = *request else { return None };
        let mask = u128::from(channel_mask);
        let block = |index: u8, bits: u128| has & !(0xFFFF << (16 * index)) | bits << (16 * index);
        let (all_125_khz, high) = (u128::from(u64::MAX), (mask & 0xFF) << 64);
        Some(match (self.region, cntl) {
            (Region::Us915 | Region::Au915, 0..=3) | (Region::Cn470, 0..=5) => block(cntl, mask),
            (Region::Us915 | Region::Au915, 4) => has & all_125_khz | high,
            // Each bit is a bank of eight 125 kHz channels and the 500 kHz channel of the same number.
            (Region::Us915 | Region::Au915, 5) => {
                let banks = (0..8).filter(|bank| mask >> bank & 1 == 1);
                high | banks.fold(0, |channels, bank| channels | 0xFF << (8 * bank))
            }
            (Region::Us915 | Region::Au915, 6) => all_125_khz | high,
            (Region::Us915 | Region::Au915, 7) => high,
            (Region::Cn470, 6) => self.default_channels(),
            (Region::Us915 | Region::Au915 | Region::Cn470, _) => return None,
            (_, 0) => mask,
            (_, 6) => defined,
            _ => return None,
        })
    }
}

fn lora(lrwn: &(dyn LrwnPlan + Sync + Send), dr: u8) -> Option<Rate> {
    match lrwn.get_data_rate(dr).ok()? {
        DataRateModulation::Lora(rate) => Some((rate.spreading_factor, rate.bandwidth)),
        _ => None,
    }
}

fn modulation((spreading_factor, bandwidth): Rate) -> DataRateModulation {
    DataRateModulation::Lora(LoraDataRate { spreading_factor, bandwidth, coding_rate: "4/5".into() })
}

/// Makes a mask of channel numbers, 0..127.
pub(crate) fn bits(indices: impl IntoIterator<Item = usize>) -> u128 {
    indices.into_iter().filter(|index| *index < 128).fold(0, |bits, index| bits | 1 << index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link_adr(request: &LinkADRReqPayload) -> MacRequest {
        MacRequest::LinkAdr {
            data_rate: request.dr,
            tx_power: request.tx_power,
            channel_mask: u16::from_le_bytes(request.ch_mask.to_bytes()),
            ch_mask_cntl: request.redundancy.ch_mask_cntl,
            nb_trans: request.redundancy.nb_rep,
        }
    }

    /// The plans with those ChMaskCntl that lrwn knows, and does not read as further blocks of 16.
    fn read_by_lrwn() -> Vec<(Region, u8)> {
        let known = |region: &Region, cntl: u8| match region {
            Region::Us915 | Region::Au915 => cntl != 5,
            Region::Cn470 => cntl < 6,
            _ => cntl == 0,
        };
        let all = Region::ALL.into_iter().flat_map(|region| (0..8).map(move |cntl| (region, cntl)));
        all.filter(|(region, cntl)| known(region, *cntl)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_requests_bring_any_device_to_the_channels_of_the_network(
            region in proptest::sample::select(&Region::ALL[..]),
            wanted in proptest::collection::vec(0..96u8, 1..20), has in any::<u128>(),
        ) {
            let count = Plan::new(region, &[], &[]).channels().len() as u8;
            let wanted: Vec<u8> = wanted.into_iter().map(|channel| channel % count).collect();
            let plan = Plan::new(region, &[], &wanted);
            let all = plan.default_channels();
            let has = if has & all == 0 { all } else { has & all };
            let block: Vec<_> = plan.channel_requests(has).iter().map(link_adr).collect();
            let then = if block.is_empty() { Some(has) } else { plan.after_link_adr(has, all, &block) };
            prop_assert_eq!(then, Some(plan.enabled_channels()));
            prop_assert_eq!(plan.enabled_channels(), bits(wanted.iter().map(|channel| usize::from(*channel))));
        }

        #[test]
        fn masks_are_read_as_lrwn_reads_them(
            (region, cntl) in proptest::sample::select(read_by_lrwn()), has in any::<u128>(), mask in any::<u16>(),
        ) {
            let plan = Plan::new(region, &[], &[]);
            let has = has & plan.default_channels();
            let request = LinkADRReqPayload {
                dr: 0,
                tx_power: 0,
                ch_mask: lrwn::ChMask::from_bytes(mask.to_le_bytes()),
                redundancy: lrwn::Redundancy { ch_mask_cntl: cntl, nb_rep: 1 },
            };
            let list: Vec<usize> = (0..96).filter(|channel| has >> channel & 1 == 1).collect();
            let theirs = plan.lrwn.get_enabled_uplink_channel_indices_for_link_adr_payloads(&list, std::slice::from_ref(&request));
            let ours = plan.mask_after(has, plan.default_channels(), &link_adr(&request)).expect("known");
            match theirs {
                Ok(theirs) => prop_assert_eq!(ours, bits(theirs)),
                // Bits of channels 72 to 79: lrwn minds them, they are reserved (and ignored) in 72-channel plans.
                Err(_) => prop_assert!(cntl == 4 || ours & !plan.default_channels() != 0),
            }
        }
    }
}
