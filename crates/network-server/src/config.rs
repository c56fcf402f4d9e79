//! What a network is set to, and what goes in and out of the server.

/// The region's figures which the server needs. EU868 for now; a plan is data, and more come with theirs.
///
/// Source: LoRaWAN Regional Parameters, EU863-870 (RP002-1.0.4 §2.4).
pub(crate) mod eu868 {
    /// Spreading factor and bandwidth in Hz of DR0..DR6. DR7 (FSK) is not spoken here.
    pub(crate) const DATA_RATES: [(u8, u32); 7] =
        [(12, 125_000), (11, 125_000), (10, 125_000), (9, 125_000), (8, 125_000), (7, 125_000), (7, 250_000)];
    /// The largest application payload of DR0..DR6, with empty FOpts and no repeater (N of RP002 table 9).
    pub(crate) const MAX_PAYLOAD: [usize; 7] = [51, 51, 51, 115, 242, 242, 242];
    /// RX2 frequency and data rate by default.
    pub(crate) const RX2: (u32, u8) = (869_525_000, 0);
    /// Power of an answer in RX1, in dBm: the band's 14 dBm ERP limit, 16 dBm EIRP.
    pub(crate) const RX1_POWER_DBM: i8 = 16;
    /// Power on the RX2 default channel, in dBm: the 500 mW ERP of 869.4 to 869.65 MHz, 29 dBm EIRP.
    pub(crate) const RX2_POWER_DBM: i8 = 29;

    /// Tells the data rate of RX1 for an uplink's data rate: one step down for each offset, never below DR0.
    pub(crate) fn rx1_data_rate(uplink_dr: u8, offset: u8) -> u8 {
        uplink_dr.saturating_sub(offset)
    }

    /// Finds the data rate of a modulation.
    pub(crate) fn data_rate(sf: u8, bw_hz: u32) -> Option<u8> {
        (0u8..).zip(DATA_RATES).find(|(_, rate)| *rate == (sf, bw_hz)).map(|(dr, _)| dr)
    }
}

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
    /// The NetID, most significant byte first.
    pub net_id: [u8; 3],
    /// RX1 delay told in the join-accept, in seconds, 1..15.
    pub rx1_delay_s: u8,
    /// RX1 data rate offset told in the join-accept, 0..5.
    pub rx1_dr_offset: u8,
    /// RX2 data rate told in the join-accept, 0..6.
    pub rx2_dr: u8,
    /// RX2 frequency in Hz. A join-accept cannot carry it: a value other than 869.525 MHz must be set in the
    /// device too.
    pub rx2_freq_hz: u32,
    /// Further channels told in the join-accept (CFList), in Hz; empty for none, five at most.
    pub extra_channels_hz: Vec<u32>,
    /// The window that answers go out in. Data of the application follows the same rule.
    pub answer_in: Window,
    /// Transmissions of one confirmed downlink at most, the first included.
    pub confirmed_tries: u8,
    /// How long the ACK of a confirmed downlink is waited for, in milliseconds after its end.
    /// LoRaWAN gives a Class C device 8 s (CLASS_C_RESP_TIMEOUT).
    pub ack_timeout_ms: u32,
    /// Seconds since the GPS epoch (6 January 1980) at instant 0.
    pub gps_time_at_start_s: u32,
    /// Frames kept for replay, sent and heard each (see [`crate::forge`]).
    pub record_frames: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            net_id: [0, 0, 0],
            rx1_delay_s: 1,
            rx1_dr_offset: 0,
            rx2_dr: eu868::RX2.1,
            rx2_freq_hz: eu868::RX2.0,
            extra_channels_hz: Vec::new(),
            answer_in: Window::Rx1,
            confirmed_tries: 3,
            ack_timeout_ms: 10_000,
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
    /// Tells the data rate, if the plan has one with this spreading factor and bandwidth.
    #[must_use]
    pub fn data_rate(&self) -> Option<u8> {
        eu868::data_rate(self.sf, self.bw_hz)
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

/// A frame for the gateway to put on the air, with inverted IQ, at exactly its instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmission {
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
