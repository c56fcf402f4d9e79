//! What the server makes of an uplink.

/// The outcome of one uplink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A join-request of a known device, with a new DevNonce.
    JoinRequest {
        /// The device.
        dev_eui: [u8; 8],
        /// The JoinEUI asked for.
        join_eui: [u8; 8],
        /// DevNonce.
        dev_nonce: u16,
        /// The address that the join-accept will give; `None` from
        /// [`sniff`](crate::NetworkServer::sniff), which lets nobody in.
        dev_addr: Option<u32>,
    },
    /// A data frame, new and genuine.
    Data(Uplink),
    /// A repeat of the device's last data frame (NbTrans, or a confirmed frame without ACK).
    Repeat(Uplink),
    /// A frame without effect.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
}

/// A deciphered data frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The device.
    pub dev_eui: [u8; 8],
    /// Its address in this session.
    pub dev_addr: u32,
    /// The port, unless the frame has none.
    pub port: Option<u8>,
    /// The payload, deciphered; empty on port 0, whose commands are in `mac`.
    pub payload: Vec<u8>,
    /// FCntUp, all 32 bits.
    pub fcnt: u32,
    /// Whether the device asks for an ACK.
    pub confirmed: bool,
    /// Whether it acknowledges a confirmed downlink.
    pub ack: bool,
    /// Whether the network may set the data rate.
    pub adr: bool,
    /// Whether the device asks for any answer, to see that it is still heard.
    pub adr_ack_req: bool,
    /// The MAC commands, from FOpts or from port 0, in their order.
    pub mac: Vec<MacUp>,
}

/// Why an uplink is without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// Not a LoRaWAN R1 frame: too short, another major version, or lengths that do not fit.
    Malformed,
    /// A frame that only a network sends, or a proprietary or rejoin one.
    NotAnUplink,
    /// A join-request with an unknown DevEUI.
    UnknownDevice,
    /// A join-request for another JoinEUI than the device's.
    WrongJoinEui,
    /// A join-request of a device without OTAA.
    NotOtaa,
    /// A DevNonce that this device used before.
    DevNonceUsed,
    /// A data frame with an address that no session has.
    UnknownAddress,
    /// A MIC that none of the possible keys makes.
    WrongMic,
    /// A genuine data frame with a counter that is older than the last one.
    Replayed,
    /// FPort 0 together with FOpts, or a reserved port (225..255).
    BadPort,
}

/// A MAC command from a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacUp {
    /// LinkCheckReq; answered by itself.
    LinkCheckReq,
    /// DeviceTimeReq; answered by itself.
    DeviceTimeReq,
    /// LinkADRAns.
    LinkAdrAns {
        /// The channel mask is taken.
        channel_mask_ack: bool,
        /// The data rate is taken.
        data_rate_ack: bool,
        /// The power is taken.
        power_ack: bool,
    },
    /// DutyCycleAns.
    DutyCycleAns,
    /// RXParamSetupAns.
    RxParamSetupAns {
        /// The frequency is taken.
        channel_ack: bool,
        /// The RX2 data rate is taken.
        rx2_data_rate_ack: bool,
        /// The RX1 offset is taken.
        rx1_dr_offset_ack: bool,
    },
    /// DevStatusAns.
    DevStatusAns {
        /// 0 external power, 1..254 charge, 255 not known.
        battery: u8,
        /// SNR of the request, in dB, -32..31.
        margin_db: i8,
    },
    /// NewChannelAns.
    NewChannelAns {
        /// The frequency is taken.
        frequency_ok: bool,
        /// The range of data rates is taken.
        data_rate_range_ok: bool,
    },
    /// RXTimingSetupAns.
    RxTimingSetupAns,
    /// TXParamSetupAns.
    TxParamSetupAns,
    /// DlChannelAns.
    DlChannelAns {
        /// The channel has an uplink frequency.
        uplink_frequency_exists: bool,
        /// The downlink frequency is taken.
        frequency_ok: bool,
    },
    /// Another command, by its CID. What follows it in the frame is not read.
    Other {
        /// The command identifier.
        cid: u8,
    },
}

/// A MAC command for a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MacRequest {
    /// LinkADRReq.
    LinkAdr {
        /// Data rate, 0..15.
        data_rate: u8,
        /// Index into the region's table of powers, 0..15.
        tx_power: u8,
        /// Channels 0..15 of the block that `ch_mask_cntl` names; bit 0 is the first.
        channel_mask: u16,
        /// ChMaskCntl, 0..7.
        ch_mask_cntl: u8,
        /// NbTrans, 0..15.
        nb_trans: u8,
    },
    /// DutyCycleReq: MaxDCycle, 0..15.
    DutyCycle {
        /// The limit is 1 / 2^n.
        max_duty_cycle: u8,
    },
    /// RXParamSetupReq.
    RxParamSetup {
        /// RX1 data rate offset, 0..7.
        rx1_dr_offset: u8,
        /// RX2 data rate, 0..15.
        rx2_dr: u8,
        /// RX2 frequency in Hz, a multiple of 100.
        freq_hz: u32,
    },
    /// DevStatusReq.
    DevStatus,
    /// NewChannelReq.
    NewChannel {
        /// Channel index.
        index: u8,
        /// Frequency in Hz, a multiple of 100; 0 takes the channel away.
        freq_hz: u32,
        /// Lowest data rate, 0..15.
        min_dr: u8,
        /// Highest data rate, 0..15.
        max_dr: u8,
    },
    /// RXTimingSetupReq.
    RxTimingSetup {
        /// RX1 delay in seconds, 0..15; 0 means 1.
        delay_s: u8,
    },
    /// TXParamSetupReq.
    TxParamSetup {
        /// Whether downlinks last 400 ms at most.
        downlink_dwell: bool,
        /// Whether uplinks last 400 ms at most.
        uplink_dwell: bool,
        /// MaxEIRP as coded, 0..15.
        max_eirp: u8,
    },
    /// DlChannelReq.
    DlChannel {
        /// Channel index.
        index: u8,
        /// Frequency of RX1 after an uplink on that channel, in Hz, a multiple of 100.
        freq_hz: u32,
    },
    /// Bytes as they are, for tests of what a device must ignore.
    Raw(Vec<u8>),
}
