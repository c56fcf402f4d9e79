//! What the device is told before it starts.

use core::fmt;

use crate::region::Plan;

/// A 128-bit AES key. `Debug` prints `…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Names a regional channel plan (LoRaWAN Regional Parameters 1.0.3; groups 2 to 4 of AS923, RP002).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// EU863-870.
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
    /// CN470-510, the plan of 96 channels.
    Cn470,
}

impl Region {
    /// Every plan.
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
}

/// How the device gets its session. EUIs are given as printed, most significant byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Over the air, by a join procedure.
    Otaa {
        /// The device's EUI-64, most significant byte first.
        dev_eui: [u8; 8],
        /// The JoinEUI (AppEUI), most significant byte first.
        join_eui: [u8; 8],
        /// The AppKey.
        app_key: Key,
    },
    /// By personalisation: the session is part of the settings.
    Abp {
        /// The DevAddr, as the number that is printed.
        dev_addr: u32,
        /// The NwkSKey.
        nwk_skey: Key,
        /// The AppSKey.
        app_skey: Key,
    },
}

/// Parameters of the second receive window, and of RXC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rx2 {
    /// Frequency in Hz.
    pub frequency_hz: u32,
    /// Data rate index of the region.
    pub data_rate: u8,
}

/// The settings of a [`Mac`](crate::Mac).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The channel plan.
    pub region: Region,
    /// How the session comes about.
    pub activation: Activation,
    /// Listens on RXC whenever nothing else is to be done (Class C).
    pub class_c: bool,
    /// Opens RXC, on [`rx2`](Self::rx2), also while there is no session: for frames of the type Proprietary.
    pub rxc_without_session: bool,
    /// Lets the network choose data rate and power.
    pub adr: bool,
    /// Data rate of uplinks while ADR is off.
    pub data_rate: u8,
    /// Highest radiated power in dBm EIRP; the region's limit applies on top.
    pub tx_power_dbm: i8,
    /// Transmissions of one confirmed uplink at most, 1..=15.
    pub confirmed_tries: u8,
    /// RX2 and RXC in place of the region's, until the network changes them.
    pub rx2: Option<Rx2>,
    /// Uplink frequencies in Hz in place of the region's default channels, by channel index; 0 = unused. For
    /// dynamic plans.
    pub channels_hz: Option<[u32; 16]>,
    /// The channels to begin with, in place of all: bit n of the row of words for channel n. For fixed plans.
    pub channel_mask: Option<[u32; 3]>,
    /// Keeps to the channels that the settings give, whatever the network says: a join-accept adds none, and a command
    /// that would change them is refused.
    pub fixed_channels: bool,
    /// Multicast groups, in Class C.
    pub multicast: [Option<MulticastGroup>; MULTICAST_GROUPS],
    /// Joins anew when the network is silent; with OTAA.
    pub rejoin: Option<Rejoin>,
    /// Takes a join-accept only if its JoinNonce is above the last one (TS001-1.0.4). Else only the very same is
    /// refused: the networks of 1.0.x may draw it at random.
    pub join_nonce_counts: bool,
    /// Obeys the tester on FPort 224.
    #[cfg(feature = "certification")]
    pub certification: bool,
    /// Told to the tester.
    #[cfg(feature = "certification")]
    pub firmware_version: [u8; 4],
}

/// How the device finds out that the network hears it no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejoin {
    /// A LinkCheckReq is sent so often, in s.
    pub interval_s: u32,
    /// After so many in a row without an answer, 10 s to 30 s apart, it joins anew; the session stays usable until a
    /// join-accept comes.
    pub packets: u8,
}

/// Multicast groups of a device.
pub const MULTICAST_GROUPS: usize = 4;

/// A multicast group: its address and keys, and the frame counters that it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The address, unlike that of the device and of the other groups.
    pub dev_addr: u32,
    /// McNetSKey.
    pub nwk_skey: Key,
    /// McAppSKey.
    pub app_skey: Key,
    /// Lowest FCntDown.
    pub min_fcnt: u32,
    /// Highest FCntDown.
    pub max_fcnt: u32,
}

impl Config {
    /// Gives the settings of a Class C device with everything else as the region has it: ADR on, two
    /// transmissions of a confirmed uplink.
    #[must_use]
    pub fn new(region: Region, activation: Activation) -> Self {
        Self {
            region,
            activation,
            class_c: true,
            rxc_without_session: false,
            adr: true,
            data_rate: 0,
            tx_power_dbm: Plan::of(region).max_eirp_dbm,
            confirmed_tries: 2,
            rx2: None,
            channels_hz: None,
            channel_mask: None,
            fixed_channels: false,
            multicast: [None; MULTICAST_GROUPS],
            rejoin: None,
            join_nonce_counts: false,
            #[cfg(feature = "certification")]
            certification: true,
            #[cfg(feature = "certification")]
            firmware_version: [0; 4],
        }
    }
}
