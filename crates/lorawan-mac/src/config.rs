//! What the device is told before it starts.

use core::fmt;

/// A 128-bit AES key. `Debug` prints `…`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Names a regional channel plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// EU863-870 (RP002, section EU863-870).
    Eu868,
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
    /// Uplink frequencies in Hz in place of the region's default channels, by channel index; 0 = unused.
    pub channels_hz: Option<[u32; 16]>,
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
            adr: true,
            data_rate: 0,
            tx_power_dbm: 16,
            confirmed_tries: 2,
            rx2: None,
            channels_hz: None,
        }
    }
}
