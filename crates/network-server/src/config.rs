//! What a network is set to, and what goes in and out of the server.

use crate::adr::Adr;
use crate::plan::{Plan, Region};

/// A receive window of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// RX1: the uplink's channel, at the RX1 delay.
    Rx1,
    /// RX2: its own channel and data rate, one second later.
    Rx2,
    /// RXC: the parameters of RX2, at any time.
    Rxc,
}

/// The settings of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The channel plan.
    pub region: Region,
    /// The NetID, most significant byte first.
    pub net_id: [u8; 3],
    /// RX1 delay told in the join-accept, in seconds, 1..15.
    pub rx1_delay_s: u8,
    /// RX1 data rate offset told in the join-accept, 0 to the plan's most (EU868: 5).
    pub rx1_dr_offset: u8,
    /// RX2 data rate told in the join-accept, one that the plan has for downlinks (EU868: 0..6).
    pub rx2_dr: u8,
    /// RX2 frequency in Hz. A join-accept cannot carry it: a value other than the region's must be set in the
    /// device too, or with RXParamSetupReq.
    pub rx2_freq_hz: u32,
    /// Further channels, in Hz, of a dynamic plan; empty for none, five at most.
    pub extra_channels_hz: Vec<u32>,
    /// The channels that the network listens to, by index, the further ones after the defaults; empty for all.
    /// A device that uses others is told with LinkADRReq, a joining one of a fixed plan with the CFList.
    pub enabled_channels: Vec<u8>,
    /// Whether join-accepts carry the CFList, if there is something to say: the further channels, or the mask
    /// of a fixed plan (not in CN470).
    pub send_cf_list: bool,
    /// How data rate and power of devices are set; `None` leaves them alone.
    pub adr: Option<Adr>,
    /// The window that answers go out in. Data of the application follows the same rule.
    pub answer_in: Window,
    /// Transmissions of one confirmed downlink at most, the first included.
    pub confirmed_tries: u8,
    /// How long the ACK of a confirmed downlink is waited for, in milliseconds after its end.
    /// LoRaWAN gives a Class C device 8 s (CLASS_C_RESP_TIMEOUT).
    pub ack_timeout_ms: u32,
    /// The pause after a frame before the next Class C frame to the same device, in milliseconds: while a device
    /// answers a command it hears nothing. ChirpStack leaves 5 s (`class_c_lock_duration`), The Things Stack
    /// 1 s (`networkInitiatedDownlinkInterval`).
    pub class_c_pause_ms: u32,
    /// Seconds since the GPS epoch (6 January 1980) at instant 0.
    pub gps_time_at_start_s: u32,
    /// Frames kept for replay, sent and heard each (see [`crate::forge`]).
    pub record_frames: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self::for_region(Region::default())
    }
}

impl Config {
    /// Makes the settings of a network with the region's own RX2, and nothing out of the ordinary.
    #[must_use]
    pub fn for_region(region: Region) -> Self {
        let (rx2_freq_hz, rx2_dr) = Plan::new(region, &[], &[]).rx2();
        Self {
            region,
            net_id: [0, 0, 0],
            rx1_delay_s: 1,
            rx1_dr_offset: 0,
            rx2_dr,
            rx2_freq_hz,
            extra_channels_hz: Vec::new(),
            enabled_channels: Vec::new(),
            send_cf_list: true,
            adr: None,
            answer_in: Window::Rx1,
            confirmed_tries: 3,
            ack_timeout_ms: 10_000,
            class_c_pause_ms: 5_000,
            // 1 January 2026: 46 years and 12 leap days after the epoch, less the 5 days of January 1980,
            // and 18 leap seconds.
            gps_time_at_start_s: 1_451_260_818,
            record_frames: 64,
        }
    }
}

/// How an uplink was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UplinkMeta {
    /// Frequency in Hz.
    pub freq_hz: u32,
    /// Spreading factor, 7..12.
    pub sf: u8,
    /// Bandwidth in Hz.
    pub bw_hz: u32,
    /// Signal strength in dBm.
    pub rssi_dbm: i16,
    /// Signal to noise ratio in dB.
    pub snr_db: i8,
}

impl UplinkMeta {
    /// Tells the data rate in EU868 and the plans with the same ones (RU864, EU433, AS923, and but for DR6
    /// KR920, IN865 and CN470). [`NetworkServer::data_rate`](crate::NetworkServer::data_rate) knows its region.
    ///
    /// Source: LoRaWAN Regional Parameters 1.0.3rA §2.2.3.
    #[must_use]
    pub fn data_rate(&self) -> Option<u8> {
        match (self.sf, self.bw_hz) {
            (sf @ 7..=12, 125_000) => Some(12 - sf),
            (7, 250_000) => Some(6),
            _ => None,
        }
    }
}

/// Application data for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downlink {
    /// The application port, 1..223.
    pub port: u8,
    /// The payload, not enciphered, 0..242 bytes.
    pub payload: Vec<u8>,
    /// Whether an ACK is asked for.
    pub confirmed: bool,
}

/// Application data that was given up: its turn came at a data rate that does not carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The device it was for.
    pub dev_eui: [u8; 8],
    /// The data.
    pub downlink: Downlink,
    /// The downlink data rate.
    pub data_rate: u8,
    /// The longest payload at that data rate, in bytes.
    pub max: usize,
}

/// A frame for the gateway to put on the air, with inverted IQ, at exactly its instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// Which gateway sends it; 0 is the first.
    pub gateway: usize,
    /// The instant at which the preamble begins, in microseconds.
    pub at_us: u64,
    /// Frequency in Hz.
    pub freq_hz: u32,
    /// Spreading factor, 7..12.
    pub sf: u8,
    /// Bandwidth in Hz.
    pub bw_hz: u32,
    /// Power in dBm EIRP.
    pub power_dbm: i8,
    /// The PHYPayload.
    pub phy: Vec<u8>,
    /// What it is.
    pub kind: Kind,
}

/// What a transmission carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A join-accept.
    JoinAccept {
        /// The device that is let in.
        dev_eui: [u8; 8],
        /// Its new address.
        dev_addr: u32,
    },
    /// A data frame for one device.
    Unicast {
        /// The device.
        dev_eui: [u8; 8],
        /// The window it is meant for.
        window: Window,
        /// The port, unless the frame has none.
        port: Option<u8>,
        /// The payload, not enciphered.
        payload: Vec<u8>,
        /// FCntDown, 32 bits.
        fcnt: u32,
        /// Whether an ACK is asked for.
        confirmed: bool,
        /// Whether it acknowledges an uplink.
        ack: bool,
        /// Whether this is a confirmed frame sent again.
        repeat: bool,
    },
    /// A data frame for a group.
    Multicast {
        /// The group's address.
        dev_addr: u32,
        /// The port.
        port: u8,
        /// The payload, not enciphered.
        payload: Vec<u8>,
        /// The group's FCntDown, 32 bits.
        fcnt: u32,
    },
    /// Bytes given by [`NetworkServer::inject`](crate::NetworkServer::inject).
    Injected,
}
