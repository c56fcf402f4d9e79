//! LoRaWAN settings (guide, section 3.2.1).

use crate::channels::Channels;
use crate::field::{Error, Field, Reason, in_range};
use crate::region::{PlanKind, Region};
use crate::secret::Key;

/// How the device gets its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Activation {
    /// Joins over the air.
    Otaa = 0,
    /// Has its address and session keys set.
    Abp = 1,
}

/// The LoRaWAN version that the device keeps to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Version {
    /// LoRaWAN 1.0.2.
    V1_0_2 = 2,
    /// LoRaWAN 1.0.3.
    V1_0_3 = 3,
}

/// The LoRaWAN settings. The class is C, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoRaWan {
    /// The channel plan.
    pub region: Region,
    /// The JoinEUI, formerly AppEUI, first printed byte first.
    pub join_eui: [u8; 8],
    /// The port of all application data, 1 to 223.
    pub application_port: u8,
    /// OTAA or ABP.
    pub activation: Activation,
    /// The AppKey of OTAA.
    pub app_key: Key,
    /// The DevAddr of ABP.
    pub dev_addr: u32,
    /// The network session key of ABP.
    pub nwk_s_key: Key,
    /// The application session key of ABP.
    pub app_s_key: Key,
    /// The LoRaWAN version.
    pub version: Version,
    /// The data rate of RX2 and of device-to-device commands.
    pub rx2_data_rate: u8,
    /// The frequency of RX2 and of device-to-device commands, in hertz.
    pub rx2_frequency_hz: u32,
    /// The channels.
    pub channels: Channels,
    /// Whether one channel alone serves uplinks and join requests; `channels` must then hold exactly one.
    pub single_channel: bool,
    /// Whether application uplinks are confirmed.
    pub confirmed: bool,
    /// Whether the device checks its link and joins anew when nobody answers; of no effect with ABP.
    pub rejoin: bool,
    /// How many LinkCheckReq in a row go unanswered before it joins anew, 1 to 255.
    pub rejoin_packets: u8,
    /// Whether the network sets the data rate.
    pub adr: bool,
    /// The data rate with ADR off.
    pub data_rate: u8,
    /// The power to radiate, in dBm EIRP, 0 to the plan's limit.
    pub tx_power_dbm: i8,
}

impl LoRaWan {
    pub(crate) fn common(region: Region) -> Self {
        Self {
            region,
            join_eui: [0x24, 0xe1, 0x24, 0xc0, 0x00, 0x2a, 0x00, 0x01],
            application_port: 85,
            activation: Activation::Otaa,
            app_key: Key::DEFAULT,
            dev_addr: 0,
            nwk_s_key: Key::DEFAULT,
            app_s_key: Key::DEFAULT,
            version: Version::V1_0_3,
            rx2_data_rate: region.default_rx2_data_rate(),
            rx2_frequency_hz: region.default_rx2_hz(),
            channels: Channels::default_for(region),
            single_channel: false,
            confirmed: false,
            rejoin: true,
            rejoin_packets: 32,
            adr: true,
            data_rate: region.default_data_rate(),
            tx_power_dbm: region.max_eirp_dbm(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let region = self.region;
        // LoRaWAN 1.0.3, section 4.3.2: ports 1 to 223 are the application's.
        in_range(Field::ApplicationPort, self.application_port, 1, 223)?;
        let (first, last) = region.rx2_data_rates();
        in_range(Field::Rx2DataRate, self.rx2_data_rate, first, last)?;
        if !region.allows_rx2_hz(self.rx2_frequency_hz) {
            return Err(
                Field::Rx2FrequencyHz.breaks(Reason::OffPlan { frequency_hz: self.rx2_frequency_hz, region })
            );
        }
        in_range(Field::RejoinPackets, self.rejoin_packets, 1, u8::MAX)?;
        let (first, last) = region.uplink_data_rates();
        in_range(Field::DataRate, self.data_rate, first, last)?;
        in_range(Field::TxPowerDbm, self.tx_power_dbm, 0, region.max_eirp_dbm())?;
        self.validate_channels()
    }

    fn validate_channels(&self) -> Result<(), Error> {
        let (region, channels) = (self.region, &self.channels);
        for &frequency_hz in channels.frequency_hz.iter().filter(|&&hz| hz != 0) {
            if !region.allows_channel_hz(frequency_hz) {
                let reason = match region.kind() {
                    PlanKind::Dynamic => Reason::OffPlan { frequency_hz, region },
                    PlanKind::Fixed => Reason::FixedPlan { region },
                };
                return Err(Field::ChannelFrequencies.breaks(reason));
            }
        }
        if let Some(channel) = channels.enabled.iter().find(|&channel| channel >= region.channel_count()) {
            let first = region.first_channel_number();
            return in_range(
                Field::Channels,
                channel.saturating_add(first),
                first,
                region.channel_count().saturating_add(first).saturating_sub(1),
            );
        }
        let usable = channels.usable(region);
        if self.single_channel && usable.len() != 1 {
            return Err(Field::SingleChannel.breaks(Reason::NotOneChannel { count: usable.len() }));
        }
        // Null is a choice; any other list must leave something to send on.
        if usable.is_empty() && !channels.enabled.is_empty() {
            return Err(Field::Channels.breaks(Reason::NothingToSendOn));
        }
        let carries = |channel| {
            let (first, last) = region.channel_data_rates(channel);
            (first..=last).contains(&self.data_rate)
        };
        if !self.adr && !usable.is_empty() && !usable.iter().any(carries) {
            return Err(Field::DataRate.breaks(Reason::NoChannelForDataRate { data_rate: self.data_rate }));
        }
        Ok(())
    }
}
